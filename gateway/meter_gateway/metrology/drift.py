"""Drift since calibration from earlier calibrations, and how long it stays within what is allowed.

δ(t) = b_1·t + b_2·t² …, zero at the calibration itself; the deviations found at later calibrations are fitted
(NASA-HDBK-8739.19-5, chapter 7, after Castrup). A prediction has the scatter s about the curve, the curve's own
uncertainty, and the uncertainty u_0 with which the instrument was calibrated.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meter_gateway.metrology.conformity import Tolerance
from meter_gateway.metrology.errors import MetrologyError, not_negative, positive, probability
from meter_gateway.metrology.least_squares import Fit, fit
from meter_gateway.metrology.quantiles import t_factor, t_one_sided

_MAX_ORDER = 3
_GRID = 2000
"""Parts of the horizon in which the first crossing is looked for."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Times in days, deviations and uncertainties in the unit of the indication."""

    fit: Fit
    longest_d: float

    def predicted(self, time_d: float, u_0: float = 0.0) -> tuple[float, float]:
        """Deviation `time_d` after a calibration, and its standard uncertainty √(u_0² + s² + u_curve²)."""
        row = self._row(not_negative(time_d, "the time"))
        return self.fit.value(row), math.hypot(u_0, self.fit.uncertainty_of_observation(row))

    def _row(self, time_d: float) -> tuple[float, ...]:
        return tuple(time_d ** (power + 1) for power in range(len(self.fit.coefficients)))


def from_calibrations(times_d: Sequence[float], deviations: Sequence[float], order: int = 1) -> Drift:
    """Deviations found `times_d` days after the calibration before. Raises TooFewValues or MetrologyError."""
    if not 1 <= order <= _MAX_ORDER:
        raise MetrologyError(f"the order must be from 1 to {_MAX_ORDER}, not {order}")
    for time_d in times_d:
        positive(time_d, "a time")
    return Drift(
        fit([[time_d ** (power + 1) for power in range(order)] for time_d in times_d], deviations),
        max(times_d, default=0.0),
    )


def days_to_uncertainty(drift: Drift, u_0: float, u_target: float, horizon_d: float) -> float | None:
    """Until the prediction's standard uncertainty reaches u_target; None if not within the horizon.

    How far beyond `drift.longest_d` to believe the curve is the caller's decision.
    """
    positive(u_target, "the target uncertainty")
    return _first_crossing(lambda time_d: drift.predicted(time_d, u_0)[1] - u_target, horizon_d)


def days_to_limit(
    drift: Drift, start: float, u_0: float, tolerance: Tolerance, confidence: float, horizon_d: float
) -> float | None:
    """Until `start` + drift, widened by t·u, reaches a limit; None if not within the horizon, 0 if at once.

    t is two-sided for two limits and one-sided for one, with the fit's degrees of freedom.
    """
    probability(confidence, "the confidence")
    is_two_sided = tolerance.lower is not None and tolerance.upper is not None
    t = (t_factor if is_two_sided else t_one_sided)(confidence, drift.fit.degrees_of_freedom)

    def excess(time_d: float) -> float:
        deviation, u = drift.predicted(time_d, u_0)
        value = start + deviation
        over = -math.inf if tolerance.upper is None else value + t * u - tolerance.upper
        under = -math.inf if tolerance.lower is None else tolerance.lower - (value - t * u)
        return max(over, under)

    return _first_crossing(excess, horizon_d)


def _first_crossing(excess: Callable[[float], float], horizon_d: float) -> float | None:
    """The earliest time at which `excess` is no longer negative, to the last bit."""
    positive(horizon_d, "the horizon")
    before = 0.0
    if excess(before) >= 0:
        return 0.0
    for part in range(1, _GRID + 1):
        after = horizon_d * part / _GRID
        if excess(after) >= 0:
            break
        before = after
    else:
        return None
    while True:
        middle = 0.5 * (before + after)
        if not before < middle < after:
            return after
        if excess(middle) >= 0:
            after = middle
        else:
            before = middle
