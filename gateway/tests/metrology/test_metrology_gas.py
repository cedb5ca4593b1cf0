"""Gas analysers: RATA, QAL2, AST and QAL3."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_gateway.metrology import en14181, rata
from meter_gateway.metrology.en14181 import CalibrationFunction, Qal3, Qal3State, annual_surveillance, qal2
from meter_gateway.metrology.errors import MetrologyError, TooFewValues
from meter_gateway.metrology.rata import Run, relative_accuracy

RUNS = [Run(12.0 + 0.01 * i, 12.1 + 0.012 * i, "dry") for i in range(9)]


def test_relative_accuracy_needs_nine_runs_of_one_basis() -> None:
    assert relative_accuracy(RUNS).runs == 9
    with pytest.raises(TooFewValues, match="8 valid runs, and at least 9"):
        relative_accuracy(RUNS[:8])
    with pytest.raises(MetrologyError, match="one basis"):
        relative_accuracy([*RUNS[:8], replace(RUNS[8], basis="wet")])
    with pytest.raises(MetrologyError, match="reference method"):
        relative_accuracy([replace(run, reference=0.0) for run in RUNS])


@given(scale=st.integers(-20, 20).map(lambda power: 2.0**power))
def test_relative_accuracy_is_relative(scale: float) -> None:
    scaled = [Run(run.reference * scale, run.monitor * scale, run.basis) for run in RUNS]
    assert relative_accuracy(scaled).percent == relative_accuracy(RUNS).percent


def test_the_limit_of_relative_accuracy() -> None:
    found = relative_accuracy(RUNS)
    assert found.passes()
    assert not found.passes(found.percent * 0.999)


def test_relative_accuracy_agrees_with_the_vectors(vectors: dict[str, Any]) -> None:
    data = vectors["rata"]
    found = relative_accuracy([Run(r, c, "dry") for r, c in zip(data["RM"], data["CEM"], strict=True)])
    assert found.mean_difference == pytest.approx(data["dbar"])
    assert found.standard_deviation == pytest.approx(data["Sd"])
    # The vector takes t from a table of three decimals.
    assert found.percent == pytest.approx(data["RA_pct"], rel=1e-5)


def test_the_variability_factor_agrees_with_the_table(vectors: dict[str, Any]) -> None:
    for pairs, factor in vectors["kv_en14181"].items():
        if pairs.isdigit():
            assert round(en14181.variability_factor(int(pairs)), 4) == factor


READINGS = [4.0 + 0.75 * i for i in range(15)]
SIGMA_0 = en14181.permitted_standard_deviation(limit_value=20, interval_fraction=0.1)


def references(offset: float, slope: float, scatter: float) -> list[float]:
    return [offset + slope * x + scatter * (-1) ** i for i, x in enumerate(READINGS)]


def test_qal2_finds_the_calibration_function() -> None:
    found = qal2(READINGS, references(0.5, 2.0, 0.0), SIGMA_0, limit_value=20)
    assert (found.function.offset, found.function.slope) == pytest.approx((0.5, 2.0))
    assert found.function.calibrated(10.0) == pytest.approx(20.5)
    assert found.passed


def test_qal2_of_a_narrow_range_goes_through_zero() -> None:
    """Method b: the references span less than 15 % of the limit value."""
    readings = [5.0 + 0.01 * i for i in range(15)]
    found = qal2(readings, [2 * (x - 1.0) for x in readings], SIGMA_0, limit_value=20, zero_reading=1.0)
    assert (found.function.slope, found.function.offset) == pytest.approx((2.0, -2.0))


def test_the_variability_test_of_qal2_has_its_edge_at_sigma_0_times_kv() -> None:
    limit = SIGMA_0 * en14181.variability_factor(15)
    found = qal2(READINGS, references(0.5, 2.0, 1.0), SIGMA_0, 20)
    just, too_much = (
        qal2(READINGS, references(0.5, 2.0, f * limit / found.standard_deviation), SIGMA_0, 20)
        for f in (0.999, 1.001)
    )
    assert (just.passed, too_much.passed) == (True, False)


def test_qal2_needs_fifteen_pairs() -> None:
    with pytest.raises(TooFewValues, match="14 pairs, and at least 15"):
        qal2(READINGS[:14], references(0, 1, 0)[:14], SIGMA_0, 20)
    with pytest.raises(MetrologyError, match="must be pairs"):
        qal2(READINGS, references(0, 1, 0)[:14], SIGMA_0, 20)


def test_the_surveillance_test_tells_a_shift_from_scatter() -> None:
    function = CalibrationFunction(0.5, 2.0)
    of = READINGS[:5]
    good = annual_surveillance(function, of, references(0.5, 2.0, 0.1)[:5], SIGMA_0)
    shifted = annual_surveillance(function, of, references(0.5 + 2 * SIGMA_0, 2.0, 0.1)[:5], SIGMA_0)
    noisy = annual_surveillance(function, of, references(0.5, 2.0, 2 * SIGMA_0)[:5], SIGMA_0)
    assert good.passed
    assert (shifted.function_valid, shifted.variability_passed) == (False, True)
    assert (noisy.function_valid, noisy.variability_passed) == (True, False)


def test_the_surveillance_limits() -> None:
    found = annual_surveillance(CalibrationFunction(0, 1), [1, 2, 3, 4, 5], [1.1, 1.9, 3.1, 3.9, 5.1], SIGMA_0)
    assert found.validity_limit == pytest.approx(
        2.1318 * found.standard_deviation / math.sqrt(5) + SIGMA_0, rel=1e-4
    )
    assert found.variability_limit == pytest.approx(1.5 * SIGMA_0 * 0.9161, rel=1e-4)


def test_qal3_finds_drift_in_either_direction() -> None:
    chart = Qal3(s_ams=0.2)
    for sign in (1, -1):
        states = chart.run([sign * 0.3] * 20)
        alarms = [index for index, state in enumerate(states, 1) if chart.drift_detected(state)]
        # Each check adds 0.3 - 0.501·0.2, and the alarm is above 2.85·0.2.
        assert alarms[0] == math.floor(2.85 * 0.2 / (0.3 - 0.501 * 0.2)) + 1
        assert not any(map(chart.precision_lost, states))


def test_qal3_finds_lost_precision() -> None:
    chart = Qal3(s_ams=0.2)
    states = chart.run([0.4 * (-1) ** i for i in range(12)])
    assert not any(map(chart.drift_detected, states))
    # Each check from the second on adds (0.8)²/2 - 1.85·0.04, and the alarm is above 6.90·0.04.
    alarms = [index for index, state in enumerate(states, 1) if chart.precision_lost(state)]
    assert alarms[0] == 2 + math.floor(6.90 * 0.04 / (0.32 - 1.85 * 0.04))


@given(st.lists(st.floats(-5, 5), max_size=30))
def test_qal3_one_check_after_the_other_is_the_whole_run(differences: list[float]) -> None:
    chart = Qal3(s_ams=0.5)
    state = Qal3State()
    for difference, expected in zip(differences, chart.run(differences), strict=True):
        state = chart.step(state, difference)
        assert state == expected
        assert min(state.above, state.below, state.precision) >= 0


def test_the_basis_is_not_judged_by_its_words() -> None:
    assert rata.relative_accuracy([replace(run, basis="wet, 60 min") for run in RUNS]).runs == 9
