"""Relative accuracy of a gas analyser or flow monitor against a reference method (RATA).

RA = (|d̄| + |CC|)/R̄M · 100 %, d = RM - CEM, CC = t_(0.975;n-1)·S_d/√n (40 CFR 60 PS-2; 40 CFR 75 App. A 7.3).
At least nine valid runs, all on one wet or dry and averaging basis, or the result means nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from meter_gateway.metrology import constants
from meter_gateway.metrology.budget import mean_of, standard_deviation
from meter_gateway.metrology.errors import MetrologyError, at_least, finite, positive
from meter_gateway.metrology.quantiles import t_one_sided


@dataclass(frozen=True, slots=True)
class Run:
    """Reference method and monitor over the same minutes, in one unit. `basis` says wet or dry and averaging."""

    reference: float
    monitor: float
    basis: str


@dataclass(frozen=True, slots=True)
class RelativeAccuracy:
    """In the runs' unit, but `percent`."""

    mean_difference: float
    standard_deviation: float
    confidence_coefficient: float
    mean_reference: float
    percent: float
    runs: int

    def passes(self, limit_percent: float = constants.RATA_LIMIT_PERCENT.value) -> bool:
        return self.percent <= positive(limit_percent, "the limit")


def relative_accuracy(
    runs: Sequence[Run],
    confidence: float = constants.RATA_CONFIDENCE.value,
    min_runs: int = int(constants.RATA_MIN_RUNS.value),
) -> RelativeAccuracy:
    """Raises TooFewValues, or MetrologyError on runs of several bases or a reference that is not positive."""
    at_least(len(runs), max(2, min_runs), "valid runs")
    if len({run.basis for run in runs}) > 1:
        raise MetrologyError("the runs are not all on one basis (wet or dry, averaging)")
    differences = [finite(run.reference, "RM") - finite(run.monitor, "CEM") for run in runs]
    mean, s = mean_of(differences), standard_deviation(differences)
    coefficient = t_one_sided(confidence, len(runs) - 1) * s / math.sqrt(len(runs))
    reference = positive(mean_of([run.reference for run in runs]), "the mean of the reference method")
    percent = 100 * (abs(mean) + abs(coefficient)) / reference
    return RelativeAccuracy(mean, s, coefficient, reference, percent, len(runs))
