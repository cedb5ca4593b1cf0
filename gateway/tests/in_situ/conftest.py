"""This folder on the path, so that its tests share `plant.py`."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from plant import Plant, channels

from meter_tools.simulated_meter import SimulatedMeter


@pytest.fixture
def plant(gateway: Any) -> Plant:
    made = Plant(gateway, SimulatedMeter("M-1", channels(0)), SimulatedMeter("R-1", channels(0)))
    (gateway.folder / "comparisons").mkdir()
    made.certify("OWN", "M-1 power", U=0.2)
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
