"""The three-phase energy meter whose register map this project defines: docs/register-maps.md, energy64.

Energies are unsigned 64-bit registers of the secondary side of the current transformers, high word first.
They show twelve digits and start again from zero after 999,999,999,999. A value that the meter does not have
is all ones (unsigned) or the lowest integer (signed).
"""

from meter_sampling.drivers.driver import ModbusDriver, identity, without_options, wrong_identity
from meter_sampling.drivers.words import (
    NOT_AVAILABLE_I32,
    NOT_AVAILABLE_U16,
    NOT_AVAILABLE_U32,
    NOT_AVAILABLE_U64,
    available,
    signed,
    text,
    unsigned,
)
from meter_sampling.modbus_frames import READ_HOLDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Driver, Identity, Indications, Limits, Registers, Values

MAP_VERSION = 1

REGISTERS: "Registers" = ((READ_HOLDING, 0x0000, 23),)
IDENTITY_REGISTERS: "Registers" = ((READ_HOLDING, 0x0100, 25),)

INDICATIONS: "Indications" = {
    "active_energy_import": ("active_energy_import", 0, 1000000000000, "register"),
    "reactive_energy_lagging": ("reactive_energy_lagging", 0, 1000000000000, "register"),
    "reactive_energy_leading": ("reactive_energy_leading", 0, 1000000000000, "register"),
    "active_power": ("active_power", 0, None, "sample"),
    "reactive_power": ("reactive_power", 0, None, "sample"),
    "power_factor_lagging": ("power_factor_lagging", -4, None, "sample"),
    "power_factor_leading": ("power_factor_leading", -4, None, "sample"),
    "voltage": ("voltage", -1, None, "sample"),
    "current": ("current", -3, None, "sample"),
    "frequency": ("frequency", -2, None, "sample"),
}

LIMITS: "Limits" = {
    "active_energy_import": (0, 999999999999),
    "reactive_energy_lagging": (0, 999999999999),
    "reactive_energy_leading": (0, 999999999999),
    "active_power": (-20000000, 20000000),
    "reactive_power": (-20000000, 20000000),
    "power_factor_lagging": (0, 10000),
    "power_factor_leading": (0, 10000),
    "voltage": (0, 5500000),
    "current": (0, 20000),
    "frequency": (4500, 6500),
}


def convert(blocks: "list[bytes]") -> "Values":
    block = blocks[0]
    return {
        "active_energy_import": available(unsigned(block, 0, 4), NOT_AVAILABLE_U64),
        "reactive_energy_lagging": available(unsigned(block, 4, 4), NOT_AVAILABLE_U64),
        "reactive_energy_leading": available(unsigned(block, 8, 4), NOT_AVAILABLE_U64),
        "active_power": available(signed(block, 12, 2), NOT_AVAILABLE_I32),
        "reactive_power": available(signed(block, 14, 2), NOT_AVAILABLE_I32),
        "power_factor_lagging": available(unsigned(block, 16, 1), NOT_AVAILABLE_U16),
        "power_factor_leading": available(unsigned(block, 17, 1), NOT_AVAILABLE_U16),
        "voltage": available(unsigned(block, 18, 2), NOT_AVAILABLE_U32),
        "current": available(unsigned(block, 20, 2), NOT_AVAILABLE_U32),
        "frequency": available(unsigned(block, 22, 1), NOT_AVAILABLE_U16),
    }


class Energy64(ModbusDriver):
    REGISTERS = REGISTERS
    INDICATIONS = INDICATIONS
    LIMITS = LIMITS
    convert = staticmethod(convert)

    async def identify(self) -> "Identity":
        block = (await self._blocks(IDENTITY_REGISTERS))[0]
        maker, model, serial = text(block, 0, 8), text(block, 8, 8), text(block, 16, 8)
        version = unsigned(block, 24, 1)
        if not maker or not model or not serial or version != MAP_VERSION:
            raise wrong_identity()
        return identity(maker, model, serial, "map %d" % version)


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    return without_options(Energy64, options)
