"""The map file: which column of a trace is which indication of which instrument (TOML).

hil_tests/traces/*.toml are maps with every key explained; docs say how to write one for a trace of your own.
"""

import tomllib
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meter_protocol.quantities import BY_NAME
from meter_tools.simulator.instruments import KINDS, AnalyserRegister, Indication, Kind, analyser

PROJECT_MAPS = Path(__file__).parents[3] / "hil_tests" / "traces"

UNITS = {
    # unit in a CSV file: (UCUM unit of the quantity, factor)
    "Wh": ("W.h", Fraction(1)),
    "kWh": ("W.h", Fraction(1000)),
    "MWh": ("W.h", Fraction(1000000)),
    "varh": ("V.A.h", Fraction(1)),
    "kvarh": ("V.A.h", Fraction(1000)),
    "W": ("W", Fraction(1)),
    "kW": ("W", Fraction(1000)),
    "MW": ("W", Fraction(1000000)),
    "var": ("V.A", Fraction(1)),
    "kvar": ("V.A", Fraction(1000)),
    "V": ("V", Fraction(1)),
    "A": ("A", Fraction(1)),
    "Hz": ("Hz", Fraction(1)),
    "1": ("1", Fraction(1)),
    "%": ("1", Fraction(1, 100)),
    "%RH": ("%", Fraction(1)),
    "degC": ("Cel", Fraction(1)),
    "Pa": ("Pa", Fraction(1)),
    "mbar": ("Pa", Fraction(100)),
    "bar": ("Pa", Fraction(100000)),
    "ppm": ("[ppm]", Fraction(1)),
    "mg/m3": ("mg/m3", Fraction(1)),
    "m3": ("m3", Fraction(1)),
    "L": ("m3", Fraction(1, 1000)),
    "m3/h": ("m3/h", Fraction(1)),
}

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


class RegisterTable(_Table):
    name: str
    quantity: str
    function: Literal[3, 4]
    address: int = Field(ge=0, le=0xFFFF)
    type: str
    exponent: int
    lowest: int
    highest: int


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
    register_map: list[RegisterTable] = Field(default=[], alias="register")
    column: list[ColumnTable] = Field(min_length=1)

    def kind(self) -> Kind:
        if self.instrument.kind == "analyser":
            return analyser([AnalyserRegister(**row.model_dump()) for row in self.register_map])
        if self.instrument.kind not in KINDS:
            known = ", ".join(sorted([*KINDS, "analyser"]))
            raise TraceError("unknown_instrument", f"instrument.kind must be one of {known}")
        return KINDS[self.instrument.kind]

    def analyser_rows(self) -> list[list[str | int]] | None:
        """The options of the firmware's analyser driver, None for every other instrument."""
        if self.instrument.kind != "analyser":
            return None
        return [AnalyserRegister(**row.model_dump()).row() for row in self.register_map]

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
            return TraceMap.model_validate(tomllib.load(file))
    except tomllib.TOMLDecodeError as error:
        raise TraceError("map_toml", f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise TraceError("map_key", f"{path}: {key}: {first['msg']}") from error


def find_map(csv_path: Path, folder: Path = PROJECT_MAPS) -> Path:
    """The map beside the CSV (same name, .toml), else the project's own map for a file of that name."""
    beside = csv_path.with_suffix(".toml")
    if beside.exists():
        return beside
    for candidate in sorted(folder.glob("*.toml")):
        if load_map(candidate).csv.file == csv_path.name:
            return candidate
    raise TraceError("no_map", f"no map for {csv_path.name}: write {beside}, as {folder}/*.toml show")
