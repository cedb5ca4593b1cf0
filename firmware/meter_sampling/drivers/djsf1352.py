"""Acrel DJSF1352-RN, DC energy meter for charging piles, storage and photovoltaics, Modbus RTU.

Source: the register table of the DJSF1352-RN Installation and Operation Instruction (V1.8, 2019), as three public
implementations state it (EVerest `Acrel_DJSF1352_RN`, a charging pile's `meter_drv_djsf1352`, a substation
gateway's `Acrel`). They agree on addresses and scaling; the second also keeps frames read from a real meter.
Holding registers:

    0, 1    voltage, its decimal point      8, 9    power, its decimal point
    2, 3    current, its decimal point      12-13   forward energy (import), high word first
    4       broken wire: 0 no, 1 yes        14-15   reverse energy (export)
    16, 17  voltage ratio, rated current    35      software version

A value is register * 10^(decimal point - 3) in V, A or W: the meter moves the point with its own range, so the
values are brought to one exponent here, exactly. The ratios are settings of the meter, which shows primary values.

In which unit the energies count is where public sources differ: EVerest takes 1 Wh, a program for other submodels
0.1 Wh. Without options it is 1 Wh; [["energy_exponent", -1]] says 0.1 Wh. Compare with the display when
commissioning: the two differ by a factor of ten. No source says what follows the end of these 32-bit registers: no
modulus is claimed. The meter gives no serial number over Modbus.
"""

from meter_sampling.drivers.bounded import bounded
from meter_sampling.drivers.driver import REGISTER, ModbusDriver, identity, wrong_identity
from meter_sampling.drivers.settings import refuse_unless
from meter_sampling.drivers.words import signed, unsigned
from meter_sampling.modbus_frames import READ_HOLDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Registers, Values

REGISTERS: "Registers" = ((READ_HOLDING, 0, 16),)
IDENTITY_REGISTERS: "Registers" = ((READ_HOLDING, 16, 2), (READ_HOLDING, 35, 1))

SAMPLES = (("voltage", 0), ("current", 2), ("active_power", 8))
"""Each with its decimal point in the register behind it."""

MAX_DECIMAL_POINT = 7
BROKEN_WIRE = 4

LIMITS: "Limits" = {
    # 10 kV, 100 kA, 100 MW: no meter of this kind shows more.
    "voltage": (0, 10**7),
    "current": (-(10**8), 10**8),
    "active_power": (-(10**11), 10**11),
    "active_energy_import": (0, 0xFFFFFFFF),
    "active_energy_export": (0, 0xFFFFFFFF),
}

BOUNDS = {"energy_exponent": (-1, 0, 0)}


def convert(blocks: "list[bytes]") -> "Values":
    block = blocks[0]
    values: "Values" = {
        "active_energy_import": unsigned(block, 12, 2),
        "active_energy_export": unsigned(block, 14, 2),
    }
    for name, index in SAMPLES:
        point = unsigned(block, index + 1, 1)
        values[name] = signed(block, index, 1) * 10**point if point <= MAX_DECIMAL_POINT else None
    return values


def state_faults(blocks: "list[bytes]") -> "Faults":
    """With a broken wire what is shown is not what flows; the energies stand still and stay what they are."""
    if unsigned(blocks[0], BROKEN_WIRE, 1) == 0:
        return {}
    return {name: "signal_fault" for name, _ in SAMPLES}


def define(options: "list[list[Any]] | None") -> "type[ModbusDriver]":
    energy_exponent = _energy_exponent(options)

    class Djsf1352(ModbusDriver):
        REGISTERS = REGISTERS
        LIMITS = LIMITS
        convert = staticmethod(convert)
        state_faults = staticmethod(state_faults)
        INDICATIONS: "Indications" = {
            "voltage": ("voltage", -3, None, "sample"),
            "current": ("current", -3, None, "sample"),
            "active_power": ("active_power", -3, None, "sample"),
            "active_energy_import": ("active_energy_import", energy_exponent, None, REGISTER),
            "active_energy_export": ("active_energy_export", energy_exponent, None, REGISTER),
        }

        async def identify(self) -> "Identity":
            """A voltage ratio and a rated current, which no meter of the kind is without, and its software."""
            blocks = await self._blocks(IDENTITY_REGISTERS)
            ratio, rated_a = unsigned(blocks[0], 0, 1), unsigned(blocks[0], 1, 1)
            if not ratio or not rated_a:
                raise wrong_identity()
            revision = "software %04X" % unsigned(blocks[1], 0, 1)
            return identity("Acrel", "DJSF1352-RN %d A" % rated_a, None, revision)

    return Djsf1352


def _energy_exponent(options: "list[list[Any]] | None") -> int:
    # Rows that state nothing are a mistake: no file writes them.
    refuse_unless(options is None or len(options) == 1)
    return bounded(options, BOUNDS)["energy_exponent"]
