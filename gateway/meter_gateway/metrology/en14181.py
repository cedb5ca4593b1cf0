"""Quality assurance of automated measuring systems by EN 14181: QAL2, AST and QAL3.

QAL2 calibrates the analyser in situ against a standard reference method and tests its variability; the annual
surveillance test (AST) asks whether that calibration still holds; QAL3 watches zero and span readings with CUSUM
charts. What is tagged M in constants.py was not read in the norm; every such number is an argument.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meter_gateway.metrology import constants
from meter_gateway.metrology.budget import mean_of, standard_deviation
from meter_gateway.metrology.errors import MetrologyError, at_least, finite, positive, same_length
from meter_gateway.metrology.least_squares import line
from meter_gateway.metrology.quantiles import chi_squared_quantile, t_one_sided


def variability_factor(pairs: int) -> float:
    """k_v = √(χ²_(0.5; N-1)/(N-1)): 0.9761 for N = 15."""
    at_least(pairs, 2, "pairs")
    return math.sqrt(chi_squared_quantile(0.5, pairs - 1) / (pairs - 1))


def permitted_standard_deviation(
    limit_value: float, interval_fraction: float, coverage: float = constants.QAL2_COVERAGE.value
) -> float:
    """σ_0 = P·E/1.96 from the emission limit value E and the permitted 95 % interval P (0.1 is 10 % of E)."""
    return (
        positive(interval_fraction, "P") * positive(limit_value, "E") / positive(coverage, "the coverage factor")
    )


@dataclass(frozen=True, slots=True)
class CalibrationFunction:
    """ŷ = a + b·x: reference from the analyser's reading x."""

    offset: float
    slope: float

    def calibrated(self, reading: float) -> float:
        return self.offset + self.slope * reading


@dataclass(frozen=True, slots=True)
class Qal2:
    function: CalibrationFunction
    standard_deviation: float
    """s_D of the differences D = y - ŷ."""

    limit: float
    """σ_0·k_v."""

    pairs: int

    @property
    def passed(self) -> bool:
        return self.standard_deviation <= self.limit


def qal2(
    readings: Sequence[float],
    references: Sequence[float],
    sigma_0: float,
    limit_value: float,
    zero_reading: float = 0.0,
    min_pairs: int = int(constants.QAL2_MIN_PAIRS.value),
    spread: float = constants.QAL2_SPREAD.value,
) -> Qal2:
    """Calibration function and variability test from N >= 15 pairs over at least three days.

    Method a, a straight line, if the references span `spread` of the limit value; otherwise method b, through the
    analyser's reading at zero. Raises TooFewValues or MetrologyError.
    """
    same_length(len(readings), len(references), "readings and references")
    at_least(len(readings), max(3, min_pairs), "pairs")
    positive(sigma_0, "σ_0")
    for value in (*readings, *references):
        finite(value, "a value")
    if max(references) - min(references) >= spread * positive(limit_value, "E"):
        fitted = line(readings, references)
        function = CalibrationFunction(fitted.intercept, fitted.slope)
    else:
        above_zero = mean_of(readings) - zero_reading
        if above_zero == 0:
            raise MetrologyError("the mean reading is the reading at zero, so there is no slope")
        slope = finite(mean_of(references) / above_zero, "the slope")
        function = CalibrationFunction(-slope * finite(zero_reading, "the reading at zero"), slope)
    s_d = standard_deviation(_differences(function, readings, references))
    return Qal2(function, s_d, sigma_0 * variability_factor(len(readings)), len(readings))


@dataclass(frozen=True, slots=True)
class Ast:
    mean_difference: float
    validity_limit: float
    """t_(0.95;N-1)·s_D/√N + σ_0, for |D̄|."""

    standard_deviation: float
    variability_limit: float
    """1.5·σ_0·k_v, for s_D."""

    @property
    def function_valid(self) -> bool:
        return abs(self.mean_difference) <= self.validity_limit

    @property
    def variability_passed(self) -> bool:
        return self.standard_deviation <= self.variability_limit

    @property
    def passed(self) -> bool:
        return self.function_valid and self.variability_passed


def annual_surveillance(
    function: CalibrationFunction,
    readings: Sequence[float],
    references: Sequence[float],
    sigma_0: float,
    min_pairs: int = int(constants.AST_MIN_PAIRS.value),
    confidence: float = constants.AST_CONFIDENCE.value,
    variability: float = constants.AST_VARIABILITY.value,
) -> Ast:
    """Does the calibration function still hold, and is the variability within 1.5·σ_0·k_v?"""
    same_length(len(readings), len(references), "readings and references")
    at_least(len(readings), max(2, min_pairs), "pairs")
    positive(sigma_0, "σ_0")
    differences = _differences(function, readings, references)
    count, s_d = len(differences), standard_deviation(differences)
    validity = t_one_sided(confidence, count - 1) * s_d / math.sqrt(count) + sigma_0
    return Ast(mean_of(differences), validity, s_d, variability * sigma_0 * variability_factor(count))


def _differences(
    function: CalibrationFunction, readings: Iterable[float], references: Iterable[float]
) -> list[float]:
    return [y - function.calibrated(x) for x, y in zip(readings, references, strict=True)]


@dataclass(frozen=True, slots=True)
class Qal3Limits:
    """In units of s_AMS (drift) and s_AMS² (precision), s_AMS being the standard deviation of check readings."""

    hx: float = constants.QAL3_HX.value
    kx: float = constants.QAL3_KX.value
    hs: float = constants.QAL3_HS.value
    ks: float = constants.QAL3_KS.value


@dataclass(frozen=True, slots=True)
class Qal3State:
    """The sums after a zero or span check, and the check's difference from its reference value."""

    above: float = 0.0
    below: float = 0.0
    precision: float = 0.0
    difference: float | None = None


@dataclass(frozen=True, slots=True)
class Qal3:
    """CUSUM charts of one check point; `s_ams` in the unit of the readings."""

    s_ams: float
    limits: Qal3Limits = Qal3Limits()

    def __post_init__(self) -> None:
        positive(self.s_ams, "s_AMS")

    def step(self, state: Qal3State, difference: float) -> Qal3State:
        """Σ± = max(0, Σ± ± d - k_x), Σ_s = max(0, Σ_s + (d_t - d_(t-1))²/2 - k_s)."""
        d = finite(difference, "the difference")
        kx, ks = self.limits.kx * self.s_ams, self.limits.ks * self.s_ams**2
        precision = state.precision
        if state.difference is not None:
            precision = max(0.0, precision + 0.5 * (d - state.difference) ** 2 - ks)
        return Qal3State(max(0.0, state.above + d - kx), max(0.0, state.below - d - kx), precision, d)

    def run(self, differences: Iterable[float]) -> list[Qal3State]:
        states = [Qal3State()]
        for difference in differences:
            states.append(self.step(states[-1], difference))
        return states[1:]

    def drift_detected(self, state: Qal3State) -> bool:
        return max(state.above, state.below) > self.limits.hx * self.s_ams

    def precision_lost(self, state: Qal3State) -> bool:
        return state.precision > self.limits.hs * self.s_ams**2
