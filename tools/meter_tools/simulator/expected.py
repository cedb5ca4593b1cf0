"""What must arrive at the far end of a replay, read from the CSV file a second time and as plainly as possible.

It shares no arithmetic with `trace`: sums of Decimals, as one would do them by hand.
"""

import csv
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

from meter_gateway.units import UNITS
from meter_tools.simulator.trace_map import load_map


@dataclass(frozen=True)
class ExpectedTotal:
    column: str
    indication: str
    total: Decimal
    """In the column's own unit, on the primary side."""
    unit: str
    base_total: Decimal
    """In the UCUM unit of the quantity, W.h for energies."""


def expected_totals(csv_path: Path, map_path: Path, days: int | None = None) -> list[ExpectedTotal]:
    """The sums of the columns that are counted, over the first `days` days."""
    trace_map = load_map(map_path)
    rows = _first_rows(csv_path, trace_map.interval.seconds, days)
    totals = []
    for column in trace_map.column:
        if column.use == "energy_per_interval":
            total = sum((Decimal(row[column.name]) for row in rows), Decimal(0))
            factor = UNITS[column.unit][1]
            base_total = total * factor.numerator / factor.denominator
            totals.append(ExpectedTotal(column.name, column.indication, total, column.unit, base_total))
    return totals


def expected_values(csv_path: Path, map_path: Path, days: int | None = None) -> list[dict[str, Decimal]]:
    """Row by row, the columns that are held or turned into a rate, by indication, in the quantity's UCUM unit."""
    trace_map = load_map(map_path)
    values = []
    for row in _first_rows(csv_path, trace_map.interval.seconds, days):
        of_row = {}
        for column in trace_map.column:
            factor = UNITS[column.unit][1]
            in_base_unit = Decimal(row[column.name]) * factor.numerator / factor.denominator
            if column.use == "value":
                of_row[column.indication] = in_base_unit
            elif column.use == "mean_rate":
                of_row[column.indication] = in_base_unit * 3600 / trace_map.interval.seconds
        values.append(of_row)
    return values


def _first_rows(csv_path: Path, interval_s: int, days: int | None) -> list[dict[str, str]]:
    with csv_path.open(encoding="utf-8-sig", newline="") as file:
        return list(islice(csv.DictReader(file), None if days is None else days * 86400 // interval_s))
