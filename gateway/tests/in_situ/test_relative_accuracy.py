"""A relative accuracy test audit (RATA) of a stack's CO2 analyser, as an engineer does it: runs of the reference
method in a table, `compare start … --readings`, `status`, `finish`.

The nine runs are the constructed example of docs/metrology.md, in ppm; its mean difference, standard deviation,
confidence coefficient and RA were recomputed there by independent code.
"""

import pytest
from stack import CO2, PERSON, Stack, as_text, showing

from meter_gateway.metrology.conformity import Outcome
from meter_gateway.traceability.comparison import Comparison
from meter_protocol import comparison as cm
from meter_tools.simulated_meter import INTERVAL_MS

REFERENCE = (119_800, 120_500, 121_000, 119_500, 120_200, 120_800, 120_000, 119_700, 120_400)
MONITOR = (121_000, 122_000, 121_800, 120_700, 121_000, 122_100, 121_500, 120_500, 121_600)
RUN_MINUTES = 21
"""The least that 40 CFR 60 PS-2 8.4.3 asks of a run."""

BETWEEN_MINUTES = 4
BASIS = "dry, 21 min"


def audit(stack: Stack, *, runs: int = 9, more: int = 0, limit: str = "10", basis: str = BASIS) -> Comparison:
    """So many runs, while the analyser shows `more` ppm than in the example; what was sealed.

    Between the runs it shows something else, which is no part of any.
    """
    stack.plan(
        f'method = "rata"\nbasis = "{BASIS}"\nsettled_percent = 0\nrelative_accuracy_percent = {limit}\n',
        interval_days=365,
    )
    lines = ["start,end,value"]
    for reference, monitor in zip(REFERENCE[:runs], MONITOR, strict=False):
        stack.meter.channels = showing(50_000)
        stack.gateway.fill(*(stack.meter.readings() for _ in range(BETWEEN_MINUTES)))
        begun_ms = stack.meter.time_ms
        stack.meter.channels = showing(monitor + more)
        stack.gateway.fill(*(stack.meter.readings() for _ in range(RUN_MINUTES)))
        lines.append(f"{as_text(begun_ms)},{as_text(stack.meter.time_ms)},{reference}")
    table = stack.gateway.folder / "method.csv"
    table.write_text("\n".join(lines))
    begun = stack.ask(
        "compare", "start", "A-1", str(CO2), "--kind", "as-found", "--certificate", "METHOD", "--basis", basis,
        "--readings", str(table), *PERSON,
    )  # fmt: skip
    assert f"{runs} readings taken" in begun
    shown = stack.ask("compare", "status")
    stack.ask("compare", "finish")
    (event,) = stack.events()
    assert ("relative accuracy" in shown.lower()) == (event.fields[cm.RELATIVE_ACCURACY] is not None), shown
    assert "the same to the last digit" in stack.ask("compare", "show", event.run, "--again")
    return event


def codes_after(stack: Stack, event: Comparison) -> set[str]:
    """Of the readings of the next minutes."""
    after = stack.measure_from(event.end_ms + 2 * INTERVAL_MS)
    return set.intersection(*(stack.codes()[each] for each in after))


def accuracy_percent(event: Comparison) -> float:
    accuracy = event.fields[cm.RELATIVE_ACCURACY]
    assert accuracy[cm.ACCURACY_BASIS] == BASIS
    return accuracy[cm.ACCURACY_PPM] / 1e4


def test_the_worked_example_to_its_digits(stack: Stack) -> None:
    event = audit(stack)
    assert (event.outcome, event.fields[cm.REASONS]) == (Outcome.PASSED, [])
    assert accuracy_percent(event) == pytest.approx(1.1332, abs=1e-4)
    accuracy = event.fields[cm.RELATIVE_ACCURACY]
    unit = 10.0 ** event.fields[cm.EXPONENT]
    assert accuracy[cm.ACCURACY_RUNS] == 9
    assert accuracy[cm.ACCURACY_MEAN_DIFFERENCE] * unit == pytest.approx(-1144.44, abs=0.005)
    assert accuracy[cm.ACCURACY_DEVIATION] * unit == pytest.approx(283.333, abs=0.0005)
    assert accuracy[cm.ACCURACY_COEFFICIENT] * unit == pytest.approx(217.789, abs=0.0005)
    (point,) = event.fields[cm.POINTS]
    # A meter's error is CEM - RM; PS-2's difference is RM - CEM.
    assert point[cm.POINT_ERROR] == -accuracy[cm.ACCURACY_MEAN_DIFFERENCE]
    assert not {code for code in codes_after(stack, event) if code.startswith("comparison")}


@pytest.mark.parametrize(("limit", "outcome"), [("10", Outcome.FAILED), ("15", Outcome.PASSED)])
def test_an_analyser_that_shows_too_much_fails_by_the_plan_s_limit(
    stack: Stack, limit: str, outcome: Outcome
) -> None:
    """1.3 % CO2 more in each run: d̄ = 14 144.4 ppm, S_d as before, RA = (14 144.4 + 217.8)/120 211.1 = 11.947 %.

    10 % is the limit of 40 CFR 75, 15 % that of HJ 75-2017 for such a gas.
    """
    event = audit(stack, more=13_000, limit=limit)
    assert accuracy_percent(event) == pytest.approx(11.9475, abs=1e-4)
    assert event.outcome is outcome
    assert event.fields[cm.REASONS] == (["relative_accuracy_exceeded"] if outcome is Outcome.FAILED else [])
    assert ("comparison_failed" in codes_after(stack, event)) == (outcome is Outcome.FAILED)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"runs": 8}, "too_few_pairs"), ({"basis": "wet, 21 min"}, "basis_differs")],
)
def test_an_audit_that_says_nothing_is_inconclusive(stack: Stack, change: dict[str, object], reason: str) -> None:
    event = audit(stack, **change)
    assert (event.outcome, event.fields[cm.REASONS]) == (Outcome.INCONCLUSIVE, [reason])
    assert event.fields[cm.RELATIVE_ACCURACY] is None
    assert event.fields[cm.POINTS] == []
    assert "comparison_inconclusive" in codes_after(stack, event)
