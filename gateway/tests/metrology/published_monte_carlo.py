"""The Monte Carlo results that JCGM 101:2008 prints, computed with a fixed seed."""

import math
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from worked_examples import mass_model

from meter_gateway.metrology import monte_carlo, sampling

MASS_INPUTS = (
    sampling.normal(100_000, 0.05),
    sampling.normal(1.234, 0.02),
    sampling.rectangular(1.1, 1.3),
    sampling.rectangular(7000, 9000),
    sampling.rectangular(7950, 8050),
)


class MonteCarlo(NamedTuple):
    """Estimate, standard uncertainty and coverage interval, as printed with `decimals`.

    Reproduced means: y and u(y) to δ of 7.9.2 for two significant digits, the ends to δ for `digits` of them, on
    top of the printed rounding. Where the density is flat, the ends of a *shortest* interval scatter by more than
    the printed digits even for a million trials, so that one digit is what can be asked of Tables 8 and 9.
    """

    where: str
    what: str
    printed: tuple[float, float, float, float]
    decimals: int
    digits: int
    computed: Callable[[], monte_carlo.Propagated]

    @property
    def tolerance(self) -> float:
        """For the ends."""
        return monte_carlo.numerical_tolerance(self.printed[1], self.digits)

    @property
    def tolerances(self) -> tuple[float, float, float, float]:
        rounding = 0.5 * 10.0**-self.decimals
        moments = monte_carlo.numerical_tolerance(self.printed[1], 2) + rounding
        ends = self.tolerance + rounding
        return moments, moments, ends, ends


def sum_of_four(draw: Callable[[float], sampling.Draw], last: float = 1.0) -> monte_carlo.Propagated:
    sample = sampling.independent(draw(1.0), draw(1.0), draw(1.0), draw(last))
    return monte_carlo.propagate(lambda a, b, c, d: a + b + c + d, sample, Random(9), 200_000)


def centred_normal(u: float) -> sampling.Draw:
    return sampling.normal(0, u)


def centred_rectangular(u: float) -> sampling.Draw:
    return sampling.rectangular(-u * math.sqrt(3), u * math.sqrt(3))


def mass_by_monte_carlo() -> monte_carlo.Propagated:
    """Adaptive, to δ/5 as 8.2 asks for a validation."""
    return monte_carlo.propagate_adaptively(
        mass_model,
        sampling.independent(*MASS_INPUTS),
        Random(9),
        kind=monte_carlo.Kind.SHORTEST,
        significant_digits=1,
        tolerance_divisor=5,
    )


def comparison_loss_by_monte_carlo(x_1: float, r: float) -> monte_carlo.Propagated:
    variance = 0.005**2
    sample = sampling.multivariate_normal([x_1, 0.0], [[variance, r * variance], [r * variance, variance]])
    return monte_carlo.propagate(
        lambda a, b: 1e6 * (a * a + b * b), sample, Random(9), 200_000, kind=monte_carlo.Kind.SHORTEST
    )


def gauge_by_monte_carlo() -> monte_carlo.Propagated:
    """Table 10 and the approximate model, eq. 37, in nm and °C."""
    sample = sampling.independent(
        sampling.student_t(50_000_623, 25, 18),
        sampling.student_t(215, 6, 24),
        sampling.student_t(0, 4, 5),
        sampling.student_t(0, 7, 8),
        sampling.rectangular(9.5e-6, 13.5e-6),
        sampling.normal(-0.1, 0.2),
        sampling.u_shaped(-0.5, 0.5),
        sampling.curvilinear_trapezoid(-1e-6, 1e-6, 0.1e-6),
        sampling.curvilinear_trapezoid(-0.05, 0.05, 0.025),
    )

    def deviation(
        l_s: float, d: float, d_1: float, d_2: float, a_s: float, t_0: float, cycle: float, da: float, dt: float
    ) -> float:
        return l_s + d + d_1 + d_2 - l_s * (da * (t_0 + cycle) + a_s * dt) - 50_000_000

    return monte_carlo.propagate(deviation, sample, Random(9), 500_000, 0.99, monte_carlo.Kind.SHORTEST)


def loss(where: str, x_1: float, r: float, printed: tuple[float, float, float, float]) -> MonteCarlo:
    what = f"comparison loss, 10⁻⁶, x₁ = {x_1:.3f}, r = {r:g}"
    return MonteCarlo(where, what, printed, 0, 1, lambda: comparison_loss_by_monte_carlo(x_1, r))


MONTE_CARLO = [
    MonteCarlo("Table 2", "four normal inputs", (0, 2, -3.92, 3.92), 2, 2, lambda: sum_of_four(centred_normal)),
    MonteCarlo("Table 3", "four rectangular", (0, 2, -3.88, 3.88), 2, 2, lambda: sum_of_four(centred_rectangular)),
    MonteCarlo(
        "Table 4", "one ten times as wide", (0, 10.1, -17, 17), 1, 2, lambda: sum_of_four(centred_rectangular, 10)
    ),
    MonteCarlo("Table 6", "mass, mg, adaptive", (1.2341, 0.0754, 1.0834, 1.3825), 4, 1, mass_by_monte_carlo),
    loss("Table 8", 0, 0, (50, 50, 0, 150)),
    loss("Table 8", 0.010, 0, (150, 112, 0, 367)),
    loss("Table 8", 0.050, 0, (2551, 502, 1590, 3543)),
    loss("Table 9", 0, 0.9, (50, 67, 0, 185)),
    loss("Table 9", 0.010, 0.9, (150, 121, 13, 398)),
    loss("Table 9", 0.050, 0.9, (2551, 504, 1628, 3555)),
    MonteCarlo("Table 11", "gauge block, nm, 99 %", (838, 36, 745, 932), 0, 2, gauge_by_monte_carlo),
]
