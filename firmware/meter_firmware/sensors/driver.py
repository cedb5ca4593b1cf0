"""What every Modbus driver shares: read the registers, convert, judge what is physically possible.

A driver file states what is its own: REGISTERS (function, address, count of each request), the pure
`convert(blocks)` from their bytes to integers, INDICATIONS (name -> quantity, exponent, modulus of a wrapping
register or None, kind) and LIMITS (name -> lowest and highest value that the instrument can mean).

An indication that the instrument does not give, or that lies outside LIMITS, is None, and `faults` says why;
it is never clamped, held over or guessed. No answer at all is an InstrumentError.
"""

from meter_firmware.modbus import READ_HOLDING, InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_firmware.modbus import ModbusMaster

    Registers = tuple[tuple[int, int, int], ...]
    Indications = dict[str, tuple[str, int, int | None, str]]
    Limits = dict[str, tuple[int, int]]
    Values = dict[str, int | None]
    Faults = dict[str, str]
    Identity = dict[str, str | None]

REGISTER = "register"
SAMPLE = "sample"

FAULTS = (
    "not_available",
    "out_of_range",
    # senseair_s8.py
    "fatal_error",
    "offset_regulation_error",
    "algorithm_error",
    "output_error",
    "self_diagnostic_error",
    "outside_measuring_range",
    "memory_error",
    # tuf2000.py
    "no_signal",
    "pipe_empty",
    "hardware_failure",
    "totalizer_unit",
)


def out_of_limits(values: "Values", limits: "Limits") -> "Faults":
    faults: "Faults" = {}
    for name in values:
        value = values[name]
        if value is None:
            faults[name] = "not_available"
        elif not limits[name][0] <= value <= limits[name][1]:
            faults[name] = "out_of_range"
    return faults


class ModbusDriver:
    REGISTERS: "Registers" = ()
    INDICATIONS: "Indications" = {}
    LIMITS: "Limits" = {}

    def __init__(self, master: "ModbusMaster", unit: int) -> None:
        self._master = master
        self._unit = unit
        self.faults: "Faults" = {}

    @staticmethod
    def convert(blocks: "list[bytes]") -> "Values":
        raise NotImplementedError

    @staticmethod
    def state_faults(blocks: "list[bytes]") -> "Faults":
        """What the instrument's own status registers object to; most have none."""
        return {}

    async def read(self) -> "Values":
        """Every indication by name; None where there is none, with the reason in `faults`."""
        self.faults = {}
        blocks = await self._blocks(self.REGISTERS)
        values = self.convert(blocks)
        faults = out_of_limits(values, self.LIMITS)
        faults.update(self.state_faults(blocks))
        for name in faults:
            values[name] = None
        self.faults = faults
        return values

    async def identify(self) -> "Identity":
        """maker, model, serial and revision, None where the instrument does not say.

        InstrumentError `wrong_identity` if what answers is not this kind of instrument.
        """
        raise NotImplementedError

    async def _blocks(self, registers: "Registers") -> "list[bytes]":
        blocks = []
        for function, address, count in registers:
            if function == READ_HOLDING:
                blocks.append(await self._master.read_holding(self._unit, address, count))
            else:
                blocks.append(await self._master.read_input(self._unit, address, count))
        return blocks


def identity(maker: "str | None", model: "str | None", serial: "str | None", revision: "str | None") -> "Identity":
    return {"maker": maker, "model": model, "serial": serial, "revision": revision}


def wrong_identity() -> InstrumentError:
    return InstrumentError("wrong_identity")
