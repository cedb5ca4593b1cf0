"""Global risks of a decision rule over a population of instruments (JCGM 106:2012, 9.5).

The population's property has a prior density g_0, a measurement of it scatters normally with standard uncertainty
u_m. Consumer's risk R_C: accepted and not conforming; producer's risk R_P: rejected and conforming.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from meter_gateway.metrology.conformity import Tolerance
from meter_gateway.metrology.errors import MetrologyError, finite, positive
from meter_gateway.metrology.quantiles import normal_cdf

_REACH = 9.0
"""Standard deviations beyond which a normal density adds less than a double can hold to 1."""

_TOLERANCE = 1e-10
"""Of each integral, which is a probability."""

_PARTS = 16
_MAX_HALVINGS = 30


@dataclass(frozen=True, slots=True)
class Prior:
    """g_0 and the span outside which it is nothing."""

    density: Callable[[float], float]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Risks:
    consumer: float
    producer: float
    prior_conformance: float
    """Probability that an item conforms before it is measured."""


def normal_prior(mean: float, u: float) -> Prior:
    """g_0 = φ(η; y_0, u_0²) (Annex A)."""
    finite(mean, "the mean")
    scale = 1 / (positive(u, "u_0") * math.sqrt(2 * math.pi))
    return Prior(
        lambda eta: scale * math.exp(-0.5 * ((eta - mean) / u) ** 2), mean - _REACH * u, mean + _REACH * u
    )


def gamma_prior(mean: float, u: float) -> Prior:
    """Of a quantity that cannot be negative (Annex B.3, eq. B.11 and B.14): α = y_0²/u_0², λ = y_0/u_0²."""
    alpha = (positive(mean, "the mean") / positive(u, "u_0")) ** 2
    rate = mean / u**2
    if alpha < 1:
        raise MetrologyError("u_0 must not be more than the mean of a gamma prior")
    log_scale = alpha * math.log(rate) - math.lgamma(alpha)

    def density(eta: float) -> float:
        if eta <= 0:
            return rate if alpha == 1 and eta == 0 else 0.0
        return math.exp(log_scale + (alpha - 1) * math.log(eta) - rate * eta)

    return Prior(density, 0.0, mean + 5 * _REACH * u)


def global_risks(prior: Prior, u_m: float, tolerance: Tolerance, acceptance: Tolerance) -> Risks:
    """R_C and R_P (eq. 17 and 18; A.15 to A.17 for a normal prior), integrated between the limits."""
    positive(u_m, "u_m")

    def accepted(eta: float) -> float:
        below = 0.0 if acceptance.lower is None else normal_cdf((acceptance.lower - eta) / u_m)
        above = 0.0 if acceptance.upper is None else normal_cdf((eta - acceptance.upper) / u_m)
        return 1 - below - above

    consumer, producer, conforming = [], [], []
    for low, high in _pieces(prior, u_m, tolerance, acceptance):
        if tolerance.contains(0.5 * (low + high)):
            conforming.append(_integral(prior.density, low, high))
            producer.append(_integral(lambda eta: prior.density(eta) * (1 - accepted(eta)), low, high))
        else:
            consumer.append(_integral(lambda eta: prior.density(eta) * accepted(eta), low, high))
    return Risks(_probability(consumer), _probability(producer), _probability(conforming))


def _pieces(
    prior: Prior, u_m: float, tolerance: Tolerance, acceptance: Tolerance
) -> Iterable[tuple[float, float]]:
    """Cut where the integrand jumps (T) and where it is steep (A)."""
    limits = [limit for limit in (tolerance.lower, tolerance.upper) if limit is not None]
    for limit in (acceptance.lower, acceptance.upper):
        if limit is not None:
            limits += [limit + step * u_m for step in (-_REACH, -2, 0, 2, _REACH)]
    cuts = sorted({prior.low, prior.high, *(cut for cut in limits if prior.low < cut < prior.high)})
    return pairwise(cuts)


def _probability(parts: Iterable[float]) -> float:
    """Of disjoint parts, each with the error of its integration."""
    return min(1.0, max(0.0, math.fsum(parts)))


def _integral(integrand: Callable[[float], float], low: float, high: float) -> float:
    """Adaptive Simpson's rule, each of a few equal parts by itself so that no peak lies between its points."""
    edges = [low + (high - low) * part / _PARTS for part in range(_PARTS + 1)]
    return math.fsum(_halved(integrand, a, b, _TOLERANCE / _PARTS, _MAX_HALVINGS) for a, b in pairwise(edges))


def _halved(integrand: Callable[[float], float], low: float, high: float, tolerance: float, depth: int) -> float:
    quarter = 0.25 * (high - low)
    at = [integrand(low + quarter * step) for step in range(5)]
    whole = (at[0] + 4 * at[2] + at[4]) * quarter * 2 / 3
    halves = (at[0] + 4 * at[1] + 2 * at[2] + 4 * at[3] + at[4]) * quarter / 3
    # The error of the halves is about a fifteenth of the difference, which may as well be added.
    if depth == 0 or not abs(halves - whole) > 15 * tolerance:
        return halves + (halves - whole) / 15
    middle = low + 2 * quarter
    return _halved(integrand, low, middle, tolerance / 2, depth - 1) + _halved(
        integrand, middle, high, tolerance / 2, depth - 1
    )
