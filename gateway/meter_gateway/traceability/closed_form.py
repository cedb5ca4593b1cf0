"""A channel's budget in closed form: the parts of each reading's uncertainty by a few multiplications.

A part is what is common to one thing: the channel, nothing (random), the resolution, or one certificate. With v
the reading in its last digits it is √((r·v)² + a²) in thousandths of the last digit: r sums up the sources in %
of the reading, a those in the quantity's unit (GUM 5.2.2 eq. 16 without correlations). The part of the
instrument's certificate has u of the error of indication at the operating point in r or a, straight between two
calibrated points.

Only + - × ÷ and √ are used, which IEEE 754 rounds in one way: the same message has the same verdict on every
machine. The parts are rounded up to integers. `metrology.budget` and GTC give the same to 1e-9 before that, in
the tests.

Held against a target is √Σ(t_p(ν_i)·u_i)², each source expanded by itself. It is k·u_c where no source has a
finite ν, and never less than U = t_p(ν_eff)·u_c otherwise. U itself would not do: by Welch and Satterthwaite a
wider source of infinite ν raises ν_eff and may lower U, so that a worse instrument could pass where a better one
does not.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise, repeat
from math import ceil, inf, sqrt

from meter_gateway.metrology.budget import truncate
from meter_gateway.metrology.quantiles import t_factor
from meter_gateway.traceability.channel_budget import ChannelBudget, Source, Unstated
from meter_gateway.traceability.terms import KnownError
from meter_protocol import budgets as b

Entry = list[int]
"""[channel, common to it, random, resolution, then common to each certificate] (SPEC §8.2)."""

Coefficients = tuple[float, float]
"""(r, a) of √((r·v)² + a²)."""

_THOUSANDTHS, _PERCENT = 3, 2
_LARGEST = float(1 << 62)
_FIRST_PARTS = (b.COMMON_TO_CHANNEL, b.COMMON_TO_NOTHING, b.COMMON_TO_RESOLUTION)
"""What the parts of an entry are common to, before the certificates."""

_OWN_CERTIFICATE = len(_FIRST_PARTS)


class ClosedForm:
    """Prepared once for each budget. Values are mantissas of the channel's exponent, without a sign; operating
    points are mantissas of `point_exponent`. Raises Unstated if the parts of no value fit an entry."""

    __slots__ = ("_curve", "_errors", "_expanded", "_k", "_parts", "_relative", "_target", "budget", "largest")

    def __init__(self, budget: ChannelBudget) -> None:
        self.budget = budget
        p = float(budget.coverage)
        commons = [*_FIRST_PARTS, *range(b.FIRST_CERTIFICATE, b.FIRST_CERTIFICATE + len(budget.certificates))]
        self._parts = [
            self._coefficients((source, 1.0) for source in budget.sources if source.common == common)
            for common in commons
        ]
        self._expanded = self._coefficients((source, _k_of(source, p)) for source in budget.sources)
        self._k = t_factor(p, inf)
        self._relative = budget.points_relative
        scale = self._scale(budget.points_relative)
        at = [float(point.reference.scaleb(-budget.point_exponent)) for point in budget.points]
        if any(one >= other for one, other in pairwise(at)):
            raise Unstated
        self._curve = Curve(at, [float(point.standard_uncertainty.scaleb(scale)) for point in budget.points])
        self._errors = Curve(at, [float(point.error.scaleb(scale)) for point in budget.points])
        target = budget.target
        self._target = None if target is None else float(target.scaleb(self._scale(budget.target_relative)))
        self.largest = self._largest()
        """Beyond this value parts would not fit."""

    @property
    def low(self) -> float:
        """The first calibrated point; -inf where any point does."""
        return self._curve.low

    @property
    def high(self) -> float:
        return self._curve.high

    @property
    def needs_point(self) -> bool:
        return bool(self._curve.at)

    def entries(self, values: Sequence[int], points: Sequence[float]) -> list[Entry]:
        """Of readings up to `largest`, at operating points from `low` to `high`; points may be none if not
        needed."""
        columns: list[Iterable[int]] = [_column(part, values) for part in self._parts]
        if self._curve.at:
            columns[_OWN_CERTIFICATE] = self._column_of_certificate(values, points)
        return list(map(list, zip(repeat(self.budget.channel, len(values)), *columns, strict=False)))

    def parts(self, value: int, point: float) -> list[float]:
        """In the order of an entry, in thousandths of the last digit, not rounded."""
        found = [_root(r * value, a) for r, a in self._parts]
        if self._curve.at:
            found[_OWN_CERTIFICATE] = _root(self._calibration(value, point), found[_OWN_CERTIFICATE])
        return found

    def error(self, value: int, point: float) -> float:
        """The error of indication, in thousandths of the last digit; 0 where only a class is known."""
        if not self._errors.at:
            return 0.0
        error = self._errors.value(point)
        return error * value if self._relative else error

    @property
    def has_target(self) -> bool:
        return self._target is not None

    def expanded(self, value: int, point: float) -> float:
        """What is held against the target, with the error that nobody corrects (GUM F.2.4.5)."""
        r, a = self._expanded
        u = _root(r * value, a)
        if self._curve.at:
            u = _root(self._k * self._calibration(value, point), u)
        return u + abs(self.error(value, point)) if self.budget.known_error is KnownError.CARRIED else u

    def is_above_target(self, value: int, point: float) -> bool:
        if self._target is None:
            return False
        return self.expanded(value, point) > self._target * (value if self.budget.target_relative else 1)

    def _calibration(self, value: int, point: float) -> float:
        u = self._curve.value(point)
        return u * value if self._relative else u

    def _column_of_certificate(self, values: Sequence[int], points: Sequence[float]) -> Iterable[int]:
        r, a = self._parts[_OWN_CERTIFICATE]
        flat = self._curve.flat
        if flat is not None and not r and not a:
            return _column((flat, 0.0) if self._relative else (0.0, flat), values)
        u_at = self._curve.value
        if self._relative and not r and not a:
            return [ceil(u_at(point) * value) for value, point in zip(values, points, strict=True)]
        return [
            ceil(_root(self._calibration(value, point), _root(r * value, a)))
            for value, point in zip(values, points, strict=True)
        ]

    def _coefficients(self, sources: Iterable[tuple[Source, float]]) -> Coefficients:
        """Of sources that are independent of each other, each times its factor."""
        relative = absolute = 0.0
        for source, factor in sources:
            square = (factor * source.standard_uncertainty) * (factor * source.standard_uncertainty)
            if source.relative:
                relative += square
            else:
                absolute += square
        one = Decimal(1)
        return (
            sqrt(relative) * float(one.scaleb(self._scale(relative=True))),
            sqrt(absolute) * float(one.scaleb(self._scale(relative=False))),
        )

    def _scale(self, relative: bool) -> int:
        """Power of ten from % of the reading, or the quantity's unit, to thousandths of the last digit."""
        return _THOUSANDTHS - _PERCENT if relative else _THOUSANDTHS - self.budget.exponent

    def _largest(self) -> float:
        most = max(self._curve.ys, default=0.0)
        r = max(r for r, _ in self._parts) + (most if self._relative else 0.0)
        a = max(a for _, a in self._parts) + (0.0 if self._relative else most)
        if a > _LARGEST:
            raise Unstated
        return (_LARGEST - a) / r if r else inf


class Curve:
    """Straight lines between points; nothing outside them. Nothing at all if there are no points."""

    __slots__ = ("_slopes", "at", "flat", "high", "low", "ys")

    def __init__(self, at: list[float], ys: list[float]) -> None:
        self.at, self.ys = at, ys
        self.low, self.high = (at[0], at[-1]) if at else (-inf, inf)
        self.flat = ys[0] if len(set(ys)) == 1 else None
        self._slopes = [(y_1 - y_0) / (x_1 - x_0) for (x_0, y_0), (x_1, y_1) in pairwise(zip(at, ys, strict=True))]
        # At the last point itself there is no line to follow.
        self._slopes.append(0.0)

    def value(self, x: float) -> float:
        place = bisect_right(self.at, x) - 1
        return self.ys[place] + (x - self.at[place]) * self._slopes[place]


def _k_of(source: Source, p: float) -> float:
    nu = source.degrees_of_freedom
    return t_factor(p, inf if nu is None else truncate(float(nu)))


def _column(part: Coefficients, values: Sequence[int]) -> Iterable[int]:
    r, a = part
    if not r:
        return repeat(ceil(a))
    if not a:
        return [ceil(r * value) for value in values]
    return [ceil(_root(r * value, a)) for value in values]


def _root(one: float, other: float) -> float:
    if not other:
        return one
    return sqrt(one * one + other * other) if one else other
