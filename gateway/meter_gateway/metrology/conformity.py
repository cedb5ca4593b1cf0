"""Does a measured value conform to a tolerance, and with what probability (JCGM 106:2012).

The estimate y with expanded uncertainty U (k = 2) is held against the tolerance interval [T_L, T_U], such as ±MPE:

1. The rule's guard band w shrinks the tolerance interval on each side that has a limit: A = T - w (8.3.2).
2. Inside the acceptance interval, and with U no more than the rule allows: pass.
3. Outside the tolerance interval by more than w: fail. Between the two: inconclusive.
4. U larger than the rule allows is inconclusive wherever y lies, except that y outside by more than U fails: what
   even a poor measurement proves is proven.

A wider uncertainty never turns a non-pass into a pass: no guard band shrinks as U grows. Guarded rejection (8.3.3,
w < 0), whose acceptance interval does grow with U, is deliberately absent.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple

from meter_gateway.metrology import constants
from meter_gateway.metrology.errors import SMALLEST, MetrologyError, exceeds, finite, not_negative, positive
from meter_gateway.metrology.quantiles import normal_cdf


class Outcome(Enum):
    PASSED = "pass"
    FAILED = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Permissible values of a quantity; None is no limit on that side (JCGM 106, 5.2, 5.3)."""

    lower: float | None
    upper: float | None

    def __post_init__(self) -> None:
        if self.lower is None and self.upper is None:
            raise MetrologyError("a tolerance needs a limit")
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            raise MetrologyError(f"the lower limit {self.lower} must be less than the upper one {self.upper}")
        for limit in (self.lower, self.upper):
            if limit is not None:
                finite(limit, "a limit")

    @property
    def half_width(self) -> float:
        """E_max of ±E_max. Raises MetrologyError on a one-sided tolerance, which has none."""
        if self.lower is None or self.upper is None:
            raise MetrologyError("a one-sided tolerance has no width, so no ratio to an uncertainty")
        return positive(0.5 * (self.upper - self.lower), "the width of a tolerance")

    def contains(self, value: float) -> bool:
        is_below = self.lower is not None and exceeds(-value, -self.lower)
        return not is_below and (self.upper is None or not exceeds(value, self.upper))

    def moved(self, inwards: float) -> "Tolerance | None":
        """Both limits moved inwards (outwards if negative); None if nothing is left."""
        lower = None if self.lower is None else self.lower + inwards
        upper = None if self.upper is None else self.upper - inwards
        if lower is not None and upper is not None and lower >= upper:
            return None
        return Tolerance(lower, upper)


def maximum_permissible_error(mpe: float) -> Tolerance:
    """[-MPE, +MPE] for an error of indication."""
    return Tolerance(-positive(mpe, "the MPE"), mpe)


def conformance_probability(estimate: float, u: float, tolerance: Tolerance) -> float:
    """p_c = Φ((T_U - y)/u) - Φ((T_L - y)/u) for a normal PDF (7.3.3 eq. 10, 7.4 eq. 11)."""
    finite(estimate, "the estimate")
    if not_negative(u, "u") == 0:
        return float(tolerance.contains(estimate))
    below = 0.0 if tolerance.lower is None else normal_cdf((tolerance.lower - estimate) / u)
    above = 0.0 if tolerance.upper is None else normal_cdf((estimate - tolerance.upper) / u)
    return max(0.0, 1 - below - above)


def capability_index(tolerance: Tolerance, expanded_uncertainty: float) -> float:
    """C_m = (T_U - T_L)/(4u) = (T_U - T_L)/(2U), with k = 2; also called test uncertainty ratio (7.6.2 eq. 12)."""
    return tolerance.half_width / positive(expanded_uncertainty, "U")


class Asked(NamedTuple):
    """What a guard band may depend on; U is more than 0."""

    tolerance: Tolerance
    expanded_uncertainty: float
    multiplier: float


Width = Callable[[Asked], float]


class GuardBand(NamedTuple):
    width: Width
    source: str
    tag: Literal["S", "C", "M"]


def _relative(factor: Callable[[float], float]) -> Width:
    """w = T·(1 - factor(C_m)), the factor A/T capped to [0, 1]."""

    def width(asked: Asked) -> float:
        ratio = capability_index(asked.tolerance, asked.expanded_uncertainty)
        return asked.tolerance.half_width * (1 - min(1.0, max(0.0, factor(ratio))))

    return width


def _rss(ratio: float) -> float:
    return math.sqrt(max(0.0, 1 - (1 / ratio) * (1 / ratio)))


def _rp10(ratio: float) -> float:
    return constants.RP10_OFFSET.value - 1 / ratio


def _dobbert(ratio: float) -> float:
    exponent = constants.DOBBERT_SLOPE.value * math.log(ratio) - constants.DOBBERT_SHIFT.value
    return 1 - (constants.DOBBERT_OFFSET.value - math.exp(exponent)) / ratio


def _multiple(asked: Asked) -> float:
    return asked.multiplier * asked.expanded_uncertainty


GUARD_BANDS = {
    "simple": GuardBand(lambda _: 0.0, "JCGM 106:2012, 8.2: shared risk", "S"),
    "guarded": GuardBand(_multiple, "JCGM 106:2012, 8.3.2: w = r·U", "S"),
    "rss": GuardBand(_relative(_rss), "A/T = √(1 - 1/TUR²), by suncal's tests", "S"),
    "rp10": GuardBand(_relative(_rp10), "NCSLI RP-10: A/T = 1.25 - 1/TUR, by suncal's tests", "S"),
    "dobbert": GuardBand(
        _relative(_dobbert), "A/T = 1 - (1.04 - exp(0.38 ln TUR - 0.54))/TUR, by suncal's tests", "S"
    ),
}
"""By the name that a policy file uses. `test95`, A/T = 1 - 1/TUR, is `guarded` with r = 1."""


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """`multiplier` is r of the guard band "guarded". `max_uncertainty_ratio` is U/MPE at most, None if any."""

    guard_band: str
    multiplier: float = constants.GUARD_MULTIPLIER.value
    max_uncertainty_ratio: float | None = None

    def __post_init__(self) -> None:
        if self.guard_band not in GUARD_BANDS:
            known = ", ".join(sorted(GUARD_BANDS))
            raise MetrologyError(f"{self.guard_band!r} is not a guard band; choose one of {known}")
        not_negative(self.multiplier, "the multiplier r")
        if self.max_uncertainty_ratio is not None:
            positive(self.max_uncertainty_ratio, "the ratio U/MPE")

    def guard(self, tolerance: Tolerance, expanded_uncertainty: float) -> float:
        """w, in the unit of the tolerance; never less for a wider U."""
        if not_negative(expanded_uncertainty, "U") < SMALLEST:
            return 0.0
        return GUARD_BANDS[self.guard_band].width(Asked(tolerance, expanded_uncertainty, self.multiplier))


SIMPLE_ACCEPTANCE = DecisionRule("simple", max_uncertainty_ratio=constants.MAX_UNCERTAINTY_TO_MPE.value)
"""Legal metrology's rule (8.2.3, example): |e| <= E_max and U <= E_max/3."""


@dataclass(frozen=True, slots=True)
class Decision:
    outcome: Outcome
    acceptance: Tolerance | None
    """None if the guard bands leave nothing of the tolerance."""

    guard: float
    conformance_probability: float
    uncertainty_ratio: float | None
    """U over the tolerance's half-width; None for a one-sided tolerance."""

    uncertainty_too_large: bool


def decide(estimate: float, expanded_uncertainty: float, tolerance: Tolerance, rule: DecisionRule) -> Decision:
    """The rule applied to y with U = 2u.

    Raises MetrologyError on a one-sided tolerance under a rule that needs the ratio of U to its width.
    """
    finite(estimate, "the estimate")
    guard = rule.guard(tolerance, expanded_uncertainty)
    is_two_sided = tolerance.lower is not None and tolerance.upper is not None
    ratio = expanded_uncertainty / tolerance.half_width if is_two_sided else None
    limit = rule.max_uncertainty_ratio
    if limit is not None and ratio is None:
        raise MetrologyError("a one-sided tolerance has no width, so no ratio to an uncertainty")
    too_large = limit is not None and ratio is not None and exceeds(ratio, limit)
    acceptance = tolerance.moved(guard)
    probability = conformance_probability(estimate, 0.5 * expanded_uncertainty, tolerance)
    outcome = _outcome(estimate, tolerance, acceptance, max(guard, expanded_uncertainty) if too_large else guard)
    if outcome is Outcome.PASSED and too_large:
        outcome = Outcome.INCONCLUSIVE
    return Decision(outcome, acceptance, guard, probability, ratio, too_large)


def _outcome(estimate: float, tolerance: Tolerance, acceptance: Tolerance | None, margin: float) -> Outcome:
    if acceptance is not None and acceptance.contains(estimate):
        return Outcome.PASSED
    beyond = tolerance.moved(-margin)
    return Outcome.INCONCLUSIVE if beyond is not None and beyond.contains(estimate) else Outcome.FAILED
