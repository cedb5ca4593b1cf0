"""Draws from the distributions of a Monte Carlo calculation (JCGM 101:2008, 6.4 and Annex C).

A `Draw` takes one value of one input quantity from a random generator; `independent` and `multivariate_normal`
join them into a `Sample`, one value of each input.
"""

import math
from collections.abc import Callable, Sequence
from random import Random

from meter_gateway.metrology.budget import Budget, Component, Distribution
from meter_gateway.metrology.errors import MetrologyError, finite, not_negative, positive
from meter_gateway.metrology.matrices import Matrix, cholesky

Draw = Callable[[Random], float]
Sample = Callable[[Random], Sequence[float]]


def normal(mean: float, u: float) -> Draw:
    """N(x, u²), 6.4.7."""
    finite(mean, "the mean")
    not_negative(u, "the standard uncertainty")
    return lambda random: random.gauss(mean, u)


def rectangular(low: float, high: float) -> Draw:
    """R(a, b), 6.4.2."""
    width = not_negative(finite(high, "b") - finite(low, "a"), "b - a")
    return lambda random: low + width * random.random()


def curvilinear_trapezoid(low: float, high: float, d: float) -> Draw:
    """CTrap(a, b, d): a rectangle whose limits are only known to ±d, with fixed midpoint (6.4.3.4).

    a' = a - d + 2d·r1, b' = (a + b) - a', ξ = a' + (b' - a')·r2. d must be less than (b - a)/2.
    """
    if not 0 <= d < 0.5 * (high - low):
        raise MetrologyError(f"d must be from 0 to less than (b - a)/2, not {d}")

    def draw(random: Random) -> float:
        left = low - d + 2 * d * random.random()
        return left + (low + high - 2 * left) * random.random()

    return draw


def triangular(low: float, high: float) -> Draw:
    """T(a, b), symmetric, the sum of two draws from rectangles (6.4.5.4)."""
    half = 0.5 * not_negative(finite(high, "b") - finite(low, "a"), "b - a")
    return lambda random: low + half * (random.random() + random.random())


def u_shaped(low: float, high: float) -> Draw:
    """U(a, b), arc sine (6.4.6.4)."""
    middle, half = 0.5 * (low + high), 0.5 * not_negative(finite(high, "b") - finite(low, "a"), "b - a")
    return lambda random: middle + half * math.sin(2 * math.pi * random.random())


def student_t(mean: float, scale: float, degrees_of_freedom: float) -> Draw:
    """t_ν(x, u²), scaled and shifted (6.4.9.5): a standard normal over √(χ²_ν/ν)."""
    finite(mean, "the mean")
    not_negative(scale, "the scale")
    shape = 0.5 * positive(degrees_of_freedom, "degrees of freedom")
    return lambda random: mean + scale * random.gauss(0, 1) / math.sqrt(random.gammavariate(shape, 1 / shape))


def independent(*draws: Draw) -> Sample:
    return lambda random: [draw(random) for draw in draws]


def multivariate_normal(mean: Sequence[float], covariance: Matrix) -> Sample:
    """N(x, U_x) with covariance matrix U_x (6.4.8, C.5). Raises MetrologyError if it is not a covariance."""
    lower = cholesky(covariance)
    if len(lower) != len(mean):
        raise MetrologyError(f"{len(mean)} estimates need a covariance matrix of as many rows")

    def sample(random: Random) -> Sequence[float]:
        z = [random.gauss(0, 1) for _ in mean]
        return [x + sum(map(float.__mul__, row, z)) for x, row in zip(mean, lower, strict=True)]

    return sample


def of_component(component: Component) -> Draw:
    """As the component declares itself: with a finite ν and no limits it is Student's t."""
    x, u = component.estimate, component.standard_uncertainty
    if component.distribution is Distribution.RECTANGULAR:
        return rectangular(x - u * math.sqrt(3), x + u * math.sqrt(3))
    if component.distribution is Distribution.TRIANGULAR:
        return triangular(x - u * math.sqrt(6), x + u * math.sqrt(6))
    if component.distribution is Distribution.U_SHAPED:
        return u_shaped(x - u * math.sqrt(2), x + u * math.sqrt(2))
    if component.degrees_of_freedom < math.inf:
        return student_t(x, u, component.degrees_of_freedom)
    return normal(x, u)


def of_budget(budget: Budget) -> Sample:
    """One value of each component, in the budget's order.

    Correlated components must be normal with infinite ν: how others vary together, a budget does not say.
    """
    names = [component.source for component in budget.components]
    correlated = [
        index for index, name in enumerate(names) if any(budget.correlation(name, b) for b in names if b != name)
    ]
    members = [budget.components[index] for index in correlated]
    for member in members:
        if member.distribution is not Distribution.NORMAL or member.degrees_of_freedom < math.inf:
            raise MetrologyError(
                f"{member.source} correlates and is not normal: its joint distribution is unknown"
            )
    together = multivariate_normal(
        [member.estimate for member in members],
        [
            [
                a.standard_uncertainty * b.standard_uncertainty * budget.correlation(a.source, b.source)
                for b in members
            ]
            for a in members
        ],
    )
    alone = [
        (index, of_component(component))
        for index, component in enumerate(budget.components)
        if index not in correlated
    ]

    def sample(random: Random) -> Sequence[float]:
        values = [0.0] * len(names)
        for index, draw in alone:
            values[index] = draw(random)
        for index, value in zip(correlated, together(random), strict=True):
            values[index] = value
        return values

    return sample
