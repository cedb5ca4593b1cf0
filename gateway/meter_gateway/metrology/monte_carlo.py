"""Propagation of distributions by a Monte Carlo method (JCGM 101:2008), and what it says of a GUM budget.

It is asked on demand, for a channel whose model is curved or whose inputs are far from normal; the hot path is
closed-form.
"""

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from random import Random

from meter_gateway.metrology.budget import Budget, Expanded, standard_deviation
from meter_gateway.metrology.errors import MetrologyError, at_least, finite, not_negative, positive, probability
from meter_gateway.metrology.sampling import Sample, of_budget

Model = Callable[..., float]
"""The measurement model f: as many arguments as the sample has inputs."""

TRIALS_PER_APPLICATION = 10_000
"""M of one application in the adaptive procedure, at least 100/(1 - p) (7.9.4 b)."""

MAX_TRIALS = 2_000_000
"""About 100 MB while they are sorted; an adaptive run that has not stabilised by then says so."""


class Kind(Enum):
    SYMMETRIC = "probabilistically symmetric"
    SHORTEST = "shortest"


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Propagated:
    """y, u(y) and the coverage interval at probability p, from `trials` model values (7.6, 7.7)."""

    estimate: float
    standard_uncertainty: float
    interval: Interval
    probability: float
    kind: Kind
    trials: int
    stabilised: bool
    """False if the adaptive procedure stopped at its limit of trials before 7.9.4 k) was met."""
    scatter: float = 0.0
    """Of the ends in the adaptive procedure: twice the standard deviation of their averages (7.9.4 g)."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Whether the GUM uncertainty framework gives the interval that the Monte Carlo method gives (8.1)."""

    tolerance: float
    d_low: float
    d_high: float

    @property
    def validated(self) -> bool:
        return self.d_low <= self.tolerance and self.d_high <= self.tolerance


def propagate(
    model: Model,
    sample: Sample,
    random: Random,
    trials: int,
    coverage_probability: float = 0.95,
    kind: Kind = Kind.SYMMETRIC,
) -> Propagated:
    """A fixed number of trials M (7.2–7.7); M must be well above 1/(1 - p)."""
    probability(coverage_probability, "coverage probability")
    at_least(trials, math.ceil(1 / (1 - coverage_probability)) + 1, "trials")
    values = _trials(model, sample, random, trials)
    return _summary(values, coverage_probability, kind, stabilised=True)


def propagate_adaptively(
    model: Model,
    sample: Sample,
    random: Random,
    coverage_probability: float = 0.95,
    kind: Kind = Kind.SYMMETRIC,
    significant_digits: int = 2,
    tolerance_divisor: float = 1.0,
    max_trials: int = MAX_TRIALS,
) -> Propagated:
    """Trials until y, u(y) and both endpoints have stabilised to δ (7.9.4).

    `significant_digits` are those of u(y) that mean something, 1 or 2. `tolerance_divisor` 5 asks for δ/5, as
    8.2 wants for a validation.
    """
    probability(coverage_probability, "coverage probability")
    positive(tolerance_divisor, "the tolerance's divisor")
    size = max(TRIALS_PER_APPLICATION, math.ceil(round(100 / (1 - coverage_probability), 6)))
    values = array("d")
    history: list[tuple[float, float, float, float]] = []
    while len(values) + size <= max_trials:
        block = _trials(model, sample, random, size)
        values.extend(block)
        one = _summary(block, coverage_probability, kind, stabilised=True)
        history.append((one.estimate, one.standard_uncertainty, one.interval.low, one.interval.high))
        if len(history) > 1 and _is_stable(history, size, significant_digits, tolerance_divisor):
            break
    at_least(len(history), 2, f"applications of {size} trials within max_trials")
    stabilised = _is_stable(history, size, significant_digits, tolerance_divisor)
    found = _summary(values, coverage_probability, kind, stabilised=stabilised)
    return replace(found, scatter=max(_scatters(history)[2:]))


def numerical_tolerance(u: float, significant_digits: int = 2) -> float:
    """δ = ½·10^l, where u = c·10^l and c has n_dig digits (7.9.2): 0.00035 with two digits gives 0.000005."""
    if significant_digits < 1:
        raise MetrologyError(f"at least one significant digit is needed, not {significant_digits}")
    # The rounded c decides: 0.0996 is 10·10⁻², not 99·10⁻³.
    exponent = int(f"{positive(u, 'u(y)'):.{significant_digits - 1}e}".partition("e")[2])
    return 0.5 * 10.0 ** (exponent - significant_digits + 1)


def validate(estimate: float, expanded_uncertainty: float, found: Propagated, tolerance: float) -> Validation:
    """Compare y ± U_p of the GUM with the Monte Carlo interval at the same p (8.1.3)."""
    not_negative(expanded_uncertainty, "U")
    positive(tolerance, "δ")
    return Validation(
        tolerance,
        abs(finite(estimate, "y") - expanded_uncertainty - found.interval.low),
        abs(estimate + expanded_uncertainty - found.interval.high),
    )


def validate_budget(
    value: float, budget: Budget, expanded: Expanded, random: Random, max_trials: int = MAX_TRIALS
) -> tuple[Propagated, Validation | None]:
    """y ± U of a reading and its budget without correlations, compared with trials of the same model (8.1, 8.2).

    The measurand is the reading plus its corrections, each with the estimate 0: an error that is known moves it
    and widens nothing. δ is that of two digits of u or, where the ends scatter too much to tell, of one; None if
    they do not tell then either. MetrologyError where the combined uncertainty is 0.
    """
    sensitivities = [each.sensitivity for each in budget.components]
    centred = Budget(replace(each, estimate=0.0) for each in budget.components)

    def model(*corrections: float) -> float:
        return value + math.fsum(c * x for c, x in zip(sensitivities, corrections, strict=True))

    found = propagate_adaptively(
        model, of_budget(centred), random, expanded.probability, tolerance_divisor=5, max_trials=max_trials
    )
    for digits in (2, 1):
        tolerance = numerical_tolerance(expanded.combined_uncertainty, digits)
        verdict = validate(value, expanded.expanded_uncertainty, found, tolerance)
        if found.scatter <= tolerance / 5 or abs(max(verdict.d_low, verdict.d_high) - tolerance) > found.scatter:
            return found, verdict
    return found, None


def coverage_interval(ordered: Sequence[float], coverage_probability: float, kind: Kind) -> Interval:
    """[y_(r), y_(r+q)] of sorted model values (7.7.2), q = pM."""
    count = len(ordered)
    q = math.floor(probability(coverage_probability, "coverage probability") * count + 0.5)
    if not 0 < q < count:
        raise MetrologyError(f"{count} values are too few for a {100 * coverage_probability:g} % interval")
    if kind is Kind.SYMMETRIC:
        # r counts from 1 in the norm.
        first = (count - q + 1) // 2 - 1
    else:
        first = min(range(count - q), key=lambda r: ordered[r + q] - ordered[r])
    return Interval(ordered[first], ordered[first + q])


def _trials(model: Model, sample: Sample, random: Random, count: int) -> "array[float]":
    return array("d", (model(*sample(random)) for _ in range(count)))


def _summary(values: "array[float]", p: float, kind: Kind, *, stabilised: bool) -> Propagated:
    estimate, u = _moments(values)
    interval = coverage_interval(sorted(values), p, kind)
    return Propagated(estimate, u, interval, p, kind, len(values), stabilised)


def _moments(values: "array[float]") -> tuple[float, float]:
    """Average and standard deviation (7.6, eq. 16 and 17), the latter from the differences."""
    average = math.fsum(values) / len(values)
    squares = math.fsum((value - average) ** 2 for value in values)
    return average, math.sqrt(squares / (len(values) - 1))


def _is_stable(
    history: Sequence[tuple[float, float, float, float]],
    size: int,
    significant_digits: int,
    tolerance_divisor: float,
) -> bool:
    """7.9.4 g) to k): twice the standard deviation of each average is within δ.

    u(y) of all values so far comes from the moments of their equally large applications.
    """
    estimates, deviations, *_ = zip(*history, strict=True)
    within = (size - 1) * math.fsum(u * u for u in deviations)
    between = size * (len(history) - 1) * standard_deviation(estimates) ** 2
    u = math.sqrt((within + between) / (size * len(history) - 1))
    if u == 0:
        return True
    tolerance = numerical_tolerance(u, significant_digits) / tolerance_divisor
    return max(_scatters(history)) <= tolerance


def _scatters(history: Sequence[tuple[float, float, float, float]]) -> list[float]:
    """2s of the averages of estimate, u and both ends (7.9.4 g)."""
    root = math.sqrt(len(history))
    return [2 * standard_deviation(series) / root for series in zip(*history, strict=True)]
