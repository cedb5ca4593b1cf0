"""How reliability falls with the interval: NCSLI RP-1 method S2 with two of its models.

Calibrations are grouped by the interval before them; each group has a number of instruments and how many were
found in tolerance, which is binomial. The models are R(t) = exp(-λt) and its generalisation R(t) = exp(-(t/η)^β),
fitted by maximum likelihood (RP-1 Appendix D). The one more parameter is believed only if the likelihood ratio
says so; and if even the better model contradicts the observations, no interval is proposed from it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from meter_gateway.metrology.errors import MetrologyError, at_least, positive, probability
from meter_gateway.metrology.quantiles import chi_squared_quantile, incomplete_gamma

_CONFIDENCE = 0.95
"""Of the likelihood ratio and of the goodness of fit: ordinary statistical practice, no number of a norm."""

_SHAPES = (0.1, 10.0)
"""β is looked for between these; beyond them a model says nothing about a recalibration interval."""

_MAX_RATIO = 1000.0
"""Longest over shortest interval: a day and three years have nothing to say about each other."""

_GOLDEN = 0.5 * (math.sqrt(5) - 1)


@dataclass(frozen=True, slots=True)
class Group:
    """Calibrations after about the same interval."""

    interval_d: float
    calibrations: int
    in_tolerance: int

    def __post_init__(self) -> None:
        positive(self.interval_d, "an interval")
        at_least(self.calibrations, 1, "calibrations in a group")
        if not 0 <= self.in_tolerance <= self.calibrations:
            raise MetrologyError(f"{self.in_tolerance} of {self.calibrations} in tolerance is impossible")


@dataclass(frozen=True, slots=True)
class Reliability:
    """R(t) = exp(-(t/scale_d)^shape), fitted to `groups` groups; shape 1 is the exponential model."""

    scale_d: float
    shape: float
    deviance: float
    """-2·ln of the likelihood over that of a model that hits every group exactly."""

    degrees_of_freedom: int

    @property
    def contradicts_observations(self) -> bool:
        """The deviance is larger than chance explains (χ² at 95 %)."""
        if self.degrees_of_freedom < 1:
            return False
        return incomplete_gamma(0.5 * self.degrees_of_freedom, 0.5 * self.deviance) > _CONFIDENCE

    def at(self, interval_d: float) -> float:
        return math.exp(-math.pow(interval_d / self.scale_d, self.shape))

    def interval(self, target_reliability: float) -> float:
        """Days until the reliability has fallen to the target. MetrologyError if the model does not fit."""
        if self.contradicts_observations:
            raise MetrologyError("the model contradicts the observed reliabilities, so it proposes no interval")
        hazard = -math.log(probability(target_reliability, "the target"))
        return self.scale_d * math.pow(hazard, 1 / self.shape)


def fitted(groups: Sequence[Group]) -> Reliability:
    """The exponential model, or the Weibull one where it is significantly better.

    Raises TooFewValues below two groups, MetrologyError where nothing or everything was out of tolerance.
    """
    at_least(len(groups), 2, "groups of calibrations")
    total, good = sum(g.calibrations for g in groups), sum(g.in_tolerance for g in groups)
    if max(g.interval_d for g in groups) > _MAX_RATIO * min(g.interval_d for g in groups):
        raise MetrologyError(f"the intervals differ by more than {_MAX_RATIO:g} times; group what is alike")
    if good in (0, total):
        raise MetrologyError("no reliability can be fitted where all calibrations had the same outcome")
    simple = _of_shape(groups, 1.0, parameters=1)
    general = _of_shape(groups, _best_shape(groups), parameters=2)
    better = simple.deviance - general.deviance > chi_squared_quantile(_CONFIDENCE, 1)
    return general if better else simple


def _of_shape(groups: Sequence[Group], shape: float, parameters: int) -> Reliability:
    longest = max(group.interval_d for group in groups)
    rate = _likeliest_rate(groups, longest, shape)
    deviance = 2 * math.fsum(
        _deviance(group, rate * math.pow(group.interval_d / longest, shape)) for group in groups
    )
    return Reliability(longest * math.pow(rate, -1 / shape), shape, max(0.0, deviance), len(groups) - parameters)


def _likeliest_rate(groups: Sequence[Group], longest_d: float, shape: float) -> float:
    """λ of exp(-λ·(t/longest)^β): its score falls from +inf to below 0, so bisection in its logarithm finds it."""
    powers = [math.pow(group.interval_d / longest_d, shape) for group in groups]

    def score(rate: float) -> float:
        return math.fsum(
            (g.calibrations - g.in_tolerance) * t * _reciprocal_expm1(rate * t) - g.in_tolerance * t
            for g, t in zip(groups, powers, strict=True)
        )

    low, high = 1.0, 1.0
    while score(low) < 0:
        low /= 4
    while score(high) > 0:
        high *= 4
    while True:
        middle = math.sqrt(low * high)
        if not low < middle < high:
            return middle
        if score(middle) > 0:
            low = middle
        else:
            high = middle


def _reciprocal_expm1(x: float) -> float:
    return 1 / math.expm1(x) if x < 700 else 0.0


def _best_shape(groups: Sequence[Group]) -> float:
    """β of the largest likelihood, by golden section in its logarithm."""

    def deviance(log_shape: float) -> float:
        return _of_shape(groups, math.exp(log_shape), parameters=2).deviance

    low, high = map(math.log, _SHAPES)
    while high - low > 1e-9:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if deviance(left) < deviance(right):
            high = right
        else:
            low = left
    return math.exp(0.5 * (low + high))


def _deviance(group: Group, hazard: float) -> float:
    """ln of the saturated likelihood over that of R = exp(-hazard), without the coefficients that cancel."""
    good, bad, count = group.in_tolerance, group.calibrations - group.in_tolerance, group.calibrations
    of_good = good * (math.log(good / count) + hazard) if good else 0.0
    of_bad = bad * (math.log(bad / count) - math.log(-math.expm1(-hazard))) if bad else 0.0
    return of_good + of_bad
