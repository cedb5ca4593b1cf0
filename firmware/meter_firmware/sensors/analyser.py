"""Any Modbus analyser: its register map is data, not code, and comes sealed in the meter's parameter set.

One row per indication: [name, quantity, function, address, type, exponent, lowest, highest]. `type` is one of
TYPES; with the suffix `_low` the low word comes first. The value is register * 10^exponent in the quantity's
unit; outside lowest..highest (in register units) it is out of range. Neighbouring registers of one function
are read in one request, so that what belongs together is of one moment as far as the analyser allows.

Every indication is a sample: a cumulative register needs a modulus, and with it a driver of its own.
"""

from meter_firmware.modbus import MAX_REGISTERS, READ_HOLDING, READ_INPUT, InstrumentError
from meter_firmware.sensors.driver import SAMPLE, ModbusDriver, identity
from meter_firmware.sensors.words import signed, unsigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.sensors.driver import Identity, Indications, Limits, Registers, Values

    Rows = list[list[Any]]

LOW_WORD_FIRST = "_low"

TYPES = {
    "uint16": (1, False),
    "int16": (1, True),
    "uint32": (2, False),
    "int32": (2, True),
    "uint64": (4, False),
    "int64": (4, True),
}


def check(rows: "Rows | None") -> "Rows":
    """The rows, if they are a register map; InstrumentError `register_map` otherwise."""
    if not rows:
        raise InstrumentError("register_map")
    names = []
    for row in rows:
        if len(row) != 8 or not _is_row(row) or row[0] in names:
            raise InstrumentError("register_map")
        names.append(row[0])
    return rows


def _is_row(row: "list[Any]") -> bool:
    name, quantity, function, address, kind, exponent, lowest, highest = row
    for word in (name, quantity, kind):
        if not isinstance(word, str):
            return False
    for number in (function, address, exponent, lowest, highest):
        if isinstance(number, bool) or not isinstance(number, int):
            return False
    if function not in (READ_HOLDING, READ_INPUT) or _plain(kind) not in TYPES or lowest > highest:
        return False
    last_first_register = 0x10000 - TYPES[_plain(kind)][0]
    return bool(0 <= address <= last_first_register)


def _plain(kind: str) -> str:
    return kind[: -len(LOW_WORD_FIRST)] if kind.endswith(LOW_WORD_FIRST) else kind


def plan(rows: "Rows") -> "Registers":
    """The fewest requests: runs of registers without a gap, none split inside a value."""
    spans = sorted((row[2], row[3], TYPES[_plain(row[4])][0]) for row in rows)
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


def convert(blocks: "list[bytes]", rows: "Rows", registers: "Registers") -> "Values":
    values: "Values" = {}
    for name, _, function, address, kind, _, _, _ in rows:
        words, is_signed = TYPES[_plain(kind)]
        for index in range(len(registers)):
            in_function, first, count = registers[index]
            if in_function == function and first <= address and address + words <= first + count:
                reader = signed if is_signed else unsigned
                values[name] = reader(blocks[index], address - first, words, kind.endswith(LOW_WORD_FIRST))
    return values


def define(rows: "Rows | None") -> "type[ModbusDriver]":
    """The driver class of one register map."""
    checked = check(rows)
    registers = plan(checked)

    class Analyser(ModbusDriver):
        REGISTERS = registers
        INDICATIONS: "Indications" = {row[0]: (row[1], row[5], None, SAMPLE) for row in checked}
        LIMITS: "Limits" = {row[0]: (row[6], row[7]) for row in checked}

        @staticmethod
        def convert(blocks: "list[bytes]") -> "Values":
            return convert(blocks, checked, registers)

        async def identify(self) -> "Identity":
            """A register map that is data says nothing of who made the instrument; that it answers is all."""
            await self._blocks(registers[:1])
            return identity(None, "analyser", None, None)

    return Analyser
