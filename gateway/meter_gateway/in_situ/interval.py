"""When to calibrate or compare next: what each method proposes from a channel's history. Nothing is changed here.

The history is the mean and the largest error of each comparison, and of each certificate of the same instrument,
in parts of the MPE: errors of opposite sign are no small error. Methods are those of ILAC-G24 / OIML D 10 and of
NCSLI RP-1 (metrology.intervals, reliability, drift). Each gives days, or says why it cannot: with few comparisons
most of them cannot, and a proposal from nothing would be worth nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

from meter_gateway.metrology import drift, intervals, reliability
from meter_gateway.metrology.conformity import Outcome, maximum_permissible_error
from meter_gateway.metrology.errors import MetrologyError, exceeds
from meter_gateway.traceability.certificate import CalibrationResult, Certificate
from meter_gateway.traceability.check_plan import DAY_MS
from meter_gateway.traceability.comparison import Comparison
from meter_protocol import comparison as cm
from meter_protocol.quantities import Quantity

HORIZON_D = 3650.0
CONFIDENCE = 0.95
_SAME_INTERVAL = 1.25
"""Intervals that differ by no more than this factor are one group for the reliability methods."""


class Found(NamedTuple):
    """One entry of the history. `share` is the mean error in parts of the MPE, which drifts, and `largest` the
    amount of the largest, which has to stay within it; `is_start` after an adjustment."""

    at_ms: int
    source: str
    share: float
    largest: float
    is_in_tolerance: bool
    is_start: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """`days` None where the method cannot say, and then `why`."""

    method: str
    days: float | None
    why: str = ""


def history_of(
    comparisons: Sequence[Comparison],
    certificates: Sequence[tuple[Certificate, int]],
    serial: str,
    quantity: Quantity,
    mpe_percent: float,
) -> list[Found]:
    """By time. Certificates (each with its day, Unix ms) count where their errors are in % and the MPE is too."""
    found = [
        _found(run.end_ms, run.run, shares, run.outcome is Outcome.PASSED, run.kind == cm.AS_LEFT)
        for run in comparisons
        if not run.is_check and run.outcome is not Outcome.INCONCLUSIVE and (shares := run.shares)
    ]
    for certificate, at_ms in certificates:
        shares = _shares(certificate, serial, quantity, mpe_percent)
        if shares:
            is_in_tolerance = not exceeds(max(map(abs, shares)), 1)
            found.append(_found(at_ms, certificate.identifier, shares, is_in_tolerance, False))
    return sorted(found)


def _found(at_ms: int, source: str, shares: Sequence[float], is_in_tolerance: bool, is_start: bool) -> Found:
    return Found(at_ms, source, sum(shares) / len(shares), max(map(abs, shares)), is_in_tolerance, is_start)


def _shares(certificate: Certificate, serial: str, quantity: Quantity, mpe_percent: float) -> list[float]:
    for result in certificate.results:
        is_of_it = result.quantity is quantity and result.instrument.serial == serial
        if is_of_it and isinstance(result, CalibrationResult) and result.error_unit == "%" and mpe_percent:
            return [float(point.error) / mpe_percent for point in result.points]
    return []


def proposals(
    history: Sequence[Found], current_d: float, shortest_d: float, longest_d: float, target: float
) -> list[Proposal]:
    """By every method, each held between the shortest and the longest interval."""
    return [
        _asked("staircase", lambda: _staircase(history, current_d, shortest_d, longest_d)),
        _asked("control_chart", lambda: _until_the_limit(history), shortest_d, longest_d),
        _asked("a3", lambda: _a3(history, current_d, target), shortest_d, longest_d),
        _asked("s2", lambda: _s2(history, target), shortest_d, longest_d),
    ]


def _asked(
    method: str, ask: Callable[[], float], shortest_d: float = 0.0, longest_d: float = HORIZON_D
) -> Proposal:
    try:
        return Proposal(method, min(longest_d, max(shortest_d, ask())))
    except MetrologyError as error:
        return Proposal(method, None, str(error))


def _staircase(history: Sequence[Found], current_d: float, shortest_d: float, longest_d: float) -> float:
    """Method 1: by the last error that was found before anything was adjusted."""
    as_found = [entry for entry in history if not entry.is_start]
    if not as_found:
        raise MetrologyError("nothing was found yet")
    return intervals.Staircase(shortest_d, longest_d).next_interval(current_d, as_found[-1].largest, 1.0)


def _until_the_limit(history: Sequence[Found]) -> float:
    """Method 2: a line through the errors since the last adjustment, until it may reach the MPE."""
    since = [entry for entry in history if not any(later.is_start and later > entry for later in history)]
    if len(since) < 4:
        raise MetrologyError(f"{len(since)} errors since the last adjustment, and at least 4 are needed")
    first = since[0]
    times_d = [(entry.at_ms - first.at_ms) / DAY_MS for entry in since[1:]]
    fitted = drift.from_calibrations(times_d, [entry.share - first.share for entry in since[1:]])
    tolerance = maximum_permissible_error(1.0)
    days = drift.days_to_limit(fitted, first.share, 0.0, tolerance, CONFIDENCE, HORIZON_D)
    # Counted from the last comparison, not from the first.
    return HORIZON_D if days is None else max(0.0, days - times_d[-1])


def _a3(history: Sequence[Found], current_d: float, target: float) -> float:
    kept = [entry for entry in history if not entry.is_start]
    good = sum(entry.is_in_tolerance for entry in kept)
    return intervals.a3_interval(good, len(kept), current_d, target).interval_d


def _s2(history: Sequence[Found], target: float) -> float:
    """Grouped by the time since the comparison before."""
    gaps = sorted(
        ((after.at_ms - before.at_ms) / DAY_MS, after.is_in_tolerance)
        for before, after in pairwise(history)
        if not after.is_start and after.at_ms > before.at_ms
    )
    starts: list[float] = []
    for days, _ in gaps:
        if not starts or days > starts[-1] * _SAME_INTERVAL:
            starts.append(days)
    groups = []
    for _, members in groupby(gaps, key=lambda gap: max(start for start in starts if start <= gap[0])):
        taken = list(members)
        mean_d = sum(days for days, _ in taken) / len(taken)
        groups.append(reliability.Group(mean_d, len(taken), sum(good for _, good in taken)))
    return reliability.fitted(groups).interval(target)
