"""This folder on the path, so that its tests share `plant.py`, and that of the certificates for its signers."""

import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "dcc")]

from plant import Plant, channels  # noqa: E402 - found in this folder
from stack import Stack, showing  # noqa: E402

from meter_tools.simulated_meter import SimulatedMeter  # noqa: E402


@pytest.fixture
def schemas(shared: Path) -> Path | None:
    """PTB's, where their owner has put them."""
    folder = shared / "data" / "dcc" / "xsd"
    return folder if folder.is_dir() else None


@pytest.fixture
def plant(gateway: Any) -> Plant:
    made = Plant(gateway, SimulatedMeter("M-1", channels(0)), SimulatedMeter("R-1", channels(0)))
    (gateway.folder / "comparisons").mkdir()
    made.certify("OWN", "M-1 power", u=0.2)
    made.certify("REF", "R-1 power")
    made.certify("PORTABLE", "PS-9")
    made.bind()
    made.plan()
    with gateway.config.open("a") as file:
        file.write(
            "\n[comparisons]\nfolder = 'comparisons'\n[traceability]\n"
            "certificates = ['OWN.toml', 'REF.toml', 'PORTABLE.toml']\n"
            "bindings = ['bindings.toml']\nchecks = ['checks.toml']\n"
        )
    for meter in (made.meter, made.reference):
        gateway.enrol(meter)
        gateway.fill(*meter.begin())
    return made


@pytest.fixture
def stack(plant: Plant) -> Stack:
    made = Stack(plant.gateway, SimulatedMeter("A-1", showing(120_000)), plant.reference)
    made.set_up()
    return made
