"""Readings of a portable standard, from a table (CSV) that a person wrote.

One line a reading: `time,value` for a total or an instant, `start,end,value` for a mean or what was counted
between two times. Times have their offset from UTC, values are decimals in the quantity's own unit. The first
line may name the columns, in any language: it has no digit. A line that is not one of these is refused with its
number: a reading that is silently left out is a result that nobody can repeat.
"""

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation

from meter_gateway.in_situ.run_state import MAX_READINGS
from meter_gateway.texts import Told
from meter_gateway.traceability.typed_values import milliseconds

MAX_BYTES = 1 << 20
_MAX_DIGITS = 18
_DIGIT = re.compile(r"\d")


def readings_of(text: str) -> list[tuple[int, int, Decimal]]:
    """(start_ms, end_ms, value), in the order of the lines. Told names the first line that is wrong."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if not any(cells) or (number == 1 and not _DIGIT.search(line)):
            continue
        if len(cells) not in (2, 3):
            raise Told("compare.bad_line", line=number)
        moments, value = [moment(cell) for cell in cells[:-1]], number_of(cells[-1])
        if None in moments or value is None:
            raise Told("compare.bad_line", line=number)
        start_ms, end_ms = moments[0], moments[-1]
        if start_ms is None or end_ms is None or (len(cells) == 3 and start_ms >= end_ms):
            raise Told("compare.bad_line", line=number)
        found.append((start_ms, end_ms, value))
        if len(found) > MAX_READINGS:
            raise Told("compare.too_many_readings", most=MAX_READINGS)
    return found


def moment(text: str) -> int | None:
    """Unix ms of a time with its offset."""
    try:
        found = datetime.fromisoformat(text)
        return milliseconds(found) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def number_of(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or len(value.as_tuple().digits) > _MAX_DIGITS or abs(value.adjusted()) > _MAX_DIGITS:
        return None
    return value
