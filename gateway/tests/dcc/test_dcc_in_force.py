"""What a digital certificate does to the readings of its instrument."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from small_dcc import dcc_xml

from meter_gateway.traceability import dcc
from meter_gateway.traceability.binding import Binding
from meter_gateway.traceability.calibration import BEGINNING_MS, DAY_MS, Register, in_force
from meter_gateway.traceability.certificate import Certificate
from meter_protocol.quantities import BY_NAME

VOLTAGE = BY_NAME["voltage"]
NOON_OF_2026_01_10 = 1_768_046_400_000


@pytest.fixture
def before() -> Certificate:
    found = dcc.read(dcc_xml()).certificate
    return replace(found, identifier="before", calibrated_on=date(2025, 1, 5), due_on=date(2027, 1, 1))


def codes(at_ms: int, *certificates: Certificate) -> tuple[str, ...]:
    register = Register(certificates, 0)
    binding = Binding(bytes(32), 1, "2101934", tuple(c.identifier for c in certificates[:1]), BEGINNING_MS, None)
    return in_force(register.bound(binding, VOLTAGE, None), at_ms, at_ms + 1000).codes


def test_results_as_found_end_earlier_calibrations_and_not_their_own(before: Certificate, samples: Path) -> None:
    """An adjustment that a later certificate reports: the calibration of 9–10 January found and adjusted."""
    after = replace(dcc.read(dcc_xml()).certificate, due_on=date(2027, 1, 9))
    adjusted = replace(after, as_found=after.results)
    assert codes(NOON_OF_2026_01_10, before, after) == ()
    assert codes(NOON_OF_2026_01_10, before, adjusted) == ("instrument_adjusted",)
    assert codes(NOON_OF_2026_01_10 - 2 * DAY_MS, before, adjusted) == ()
    assert codes(NOON_OF_2026_01_10, adjusted, before) == ()
