"""Senseair S8 NDIR CO2 sensor, Modbus RTU at the any-sensor address FEH.

Source: Senseair, Modbus on Senseair S8 (TDE2067): input registers IR1 MeterStatus, IR4 space CO2 in ppm,
IR26-IR31 sensor type, memory map, firmware and sensor id; status and CO2 are read in one request of IR1-IR4.
The extended range ends at 10,000 ppm. The sensor says 0 ppm while it warms up.
"""

from meter_sampling.drivers.driver import ModbusDriver, identity, without_options
from meter_sampling.drivers.words import unsigned
from meter_sampling.modbus_frames import READ_INPUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Driver, Faults, Identity, Indications, Limits, Registers, Values

REGISTERS: "Registers" = ((READ_INPUT, 0, 4),)
IDENTITY_REGISTERS: "Registers" = ((READ_INPUT, 25, 6),)

INDICATIONS: "Indications" = {"co2_fraction": ("co2_fraction", 0, None, "sample")}
LIMITS: "Limits" = {"co2_fraction": (1, 10000)}

STATUS_FAULTS = (
    "fatal_error",
    "offset_regulation_error",
    "algorithm_error",
    "output_error",
    "self_diagnostic_error",
    "outside_measuring_range",
    "memory_error",
)


def convert(blocks: "list[bytes]") -> "Values":
    return {"co2_fraction": unsigned(blocks[0], 3, 1)}


def state_faults(blocks: "list[bytes]") -> "Faults":
    return status_faults(unsigned(blocks[0], 0, 1))


def status_faults(status: int) -> "Faults":
    """Any bit of the status makes the value unusable; the lowest, most serious one gives the reason."""
    for bit in range(len(STATUS_FAULTS)):
        if status >> bit & 1:
            return {"co2_fraction": STATUS_FAULTS[bit]}
    return {}


class SenseairS8(ModbusDriver):
    REGISTERS = REGISTERS
    INDICATIONS = INDICATIONS
    LIMITS = LIMITS
    convert = staticmethod(convert)
    state_faults = staticmethod(state_faults)

    async def identify(self) -> "Identity":
        block = (await self._blocks(IDENTITY_REGISTERS))[0]
        firmware = unsigned(block, 3, 1)
        return identity(
            "Senseair",
            "S8 type %06X" % unsigned(block, 0, 2),
            "%08X" % unsigned(block, 4, 2),
            "%d.%d" % (firmware >> 8, firmware & 0xFF),
        )


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    return without_options(SenseairS8, options)
