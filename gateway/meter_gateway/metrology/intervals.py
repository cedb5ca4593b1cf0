"""When to calibrate next (ILAC-G24 / OIML D 10:2022; NCSLI RP-1).

Method 1, the staircase, looks at the last as-found error only. Method 2, the control chart, is
`drift.days_to_limit`. Method A3 tests the observed reliability of one interval; S2 (reliability.py) fits the
reliability over several. Methods 3 (in-use time) and 4 (black box) are ways to count time and to compare, not
formulas. An interval is never set here, only proposed.
"""

from dataclasses import dataclass

from meter_gateway.metrology import constants
from meter_gateway.metrology.errors import MetrologyError, at_least, finite, positive, probability
from meter_gateway.metrology.quantiles import beta_quantile, binomial_cdf


@dataclass(frozen=True, slots=True)
class Staircase:
    """Longer by `longer` if the error was within `extend_within`·MPE, shorter by `shorter` if outside the MPE."""

    shortest_d: float
    longest_d: float
    extend_within: float = constants.STAIRCASE_EXTEND_WITHIN.value
    longer: float = constants.STAIRCASE_LONGER.value
    shorter: float = constants.STAIRCASE_SHORTER.value

    def __post_init__(self) -> None:
        if not 0 < self.shortest_d <= self.longest_d:
            raise MetrologyError("the shortest interval must be more than 0 and not above the longest")
        if not 0 < self.extend_within <= 1 or not self.longer >= 1 or not 0 < self.shorter < 1:
            raise MetrologyError("extend_within is in (0, 1], longer at least 1, shorter in (0, 1)")

    def next_interval(self, interval_d: float, as_found_error: float, mpe: float) -> float:
        """Days until the next calibration, from the interval that just ended."""
        share = abs(finite(as_found_error, "the error")) / positive(mpe, "the MPE")
        factor = 1.0
        if share <= self.extend_within:
            factor = self.longer
        elif share > 1:
            factor = self.shorter
        return min(self.longest_d, max(self.shortest_d, factor * positive(interval_d, "the interval")))


@dataclass(frozen=True, slots=True)
class A3Interval:
    """Method A3's answer."""

    interval_d: float
    rejection_confidence: float
    """Q: how surely the observed reliability is below the target."""

    observed_reliability: float
    reliability_range: tuple[float, float]
    """Clopper–Pearson limits of the reliability at the asked confidence."""


def a3_interval(
    in_tolerance: int,
    calibrations: int,
    interval_d: float,
    target_reliability: float,
    confidence: float = constants.A3_CONFIDENCE.value,
    max_change: float = constants.A3_MAX_CHANGE.value,
) -> A3Interval:
    """NCSLI method A3: shorten to I_0·10^(Q(R_obs - R_t)), Q = 1 - 2·P(X <= x), if Q exceeds `confidence`.

    It never lengthens: for R_obs above the target no source of the formula was read, so the interval is kept.
    """
    at_least(calibrations, 1, "calibrations at this interval")
    probability(target_reliability, "the target reliability")
    probability(confidence, "the confidence")
    if not max_change > 1:
        raise MetrologyError(f"the largest change must be more than 1, not {max_change}")
    limits = reliability_range(in_tolerance, calibrations, confidence)
    observed = in_tolerance / calibrations
    q = max(0.0, 1 - 2 * binomial_cdf(in_tolerance, calibrations, target_reliability))
    factor = 1.0
    if observed < target_reliability and q > confidence:
        factor = max(1 / max_change, 10 ** (q * (observed - target_reliability)))
    return A3Interval(factor * positive(interval_d, "the interval"), q, observed, limits)


def reliability_range(in_tolerance: int, calibrations: int, confidence: float) -> tuple[float, float]:
    """Two-sided Clopper–Pearson limits of a binomial proportion."""
    at_least(calibrations, 1, "calibrations")
    if not 0 <= in_tolerance <= calibrations:
        raise MetrologyError(f"{in_tolerance} of {calibrations} calibrations in tolerance is impossible")
    tail = 0.5 * (1 - probability(confidence, "the confidence"))
    failed = calibrations - in_tolerance
    low = beta_quantile(tail, in_tolerance, failed + 1) if in_tolerance else 0.0
    high = beta_quantile(1 - tail, in_tolerance + 1, failed) if failed else 1.0
    return low, high
