"""The uncertainty budget of one channel as long as its calibration is constant, as a record holds it (SPEC §8.7).

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

A budget is made of decimals that fit a record, so that whoever reads the record back has the same budget.
"""

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, ROUND_UP, Context, Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from meter_gateway.metrology.budget import Distribution
from meter_gateway.metrology.quantiles import degrees_of_freedom_of
from meter_gateway.model import BudgetRecord
from meter_gateway.traceability import units
from meter_gateway.traceability.calibration import Bound
from meter_gateway.traceability.certificate import CalibrationResult, Result, VerificationResult
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.terms import CLASS, REPEATABILITY, RESOLUTION, Contribution, KnownError, Terms
from meter_protocol import budgets as b
from meter_protocol import fields as f
from meter_protocol.quantities import BY_CODE, Quantity
from meter_protocol.schema import MAX_CERTIFICATES

COVERAGE = Decimal("0.95")
MAX_POINTS = 1000
MAX_SOURCES = 64

_DIGITS = 18
"""A decimal of a record fits int64."""

_MAX_TEXT, _CUT = 200, 160
_YEAR_DAYS = Decimal("365.25")
_DISTRIBUTIONS = {
    Distribution.NORMAL: b.NORMAL,
    Distribution.RECTANGULAR: b.RECTANGULAR,
    Distribution.TRIANGULAR: b.TRIANGULAR,
    Distribution.U_SHAPED: b.U_SHAPED,
}
_BY_CODE = {code: distribution for distribution, code in _DISTRIBUTIONS.items()}
_DIVISORS = {b.NORMAL: 1.0, b.RECTANGULAR: math.sqrt(3), b.TRIANGULAR: math.sqrt(6), b.U_SHAPED: math.sqrt(2)}
_KNOWN_ERRORS = {KnownError.CARRIED: b.CARRIED, KnownError.CORRECTED: b.CORRECTED}


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
        return abs(float(self.value * self.sensitivity)) / _DIVISORS[_DISTRIBUTIONS[self.distribution]]

    @property
    def own_standard_uncertainty(self) -> float:
        """Without the sensitivity."""
        return abs(float(self.value)) / _DIVISORS[_DISTRIBUTIONS[self.distribution]]


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
    points = sorted(_made_points(result, scale), key=lambda point: point.reference)
    if any(one.reference == other.reference for one, other in pairwise(points)):
        raise Unstated
    return tuple(points), relative


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


# As a record


def record(channels: Iterable[ChannelBudget]) -> BudgetRecord | None:
    """None if there is nothing to say."""
    entries = [_entry(each) for each in channels]
    if not entries:
        return None
    encoded = b.encode({b.VERSION: f.PROTOCOL_VERSION, b.CHANNELS: entries})
    return BudgetRecord(hashlib.sha256(encoded).digest(), encoded)


def from_record(encoded: bytes) -> dict[int, ChannelBudget]:
    """By channel. ProtocolError if it is no record."""
    return {entry[b.CHANNEL]: _read(entry) for entry in b.decode(encoded)[b.CHANNELS]}


def _entry(of: ChannelBudget) -> dict[int, Any]:
    return {
        b.CHANNEL: of.channel,
        b.QUANTITY: of.quantity.code,
        b.EXPONENT: of.exponent,
        b.IS_INCREASE: of.is_increase,
        b.CERTIFICATES: list(of.certificates),
        b.DOCUMENT: of.document,
        b.OPERATING_POINT: of.operating_point,
        b.POINT_EXPONENT: of.point_exponent,
        b.POINTS: [
            [_pair(each) for each in (point.reference, point.error, point.expanded_uncertainty, point.k)]
            for point in of.points
        ],
        b.POINTS_RELATIVE: of.points_relative,
        b.SOURCES: [_source_entry(source) for source in of.sources],
        b.COVERAGE: int(of.coverage * 10_000),
        b.KNOWN_ERROR: _KNOWN_ERRORS[of.known_error],
        b.TARGET: None if of.target is None else _pair(of.target),
        b.TARGET_RELATIVE: of.target_relative,
    }


def _source_entry(source: Source) -> dict[int, Any]:
    nu = source.degrees_of_freedom
    return {
        b.NAME: source.name,
        b.DISTRIBUTION: _DISTRIBUTIONS[source.distribution],
        b.VALUE: _pair(source.value),
        b.SENSITIVITY: _pair(source.sensitivity),
        b.RELATIVE: source.relative,
        b.DEGREES_OF_FREEDOM: None if nu is None else _pair(nu),
        b.COMMON: source.common,
        b.STATED_BY: source.stated_by,
    }


def _read(entry: dict[int, Any]) -> ChannelBudget:
    return ChannelBudget(
        channel=entry[b.CHANNEL],
        quantity=BY_CODE[entry[b.QUANTITY]],
        exponent=entry[b.EXPONENT],
        is_increase=entry[b.IS_INCREASE],
        certificates=tuple(entry[b.CERTIFICATES]),
        document=entry[b.DOCUMENT],
        operating_point=entry[b.OPERATING_POINT],
        point_exponent=entry[b.POINT_EXPONENT],
        points=tuple(CalibratedPoint(*map(_decimal, point)) for point in entry[b.POINTS]),
        points_relative=entry[b.POINTS_RELATIVE],
        sources=tuple(_read_source(source) for source in entry[b.SOURCES]),
        known_error=next(known for known, code in _KNOWN_ERRORS.items() if code == entry[b.KNOWN_ERROR]),
        target=None if entry[b.TARGET] is None else _decimal(entry[b.TARGET]),
        target_relative=entry[b.TARGET_RELATIVE],
        coverage=Decimal(entry[b.COVERAGE]) / 10_000,
    )


def _read_source(entry: dict[int, Any]) -> Source:
    nu = entry[b.DEGREES_OF_FREEDOM]
    return Source(
        entry[b.NAME],
        _BY_CODE[entry[b.DISTRIBUTION]],
        _decimal(entry[b.VALUE]),
        _decimal(entry[b.SENSITIVITY]),
        entry[b.RELATIVE],
        None if nu is None else _decimal(nu),
        entry[b.COMMON],
        entry[b.STATED_BY],
    )


def _pair(value: Decimal) -> list[int]:
    sign, digits, exponent = value.as_tuple()
    mantissa = int("".join(map(str, digits)) or "0")
    return [-mantissa if sign else mantissa, int(exponent)]


def _decimal(pair: Sequence[int]) -> Decimal:
    return Decimal(pair[0]).scaleb(pair[1])
