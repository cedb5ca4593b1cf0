"""Control charts of an instrument's check values: EWMA, tabular CUSUM and individuals (Shewhart).

Each chart is a value with a `step` for the next check, so that a gateway keeps one state per channel and not its
history; `run` is the same over a list (NIST/SEMATECH e-Handbook 6.3.2.2 to 6.3.2.4).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from meter_gateway.metrology import constants
from meter_gateway.metrology.budget import mean_of
from meter_gateway.metrology.errors import MetrologyError, at_least, finite, not_negative, positive


@dataclass(frozen=True, slots=True)
class Ewma:
    """z_t = λx_t + (1-λ)z_(t-1), limits μ ± Lσ√(λ/(2-λ)), in the unit of the check values."""

    target: float
    sigma: float
    weight: float = constants.EWMA_LAMBDA.value
    sigmas: float = constants.CONTROL_LIMIT_SIGMAS.value

    def __post_init__(self) -> None:
        finite(self.target, "the target")
        positive(self.sigma, "σ")
        positive(self.sigmas, "L")
        if not 0 < self.weight <= 1:
            raise MetrologyError(f"λ must be more than 0 and at most 1, not {self.weight}")

    @property
    def limits(self) -> tuple[float, float]:
        reach = self.sigmas * self.sigma * math.sqrt(self.weight / (2 - self.weight))
        return self.target - reach, self.target + reach

    def step(self, average: float, value: float) -> float:
        """The next average; the first one before any check is the target."""
        return self.weight * finite(value, "a check value") + (1 - self.weight) * average

    def run(self, values: Iterable[float]) -> list[float]:
        averages = [self.target]
        for value in values:
            averages.append(self.step(averages[-1], value))
        return averages[1:]

    def is_out_of_control(self, average: float) -> bool:
        low, high = self.limits
        return not low <= average <= high


@dataclass(frozen=True, slots=True)
class CusumState:
    high: float = 0.0
    low: float = 0.0


@dataclass(frozen=True, slots=True)
class Cusum:
    """S_hi = max(0, S_hi + x - μ - k), S_lo = max(0, S_lo + μ - k - x); alarm above h. All in the values' unit."""

    target: float
    k: float
    h: float

    def __post_init__(self) -> None:
        finite(self.target, "the target")
        not_negative(self.k, "k")
        positive(self.h, "h")

    def step(self, state: CusumState, value: float) -> CusumState:
        away = finite(value, "a check value") - self.target
        return CusumState(max(0.0, state.high + away - self.k), max(0.0, state.low - away - self.k))

    def run(self, values: Iterable[float]) -> list[CusumState]:
        states = [CusumState()]
        for value in values:
            states.append(self.step(states[-1], value))
        return states[1:]

    def is_out_of_control(self, state: CusumState) -> bool:
        return max(state.high, state.low) > self.h


@dataclass(frozen=True, slots=True)
class Individuals:
    """Shewhart's chart of single values: centre ± L·σ."""

    centre: float
    sigma: float
    sigmas: float = constants.CONTROL_LIMIT_SIGMAS.value

    @property
    def limits(self) -> tuple[float, float]:
        return self.centre - self.sigmas * self.sigma, self.centre + self.sigmas * self.sigma

    def is_out_of_control(self, value: float) -> bool:
        low, high = self.limits
        return not low <= finite(value, "a check value") <= high


def individuals_from(
    values: Sequence[float],
    sigmas: float = constants.CONTROL_LIMIT_SIGMAS.value,
    d2: float = constants.MOVING_RANGE_D2.value,
) -> Individuals:
    """Centre x̄ and σ = mean moving range/d_2 from a stable period of at least two checks."""
    at_least(len(values), 2, "check values")
    moving_range = mean_of([abs(b - a) for a, b in pairwise(values)])
    return Individuals(mean_of(values), moving_range / positive(d2, "d_2"), positive(sigmas, "L"))
