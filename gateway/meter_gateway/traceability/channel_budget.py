"""The uncertainty budget of one channel as long as its calibration is constant (SPEC §8.7).

Sources, and what each is common to (metrology.sums says why that matters):

1. calibration: u of the error of indication at the operating point, interpolated between the certificate's points
   (metrology.error_curve), common to the certificate; or, from a verification, a class: rectangular with ±MPE (GUM
   4.3.7), common to the channel;
2. what the owner's terms say: drift, repeatability, influences, transformers (terms.py). Repeatability may be that
   of the last comparison that the instrument passed in this place: without one the uncertainty is not known;
3. resolution: an indication is rounded to a step, the instrument's last digit times the channel's ratio: ±half a
   step, rectangular (GUM F.2.2.1). Of a steady process a mean has no smaller one. An increase is the difference of
   two indications: triangular over ±one step.

Drift grows with the time since the calibration. It is taken at the end of the step of thirty days in which a
reading lies (`Bound.drift_days`), so that a budget is constant for so long and never says too little.

A budget is made of decimals that fit a record (budget_record.py), so that whoever reads the record back has the
same budget.
"""

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, ROUND_UP, Context, Decimal
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from meter_gateway.metrology.budget import Distribution
from meter_gateway.metrology.quantiles import CALIBRATION_K, degrees_of_freedom_of
from meter_gateway.traceability import units
from meter_gateway.traceability.calibration import Bound
from meter_gateway.traceability.certificate import CalibrationResult, Result, VerificationResult
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.terms import CLASS, REPEATABILITY, RESOLUTION, Contribution, KnownError, Terms
from meter_protocol import budgets as b
from meter_protocol import fields as f
from meter_protocol.quantities import Quantity
from meter_protocol.schema import MAX_CERTIFICATES

COVERAGE = Decimal("0.95")
MAX_POINTS = 1000
MAX_SOURCES = 64

_DIGITS = 18
"""A decimal of a record fits int64."""

_MAX_TEXT, _CUT = 200, 160
_YEAR_DAYS = Decimal("365.25")
_DIVISORS = {
    Distribution.NORMAL: 1.0,
    Distribution.RECTANGULAR: math.sqrt(3),
    Distribution.TRIANGULAR: math.sqrt(6),
    Distribution.U_SHAPED: math.sqrt(2),
}


class Unstated(Exception):
    """No budget can be made: a unit is not the quantity's, a repeatability is not known, or there is more than a
    record holds."""


@dataclass(frozen=True, slots=True)
class Source:
    """`value` is a standard uncertainty if normal, else a half-width; `common` as in a record."""

    name: str
    distribution: Distribution
    value: Decimal
    sensitivity: Decimal
    relative: bool
    degrees_of_freedom: Decimal | None
    common: int
    stated_by: str | None

    @property
    def standard_uncertainty(self) -> float:
        """In % of the reading if relative, else in the quantity's own unit, the sensitivity taken in."""
        return abs(float(self.value * self.sensitivity)) / _DIVISORS[self.distribution]

    @property
    def own_standard_uncertainty(self) -> float:
        """Without the sensitivity."""
        return abs(float(self.value)) / _DIVISORS[self.distribution]


@dataclass(frozen=True, slots=True)
class CalibratedPoint:
    """`reference` in the operating point's own unit; error and U in % of the reading or the quantity's unit."""

    reference: Decimal
    error: Decimal
    expanded_uncertainty: Decimal
    k: Decimal

    @property
    def standard_uncertainty(self) -> Decimal:
        return self.expanded_uncertainty / self.k

    @property
    def degrees_of_freedom(self) -> float:
        """Those that the certificate's k stands for."""
        return degrees_of_freedom_of(float(self.k))


@dataclass(frozen=True, slots=True)
class ChannelBudget:
    channel: int
    quantity: Quantity
    exponent: int
    is_increase: bool
    certificates: tuple[str, ...]
    document: bytes | None
    operating_point: int | None
    point_exponent: int
    points: tuple[CalibratedPoint, ...]
    points_relative: bool
    sources: tuple[Source, ...]
    known_error: KnownError
    target: Decimal | None
    target_relative: bool
    coverage: Decimal = COVERAGE

    @property
    def calibration_degrees_of_freedom(self) -> float:
        """The fewest behind any of the points, at all of them and between."""
        return min((point.degrees_of_freedom for point in self.points), default=math.inf)


def of_channel(
    channel: Channel,
    source: Channel | None,
    bound: Bound,
    end_ms: int,
) -> ChannelBudget:
    """The budget under a certificate in force, for readings until `end_ms`; `source` is the channel of the
    operating point, None if it is the register's own rate. Raises Unstated."""
    result, terms, quantity = bound.result, bound.terms, channel.quantity
    if quantity is None:
        raise Unstated
    certificates = _certificates(bound, terms)
    points, points_relative = points_of(result)
    sources = [*_of_class(result), *_of_terms(bound, quantity, certificates, end_ms)]
    sources.append(_resolution(channel))
    if len(sources) > MAX_SOURCES:
        raise Unstated
    target, target_relative = None, False
    if terms.target is not None:
        target, target_relative = _in_own_unit(terms.target.expanded_uncertainty, terms.target.unit, quantity)
    return ChannelBudget(
        channel=channel.id,
        quantity=quantity,
        exponent=channel.exponent,
        is_increase=channel.kind == f.CHANNEL_REGISTER,
        certificates=certificates,
        document=bound.certificate.document_sha256 or bound.certificate.scan_sha256,
        operating_point=None if source is None or source.id == channel.id else source.id,
        point_exponent=channel.exponent if source is None else source.exponent,
        points=points,
        points_relative=points_relative,
        sources=tuple(sources),
        known_error=terms.known_error,
        target=target,
        target_relative=target_relative,
    )


class InPlace(NamedTuple):
    """√((percent/100·v)² + absolute²) is a standard uncertainty of the value v."""

    percent: float
    absolute: float


NOTHING_MORE = InPlace(0.0, 0.0)


def in_place(bound: Bound, quantity: Quantity, end_ms: int, shared: Collection[str] = ()) -> InPlace:
    """What the owner's terms say of the instrument besides its certificate, but for what scatters: a comparison
    shows that itself. Raises Unstated.

    `shared` are certificates of what stands before both instruments, such as one transformer: in the difference of
    the two it is not.
    """
    terms = tuple(
        each for each in bound.terms.contributions if not each.is_random and each.certificate not in shared
    )
    bound = replace(bound, terms=Terms(terms))
    sources = list(_of_terms(bound, quantity, _certificates(bound, bound.terms), end_ms))
    percent, absolute = (
        math.hypot(*(each.standard_uncertainty for each in sources if each.relative is is_relative))
        for is_relative in (True, False)
    )
    return InPlace(percent, absolute)


def _certificates(bound: Bound, terms: Terms) -> tuple[str, ...]:
    named = [bound.certificate.identifier]
    named += [each.certificate for each in terms.contributions if each.certificate is not None]
    found = tuple(dict.fromkeys(map(_text, named)))
    if len(found) > MAX_CERTIFICATES:
        raise Unstated
    return found


def points_of(result: Result) -> tuple[tuple[CalibratedPoint, ...], bool]:
    """In ascending order, and whether errors are in % of the value; none of a verification. Raises Unstated."""
    if isinstance(result, VerificationResult):
        return (), True
    scale = units.factor(result.axis.unit, result.axis.quantity)
    _, relative = _in_own_unit(Decimal(1), result.error_unit, result.quantity)
    if scale is None or not result.points or len(result.points) > MAX_POINTS:
        raise Unstated
    points = sorted(_made_points(result, scale), key=_reference)
    return tuple(_one_of(list(same)) for _, same in groupby(points, key=_reference)), relative


def largest_k(points: Iterable[CalibratedPoint]) -> float:
    """By which u of any of the points is at least the U that the certificate states; 2 or more."""
    return max(CALIBRATION_K, *(float(point.k) for point in points))


_reference = attrgetter("reference")


def _one_of(points: Sequence[CalibratedPoint]) -> CalibratedPoint:
    """Points at one reference, of a run up and down or repeated: their mean error, with half its range as a
    rectangular contribution beside the largest u (GUM 4.3.7; DKD-R 6-1 of a hysteresis)."""
    if len(points) == 1:
        return points[0]
    errors = [point.error for point in points]
    half_range = (max(errors) - min(errors)) / 2
    k = max(point.k for point in points)
    u = max(point.standard_uncertainty for point in points)
    expanded = k * (u * u + half_range * half_range / 3).sqrt()
    return CalibratedPoint(
        points[0].reference, _fitting(sum(errors, Decimal(0)) / len(errors)), _upwards(expanded), k
    )


def _made_points(result: CalibrationResult, scale: Decimal) -> Iterator[CalibratedPoint]:
    for point in result.points:
        error, _ = _in_own_unit(point.error, result.error_unit, result.quantity)
        u, _ = _in_own_unit(point.expanded_uncertainty, result.error_unit, result.quantity)
        yield CalibratedPoint(_fitting(point.reference * scale), _fitting(error), _upwards(u), _fitting(point.k))


def _of_class(result: Result) -> Iterator[Source]:
    if isinstance(result, VerificationResult):
        half_width = _upwards(result.contribution.half_width_percent)
        named = f"{result.mpe_table} {result.accuracy_class}"
        yield _source(CLASS, Distribution.RECTANGULAR, half_width, b.COMMON_TO_CHANNEL, True, _text(named))


def _of_terms(bound: Bound, quantity: Quantity, certificates: Sequence[str], end_ms: int) -> Iterator[Source]:
    for each in bound.terms.contributions:
        value, relative = _in_own_unit(each.value, each.unit, quantity)
        if each.per_year:
            value = value * bound.drifting(each.certificate).drift_days(end_ms) / _YEAR_DAYS
        nu = None if each.degrees_of_freedom is None else _fitting(each.degrees_of_freedom)
        yield Source(
            _text(each.source),
            each.distribution,
            _upwards(value),
            _fitting(each.sensitivity),
            relative,
            nu,
            _common(each, certificates),
            _text(each.stated_by),
        )
    if bound.terms.repeatability_compared:
        yield _compared(bound, end_ms)


def _compared(bound: Bound, end_ms: int) -> Source:
    """The repeatability that readings until `end_ms` have, by the last run that was over before."""
    known = [each for each in bound.repeatability if each.since_ms < end_ms]
    if not known:
        raise Unstated
    found = known[-1]
    return Source(
        REPEATABILITY,
        Distribution.NORMAL,
        _upwards(found.percent),
        Decimal(1),
        True,
        Decimal(found.degrees_of_freedom),
        b.COMMON_TO_NOTHING,
        f"comparison {found.run}",
    )


def _common(contribution: Contribution, certificates: Sequence[str]) -> int:
    if contribution.certificate is not None:
        return b.FIRST_CERTIFICATE + certificates.index(_text(contribution.certificate))
    return b.COMMON_TO_NOTHING if contribution.is_random else b.COMMON_TO_CHANNEL


def _resolution(channel: Channel) -> Source:
    step = Decimal(channel.ratio).scaleb(channel.exponent)
    if channel.kind == f.CHANNEL_REGISTER:
        value, shape = step, Distribution.TRIANGULAR
    else:
        value, shape = step * Decimal("0.5"), Distribution.RECTANGULAR
    return _source(RESOLUTION, shape, _upwards(value), b.COMMON_TO_RESOLUTION, False, None)


def _source(
    name: str, shape: Distribution, value: Decimal, common: int, relative: bool, stated_by: str | None
) -> Source:
    return Source(name, shape, value, Decimal(1), relative, None, common, stated_by)


def _in_own_unit(value: Decimal, unit: str, quantity: Quantity) -> tuple[Decimal, bool]:
    """In the quantity's own unit; or as it is, and True, if it is in % of the reading."""
    if unit == "%" and quantity.ucum != "%":
        return value, True
    scale = units.factor(unit, quantity)
    if scale is None:
        raise Unstated
    return value * scale, False


_NEAREST, _UP = Context(_DIGITS, ROUND_HALF_EVEN), Context(_DIGITS, ROUND_UP)


def _fitting(value: Decimal) -> Decimal:
    return _NEAREST.plus(value)


def _upwards(value: Decimal) -> Decimal:
    """Away from zero, so that no uncertainty is understated by it."""
    return _UP.plus(value)


def _text(value: str) -> str:
    """Of what is too long the beginning, and a digest that keeps it apart from others."""
    octets = value.encode()
    if len(octets) <= _MAX_TEXT:
        return value
    return octets[:_CUT].decode(errors="ignore") + "… " + hashlib.sha256(octets).hexdigest()[:16]
