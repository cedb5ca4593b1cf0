"""Register maps of Modbus instruments: a file that people read becomes rows that a meter takes.

A map names the instrument, where its registers are known from, what must be set at the instrument, and each
register with its unit. The rows (SPEC §7, options; firmware driver `register_map`) hold integers only: a
register times an integer multiplier is the indication in units of 10^exponent. A unit or scale for which there
is no such integer is refused, never rounded. Maps of this package are in register_maps/; docs/register-maps.md
tells how to write one.
"""

import difflib
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from meter_gateway.units import UNITS
from meter_gateway.validated_toml import ConfigError, Table, problem, read
from meter_protocol.quantities import BY_NAME

DRIVER = "register_map"
BUILT_IN = Path(__file__).parent / "register_maps"

FUNCTIONS = {"holding": 3, "input": 4}
MAX_INT64 = 2**63 - 1


def _number(value: Any) -> Any:
    """TOML's integers and decimals alike; a binary float has already lost what was written."""
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _quantity(value: Any) -> Any:
    if value in BY_NAME:
        return value
    close = difflib.get_close_matches(str(value), sorted(BY_NAME), 1)
    remedy = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(BY_NAME))}"
    raise problem(f'"{value}" is not a known quantity', remedy)


def _unit(value: Any) -> Any:
    if value in UNITS:
        return value
    raise problem(f'"{value}" is not a known unit', f"known: {', '.join(UNITS)}")


Number = Annotated[Decimal, BeforeValidator(_number)]
Quantity = Annotated[str, BeforeValidator(_quantity)]
Unit = Annotated[str, BeforeValidator(_unit)]
Text = Annotated[str, Field(min_length=1)]
Function = Literal["holding", "input"]
WordOrder = Literal["high", "low"]
Integer = Literal["uint16", "uint32", "uint64"]
Row = list[int | str]


class MapError(ValueError):
    """What is wrong with one key of a register, and what helps."""

    def __init__(self, key: str, what: str, remedy: str) -> None:
        super().__init__(f"{key}: {what}; {remedy}")
        self.key = key
        self.what = what
        self.remedy = remedy


class _Place(Table):
    function: Function = Field(examples=['"input"'])
    address: int = Field(ge=0, le=0xFFFF, examples=["0x0034"])
    """On the wire, from 0: the register that manuals call 40001 or 30001 is address 0."""
    word_order: WordOrder = Field(default="high", examples=['"low"'])
    """Which word of a value comes first."""

    def place(self, kind: str) -> Row:
        takes_order = self.word_order == "low" and not kind.startswith("text") and not kind.endswith("16")
        return [FUNCTIONS[self.function], self.address, kind + "_low" if takes_order else kind]


class Register(_Place):
    name: Annotated[str, Field(min_length=1, max_length=32)] = Field(examples=['"mass_flow"'])
    quantity: Quantity = Field(examples=['"mass_flow"'])
    type: Literal[
        "uint16", "int16", "bcd16", "uint32", "int32", "bcd32", "float32", "uint64", "int64", "bcd64", "float64"
    ] = Field(examples=['"float32"'])
    unit: Unit = Field(examples=['"kg/h"'])
    scale: Number = Field(default=Decimal(1), gt=0, examples=["0.1"])
    """register × scale is the number in `unit`."""
    exponent: int = Field(ge=-18, le=18, examples=["-3"])
    """Of the indication, in the unit of the quantity: its resolution, and what the channel must say."""
    range: list[Number] = Field(min_length=2, max_length=2, examples=["[0, 1000]"])
    """Lowest and highest number in `unit` that the instrument can mean."""
    cumulative: bool = Field(default=False, examples=["true"])
    """It counts up, and what it counted between two readings is the quantity."""
    wraps_at: Number | None = Field(default=None, gt=0, examples=["1000000"])
    """The number in `unit` at which it starts again from 0; leave it out if the maker does not say so."""

    def row(self) -> Row:
        """The register as an option row, all ten cells."""
        unit = self._unit_in_steps()
        multiplier = unit * Fraction(self.scale)
        if multiplier.denominator != 1:
            raise MapError("exponent", self._inexact(), self._finer(multiplier))
        lowest, highest = ceil(Fraction(self.range[0]) * unit), floor(Fraction(self.range[1]) * unit)
        if lowest > highest:
            raise MapError("range", "holds no value", "write the lowest first")
        counting: int | str = "sample"
        if self.cumulative:
            counting = "register" if self.wraps_at is None else self._modulus(unit, highest)
            if lowest < 0:
                raise MapError("range", "a cumulative register is never negative", "write 0 as the lowest")
        elif self.wraps_at is not None:
            raise MapError("wraps_at", "belongs to a cumulative register", "add cumulative = true")
        for number in (lowest, highest, int(multiplier)):
            if abs(number) > MAX_INT64:
                raise MapError("exponent", "makes numbers of more than 64 bits", "choose a greater one")
        place = self.place(self.type)
        return [self.name, self.quantity, *place, self.exponent, lowest, highest, counting, int(multiplier)]

    def _unit_in_steps(self) -> Fraction:
        """How many units of 10^exponent of the quantity's unit are in one `unit`."""
        ucum, factor = UNITS[self.unit]
        expected = BY_NAME[self.quantity].ucum
        if ucum != expected:
            fitting = ", ".join(unit for unit, (other, _) in UNITS.items() if other == expected)
            raise MapError("unit", f"{self.unit} is not a unit of {self.quantity}", f"known: {fitting}")
        return factor / Fraction(10) ** self.exponent

    def _modulus(self, unit: Fraction, highest: int) -> int:
        modulus = Fraction(self.wraps_at or 0) * unit
        if modulus.denominator != 1:
            raise MapError("wraps_at", "is no whole number of steps", "choose a smaller exponent")
        if highest >= modulus:
            raise MapError("range", "reaches beyond wraps_at", "end it one step below")
        return int(modulus)

    def _inexact(self) -> str:
        return f"one step of the register is no whole number of 10^{self.exponent} {BY_NAME[self.quantity].ucum}"

    def _finer(self, multiplier: Fraction) -> str:
        for finer in range(1, self.exponent + 19):
            if (multiplier * 10**finer).denominator == 1:
                return f"write exponent = {self.exponent - finer} or less"
        return "the conversion is not exact: set the instrument to another unit"


class Condition(_Place):
    """What must hold at every reading; without it the instrument's numbers do not mean what the map says."""

    type: Integer = Field(examples=['"uint16"'])
    value: int = Field(ge=0, le=MAX_INT64, examples=["0"])
    mask: Annotated[int, Field(ge=0, le=MAX_INT64)] | None = Field(default=None, examples=["0x0001"])
    """Which bits count; all of them if left out."""
    meaning: Text = Field(examples=['"no error is active"'])

    def row(self) -> Row:
        bits = min(MAX_INT64, 2 ** int(self.type.removeprefix("uint")) - 1)
        return ["condition", *self.place(self.type), self.value, bits if self.mask is None else self.mask]


class Identity(_Place):
    """A register that tells this kind of instrument from others."""

    type: Integer = Field(examples=['"uint16"'])
    value: int = Field(ge=0, le=MAX_INT64, examples=["0x0070"])
    meaning: Text = Field(examples=['"product code"'])

    def row(self) -> Row:
        return ["identity", *self.place(self.type), self.value]


class Serial(_Place):
    """Where the serial number is: a number, BCD digits, or text of so many registers."""

    type: str = Field(
        pattern="^(uint(16|32|64)|bcd(16|32|64)|text([1-9]|[12][0-9]|3[012]))$", examples=['"uint32"']
    )

    def row(self) -> Row:
        return ["serial", *self.place(self.type)]


class RegisterMap(Table):
    title: Text = Field(examples=['"Fox Thermal FT3, thermal mass flow meter"'])
    maker: Text = Field(examples=['"Fox Thermal Instruments"'])
    model: Text = Field(examples=['"FT3"'])
    source: Text = Field(examples=['"Model FT3 Modbus, 104985 Rev. D, table 5.1"'])
    """Document and table that the registers are taken from."""
    checked: Text = Field(examples=['"against the display, 2026-11-22"'])
    """How far it was checked, and against what."""
    settings: list[Text] = Field(default=[], examples=['["flow unit kg/h"]'])
    """What must be set at the instrument for the units to be true."""
    registers: list[Register] = Field(
        alias="register", min_length=1, max_length=64, examples=["the table [[register]]"]
    )
    condition: list[Condition] = Field(default=[], examples=["the table [[condition]]"])
    identity: list[Identity] = Field(default=[], examples=["the table [[identity]]"])
    serial: Serial | None = Field(default=None, examples=["the table [serial]"])

    def rows(self) -> list[Row]:
        """The options of the firmware's driver; MapError with the key at fault."""
        rows = register_rows(self.registers)
        rows += [entry.row() for entry in self.condition]
        rows += [entry.row() for entry in self.identity]
        rows += [] if self.serial is None else [self.serial.row()]
        if len(rows) > 64:
            raise MapError("register", f"{len(rows)} rows are more than 64", "leave some out")
        return rows


def register_rows(registers: list[Register]) -> list[Row]:
    rows: list[Row] = []
    for index, register in enumerate(registers):
        try:
            row = register.row()
        except MapError as error:
            raise MapError(f"register[{index}].{error.key}", error.what, error.remedy) from None
        if any(other[0] == row[0] for other in rows):
            raise MapError(f"register[{index}].name", f'"{register.name}" is there twice', "give each its own")
        rows.append(row)
    return rows


def load_register_map(path: Path) -> RegisterMap:
    """The map in a file; ConfigError names file, key and remedy."""
    register_map = read(path, RegisterMap)
    try:
        register_map.rows()
    except MapError as error:
        raise ConfigError(path, error.key, error.what, error.remedy) from None
    return register_map


def find_register_map(name: str, folder: Path) -> Path | None:
    """The file that a parameter file means: *.toml is a path from its own folder, all else a built-in map."""
    if name.endswith(".toml"):
        return folder / name
    return next((path for path in built_in_maps() if path.stem == name), None)


def built_in_maps() -> list[Path]:
    return sorted(BUILT_IN.glob("*.toml"))
