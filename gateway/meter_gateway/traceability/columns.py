"""The readings of a run of messages, judged channel by channel.

A run's readings of one channel form a column. A good column (no status, totals that only rise, everything
within limits) is recognised by a few operations over the whole column, and a message that comes alone by a
few comparisons per reading; that keeps the judgement cheap at ten readings a message. Anything else is looked
at reading by reading. The quick ways only ever find that there is nothing to say, so every finding comes from
one place, and the tests hold the ways against each other.
"""

from collections.abc import Sequence
from operator import lt

from meter_gateway.traceability.findings import finding
from meter_gateway.traceability.operating_point import RateLimits
from meter_gateway.traceability.plan import REGISTER_LENGTH, Column, Piece, Range
from meter_gateway.traceability.rows import (
    MEAN,
    REGISTER_MAX_LENGTH,
    Found,
    Interval,
    Memory,
    Reading,
    Rows,
    Run,
    Unsettled,
    mean_of,
)
from meter_gateway.traceability.status import CODES_OF_STATUS
from meter_protocol import fields as f

Extents = tuple[Sequence[int], Sequence[int]]
"""Lowest and highest value of a mean channel, message by message."""

# Larger than any total (int64): what comes after nothing has not grown.
_NEVER = 1 << 64


def judge(piece: Piece, run: Run, found: Found) -> None:
    """Add what the readings themselves say; the totals of the run's memory are brought up to the last row."""
    if len(run.rows) == 1 and _take_good_row(piece, run.rows[0], run.intervals[0].duration_ms, run.memory):
        return
    extents: dict[int, Extents] = {}
    for column in piece.columns:
        if column.length == REGISTER_LENGTH:
            if not _rises(column, run):
                _judge_register(column, run, found)
            continue
        extent = _good_extents(column, run)
        if extent is None:
            _judge_mean(column, run.rows, found)
        else:
            extents[column.channel] = extent
    for held in piece.ranges:
        limits = held.limits
        extent = extents.get(limits.source)
        if extent is None or min(extent[0]) < limits.low or max(extent[1]) > limits.high:
            _judge_range(held, run.rows, found)
    _compare_channels(piece, run.rows, found)


def _take_good_row(piece: Piece, row: dict[int, Reading], duration_ms: int | None, memory: Memory) -> bool:
    """Takes the row in and says True if there is nothing to say about it."""
    if memory.unsettled or duration_ms is None or len(row) != len(piece.columns):
        return False
    taken = {}
    for channel, length, increase in piece.columns:
        reading = row.get(channel)
        if reading is None or len(reading) != length or reading[0]:
            return False
        if length == REGISTER_LENGTH:
            taken[channel] = total = reading[1]
            grown = total - memory.totals.get(channel, _NEVER)
            if grown < 0 or (increase is not None and not increase.hold(grown, grown, duration_ms, duration_ms)):
                return False
        elif reading[1] < reading[2]:
            return False
    for held in piece.ranges:
        limits = held.limits
        extent = mean_extent(row.get(limits.source))
        if extent is None or extent[0] < limits.low or extent[1] > limits.high:
            return False
    memory.totals.update(taken)
    return True


def _compare_channels(piece: Piece, rows: Rows, found: Found) -> None:
    declared = {column.channel for column in piece.columns}
    for row, codes in zip(rows, found, strict=True):
        if row.keys() != declared:
            codes.extend(finding("reading_not_in_parameters", channel) for channel in row.keys() - declared)
            codes.extend(finding("reading_missing", channel) for channel in declared - row.keys())


def _good_extents(column: Column, run: Run) -> Extents | None:
    """Of a mean channel, if every reading has its good form, status 0 and all its samples."""
    values = run.column(column.channel)
    if values is None or len(values) != column.length or any(values[0]) or any(map(lt, values[1], values[2])):
        return None
    return (values[-2], values[-1]) if column.length == 7 else (values[MEAN], values[MEAN])


def _rises(column: Column, run: Run) -> bool:
    """Takes the column in and says True if it only rises, and at a rate within the limits."""
    increases = run.increases(column.channel)
    if increases is None:
        return False
    if column.increase is not None:
        known_ms = [duration_ms for _, duration_ms in run.intervals if duration_ms is not None]
        if len(known_ms) < len(run.intervals):
            return False
        if not column.increase.hold(min(increases), max(increases), min(known_ms), max(known_ms)):
            return False
    run.memory.totals[column.channel] += sum(increases)
    return True


def _judge_register(column: Column, run: Run, found: Found) -> None:
    channel, totals, unsettled = column.channel, run.memory.totals, run.memory.unsettled
    for row, interval, codes in zip(run.rows, run.intervals, found, strict=True):
        last = totals.get(channel)
        status, total, known = register(row.get(channel))
        if status is None:
            codes.append(finding("reading_not_in_parameters", channel))
        codes.extend(finding(code, channel) for code in CODES_OF_STATUS[status or 0])
        if last is not None and known is not None and known < last:
            codes.append(finding("register_backwards", channel))
        if total is None:
            if last is not None:
                unsettled.setdefault(channel, interval.start_ms())
            continue
        if last is not None and total >= last and column.increase is not None:
            span_ms = span_ms_of(channel, status or 0, interval, unsettled)
            code = _judge_increase(total - last, column.increase, span_ms)
            if code is not None:
                codes.append(finding(code, channel))
        totals[channel] = total
        unsettled.pop(channel, None)


def register(reading: Reading | None) -> tuple[int | None, int | None, int | None]:
    """(status, total, total as far as it is known); no status if it is no reading of a register."""
    if reading is None:
        return 0, None, None
    if len(reading) > REGISTER_MAX_LENGTH:
        return None, None, None
    carried = reading[2] if len(reading) == REGISTER_MAX_LENGTH else None
    return reading[0], reading[1], carried if reading[1] is None else reading[1]


def span_ms_of(channel: int, status: int, interval: Interval, unsettled: Unsettled) -> int | None:
    """The time over which a register's total grew since its last one."""
    if status & f.STATUS_DISCONTINUITY:
        return None
    if channel not in unsettled:
        return None if status & f.STATUS_GAP_BEFORE else interval.duration_ms
    since_ms = unsettled[channel]
    if since_ms is None or interval.end_ms is None or interval.end_ms <= since_ms:
        return None
    return interval.end_ms - since_ms


def _judge_increase(increase: int, limits: RateLimits, span_ms: int | None) -> str | None:
    if span_ms is None:
        return "operating_point_unknown"
    return None if limits.hold(increase, increase, span_ms, span_ms) else "outside_calibrated_range"


def _judge_mean(column: Column, rows: Rows, found: Found) -> None:
    channel = column.channel
    for row, codes in zip(rows, found, strict=True):
        reading = row.get(channel)
        if reading is None:
            continue
        if len(reading) != column.length:
            codes.append(finding("reading_not_in_parameters", channel))
            continue
        status, n, expected = reading[:3]
        if n < expected:
            status |= f.STATUS_MISSED_SAMPLES
        codes.extend(finding(code, channel) for code in CODES_OF_STATUS[status])


def _judge_range(held: Range, rows: Rows, found: Found) -> None:
    channel, limits, outside, unknown = held
    for row, codes in zip(rows, found, strict=True):
        extent = mean_extent(row.get(limits.source))
        if extent is None:
            # A channel that is its own operating point and has no value claims nothing.
            if channel != limits.source:
                codes.append(finding(unknown, channel))
        elif extent[0] < limits.low or extent[1] > limits.high:
            codes.append(finding(outside, channel))


def mean_extent(reading: Reading | None) -> tuple[int, int] | None:
    mean = mean_of(reading)
    if reading is None or mean is None:
        return None
    return (reading[5], reading[6]) if len(reading) == 7 else (mean, mean)
