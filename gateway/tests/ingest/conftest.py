"""A gateway in memory and one meter; and this folder on the path, so that its tests share `said.py`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meter_tools.simulated_gateway import SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def meter() -> SimulatedMeter:
    return SimulatedMeter("m1")


@pytest.fixture
def gateway(tmp_path: Path, meter: SimulatedMeter) -> Iterator[SimulatedGateway]:
    made = SimulatedGateway(tmp_path / "store.db", [meter])
    yield made
    made.close()


@pytest.fixture
def begun(gateway: SimulatedGateway, meter: SimulatedMeter) -> SimulatedGateway:
    """The gateway after the meter's identity, parameters and boot: the next sequence is 3."""
    begin = meter.begin()
    gateway.enrol(begin[0])
    gateway.receive(*begin)
    return gateway
