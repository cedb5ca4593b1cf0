"""What is constant for one meter under one parameter set, prepared once.

A MeterPlan knows the meter's channels, the certificates bound to them and every moment at which the answer of
calibration.py changes. Between two such moments a Piece holds the answer: the findings that every message
has, and the integers with which its readings are compared.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from meter_gateway.model import Finding
from meter_gateway.traceability import calibration
from meter_gateway.traceability.calibration import BEGINNING_MS, END_MS, Bound
from meter_gateway.traceability.certificate import VerificationResult
from meter_gateway.traceability.clock import Span
from meter_gateway.traceability.findings import finding, in_order
from meter_gateway.traceability.operating_point import Limits, RateLimits, range_check
from meter_gateway.traceability.parameters import Channel, ParameterSet
from meter_gateway.traceability.row_rules import RowRule
from meter_protocol import fields as f

REGISTER_LENGTH = 2
_MAX_MERGED = 1024
_NO_LIMIT = 1 << 63


class Fact(Protocol):
    """Something known about a channel that is constant between moments, such as what its comparisons found."""

    def changes(self) -> Iterable[int]: ...

    def codes(self, start_ms: int, end_ms: int) -> Sequence[str]: ...


class Column(NamedTuple):
    """How the readings of one channel are judged: `length` is that of a good reading (SPEC §5.1)."""

    channel: int
    length: int
    increase: RateLimits | None
    """For a register whose operating point is its own mean rate."""


class Piece:
    """A span of time in which the findings about calibration are constant."""

    __slots__ = ("_merged", "columns", "findings", "high_ms", "low_ms", "max_jitter_ms", "ranges")

    def __init__(
        self,
        span: Span,
        findings: Sequence[Finding],
        columns: tuple[Column, ...],
        ranges: tuple[tuple[int, Limits], ...],
        max_jitter_ms: int = _NO_LIMIT,
    ) -> None:
        self.low_ms, self.high_ms = span
        self.findings = tuple(findings)
        self.columns = columns
        self.ranges = ranges
        self.max_jitter_ms = max_jitter_ms
        self._merged: dict[tuple[Finding, ...], tuple[Finding, ...]] = {}

    def with_findings(self, more: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """The piece's findings and `more`, in order; the same objects again for the same `more`."""
        merged = self._merged.get(more)
        if merged is None:
            if len(self._merged) >= _MAX_MERGED:
                self._merged.clear()
            merged = self._merged[more] = in_order([*self.findings, *more])
        return merged


UNJUDGED = Piece(Span(BEGINNING_MS, END_MS), (), (), ())
"""Where no parameter set is known: nothing about instruments can be said."""


class MeterPlan:
    def __init__(
        self,
        parameters: ParameterSet | None,
        bounds: Mapping[int, Sequence[Bound]],
        codes: Sequence[str],
        max_jitter_ms: int | None = None,
        facts: Mapping[int, Sequence[Fact]] | None = None,
        rules: tuple[RowRule, ...] = (),
        findings: tuple[Finding, ...] = (),
    ) -> None:
        """`bounds` and `facts` by channel; `codes` are the findings about the parameter set itself.

        `rules` judge the readings beyond their certificates; `findings` are of every message, whatever it says.

        A sample later than its period stands in another's place; `max_jitter_ms` may ask for more than that.
        """
        channels = parameters.channels if parameters is not None else ()
        self.is_known = parameters is not None
        self.codes = tuple(codes)
        self.rules = rules
        self.findings = findings
        period_ms = _NO_LIMIT if parameters is None else parameters.sample_period_ms
        self.max_jitter_ms = min(period_ms, _NO_LIMIT if max_jitter_ms is None else max_jitter_ms)
        self.channels = {channel.id: channel for channel in channels}
        self._bounds = bounds
        self._facts = facts or {}
        timed = [*bounds.values(), *self._facts.values()]
        self._changes = sorted({at_ms for group in timed for each in group for at_ms in each.changes()})
        self._pieces: dict[int, Piece] = {}
        self.timeless = self._make(None, self.channels)
        """For readings without a time: they are compared with each other, and no certificate can be asked."""

        self.recent = self.timeless

    def piece(self, span: Span | None) -> Piece:
        if span is None:
            return self.timeless
        constant = calibration.constant_span(self._changes, span.start_ms, span.end_ms)
        if constant is None:
            return self._make(span, self.channels)
        piece = self._pieces.get(constant[0])
        if piece is None:
            piece = self._pieces[constant[0]] = self._make(Span(*constant), self.channels)
        self.recent = piece
        return piece

    def piece_of_outage(self, span: Span | None, channels: Container[int]) -> Piece:
        """For a message that is about some registers over a time in which they could not be read."""
        return self._make(span, channels, is_outage=True)

    def _make(self, span: Span | None, channels: Container[int], is_outage: bool = False) -> Piece:
        findings: list[Finding] = []
        columns = []
        ranges = []
        for channel in self.channels.values():
            if channel.id not in channels:
                continue
            limits = None
            if span is not None:
                codes, limits = self._judge(channel, span, is_outage)
                findings.extend(finding(code, channel.id) for code in codes)
                facts = self._facts.get(channel.id, ())
                known = [code for fact in facts for code in fact.codes(span.start_ms, span.end_ms)]
                findings.extend(finding(code, channel.id) for code in known)
            if isinstance(limits, Limits):
                ranges.append((channel.id, limits))
            increase = limits if isinstance(limits, RateLimits) else None
            columns.append(Column(channel.id, _length(channel), increase))
        # No interval lies in a piece without a time, so that no other reading is taken for one of it.
        whole = span or Span(END_MS, BEGINNING_MS)
        return Piece(whole, findings, tuple(columns), tuple(ranges), self.max_jitter_ms)

    def _judge(
        self, channel: Channel, span: Span, is_outage: bool
    ) -> tuple[tuple[str, ...], Limits | RateLimits | None]:
        """Codes of the channel's certificate over the span, and what its operating point is held against."""
        answer = calibration.in_force(self._bounds.get(channel.id, ()), span.start_ms, span.end_ms)
        if answer.bound is None:
            return answer.codes, None
        result = answer.bound.result
        check = range_check(channel, self.channels, result, is_outage)
        from_class = ("from_class",) if isinstance(result, VerificationResult) else ()
        return from_class + answer.bound.certificate.findings + check.codes, check.limits


def _length(channel: Channel) -> int:
    if channel.kind == f.CHANNEL_REGISTER:
        return REGISTER_LENGTH
    return 7 if channel.extremes else 5
