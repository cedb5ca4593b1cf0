"""What is constant for one meter under one parameter set, prepared once.

A MeterPlan knows the meter's channels, the certificates bound to them and every moment at which the answer of
calibration.py changes. Between two such moments a Piece holds the answer: the findings that every message
has, and the integers with which its readings are compared.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from meter_gateway.metrology.conformity import SIMPLE_ACCEPTANCE, DecisionRule
from meter_gateway.model import Finding
from meter_gateway.traceability import budget_record, calibration, channel_budget
from meter_gateway.traceability.calibration import BEGINNING_MS, END_MS, Bound
from meter_gateway.traceability.certificate import VerificationResult
from meter_gateway.traceability.channel_budget import Unstated
from meter_gateway.traceability.clock import Span
from meter_gateway.traceability.closed_form import ClosedForm
from meter_gateway.traceability.error_conformity import NOT_PROVEN, ErrorConformity
from meter_gateway.traceability.findings import finding, in_order
from meter_gateway.traceability.operating_point import (
    MS_PER_HOUR,
    Limits,
    RateLimits,
    own_rate,
    range_check,
    rated_limits,
)
from meter_gateway.traceability.parameters import Channel, ParameterSet
from meter_gateway.traceability.row_rules import RowRule
from meter_protocol import fields as f

REGISTER_LENGTH = 2
OUTSIDE_RATED, RATED_UNKNOWN = "outside_rated_conditions", "rated_conditions_unknown"
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


class Range(NamedTuple):
    """What a channel's operating point, or one of its rated conditions, is held against, and what is said then."""

    channel: int
    limits: Limits
    outside: str = "outside_calibrated_range"
    unknown: str = "operating_point_unknown"


class Stated(NamedTuple):
    """How the uncertainty of one channel's readings is stated. `source` is the channel of the operating point,
    None if it is the register's own rate, which is `rate`/ms times the increase, None if it is no value of the
    axis."""

    channel: int
    is_register: bool
    source: int | None
    rate: float | None
    step: int
    limits: Limits | RateLimits
    form: ClosedForm
    conformity: ErrorConformity | None


class Piece:
    """A span of time in which the findings about calibration are constant."""

    __slots__ = (
        "_merged",
        "budget",
        "columns",
        "findings",
        "high_ms",
        "low_ms",
        "max_jitter_ms",
        "ranges",
        "stated",
    )

    def __init__(
        self,
        span: Span,
        findings: Sequence[Finding],
        columns: tuple[Column, ...],
        ranges: tuple[Range, ...],
        max_jitter_ms: int = _NO_LIMIT,
        stated: tuple[Stated, ...] = (),
    ) -> None:
        self.low_ms, self.high_ms = span
        self.findings = tuple(findings)
        self.columns = columns
        self.ranges = ranges
        self.max_jitter_ms = max_jitter_ms
        self.stated = stated
        self.budget = budget_record.of(each.form.budget for each in stated)
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
        rule: DecisionRule = SIMPLE_ACCEPTANCE,
        facts: Mapping[int, Sequence[Fact]] | None = None,
        rules: tuple[RowRule, ...] = (),
        findings: tuple[Finding, ...] = (),
    ) -> None:
        """`bounds` and `facts` by channel; `codes` are the findings about the parameter set itself.

        `rule` decides whether calibrated errors are within the limits of a class.
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
        self._rule = rule
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
        columns: list[Column] = []
        ranges: list[Range] = []
        stated: list[Stated] = []
        for channel in self.channels.values():
            if channel.id not in channels:
                continue
            found = _NOTHING_KNOWN if span is None else self._judge(channel, span, is_outage)
            findings.extend(finding(code, channel.id) for code in found.codes)
            if span is not None:
                facts = self._facts.get(channel.id, ())
                known = [code for fact in facts for code in fact.codes(span.start_ms, span.end_ms)]
                findings.extend(finding(code, channel.id) for code in known)
            ranges.extend(found.ranges)
            if found.stated is not None:
                stated.append(found.stated)
            increase = found.limits if isinstance(found.limits, RateLimits) else None
            columns.append(Column(channel.id, _length(channel), increase))
        # No interval lies in a piece without a time, so that no other reading is taken for one of it.
        whole = span or Span(END_MS, BEGINNING_MS)
        return Piece(whole, findings, tuple(columns), tuple(ranges), self.max_jitter_ms, tuple(stated))

    def _judge(self, channel: Channel, span: Span, is_outage: bool) -> "_Known":
        """What the channel's certificate means over the span."""
        answer = calibration.in_force(self._bounds.get(channel.id, ()), span.start_ms, span.end_ms)
        bound = answer.bound
        if bound is None:
            return _Known(answer.codes)
        codes = ["from_class"] if isinstance(bound.result, VerificationResult) else []
        codes += (*bound.certificate.findings, *bound.standards)
        check = range_check(channel, self.channels, bound.result, is_outage)
        codes += check.codes
        ranges = [Range(channel.id, check.limits)] if isinstance(check.limits, Limits) else []
        for rated in bound.terms.rated if not is_outage else ():
            limits = rated_limits(self.channels.get(rated.channel), rated.minimum, rated.maximum)
            if limits is None:
                codes.append(RATED_UNKNOWN)
            else:
                ranges.append(Range(channel.id, limits, OUTSIDE_RATED, RATED_UNKNOWN))
        if check.limits is None:
            return _Known(tuple(codes), None, tuple(ranges))
        try:
            stated, code = self._state(channel, bound, check.limits, span.end_ms)
        except Unstated:
            stated, code = None, "uncertainty_unknown"
        if code is not None:
            codes.append(code)
        return _Known(tuple(codes), check.limits, tuple(ranges), stated)

    def _state(
        self, channel: Channel, bound: Bound, limits: Limits | RateLimits, end_ms: int
    ) -> tuple[Stated, str | None]:
        """How uncertainties are stated, and what holds of every reading's error."""
        source = self.channels[limits.source] if isinstance(limits, Limits) else None
        axis = bound.result.axis.quantity
        budget = channel_budget.of_channel(channel, source, bound, end_ms)
        form = ClosedForm(budget)
        is_register = channel.kind == f.CHANNEL_REGISTER
        rate = None
        if is_register and own_rate(channel, axis):
            rate = float(Decimal(MS_PER_HOUR).scaleb(channel.exponent - budget.point_exponent))
        conformity, code = None, None
        if bound.terms.requirement is not None and budget.points:
            over_itself = channel.quantity is axis
            conformity = ErrorConformity(budget, bound.terms.requirement, self._rule, over_itself)
            if not conformity.is_comparable:
                conformity, code = None, NOT_PROVEN
            elif conformity.always_conforms:
                conformity = None
        source_id = None if source is None else source.id
        step = channel.ratio if is_register else 0
        return Stated(channel.id, is_register, source_id, rate, step, limits, form, conformity), code


class _Known(NamedTuple):
    """Of one channel over a span: findings of every message, and what its readings are held against."""

    codes: tuple[str, ...] = ()
    limits: Limits | RateLimits | None = None
    ranges: tuple[Range, ...] = ()
    stated: Stated | None = None


_NOTHING_KNOWN = _Known()


def _length(channel: Channel) -> int:
    if channel.kind == f.CHANNEL_REGISTER:
        return REGISTER_LENGTH
    return 7 if channel.extremes else 5
