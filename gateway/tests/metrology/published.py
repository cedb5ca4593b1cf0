"""Every published number that meter_gateway.metrology reproduces, as it is printed, and how it is computed.

test_metrology_published.py computes each and compares the printed text; docs/metrology.md shows the list. `inputs`
names the block of the shared vectors that a case takes its series from.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import worked_examples as of
from worked_examples import Vectors

from meter_gateway.metrology import en14181, monte_carlo, quantiles
from meter_gateway.metrology.conformity import Tolerance

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


GUM, S1, C106 = "JCGM 100:2008", "JCGM 101:2008", "JCGM 106:2012"
RP1, NASA, NIST = "NCSLI RP-1, by suncal's tests", "NASA-HDBK-8739.19-5", "NIST/SEMATECH e-Handbook"
TN1900, MACHINE = "NIST TN 1900, by suncal's tests", "NIST Uncertainty Machine 10, by suncal's tests"
BUDGET, SECOND = "budget.Budget", "second_order.combined_uncertainty"
P_C, RISK, LINE = "conformity.conformance_probability", "risk.global_risks", "least_squares.line"
A3, CHART = "intervals.a3_interval", "control_charts"

PUBLISHED = [
    Published(f"{GUM} H.1", "l = l_S + d", "50.000838 mm", lambda v: of.gauge_block_length() / 1e6, BUDGET),
    Published(
        f"{GUM} H.1.6", "ν_eff(d)", "25.6", lambda v: of.gauge_difference().effective_degrees_of_freedom(), BUDGET
    ),
    Published(f"{GUM} H.1", "u_c²", "1002 nm²", lambda v: of.gauge_block().combined_uncertainty() ** 2, BUDGET),
    Published(f"{GUM} H.1", "u_c", "32 nm", lambda v: of.gauge_block().combined_uncertainty(), BUDGET),
    Published(f"{GUM} H.1", "ν_eff", "16.7", lambda v: of.gauge_block().effective_degrees_of_freedom(), BUDGET),
    Published(f"{GUM} H.1", "k = t₉₉(16)", "2.92", lambda v: of.gauge_block().expanded(0.99).k, BUDGET),
    Published(f"{GUM} H.1", "U₉₉ = 2.92·32 nm", "93 nm", lambda v: of.gauge_block().expanded(0.99).k * 32, BUDGET),
    Published(f"{GUM} H.1.7", "u_c with second-order terms", "34 nm", lambda v: of.gauge_second_order(), SECOND),
    Published(f"{GUM} G.4.1", "u_c", "1.03 %", lambda v: of.product().combined_uncertainty(), BUDGET),
    Published(f"{GUM} G.4.1", "ν_eff", "19.0", lambda v: of.product().effective_degrees_of_freedom(), BUDGET),
    Published(
        f"{GUM} G.4.1",
        "t₉₅, ν_eff not truncated",
        "2.09",
        lambda v: of.product().expanded(truncated=False).k,
        BUDGET,
    ),
    Published(f"{GUM} G.4.1", "U₉₅", "2.2 %", lambda v: of.product().expanded().expanded_uncertainty, BUDGET),
    Published(f"{GUM} H.2", "R", "127.732 Ω", lambda v: of.impedance(v).values[0], BUDGET, inputs="gum_H2"),
    Published(f"{GUM} H.2", "u(R)", "0.071 Ω", lambda v: of.impedance(v).u(0), BUDGET, inputs="gum_H2"),
    Published(f"{GUM} H.2", "X", "219.847 Ω", lambda v: of.impedance(v).values[1], BUDGET, inputs="gum_H2"),
    Published(
        f"{GUM} H.2", "u(X), printed 0.295", "0.29558 Ω", lambda v: of.impedance(v).u(1), BUDGET, "C", "gum_H2"
    ),
    Published(f"{GUM} H.2", "Z", "254.260 Ω", lambda v: of.impedance(v).values[2], BUDGET, inputs="gum_H2"),
    Published(f"{GUM} H.2", "u(Z)", "0.236 Ω", lambda v: of.impedance(v).u(2), BUDGET, inputs="gum_H2"),
    Published(
        f"{GUM} H.2",
        "r(R, X)",
        "-0.588",
        lambda v: of.impedance(v).correlation(0, 1),
        "budget.covariance",
        inputs="gum_H2",
    ),
    Published(
        f"{GUM} H.2",
        "r(R, Z)",
        "-0.485",
        lambda v: of.impedance(v).correlation(0, 2),
        "budget.covariance",
        inputs="gum_H2",
    ),
    Published(
        f"{GUM} H.2",
        "r(X, Z)",
        "0.993",
        lambda v: of.impedance(v).correlation(1, 2),
        "budget.covariance",
        inputs="gum_H2",
    ),
    Published(f"{GUM} H.3", "y₁", "-0.1712 °C", lambda v: of.thermometer(v).intercept, LINE, inputs="gum_H3"),
    Published(f"{GUM} H.3", "s(y₁)", "0.0029 °C", lambda v: of.thermometer(v).u_intercept, LINE, inputs="gum_H3"),
    Published(f"{GUM} H.3", "y₂", "0.00218", lambda v: of.thermometer(v).slope, LINE, inputs="gum_H3"),
    Published(f"{GUM} H.3", "s(y₂)", "0.00067", lambda v: of.thermometer(v).u_slope, LINE, inputs="gum_H3"),
    Published(f"{GUM} H.3", "r(y₁, y₂)", "-0.930", lambda v: of.thermometer(v).correlation, LINE, inputs="gum_H3"),
    Published(
        f"{GUM} H.3", "s", "0.0035 °C", lambda v: of.thermometer(v).fit.standard_deviation, LINE, inputs="gum_H3"
    ),
    Published(
        f"{GUM} H.3", "b(30 °C)", "-0.1494 °C", lambda v: of.thermometer(v).predicted(30)[0], LINE, inputs="gum_H3"
    ),
    Published(
        f"{GUM} H.3",
        "u(b(30 °C))",
        "0.0041 °C",
        lambda v: of.thermometer(v).predicted(30)[1],
        LINE,
        inputs="gum_H3",
    ),
    Published(f"{S1} Table 6", "GUF₁ u", "0.0539 mg", lambda v: of.mass_budget().combined_uncertainty(), BUDGET),
    Published(TN1900, "E13: thermal expansion", "1.7266e-5", lambda v: of.thermal_expansion()[0], BUDGET),
    Published(TN1900, "E13: u", "1.76e-6", lambda v: of.thermal_expansion()[1].combined_uncertainty(), BUDGET),
    Published(MACHINE, "Stefan–Boltzmann", "5.67037e-8", lambda v: of.stefan_boltzmann()[0], BUDGET),
    Published(MACHINE, "its u", "2.05e-13", lambda v: of.stefan_boltzmann()[1].combined_uncertainty(), BUDGET),
    Published(
        f"{S1} Table 6",
        "GUF₁ 95 % interval",
        "1.1285, 1.3395 mg",
        lambda v: of.around(1.234, of.mass_budget().combined_uncertainty()),
        BUDGET,
    ),
    Published(f"{S1} Table 6", "GUF₂ u", "0.0750 mg", lambda v: of.mass_second_order(), SECOND),
    Published(
        f"{S1} Table 6",
        "GUF₂ 95 % interval, 1.96·0.0750",
        "1.0870, 1.3810 mg",
        lambda v: of.around(1.234, round(of.mass_second_order(), 4)),
        SECOND,
    ),
    Published(f"{S1} Table 8", "G₂ u(δy), x₁ = 0", "50e-6", lambda v: of.comparison_loss(0.0), SECOND),
    Published(f"{S1} Table 8", "G₂ u(δy), x₁ = 0.010", "112e-6", lambda v: of.comparison_loss(0.010), SECOND),
    Published(f"{S1} Table 8", "G₂ u(δy), x₁ = 0.050", "502e-6", lambda v: of.comparison_loss(0.050), SECOND),
    Published(f"{S1} Table 11", "GUF u", "32 nm", lambda v: of.gauge_supplement().combined_uncertainty(), BUDGET),
    Published(
        f"{S1} Table 11", "GUF 99 % interval", "745, 931 nm", lambda v: of.gauge_supplement_interval(), BUDGET
    ),
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
        lambda v: of.conformance(-5.47, 0.05, None, -5.40),
        P_C,
        "S+C",
    ),
    Published(
        f"{C106} 7.3",
        "burst pressure: 509.7, u 8.6, T_L 490 kPa",
        "0.99",
        lambda v: of.conformance(509.7, 8.6, 490, None),
        P_C,
        "S+C",
    ),
    Published(
        f"{C106} 7.4",
        "motor oil: 13.6, u 1.8, 12.5 to 16.3",
        "0.66",
        lambda v: of.conformance(13.6, 1.8, 12.5, 16.3),
        P_C,
        "S+C",
    ),
    Published(
        f"{C106} Table 1",
        "z for 0.80, 0.90, 0.95, 0.99, 0.999",
        "0.84, 1.28, 1.64, 2.33, 3.09",
        lambda v: of.one_sided_z(),
        "quantiles.normal_quantile",
    ),
    Published(
        f"{C106} 8.3.2.3",
        "largest risk with w = U",
        "2.3 %",
        lambda v: of.risk_at_acceptance_limit(1),
        "conformity.decide",
    ),
    Published(
        f"{C106} 8.3.2.3",
        "the same with r = 0.83, 0.5",
        "4.8, 15.9 %",
        lambda v: (of.risk_at_acceptance_limit(0.83), of.risk_at_acceptance_limit(0.5)),
        "conformity.decide",
        "C",
    ),
    Published(
        f"{C106} 8.3.3",
        "speed threshold, 99.9 %",
        "107 km/h",
        lambda v: of.speed_threshold(),
        "quantiles.normal_quantile",
    ),
    Published(
        f"{C106} 8.3.3",
        "nandrolone: t₀.₉₅;₉",
        "1.83",
        lambda v: quantiles.t_one_sided(0.95, 9),
        "quantiles.t_one_sided",
    ),
    Published(f"{C106} 8.3.3", "nandrolone: A", "2.37 µg/L", lambda v: of.nandrolone(), "quantiles.t_one_sided"),
    Published(
        f"{C106} 9.5.3",
        "resistors: p_c before measuring",
        "0.90",
        lambda v: of.resistors().prior_conformance,
        RISK,
    ),
    Published(
        f"{C106} 9.5.3",
        "resistors: R_C, R_P",
        "0.01, 0.07",
        lambda v: (of.resistors().consumer, of.resistors().producer),
        RISK,
    ),
    Published(
        f"{C106} 9.5.4",
        "ball bearings: not conforming before",
        "0.042",
        lambda v: 1 - of.bearings().prior_conformance,
        RISK,
    ),
    Published(
        f"{C106} 9.5.4",
        "ball of.bearings, r = 0.65: R_C, R_P",
        "0.1, 7.5 %",
        lambda v: (100 * of.bearings().consumer, 100 * of.bearings().producer),
        RISK,
    ),
    Published(
        "NCSLI RP-19, by suncal's tests",
        "PFA at ratio 4, prior 0.6, 0.7, 0.8",
        "4.8386, 3.9223, 2.8558 %",
        lambda v: tuple(map(of.false_accept, (0.6, 0.7, 0.8))),
        RISK,
    ),
    Published(
        "NCSLI RP-19, by suncal's tests",
        "PFA at ratio 4, prior 0.9, 0.95, 0.99",
        "1.59995, 0.87101, 0.19992 %",
        lambda v: tuple(map(of.false_accept, (0.9, 0.95, 0.99))),
        RISK,
    ),
    Published(
        "Deaver, by suncal's tests",
        "limit 2σ, ratio 4: PFA, FR",
        "0.008, 0.015",
        lambda v: of.both(of.deaver(2, 4, 1)),
        RISK,
    ),
    Published(
        "Deaver, by suncal's tests",
        "limit 2σ, ratio 2, band 0.91: PFA, FR",
        "0.008, 0.066",
        lambda v: of.both(of.deaver(2, 2, 0.91)),
        RISK,
    ),
    Published(
        NASA,
        "Table 7-3: b₁, b₂",
        "1.5741e-4, 1.674e-5",
        lambda v: of.nasa_drift().fit.coefficients,
        "drift.from_calibrations",
    ),
    Published(
        NASA,
        "Table 7-3: s_yx",
        "0.0708",
        lambda v: of.nasa_drift().fit.standard_deviation,
        "drift.from_calibrations",
    ),
    Published(
        NASA, "Table 7-7: u reaches 0.5", "327.15 d", lambda v: of.nasa_uncertainty(), "drift.days_to_uncertainty"
    ),
    Published(
        NASA,
        "Table 7-4: 90 % within 9 to 11",
        "140.1 d",
        lambda v: of.nasa_limit(Tolerance(9, 11)),
        "drift.days_to_limit",
    ),
    Published(
        NASA,
        "Table 7-5: 90 % below 11",
        "171.75 d",
        lambda v: of.nasa_limit(Tolerance(None, 11)),
        "drift.days_to_limit",
    ),
    Published(RP1, "A3: 15 of 20, 365 d, 0.95", "231 d", lambda v: of.a3(15, 20, 365, 0.95).interval_d, A3, "S+C"),
    Published(RP1, "A3: 14 of 20, 365 d, 0.95", "205 d", lambda v: of.a3(14, 20, 365, 0.95).interval_d, A3, "S+C"),
    Published(RP1, "A3: 16 of 20, 730 d, 0.95", "523 d", lambda v: of.a3(16, 20, 730, 0.95).interval_d, A3, "S+C"),
    Published(
        RP1, "A3: 42 of 50, 365 d, 0.90", "329 d", lambda v: of.a3(42, 50, 365, 0.9, 0.3).interval_d, A3, "S+C"
    ),
    Published(
        RP1,
        "rejection confidence of the four",
        "0.9949, 0.9993, 0.9682, 0.7557",
        lambda v: of.a3_confidences(),
        A3,
    ),
    Published(
        RP1,
        "reliability range of 15 of 20 at 50 %",
        "0.6516, 0.8286",
        lambda v: of.a3(15, 20, 365, 0.95).reliability_range,
        "intervals.reliability_range",
    ),
    Published(
        f"{NIST} 6.3.2.4",
        "EWMA of 20 values, the last four",
        "50.73, 51.23, 51.94, 51.99",
        lambda v: tuple(of.ewma_chart(v).run(v["nist_handbook_ewma"]["x"])[-4:]),
        CHART,
        "M+C",
        "nist_handbook_ewma",
    ),
    Published(
        f"{NIST} 6.3.2.4",
        "LCL, UCL",
        "47.4116, 52.5884",
        lambda v: of.ewma_chart(v).limits,
        CHART,
        "M+C",
        "nist_handbook_ewma",
    ),
    Published(
        f"{NIST} 6.3.2.3",
        "S_hi #13 to #16",
        "3.01, 4.94, 7.45, 10.63",
        lambda v: of.cusum_sums(v)[12:16],
        CHART,
        "M+C",
        "nist_handbook_cusum",
    ),
    Published(
        f"{NIST} 6.3.2.3",
        "S_hi #17 to #20",
        "11.99, 14.44, 16.00, 19.04",
        lambda v: of.cusum_sums(v)[16:20],
        CHART,
        "M+C",
        "nist_handbook_cusum",
    ),
    Published(f"{NIST} 6.3.2.3", "first alarm", "14", of.cusum_alarm, CHART, "M+C", "nist_handbook_cusum"),
    Published(
        "RATA, constructed",
        "mean difference, S_d, CC",
        "-0.114444, 0.0283333, 0.0217789",
        of.rata_parts,
        "rata.relative_accuracy",
        "C",
        "rata",
    ),
    Published(
        "RATA, constructed",
        "RA",
        "1.1332 %",
        lambda v: of.ratio_run(v).percent,
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
