"""A calibration in force at the reading's time: who bound what, from when to when, and how it ended."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import scenario
from hypothesis import given
from hypothesis import strategies as st
from scenario import (
    ENERGY,
    HOUR_MS,
    INTERVAL_MS,
    POWER,
    SERIAL,
    START_MS,
    THUMBPRINT,
    Meter,
    assess,
    codes,
    intervals,
)

from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.binding import Binding
from meter_gateway.traceability.calibration import BEGINNING_MS, END_MS, constant_span
from meter_protocol import fields as f

PLAIN = [("key_native", None)]
DAY_MS = 24 * HOUR_MS


def both(code: str) -> list[tuple[str, int | None]]:
    return [*PLAIN, (code, ENERGY), (code, POWER)]


def judged(
    *certificates: c.Certificate, at_ms: int = START_MS, bound: list[Binding] | None = None, **options: int
) -> list[tuple[str, int | None]]:
    """What one interval that begins at `at_ms` finds."""
    meter = Meter()
    messages = meter.start()
    meter.time_ms = at_ms
    messages += intervals(meter, 1)
    return codes(assess(messages, scenario.trust(certificates, bound, **options))[-1])  # type: ignore[arg-type]


def certificate(**change: Any) -> c.Certificate:
    return scenario.certificate(**change)


def test_in_force() -> None:
    assert judged(certificate()) == PLAIN


def test_no_certificate_is_bound() -> None:
    assert judged(certificate(), bound=[]) == both("certificate_missing")


def test_one_channel_without_a_certificate() -> None:
    bound = scenario.bindings("CAL-1", channels=[POWER])
    assert judged(certificate(), bound=bound) == [*PLAIN, ("certificate_missing", ENERGY)]


def test_a_certificate_of_another_quantity_says_nothing() -> None:
    other = certificate(results=(scenario.calibration_result("active_power"),))
    assert judged(other) == [*PLAIN, ("certificate_missing", ENERGY)]


def test_a_binding_of_another_meter_says_nothing() -> None:
    bound = [replace(entry, thumbprint=bytes(32)) for entry in scenario.bindings()]
    assert judged(certificate(), bound=bound) == both("certificate_missing")


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "is_bound"),
    [
        (START_MS - 500, None, True),
        (START_MS - 499, None, False),
        (0, START_MS + INTERVAL_MS + 500, True),
        (0, START_MS + INTERVAL_MS + 499, False),
    ],
)
def test_a_binding_covers_the_whole_widened_interval(from_ms: int, to_ms: int | None, is_bound: bool) -> None:
    bound = [replace(entry, from_ms=from_ms, to_ms=to_ms) for entry in scenario.bindings()]
    assert judged(certificate(), bound=bound) == (PLAIN if is_bound else both("certificate_missing"))


def test_the_parameters_name_another_instrument() -> None:
    meter = Meter()
    raw = scenario.AUTHORITY.seal(scenario.parameter_set(serial="E-7002"))
    messages = meter.start(raw) + intervals(meter, 1)
    assert codes(assess(messages)[-1]) == both("instrument_mismatch")


def test_parameters_without_a_serial_leave_it_to_the_binding() -> None:
    meter = Meter()
    raw = scenario.AUTHORITY.seal(scenario.parameter_set(serial=None))
    assert codes(assess(meter.start(raw) + intervals(meter, 1))[-1]) == PLAIN


@pytest.mark.parametrize(
    ("at_ms", "code"),
    [
        (START_MS - DAY_MS + 500, None),
        (START_MS - DAY_MS + 499, "certificate_not_yet_valid"),
        (START_MS + 32 * DAY_MS - INTERVAL_MS - 500, None),
        (START_MS + 32 * DAY_MS - INTERVAL_MS - 499, "certificate_expired"),
    ],
)
def test_from_the_calibration_date_to_the_due_date_both_included(at_ms: int, code: str | None) -> None:
    """Calibrated on 2025-12-31, due on 2026-02-01."""
    dated = certificate(calibrated_on=date(2025, 12, 31), due_on=date(2026, 2, 1))
    assert judged(dated, at_ms=at_ms) == (PLAIN if code is None else both(code))


def test_dates_begin_at_the_configured_midnight() -> None:
    """In China the due date ended eight hours earlier."""
    dated = certificate(due_on=date(2026, 1, 1))
    at_ms = START_MS + 15 * HOUR_MS
    assert judged(dated, at_ms=at_ms, utc_offset_minutes=480) == PLAIN
    assert judged(dated, at_ms=at_ms + HOUR_MS, utc_offset_minutes=480) == both("certificate_expired")
    assert judged(dated, at_ms=at_ms + HOUR_MS) == PLAIN


def test_a_certificate_without_a_due_date_is_never_in_force() -> None:
    assert judged(certificate(due_on=None, due_source=None)) == both("certificate_due_unknown")


def test_superseded_certificates_keep_their_older_readings() -> None:
    ended = certificate(ends=(scenario.end(c.EndKind.SUPERSEDED, START_MS + DAY_MS),))
    assert judged(ended) == PLAIN
    assert judged(ended, at_ms=START_MS + DAY_MS) == both("certificate_superseded")


def test_withdrawn_certificates_keep_none() -> None:
    ended = certificate(ends=(scenario.end(c.EndKind.WITHDRAWN, START_MS + DAY_MS),))
    assert judged(ended) == both("certificate_withdrawn")


@pytest.mark.parametrize(
    ("kind", "code"),
    [(c.EndKind.ADJUSTED, "instrument_adjusted"), (c.EndKind.DAMAGED, "instrument_damaged")],
)
def test_what_happened_to_the_instrument_ends_every_certificate_of_it(kind: c.EndKind, code: str) -> None:
    older = certificate(identifier="CAL-0", calibrated_on=date(2025, 3, 1))
    newer = certificate(ends=(scenario.end(kind, START_MS),))
    assert judged(older, newer, at_ms=START_MS - HOUR_MS) == PLAIN
    assert judged(older, newer) == both(code)


def test_a_calibration_after_the_adjustment_is_in_force_from_its_day_on() -> None:
    before = certificate(ends=(scenario.end(c.EndKind.ADJUSTED, START_MS + 10 * HOUR_MS),))
    after = certificate(identifier="CAL-2", calibrated_on=date(2026, 1, 1))
    assert judged(before, after, at_ms=START_MS + 12 * HOUR_MS) == PLAIN


def test_an_end_may_name_one_instrument_of_several() -> None:
    results = (
        scenario.calibration_result("active_energy_import"),
        scenario.calibration_result("active_power"),
        scenario.calibration_result("active_power", serial="E-9999"),
    )
    other = certificate(results=results, ends=(scenario.end(c.EndKind.ADJUSTED, START_MS, "E-9999"),))
    this = certificate(results=results, ends=(scenario.end(c.EndKind.ADJUSTED, START_MS, SERIAL),))
    assert judged(other) == PLAIN
    assert judged(this) == both("instrument_adjusted")


def test_the_latest_calibration_in_force_speaks() -> None:
    """It is the one whose range the power of 100 kW leaves."""
    narrow = replace(scenario.AXIS, maximum=Decimal(50))
    newer = certificate(
        identifier="CAL-2",
        calibrated_on=date(2025, 12, 1),
        results=tuple(
            scenario.calibration_result(name, narrow) for name in ("active_energy_import", "active_power")
        ),
    )
    outside = both("outside_calibrated_range")
    assert judged(certificate(), newer) == outside
    assert judged(newer, certificate()) == outside
    withdrawn = replace(newer, ends=(scenario.end(c.EndKind.WITHDRAWN, 0),))
    assert judged(certificate(), withdrawn) == PLAIN


def test_the_latest_says_why_none_is_in_force() -> None:
    older = certificate(identifier="CAL-0", due_on=date(2025, 12, 1))
    newer = certificate(ends=(scenario.end(c.EndKind.WITHDRAWN, 0),))
    future = certificate(identifier="CAL-9", calibrated_on=date(2026, 2, 1))
    assert judged(older, newer, future) == both("certificate_withdrawn")
    assert judged(future) == both("certificate_not_yet_valid")


def test_all_reasons_of_the_latest_are_given() -> None:
    worst = certificate(due_on=date(2025, 12, 1), ends=(scenario.end(c.EndKind.WITHDRAWN, 0),))
    assert judged(worst) == [
        *PLAIN,
        *[
            (code, number)
            for number in (ENERGY, POWER)
            for code in ("certificate_expired", "certificate_withdrawn")
        ],
    ]


def test_a_corrected_report_replaces_the_one_it_corrects() -> None:
    corrected = certificate(identifier="CAL-1A", replaces=("CAL-1",))
    assert judged(certificate(), corrected) == PLAIN
    assert judged(certificate(), corrected, bound=scenario.bindings("CAL-1")) == both("certificate_superseded")


def test_what_is_said_of_a_certificates_signature_is_said_of_its_readings() -> None:
    assert judged(certificate(findings=("certificate_unsigned",))) == both("certificate_unsigned")
    # Only of those that it judges.
    other = certificate(identifier="CAL-2", calibrated_on=date(2020, 1, 1), findings=("certificate_unsigned",))
    assert judged(certificate(), other) == PLAIN


def test_a_verification_is_in_force_and_says_that_it_comes_from_a_class() -> None:
    results = tuple(scenario.verification_result(name) for name in ("active_energy_import", "active_power"))
    assert judged(certificate(results=results)) == both("from_class")


def test_a_failed_verification_ends_the_calibration_before_it() -> None:
    results = tuple(scenario.verification_result(name, False) for name in ("active_energy_import", "active_power"))
    failed = certificate(identifier="VER-1", calibrated_on=date(2025, 12, 20), results=results)
    assert judged(certificate(), failed) == both("verification_failed")
    assert judged(certificate(), failed, at_ms=START_MS - 20 * DAY_MS) == PLAIN
    again = replace(
        failed, identifier="VER-2", results=(scenario.verification_result("active_energy_import"), results[1])
    )
    assert ("from_class", ENERGY) not in judged(certificate(), failed, again)


def test_a_repaired_instrument_passes_on_the_same_day() -> None:
    failed = certificate(
        identifier="VER-1",
        calibrated_on=date(2025, 12, 20),
        results=(scenario.verification_result("active_energy_import", False),),
    )
    passed = certificate(identifier="CAL-2", calibrated_on=date(2025, 12, 20))
    assert judged(certificate(), failed, passed) == PLAIN


def test_an_interval_across_a_change_is_judged_on_its_own() -> None:
    """The first and the last interval are in force, the one across the end of the first binding is not."""
    bound = [
        entry
        for number in (ENERGY, POWER)
        for entry in (
            Binding(THUMBPRINT, number, SERIAL, ("CAL-1",), 0, START_MS + INTERVAL_MS + 1),
            Binding(THUMBPRINT, number, SERIAL, ("CAL-1",), START_MS + INTERVAL_MS + 1, None),
        )
    ]
    meter = Meter()
    meter.uncertainty_ms = 0
    messages = meter.start() + intervals(meter, 4)
    found = assess(messages, scenario.trust(bound=bound))
    assert [codes(each) for each in found[3:]] == [PLAIN, both("certificate_missing"), PLAIN, PLAIN]


def test_a_clock_that_becomes_less_certain_may_leave_the_span() -> None:
    meter = Meter()
    messages = meter.start()
    meter.time_ms = START_MS + 500
    for uncertainty_ms in (500, 2000):
        meter.uncertainty_ms = uncertainty_ms
        messages.append(meter.readings({ENERGY: [0, 5], POWER: scenario.mean(100_000)}, 1000))
    found = assess(messages, scenario.trust([certificate(calibrated_on=date(2026, 1, 1))]))
    assert [codes(each) for each in found[3:]] == [PLAIN, both("certificate_not_yet_valid")]


def test_an_outage_is_told_nothing_about_other_channels() -> None:
    meter = Meter()
    messages = meter.start()
    messages.append(meter.readings({POWER: scenario.mean(100_000)}, INTERVAL_MS, f.KIND_OUTAGE))
    found = codes(assess(messages, scenario.trust(bound=[]))[-1])
    assert found == [("interval_outage", None), *PLAIN, ("certificate_missing", POWER)]


def test_an_irrelevant_certificate_changes_nothing() -> None:
    other = certificate(
        identifier="CAL-7",
        calibrated_on=date(2025, 12, 31),
        results=(scenario.calibration_result("active_power", serial="E-9999"),),
        ends=(scenario.end(c.EndKind.DAMAGED, START_MS),),
    )
    bound = scenario.bindings("CAL-1")
    assert judged(certificate(), other, bound=bound) == judged(certificate(), bound=bound) == PLAIN


@given(
    st.lists(st.integers(0, 50), unique=True).map(sorted),
    st.integers(-5, 55),
    st.integers(0, 10),
)
def test_constant_spans(changes: list[int], start_ms: int, length_ms: int) -> None:
    end_ms = start_ms + length_ms
    span = constant_span(changes, start_ms, end_ms)
    inside = [at_ms for at_ms in changes if start_ms < at_ms < end_ms]
    if span is None:
        assert inside
        return
    assert not inside
    assert span[0] <= start_ms <= end_ms <= span[1]
    assert not [at_ms for at_ms in changes if span[0] < at_ms < span[1]]
    assert {*span} <= {*changes, BEGINNING_MS, END_MS}
