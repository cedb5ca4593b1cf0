"""Maxim DS18B20 thermometer on a 1-Wire line, with a supply of its own; any number of them on one line.

Source: data sheet DS18B20 rev. 6 (2019), "Memory", "Function commands". A conversion takes up to 750 ms, which
nothing waits for: as long as it is read, the sensor is made to convert once a second in the background, and a
read gives the newest result, if it is no older than two seconds; otherwise the value is not available.

The scratchpad has a CRC, and a configuration byte whose other bits are fixed. At lower resolutions the last bits
mean nothing and are dropped. After power-up, before any conversion, the sensor says 85 degC with 0Ch in its
reserved byte 6, where a conversion that gives 85 degC leaves 10h: the former is no value. (The data sheet states
the power-up value and reserves the byte. What it holds was observed on genuine chips; the Linux kernel's w1_therm
relies on it too.)

The address in the parameter set means nothing on this line. Option: ["rom", 16 hexadecimal digits], the ROM code
as it is sent, family 28 first; it may be left out where the sensor is the only one. It is the serial number.
"""

import asyncio

from meter_firmware.buses.onewire import crc8, rom_code
from meter_sampling.drivers.driver import Driver, identity, wrong_identity
from meter_sampling.drivers.settings import refuse_unless, settings
from meter_sampling.drivers.words import twos_complement
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Values

FAMILY = 0x28
CONVERT = b"\x44"
READ_SCRATCHPAD = b"\xbe"
SCRATCHPAD_LENGTH = 9

CONVERSION_MS = 750
PERIOD_MS = 1000
MAX_AGE_MS = 2 * PERIOD_MS

IDLE_MS = 60000
"""So long after the last read it goes on converting, or ten times as long as reads have been apart."""

POWER_UP_STEPS = 85 * 16
POWER_UP_BYTE_6 = 0x0C

INDICATIONS: "Indications" = {"temperature": ("temperature", -4, None, "sample")}
LIMITS: "Limits" = {"temperature": (-550000, 1250000)}


def check(scratchpad: bytes) -> bytes:
    """The scratchpad, if it is one; InstrumentError otherwise."""
    if len(scratchpad) != SCRATCHPAD_LENGTH:
        raise InstrumentError("short_reply")
    if crc8(scratchpad) or scratchpad[4] & 0x9F != 0x1F:
        raise InstrumentError("bad_crc")
    return scratchpad


def convert(scratchpad: bytes) -> "int | None":
    """0.0001 degC, exactly; None if it has not converted since power-up."""
    steps = scratchpad[0] | scratchpad[1] << 8
    if steps == POWER_UP_STEPS and scratchpad[6] == POWER_UP_BYTE_6:
        return None
    missing_bits = 3 - (scratchpad[4] >> 5 & 3)
    return 625 * twos_complement(steps >> missing_bits << missing_bits, 16)


class Ds18b20(Driver):
    BUS = "onewire"
    ADDRESSES = (0, 255)
    INDICATIONS = INDICATIONS
    LIMITS = LIMITS
    PERIOD_MS = PERIOD_MS
    ROM: "bytes | None" = None

    def __init__(self, bus: "Any", address: int) -> None:
        super().__init__(bus, address)
        self._rom = self.ROM
        self._task: "Any" = None
        self._read_at: "Any" = None
        self._idle_ms = IDLE_MS
        self._value: "int | None" = None
        self._value_at: "Any" = None
        self._error: "str | None" = None

    async def identify(self) -> "Identity":
        """Whether the sensor of this ROM code answers; the code itself is looked for where none was given."""
        async with self._bus:
            rom = self.ROM
            if rom is None:
                found = [rom for rom in self._bus.scan() if rom[:1] == bytes((FAMILY,)) and crc8(rom) == 0]
                if not found:
                    raise InstrumentError("no_response")
                if len(found) > 1:
                    raise wrong_identity()
                rom = found[0]
            self._scratchpad(rom)
        if rom != self._rom:
            self._value_at = None
        self._rom = rom
        self._error = None
        return identity("Maxim", "DS18B20", "".join("%02X" % byte for byte in rom), None)

    async def _measure(self) -> "tuple[Values, Faults]":
        if self._rom is None:
            raise InstrumentError("not_ready")
        ticks = self._bus.ticks
        if self._read_at is not None:
            self._idle_ms = max(self._idle_ms, 10 * ticks.since(self._read_at))
        self._read_at = ticks.now()
        if self._task is None:
            self._task = asyncio.create_task(self._convert_on())
        if self._error is not None:
            raise InstrumentError(self._error)
        is_fresh = self._value_at is not None and ticks.since(self._value_at) <= MAX_AGE_MS
        return {"temperature": self._value if is_fresh else None}, {}

    async def _convert_on(self) -> None:
        ticks = self._bus.ticks
        try:
            while ticks.since(self._read_at) <= self._idle_ms:
                begun_at = ticks.now()
                try:
                    await self._convert_once()
                    self._error = None
                except InstrumentError as error:
                    self._error = error.reason
                await ticks.pause_ms(max(0, PERIOD_MS - ticks.since(begun_at)))
        finally:
            self._task = None

    async def _convert_once(self) -> None:
        rom = self._rom
        assert rom is not None
        async with self._bus:
            self._bus.select(rom)
            self._bus.write(CONVERT)
        await self._bus.ticks.pause_ms(CONVERSION_MS)
        async with self._bus:
            value = convert(self._scratchpad(rom))
        if rom == self._rom:
            self._value = value
            self._value_at = self._bus.ticks.now()

    def _scratchpad(self, rom: bytes) -> bytes:
        self._bus.select(rom)
        self._bus.write(READ_SCRATCHPAD)
        return check(self._bus.read(SCRATCHPAD_LENGTH))


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    """The driver class of one ROM code, or of the only sensor there is."""
    rom = None
    for row in settings(options, ("rom",))["rom"]:
        refuse_unless(len(row) == 1 and isinstance(row[0], str))
        rom = rom_code(row[0])
        refuse_unless(rom is not None and rom[0] == FAMILY)
    chosen = rom

    class Configured(Ds18b20):
        ROM = chosen

    return Configured
