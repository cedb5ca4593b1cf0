"""What registers counted in an hour or a day, and whether it balances: one fact is changed at a time."""

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_gateway.balances.counting import MAX_PIECES, ChainCount, Counted
from meter_gateway.balances.outcomes import Outcome, Quantity, most_telling, outcome_of, whole
from meter_gateway.model import Verified
from meter_gateway.traceability.plant_balance import DAY_MS, HOUR_MS, MAX_SPANS
from meter_gateway.traceability.plausibility_file import MeterTerm, PlantBalance
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import AUTHORITY, CHANNELS, SimulatedMeter

START_MS = 20_454 * DAY_MS
MINUTE_MS = 60_000
ENERGY, POWER = 1, 4
METER = SimulatedMeter("m1")

Spans = dict[tuple[int, int, int], Counted]


def parameters(channels: Any = CHANNELS) -> Verified:
    meter = SimulatedMeter("m1", channels)
    sealed = AUTHORITY.seal(t.PARAMETER_SET, meter.parameter_set())
    fields = {f.EVENT_CODE: ev.PARAMETERS_APPLIED, f.DETAILS: {ev.PARAMETER_SET: sealed}, f.SEQUENCE: 0}
    return Verified(b"", t.EVENT, METER.thumbprint, fields | {f.CLOCK_STATUS: f.CLOCK_UNKNOWN}, b"")


def total(minute: float, value: int | None, status: int = 0, channel: int = ENERGY, **changes: Any) -> Verified:
    reading = [status, value] if value is not None else [f.STATUS_NO_RESPONSE, None, 0, 0]
    fields = {
        f.SEQUENCE: 1,
        f.TIME_MS: START_MS + round(minute * MINUTE_MS),
        f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
        f.DURATION_MS: MINUTE_MS,
        f.READINGS: {channel: reading},
    }
    fields |= {getattr(f, name): value for name, value in changes.items()}
    return Verified(b"", t.READINGS, METER.thumbprint, fields, b"")


def count(
    *messages: Verified, lengths: Sequence[int] = (HOUR_MS,), utc_offset_minutes: int = 0, channel: int = ENERGY
) -> Spans:
    spans: Spans = {}

    def span_of(number: int, span_ms: int, span: int, sequence: int) -> Counted:
        place = number, span_ms, span
        # As it is kept: whatever is added is added to what was stored.
        known = spans.get(place)
        spans[place] = Counted.loads(known.dumps()) if known is not None else Counted(sequence, sequence)
        spans[place].last_sequence = sequence
        return spans[place]

    following = ChainCount({channel: lengths}, utc_offset_minutes)
    for message in (parameters(), *messages):
        following.take(message, span_of)
        following = ChainCount({channel: lengths}, utc_offset_minutes, following.dumps())
    return spans


def known(spans: Spans, span_ms: int = HOUR_MS, utc_offset_minutes: int = 0) -> dict[int, tuple[int | float, int]]:
    """(amount, doubt without the register's step), by hours or days since START_MS, of whole spans."""
    offset_ms = utc_offset_minutes * MINUTE_MS
    found = {}
    for (_, length, number), counted in spans.items():
        start_ms = number * span_ms - offset_ms
        quantity = whole([counted], start_ms, start_ms + span_ms) if length == span_ms else None
        if quantity is not None:
            assert quantity.unit == "W.h"
            steps = len(counted.pieces or ())
            found[(start_ms - START_MS) / span_ms] = (quantity.amount, quantity.doubt - steps)
    return found


def test_what_is_between_two_totals_is_the_hour_s_and_what_crosses_its_border_is_in_doubt() -> None:
    assert known(count(total(0, 5), total(30, 25), total(60, 105))) == {0: (100, 0)}
    # 40 in twenty minutes, half of them in this hour: at most 40 or none of them.
    across = count(total(-10, 0), total(10, 40), total(60, 90))
    assert known(across) == {0: (20 + 50, 20)}
    # A quarter of it before the border, and three quarters behind.
    assert known(count(total(0, 0), total(50, 50), total(90, 90))) == {0: (50 + 10, 30)}


def test_an_outage_inside_a_day_is_exact_for_the_day_and_says_little_about_its_hours() -> None:
    spans = count(total(0, 0), total(120, 10), total(600, 490), total(1440, 500), lengths=(HOUR_MS, DAY_MS))
    assert known(spans, DAY_MS) == {0: (500, 0)}
    hours = known(spans)
    assert hours[3] == (60, 420)
    assert hours[1] == (5, 5)


def test_days_are_those_of_the_offset() -> None:
    spans = count(total(-480, 0), total(-400, 30), total(960, 90), lengths=(DAY_MS,), utc_offset_minutes=480)
    assert known(spans, DAY_MS, 480) == {-1 / 3: (90, 0)}


@pytest.mark.parametrize(
    "broken",
    [
        [total(20, 7, f.STATUS_DISCONTINUITY)],
        [total(20, 4)],
        [total(20, 7), total(10, 8)],
        [parameters([CHANNELS[0]._replace(exponent=1)])],
        [total(20, 7), parameters([CHANNELS[4]]), total(30, 8), parameters()],
        [total(20, 7), parameters([CHANNELS[1]]), total(30, 8), parameters()],
    ],
)
def test_what_begins_anew_leaves_the_hour_unknown(broken: list[Verified]) -> None:
    assert known(count(total(0, 5), *broken, total(60, 105))) == {}


@pytest.mark.parametrize(
    "silent",
    [
        total(20, None),
        total(0, 7),
        total(20, 50, CLOCK_STATUS=f.CLOCK_RELATIVE),
        total(20, 50, CLOCK_STATUS=f.CLOCK_UNKNOWN),
        total(20, 50, channel=ENERGY + 1),
        parameters(),
    ],
)
def test_what_says_nothing_is_passed_over(silent: Verified) -> None:
    assert known(count(total(0, 5), silent, total(60, 105))) == {0: (100, 0)}


def test_gaps_and_informative_clocks_count() -> None:
    late = total(60, 105, f.STATUS_GAP_BEFORE, CLOCK_STATUS=f.CLOCK_INFORMATIVE, DURATION_MS=None)
    assert known(count(total(0, 5), late)) == {0: (100, 0)}


def test_totals_further_apart_than_the_limit_say_nothing() -> None:
    within, beyond = (count(total(0, 0), total((MAX_SPANS + more) * 60, 10)) for more in (0, 1))
    assert len(known(within)) == MAX_SPANS
    assert known(beyond) == {}
    assert len(beyond) == 2
    assert len(count(total(0, 0, DURATION_MS=1 << 60))) == 0


def test_a_register_that_is_declared_as_something_else_is_not_counted() -> None:
    assert known(count(total(0, 5, channel=POWER), total(60, 105, channel=POWER), channel=POWER)) == {}


def test_a_register_that_begins_anew_again_and_again_is_given_up_there() -> None:
    totals = []
    for number in range(MAX_PIECES):
        totals += [total(number, 9), total(number + 0.5, 10)]
    spans = count(*totals)
    (place,) = [place for place, counted in spans.items() if counted.pieces]
    assert len(spans[place].pieces or ()) == MAX_PIECES
    spans = count(*totals, total(40, 9), total(41, 10), total(42, 11))
    assert spans[place].pieces is None


def test_it_is_noted_which_readings_touch_an_hour() -> None:
    """An interval is (start, end]: the one that ends where the hour begins is not in it."""
    ends = [59, 60, 61, 119, 120, 121]
    spans = count(*(total(end, end, SEQUENCE=end) for end in ends))
    first = {number - START_MS // HOUR_MS: counted.first_sequence for (_, _, number), counted in spans.items()}
    last = {number - START_MS // HOUR_MS: counted.last_sequence for (_, _, number), counted in spans.items()}
    assert first == {0: 59, 1: 61, 2: 121}
    # The total at 61 speaks for the minute since 60 only.
    assert last == {0: 60, 1: 120, 2: 121}


def test_several_chains_are_one_register_if_they_fit_together() -> None:
    def spans_of(*pieces: tuple[int, int], unit: str = "W.h", exponent: int = 0) -> Counted:
        counted = Counted(0, 0, unit, exponent, 1)
        for begin, end in pieces:
            counted.add(START_MS + begin * MINUTE_MS, START_MS + end * MINUTE_MS, end - begin, 0)
        return counted

    def quantity(*chains: Counted) -> Quantity | None:
        return whole(chains, START_MS, START_MS + HOUR_MS)

    one = spans_of((0, 30))
    assert quantity(one) is None
    assert quantity(one, spans_of((30, 60))) == ("W.h", 60, 2)
    assert quantity(spans_of((30, 60)), one) == ("W.h", 60, 2)
    assert quantity(one, spans_of((30, 60), exponent=1)) == ("W.h", 30 + 300, 1 + 10)
    assert quantity(one, spans_of((30, 60), unit="J")) is None
    assert quantity(one, spans_of((31, 60))) is None
    assert quantity(one, spans_of((29, 60))) is None
    # A hole and an overlap of one length are no cover.
    assert quantity(spans_of((0, 40)), spans_of((30, 50), (55, 60))) is None
    assert quantity(one, spans_of((30, 60)), Counted(0, 0)) == ("W.h", 60, 2)
    broken = spans_of()
    broken.pieces = None
    assert quantity(one, spans_of((30, 60)), broken) is None


@given(seed=st.integers(0, 2**32), offset=st.integers(-720, 840))
def test_no_quantity_is_lost_or_invented(seed: int, offset: int) -> None:
    choice = random.Random(seed)
    minutes = sorted(choice.sample(range(3 * 1440), 40))
    value, totals = 0, []
    for minute in minutes:
        value += choice.randint(0, 1000)
        totals.append(total(minute, value))
    spans = count(*totals, lengths=(HOUR_MS, DAY_MS), utc_offset_minutes=offset)
    counted = value - totals[0].fields[f.READINGS][ENERGY][1]
    for length in (HOUR_MS, DAY_MS):
        of_length: Mapping[Any, Counted] = {place: each for place, each in spans.items() if place[1] == length}
        assert sum(each.amount for each in of_length.values()) == counted
        covered = sum(end - begin for each in of_length.values() for begin, end in each.pieces or ())
        assert covered == (minutes[-1] - minutes[0]) * MINUTE_MS
        for (_, _, number), each in of_length.items():
            for begin, end in each.pieces or ():
                assert number == (begin + offset * MINUTE_MS) // length == (end - 1 + offset * MINUTE_MS) // length


# Whether it balances

TERMS = [MeterTerm(meter=bytes([number]) * 32, channel=1) for number in range(3)]


def plant(percent: str = "2") -> PlantBalance:
    return PlantBalance(
        name="plant", over="day", total=(TERMS[0],), parts=tuple(TERMS[1:]), tolerance_percent=Decimal(percent)
    )


def judged(total_: int, *parts: int, doubt: int = 0, of_total: int = 0, percent: str = "2") -> bool | None:
    side = [Quantity("W.h", Fraction(total_), Fraction(of_total))]
    others = [Quantity("W.h", Fraction(part), Fraction(doubt)) for part in parts]
    outcome = outcome_of(plant(percent), START_MS, side, others)
    return None if outcome is None else outcome.is_violated


@pytest.mark.parametrize(("part", "is_violated"), [(480, False), (479, True), (520, False), (521, True)])
def test_the_tolerance_is_of_the_total(part: int, is_violated: bool) -> None:
    assert judged(1000, 500, part) is is_violated


def test_no_doubt_makes_a_violation_and_a_large_one_takes_it_away() -> None:
    assert judged(1000, 500, 440) is True
    assert judged(1000, 500, 440, doubt=19) is True
    assert judged(1000, 500, 440, doubt=20) is False
    # The room grows with what the total may be.
    assert judged(1000, 500, 440, of_total=39) is True
    assert judged(1000, 500, 440, of_total=40) is False


def test_nothing_counted_and_a_step_of_difference_is_no_violation() -> None:
    assert judged(0, 0, 0) is False
    assert judged(0, 1, 0, doubt=1) is False
    assert judged(0, 3, 0, doubt=1) is True


def test_registers_of_different_units_are_not_compared() -> None:
    sides = [Quantity("W.h", Fraction(1), Fraction(0))], [Quantity("J", Fraction(1), Fraction(0))]
    assert outcome_of(plant(), START_MS, *sides) is None


def test_a_short_table_leaves_no_violation_off() -> None:
    many = [Outcome("plant", hour * HOUR_MS, Fraction(9), Fraction(9), hour in (0, 2)) for hour in range(6)]
    shown = most_telling(many, 3)
    assert [outcome.start_ms // HOUR_MS for outcome in shown] == [0, 2, 5]
    assert most_telling(many, 6) == many


def test_what_is_kept_is_small() -> None:
    spans = count(*(total(minute, minute) for minute in range(61)))
    assert max(len(cbor2.dumps(place) + counted.dumps()) for place, counted in spans.items()) < 100
