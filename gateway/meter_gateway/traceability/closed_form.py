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
finite ν, and else never less than U = t_p(ν_eff)·u_c. U itself would not do: by Welch and Satterthwaite a wider
source of infinite ν raises ν_eff and may lower U, so that a worse instrument could pass where a better one does
not.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from math import ceil, inf, sqrt

from meter_gateway.metrology.budget import truncate
from meter_gateway.metrology.quantiles import t_factor
from meter_gateway.traceability import cbor_rows
from meter_gateway.traceability.channel_budget import ChannelBudget, Source, Unstated
from meter_gateway.traceability.rows import Integers
from meter_gateway.traceability.terms import KnownError
from meter_protocol import budgets as b

Coefficients = tuple[float, float]
"""(r, a) of √((r·v)² + a²)."""

_THOUSANDTHS, _PERCENT = 3, 2
_LARGEST = float(1 << 62)
_VALUES = range(1 << 62)
_FIRST_PARTS = (b.COMMON_TO_CHANNEL, b.COMMON_TO_NOTHING, b.COMMON_TO_RESOLUTION)
"""What the parts of an entry are common to, before the certificates."""

_OWN_CERTIFICATE = len(_FIRST_PARTS)
_ROUNDING = 1 + 1e-12
"""More than the few roundings by which two ways to the same sum may differ."""


class ClosedForm:
    """Prepared once for each budget. Values are mantissas of the channel's exponent, without a sign; operating
    points are mantissas of `point_exponent`. Raises Unstated if the parts of no value fit an entry."""

    __slots__ = (
        "_closed",
        "_curve",
        "_errors",
        "_expanded",
        "_flat",
        "_k",
        "_layout",
        "_parts",
        "_relative",
        "_sure_from",
        "_sure_to",
        "_target",
        "_worst",
        "budget",
        "high",
        "largest",
        "low",
    )

    def __init__(self, budget: ChannelBudget) -> None:
        self.budget = budget
        p = float(budget.coverage)
        commons = [*_FIRST_PARTS, *range(b.FIRST_CERTIFICATE, b.FIRST_CERTIFICATE + len(budget.certificates))]
        self._parts = [
            self._coefficients((source, 1.0) for source in budget.sources if source.common == common)
            for common in commons
        ]
        self._expanded = self._coefficients((source, _k_of(source, p)) for source in budget.sources)
        self._k = t_factor(p, budget.calibration_degrees_of_freedom)
        self._relative = budget.points_relative
        scale = self._scale(budget.points_relative)
        at = [float(point.reference.scaleb(-budget.point_exponent)) for point in budget.points]
        if any(one >= other for one, other in pairwise(at)):
            raise Unstated
        self._curve = Curve(at, [float(point.standard_uncertainty.scaleb(scale)) for point in budget.points])
        self._errors = Curve(at, [float(point.error.scaleb(scale)) for point in budget.points])
        target = budget.target
        self._target = None if target is None else float(target.scaleb(self._scale(budget.target_relative)))
        self._worst = self._worst_expanded()
        """(r, a, e_r, e_a) of √((r·v)² + a²) + e_r·v + e_a, which is never less than `expanded`."""

        self._sure_from, self._sure_to = (0, 0) if self._target is None else self._sure()
        self._flat = self._flat_certificate()
        """Coefficients of the own certificate's part, if u is the same at every point."""

        self._closed: list[Coefficients | None] = [*self._parts]
        """Coefficients of each part; None of one that follows the operating point."""

        if self._curve.at:
            self._closed[_OWN_CERTIFICATE] = self._flat
        self.low, self.high = self._curve.low, self._curve.high
        """The first and the last calibrated point; infinite where any point does."""

        self.largest = self._largest()
        """Beyond this value parts would not fit."""

        self._layout = self._lay_out()

    @property
    def needs_point(self) -> bool:
        return bool(self._curve.at)

    @property
    def varies_with_point(self) -> bool:
        """Whether the parts of a reading depend on its operating point."""
        return None in self._closed

    def entry(self, value: int, point: float) -> bytes:
        """Encoded as in SPEC §8.2, key 17; of a reading up to `largest` at a point from `low` to `high`."""
        return b"".join(
            [
                piece if isinstance(piece, bytes) else cbor_rows.uint(self._part(piece, value, point))
                for piece in self._layout
            ]
        )

    def entries(self, values: Integers, points: Sequence[float]) -> list[bytes | Integers]:
        """The same of many readings, in parts (cbor_rows.py). `points` may be empty unless `varies_with_point`."""
        return [
            piece if isinstance(piece, bytes) else self._column(piece, values, points) for piece in self._layout
        ]

    def parts(self, value: int, point: float) -> list[float]:
        """In the order of an entry, in thousandths of the last digit, not rounded."""
        found = [_root(r * value, a) for r, a in self._parts]
        if self._curve.at:
            found[_OWN_CERTIFICATE] = self._of_certificate(value, point)
        return found

    def error(self, value: int, point: float) -> float:
        """The error of indication, in thousandths of the last digit; 0 where only a class is known."""
        if not self._errors.at:
            return 0.0
        error = self._errors.value(point)
        return error * value if self._relative else error

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

    def meets_target(self, least: int, most: int) -> bool:
        """True if no value from `least` to `most` is above the target at any point; False leaves it to
        `is_above_target`."""
        return self._target is None or (self._sure_from <= least and most <= self._sure_to)

    def _calibration(self, value: int, point: float) -> float:
        u = self._curve.value(point)
        return u * value if self._relative else u

    def _of_certificate(self, value: int, point: float) -> float:
        if self._flat is not None:
            r, a = self._flat
            return _root(r * value, a)
        r, a = self._parts[_OWN_CERTIFICATE]
        return _root(self._calibration(value, point), _root(r * value, a))

    def _part(self, place: int, value: int, point: float) -> int:
        """The part in that place of an entry."""
        closed = self._closed[place]
        if closed is None:
            return ceil(self._of_certificate(value, point))
        r, a = closed
        return ceil(_root(r * value, a))

    def _column(self, place: int, values: Integers, points: Sequence[float]) -> Integers:
        """The part in that place of each entry."""
        closed = self._closed[place]
        if closed is None:
            pairs = zip(values.values, points, strict=True)
            return _integers([ceil(self._of_certificate(value, point)) for value, point in pairs])
        r, a = closed
        if a:
            return _integers([ceil(_root(r * value, a)) for value in values.values])
        # A product grows with the value, and so does what it is rounded to.
        return Integers(
            [ceil(r * value) for value in values.values], ceil(r * values.least), ceil(r * values.most)
        )

    # Made once

    def _worst_expanded(self) -> tuple[float, float, float, float]:
        r, a = self._expanded
        u = self._k * max(self._curve.ys, default=0.0)
        is_carried = self.budget.known_error is KnownError.CARRIED
        error = max(map(abs, self._errors.ys), default=0.0) if is_carried else 0.0
        if self._relative:
            return _root(r, u), a, error, 0.0
        return r, _root(a, u), 0.0, error

    def _sure(self) -> tuple[int, int]:
        """The first and the last value that is not above the target, whatever its point.

        What is held against the target grows with the value and falls in % of it, so that there is one limit.
        """
        if self.budget.target_relative:
            return bisect_left(_VALUES, True, key=self._is_sure), _VALUES.stop
        return 0, bisect_left(_VALUES, True, key=lambda value: not self._is_sure(value)) - 1

    def _is_sure(self, value: int) -> bool:
        r, a, e_r, e_a = self._worst
        worst = _root(r * value, a) + e_r * value + e_a
        return worst * _ROUNDING <= (self._target or 0.0) * (value if self.budget.target_relative else 1)

    def _flat_certificate(self) -> Coefficients | None:
        r, a = self._parts[_OWN_CERTIFICATE]
        u = self._curve.flat
        if u is None:
            return None
        return (_root(u, r), a) if self._relative else (r, _root(u, a))

    def _lay_out(self) -> list[bytes | int]:
        """An entry in pieces: what is the same in all, encoded, and the places of the parts that differ."""
        head = bytes((0x81 + len(self._parts),)) + cbor_rows.uint(self.budget.channel)
        pieces: list[bytes | int] = [head]
        for place, closed in enumerate(self._closed):
            r, a = closed or (1.0, 0.0)
            last = pieces[-1]
            if r:
                pieces.append(place)
            elif isinstance(last, bytes):
                pieces[-1] = last + cbor_rows.uint(ceil(a))
            else:
                pieces.append(cbor_rows.uint(ceil(a)))
        return pieces

    def _coefficients(self, sources: Iterable[tuple[Source, float]]) -> Coefficients:
        """Of sources that are independent of each other, each times its factor."""
        relative = absolute = 0.0
        for source, factor in sources:
            u = factor * source.standard_uncertainty
            if source.relative:
                relative += u * u
            else:
                absolute += u * u
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
        pairs = pairwise(zip(at, ys, strict=True))
        self._slopes = [(y_1 - y_0) / (x_1 - x_0) for (x_0, y_0), (x_1, y_1) in pairs]
        # At the last point itself there is no line to follow.
        self._slopes.append(0.0)

    def value(self, x: float) -> float:
        place = bisect_right(self.at, x) - 1
        return self.ys[place] + (x - self.at[place]) * self._slopes[place]


def _k_of(source: Source, p: float) -> float:
    nu = source.degrees_of_freedom
    return t_factor(p, inf if nu is None else truncate(float(nu)))


def _integers(values: Sequence[int]) -> Integers:
    return Integers(values, min(values), max(values))


def _root(one: float, other: float) -> float:
    if not other:
        return one
    return sqrt(one * one + other * other) if one else other
