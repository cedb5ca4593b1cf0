"""Eastron SDM630 family, three-phase AC meters (SDM630-Modbus, MCT, EV), Modbus RTU.

Source: Eastron SDM630Modbus Smart Meter Modbus Protocol Implementation, §1.2 (input registers, at most 80 in one
request) and §1.3 (holding registers). Every parameter is an IEEE 754 single in two registers, high word first.
Serial number (FC00) and meter code (FC02) are of the later protocol documents: older firmware refuses them, and
then there is no serial number.

Resolution. Energies come as kilowatt-hours in a single, of which only 24 bits count. The meter shows 0.01 kWh; the
register is as fine as that up to 131,072 kWh, steps by 15.6 Wh above, 31 Wh above 262,144 kWh and 62.5 Wh above
524,288 kWh. Rounded here to the nearest watt-hour: nothing is added to what the register says, nothing lost,
and the total stays monotonic because rounding is.

The maker gives the energies' range (0-999,999.99 kWh, other models one digit more) and not what follows its end:
no modulus is claimed, and a total that goes back is a discontinuity. "Import" and "export" of reactive energy
are the meter's two registers; for a load that only imports they are the quadrants I (lagging) and IV (leading).
"""

from meter_sampling.drivers.driver import REGISTER, SAMPLE, ModbusDriver, identity, without_options, wrong_identity
from meter_sampling.drivers.words import binary32, unsigned
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.modbus_frames import READ_HOLDING, READ_INPUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Driver, Identity, Indications, Limits, Registers, Values


# The second block holds every energy and the total power: they are of one moment.
REGISTERS: "Registers" = ((READ_INPUT, 0x0000, 36), (READ_INPUT, 0x0030, 32))

SYSTEM_TYPE: "Registers" = ((READ_HOLDING, 0x000A, 2),)
NODE_ADDRESS: "Registers" = ((READ_HOLDING, 0x0014, 2),)
SERIAL_NUMBER: "Registers" = ((READ_HOLDING, 0xFC00, 2),)
METER_CODE: "Registers" = ((READ_HOLDING, 0xFC02, 1),)

SYSTEM_TYPES = (1, 2, 3)
"""1p2w, 3p3w, 3p4w."""

MAX_ENERGY_WH = 10**10 - 10
MAX_POWER = 10**8

TABLE: "tuple[tuple[str, int, str, int, int, int, int, str], ...]" = (
    # indication, address, quantity, exponent, multiplier of the single, lowest, highest, kind
    ("voltage_l1", 0x00, "voltage", -2, 100, 0, 100000, SAMPLE),
    ("voltage_l2", 0x02, "voltage", -2, 100, 0, 100000, SAMPLE),
    ("voltage_l3", 0x04, "voltage", -2, 100, 0, 100000, SAMPLE),
    ("current_l1", 0x06, "current", -3, 1000, 0, 10**7, SAMPLE),
    ("current_l2", 0x08, "current", -3, 1000, 0, 10**7, SAMPLE),
    ("current_l3", 0x0A, "current", -3, 1000, 0, 10**7, SAMPLE),
    ("active_power_l1", 0x0C, "active_power", -1, 10, -MAX_POWER, MAX_POWER, SAMPLE),
    ("active_power_l2", 0x0E, "active_power", -1, 10, -MAX_POWER, MAX_POWER, SAMPLE),
    ("active_power_l3", 0x10, "active_power", -1, 10, -MAX_POWER, MAX_POWER, SAMPLE),
    ("apparent_power_l1", 0x12, "apparent_power", -1, 10, 0, MAX_POWER, SAMPLE),
    ("apparent_power_l2", 0x14, "apparent_power", -1, 10, 0, MAX_POWER, SAMPLE),
    ("apparent_power_l3", 0x16, "apparent_power", -1, 10, 0, MAX_POWER, SAMPLE),
    ("reactive_power_l1", 0x18, "reactive_power", -1, 10, -MAX_POWER, MAX_POWER, SAMPLE),
    ("reactive_power_l2", 0x1A, "reactive_power", -1, 10, -MAX_POWER, MAX_POWER, SAMPLE),
    ("reactive_power_l3", 0x1C, "reactive_power", -1, 10, -MAX_POWER, MAX_POWER, SAMPLE),
    ("power_factor_l1", 0x1E, "power_factor", -4, 10000, -10000, 10000, SAMPLE),
    ("power_factor_l2", 0x20, "power_factor", -4, 10000, -10000, 10000, SAMPLE),
    ("power_factor_l3", 0x22, "power_factor", -4, 10000, -10000, 10000, SAMPLE),
    ("current_sum", 0x30, "current", -3, 1000, 0, 3 * 10**7, SAMPLE),
    ("active_power", 0x34, "active_power", -1, 10, -3 * MAX_POWER, 3 * MAX_POWER, SAMPLE),
    ("apparent_power", 0x38, "apparent_power", -1, 10, 0, 3 * MAX_POWER, SAMPLE),
    ("reactive_power", 0x3C, "reactive_power", -1, 10, -3 * MAX_POWER, 3 * MAX_POWER, SAMPLE),
    ("power_factor", 0x3E, "power_factor", -4, 10000, -10000, 10000, SAMPLE),
    ("frequency", 0x46, "frequency", -2, 100, 4500, 6500, SAMPLE),
    ("active_energy_import", 0x48, "active_energy_import", 0, 1000, 0, MAX_ENERGY_WH, REGISTER),
    ("active_energy_export", 0x4A, "active_energy_export", 0, 1000, 0, MAX_ENERGY_WH, REGISTER),
    ("reactive_energy_lagging", 0x4C, "reactive_energy_lagging", 0, 1000, 0, MAX_ENERGY_WH, REGISTER),
    ("reactive_energy_leading", 0x4E, "reactive_energy_leading", 0, 1000, 0, MAX_ENERGY_WH, REGISTER),
)

INDICATIONS: "Indications" = {row[0]: (row[2], row[3], None, row[7]) for row in TABLE}
LIMITS: "Limits" = {row[0]: (row[5], row[6]) for row in TABLE}


def convert(blocks: "list[bytes]") -> "Values":
    values: "Values" = {}
    for row in TABLE:
        index = 0 if row[1] < REGISTERS[1][1] else 1
        values[row[0]] = binary32(unsigned(blocks[index], row[1] - REGISTERS[index][1], 2), row[4])
    return values


class Sdm630(ModbusDriver):
    REGISTERS = REGISTERS
    INDICATIONS = INDICATIONS
    LIMITS = LIMITS
    convert = staticmethod(convert)

    async def identify(self) -> "Identity":
        """System type and own address, which every firmware has; serial number and code where they are given."""
        system = binary32(unsigned((await self._blocks(SYSTEM_TYPE))[0], 0, 2), 1)
        node = binary32(unsigned((await self._blocks(NODE_ADDRESS))[0], 0, 2), 1)
        if system not in SYSTEM_TYPES or node != self._address:
            raise wrong_identity()
        serial = await self._given(SERIAL_NUMBER)
        code = await self._given(METER_CODE)
        model = "SDM630" if code is None else "SDM630 code %04X" % code
        return identity("Eastron", model, str(serial) if serial else None, None)

    async def _given(self, registers: "Registers") -> "int | None":
        try:
            block = (await self._blocks(registers))[0]
        except InstrumentError as error:
            if error.reason != "modbus_exception":
                raise
            return None
        return unsigned(block, 0, registers[0][2])


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    return without_options(Sdm630, options)
