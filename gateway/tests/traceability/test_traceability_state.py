"""What is learnt survives being stored, and how messages are grouped changes no finding."""

from typing import Any

import cbor2
import pytest
import scenario
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenario import AUTHORITY, ENERGY, HOUR_MS, INTERVAL_MS, POWER, START_MS, THUMBPRINT, Meter, intervals

from meter_gateway.model import Finding, Verified
from meter_gateway.traceability import ChainState, StateError, assess, assess_group, columns
from meter_gateway.traceability.state import MAX_STATE_BYTES
from meter_protocol import fields as f
from meter_protocol.schema import MAX_CHANNELS

VOLUME = 3
EXPORT = 4
TRUST = scenario.trust(
    [
        scenario.certificate(
            results=tuple(
                scenario.calibration_result(name)
                for name in ("active_energy_import", "active_energy_export", "active_power")
            )
        )
    ],
    scenario.bindings("CAL-1", channels=[ENERGY, POWER, EXPORT]),
)
CHANNELS = (
    scenario.energy(operating_point=POWER),
    scenario.power(),
    scenario.channel(VOLUME, "volume", f.CHANNEL_REGISTER),
    scenario.channel(EXPORT, "active_energy_export", f.CHANNEL_REGISTER),
)

CALIBRATED_MS = START_MS - 214 * 24 * HOUR_MS
EXPIRED_MS = START_MS + 151 * 24 * HOUR_MS
"""The certificate is in force from 2025-06-01 to the end of 2026-05-31."""

RECEIVED_MS = EXPIRED_MS + 30 * 24 * HOUR_MS

READING_CHANGES = (
    "status",
    "samples",
    "low",
    "high",
    "falls",
    "jump",
    "raw",
    "null",
    "never",
    "kind",
    "absent",
    "more",
)
INTERVAL_CHANGES = ("short", "endless", "partial", "outage", "overlap", "uncertain", "informative")
CHAIN_CHANGES = ("previous", "context", "boot count")
EVENTS = ("boot", "set", "unset", "to the beginning", "to the end", "to the future")

changes = st.lists(
    st.one_of(
        st.none(),
        st.sampled_from(READING_CHANGES),
        st.sampled_from(INTERVAL_CHANGES),
        st.sampled_from(CHAIN_CHANGES),
        st.sampled_from(EVENTS),
    ),
    max_size=12,
)


def chain_of(plan: list[str | None]) -> list[Verified]:
    """Good intervals, each with at most one change, each change followed by a good interval."""
    meter = Meter()
    messages = meter.start(AUTHORITY.seal(scenario.parameter_set(*CHANNELS)))
    total = 0
    for change in [step for planned in plan for step in (planned, None)]:
        total += 25_000
        if change in EVENTS:
            messages += happen(meter, str(change), len(messages))
        else:
            messages.append(interval(meter, total, change))
    return messages


def happen(meter: Meter, event: str, count: int) -> list[Verified]:
    if event == "boot":
        meter.boot_count += 1
        return [meter.boot()]
    if event == "set":
        return [meter.set_clock(START_MS + count * INTERVAL_MS)]
    if event == "unset":
        meter.status, meter.uncertainty_ms, meter.time_ms = f.CLOCK_RELATIVE, None, 1000
    elif meter.status != f.CLOCK_RELATIVE:
        moments = {"to the beginning": CALIBRATED_MS, "to the end": EXPIRED_MS, "to the future": RECEIVED_MS}
        meter.time_ms = moments[event] - INTERVAL_MS // 2
    return []


def interval(meter: Meter, total: int, change: str | None) -> Verified:
    readings = changed_readings(total, change)
    duration_ms, kind = {
        "short": (60_000, f.KIND_REGULAR),
        "endless": (None, f.KIND_REGULAR),
        "partial": (60_000, f.KIND_PARTIAL),
        "outage": (INTERVAL_MS, f.KIND_OUTAGE),
    }.get(change or "", (INTERVAL_MS, f.KIND_REGULAR))
    kept = vars(meter).copy()
    if change == "overlap":
        meter.time_ms -= 1
    elif change == "uncertain" and meter.uncertainty_ms is not None:
        meter.uncertainty_ms = 60_001
    elif change == "informative" and meter.uncertainty_ms is not None:
        meter.status = f.CLOCK_INFORMATIVE
    elif change == "previous":
        meter.previous = bytes(32)
    elif change == "context":
        meter.context = bytes(16)
    elif change == "boot count":
        meter.boot_count += 1
    sealed = meter.readings(readings, duration_ms, kind)
    for name in ("uncertainty_ms", "status", "context", "boot_count"):
        setattr(meter, name, kept[name])
    return sealed


def changed_readings(total: int, change: str | None) -> dict[int, list[Any]]:
    energy, power, volume, export = [0, total], scenario.mean(100_000), [0, 5], [0, total]
    rows = {ENERGY: energy, POWER: power, VOLUME: volume, EXPORT: export}
    if change == "status":
        energy[0] = f.STATUS_IMPLAUSIBLE
    elif change == "samples":
        power[1] -= 1
    elif change == "low":
        power[5] = 499
    elif change == "high":
        power[6] = 600_001
    elif change == "falls":
        volume[1] = 4
    elif change == "jump":
        export[1] += 10_000_000
    elif change == "raw":
        export.append(7)
    elif change == "null":
        rows[EXPORT] = [f.STATUS_NO_RESPONSE, None, total, 7]
    elif change == "never":
        rows[EXPORT] = [f.STATUS_NO_RESPONSE, None]
    elif change == "kind":
        rows[POWER] = [0, 900, 900, 5, 5]
    elif change == "absent":
        del rows[POWER]
    elif change == "more":
        rows[9] = [0, 1]
    return rows


def assess_in_groups(messages: list[Verified], cuts: set[int]) -> tuple[list[tuple[Finding, ...]], bytes]:
    """The state is stored and read again between groups."""
    state = ChainState.new(THUMBPRINT)
    found: list[tuple[Finding, ...]] = []
    group: list[Verified] = []
    for index, message in enumerate(messages):
        if index in cuts:
            found += assess_group(state, group, TRUST, RECEIVED_MS)
            state = ChainState.loads(state.dumps())
            group = []
        group.append(message)
    found += assess_group(state, group, TRUST, RECEIVED_MS)
    return found, state.dumps()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=changes, cuts=st.sets(st.integers(0, 30)))
def test_grouping_and_the_quick_ways_change_no_finding(
    plan: list[str | None], cuts: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = chain_of(plan)
    together = assess_in_groups(messages, set())
    assert assess_in_groups(messages, cuts) == together
    assert assess_in_groups(messages, set(range(len(messages)))) == together
    with monkeypatch.context() as patch:
        patch.setattr(columns, "_take_good_row", lambda *_: False)
        patch.setattr(columns, "_is_good", lambda *_: False)
        patch.setattr(columns, "_rises", lambda *_: False)
        patch.setattr(assess, "_take_plain", lambda *_: False)
        assert assess_in_groups(messages, set()) == together


@pytest.mark.parametrize("change", [*READING_CHANGES, *INTERVAL_CHANGES, *CHAIN_CHANGES])
def test_each_change_is_found(change: str) -> None:
    """The comparison above proves nothing of changes that make no difference."""
    messages = chain_of([None, change])
    found, _ = assess_in_groups(messages, set())
    assert (found[-2] != found[-1]) is (change != "raw")


def test_the_quick_ways_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it prove anything if good readings never go the quick way."""
    messages = chain_of([None] * 5)
    state = ChainState.new(THUMBPRINT)
    assess_group(state, messages[:5], TRUST, RECEIVED_MS)
    for slow in ("_judge_register", "_judge_mean", "_judge_range"):
        monkeypatch.delattr(columns, slow)
    monkeypatch.delattr(assess, "_continue_chain")
    assess_group(state, messages[5:6], TRUST, RECEIVED_MS)
    assess_group(state, messages[6:], TRUST, RECEIVED_MS)


def state_after(count: int) -> ChainState:
    meter = Meter()
    state = ChainState.new(THUMBPRINT)
    scenario.assess(meter.start() + intervals(meter, count), state=state)
    return state


def test_a_stored_state_is_the_same_bytes_for_the_same_chain() -> None:
    assert state_after(3).dumps() == state_after(3).dumps() == ChainState.loads(state_after(3).dumps()).dumps()
    assert state_after(3).dumps() != state_after(4).dumps()


def test_the_order_in_which_totals_and_bars_came_does_not_show() -> None:
    one, other = state_after(0), state_after(0)
    one.totals, other.totals = {1: 5, 2: 6}, {2: 6, 1: 5}
    codes = [f"bar_{letter}" for letter in "abcdefghij"]
    for code in codes:
        one.bar(code)
        other.bar(code)
    assert one.dumps() == other.dumps()
    assert codes in cbor2.loads(one.dumps())


def test_the_largest_state_is_within_its_bound() -> None:
    state = state_after(2)
    state.parameter_set = bytes(7680)
    state.totals = dict.fromkeys(range(1, MAX_CHANNELS + 1), (1 << 63) - 1)
    state.unsettled = dict.fromkeys(state.totals, 1 << 62)
    state.bar("chain_fork")
    stored = state.dumps()
    assert len(stored) < MAX_STATE_BYTES
    assert ChainState.loads(stored).totals == state.totals


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\xff",
        b"\x00",
        cbor2.dumps([]),
        cbor2.dumps([1, 2]),
        cbor2.dumps([2, *[None] * 30]),
        b"\x00" * (MAX_STATE_BYTES + 1),
        state_after(2).dumps()[:-1],
    ],
)
def test_a_damaged_state_is_refused(stored: bytes) -> None:
    with pytest.raises(StateError):
        ChainState.loads(stored)


def test_a_reload_takes_the_new_trust() -> None:
    meter = Meter()
    state = ChainState.new(THUMBPRINT)
    scenario.assess(meter.start() + intervals(meter, 1), state=state)
    unbound = scenario.trust(bound=[])
    found = scenario.assess(intervals(meter, 1, 26_000), unbound, state)
    assert ("certificate_missing", ENERGY) in scenario.codes(found[0])
    assert scenario.codes(scenario.assess(intervals(meter, 1, 51_000), state=state)[0]) == [("key_native", None)]
