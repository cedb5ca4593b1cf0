"""Any instrument whose registers are plain numbers: its map is data, and comes sealed in the parameter set.

The options are rows, told apart by their length:

    [name, quantity, function, address, type, exponent, lowest, highest]            an indication, sampled
    [.., "sample" | "register" | modulus, multiplier]                               two more cells, optional
    ["condition", function, address, type, value, mask]       (register & mask) = value, or nothing counts
    ["identity", function, address, type, value]              what makes it this kind of instrument
    ["serial", function, address, type]                       its serial number

An indication is register * multiplier in units of 10^exponent of the quantity's unit; outside lowest..highest,
in the same units, it is out of range. The multiplier is an integer, so that no conversion rounds; a floating
point register is rounded once, to the nearest. "register" counts up without a known end, a modulus is where it
starts again. `type` is one of NUMBERS, or for a serial number one of TEXTS; with the suffix `_low` the low word
comes first. A condition guards what somebody can change at the instrument's keypad (a unit, a measuring mode).

Neighbouring registers of one function are read in one request, so that what belongs together is of one moment
as far as the instrument allows. The host writes these rows from a file with units and sources
(meter_gateway/register_map.py).
"""

from meter_sampling.drivers.driver import REGISTER, SAMPLE, ModbusDriver, identity, wrong_identity
from meter_sampling.drivers.settings import is_integer
from meter_sampling.drivers.words import bcd, binary32, binary64, decimal, signed, text, unsigned
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.modbus_frames import MAX_REGISTERS, READ_HOLDING, READ_INPUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Registers, Values

    Rows = list[list[Any]]

LOW_WORD_FIRST = "_low"

NUMBERS = {
    "uint16": 1,
    "int16": 1,
    "bcd16": 1,
    "uint32": 2,
    "int32": 2,
    "bcd32": 2,
    "float32": 2,
    "uint64": 4,
    "int64": 4,
    "bcd64": 4,
    "float64": 4,
}
"""Registers that each type takes."""

TEXTS = {"text%d" % count: count for count in range(1, 33)}
"""ASCII, two characters a register."""

SERIAL_CELLS = 4
IDENTITY_CELLS = 5
CONDITION_CELLS = 6
SAMPLE_CELLS = 8
INDICATION_CELLS = 10


def define(rows: "Rows | None") -> "type[ModbusDriver]":
    """The driver class of one register map; InstrumentError `register_map` if the rows are none."""
    checked = check(rows)
    indications = [row for row in checked if len(row) == INDICATION_CELLS]
    conditions = [row for row in checked if len(row) == CONDITION_CELLS]
    identities = [row for row in checked if len(row) == IDENTITY_CELLS]
    serials = [row for row in checked if len(row) == SERIAL_CELLS]
    registers = plan([row[2:5] for row in indications] + [row[1:4] for row in conditions])
    identity_registers = plan([row[1:4] for row in identities + serials]) or registers[:1]

    class RegisterMap(ModbusDriver):
        REGISTERS = registers
        INDICATIONS: "Indications" = {row[0]: _indication(row) for row in indications}
        LIMITS: "Limits" = {row[0]: (row[6], row[7]) for row in indications}
        SOURCES = {row[0]: row[2:5] + row[9:] for row in indications}

        @staticmethod
        def convert(blocks: "list[bytes]") -> "Values":
            values: "Values" = {}
            for row in indications:
                block, index = _find(blocks, registers, row[2:5])
                values[row[0]] = number(block, index, row[4], row[9])
            return values

        @staticmethod
        def state_faults(blocks: "list[bytes]") -> "Faults":
            for _, function, address, kind, value, mask in conditions:
                block, index = _find(blocks, registers, [function, address, kind])
                if unsigned(block, index, words_of(kind), _is_low(kind)) & mask != value:
                    return {row[0]: "condition_not_met" for row in indications}
            return {}

        async def identify(self) -> "Identity":
            """Without rows that say more, that it answers is all that can be told."""
            blocks = await self._blocks(identity_registers)
            for _, function, address, kind, value in identities:
                block, index = _find(blocks, identity_registers, [function, address, kind])
                if unsigned(block, index, words_of(kind), _is_low(kind)) != value:
                    raise wrong_identity()
            serial = None
            for row in serials:
                block, index = _find(blocks, identity_registers, row[1:4])
                serial = serial_number(block, index, row[3])
            return identity(None, None, serial, None)

    return RegisterMap


def check(rows: "Rows | None") -> "Rows":
    """The rows, indications with all their cells, if they are a register map."""
    checked: "Rows" = []
    names: "list[str]" = []
    for row in rows or []:
        # Nobody's indication has the name of another row's kind: their lengths differ.
        row = list(row)
        if len(row) == SAMPLE_CELLS:
            row += [SAMPLE, 1]
        if not _is_row(row):
            raise InstrumentError("register_map")
        if len(row) == INDICATION_CELLS:
            if row[0] in names:
                raise InstrumentError("register_map")
            names.append(row[0])
        elif len(row) == SERIAL_CELLS and [other for other in checked if len(other) == SERIAL_CELLS]:
            raise InstrumentError("register_map")
        checked.append(row)
    if not names:
        raise InstrumentError("register_map")
    return checked


def _is_row(row: "list[Any]") -> bool:
    if len(row) == INDICATION_CELLS:
        return _is_indication(row)
    if len(row) == SERIAL_CELLS:
        return row[0] == "serial" and _is_place(row[1:4], True)
    if len(row) == IDENTITY_CELLS:
        return row[0] == "identity" and _is_place(row[1:4]) and is_integer(row[4])
    if len(row) == CONDITION_CELLS:
        return row[0] == "condition" and _is_place(row[1:4]) and is_integer(row[4]) and is_integer(row[5])
    return False


def _is_indication(row: "list[Any]") -> bool:
    name, quantity, function, address, kind, exponent, lowest, highest, counting, multiplier = row
    if not isinstance(name, str) or not isinstance(quantity, str) or not _is_place([function, address, kind]):
        return False
    for cell in (exponent, lowest, highest, multiplier):
        if not is_integer(cell):
            return False
    if lowest > highest or multiplier < 1:
        return False
    if counting == SAMPLE:
        return True
    if lowest < 0:
        return False
    return counting == REGISTER or (is_integer(counting) and bool(highest < counting))


def _is_place(cells: "list[Any]", is_serial: bool = False) -> bool:
    function, address, kind = cells
    if not isinstance(kind, str) or not is_integer(function) or not is_integer(address):
        return False
    if function not in (READ_HOLDING, READ_INPUT):
        return False
    if is_serial:
        if kind.startswith("float") or kind.startswith("int"):
            return False
        known = _plain(kind) in NUMBERS or kind in TEXTS
    else:
        known = _plain(kind) in NUMBERS
    return known and bool(0 <= address <= 0x10000 - words_of(kind))


def _plain(kind: str) -> str:
    return kind[: -len(LOW_WORD_FIRST)] if _is_low(kind) else kind


def _is_low(kind: str) -> bool:
    return kind.endswith(LOW_WORD_FIRST)


def words_of(kind: str) -> int:
    plain = _plain(kind)
    return NUMBERS[plain] if plain in NUMBERS else TEXTS[plain]


def _indication(row: "list[Any]") -> "tuple[str, int, int | None, str]":
    _, quantity, _, _, _, exponent, _, _, counting, _ = row
    if counting == SAMPLE:
        return (quantity, exponent, None, SAMPLE)
    return (quantity, exponent, None if counting == REGISTER else counting, REGISTER)


def plan(places: "list[list[Any]]") -> "Registers":
    """The fewest requests for [function, address, type]: runs without a gap, none split inside a value."""
    spans = sorted((function, address, words_of(kind)) for function, address, kind in places)
    requests: "list[tuple[int, int, int]]" = []
    for function, address, words in spans:
        if requests:
            last_function, first, count = requests[-1]
            end = max(first + count, address + words)
            if function == last_function and address <= first + count and end - first <= MAX_REGISTERS:
                requests[-1] = (function, first, end - first)
                continue
        requests.append((function, address, words))
    return tuple(requests)


def _find(blocks: "list[bytes]", registers: "Registers", place: "list[Any]") -> "tuple[bytes, int]":
    """The block that holds a value, and the index of its first register there."""
    function, address, kind = place
    for index in range(len(registers)):
        in_function, first, count = registers[index]
        if in_function == function and first <= address and address + words_of(kind) <= first + count:
            return blocks[index], address - first
    raise ValueError("the plan covers every place")


def number(block: bytes, index: int, kind: str, multiplier: int) -> "int | None":
    """None for what is no number: NaN, an infinity, a nibble that is no decimal digit."""
    words, is_low, plain = words_of(kind), _is_low(kind), _plain(kind)
    if plain == "float32":
        return binary32(unsigned(block, index, words, is_low), multiplier)
    if plain == "float64":
        return binary64(unsigned(block, index, words, is_low), multiplier)
    if plain.startswith("bcd"):
        value = decimal(block, index, words, is_low)
        return None if value is None else value * multiplier
    reader = signed if plain.startswith("int") else unsigned
    return reader(block, index, words, is_low) * multiplier


def serial_number(block: bytes, index: int, kind: str) -> "str | None":
    """None where the instrument has none: blanks or zero. InstrumentError `wrong_identity` if it is unreadable."""
    words, is_low = words_of(kind), _is_low(kind)
    if kind in TEXTS:
        serial = text(block, index, words)
        if serial is None:
            raise wrong_identity()
        return serial or None
    if not kind.startswith("bcd"):
        return str(unsigned(block, index, words, is_low) or "") or None
    digits = bcd(block, index, words, is_low)
    if digits is None:
        raise wrong_identity()
    return digits if int(digits) else None
