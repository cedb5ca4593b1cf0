"""Are an instrument's errors of indication, as its calibration found them, within the limits of its class?

The error is the certificate's at the operating point of the reading, never the reading's own. It is held against
the MPE with the guard band of a decision rule (JCGM 106, 8; metrology.conformity) and U = k·u of the calibration:
k is the largest that the certificate states, at least 2.

Error and u are straight between calibrated points and the limit between the edges of its bands, and |e| plus every
guard band is convex in all three: what conforms at both ends of a stretch conforms inside it. So a curve that
conforms at all its ends needs no look at any reading, and of another the good stretches are known beforehand.
Where two bands meet, the narrower limit holds.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from meter_gateway.metrology.conformity import DecisionRule, Outcome, decide, maximum_permissible_error
from meter_gateway.metrology.error_curve import ErrorCurve, ErrorPoint
from meter_gateway.metrology.errors import SMALLEST
from meter_gateway.traceability.channel_budget import ChannelBudget, largest_k
from meter_gateway.traceability.terms import Band, ErrorRequirement

EXCEEDED, NOT_PROVEN = "mpe_exceeded", "mpe_not_proven"
_CODES = {Outcome.PASSED: None, Outcome.FAILED: EXCEEDED, Outcome.INCONCLUSIVE: NOT_PROVEN}


class ErrorConformity:
    """Of a calibration with points. Operating points are mantissas of the budget's point exponent."""

    def __init__(
        self, budget: ChannelBudget, requirement: ErrorRequirement, rule: DecisionRule, over_itself: bool
    ) -> None:
        """`over_itself` if the operating point is a value of the measured quantity, so that errors in its unit
        compare with an MPE in %."""
        self._rule = rule
        self._relative = budget.points_relative
        self.is_comparable = budget.points_relative or over_itself
        self._curve = ErrorCurve(
            [
                ErrorPoint(float(point.reference), float(point.error), float(point.standard_uncertainty))
                for point in budget.points
            ]
        )
        self._k = largest_k(budget.points)
        self._unit = float(Decimal(1).scaleb(budget.point_exponent))
        self._bands = _Bands(requirement)
        self._good = self._good_stretches() if self.is_comparable else []
        first, last = self._curve.points[0].reference, self._curve.points[-1].reference
        self.always_conforms = self._good == [(first, last)]

    def code(self, point: float) -> str | None:
        """The finding at an operating point within the calibrated ones; None if the error conforms, or if the
        class asks nothing there."""
        at = min(max(point * self._unit, self._curve.points[0].reference), self._curve.points[-1].reference)
        if any(low <= at <= high for low, high in self._good):
            return None
        return _CODES[self._outcome(at, self._bands.mpe_percent(at))]

    def _good_stretches(self) -> list[tuple[float, float]]:
        references = [point.reference for point in self._curve.points]
        edges = [edge for edge in self._bands.edges() if references[0] < edge < references[-1]]
        ends = sorted({*references, *edges})
        good: list[tuple[float, float]] = []
        for low, high in pairwise(ends) if len(ends) > 1 else [(ends[0], ends[0])]:
            mpe = self._bands.mpe_percent(0.5 * (low + high))
            limits = ((end, limit) for end in (low, high) for limit in (mpe, self._bands.mpe_percent(end)))
            if any(self._outcome(end, limit) is not Outcome.PASSED for end, limit in limits):
                continue
            if good and good[-1][1] == low:
                low = good.pop()[0]
            good.append((low, high))
        return good

    def _outcome(self, at: float, mpe_percent: float | None) -> Outcome:
        if mpe_percent is None:
            return Outcome.PASSED
        mpe = mpe_percent if self._relative else mpe_percent / 100 * abs(at)
        if mpe < SMALLEST:
            # Nothing can be asked in % of nothing.
            return Outcome.PASSED
        known = self._curve.at(at)
        limits = maximum_permissible_error(mpe)
        return decide(known.error, self._k * known.standard_uncertainty, limits, self._rule).outcome


class _Bands:
    def __init__(self, requirement: ErrorRequirement) -> None:
        self._bands: Sequence[tuple[float, float | None, float]] = [
            _scaled(band, requirement.reference) for band in requirement.bands
        ]

    def edges(self) -> list[float]:
        found = [edge for low, high, _ in self._bands for edge in (low, high) if edge is not None]
        return found + [-edge for edge in found]

    def mpe_percent(self, at: float) -> float | None:
        """None below the lowest band and above a highest one that ends: the class asks nothing there."""
        size = abs(at)
        found = (mpe for low, high, mpe in self._bands if low <= size and (high is None or size <= high))
        return min(found, default=None)


def _scaled(band: Band, reference: Decimal) -> tuple[float, float | None, float]:
    end = None if band.end is None else float(band.end * reference)
    return float(band.start * reference), end, float(band.mpe_percent)
