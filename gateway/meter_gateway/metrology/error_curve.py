"""The error of indication between calibrated points, and what to do with an error that is known.

Between two points the error is interpolated linearly. The points were calibrated with one standard in one set-up,
so their uncertainties are taken as fully correlated and interpolate linearly too: u(e) = (1-w)·u_1 + w·u_2, the
largest that any correlation allows (GUM 5.2.2 with r = 1). Nothing is extrapolated.

A known error is corrected, -e being the correction (GUM 3.2.3): at the operating point, or by one mean correction
over a range, whose variation over that range is then part of the uncertainty (F.2.4.5). Carrying the error by
widening U to U + |e| is a practice that F.2.4.5 describes and 6.3.1 advises against; it is here for whoever must.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from meter_gateway.metrology.errors import MetrologyError, at_least, finite, not_negative


@dataclass(frozen=True, slots=True)
class ErrorPoint:
    """Error of indication at a reference value, with its standard uncertainty u = U/k."""

    reference: float
    error: float
    standard_uncertainty: float

    def __post_init__(self) -> None:
        finite(self.reference, "a reference value")
        finite(self.error, "an error")
        not_negative(self.standard_uncertainty, "u of an error")


@dataclass(frozen=True, slots=True)
class MeanError:
    """One error for a whole range of operating points (GUM F.2.4.5)."""

    error: float
    u_variation: float
    """√(mean of (e - ē)²): how the errors differ over the range, eq. F.7b."""

    u_calibration: float
    """√(mean of u²(e)): how well each is known, eq. F.7c."""

    @property
    def standard_uncertainty(self) -> float:
        return math.hypot(self.u_variation, self.u_calibration)


class OutsideCalibratedRange(MetrologyError):
    """The point lies outside the calibrated points."""


class ErrorCurve:
    """Calibrated points in any order; no two at one reference value."""

    def __init__(self, points: Sequence[ErrorPoint]) -> None:
        at_least(len(points), 1, "calibrated points")
        self.points = tuple(sorted(points, key=lambda point: point.reference))
        self._references = [point.reference for point in self.points]
        if len(set(self._references)) != len(self.points):
            raise MetrologyError("two calibrated points have the same reference value")

    def at(self, value: float) -> ErrorPoint:
        """Raises OutsideCalibratedRange beyond the first and the last point."""
        if not self._references[0] <= value <= self._references[-1]:
            raise OutsideCalibratedRange(
                f"{value:g} is outside the calibrated range {self._references[0]:g} to {self._references[-1]:g}"
            )
        place = bisect_left(self._references, value)
        above = self.points[place]
        if above.reference == value:
            return above
        below = self.points[place - 1]
        w = (value - below.reference) / (above.reference - below.reference)
        return ErrorPoint(
            value,
            (1 - w) * below.error + w * above.error,
            (1 - w) * below.standard_uncertainty + w * above.standard_uncertainty,
        )

    def over(self, low: float, high: float) -> MeanError:
        """ē = ∫e/(t_2 - t_1) with its two variances (eq. F.7a to F.7c), exact for straight pieces.

        Raises OutsideCalibratedRange, or MetrologyError if `low` is not below `high`.
        """
        if not low < high:
            raise MetrologyError(f"the range must go up, not from {low} to {high}")
        inner = [point for point in self.points if low < point.reference < high]
        points = [self.at(low), *inner, self.at(high)]
        error = _mean_product(points, [1.0] * len(points), [point.error for point in points])
        apart = [point.error - error for point in points]
        known = [point.standard_uncertainty for point in points]
        return MeanError(
            error,
            math.sqrt(max(0.0, _mean_product(points, apart, apart))),
            math.sqrt(_mean_product(points, known, known)),
        )


def with_carried_error(expanded_uncertainty: float, error: float) -> float:
    """U + |e| for a known error that is not corrected (GUM F.2.4.5, first paragraph)."""
    return not_negative(expanded_uncertainty, "U") + abs(finite(error, "the error"))


def _mean_product(points: Sequence[ErrorPoint], f: Iterable[float], g: Iterable[float]) -> float:
    """Mean of f·g over the range, both straight between the points."""
    steps = pairwise(zip(points, f, g, strict=True))
    integral = math.fsum(
        (right.reference - left.reference) * (2 * f_0 * g_0 + f_0 * g_1 + f_1 * g_0 + 2 * f_1 * g_1) / 6
        for (left, f_0, g_0), (right, f_1, g_1) in steps
    )
    return integral / (points[-1].reference - points[0].reference)
