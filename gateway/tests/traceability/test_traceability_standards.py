"""What verdicts say of the chain of standards: one fact about it changed, its code more, and nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
import scenario
from scenario import ENERGY, POWER, START_MS, Meter, assess, calibration_result, codes, end, intervals
from test_traceability_hierarchy import NATIONAL, RULES, equipment, instrument, primary, with_u, working

from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.hierarchy import NO_INSTITUTES, Rules
from meter_protocol.quantities import BY_NAME

PLAIN = [("key_native", None)]
INCOMPLETE, INVALID, RATIO = (
    "standards_chain_incomplete",
    "standards_link_invalid",
    "standards_ratio_exceeded",
)
WITHDRAWN = (end(c.EndKind.WITHDRAWN, START_MS),)
COARSE = (with_u(calibration_result("active_power", serial="W-7"), "0.02"),)


def both(*found: str) -> list[tuple[str, int | None]]:
    return [*PLAIN, *((code, channel) for channel in (ENERGY, POWER) for code in found)]


def judged(
    *certificates: c.Certificate,
    rules: Rules = RULES,
    bound: Sequence[str] = ("CAL-1",),
    utc_offset_minutes: int = 0,
) -> list[tuple[str, int | None]]:
    """What one interval finds under the instrument's certificate and those above it."""
    meter = Meter()
    messages = [*meter.start(), *intervals(meter, 1)]
    trust = scenario.trust(
        certificates,
        scenario.bindings(*bound),
        standards=rules,
        utc_offset_minutes=utc_offset_minutes,
    )
    return codes(assess(messages, trust)[-1])


def test_a_whole_chain_is_nothing_to_say() -> None:
    assert judged(instrument(), working(), primary()) == PLAIN


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ends": WITHDRAWN}, INVALID),
        ({"due_on": date(2025, 5, 31)}, INVALID),
        ({"due_on": date(2025, 6, 1)}, None),
        ({"calibrated_on": date(2025, 6, 2)}, INVALID),
        ({"ends": (end(c.EndKind.ADJUSTED, 1_740_000_000_000),)}, INVALID),
        ({"ends": (end(c.EndKind.ADJUSTED, START_MS),)}, None),
        ({"results": ()}, INVALID),
        ({"equipment": (equipment(None, "CAL-1"),)}, INVALID),
        ({"results": COARSE}, RATIO),
        ({"equipment": ()}, INCOMPLETE),
        ({"due_on": None, "due_source": None}, INCOMPLETE),
        ({"equipment": (equipment("P-1", "PRIM-9"),)}, INCOMPLETE),
        ({"equipment": (equipment("P-1", None),)}, INCOMPLETE),
        ({"findings": ("certificate_unsigned",)}, "certificate_unsigned"),
    ],
)
def test_one_fact_about_a_standard(change: dict[str, object], code: str | None) -> None:
    found = judged(instrument(), working(**change), primary())
    assert found == (PLAIN if code is None else both(code))
    # Without an institute no chain can end, so that nothing is said of one that does not; of its links it is.
    silent = judged(instrument(), working(**change), primary(), rules=NO_INSTITUTES)
    assert silent == (PLAIN if code in (None, INCOMPLETE) else both(code))


def test_a_link_far_above_counts_like_the_next() -> None:
    assert judged(instrument(), working(), primary(ends=WITHDRAWN)) == both(INVALID)
    assert judged(instrument(), working()) == both(INCOMPLETE)
    assert judged(instrument()) == both(INCOMPLETE)


def test_another_file_than_the_one_that_is_named() -> None:
    named = (equipment("W-7", "WORK-1", bytes(32)),)
    assert judged(instrument(equipment=named), working(), primary()) == both(INVALID)


def test_all_that_is_wrong_is_said() -> None:
    found = judged(instrument(), working(ends=WITHDRAWN, results=COARSE))
    assert found == both(INCOMPLETE, INVALID, RATIO)


def test_the_ratio_is_the_configured_one() -> None:
    chain = instrument(), working(results=COARSE), primary()
    assert judged(*chain, rules=replace(RULES, ratio=2)) == PLAIN
    assert judged(instrument(), working(), primary(), rules=replace(RULES, ratio=4)) == both(RATIO)


def test_a_certificate_without_standards() -> None:
    """A verification by class, or paper: what it does not name is not known to lead anywhere."""
    assert judged(scenario.certificate()) == both(INCOMPLETE)
    assert judged(scenario.certificate(), rules=NO_INSTITUTES) == PLAIN
    assert judged(scenario.certificate(laboratory=NATIONAL)) == PLAIN


def test_a_chain_is_followed_no_further_than_its_bound() -> None:
    many = instrument(equipment=tuple(equipment("W-7", "WORK-1") for _ in range(100)))
    assert judged(many, working(), primary()) == both(INCOMPLETE)


def test_what_the_instrument_s_own_certificate_is_at_the_reading_is_said_once() -> None:
    found = judged(instrument(due_on=date(2025, 12, 1)), working(ends=WITHDRAWN), primary())
    assert found == both("certificate_expired")
    # The days of a calibration come before it is in force; no reading lies in them.
    assert judged(instrument(begun_on=date(2025, 5, 20)), working(), primary()) == PLAIN


def test_the_certificate_that_speaks_brings_its_own_chain() -> None:
    older = instrument(identifier="CAL-0", calibrated_on=date(2025, 2, 1), equipment=(equipment("x", "gone"),))
    chain = instrument(), working(), primary()
    assert judged(*chain, older, bound=("CAL-1", "CAL-0")) == PLAIN
    assert judged(*chain, older, bound=("CAL-0",)) == both(INCOMPLETE)


def test_an_irrelevant_certificate_changes_nothing() -> None:
    result = calibration_result("active_power", serial="Z-1")
    other = scenario.certificate("OTHER-1", ends=WITHDRAWN, results=(result,))
    for chain in ((instrument(), working(), primary()), (instrument(), working()), (instrument(),)):
        assert judged(*chain, other) == judged(*chain)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, PLAIN),
        ({"due_on": date(2025, 6, 1)}, PLAIN),
        ({"due_on": date(2025, 5, 31)}, both(INVALID)),
        ({"ends": WITHDRAWN}, both(INVALID)),
        ({"findings": ("certificate_revocation_unknown",)}, both("certificate_revocation_unknown")),
    ],
)
def test_a_reference_gas_is_a_standard_too(change: dict[str, object], found: list[tuple[str, int | None]]) -> None:
    assert judged(*with_gas(**change)) == found


def with_gas(**change: object) -> tuple[c.Certificate, c.Certificate]:
    """The instrument as calibrated with a gas, and the certificate of the cylinder."""
    contents = c.ReferenceGas(
        "D1", BY_NAME["co2_fraction"], "%", Decimal(12), Decimal("0.06"), Decimal(2), "nitrogen", None
    )
    gas: dict[str, object] = {"laboratory": NATIONAL, "calibrated_on": date(2025, 1, 1), "results": ()}
    return (
        instrument(equipment=(equipment("D1", "GAS-1"),)),
        scenario.certificate("GAS-1", reference_gases=(contents,), **(gas | change)),
    )


def test_the_days_of_a_reference_gas_are_those_of_the_offset() -> None:
    assert judged(*with_gas(calibrated_on=date(2025, 6, 1)), utc_offset_minutes=480) == PLAIN


def test_the_chain_is_followed_once_for_all_channels_and_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    trust = scenario.trust((instrument(), working(), primary()), scenario.bindings("CAL-1"), standards=RULES)
    follow, times = trust.hierarchy.of, []
    monkeypatch.setattr(trust.hierarchy, "of", lambda *of: times.append(of) or follow(*of))
    meter = Meter()
    assess([*meter.start(), *intervals(meter, 3)], trust)
    assert len(times) == 1
