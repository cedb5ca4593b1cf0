"""TUF-2000 family ultrasonic flow meters (TUF-2000M, TUF-2000F), Modbus RTU.

Source: TUF-2000M User Manual §7.1.1, register table and notes 1, 4 and 5. Registers are numbered from 1, their
addresses from 0; LONG is a signed 32-bit integer, REAL4 an IEEE 754 single, both low word first. Flow rate
(0001-0002) is always in m3/h. The positive total is (N + Nf) * 10^(n-3) in the unit of register 1438, N the
LONG of 0009-0010, Nf the REAL4 of 0011-0012 and n the multiplier in 1439.

N and Nf are read in one request, so that a carry between them is never seen half done. Flow and total are
rounded to the nearest litre (per hour), ties to even; the total stays monotonic because rounding is. Only
cubic metres (1438 = 0) are taken: the unit can be changed at the keypad, so it is read every time. The manual
does not say what the accumulator does at its end: no modulus is claimed, and a total that goes back is a
discontinuity.
"""

from meter_sampling.drivers.driver import ModbusDriver, identity, without_options, wrong_identity
from meter_sampling.drivers.words import bcd, real4, signed, unsigned
from meter_sampling.modbus_frames import READ_HOLDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Driver, Faults, Identity, Indications, Limits, Registers, Values

REGISTERS: "Registers" = ((READ_HOLDING, 0, 12), (READ_HOLDING, 71, 1), (READ_HOLDING, 1437, 2))
IDENTITY_REGISTERS: "Registers" = ((READ_HOLDING, 1528, 2),)

INDICATIONS: "Indications" = {
    "volume_flow": ("volume_flow", -3, None, "sample"),
    "volume": ("volume", -3, None, "register"),
}

LIMITS: "Limits" = {
    # The maker states none; no pipe carries more: 1.6 million m3/h fill one of 6 m at 16 m/s.
    "volume_flow": (-1600000000, 1600000000),
    "volume": (0, 0x7FFFFFFF * 10**7),
}

CUBIC_METRES = 0
MAX_MULTIPLIER = 7

NO_SIGNAL = 1 << 0
PIPE_EMPTY = 1 << 3
HARDWARE_FAILURE = 1 << 4


def convert(blocks: "list[bytes]") -> "Values":
    block = blocks[0]
    return {
        "volume_flow": real4(unsigned(block, 0, 2, True), 3),
        "volume": _total_litres(block, unsigned(blocks[2], 1, 1)),
    }


def _total_litres(block: bytes, multiplier: int) -> "int | None":
    if multiplier > MAX_MULTIPLIER:
        return None
    fraction_bits = unsigned(block, 10, 2, True)
    fraction = real4(fraction_bits, multiplier)
    whole = signed(block, 8, 2, True)
    if fraction is None or not 0 <= fraction <= 10**multiplier:
        return None
    total: int = whole * 10**multiplier + fraction
    return total


def state_faults(blocks: "list[bytes]") -> "Faults":
    """The error code of register 0072 and the totalizer's unit.

    A weak signal (bits 1 and 2) is not refused: the instrument still measures with it.
    """
    faults: "Faults" = {}
    errors = unsigned(blocks[1], 0, 1)
    if errors & HARDWARE_FAILURE:
        faults["volume_flow"] = faults["volume"] = "hardware_failure"
    elif errors & NO_SIGNAL:
        faults["volume_flow"] = "no_signal"
    elif errors & PIPE_EMPTY:
        faults["volume_flow"] = "pipe_empty"
    if unsigned(blocks[2], 0, 1) != CUBIC_METRES:
        faults["volume"] = "totalizer_unit"
    return faults


class Tuf2000(ModbusDriver):
    REGISTERS = REGISTERS
    INDICATIONS = INDICATIONS
    LIMITS = LIMITS
    convert = staticmethod(convert)
    state_faults = staticmethod(state_faults)

    async def identify(self) -> "Identity":
        """The electronic serial number, registers 1529-1530, eight BCD digits."""
        serial = bcd((await self._blocks(IDENTITY_REGISTERS))[0], 0, 2)
        if serial is None:
            raise wrong_identity()
        return identity(None, "TUF-2000", serial, None)


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    return without_options(Tuf2000, options)
