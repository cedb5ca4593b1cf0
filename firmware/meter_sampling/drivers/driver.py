"""What every driver shares: read the registers, convert, judge what is physically possible.

A driver is one file named as parameter sets name it. It states what is its own: BUS, the kind of bus it is on;
REGISTERS or commands; the pure `convert` from their bytes to integers; INDICATIONS (name -> quantity, exponent,
modulus of a wrapping register or None, kind) and LIMITS (name -> lowest and highest value that the instrument
can mean). A row of literals lies in a board's flash; one with a name in it takes heap. Its `define(options)` gives
the driver's class for a parameter set's options.

An indication that the instrument does not give, or that lies outside LIMITS, is None, and `faults` says why;
it is never clamped, held over or guessed. No answer at all is an InstrumentError.
"""

from meter_sampling.instrument_error import InstrumentError
from meter_sampling.modbus_frames import READ_HOLDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Registers = tuple[tuple[int, int, int], ...]
    Indications = dict[str, tuple[str, int, int | None, str]]
    Limits = dict[str, tuple[int, int]]
    Values = dict[str, int | None]
    Faults = dict[str, str]
    Identity = dict[str, str | None]

BUSES = ("modbus", "serial", "i2c", "spi", "onewire", "pulse")
"""Kinds of bus; each bus of a board says by `KIND` which it is."""

REGISTER = "register"
SAMPLE = "sample"

FAULTS = (
    "not_available",
    "out_of_range",
    "under_range",
    "over_range",
    "signal_fault",
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
    # register_map.py
    "condition_not_met",
    # atm90e32.py
    "register_overrun",
    # mbus.py
    "meter_busy",
    "meter_error",
    "permanent_error",
    "temporary_error",
    "resolution",
    # cjt188.py
    "unit",
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


class Driver:
    BUS = ""
    ADDRESSES = (1, 255)
    """Lowest and highest address that a parameter set may give."""

    PERIOD_MS = 1
    """The instrument measures no oftener. Samples more frequent than that would count a measurement twice."""

    INDICATIONS: "Indications" = {}
    LIMITS: "Limits" = {}

    VOLATILE: "tuple[str, ...]" = ()
    """Registers that this board counts itself. They begin at 0 with each boot, until `restore` sets them."""

    CHOSEN: "Any" = None
    """By which options tell apart what answers at one address; an equal one is the same instrument."""

    SOURCES: "dict[str, Any]" = {}
    """By indication: where in the instrument options say that it comes from; elsewhere is another register."""

    def __init__(self, bus: "Any", address: int) -> None:
        self._bus = bus
        self._address = address
        self.faults: "Faults" = {}

    async def read(self) -> "Values":
        """Every indication by name; None where there is none, with the reason in `faults`."""
        self.faults = {}
        values, faults = await self._measure()
        for name, reason in out_of_limits(values, self.LIMITS).items():
            faults.setdefault(name, reason)
        for name in faults:
            values[name] = None
        self.faults = faults
        return values

    def restore(self, name: str, raw: int) -> None:
        """The register of VOLATILE goes on from `raw`, to which what was counted since the last read is added."""
        raise NotImplementedError

    async def _measure(self) -> "tuple[Values, Faults]":
        """What the instrument says, and what it objects to itself: name -> one of FAULTS."""
        raise NotImplementedError

    async def identify(self) -> "Identity":
        """maker, model, serial and revision, None where the instrument does not say.

        InstrumentError `wrong_identity` if what answers is not this kind of instrument.
        """
        raise NotImplementedError


class ModbusDriver(Driver):
    BUS = "modbus"
    REGISTERS: "Registers" = ()

    @staticmethod
    def convert(blocks: "list[bytes]") -> "Values":
        raise NotImplementedError

    @staticmethod
    def state_faults(blocks: "list[bytes]") -> "Faults":
        """What the instrument's own status registers object to; most have none."""
        return {}

    async def _measure(self) -> "tuple[Values, Faults]":
        blocks = await self._blocks(self.REGISTERS)
        return self.convert(blocks), self.state_faults(blocks)

    async def _blocks(self, registers: "Registers") -> "list[bytes]":
        blocks = []
        for function, address, count in registers:
            if function == READ_HOLDING:
                blocks.append(await self._bus.read_holding(self._address, address, count))
            else:
                blocks.append(await self._bus.read_input(self._address, address, count))
        return blocks


def without_options(driver: "type[Driver]", options: "list[list[Any]] | None") -> "type[Driver]":
    """What `define` returns for a driver that has nothing to be told."""
    if options is not None:
        raise InstrumentError("options")
    return driver


def identity(maker: "str | None", model: "str | None", serial: "str | None", revision: "str | None") -> "Identity":
    return {"maker": maker, "model": model, "serial": serial, "revision": revision}


def wrong_identity() -> InstrumentError:
    return InstrumentError("wrong_identity")
