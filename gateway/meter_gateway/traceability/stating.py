"""What is stated of the uncertainty of a run's readings: key 17 of each verdict, and the findings that follow
from it.

As in columns.py, a run's readings of one channel form a column. A good one (values, no status, operating points
within the calibrated ones) is stated by a few operations over the whole column; anything else is looked at
reading by reading. Both ways state the same, and the tests hold them against each other.

A reading of a channel with a certificate in force has an entry, or no value, or a finding that says why it has
none: that of columns.py if its range or operating point is at fault, `uncertainty_unknown` otherwise.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

from meter_gateway.model import NO_UNCERTAINTY
from meter_gateway.traceability import cbor_rows
from meter_gateway.traceability.closed_form import ClosedForm
from meter_gateway.traceability.columns import register, span_ms_of
from meter_gateway.traceability.findings import finding
from meter_gateway.traceability.operating_point import RateLimits
from meter_gateway.traceability.plan import Piece, Stated
from meter_gateway.traceability.rows import Found, Integers, Means, Reading, Rows, Run, mean_of
from meter_protocol import fields as f

UNKNOWN, ABOVE_TARGET = "uncertainty_unknown", "uncertainty_above_target"

_SHORT = 8
"""Runs of fewer messages are stated entry by entry: to lay rows out costs as much as eight of them."""


class _Shown(NamedTuple):
    """One reading's value and operating point as mantissas; None where it has none.

    `slack` is by how much a rate may differ from the true one, and `is_judged` whether columns.py has judged it.
    """

    value: int | None
    point: float | None = None
    slack: float = 0.0
    is_judged: bool = True
    span_ms: int = 0


_NOTHING = _Shown(None)


def state(piece: Piece, run: Run, found: Found) -> list[bytes]:
    """Key 17 of each row's verdict, encoded; findings are added."""
    count = len(piece.stated)
    if not count:
        return [NO_UNCERTAINTY] * len(run.rows)
    parts: list[cbor_rows.Part] = []
    one_by_one: list[list[bytes]] = []
    for stated in piece.stated:
        column = _good_column(stated, run)
        if column is None:
            one_by_one.append(_state_each(stated, run, found))
            parts.append(one_by_one[-1])
        else:
            parts += _state_column(stated, column, run, found)
    heads: cbor_rows.Part = _array_head(count)
    if one_by_one:
        heads = [_array_head(count - entries.count(_NO_ENTRY)) for entries in zip(*one_by_one, strict=True)]
    return cbor_rows.rows([heads, *parts], len(run.rows))


_NO_ENTRY = b""


def _array_head(count: int) -> bytes:
    """Of a CBOR array with as many items as channels at most."""
    return _ARRAY_HEADS[count] if count < 24 else bytes((0x98, count))


_ARRAY_HEADS = [bytes((0x80 + count,)) for count in range(24)]


def _good_column(stated: Stated, run: Run) -> Integers | None:
    """The values of a column without any question; None leaves it to `_state_each`."""
    column = run.increases(stated.channel) if stated.is_register else _sizes(run.means(stated.channel))
    if column is None or column.most > stated.form.largest or not _is_calibrated(stated, column, run):
        return None
    return column


def _sizes(means: Means | None) -> Integers | None:
    if means is None or not means.is_good:
        return None
    if means.least >= 0:
        return Integers(means.values, means.least, means.most)
    values = list(map(abs, means.values))
    return Integers(values, min(values), max(values))


def _is_calibrated(stated: Stated, column: Integers, run: Run) -> bool:
    """Whether every reading's operating point is within the calibrated ones."""
    low, high = stated.form.low, stated.form.high
    if stated.source is not None:
        means = run.means(stated.source)
        return means is not None and means.is_good and low <= means.least and means.most <= high
    durations_ms, rate = run.durations(), stated.rate or 0.0
    if durations_ms is None or durations_ms.shortest <= 0:
        return False
    # A rate grows with the increase and falls with the duration, rounded or not.
    shortest, longest = durations_ms.shortest, durations_ms.longest
    if low <= rate * column.least / longest and rate * column.most / shortest <= high:
        return True
    if shortest == longest:
        return False
    points = _points(stated, column, run)
    return low <= min(points) and max(points) <= high


def _points(stated: Stated, column: Integers, run: Run) -> Sequence[float]:
    """The operating points of a column of which `_is_calibrated` has found that they are known."""
    if stated.source is not None:
        means = run.means(stated.source)
        return () if means is None else means.values
    durations_ms, rate = run.durations(), stated.rate or 0.0
    known_ms = () if durations_ms is None else durations_ms.values
    return [rate * value / duration_ms for value, duration_ms in zip(column.values, known_ms, strict=True)]


def _state_column(stated: Stated, column: Integers, run: Run, found: Found) -> list[cbor_rows.Part]:
    form = stated.form
    is_all_said = stated.conformity is None and form.meets_target(column.least, column.most)
    points = () if is_all_said and not form.varies_with_point else _points(stated, column, run)
    if not is_all_said:
        for value, point, codes in zip(column.values, points, found, strict=True):
            if stated.conformity is not None or not form.meets_target(value, value):
                codes.extend(finding(code, stated.channel) for code in _codes(stated, value, point))
    if len(column.values) < _SHORT:
        at = points or repeat(0.0)
        return [[form.entry(value, point) for value, point in zip(column.values, at, strict=False)]]
    return [*form.entries(column, points)]


def _state_each(stated: Stated, run: Run, found: Found) -> list[bytes]:
    ways = _increases(stated, run) if stated.is_register else _own(stated, run.rows)
    entries: list[bytes] = []
    for shown, codes in zip(ways, found, strict=True):
        point = None if shown.value is None else _calibrated(stated.form, shown)
        if shown.value is None or point is None:
            entries.append(_NO_ENTRY)
            if shown.value is not None and not _is_said(stated, shown):
                codes.append(finding(UNKNOWN, stated.channel))
            continue
        entries.append(stated.form.entry(shown.value, point))
        codes.extend(finding(code, stated.channel) for code in _codes(stated, shown.value, point))
    return entries


def _codes(stated: Stated, value: int, point: float) -> Iterator[str]:
    if stated.form.is_above_target(value, point):
        yield ABOVE_TARGET
    if stated.conformity is not None:
        code = stated.conformity.code(point)
        if code is not None:
            yield code


def _calibrated(form: ClosedForm, shown: _Shown) -> float | None:
    """The operating point if uncertainty is known there, moved to the calibrated points if it may be one of
    them."""
    if shown.value is None or shown.value > form.largest:
        return None
    if not form.needs_point:
        return 0.0 if shown.point is None else shown.point
    if shown.point is None or not form.low - shown.slack <= shown.point <= form.high + shown.slack:
        return None
    return min(max(shown.point, form.low), form.high)


def _is_said(stated: Stated, shown: _Shown) -> bool:
    """Whether columns.py says that the operating point is not known or outside the range."""
    if shown.value is None or not shown.is_judged:
        return False
    if shown.point is None:
        return True
    if isinstance(stated.limits, RateLimits):
        return not stated.limits.hold(shown.value, shown.value, shown.span_ms, shown.span_ms)
    return not stated.limits.low <= shown.point <= stated.limits.high


def _own(stated: Stated, rows: Rows) -> Iterator[_Shown]:
    for row in rows:
        value = _own_mean(row.get(stated.channel))
        if value is None:
            yield _NOTHING
        else:
            source = stated.channel if stated.source is None else stated.source
            yield _Shown(abs(value), _own_mean(row.get(source)))


def _own_mean(reading: Reading | None) -> int | None:
    """Not that of another instrument than the one which was calibrated."""
    return None if reading is None or reading[0] & f.STATUS_WRONG_INSTRUMENT else mean_of(reading)


def _increases(stated: Stated, run: Run) -> Iterator[_Shown]:
    """The way of a register through the run, as columns.py follows it."""
    channel, unsettled = stated.channel, run.memory.unsettled
    last = run.memory.totals.get(channel)
    since = {channel: unsettled[channel]} if channel in unsettled else {}
    for row, interval in zip(run.rows, run.intervals, strict=True):
        status, total, _ = register(row.get(channel))
        if total is None:
            if last is not None:
                since.setdefault(channel, interval.start_ms())
            yield _NOTHING
            continue
        if last is None or total < last or (status or 0) & f.STATUS_WRONG_INSTRUMENT:
            yield _NOTHING
        else:
            span_ms = span_ms_of(channel, status or 0, interval, since)
            is_own = channel not in since and span_ms == interval.duration_ms
            yield _of_increase(stated, row, total - last, span_ms, is_own)
        last = total
        since.pop(channel, None)


def _of_increase(
    stated: Stated, row: dict[int, Reading], increase: int, span_ms: int | None, is_own: bool
) -> _Shown:
    if stated.source is not None and is_own:
        return _Shown(increase, _own_mean(row.get(stated.source)))
    # A named channel's mean is of the message's interval only; over another span there is the register's own rate.
    is_judged = stated.source is None
    if stated.rate is None or not span_ms:
        return _Shown(increase, None, is_judged=is_judged)
    slack = stated.rate * stated.step / span_ms
    return _Shown(increase, stated.rate * increase / span_ms, slack, is_judged, span_ms)
