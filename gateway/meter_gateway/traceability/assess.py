"""Facts about the messages of one meter's chain, in the order of the chain.

Verified messages and what the chain has taught so far -> findings, and a state that has learnt from them:

1. chain: continuity of sequence, hash, context and boot (continuity.py);
2. clock: its status, a time in the future, overlapping intervals, and the span to judge (clock.py);
3. standing: what holds for every message: key protection, the approval of the software, the parameter set's
   authority;
4. instruments: calibration in force over the span (calibration.py), prepared as a Piece (plan.py);
5. readings: status, registers and operating points, in columns (columns.py), and what the operator's limits and
   the scheme's numbers say of them (row_rules.py). An outage's readings are held against no such limit. What is
   known of balances between meters is held against all (plant_balance.py);
6. uncertainty: what is stated of each reading, and what follows from it (stating.py).

Readings come in runs between events, and almost every message of a run continues the one before it without
anything to say. `_take_plain` recognises that with a few comparisons; all else goes to `_judge_header`.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from meter_gateway.model import NO_UNCERTAINTY, Assessed, Finding, Verified
from meter_gateway.traceability import clock, columns, continuity, plant_balance, protection, software, stating
from meter_gateway.traceability.calibration import END_MS
from meter_gateway.traceability.clock import Clocks, Interval, Span
from meter_gateway.traceability.findings import finding, in_order
from meter_gateway.traceability.plan import UNJUDGED, MeterPlan, Piece
from meter_gateway.traceability.plant_balance import Violated
from meter_gateway.traceability.row_rules import RowRule
from meter_gateway.traceability.rows import Interval as RowInterval
from meter_gateway.traceability.rows import Run
from meter_gateway.traceability.state import ChainState
from meter_gateway.traceability.trust import Trust
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t

_EVENT_FINDINGS = {
    ev.SELF_TEST_FAILED: "self_test_failed",
    ev.JOURNAL_OVERFLOW: "journal_overflow",
    ev.JOURNAL_QUARANTINED: "journal_quarantined",
    ev.PARAMETERS_REFUSED: "parameters_refused",
    ev.UPDATE_REFUSED: "update_refused",
    ev.UPDATE_ROLLED_BACK: "update_rolled_back",
}
_Way = Callable[[ChainState, Sequence[Verified], Trust, Sequence["_Reception"]], list[Assessed]]
_KIND_FINDINGS = {f.KIND_OUTAGE: "interval_outage", f.KIND_PARTIAL: "interval_partial"}

_place_of = itemgetter(f.EPOCH, f.SEQUENCE, f.PREVIOUS, f.CONTEXT, f.BOOT)
_time_of = itemgetter(f.TIME_MS, f.CLOCK_STATUS, f.CLOCK_UNCERTAINTY_MS)
_row_time_of = itemgetter(f.TIME_MS, f.CLOCK_STATUS, f.DURATION_MS)
_interval_of = itemgetter(f.KIND, f.DURATION_MS, f.JITTER_MS)


class _Reception(NamedTuple):
    """When a message was received, the latest time that it may say, and whether the gateway's clock was to be
    trusted then."""

    time_ms: int
    latest_ms: int
    is_trusted: bool


def assess_group(
    state: ChainState,
    group: Sequence[Verified],
    trust: Trust,
    received_ms: int | Sequence[int],
    clock_trusted: bool = True,
) -> list[Assessed]:
    """What is found about each message. The group is contiguous from `state.next_sequence` on, of one epoch.

    `received_ms` is of all messages, or of each: what came frame by frame is judged in columns all the same.
    `clock_trusted` False if the gateway lost its time since it was configured as trusted.
    """
    is_trusted = clock_trusted and trust.clock_trusted
    each_ms = [received_ms] * len(group) if isinstance(received_ms, int) else received_ms
    known = {
        at_ms: _Reception(at_ms, clock.latest_plausible(at_ms, trust.clocks) if is_trusted else END_MS, is_trusted)
        for at_ms in {*each_ms}
    }
    receptions = [known[at_ms] for at_ms in each_ms]
    assessed: list[Assessed] = []
    for assess, together in groupby(group, key=_way_of):
        messages, begin = list(together), len(assessed)
        assessed += assess(state, messages, trust, receptions[begin : begin + len(messages)])
    return assessed


def _way_of(message: Verified) -> _Way:
    if message.typ != t.READINGS:
        return _assess_others
    return _assess_run if message.fields[f.KIND] != f.KIND_OUTAGE else _assess_outages


def _assess_others(
    state: ChainState, messages: Sequence[Verified], trust: Trust, receptions: Sequence[_Reception]
) -> list[Assessed]:
    """Identities and events: each judged by what was known before it, then learnt."""
    results = []
    for message, reception in zip(messages, receptions, strict=True):
        codes = _continue_chain(state, message, is_readings=False)
        codes += _take_time(state, message.fields, reception)
        learnt = _learn(state, message, trust, reception.time_ms)
        codes += _codes_of_chain(state, trust)
        results.append(Assessed(in_order([*map(finding, codes), *learnt, *_reception_findings(reception)])))
    return results


def _assess_outages(
    state: ChainState, messages: Sequence[Verified], trust: Trust, receptions: Sequence[_Reception]
) -> list[Assessed]:
    """What registers counted while they could not be read, sealed when they could be read again.

    Such a message is only about those registers. Its span overlaps the intervals of the others, and its totals
    are of a moment inside an interval, from which the next increase counts.
    """
    plan = _plan(state, trust)
    standing = (*state.standing, *_reception_findings(receptions[0]))
    violated = trust.violations.of(state.thumbprint)
    results = []
    for message, reception in zip(messages, receptions, strict=True):
        codes, span = _judge_header(state, message, trust, reception)
        channels = message.fields[f.READINGS]
        state.unsettle(channels.keys() & state.totals.keys())
        piece = UNJUDGED if plan is None else plan.piece_of_outage(span, channels)
        results += _judge_rows(state, [message], piece, [[finding(code) for code in codes]], standing, violated)
        at_ms = _interval_of_row(message).end_ms
        state.unsettled.update({channel: at_ms for channel in channels if channel in state.totals})
    return results


def _assess_run(
    state: ChainState, run: Sequence[Verified], trust: Trust, receptions: Sequence[_Reception]
) -> list[Assessed]:
    plan = _plan(state, trust)
    standing = (*state.standing, *_reception_findings(receptions[0]))
    found: list[list[Finding]] = []
    results: list[Assessed] = []
    piece, first = plan.recent if plan is not None else UNJUDGED, 0
    rules = plan.rules if plan is not None else ()
    violated = trust.violations.of(state.thumbprint)
    for index, (message, reception) in enumerate(zip(run, receptions, strict=True)):
        if _take_plain(state, message, piece, trust.clocks, reception):
            found.append([])
            continue
        codes, span = _judge_header(state, message, trust, reception)
        next_piece = UNJUDGED if plan is None else plan.piece(span)
        if next_piece is not piece:
            results += _judge_rows(state, run[first:index], piece, found, standing, violated, rules)
            piece, first, found = next_piece, index, []
        found.append([finding(code) for code in codes])
    return results + _judge_rows(state, run[first:], piece, found, standing, violated, rules)


def _judge_rows(
    state: ChainState,
    run: Sequence[Verified],
    piece: Piece,
    found: list[list[Finding]],
    standing: tuple[Finding, ...],
    violated: Sequence[Violated],
    rules: Sequence[RowRule] = (),
) -> list[Assessed]:
    if not run:
        return []
    if violated:
        plant_balance.judge(violated, run, found)
    uncertainties = [NO_UNCERTAINTY] * len(run)
    if piece is not UNJUDGED:
        rows = [message.fields[f.READINGS] for message in run]
        readings = Run(rows, [_interval_of_row(message) for message in run], state)
        # Before the readings are judged: that brings the totals up to the last row.
        uncertainties = stating.state(piece, readings, found)
        for rule in rules:
            rule.judge(readings, found)
        columns.judge(piece, readings, found)
    plain, budget = piece.with_findings(standing), piece.budget
    return [
        Assessed(piece.with_findings((*standing, *own)) if own else plain, budget, uncertainty)
        for own, uncertainty in zip(found, uncertainties, strict=True)
    ]


def _interval_of_row(message: Verified) -> RowInterval:
    end_ms, status, duration_ms = _row_time_of(message.fields)
    return RowInterval(end_ms if clock.has_scale(status) else None, duration_ms)


def _take_plain(state: ChainState, message: Verified, piece: Piece, clocks: Clocks, reception: _Reception) -> bool:
    """Takes the header in and says True if it continues the chain within `piece` and nothing is to be said.

    One expression, because ten readings a message leave no time to ask one by one.
    """
    fields = message.fields
    epoch, sequence, previous, context, boot = _place_of(fields)
    end_ms, status, uncertainty_ms = _time_of(fields)
    kind, duration_ms, jitter_ms = _interval_of(fields)
    if (
        status == f.CLOCK_SYNCHRONISED
        and kind == f.KIND_REGULAR
        and duration_ms is not None
        and jitter_ms <= piece.max_jitter_ms
        and previous == state.head
        and context == state.context
        and boot == state.announced_boot
        and boot == state.boot
        and sequence == state.next_sequence
        and epoch == state.epoch
        and message.thumbprint == state.thumbprint
        and state.interval_end_ms is not None
        and state.interval_end_ms <= end_ms - duration_ms
        and not state.interval_is_relative
        and not state.is_after_gap
        and uncertainty_ms <= clocks.max_meter_uncertainty_ms
        and end_ms - uncertainty_ms <= reception.latest_ms
        and piece.low_ms <= end_ms - duration_ms - uncertainty_ms
        and end_ms + uncertainty_ms <= piece.high_ms
    ):
        state.head = message.hash
        state.next_sequence = sequence + 1
        state.interval_end_ms = end_ms
        state.interval_uncertainty_ms = uncertainty_ms
        state.earliest_ms = end_ms - uncertainty_ms
        state.is_rescaled = False
        return True
    return False


def _judge_header(
    state: ChainState, message: Verified, trust: Trust, reception: _Reception
) -> tuple[list[str], Span | None]:
    """Codes of the chain and the clock, and the span of time over which the readings are judged."""
    fields = message.fields
    end_ms, status, uncertainty_ms = _time_of(fields)
    kind, duration_ms, jitter_ms = _interval_of(fields)
    earliest_ms = state.earliest_ms
    codes = _continue_chain(state, message, is_readings=True)
    codes += _take_time(state, fields, reception)
    codes += clock.status_findings(status, uncertainty_ms, trust.clocks)
    if kind != f.KIND_REGULAR:
        codes.append(_KIND_FINDINGS[kind])
    if state.plan is not None and jitter_ms > state.plan.max_jitter_ms:
        codes.append("sampling_jitter")
    start_ms = None if duration_ms is None else end_ms - duration_ms
    interval = Interval(start_ms, end_ms, uncertainty_ms or 0, not clock.has_scale(status))
    if kind != f.KIND_OUTAGE:
        if clock.overlaps(interval, _interval_before(state), state.is_rescaled):
            codes.append("interval_overlap")
        _keep_interval(state, interval, status)
    if interval.is_relative:
        span = clock.unresolved(earliest_ms, reception.time_ms, trust.clocks)
        codes.append("time_unbounded" if span is None else "time_unresolved")
    else:
        span = clock.widened(interval, earliest_ms)
        if span is None:
            codes.append("time_unbounded")
    return codes, span


def _continue_chain(state: ChainState, message: Verified, is_readings: bool) -> list[str]:
    """Continuity's codes; the message becomes the head."""
    epoch, sequence, previous, context, boot = _place_of(message.fields)
    if state.epoch is None:
        state.epoch = epoch
    if sequence != state.next_sequence or epoch != state.epoch or message.thumbprint != state.thumbprint:
        raise ValueError("a group is contiguous and of one meter and epoch")
    place = continuity.Place(state.head, state.context, state.boot, state.announced_boot)
    codes = continuity.findings(place, previous, context, boot, is_readings)
    if state.is_after_gap:
        codes.append("sequence_gap")
        state.is_after_gap = False
    state.head = message.hash
    state.next_sequence = sequence + 1
    state.boot = boot
    return codes


def _take_time(state: ChainState, fields: dict[int, Any], reception: _Reception) -> list[str]:
    """`time_in_future`, and what the message teaches about the time before which nothing later was sealed."""
    time_ms, status, uncertainty_ms = _time_of(fields)
    if not clock.has_scale(status):
        return []
    state.earliest_ms = time_ms - uncertainty_ms
    return ["time_in_future"] if time_ms - uncertainty_ms > reception.latest_ms else []


def _interval_before(state: ChainState) -> Interval | None:
    if state.interval_end_ms is None:
        return None
    return Interval(None, state.interval_end_ms, state.interval_uncertainty_ms, state.interval_is_relative)


def _keep_interval(state: ChainState, interval: Interval, status: int) -> None:
    state.interval_end_ms = None if status == f.CLOCK_UNKNOWN else interval.end_ms
    state.interval_uncertainty_ms = interval.uncertainty_ms
    state.interval_is_relative = interval.is_relative
    state.is_rescaled = False


def _learn(state: ChainState, message: Verified, trust: Trust, received_ms: int) -> list[Finding]:
    """Take in what an identity or event says; the findings are about what it reports."""
    fields = message.fields
    if message.typ == t.IDENTITY:
        state.learn_identity(message.hash, fields, received_ms)
        return []
    code, details = fields[f.EVENT_CODE], fields[f.DETAILS]
    if code == ev.BOOT:
        state.announced_boot = fields[f.BOOT]
        state.is_rescaled = True
        before = state.software_id
        state.learn_software(details[ev.SOFTWARE_ID])
        return [finding("software_changed")] if before not in (None, state.software_id) else []
    if code == ev.CLOCK_SET:
        state.is_rescaled = True
    elif code == ev.PARAMETERS_APPLIED:
        state.learn_parameters(details[ev.PARAMETER_SET])
    elif code == ev.EPOCH_OPENED and details[ev.LAST_EPOCH] is not None:
        return [finding("epoch_opened")]
    elif code == ev.FIRMWARE_UPDATED:
        if not software.is_authorised(details[ev.MANIFEST], trust.update_authorities):
            return [finding("update_unauthorised")]
    elif code == ev.REGISTER_DISCONTINUITY:
        return [finding("discontinuity", details[ev.CHANNEL])]
    elif code == ev.JOURNAL_RESUMED:
        at_ms = fields[f.TIME_MS] if clock.has_scale(fields[f.CLOCK_STATUS]) else None
        return _learn_totals(state, details[ev.TOTALS_AFTER], at_ms)
    return [finding(_EVENT_FINDINGS[code])] if code in _EVENT_FINDINGS else []


def _learn_totals(state: ChainState, totals: dict[int, int | None], at_ms: int | None) -> list[Finding]:
    """Registers went on counting while nothing was recorded; the quantity is known, its time is not."""
    found = []
    for channel, total in totals.items():
        if total is None or channel not in state.totals:
            continue
        if total < state.totals[channel]:
            found.append(finding("register_backwards", channel))
        state.totals[channel] = total
        state.unsettled[channel] = at_ms
    return found


def _plan(state: ChainState, trust: Trust) -> MeterPlan | None:
    """The plan of the meter's present parameters, and with it `state.standing`."""
    if state.planned_by is not trust:
        state.forget_plan()
        codes = _codes_of_chain(state, trust)
        if state.parameter_set is None:
            codes.append("parameters_missing")
        else:
            plan = trust.plan(state.thumbprint, state.parameter_set)
            codes += plan.codes
            state.plan = plan if plan.is_known else None
        if state.parameters_rolled_back:
            codes.append("parameters_rolled_back")
        state.standing = (*map(finding, codes), *(state.plan.findings if state.plan is not None else ()))
        state.planned_by = trust
    return state.plan


def _codes_of_chain(state: ChainState, trust: Trust) -> list[str]:
    """What holds for readings, events and identities alike."""
    about_software = software.findings(state, trust.software)
    return [*protection.findings(state, trust.makers), *about_software, *sorted(state.barred)]


def _reception_findings(reception: _Reception) -> tuple[Finding, ...]:
    return () if reception.is_trusted else (finding("gateway_clock_untrusted"),)
