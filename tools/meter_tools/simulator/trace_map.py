"""The map file: which column of a trace is which indication of which instrument (TOML).

hil_tests/traces/*.toml are maps with every key explained; docs say how to write one for a trace of your own.
"""

import tomllib
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meter_gateway.register_map import MapError, Register, Row, register_rows
from meter_gateway.units import UNITS
from meter_protocol.quantities import BY_NAME
from meter_tools.simulator import register_map
from meter_tools.simulator.instruments import KINDS, Indication, Kind

PROJECT_MAPS = Path(__file__).parents[3] / "hil_tests" / "traces"

PER_HOUR = {"W.h": "W", "V.A.h": "V.A", "m3": "m3/h", "kg": "kg/h"}
"""Unit of a quantity's mean rate: the quantity of an interval divided by the interval in hours."""

Use = Literal["energy_per_interval", "mean_rate", "value"]


class TraceError(Exception):
    """A trace or map that cannot be replayed exactly: `reason` is a code, the text says where and what to do."""

    def __init__(self, reason: str, message: str, row: int | None = None, column: str | None = None) -> None:
        place = "" if row is None else f"row {row}, "
        place += "" if column is None else f"column {column}: "
        super().__init__(place + message)
        self.reason = reason
        self.row = row
        self.column = column


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CsvTable(_Table):
    file: str
    timestamp: str | None = None
    utc_offset: str = "+00:00"


class IntervalTable(_Table):
    seconds: int = Field(gt=0)
    start: datetime | None = None


class InstrumentTable(_Table):
    kind: str


class RatioTable(_Table):
    primary: int = Field(gt=0)
    secondary: int = Field(gt=0)


class ColumnTable(_Table):
    name: str
    use: Use
    indication: str
    unit: str
    through_ratio: bool = False


class TraceMap(_Table):
    title: str
    source: str
    licence: str
    csv: CsvTable
    interval: IntervalTable
    instrument: InstrumentTable
    ratio: RatioTable | None = None
    registers: list[Register] = Field(default=[], alias="register")
    """Of an instrument of the kind `register_map`, as in a register map's file."""
    column: list[ColumnTable] = Field(min_length=1)

    def kind(self) -> Kind:
        if self.instrument.kind == register_map.NAME:
            return register_map.kind_of_registers(self.registers)
        if self.instrument.kind not in KINDS:
            known = ", ".join(sorted([*KINDS, register_map.NAME]))
            raise TraceError("unknown_instrument", f"instrument.kind must be one of {known}")
        return KINDS[self.instrument.kind]

    def register_rows(self) -> list[Row] | None:
        """The options of the firmware's driver `register_map`, None for every other instrument."""
        return register_rows(self.registers) if self.instrument.kind == register_map.NAME else None

    def offset(self) -> timezone:
        sign, hours, minutes = self.csv.utc_offset[0], self.csv.utc_offset[1:3], self.csv.utc_offset[4:6]
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-offset if sign == "-" else offset)

    def start(self) -> datetime | None:
        if self.interval.start is None:
            return None
        if self.interval.start.tzinfo is None:
            raise TraceError("map_start", "interval.start needs a time zone: write 2011-01-01T00:00:00Z")
        return self.interval.start.astimezone(UTC)

    def register_units(self, column: ColumnTable) -> Fraction:
        """Factor from the column's numbers to the instrument's register units."""
        indication = self._indication(column)
        if column.unit not in UNITS:
            raise TraceError(
                "unknown_unit", f"unit {column.unit!r} is not one of {', '.join(UNITS)}", None, column.name
            )
        unit, factor = UNITS[column.unit]
        if column.use == "mean_rate":
            if unit not in PER_HOUR:
                raise TraceError("no_rate", f"{column.unit} has no rate; use = 'value'", None, column.name)
            unit, factor = PER_HOUR[unit], factor * Fraction(3600, self.interval.seconds)
        expected = BY_NAME[indication.quantity].ucum
        if unit != expected:
            raise TraceError(
                "unit_mismatch",
                f"{column.unit} is not a unit of {indication.quantity}, which is in {expected}",
                None,
                column.name,
            )
        if column.through_ratio:
            if self.ratio is None:
                raise TraceError("no_ratio", "through_ratio needs a [ratio] table", None, column.name)
            factor *= Fraction(self.ratio.secondary, self.ratio.primary)
        return factor / Fraction(10) ** indication.exponent

    def _indication(self, column: ColumnTable) -> Indication:
        indications = self.kind().indications
        if column.indication not in indications:
            raise TraceError(
                "unknown_indication",
                f"{self.instrument.kind} has no {column.indication!r}, only {', '.join(sorted(indications))}",
                None,
                column.name,
            )
        return indications[column.indication]


def load_map(path: Path) -> TraceMap:
    try:
        with path.open("rb") as file:
            trace_map = TraceMap.model_validate(tomllib.load(file, parse_float=Decimal))
        trace_map.register_rows()
    except tomllib.TOMLDecodeError as error:
        raise TraceError("map_toml", f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise TraceError("map_key", f"{path}: {key}: {first['msg']}") from error
    except MapError as error:
        raise TraceError("map_key", f"{path}: {error}") from error
    return trace_map


def find_map(csv_path: Path, folder: Path = PROJECT_MAPS) -> Path:
    """The map beside the CSV (same name, .toml), else the project's own map for a file of that name."""
    beside = csv_path.with_suffix(".toml")
    if beside.exists():
        return beside
    for candidate in sorted(folder.glob("*.toml")):
        if load_map(candidate).csv.file == csv_path.name:
            return candidate
    raise TraceError("no_map", f"no map for {csv_path.name}: write {beside}, as {folder}/*.toml show")
