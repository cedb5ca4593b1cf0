"""Spans in which registers of several meters should have balanced and did not, and which readings they are held
against.

Whether a balance is violated in an hour or a day is no matter of one message: it is found from everything that is
stored (meter_gateway/balances), as the outcome of a comparison is found beside the chain. From then on it speaks
about the readings of all registers of the balance, because it does not say which of them is wrong:

- an interval is (start, end], as a total at its end belongs to it and the one at its start to the one before; a
  span is (start, end] too. A reading is `plant_balance_violated` at its channel if both have a moment in common;
- times are those that the meter signed. Its clock's uncertainty is left out of account, as it is in the totals;
- an interval whose duration nobody knows, or of none, is the moment of its end;
- an interval of more than MAX_SPANS spans says nothing of one of them, and nothing is said of it. A reading
  without a time has none to be in.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from meter_gateway.model import Verified
from meter_gateway.traceability.clock import has_scale
from meter_gateway.traceability.findings import finding
from meter_gateway.traceability.plausibility_file import PlantBalance
from meter_gateway.traceability.rows import REGISTER_MAX_LENGTH, Found
from meter_protocol import fields as f
from meter_protocol import types as t

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MAX_SPANS = 24
"""An interval, or the time between two totals of a register, that is longer says nothing of one span. Whatever a
meter signs, it is about few spans."""

CODE = "plant_balance_violated"
_EPOCH = date(1970, 1, 1)
_PREFIX, _ON = "balance ", " on "
_DATE_LENGTH = len("2026-11-28")


class Interval(NamedTuple):
    """Unix ms, (start, end]."""

    start_ms: int
    end_ms: int

    def is_about(self, span_ms: int) -> bool:
        return self.end_ms - self.start_ms <= MAX_SPANS * span_ms


class Violated(NamedTuple):
    """When a balance of this register is violated: spans that follow each other are one period, (begin, end]."""

    channel: int
    span_ms: int
    begins: Sequence[int]
    ends: Sequence[int]

    def touches(self, interval: Interval) -> bool:
        place = bisect_right(self.ends, interval.start_ms)
        return place < len(self.ends) and self.begins[place] < interval.end_ms and interval.is_about(self.span_ms)


class Violations:
    """Of all balances; `numbers` are those of their violated spans, by the name of the balance."""

    def __init__(
        self,
        balances: Iterable[PlantBalance] = (),
        numbers: Mapping[str, Iterable[int]] | None = None,
        utc_offset_minutes: int = 0,
    ) -> None:
        self._days: dict[str, list[int]] = defaultdict(list)
        self._by_meter: dict[bytes, list[Violated]] = defaultdict(list)
        for balance in balances:
            violated = sorted((numbers or {}).get(balance.name, ()))
            if not violated:
                continue
            span_ms = span_of(balance)
            for number in violated:
                self._days[entry_name(balance.name, number * span_ms // DAY_MS)].append(number)
            begins, ends = _periods(violated, span_ms, utc_offset_minutes * 60_000)
            for term in balance.terms:
                self._by_meter[term.meter].append(Violated(term.channel, span_ms, begins, ends))

    def of(self, thumbprint: bytes) -> Sequence[Violated]:
        return self._by_meter.get(thumbprint, ())

    def entries(self) -> Mapping[str, Sequence[int]]:
        """What verdicts rest on: numbers of the violated spans, by balance and day, named."""
        return self._days


def span_of(balance: PlantBalance) -> int:
    return HOUR_MS if balance.over == "hour" else DAY_MS


def entry_name(balance: str, day: int) -> str:
    """`day` counts from 1970-01-01, in the time of the configured offset."""
    return f"{_PREFIX}{balance}{_ON}{_EPOCH + timedelta(days=day)}"


def read_entry_name(name: str) -> tuple[str, int] | None:
    """(balance, day) if it is a name of this form."""
    head, day = name[: -_DATE_LENGTH - len(_ON)], name[-_DATE_LENGTH:]
    try:
        number = (date.fromisoformat(day) - _EPOCH).days
    except ValueError:
        return None
    balance = head.removeprefix(_PREFIX)
    return (balance, number) if entry_name(balance, number) == name else None


def interval_of(message: Verified) -> Interval | None:
    """None if the message is no reading, or has no time."""
    fields = message.fields
    if message.typ != t.READINGS or not has_scale(fields[f.CLOCK_STATUS]):
        return None
    end_ms = fields[f.TIME_MS]
    return Interval(end_ms - max(fields[f.DURATION_MS] or 0, 1), end_ms)


def has_register(message: Verified, channel: int) -> bool:
    """By the form of its reading (SPEC §5.1), so that it is known of a message whose parameters are not."""
    reading = message.fields[f.READINGS].get(channel)
    return reading is not None and len(reading) <= REGISTER_MAX_LENGTH


def judge(violated: Sequence[Violated], run: Sequence[Verified], found: Found) -> None:
    """Add what is to be said of each message to its place in `found`; `violated` are those of its meter."""
    for message, codes in zip(run, found, strict=True):
        interval = interval_of(message)
        if interval is not None:
            codes.extend(
                finding(CODE, each.channel)
                for each in violated
                if each.touches(interval) and has_register(message, each.channel)
            )


def _periods(numbers: Sequence[int], span_ms: int, offset_ms: int) -> tuple[list[int], list[int]]:
    begins: list[int] = []
    ends: list[int] = []
    for begin_ms, end_ms in _spans(numbers, span_ms, offset_ms):
        if ends and ends[-1] == begin_ms:
            ends[-1] = end_ms
        else:
            begins.append(begin_ms)
            ends.append(end_ms)
    return begins, ends


def _spans(numbers: Sequence[int], span_ms: int, offset_ms: int) -> Iterator[tuple[int, int]]:
    for number in numbers:
        begin_ms = number * span_ms - offset_ms
        yield begin_ms, begin_ms + span_ms
