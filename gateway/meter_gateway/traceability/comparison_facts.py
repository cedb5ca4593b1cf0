"""What the comparisons of a channel say about its readings, as periods of time.

1. From a failed run on, until one passes, the channel has failed its comparison.
2. A failed run that found the instrument as it was (as-found, routine) reopens every reading since the last run
   that passed; without one, since the instrument was put in place. No past value is corrected.
3. An inconclusive run proves nothing: readings say so until a run is conclusive, and it renews no interval.
4. Where the plan asks for comparisons at intervals: missing until the first conclusive one, overdue when an
   interval has gone by since the last that passed.
5. Drift: a control chart of the runs' mean errors. It counts from the last run that was within the limits, since
   the chart does not say when in between it began; until a run is within them again. An as-left run starts it
   anew. An inconclusive one is not on it.
6. Zero and span checks each have their limit, their interval and their CUSUM charts, which start anew after an
   alarm.
7. A check whose gas had no certificate in force proves nothing, by its event or by what is known of the gas today:
   it counts as not made, and readings say why until a check with a good gas.
8. A run whose reference had no certificate in force, by what is known today, is an inconclusive one: it neither
   passed nor failed, and its errors are on no chart.

What is found today speaks about yesterday's readings: they are judged again when the basis of verdicts changes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from meter_gateway.metrology.conformity import Outcome
from meter_gateway.metrology.control_charts import Cusum, CusumState, Ewma, Individuals
from meter_gateway.metrology.en14181 import Qal3, Qal3State
from meter_gateway.traceability.calibration import END_MS, Register
from meter_gateway.traceability.certificate import results_for
from meter_gateway.traceability.check_plan import DAY_MS, Drift, Plan, ZeroSpan
from meter_gateway.traceability.comparison import Comparison
from meter_gateway.traceability.findings import FINDINGS
from meter_protocol import comparison as cm
from meter_protocol.quantities import BY_CODE


class Period(NamedTuple):
    """A finding that every interval has which is at least partly in it; Unix ms."""

    code: str
    from_ms: int
    to_ms: int

    def codes(self, start_ms: int, end_ms: int) -> tuple[str, ...]:
        return (self.code,) if start_ms < self.to_ms and end_ms > self.from_ms else ()

    def changes(self) -> tuple[int, int]:
        return self.from_ms, self.to_ms


def doubts_of(check: Comparison, register: Register) -> tuple[str, ...]:
    """Codes why the gas of a check proves nothing: those that it was sealed with, and those of today."""
    fields = check.fields
    sealed = fields[cm.REASONS] if check.outcome is Outcome.INCONCLUSIVE else []
    codes = {reason for reason in sealed if reason in FINDINGS}
    for identifier in (each[cm.CERTIFICATE_ID] for each in fields[cm.REFERENCE][cm.REFERENCE_CERTIFICATES]):
        if identifier in register and register[identifier].reference_gases:
            cylinder = fields[cm.REFERENCE][cm.REFERENCE_SERIAL]
            codes.update(register.standing(register[identifier], cylinder, check.end_ms, check.end_ms))
    return tuple(sorted(codes))


def believed(comparison: Comparison, register: Register) -> Comparison:
    """As it counts by what is known of its reference's certificate today."""
    fields = comparison.fields
    if comparison.is_check:
        return comparison
    reference, quantity = fields[cm.REFERENCE], BY_CODE[fields[cm.QUANTITY]]
    serial = reference[cm.REFERENCE_SERIAL]
    named = (each[cm.CERTIFICATE_ID] for each in reference[cm.REFERENCE_CERTIFICATES])
    held = (register[identifier] for identifier in named if identifier in register)
    spoke = next((each for each in held if results_for(each, serial, quantity)), None)
    if spoke is None or not register.standing(spoke, serial, fields[cm.START_MS], comparison.end_ms):
        return comparison
    return comparison.without_proof()


def periods(
    comparisons: Sequence[Comparison],
    plan: Plan | None,
    from_ms: int,
    to_ms: int,
    doubts: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Period, ...]:
    """Of one instrument at one channel, in place from `from_ms` to `to_ms`; `comparisons` are its own, by their
    ends. `doubts` are the codes of checks whose gas proves nothing, by run.
    """
    runs = [each for each in comparisons if not each.is_check]
    found = [*_outcomes(runs, from_ms)]
    if plan is not None:
        start_ms = max(from_ms, plan.from_ms)
        if plan.interval_days is not None:
            found += _intervals(runs, start_ms, plan.interval_days * DAY_MS)
        if plan.drift is not None:
            found += _drift(runs, plan.drift, from_ms)
        if plan.zero_span is not None:
            for kind in (cm.ZERO, cm.SPAN):
                checks = [each for each in comparisons if each.kind == kind]
                found += _checks(checks, plan.zero_span, start_ms, doubts or {})
    clipped = (Period(each.code, max(each.from_ms, from_ms), min(each.to_ms, to_ms)) for each in found)
    return tuple(sorted({each for each in clipped if each.from_ms < each.to_ms}))


def _outcomes(runs: Sequence[Comparison], from_ms: int) -> Iterator[Period]:
    passed_ms = from_ms
    for place, run in enumerate(runs):
        later = runs[place + 1 :]
        if run.outcome is Outcome.PASSED:
            passed_ms = run.end_ms
        elif run.outcome is Outcome.FAILED:
            yield Period("comparison_failed", run.end_ms, _first_end(r for r in later if _is_passed(r)))
            if run.kind != cm.AS_LEFT:
                yield Period("suspect_since_comparison", passed_ms, run.end_ms)
        else:
            yield Period("comparison_inconclusive", run.end_ms, _first_end(r for r in later if _is_conclusive(r)))


def _intervals(runs: Sequence[Comparison], start_ms: int, interval_ms: int) -> Iterator[Period]:
    yield Period("comparison_missing", start_ms, _first_end(run for run in runs if _is_conclusive(run)))
    passed = [run.end_ms for run in runs if _is_passed(run)]
    for at_ms, next_ms in pairwise([*passed, END_MS]):
        yield Period("comparison_overdue", max(start_ms, at_ms + interval_ms), next_ms)


@dataclass
class _Chart:
    """A chart of one kind, and its state."""

    drift: Drift
    cusum: CusumState = field(default_factory=CusumState)
    average: float = 0.0

    def __post_init__(self) -> None:
        self.average = float(self.drift.target)

    def is_out(self, value: float) -> bool:
        """Takes the value in and says whether the chart is out of control now."""
        drift, sigma, target = self.drift, float(self.drift.sigma), float(self.drift.target)
        if drift.chart == "cusum":
            chart = Cusum(target, float(drift.k) * sigma, float(drift.h) * sigma)
            self.cusum = chart.step(self.cusum, value)
            return chart.is_out_of_control(self.cusum)
        if drift.chart == "ewma":
            ewma = Ewma(target, sigma, float(drift.weight), float(drift.sigmas))
            self.average = ewma.step(self.average, value)
            return ewma.is_out_of_control(self.average)
        return Individuals(target, sigma, float(drift.sigmas)).is_out_of_control(value)


def _drift(runs: Sequence[Comparison], drift: Drift, from_ms: int) -> Iterator[Period]:
    chart, since_ms, is_out = _Chart(drift), from_ms, False
    for run in runs:
        if run.kind == cm.AS_LEFT:
            chart = _Chart(drift)
        value = run.check_value
        if value is None or run.outcome is Outcome.INCONCLUSIVE:
            continue
        was_out = is_out
        is_out = chart.is_out(value)
        if was_out and not is_out:
            yield Period("drift_detected", since_ms, run.end_ms)
        if not is_out:
            since_ms = run.end_ms
    if is_out:
        yield Period("drift_detected", since_ms, END_MS)


def _checks(
    checks: Sequence[Comparison], asked: ZeroSpan, start_ms: int, doubts: Mapping[str, Sequence[str]]
) -> Iterator[Period]:
    good = [check for check in checks if _is_conclusive(check) and check.run not in doubts]
    for check in checks:
        until_ms = _first_end(other for other in good if other.end_ms > check.end_ms)
        for code in doubts.get(check.run, ()):
            yield Period(code, check.end_ms, until_ms)
    if asked.interval_days is not None:
        done = [start_ms, *(check.end_ms for check in good if check.end_ms > start_ms)]
        for at_ms, next_ms in pairwise([*done, END_MS]):
            yield Period("zero_span_overdue", at_ms + asked.interval_days * DAY_MS, next_ms)
    chart = None if asked.s_ams is None else Qal3(float(asked.s_ams))
    state = Qal3State()
    failed_ms: int | None = None
    for check in good:
        is_bad = check.outcome is not Outcome.PASSED
        if chart is not None and (difference := _difference(check)) is not None:
            state = chart.step(state, difference)
            if chart.drift_detected(state) or chart.precision_lost(state):
                is_bad, state = True, Qal3State()
        if is_bad and failed_ms is None:
            failed_ms = check.end_ms
        elif not is_bad and failed_ms is not None:
            yield Period("zero_span_failed", failed_ms, check.end_ms)
            failed_ms = None
    if failed_ms is not None:
        yield Period("zero_span_failed", failed_ms, END_MS)


def _difference(check: Comparison) -> float | None:
    """In the quantity's unit."""
    points = check.fields[cm.POINTS]
    return None if not points else points[0][cm.POINT_ERROR] * 10.0 ** check.fields[cm.EXPONENT]


def _first_end(runs: Iterable[Comparison]) -> int:
    return next((run.end_ms for run in runs), END_MS)


def _is_passed(run: Comparison) -> bool:
    return run.outcome is Outcome.PASSED


def _is_conclusive(run: Comparison) -> bool:
    return run.outcome is not Outcome.INCONCLUSIVE
