"""What must hold over many messages; each raises AssertionError with the two messages that disagree."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hil_tests.keywords.verification import Message
from meter_protocol import fields as f
from meter_protocol import types as t

FIRST_CHANNEL = 1
"""The one whose totals are watched over a whole run."""

BENCH_DOUBT_MS = 100
"""An emulator that is halted to drive its clock, and goes on, may be late by so much on a busy host."""


def _span(message: Message) -> tuple[int, int]:
    """Start and end on the meter's own clock."""
    end_ms: int = message.fields[f.TIME_MS]
    return end_ms - message.fields[f.DURATION_MS], end_ms


def _shift_ms(messages: Sequence[Message], before: Message, after: Message) -> int:
    """By how much the clock was corrected between the two: the second begins on the new scale."""
    between = [message for message in messages if before.sequence < message.sequence < after.sequence]
    return sum(
        message.named["new_time_ms"] - message.named["old_time_ms"]
        for message in between
        if message.name == "clock_set"
    )


def _intervals(messages: Sequence[Message]) -> Iterator[Message]:
    """Regular and partial ones; an outage lies across them."""
    for message in messages:
        if message.typ == t.READINGS and message.fields[f.KIND] != f.KIND_OUTAGE:
            yield message


def intervals_join(messages: Sequence[Message]) -> None:
    """Nothing missing, nothing merged, nothing twice."""
    intervals = list(_intervals(messages))
    if len(intervals) < 2:
        raise AssertionError(f"{len(intervals)} intervals cannot show whether they join")
    for before, after in pairwise(intervals):
        if _span(before)[1] + _shift_ms(messages, before, after) != _span(after)[0]:
            raise AssertionError(f"{before} covers {_span(before)}, {after} covers {_span(after)}")


def step_between_intervals(messages: Sequence[Message], clock_set: Message) -> None:
    """The interval before ends on the old scale where the clock was set, the next one begins there on the new."""
    before = list(_intervals(messages[: clock_set.sequence]))[-1:]
    after = list(_intervals(messages[clock_set.sequence + 1 :]))[:1]
    if not before or not after:
        raise AssertionError(f"no interval on both sides of {clock_set}")
    old_ms, new_ms = clock_set.named["old_time_ms"], clock_set.named["new_time_ms"]
    if _span(before[0])[1] != old_ms:
        raise AssertionError(f"{before[0]} covers {_span(before[0])}, the clock was set at {old_ms}")
    was_set = any(message.name == "clock_set" for message in messages[: clock_set.sequence])
    if not was_set and before[0].fields[f.CLOCK_STATUS] != f.CLOCK_RELATIVE:
        raise AssertionError(f"{before[0]} has a time, and the clock was not yet set")
    if _span(after[0])[0] != new_ms:
        raise AssertionError(f"{after[0]} covers {_span(after[0])}, the clock was set to {new_ms}")


def clock_gained(messages: Sequence[Message], clock_set: Message, gain_ms: int) -> None:
    """As the event says it itself, within what both settings were uncertain by."""
    before = [message for message in messages[: clock_set.sequence] if message.name == "clock_set"][-1]
    span_ms = clock_set.named["new_time_ms"] - before.named["new_time_ms"]
    doubt_ms = before.named["clock_uncertainty_ms"] + clock_set.named["clock_uncertainty_ms"] + BENCH_DOUBT_MS
    drift_ppb = clock_set.named["drift_ppb"]
    if drift_ppb is None or abs(drift_ppb * span_ms / 1e9 - gain_ms) > doubt_ms:
        raise AssertionError(f"{clock_set} says {drift_ppb} ppb over {span_ms} ms; {gain_ms} ms were gained")


def _totals(messages: Sequence[Message]) -> list[tuple[Message, int]]:
    """Of the first channel, as they were stated."""
    return [
        (message, total)
        for message in messages
        if message.typ == t.READINGS
        for total in [message.fields[f.READINGS].get(FIRST_CHANNEL, [0, None])[1]]
        if total is not None
    ]


def totals_rise(messages: Sequence[Message]) -> None:
    """Whatever happened to the power."""
    for (before, total_before), (after, total_after) in pairwise(_totals(messages)):
        if total_after < total_before:
            raise AssertionError(f"{before} says {total_before}, {after} says {total_after}")


def totals_stay_within(messages: Sequence[Message], highest: int) -> None:
    for message, total in _totals(messages):
        if total > highest:
            raise AssertionError(f"{message} says {total}, more than {highest}")
