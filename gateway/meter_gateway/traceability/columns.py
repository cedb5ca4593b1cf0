"""The readings of a run of messages, judged channel by channel.

A run's readings of one channel form a column. A good column (no status, totals that only rise, everything
within limits) is recognised by a few operations over the whole column, and a message that comes alone by a
few comparisons per reading; that keeps the judgement cheap at ten readings a message. Anything else is looked
at reading by reading. The quick ways only ever find that there is nothing to say, so every finding comes from
one place, and the tests hold the ways against each other.
"""

from meter_gateway.traceability.findings import finding
from meter_gateway.traceability.operating_point import RateLimits
from meter_gateway.traceability.plan import REGISTER_LENGTH, Column, Piece, Range
from meter_gateway.traceability.rows import (
    LENGTH_WITH_EXTREMES,
    REGISTER_MAX_LENGTH,
    Found,
    Interval,
    Means,
    Memory,
    Reading,
    Rows,
    Run,
    Unsettled,
    mean_of,
)
from meter_gateway.traceability.status import CODES_OF_STATUS
from meter_protocol import fields as f

# Larger than any total (int64): what comes after nothing has not grown.
_NEVER = 1 << 64


def judge(piece: Piece, run: Run, found: Found) -> None:
    """Add what the readings themselves say; the totals of the run's memory are brought up to the last row."""
    if len(run.rows) == 1 and _take_good_row(piece, run.rows[0], run.intervals[0].duration_ms, run.memory):
        return
    is_whole = True
    for column in piece.columns:
        if column.length == REGISTER_LENGTH:
            if not _rises(column, run):
                _judge_register(column, run, found)
                is_whole = False
        elif not _is_good(column, run.means(column.channel)):
            _judge_mean(column, run.rows, found)
            is_whole = False
    for held in piece.ranges:
        limits, means = held.limits, run.means(held.limits.source)
        if means is None or means.lowest < limits.low or means.highest > limits.high:
            _judge_range(held, run.rows, found)
    # Rows that have every channel, and as many readings as there are channels, have no other.
    if not is_whole or {*map(len, run.rows)} != {len(piece.columns)}:
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


def _is_good(column: Column, means: Means | None) -> bool:
    """Whether every reading of a mean channel has its good form, status 0 and all its samples."""
    return means is not None and means.length == column.length and means.is_good and means.is_complete


def _rises(column: Column, run: Run) -> bool:
    """Takes the column in and says True if it only rises, and at a rate within the limits."""
    increases = run.increases(column.channel)
    if increases is None:
        return False
    if column.increase is not None:
        durations_ms = run.durations()
        if durations_ms is None or not column.increase.hold(
            increases.least, increases.most, durations_ms.shortest, durations_ms.longest
        ):
            return False
    run.memory.totals[column.channel] += sum(increases.values)
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
    return (reading[5], reading[6]) if len(reading) == LENGTH_WITH_EXTREMES else (mean, mean)
