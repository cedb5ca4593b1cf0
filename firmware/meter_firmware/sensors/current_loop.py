"""4-20 mA transmitters on an ADS1115: orifice, pitot, pressure, humidity, temperature or whatever they measure.

Sources: TI ADS1115 data sheet SBAS444 §9.3, §9.6 (registers, ranges, single-shot mode); NAMUR NE 43 (2003).
I2C address 48h-4Bh. Each row of the options is one transmitter across one input and ground:

    [name, quantity, input 0..3, shunt in milliohm, exponent, value at 4 mA, value at 20 mA]

the values being integers in units of 10^exponent of the quantity's unit. The current is I = U / shunt, and the
value  x = x4 + (I - 4 mA) / 16 mA * (x20 - x4),  computed exactly and rounded once, to the nearest, ties to even.

NE 43: what the transmitter measures is said by 3.8 mA <= I <= 20.5 mA. Between 3.6 and 3.8 mA it is under_range,
between 20.5 and 21 mA over_range; at most 3.6 mA or at least 21 mA is signal_fault, a failure told by the
transmitter or a broken or shorted wire. None of these has a value.

The amplifier's range is the smallest that holds 22 mA through the shunt. Each conversion takes 8 ms (128 a
second) and is the driver's own, never a left-over: the settings are read back until the chip says it is done,
and must still be those that were written.
"""

from meter_sampling.drivers.driver import SAMPLE, Driver, identity, wrong_identity
from meter_sampling.drivers.rounding import nearest
from meter_sampling.drivers.settings import is_integer
from meter_sampling.drivers.words import twos_complement
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Values

    Rows = list[list[Any]]

CONVERSION, CONFIG, LOW_THRESHOLD, HIGH_THRESHOLD = 0, 1, 2, 3
RESET_THRESHOLDS = (0x8000, 0x7FFF)
"""What nobody here ever writes: a chip without them is none, or somebody else's."""

START = 0x8000
"""Written, it starts a conversion; read, it says that none is running."""
SINGLE_SHOT_128_A_SECOND_NO_COMPARATOR = 0x0183
INPUT_TO_GROUND = 0x4000

CONVERSION_MS = 9
MORE_MS = 2
LOOKS = 4

# Range in nanovolt, and one step in picovolt, by the amplifier's code.
RANGES = (
    (6144000000, 187500000),
    (4096000000, 125000000),
    (2048000000, 62500000),
    (1024000000, 31250000),
    (512000000, 15625000),
    (256000000, 7812500),
)

# Currents in nanoampere; a current through a shunt in milliohm is a voltage in picovolt.
FULL_SCALE_NA = 22000000
ZERO_NA = 4000000
SPAN_NA = 16000000
FAULT_LOW_NA = 3600000
VALID_LOW_NA = 3800000
VALID_HIGH_NA = 20500000
FAULT_HIGH_NA = 21000000

CELLS = 7


def check(rows: "Rows | None") -> "Rows":
    """The rows, if each is a transmitter; InstrumentError `options` otherwise."""
    names: "list[str]" = []
    inputs: "list[int]" = []
    for row in rows or [[]]:
        if len(row) != CELLS or not _is_row(row) or row[0] in names or row[2] in inputs:
            raise InstrumentError("options")
        names.append(row[0])
        inputs.append(row[2])
    assert rows
    return rows


def _is_row(row: "list[Any]") -> bool:
    for word in row[:2]:
        if not isinstance(word, str):
            return False
    for number in row[2:]:
        if not is_integer(number):
            return False
    _, _, pin, shunt, _, at_4_ma, at_20_ma = row
    return bool(0 <= pin <= 3 and shunt > 0 and amplifier(shunt) is not None and at_4_ma != at_20_ma)


def amplifier(shunt_milliohm: int) -> "int | None":
    """The code of the smallest range that holds FULL_SCALE_NA, None if none does."""
    for code in range(len(RANGES) - 1, -1, -1):
        if FULL_SCALE_NA * shunt_milliohm <= 1000 * RANGES[code][0]:
            return code
    return None


def setting(pin: int, code: int) -> int:
    return START | INPUT_TO_GROUND | pin << 12 | code << 9 | SINGLE_SHOT_128_A_SECOND_NO_COMPARATOR


def value(picovolt: int, shunt: int, at_4_ma: int, at_20_ma: int) -> int:
    above_zero = picovolt - ZERO_NA * shunt
    return at_4_ma + nearest(above_zero * (at_20_ma - at_4_ma), SPAN_NA * shunt)


def fault(picovolt: int, shunt: int) -> "str | None":
    """What NE 43 says of the current, None where it is a measurement."""
    if not FAULT_LOW_NA * shunt < picovolt < FAULT_HIGH_NA * shunt:
        return "signal_fault"
    if picovolt < VALID_LOW_NA * shunt:
        return "under_range"
    if picovolt > VALID_HIGH_NA * shunt:
        return "over_range"
    return None


def limits(at_4_ma: int, at_20_ma: int) -> "tuple[int, int]":
    """The values at both ends of what NE 43 calls a measurement."""
    ends = [value(current, 1, at_4_ma, at_20_ma) for current in (VALID_LOW_NA, VALID_HIGH_NA)]
    return min(ends), max(ends)


class CurrentLoop(Driver):
    BUS = "i2c"
    ADDRESSES = (0x48, 0x4B)
    ROWS: "Rows" = []

    async def identify(self) -> "Identity":
        """The chip has no identity; its thresholds, which nobody uses, are at least those of one."""
        async with self._bus:
            if (self._word(LOW_THRESHOLD), self._word(HIGH_THRESHOLD)) != RESET_THRESHOLDS:
                raise wrong_identity()
        return identity("Texas Instruments", "ADS1115", None, None)

    async def _measure(self) -> "tuple[Values, Faults]":
        values: "Values" = {}
        faults: "Faults" = {}
        for name, _, pin, shunt, _, at_4_ma, at_20_ma in self.ROWS:
            code = amplifier(shunt)
            assert code is not None
            steps = await self._convert(setting(pin, code))
            picovolt = steps * RANGES[code][1]
            values[name] = value(picovolt, shunt, at_4_ma, at_20_ma)
            reason = fault(picovolt, shunt)
            if reason is not None:
                faults[name] = reason
        return values, faults

    async def _convert(self, wanted: int) -> int:
        """Steps of one conversion with these settings."""
        async with self._bus:
            self._bus.write_register(self._address, CONFIG, bytes((wanted >> 8, wanted & 0xFF)))
            await self._bus.ticks.pause_ms(CONVERSION_MS)
            for _ in range(LOOKS):
                found = self._word(CONFIG)
                if (found ^ wanted) & ~START:
                    raise InstrumentError("wrong_config")
                if found & START:
                    return twos_complement(self._word(CONVERSION), 16)
                await self._bus.ticks.pause_ms(MORE_MS)
        raise InstrumentError("not_ready")

    def _word(self, register: int) -> int:
        said: bytes = self._bus.read_register(self._address, register, 2)
        return said[0] << 8 | said[1]


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    """The driver class of these transmitters."""
    rows = check(options)

    class Configured(CurrentLoop):
        ROWS = rows
        INDICATIONS: "Indications" = {row[0]: (row[1], row[4], None, SAMPLE) for row in rows}
        LIMITS: "Limits" = {row[0]: limits(row[5], row[6]) for row in rows}

    return Configured
