"""A measured trace as an instrument: energies of the intervals become registers, values are held.

Everything is an exact integer in register units, or the trace is refused with row, column and remedy. At the
end of a row's interval a register has counted the whole row, to the last digit; inside the interval it has
counted the integer part of a linear share, so it never goes back. A value belongs to its row's interval, the
end included and the start not, as a meter samples: at an interval's end it reads what the interval was.
"""

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

from meter_tools.simulator.trace_map import ColumnTable, TraceError, TraceMap, load_map

MS_PER_DAY = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)


class Trace:
    """The first `days` days of a CSV file, all of it if None, read through its map."""

    def __init__(self, csv_path: Path, trace_map: TraceMap, days: int | None = None) -> None:
        self.map = trace_map
        self.interval_ms = trace_map.interval.seconds * 1000
        columns = trace_map.column
        factors = [trace_map.register_units(column) for column in columns]
        limit = None if days is None else days * MS_PER_DAY // self.interval_ms
        series: list[list[int]] = [[] for _ in columns]
        ends: list[datetime | None] = []
        for line, row in _rows(csv_path, limit):
            ends.append(_interval_end(trace_map, line, row))
            for column, factor, numbers in zip(columns, factors, series, strict=True):
                numbers.append(_register_units(column, factor, line, row))
        if not ends or (limit is not None and len(ends) < limit):
            asked = "any row" if limit is None else f"{days} days, {limit} rows"
            raise TraceError("too_short", f"{csv_path} has {len(ends)} rows and not {asked}")
        self.intervals = len(ends)
        self.start_utc_ms = self._start_utc_ms(ends)
        self.end_utc_ms = self.start_utc_ms + self.intervals * self.interval_ms
        self._counted: dict[str, list[int]] = {}
        self._held: dict[str, list[int]] = {}
        for column, numbers in zip(columns, series, strict=True):
            if column.use == "energy_per_interval":
                self._counted[column.indication] = [0, *accumulate(numbers)]
            else:
                self._held[column.indication] = numbers

    def __call__(self, utc_ms: int) -> Mapping[str, int | None]:
        """The instrument's indications at a moment."""
        elapsed = min(max(utc_ms - self.start_utc_ms, 0), self.intervals * self.interval_ms)
        complete, inside = divmod(elapsed, self.interval_ms)
        values: dict[str, int | None] = {}
        for name, sums in self._counted.items():
            value = sums[complete]
            if inside:
                value += (sums[complete + 1] - value) * inside // self.interval_ms
            values[name] = value
        is_covered = self.start_utc_ms <= utc_ms <= self.end_utc_ms
        row = max(-(-elapsed // self.interval_ms) - 1, 0)
        for name, numbers in self._held.items():
            values[name] = numbers[row] if is_covered else None
        return values

    def _start_utc_ms(self, ends: list[datetime | None]) -> int:
        """Checks that the rows' intervals follow each other without a gap."""
        first = ends[0]
        interval = timedelta(seconds=self.map.interval.seconds)
        start = self.map.start()
        if first is None:
            if start is None:
                raise TraceError("no_start", "a map without csv.timestamp states interval.start")
            return (start - EPOCH) // MS
        for index, end in enumerate(ends):
            if end != first + index * interval:
                raise TraceError(
                    "timestamp_gap",
                    f"expected {first + index * interval}, found {end}; rows must follow each other every "
                    f"{interval}: fill the gap, or cut the file there",
                    index + 2,
                    self.map.csv.timestamp,
                )
        if start is not None and start != first - interval:
            raise TraceError("map_start", f"interval.start is {start}, the first row begins at {first - interval}")
        return (first - interval - EPOCH) // MS


def load_trace(csv_path: Path, map_path: Path, days: int | None = None) -> Trace:
    return Trace(csv_path, load_map(map_path), days)


def _rows(csv_path: Path, limit: int | None) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number in the file, row); the header is line 1."""
    with csv_path.open(encoding="utf-8-sig", newline="") as file:
        for index, row in enumerate(csv.DictReader(file)):
            if index == limit:
                return
            yield index + 2, row


def _cell(column: str, line: int, row: dict[str, str]) -> str:
    cell = row.get(column)
    if cell is None:
        raise TraceError("missing_column", "there is no such column; the map names it", line, column)
    return cell


def _interval_end(trace_map: TraceMap, line: int, row: dict[str, str]) -> datetime | None:
    column = trace_map.csv.timestamp
    if column is None:
        return None
    cell = _cell(column, line, row)
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError as error:
        raise TraceError(
            "bad_timestamp", f"{cell!r} is not an ISO 8601 time such as 2018-01-01T00:15", line, column
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=trace_map.offset())
    return moment.astimezone(UTC)


def _register_units(column: ColumnTable, factor: Fraction, line: int, row: dict[str, str]) -> int:
    cell = _cell(column.name, line, row)
    try:
        number = Decimal(cell)
    except InvalidOperation as error:
        raise TraceError("not_a_number", f"{cell!r} is not a decimal number", line, column.name) from error
    if not number.is_finite():
        raise TraceError("not_a_number", f"{cell!r} is not finite", line, column.name)
    units = Fraction(number) * factor
    if units.denominator != 1:
        raise TraceError(
            "not_representable",
            f"{cell} {column.unit} is {float(units)} units of the {column.indication} register, which holds whole "
            "ones; choose a finer register (exponent), or a ratio that divides it",
            line,
            column.name,
        )
    if column.use == "energy_per_interval" and units < 0:
        raise TraceError(
            "negative_energy", f"{cell}: a register never goes back; map exports to their own", line, column.name
        )
    return units.numerator
