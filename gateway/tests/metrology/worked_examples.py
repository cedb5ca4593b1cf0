"""The worked examples of the norms and handbooks: their inputs, and what meter_gateway.metrology makes of them.

Few inputs stand here; series come from the shared vectors, which are an argument then.
"""

import math
from functools import cache
from typing import Any, NamedTuple

from meter_gateway.metrology import (
    conformity,
    control_charts,
    drift,
    intervals,
    least_squares,
    quantiles,
    rata,
    risk,
    second_order,
)
from meter_gateway.metrology.budget import Budget, Component, bounded, correlation, covariance, normal, observed
from meter_gateway.metrology.conformity import Tolerance

Vectors = dict[str, Any]
"""Blocks of metrology_vectors.json."""


GAUGE_DIFFERENCE = (
    Component("d, repeated observations", 215, 13 / math.sqrt(5), degrees_of_freedom=24),
    normal("d, random effects of the comparator", 0, 10, 2.57, degrees_of_freedom=5),
    normal("d, systematic effects of the comparator", 0, 20, 3, degrees_of_freedom=8),
)


def gauge_difference() -> Budget:
    """GUM H.1.3.2, in nm."""
    return Budget(GAUGE_DIFFERENCE)


def gauge_block() -> Budget:
    """GUM H.1, in nm and °C. Sensitivities are -l_S·θ and -l_S·α_S, and 0 where δα and δθ are estimated as 0."""
    return Budget(
        [
            normal("l_S", 50_000_623, 75, 3, degrees_of_freedom=18),
            *GAUGE_DIFFERENCE,
            bounded("δα", 0, 1e-6, sensitivity=50_000_623 * 0.1, degrees_of_freedom=50),
            bounded("δθ", 0, 0.05, sensitivity=-50_000_623 * 11.5e-6, degrees_of_freedom=2),
            bounded("α_S", 11.5e-6, 2e-6, sensitivity=0),
            Component("θ", -0.1, math.hypot(0.2, 0.5 / math.sqrt(2)), sensitivity=0),
        ]
    )


def gauge_block_length() -> float:
    return 50_000_623 + 215


def gauge_second_order() -> float:
    """H.1.7: the mixed derivatives by (δα, θ) and (α_S, δθ) are -l_S."""
    l_s = 50_000_623
    return second_order.combined_uncertainty(gauge_block(), {("δα", "θ"): -l_s, ("α_S", "δθ"): -l_s})


def gauge_supplement() -> Budget:
    """JCGM 101 Table 10, whose parameters are rounded to whole nanometres, with the degrees of freedom of H.1."""
    return Budget(
        [
            Component("L_S", 50_000_623, 25, degrees_of_freedom=18),
            Component("D", 215, 6, degrees_of_freedom=24),
            Component("d_1", 0, 4, degrees_of_freedom=5),
            Component("d_2", 0, 7, degrees_of_freedom=8),
            bounded("δα", 0, 1e-6, sensitivity=50_000_623 * 0.1, degrees_of_freedom=50),
            bounded("δθ", 0, 0.05, sensitivity=-50_000_623 * 11.5e-6, degrees_of_freedom=2),
        ]
    )


def gauge_supplement_interval() -> tuple[float, float]:
    u = gauge_supplement().expanded(0.99).expanded_uncertainty
    return 838 - u, 838 + u


def product() -> Budget:
    """GUM G.4.1: y = b·x_1·x_2·x_3 with relative standard uncertainties in percent."""
    parts = ((0.25, 10), (0.57, 5), (0.82, 15))
    return Budget(Component(f"x{i}", 0, u, degrees_of_freedom=n - 1) for i, (u, n) in enumerate(parts, 1))


def thermal_expansion() -> tuple[float, Budget]:
    """NIST TN 1900 E13: α = (L_1 - L_0)/(L_0·(T_1 - T_0)), each with ν = 3."""
    l_0, l_1, rise = 1.4999, 1.5021, 373.10 - 288.15
    alpha = (l_1 - l_0) / (l_0 * rise)
    parts = (
        ("L_0", l_0, 0.0001, -l_1 / (l_0**2 * rise)),
        ("L_1", l_1, 0.0002, 1 / (l_0 * rise)),
        ("T_0", 288.15, 0.02, alpha / rise),
        ("T_1", 373.10, 0.05, -alpha / rise),
    )
    return alpha, Budget(Component(name, x, u, sensitivity=c, degrees_of_freedom=3) for name, x, u, c in parts)


def stefan_boltzmann() -> tuple[float, Budget]:
    """NIST Uncertainty Machine, example 10: σ = 32π⁵·h·R⁴·R∞⁴/(15·A_e⁴·0.001⁴·c⁶·α⁸), CODATA 2010."""
    powers = (
        ("h", 6.62606957e-34, 0.00000029e-34, 1),
        ("R", 8.3144621, 0.0000075, 4),
        ("R∞", 10973731.568539, 0.000055, 4),
        ("A_e", 5.4857990946e-4, 0.0000000022e-4, -4),
        ("α", 7.2973525698e-3, 0.0000000024e-3, -8),
    )
    sigma = 32 * math.pi**5 / (15 * 0.001**4 * 299792458**6) * math.prod(x**power for _, x, _, power in powers)
    return sigma, Budget(Component(name, x, u, sensitivity=power * sigma / x) for name, x, u, power in powers)


class Impedance(NamedTuple):
    """GUM H.2: R, X and Z from simultaneous V, I and φ."""

    r: Budget
    x: Budget
    z: Budget
    values: tuple[float, float, float]

    def u(self, index: int) -> float:
        return (self.r, self.x, self.z)[index].combined_uncertainty()

    def correlation(self, i: int, j: int) -> float:
        budgets = (self.r, self.x, self.z)
        return covariance(budgets[i], budgets[j]) / (self.u(i) * self.u(j))


def impedance(vectors: Vectors) -> Impedance:
    data = vectors["gum_H2"]
    series = {"V": data["V"], "I": [current / 1000 for current in data["I_mA"]], "phi": data["phi"]}
    means = {name: observed(name, values) for name, values in series.items()}
    v, i, phi = (means[name].estimate for name in ("V", "I", "phi"))
    names = [("V", "I"), ("V", "phi"), ("I", "phi")]
    correlations = {(a, b): correlation(series[a], series[b]) for a, b in names}
    r, x, z = v / i * math.cos(phi), v / i * math.sin(phi), v / i

    def budget(by_v: float, by_i: float, by_phi: float) -> Budget:
        return Budget(
            [
                observed("V", series["V"], sensitivity=by_v, ensemble="run"),
                observed("I", series["I"], sensitivity=by_i, ensemble="run"),
                observed("phi", series["phi"], sensitivity=by_phi, ensemble="run"),
            ],
            correlations,
        )

    return Impedance(budget(r / v, -r / i, -x), budget(x / v, -x / i, r), budget(z / v, -z / i, 0.0), (r, x, z))


def thermometer(vectors: Vectors) -> least_squares.Line:
    """GUM H.3: the correction b(t) as a straight line about 20 °C."""
    data = vectors["gum_H3"]
    return least_squares.line(data["t"], data["b"], data["t0"])


@cache
def resistors() -> risk.Risks:
    return risk.global_risks(
        risk.normal_prior(1500, 0.12), 0.04, Tolerance(1499.8, 1500.2), Tolerance(1499.82, 1500.18)
    )


@cache
def bearings() -> risk.Risks:
    """JCGM 106 9.5.4, r = 0.65; rejected is what measures above A."""
    acceptance = 2 - 2 * 0.65 * 0.25
    return risk.global_risks(risk.gamma_prior(1, 0.5), 0.25, Tolerance(0, 2), Tolerance(None, acceptance))


def false_accept(prior_in_tolerance: float, ratio: float = 4) -> float:
    """PFA in percent, with the convention of its source: the measurement's σ is the process' over `ratio`."""
    sigma = 1 / quantiles.normal_quantile(0.5 * (1 + prior_in_tolerance))
    limits = Tolerance(-1, 1)
    return 100 * risk.global_risks(risk.normal_prior(0, sigma), sigma / ratio, limits, limits).consumer


def deaver(limit: float, ratio: float, band: float) -> risk.Risks:
    accepted = Tolerance(-band * limit, band * limit)
    return risk.global_risks(risk.normal_prior(0, 1), 1 / ratio, Tolerance(-limit, limit), accepted)


def nasa_drift() -> drift.Drift:
    """NASA-HDBK-8739.19-5, Table 7-2; δ = b_1·t + b_2·t²."""
    return drift.from_calibrations([70, 86, 104, 135, 167, 173], [0.1, 0.11, 0.251, 0.299, 0.403, 0.615], order=2)


def nasa_limit(tolerance: Tolerance) -> float:
    found = drift.days_to_limit(nasa_drift(), 10.03, 0.28, tolerance, 0.9, horizon_d=1000)
    assert found is not None
    return found


def a3(*of: float) -> intervals.A3Interval:
    in_tolerance, calibrations, interval_d, target = of[:4]
    confidence = of[4] if len(of) > 4 else 0.5
    return intervals.a3_interval(int(in_tolerance), int(calibrations), interval_d, target, confidence)


def ratio_run(vectors: Vectors) -> rata.RelativeAccuracy:
    data = vectors["rata"]
    pairs = zip(data["RM"], data["CEM"], strict=True)
    return rata.relative_accuracy([rata.Run(reference, monitor, "dry, 21 min") for reference, monitor in pairs])


def ewma_chart(vectors: Vectors) -> control_charts.Ewma:
    data = vectors["nist_handbook_ewma"]
    return control_charts.Ewma(data["target"], data["sigma"], data["lambda"])


def cusum_states(vectors: Vectors) -> tuple[control_charts.Cusum, list[control_charts.CusumState]]:
    data = vectors["nist_handbook_cusum"]
    chart = control_charts.Cusum(data["target"], data["k"], data["h"])
    return chart, chart.run(data["x"])


def cusum_alarm(vectors: Vectors) -> int:
    chart, states = cusum_states(vectors)
    return 1 + next(index for index, state in enumerate(states) if chart.is_out_of_control(state))


def mass_model(m_r: float, dm_r: float, rho_a: float, rho_w: float, rho_r: float) -> float:
    """JCGM 101 9.3, eq. 24, in mg and kg/m³."""
    return (m_r + dm_r) * (1 + (rho_a - 1.2) * (1 / rho_w - 1 / rho_r)) - 100_000


def mass_budget() -> Budget:
    return Budget(
        [
            Component("m_R", 100_000, 0.05),
            Component("δm_R", 1.234, 0.02),
            bounded("ρ_a", 1.2, 0.1, sensitivity=0),
            bounded("ρ_W", 8000, 1000, sensitivity=0),
            bounded("ρ_R", 8000, 50, sensitivity=0),
        ]
    )


def mass_second_order() -> float:
    """The mixed derivatives of eq. 24 by (ρ_a, ρ_W) and (ρ_a, ρ_R), and those of third order by ρ_a, ρ_W, ρ_W."""
    m = 100_001.234
    by_w, by_r = -m / 8000**2, m / 8000**2
    return second_order.combined_uncertainty(mass_budget(), {("ρ_a", "ρ_W"): by_w, ("ρ_a", "ρ_R"): by_r})


def around(estimate: float, u: float) -> tuple[float, float]:
    """A normal 95 % interval."""
    k = quantiles.t_factor(0.95, math.inf)
    return estimate - k * u, estimate + k * u


def comparison_loss(x_1: float) -> float:
    """JCGM 101 F.1.2 for r = 0, by the second-order terms with f_11 = f_22 = 2; in units of 1."""
    budget = Budget([Component("x1", x_1, 0.005, sensitivity=2 * x_1), Component("x2", 0, 0.005, sensitivity=0)])
    return second_order.combined_uncertainty(budget, {("x1", "x1"): 2.0, ("x2", "x2"): 2.0})


def conformance(estimate: float, u: float, lower: float | None, upper: float | None) -> float:
    return conformity.conformance_probability(estimate, u, Tolerance(lower, upper))


def one_sided_z() -> tuple[float, ...]:
    return tuple(map(quantiles.normal_quantile, (0.8, 0.9, 0.95, 0.99, 0.999)))


def both(risks: risk.Risks) -> tuple[float, float]:
    return risks.consumer, risks.producer


def nasa_uncertainty() -> float:
    found = drift.days_to_uncertainty(nasa_drift(), 0.28, 0.5, horizon_d=1000)
    assert found is not None
    return found


def a3_confidences() -> tuple[float, ...]:
    cases = ((15, 20, 365, 0.95), (14, 20, 365, 0.95), (16, 20, 730, 0.95), (42, 50, 365, 0.9))
    return tuple(a3(*case).rejection_confidence for case in cases)


def cusum_sums(vectors: Vectors) -> tuple[float, ...]:
    return tuple(state.high for state in cusum_states(vectors)[1])


def rata_parts(vectors: Vectors) -> tuple[float, float, float]:
    run = ratio_run(vectors)
    return run.mean_difference, run.standard_deviation, run.confidence_coefficient


def nandrolone() -> float:
    """JCGM 106 8.3.3.3: A = T + t_(0.95;9)·s, s = 0.20 µg/L."""
    return 2.00 + quantiles.t_one_sided(0.95, 9) * 0.20


def speed_threshold() -> float:
    """JCGM 106 8.3.3: v_max = v_0/(1 - 0.02·z) for 99.9 %."""
    return 100 / (1 - 0.02 * quantiles.normal_quantile(0.999))


def risk_at_acceptance_limit(multiplier: float) -> float:
    """In percent, of a value on the limit that the guard band w = r·U leaves, far from the other limit."""
    limits = conformity.maximum_permissible_error(100)
    decision = conformity.decide(0, 1, limits, conformity.DecisionRule("guarded", multiplier))
    assert decision.acceptance is not None
    assert decision.acceptance.upper is not None
    return 100 * (1 - conformity.conformance_probability(decision.acceptance.upper, 0.5, limits))
