"""PZEM-004T v3.0, single-phase AC meter (Peacefair), Modbus RTU.

Source: PZEM-004T V3.0 User Manual §1 (ranges, resolutions) and §2 (input registers 0000H-0009H, 32-bit values
low word first; holding registers 0001H alarm threshold, 0002H address). Addresses 1-247; F8H addresses the
only instrument on a line.

The energy register has 1 Wh resolution and the range 0-9999.99 kWh, so it holds at most 9,999,999 Wh and the
next step is 0: modulus 10,000,000 Wh. The manual gives the range; that the register then starts from zero is
inferred from it and from reports of users, not stated by the maker.
"""

from meter_sampling.drivers.driver import ModbusDriver, identity, without_options, wrong_identity
from meter_sampling.drivers.words import unsigned
from meter_sampling.modbus_frames import READ_HOLDING, READ_INPUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Driver, Identity, Indications, Limits, Registers, Values

GENERAL_ADDRESS = 0xF8
ENERGY_MODULUS_WH = 10000000

REGISTERS: "Registers" = ((READ_INPUT, 0, 10),)
IDENTITY_REGISTERS: "Registers" = ((READ_HOLDING, 1, 2),)

INDICATIONS: "Indications" = {
    "voltage": ("voltage", -1, None, "sample"),
    "current": ("current", -3, None, "sample"),
    "active_power": ("active_power", -1, None, "sample"),
    "active_energy_import": ("active_energy_import", 0, ENERGY_MODULUS_WH, "register"),
    "frequency": ("frequency", -1, None, "sample"),
    "power_factor": ("power_factor", -2, None, "sample"),
}

LIMITS: "Limits" = {
    "voltage": (800, 2600),
    "current": (0, 100000),
    "active_power": (0, 230000),
    "active_energy_import": (0, ENERGY_MODULUS_WH - 1),
    "frequency": (450, 650),
    "power_factor": (0, 100),
}


def convert(blocks: "list[bytes]") -> "Values":
    block = blocks[0]
    return {
        "voltage": unsigned(block, 0, 1),
        "current": unsigned(block, 1, 2, True),
        "active_power": unsigned(block, 3, 2, True),
        "active_energy_import": unsigned(block, 5, 2, True),
        "frequency": unsigned(block, 7, 1),
        "power_factor": unsigned(block, 8, 1),
    }


class Pzem004t(ModbusDriver):
    REGISTERS = REGISTERS
    INDICATIONS = INDICATIONS
    LIMITS = LIMITS
    convert = staticmethod(convert)

    async def identify(self) -> "Identity":
        """It has no serial number to read; that it knows its own address is all that tells it from others."""
        block = (await self._blocks(IDENTITY_REGISTERS))[0]
        if self._address not in (GENERAL_ADDRESS, unsigned(block, 1, 1)):
            raise wrong_identity()
        return identity("Peacefair", "PZEM-004T v3", None, None)


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    return without_options(Pzem004t, options)
