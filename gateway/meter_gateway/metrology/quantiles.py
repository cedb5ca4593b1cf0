"""Probabilities and quantiles of the normal, Student, chi-squared, beta and binomial distributions.

SciPy has them all, in 150 MB that a gateway has no other use for; here are those few, in closed form and with
bisection, equal to SciPy's to better than 1e-10. Formulae: NIST DLMF 8.2, 8.9, 8.17; GUM G.3; Abramowitz and
Stegun 26.7.5.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

from meter_gateway.metrology.errors import MetrologyError, positive, probability

_STANDARD_NORMAL = NormalDist()
_TINY = 1e-300
_EPSILON = 1e-16
_MAX_TERMS = 10_000

FEWEST_DEGREES_OF_FREEDOM = 0.5
"""Of a standard uncertainty that is itself uncertain by 100 % (GUM G.4.2, eq. G.3)."""

CALIBRATION_COVERAGE, CALIBRATION_K = 0.9545, 2.0
"""What calibration certificates cover, and their k where ν is large (EA-4/02, 5.2)."""

_HALF_OF_PRINTED_DIGIT = 0.005
_MOST_BEHIND_A_K = 10_000

MANY_DEGREES_OF_FREEDOM = 2000.0
"""From here Student's quantile is its expansion about the normal one, whose next term is below 1e-13 of it."""


def normal_cdf(z: float) -> float:
    """Φ(z), exact in the lower tail too."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def normal_quantile(p: float) -> float:
    """z with Φ(z) = p, such as 1.64 for 0.95 (JCGM 106, Table 1)."""
    return _STANDARD_NORMAL.inv_cdf(probability(p, "p"))


@lru_cache(maxsize=4096)
def t_factor(p: float, degrees_of_freedom: float) -> float:
    """t_p(ν) that encloses p between -t and +t (GUM G.3.4, Table G.2); the normal k_p at ν = inf."""
    probability(p, "coverage probability")
    if not degrees_of_freedom >= FEWEST_DEGREES_OF_FREEDOM:
        raise MetrologyError(
            f"degrees of freedom must be at least {FEWEST_DEGREES_OF_FREEDOM}, not {degrees_of_freedom}"
        )
    z = normal_quantile(0.5 * (1 + p))
    if degrees_of_freedom == math.inf:
        return z
    if degrees_of_freedom >= MANY_DEGREES_OF_FREEDOM:
        return _t_about_normal(z, degrees_of_freedom)

    def enclosed(t: float) -> float:
        squared = t * t
        if squared < degrees_of_freedom:
            return incomplete_beta(squared / (degrees_of_freedom + squared), 0.5, 0.5 * degrees_of_freedom)
        part = degrees_of_freedom / (degrees_of_freedom + squared)
        return 1 - incomplete_beta(part, 0.5 * degrees_of_freedom, 0.5)

    return _inverse(enclosed, p, z, 2 * z + 1)


@lru_cache(maxsize=256)
def degrees_of_freedom_of(k: float) -> float:
    """ν behind a certificate's U = k·u that covers 95.45 % (EA-4/02, Annex E): 4 for k = 2.87, inf up to 2.00.

    Of several ν whose t is printed as this k, the largest; 1 beyond all.
    """
    least = k - _HALF_OF_PRINTED_DIGIT
    if least <= CALIBRATION_K:
        return math.inf
    fits = bisect_right(range(1, _MOST_BEHIND_A_K), -least, key=lambda nu: -t_factor(CALIBRATION_COVERAGE, nu))
    return float(max(fits, 1))


def t_one_sided(p: float, degrees_of_freedom: float) -> float:
    """The quantile t_(p;ν), such as 1.83 for p = 0.95 and ν = 9; p above 0.5."""
    if p <= 0.5:
        raise MetrologyError(f"a one-sided probability must be more than 0.5, not {p}")
    return t_factor(2 * p - 1, degrees_of_freedom)


def chi_squared_quantile(p: float, degrees_of_freedom: float) -> float:
    probability(p, "p")
    half = 0.5 * positive(degrees_of_freedom, "degrees of freedom")
    return _inverse(lambda x: incomplete_gamma(half, 0.5 * x), p, 0.0, degrees_of_freedom + 1)


def beta_quantile(p: float, a: float, b: float) -> float:
    probability(p, "p")
    return _inverse(lambda x: incomplete_beta(min(x, 1.0), a, b), p, 0.0, 1.0)


def binomial_cdf(successes: int, trials: int, p: float) -> float:
    """P(X <= successes) of `trials` with success probability p (DLMF 8.17.5)."""
    probability(p, "p")
    if successes < 0:
        return 0.0
    if successes >= trials:
        return 1.0
    return incomplete_beta(1 - p, trials - successes, successes + 1)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised I_x(a, b), by the continued fraction of DLMF 8.17.22 on the side where it converges fast."""
    if not 0 <= x <= 1:
        raise MetrologyError(f"x must be from 0 to 1, not {x}")
    if x in (0.0, 1.0):
        return x
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) * _beta_fraction(x, a, b) / a
    return 1 - math.exp(log_front) * _beta_fraction(1 - x, b, a) / b


def incomplete_gamma(a: float, x: float) -> float:
    """Regularised P(a, x): DLMF 8.11.4 below a + 1, else the complement by the continued fraction 8.9.2."""
    if x <= 0:
        return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x >= a + 1:
        return 1 - front * _gamma_fraction(a, x)
    term = total = 1 / a
    for n in range(1, _MAX_TERMS):
        term *= x / (a + n)
        total += term
        if term < total * _EPSILON:
            break
    return front * total


def _beta_fraction(x: float, a: float, b: float) -> float:
    def coefficient(n: int) -> float:
        m = n // 2
        if n % 2:
            return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))

    return 1 / _continued_fraction(1.0, coefficient, lambda _: 1.0)


def _gamma_fraction(a: float, x: float) -> float:
    return 1 / _continued_fraction(x + 1 - a, lambda n: -n * (n - a), lambda n: x + 2 * n + 1 - a)


def _continued_fraction(
    first: float, numerator: Callable[[int], float], denominator: Callable[[int], float]
) -> float:
    """first + numerator(1)/(denominator(1) + numerator(2)/(…)) by Lentz's method (DLMF 3.10)."""
    value = c = first or _TINY
    d = 0.0
    for n in range(1, _MAX_TERMS):
        top, bottom = numerator(n), denominator(n)
        d = 1 / ((bottom + top * d) or _TINY)
        c = (bottom + top / c) or _TINY
        value *= c * d
        if abs(c * d - 1) < _EPSILON:
            break
    return value


def _t_about_normal(z: float, nu: float) -> float:
    """Abramowitz and Stegun 26.7.5."""
    square = z * z
    terms = (
        (square + 1) / 4,
        ((5 * square + 16) * square + 3) / 96,
        (((3 * square + 19) * square + 17) * square - 15) / 384,
        ((((79 * square + 776) * square + 1482) * square - 1920) * square - 945) / 92160,
    )
    series = 0.0
    for term in reversed(terms):
        series = (series + term) / nu
    return z * (1 + series)


def _inverse(cdf: Callable[[float], float], p: float, low: float, high: float) -> float:
    """x with cdf(x) = p, by bisection to the last bit; `high` grows until it is above."""
    while cdf(high) < p:
        low, high = high, 2 * high
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return middle
        if cdf(middle) < p:
            low = middle
        else:
            high = middle
