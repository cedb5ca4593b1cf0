"""Every published number that meter_gateway.metrology reproduces, as it is printed, and how it is computed.

test_metrology_published.py computes each and compares the printed text; docs/metrology.md shows this list, and
`python gateway/tests/metrology/published.py` writes it there. `inputs` names the block of the shared vectors that
a case takes its data from; the others carry their few inputs themselves.
"""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

from meter_gateway.metrology import (
    conformity,
    constants,
    control_charts,
    drift,
    en14181,
    intervals,
    least_squares,
    monte_carlo,
    quantiles,
    rata,
    risk,
    sampling,
    second_order,
)
from meter_gateway.metrology.budget import Budget, Component, bounded, correlation, covariance, normal, observed
from meter_gateway.metrology.conformity import Tolerance

PAGE = Path(__file__).parents[3] / "docs" / "metrology.md"

Vectors = dict[str, Any]
Tag = Literal["S", "C", "M", "S+C", "M+C"]


Numbers = float | tuple[float, ...]


class Published(NamedTuple):
    """`printed` is the numbers as printed, with their unit; `computed` gives as many numbers."""

    source: str
    what: str
    printed: str
    computed: Callable[[Vectors], Numbers]
    function: str
    tag: Tag = "S"
    inputs: str | None = None


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


MASS_INPUTS = (
    sampling.normal(100_000, 0.05),
    sampling.normal(1.234, 0.02),
    sampling.rectangular(1.1, 1.3),
    sampling.rectangular(7000, 9000),
    sampling.rectangular(7950, 8050),
)


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


GUM, S1, C106 = "JCGM 100:2008", "JCGM 101:2008", "JCGM 106:2012"
RP1, NASA, NIST = "NCSLI RP-1, by suncal's tests", "NASA-HDBK-8739.19-5", "NIST/SEMATECH e-Handbook"
TN1900, MACHINE = "NIST TN 1900, by suncal's tests", "NIST Uncertainty Machine 10, by suncal's tests"
BUDGET, SECOND = "budget.Budget", "second_order.combined_uncertainty"
P_C, RISK, LINE = "conformity.conformance_probability", "risk.global_risks", "least_squares.line"
A3, CHART = "intervals.a3_interval", "control_charts"

PUBLISHED = [
    Published(f"{GUM} H.1", "l = l_S + d", "50.000838 mm", lambda v: gauge_block_length() / 1e6, BUDGET),
    Published(
        f"{GUM} H.1.6", "ν_eff(d)", "25.6", lambda v: gauge_difference().effective_degrees_of_freedom(), BUDGET
    ),
    Published(f"{GUM} H.1", "u_c²", "1002 nm²", lambda v: gauge_block().combined_uncertainty() ** 2, BUDGET),
    Published(f"{GUM} H.1", "u_c", "32 nm", lambda v: gauge_block().combined_uncertainty(), BUDGET),
    Published(f"{GUM} H.1", "ν_eff", "16.7", lambda v: gauge_block().effective_degrees_of_freedom(), BUDGET),
    Published(f"{GUM} H.1", "k = t₉₉(16)", "2.92", lambda v: gauge_block().expanded(0.99).k, BUDGET),
    Published(f"{GUM} H.1", "U₉₉ = 2.92·32 nm", "93 nm", lambda v: gauge_block().expanded(0.99).k * 32, BUDGET),
    Published(f"{GUM} H.1.7", "u_c with second-order terms", "34 nm", lambda v: gauge_second_order(), SECOND),
    Published(f"{GUM} G.4.1", "u_c", "1.03 %", lambda v: product().combined_uncertainty(), BUDGET),
    Published(f"{GUM} G.4.1", "ν_eff", "19.0", lambda v: product().effective_degrees_of_freedom(), BUDGET),
    Published(
        f"{GUM} G.4.1", "t₉₅, ν_eff not truncated", "2.09", lambda v: product().expanded(truncated=False).k, BUDGET
    ),
    Published(f"{GUM} G.4.1", "U₉₅", "2.2 %", lambda v: product().expanded().expanded_uncertainty, BUDGET),
    Published(f"{GUM} H.2", "R", "127.732 Ω", lambda v: impedance(v).values[0], BUDGET, inputs="gum_H2"),
    Published(f"{GUM} H.2", "u(R)", "0.071 Ω", lambda v: impedance(v).u(0), BUDGET, inputs="gum_H2"),
    Published(f"{GUM} H.2", "X", "219.847 Ω", lambda v: impedance(v).values[1], BUDGET, inputs="gum_H2"),
    Published(
        f"{GUM} H.2", "u(X), printed 0.295", "0.29558 Ω", lambda v: impedance(v).u(1), BUDGET, "C", "gum_H2"
    ),
    Published(f"{GUM} H.2", "Z", "254.260 Ω", lambda v: impedance(v).values[2], BUDGET, inputs="gum_H2"),
    Published(f"{GUM} H.2", "u(Z)", "0.236 Ω", lambda v: impedance(v).u(2), BUDGET, inputs="gum_H2"),
    Published(
        f"{GUM} H.2",
        "r(R, X)",
        "-0.588",
        lambda v: impedance(v).correlation(0, 1),
        "budget.covariance",
        inputs="gum_H2",
    ),
    Published(
        f"{GUM} H.2",
        "r(R, Z)",
        "-0.485",
        lambda v: impedance(v).correlation(0, 2),
        "budget.covariance",
        inputs="gum_H2",
    ),
    Published(
        f"{GUM} H.2",
        "r(X, Z)",
        "0.993",
        lambda v: impedance(v).correlation(1, 2),
        "budget.covariance",
        inputs="gum_H2",
    ),
    Published(f"{GUM} H.3", "y₁", "-0.1712 °C", lambda v: thermometer(v).intercept, LINE, inputs="gum_H3"),
    Published(f"{GUM} H.3", "s(y₁)", "0.0029 °C", lambda v: thermometer(v).u_intercept, LINE, inputs="gum_H3"),
    Published(f"{GUM} H.3", "y₂", "0.00218", lambda v: thermometer(v).slope, LINE, inputs="gum_H3"),
    Published(f"{GUM} H.3", "s(y₂)", "0.00067", lambda v: thermometer(v).u_slope, LINE, inputs="gum_H3"),
    Published(f"{GUM} H.3", "r(y₁, y₂)", "-0.930", lambda v: thermometer(v).correlation, LINE, inputs="gum_H3"),
    Published(
        f"{GUM} H.3", "s", "0.0035 °C", lambda v: thermometer(v).fit.standard_deviation, LINE, inputs="gum_H3"
    ),
    Published(
        f"{GUM} H.3", "b(30 °C)", "-0.1494 °C", lambda v: thermometer(v).predicted(30)[0], LINE, inputs="gum_H3"
    ),
    Published(
        f"{GUM} H.3", "u(b(30 °C))", "0.0041 °C", lambda v: thermometer(v).predicted(30)[1], LINE, inputs="gum_H3"
    ),
    Published(f"{S1} Table 6", "GUF₁ u", "0.0539 mg", lambda v: mass_budget().combined_uncertainty(), BUDGET),
    Published(TN1900, "E13: thermal expansion", "1.7266e-5", lambda v: thermal_expansion()[0], BUDGET),
    Published(TN1900, "E13: u", "1.76e-6", lambda v: thermal_expansion()[1].combined_uncertainty(), BUDGET),
    Published(MACHINE, "Stefan–Boltzmann", "5.67037e-8", lambda v: stefan_boltzmann()[0], BUDGET),
    Published(MACHINE, "its u", "2.05e-13", lambda v: stefan_boltzmann()[1].combined_uncertainty(), BUDGET),
    Published(
        f"{S1} Table 6",
        "GUF₁ 95 % interval",
        "1.1285, 1.3395 mg",
        lambda v: around(1.234, mass_budget().combined_uncertainty()),
        BUDGET,
    ),
    Published(f"{S1} Table 6", "GUF₂ u", "0.0750 mg", lambda v: mass_second_order(), SECOND),
    Published(
        f"{S1} Table 6",
        "GUF₂ 95 % interval, 1.96·0.0750",
        "1.0870, 1.3810 mg",
        lambda v: around(1.234, round(mass_second_order(), 4)),
        SECOND,
    ),
    Published(f"{S1} Table 8", "G₂ u(δy), x₁ = 0", "50e-6", lambda v: comparison_loss(0.0), SECOND),
    Published(f"{S1} Table 8", "G₂ u(δy), x₁ = 0.010", "112e-6", lambda v: comparison_loss(0.010), SECOND),
    Published(f"{S1} Table 8", "G₂ u(δy), x₁ = 0.050", "502e-6", lambda v: comparison_loss(0.050), SECOND),
    Published(f"{S1} Table 11", "GUF u", "32 nm", lambda v: gauge_supplement().combined_uncertainty(), BUDGET),
    Published(f"{S1} Table 11", "GUF 99 % interval", "745, 931 nm", lambda v: gauge_supplement_interval(), BUDGET),
    Published(
        f"{S1} 7.9.2",
        "δ of u = 0.00035 g, two digits",
        "0.000005 g",
        lambda v: monte_carlo.numerical_tolerance(0.00035),
        "monte_carlo.numerical_tolerance",
    ),
    Published(
        f"{S1} 7.9.2",
        "δ of u = 0.00035 g, one digit",
        "0.00005 g",
        lambda v: monte_carlo.numerical_tolerance(0.00035, 1),
        "monte_carlo.numerical_tolerance",
    ),
    Published(
        f"{C106} 7.3",
        "Zener diode: y -5.47, u 0.05, T_U -5.40 V",
        "0.92",
        lambda v: conformance(-5.47, 0.05, None, -5.40),
        P_C,
        "S+C",
    ),
    Published(
        f"{C106} 7.3",
        "burst pressure: 509.7, u 8.6, T_L 490 kPa",
        "0.99",
        lambda v: conformance(509.7, 8.6, 490, None),
        P_C,
        "S+C",
    ),
    Published(
        f"{C106} 7.4",
        "motor oil: 13.6, u 1.8, 12.5 to 16.3",
        "0.66",
        lambda v: conformance(13.6, 1.8, 12.5, 16.3),
        P_C,
        "S+C",
    ),
    Published(
        f"{C106} Table 1",
        "z for 0.80, 0.90, 0.95, 0.99, 0.999",
        "0.84, 1.28, 1.64, 2.33, 3.09",
        lambda v: one_sided_z(),
        "quantiles.normal_quantile",
    ),
    Published(
        f"{C106} 8.3.2.3",
        "largest risk with w = U",
        "2.3 %",
        lambda v: risk_at_acceptance_limit(1),
        "conformity.decide",
    ),
    Published(
        f"{C106} 8.3.2.3",
        "the same with r = 0.83, 0.5",
        "4.8, 15.9 %",
        lambda v: (risk_at_acceptance_limit(0.83), risk_at_acceptance_limit(0.5)),
        "conformity.decide",
        "C",
    ),
    Published(
        f"{C106} 8.3.3",
        "speed threshold, 99.9 %",
        "107 km/h",
        lambda v: speed_threshold(),
        "quantiles.normal_quantile",
    ),
    Published(
        f"{C106} 8.3.3",
        "nandrolone: t₀.₉₅;₉",
        "1.83",
        lambda v: quantiles.t_one_sided(0.95, 9),
        "quantiles.t_one_sided",
    ),
    Published(f"{C106} 8.3.3", "nandrolone: A", "2.37 µg/L", lambda v: nandrolone(), "quantiles.t_one_sided"),
    Published(
        f"{C106} 9.5.3", "resistors: p_c before measuring", "0.90", lambda v: resistors().prior_conformance, RISK
    ),
    Published(
        f"{C106} 9.5.3",
        "resistors: R_C, R_P",
        "0.01, 0.07",
        lambda v: (resistors().consumer, resistors().producer),
        RISK,
    ),
    Published(
        f"{C106} 9.5.4",
        "ball bearings: not conforming before",
        "0.042",
        lambda v: 1 - bearings().prior_conformance,
        RISK,
    ),
    Published(
        f"{C106} 9.5.4",
        "ball bearings, r = 0.65: R_C, R_P",
        "0.1, 7.5 %",
        lambda v: (100 * bearings().consumer, 100 * bearings().producer),
        RISK,
    ),
    Published(
        "NCSLI RP-19, by suncal's tests",
        "PFA at ratio 4, prior 0.6, 0.7, 0.8",
        "4.8386, 3.9223, 2.8558 %",
        lambda v: tuple(map(false_accept, (0.6, 0.7, 0.8))),
        RISK,
    ),
    Published(
        "NCSLI RP-19, by suncal's tests",
        "PFA at ratio 4, prior 0.9, 0.95, 0.99",
        "1.59995, 0.87101, 0.19992 %",
        lambda v: tuple(map(false_accept, (0.9, 0.95, 0.99))),
        RISK,
    ),
    Published(
        "Deaver, by suncal's tests",
        "limit 2σ, ratio 4: PFA, FR",
        "0.008, 0.015",
        lambda v: both(deaver(2, 4, 1)),
        RISK,
    ),
    Published(
        "Deaver, by suncal's tests",
        "limit 2σ, ratio 2, band 0.91: PFA, FR",
        "0.008, 0.066",
        lambda v: both(deaver(2, 2, 0.91)),
        RISK,
    ),
    Published(
        NASA,
        "Table 7-3: b₁, b₂",
        "1.5741e-4, 1.674e-5",
        lambda v: nasa_drift().fit.coefficients,
        "drift.from_calibrations",
    ),
    Published(
        NASA, "Table 7-3: s_yx", "0.0708", lambda v: nasa_drift().fit.standard_deviation, "drift.from_calibrations"
    ),
    Published(
        NASA, "Table 7-7: u reaches 0.5", "327.15 d", lambda v: nasa_uncertainty(), "drift.days_to_uncertainty"
    ),
    Published(
        NASA,
        "Table 7-4: 90 % within 9 to 11",
        "140.1 d",
        lambda v: nasa_limit(Tolerance(9, 11)),
        "drift.days_to_limit",
    ),
    Published(
        NASA,
        "Table 7-5: 90 % below 11",
        "171.75 d",
        lambda v: nasa_limit(Tolerance(None, 11)),
        "drift.days_to_limit",
    ),
    Published(RP1, "A3: 15 of 20, 365 d, 0.95", "231 d", lambda v: a3(15, 20, 365, 0.95).interval_d, A3, "S+C"),
    Published(RP1, "A3: 14 of 20, 365 d, 0.95", "205 d", lambda v: a3(14, 20, 365, 0.95).interval_d, A3, "S+C"),
    Published(RP1, "A3: 16 of 20, 730 d, 0.95", "523 d", lambda v: a3(16, 20, 730, 0.95).interval_d, A3, "S+C"),
    Published(
        RP1, "A3: 42 of 50, 365 d, 0.90", "329 d", lambda v: a3(42, 50, 365, 0.9, 0.3).interval_d, A3, "S+C"
    ),
    Published(
        RP1, "rejection confidence of the four", "0.9949, 0.9993, 0.9682, 0.7557", lambda v: a3_confidences(), A3
    ),
    Published(
        RP1,
        "reliability range of 15 of 20 at 50 %",
        "0.6516, 0.8286",
        lambda v: a3(15, 20, 365, 0.95).reliability_range,
        "intervals.reliability_range",
    ),
    Published(
        f"{NIST} 6.3.2.4",
        "EWMA of 20 values, the last four",
        "50.73, 51.23, 51.94, 51.99",
        lambda v: tuple(ewma_chart(v).run(v["nist_handbook_ewma"]["x"])[-4:]),
        CHART,
        "M+C",
        "nist_handbook_ewma",
    ),
    Published(
        f"{NIST} 6.3.2.4",
        "LCL, UCL",
        "47.4116, 52.5884",
        lambda v: ewma_chart(v).limits,
        CHART,
        "M+C",
        "nist_handbook_ewma",
    ),
    Published(
        f"{NIST} 6.3.2.3",
        "S_hi #13 to #16",
        "3.01, 4.94, 7.45, 10.63",
        lambda v: cusum_sums(v)[12:16],
        CHART,
        "M+C",
        "nist_handbook_cusum",
    ),
    Published(
        f"{NIST} 6.3.2.3",
        "S_hi #17 to #20",
        "11.99, 14.44, 16.00, 19.04",
        lambda v: cusum_sums(v)[16:20],
        CHART,
        "M+C",
        "nist_handbook_cusum",
    ),
    Published(f"{NIST} 6.3.2.3", "first alarm", "14", cusum_alarm, CHART, "M+C", "nist_handbook_cusum"),
    Published(
        "RATA, constructed",
        "mean difference, S_d, CC",
        "-0.114444, 0.0283333, 0.0217789",
        rata_parts,
        "rata.relative_accuracy",
        "C",
        "rata",
    ),
    Published(
        "RATA, constructed",
        "RA",
        "1.1332 %",
        lambda v: ratio_run(v).percent,
        "rata.relative_accuracy",
        "C",
        "rata",
    ),
    Published(
        "EN 14181",
        "k_v for N = 3, 5, 15, 20, 30",
        "0.8326, 0.9161, 0.9761, 0.9824, 0.9885",
        lambda v: tuple(map(en14181.variability_factor, (3, 5, 15, 20, 30))),
        "en14181.variability_factor",
        "C",
    ),
]


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


def published_table() -> str:
    lines = ["| source | what | printed | function | tag |", "|---|---|---|---|---|"]
    lines += [f"| {p.source} | {p.what} | {p.printed} | `{p.function}` | {p.tag} |" for p in PUBLISHED]
    return "\n".join(lines)


def monte_carlo_table() -> str:
    lines = [f"| {S1} | what | y | u(y) | interval | δ |", "|---|---|---|---|---|---|"]
    for case in MONTE_CARLO:
        y, u, low, high = case.printed
        lines.append(f"| {case.where} | {case.what} | {y:g} | {u:g} | [{low:g}, {high:g}] | {case.tolerance:g} |")
    return "\n".join(lines)


def guard_band_table() -> str:
    lines = ["| name | acceptance limit | tag |", "|---|---|---|"]
    lines += [f"| `{name}` | {band.source} | {band.tag} |" for name, band in conformity.GUARD_BANDS.items()]
    return "\n".join(lines)


def constants_table() -> str:
    lines = ["| constant | value | tag | source |", "|---|---|---|---|"]
    for name, constant in vars(constants).items():
        if isinstance(constant, constants.Sourced):
            lines.append(f"| `{name}` | {constant.value:.4g} | {constant.tag} | {constant.source} |")
    return "\n".join(lines)


TABLES = {
    "published": published_table,
    "monte carlo": monte_carlo_table,
    "guard bands": guard_band_table,
    "constants": constants_table,
}
"""What docs/metrology.md shows between `<!-- NAME: made -->` and `<!-- NAME: end -->`."""


def shown(page: str, name: str) -> str:
    return page.partition(f"<!-- {name}: made -->")[2].partition(f"<!-- {name}: end -->")[0].strip()


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, made in TABLES.items():
        before, mark, rest = page.partition(f"<!-- {name}: made -->")
        _, end, after = rest.partition(f"<!-- {name}: end -->")
        page = f"{before}{mark}\n{made()}\n{end}{after}"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
