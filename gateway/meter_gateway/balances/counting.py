"""What a register counted in each span of time, from the totals of one chain, in the chain's order.

1. Two totals that follow each other, of one scale, say what was counted between their two moments. A total whose
   reading says that the register was discontinuous, one of another scale, a lower one and one of an earlier
   moment begin anew. A reading without a total says nothing, and the next total speaks for its time too; so does
   a second total of one moment.
2. What was counted between two moments of one span is the span's. Across a border it is spread evenly over the
   time, and the most by which that may be wrong is the doubt: how it was spread is not known. So an outage inside
   a day is exact for the day and next to nothing for its hours.
3. The times are kept with it: a span is only known where they cover it without a gap and nothing twice
   (outcomes.py).

A chain is only ever judged in its order, so all this follows from the messages, whatever the order in which they
came. A meter that is barred counts on: the bar is a finding of its own, and none about what its register counted.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import cbor2

from meter_gateway.model import Verified
from meter_gateway.traceability import parameters
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.plant_balance import MAX_SPANS, Interval, has_register, interval_of
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t

RULES = 1
"""Counts up where the same messages give other numbers than before: everything is counted anew then."""

MAX_PIECES = 32
"""Of one span and chain: a register that begins anew more often is not known there."""

Watched = Mapping[int, Collection[int]]
"""The lengths of the spans (ms) in which a channel's register is counted."""


@dataclass(slots=True)
class Counted:
    """One register in one span, as one chain says it; `amount` and `doubt` in units of 10^exponent `unit`.

    Readings that touch the span lie between the two sequences.
    """

    first_sequence: int
    last_sequence: int
    unit: str | None = None
    exponent: int = 0
    step: int = 0
    """In the same units: what the register's last digit is worth."""

    amount: Fraction | int = 0
    doubt: Fraction | int = 0
    pieces: list[list[int]] | None = field(default_factory=list)
    """[from_ms, to_ms] of what is known, in the chain's order; None if the register says two things at once."""

    def declare(self, channel: Channel) -> bool:
        """Whether what this channel counts can be added."""
        unit = None if channel.quantity is None else channel.quantity.ucum
        if self.unit is None:
            self.unit, self.exponent, self.step = unit, channel.exponent, channel.ratio
        elif (unit, channel.exponent, channel.ratio) != (self.unit, self.exponent, self.step):
            self.pieces = None
        return self.pieces is not None

    def add(self, begin_ms: int, end_ms: int, amount: Fraction | int, doubt: Fraction | int) -> None:
        if self.pieces is None:
            return
        self.amount += amount
        if doubt:
            self.doubt += doubt
        if self.pieces and self.pieces[-1][1] == begin_ms:
            self.pieces[-1][1] = end_ms
        elif len(self.pieces) < MAX_PIECES:
            self.pieces.append([begin_ms, end_ms])
        else:
            self.pieces = None

    def dumps(self) -> bytes:
        ratios = [*self.amount.as_integer_ratio(), *self.doubt.as_integer_ratio()]
        place = [self.first_sequence, self.last_sequence, self.unit, self.exponent, self.step]
        return cbor2.dumps([*place, *ratios, self.pieces])

    @classmethod
    def loads(cls, stored: bytes) -> "Counted":
        first, last, unit, exponent, step, *ratios, pieces = cbor2.loads(stored)
        amount, doubt = (n if d == 1 else Fraction(n, d) for n, d in (ratios[:2], ratios[2:]))
        return cls(first, last, unit, exponent, step, amount, doubt, pieces)


SpanOf = Callable[[int, int, int, int], Counted]
"""(channel, span_ms, number of the span, sequence of the message) -> what is known so far, to be added to."""


class ChainCount:
    """Goes along one chain: `take` each of its messages, in order."""

    def __init__(self, watched: Watched, utc_offset_minutes: int, stored: bytes | None = None) -> None:
        """`stored`: as `dumps` gave it, to go on with."""
        self._watched = watched
        self._offset_ms = utc_offset_minutes * 60_000
        self._parameter_set: bytes | None = None
        self._last: dict[int, list[Any]] = {}
        """[scale, at_ms, total] of the last total of each watched channel."""

        if stored is not None:
            self._parameter_set, self._last = cbor2.loads(stored)
        self._channels = self._declared()

    def dumps(self) -> bytes:
        return cbor2.dumps([self._parameter_set, self._last])

    def take(self, message: Verified, span_of: SpanOf) -> None:
        fields = message.fields
        if message.typ == t.EVENT and fields[f.EVENT_CODE] == ev.PARAMETERS_APPLIED:
            self._parameter_set = fields[f.DETAILS][ev.PARAMETER_SET]
            self._channels = self._declared()
            self._last = {
                channel: last
                for channel, last in self._last.items()
                if channel in self._channels and list(self._channels[channel].scale) == last[0]
            }
        interval = interval_of(message)
        if interval is None:
            return
        for channel, lengths in self._watched.items():
            if not has_register(message, channel):
                continue
            declared = self._channels.get(channel)
            for span_ms in lengths:
                self._note(interval, fields[f.SEQUENCE], channel, span_ms, span_of)
            if declared is not None:
                self._count(fields, declared, lengths, span_of)

    def _note(self, interval: Interval, sequence: int, channel: int, span_ms: int, span_of: SpanOf) -> None:
        """That this reading touches the span, whatever its register says."""
        if interval.is_about(span_ms):
            first, last = (
                (at_ms + self._offset_ms) // span_ms for at_ms in (interval.start_ms, interval.end_ms - 1)
            )
            for number in range(first, last + 1):
                span_of(channel, span_ms, number, sequence)

    def _count(self, fields: dict[int, Any], channel: Channel, lengths: Collection[int], span_of: SpanOf) -> None:
        status, total = fields[f.READINGS][channel.id][:2]
        if total is None:
            return
        at_ms, scale = fields[f.TIME_MS], list(channel.scale)
        last = self._last.get(channel.id)
        is_anew = last is None or status & f.STATUS_DISCONTINUITY or total < last[2]
        if last is not None and not is_anew and at_ms == last[1]:
            return
        self._last[channel.id] = [scale, at_ms, total]
        if last is None or is_anew:
            return
        _, from_ms, before = last
        for span_ms in lengths:
            if 0 < at_ms - from_ms <= MAX_SPANS * span_ms:
                self._spread(fields[f.SEQUENCE], channel, (from_ms, at_ms), total - before, span_ms, span_of)

    def _spread(
        self, sequence: int, channel: Channel, over: tuple[int, int], amount: int, span_ms: int, span_of: SpanOf
    ) -> None:
        begin_ms, until_ms = over
        whole_ms = until_ms - begin_ms
        while begin_ms < until_ms:
            number = (begin_ms + self._offset_ms) // span_ms
            end_ms = min(until_ms, (number + 1) * span_ms - self._offset_ms)
            counted = span_of(channel.id, span_ms, number, sequence)
            if counted.declare(channel):
                if end_ms - begin_ms == whole_ms:
                    counted.add(begin_ms, end_ms, amount, 0)
                else:
                    part = Fraction(amount * (end_ms - begin_ms), whole_ms)
                    counted.add(begin_ms, end_ms, part, max(part, amount - part))
            begin_ms = end_ms

    def _declared(self) -> dict[int, Channel]:
        """The watched channels that are registers of a known quantity."""
        known = None if self._parameter_set is None else parameters.decode(self._parameter_set)
        return {
            channel.id: channel
            for channel in (() if known is None else known.channels)
            if channel.id in self._watched and channel.kind == f.CHANNEL_REGISTER and channel.quantity is not None
        }
