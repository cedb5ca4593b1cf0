"""What is judged in columns is judged as reading by reading: findings, uncertainties, and what is remembered.

The readings are such that columns are good, nearly good and broken, with everything asked of them that can be:
ranges, rated conditions, targets, classes, limits, samples and a balance.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import scenario
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenario import AUTHORITY, ENERGY, INTERVAL_MS, POWER, THUMBPRINT, Meter

from meter_gateway.metrology.budget import Distribution
from meter_gateway.model import Assessed, Verified
from meter_gateway.traceability import ChainState, Trust, assess, assess_group, columns, plausibility, stating
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.plausibility_file import Balance, ChannelLimits, Plausibility
from meter_gateway.traceability.rows import Run
from meter_gateway.traceability.terms import (
    Band,
    Contribution,
    ErrorRequirement,
    KnownError,
    RatedRange,
    Target,
    Terms,
)
from meter_gateway.traceability.thresholds import DataValidity, Thresholds
from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME

EXPORT, VOLTAGE, CURRENT = 3, 4, 5
MINUTES = INTERVAL_MS // 60_000
LATE_MS = scenario.START_MS + 400 * INTERVAL_MS
CHANNELS = (
    scenario.energy(operating_point=POWER),
    scenario.power(),
    scenario.channel(EXPORT, "active_energy_export", f.CHANNEL_REGISTER),
    scenario.channel(VOLTAGE, "voltage", f.CHANNEL_MEAN, exponent=-1),
    scenario.channel(CURRENT, "current", f.CHANNEL_MEAN, exponent=-1),
)


def points(*at: tuple[int, str, str]) -> tuple[c.Point, ...]:
    return tuple(c.Point(Decimal(reference), Decimal(e), Decimal(u), Decimal(2)) for reference, e, u in at)


def result_of(quantity: str, axis: c.Axis, *at: tuple[int, str, str], unit: str = "%") -> c.CalibrationResult:
    return replace(scenario.calibration_result(quantity, axis), points=points(*at), error_unit=unit)


def axis_of(quantity: str, low: int, high: int) -> c.Axis:
    return c.Axis(BY_NAME[quantity], BY_NAME[quantity].ucum, Decimal(low), Decimal(high))


KILOWATTS = scenario.AXIS
RESULTS = (
    result_of("active_energy_import", KILOWATTS, (1, "0.1", "0.05"), (100, "0.3", "0.2"), (600, "-0.1", "0.1")),
    result_of("active_power", KILOWATTS, (1, "0.1", "0.05"), (600, "0.1", "0.05")),
    result_of("active_energy_export", KILOWATTS, (1, "0.2", "0.1"), (600, "0.2", "0.1")),
    result_of("voltage", axis_of("voltage", 200, 260), (200, "0.1", "0.4"), (260, "0.1", "0.9"), unit="V"),
    result_of("current", axis_of("current", -50, 100), (-50, "0", "0.4"), (100, "0", "0.4"), unit="A"),
)
CERTIFICATE = scenario.certificate(results=RESULTS)
SOURCES = (
    Contribution("zero", Distribution.RECTANGULAR, Decimal("0.4"), "%", "data sheet"),
    Contribution("noise", Distribution.NORMAL, Decimal("0.1"), "%", "data sheet", is_random=True),
)
LIMIT = {"meter": THUMBPRINT, "max_spike": Decimal(60), "stuck_minutes": 3 * MINUTES}


def terms_of(channel: int) -> Terms:
    requirement = ErrorRequirement("table", "1", (Band(Decimal("0.5"), None, Decimal("0.35")),), Decimal(100))
    return {
        ENERGY: Terms(SOURCES, KnownError.CARRIED, Target(Decimal("1.5"), "%"), requirement),
        POWER: Terms(SOURCES, rated=(RatedRange(VOLTAGE, Decimal(228), Decimal(232)),)),
        EXPORT: Terms(SOURCES, KnownError.CORRECTED, Target(Decimal(30), "W.h")),
        VOLTAGE: Terms((), KnownError.CARRIED, Target(Decimal("0.45"), "V")),
        CURRENT: Terms((Contribution("field", Distribution.RECTANGULAR, Decimal("0.2"), "A", "data sheet"),)),
    }[channel]


def limits() -> tuple[ChannelLimits, ...]:
    def of(channel: int, unit: str, **what: Any) -> ChannelLimits:
        return ChannelLimits(channel=channel, unit=unit, **LIMIT | what)

    return (
        of(ENERGY, "kW", max_change_per_minute=Decimal(3)),
        of(POWER, "kW", max_change_per_minute=Decimal(3), stuck_within=Decimal(2)),
        of(EXPORT, "kW", stuck_minutes=20 * MINUTES),
        of(VOLTAGE, "V", max_spike=Decimal(4), stuck_within=Decimal("0.5")),
        of(CURRENT, "A", max_spike=Decimal(9), stuck_minutes=9 * MINUTES, max_change_per_minute=Decimal("0.2")),
    )


def trusting(**what: Any) -> Trust:
    bound = [replace(each, terms=terms_of(each.channel)) for each in scenario.bindings(channels=range(1, 6))]
    return scenario.trust([CERTIFICATE], bound, **what)


TRUST = trusting(
    plausible=Plausibility(
        limits(),
        (Balance(name="b", meter=THUMBPRINT, total=(ENERGY,), parts=(EXPORT,), tolerance_percent=Decimal(40)),),
    ),
    thresholds=Thresholds(data_validity=DataValidity(samples_percent=95, clause="c", tag="M")),
)

Step = tuple[int, int, int, str, int]
"""How much power and voltage differ from their usual, which register counts less, what is wrong and where."""

WRONG = (
    *[""] * 12,
    "status", "none", "fewer", "register none", "back", "jump", "raw", "absent", "more", "other form", "negative",
    "short", "endless", "partial", "outage", "relative", "unset", "late",
)  # fmt: skip
steps = st.lists(
    st.tuples(
        st.integers(-40, 40), st.integers(-20, 20), st.integers(0, 8), st.sampled_from(WRONG), st.integers(1, 5)
    ),
    min_size=1,
    max_size=30,
)


def chain_of(plan: list[Step], scale: int) -> list[Verified]:
    """`scale` 0 holds power and voltage still."""
    meter = Meter()
    messages = meter.start(AUTHORITY.seal(scenario.parameter_set(*CHANNELS)))
    totals = {ENERGY: 0, EXPORT: 0}
    for power, voltage, less, what, channel in plan:
        totals[ENERGY] += 25_000 + 250 * power * scale
        totals[EXPORT] += 25_000 // (1 + less * less * scale)
        kilowatts = 100_000 + 1000 * power * scale
        rows = {
            ENERGY: [0, totals[ENERGY]],
            POWER: [0, 900, 900, kilowatts, 5, kilowatts - 900, kilowatts + 900],
            EXPORT: [0, totals[EXPORT]],
            VOLTAGE: [0, 900, 900, 2300 + voltage * scale, 3],
            CURRENT: [0, 900, 900, 50 + 4 * voltage * scale, 3],
        }
        spoil(rows, totals, what, channel)
        kept = meter.status, meter.uncertainty_ms
        if what == "relative":
            meter.status, meter.uncertainty_ms = f.CLOCK_RELATIVE, None
        elif what == "unset":
            meter.status = f.CLOCK_INFORMATIVE
        elif what == "late":
            meter.time_ms += 8 * INTERVAL_MS
        if what == "outage":
            messages.append(meter.readings({ENERGY: [f.STATUS_GAP_BEFORE, totals[ENERGY]]}, kind=f.KIND_OUTAGE))
        duration_ms = {"short": 60_000, "endless": None, "partial": 60_000}.get(what, INTERVAL_MS)
        messages.append(meter.readings(rows, duration_ms, f.KIND_PARTIAL if what == "partial" else f.KIND_REGULAR))
        meter.status, meter.uncertainty_ms = kept
    return messages


def spoil(rows: dict[int, list[Any]], totals: dict[int, int], what: str, channel: int) -> None:
    reading, is_register = rows[channel], channel in totals
    if what == "status":
        reading[0] = f.STATUS_IMPLAUSIBLE
    elif what == "none" and not is_register:
        reading[:] = [f.STATUS_NO_RESPONSE, 0, 900] + [None] * (len(reading) - 3)
    elif what == "fewer" and not is_register:
        reading[1] = 800
    elif what == "register none" and is_register:
        reading[:] = [f.STATUS_NO_RESPONSE, None]
    elif what == "back" and is_register:
        reading[1] = totals[channel] = max(0, totals[channel] - 40_000)
    elif what == "jump" and is_register:
        totals[channel] += 500_000
        reading[1] = totals[channel]
    elif what == "raw" and is_register:
        reading.append(7)
    elif what == "absent":
        del rows[channel]
    elif what == "more":
        rows[9] = [0, 1]
    elif what == "other form":
        rows[channel] = (
            [0, 900, 900, 5, 5] if is_register else [*reading[:5], reading[3], reading[3]][: 12 - len(reading)]
        )
    elif what == "negative" and not is_register:
        reading[3] *= -1
        reading[5:] = [reading[3] - 1, reading[3] + 1] if len(reading) > 5 else []


def assessed(messages: list[Verified], trust: Trust = TRUST) -> tuple[list[Assessed], bytes]:
    state = ChainState.new(THUMBPRINT)
    found = assess_group(state, messages, trust, LATE_MS)
    return found, state.dumps()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=steps, scale=st.integers(0, 2))
def test_a_column_is_judged_as_its_readings_one_by_one(plan: list[Step], scale: int) -> None:
    messages = chain_of(plan, scale)
    in_columns = assessed(messages)
    with pytest.MonkeyPatch.context() as patch:
        # Without these no reading is taken together with another, and no value is passed over.
        patch.setattr(Run, "means", lambda *_: None)
        patch.setattr(Run, "increases", lambda *_: None)
        patch.setattr(Run, "durations", lambda *_: None)
        patch.setattr(columns, "_take_good_row", lambda *_: False)
        patch.setattr(assess, "_take_plain", lambda *_: False)
        patch.setattr(plausibility.ChannelRule, "_is_plain", lambda *_: False)
        patch.setattr(plausibility, "_lasted_ms", lambda *_: 1 << 63)
        patch.setattr(plausibility, "_still_ms", lambda *_: 1 << 63)
        assert assessed(messages) == in_columns


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=steps, scale=st.integers(0, 2), cuts=st.sets(st.integers(1, 30), max_size=5))
def test_a_run_is_judged_as_its_messages_alone_or_in_groups(plan: list[Step], scale: int, cuts: set[int]) -> None:
    messages = chain_of(plan, scale)
    together = assessed(messages)
    for ends in (sorted(cuts), range(1, len(messages))):
        state, begin = ChainState.new(THUMBPRINT), 0
        found: list[Assessed] = []
        for end in [*ends, len(messages)]:
            group = messages[begin:end]
            found += assess_group(state, group, TRUST, LATE_MS)
            begin = max(begin, end)
        assert (found, state.dumps()) == together


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=steps, early_ms=st.lists(st.integers(-3 * INTERVAL_MS, INTERVAL_MS), min_size=40, max_size=40))
def test_each_message_is_judged_by_the_time_of_its_own_reception(plan: list[Step], early_ms: list[int]) -> None:
    messages = chain_of(plan, 1)
    # The plan's last steps make two messages of one.
    early_ms += [0] * (len(messages) - len(early_ms))
    received_ms = [message.fields[f.TIME_MS] + ms for message, ms in zip(messages, early_ms, strict=False)]
    state = ChainState.new(THUMBPRINT)
    together = assess_group(state, messages, TRUST, received_ms)
    alone = ChainState.new(THUMBPRINT)
    found: list[Assessed] = []
    for message, at_ms in zip(messages, received_ms, strict=True):
        found += assess_group(alone, [message], TRUST, at_ms)
    assert (found, alone.dumps()) == (together, state.dumps())


def test_a_message_ahead_of_its_reception_is_found_among_others_that_are_not() -> None:
    messages = chain_of([(0, 0, 0, "", 1)] * 4, 1)
    received_ms = [LATE_MS] * 5 + [scenario.START_MS, LATE_MS]
    found = assess_group(ChainState.new(THUMBPRINT), messages, TRUST, received_ms)
    assert ["time_in_future" in {each.code for each in of.findings} for of in found] == [False] * 5 + [True, False]


def test_good_columns_are_never_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparisons above prove nothing if no column ever goes the quick way."""
    plan: list[Step] = [(n % 3, n % 5 - 2, 0, "", 1) for n in range(12)]
    messages = chain_of(plan, 1)
    state = ChainState.new(THUMBPRINT)
    assess_group(state, messages[:6], TRUST, LATE_MS)
    for module, name in (
        (columns, "_judge_register"),
        (columns, "_judge_mean"),
        (columns, "_judge_range"),
        (columns, "_compare_channels"),
        (stating, "_state_each"),
        (plausibility.ChannelRule, "_judge_each"),
    ):
        monkeypatch.delattr(module, name)
    found = assess_group(state, messages[6:], TRUST, LATE_MS)
    assert all(each.uncertainty[0] == 0x85 for each in found), "five entries each"


@pytest.mark.parametrize("what", sorted({*WRONG} - {"", "raw", "late"}))
def test_what_spoils_a_column_is_found(what: str) -> None:
    plan: list[Step] = [(n % 3, n % 5 - 2, 0, "", 1) for n in range(12)]
    good, _ = assessed(chain_of(plan, 1))
    differing = 0
    for channel in range(1, 6):
        plan[8] = (*plan[8][:3], what, channel)
        found, _ = assessed(chain_of(plan, 1))
        differing += found[-5:] != good[-5:]
    assert differing
