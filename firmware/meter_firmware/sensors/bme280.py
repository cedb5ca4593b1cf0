"""Bosch BME280: pressure, temperature and relative humidity of the air around it, I2C address 76h or 77h.

Source: data sheet BST-BME280-DS002 v1.6: §4.2.2 (trimming parameters), §4.2.3 (integer compensation formulas, the
pressure in 64 bits), §5.4 (registers). Each chip's trimming parameters are read once, when it is identified.

It measures by itself every 0.14 s (normal mode, standby 125 ms, oversampling 1, 4 for the pressure), so no value
is older than that. Its settings are read after every measurement: a chip that lost its supply in between has
forgotten them, which is the error wrong_config, and `identify` sets it up again. A value that it has not
measured yet is a marker, 80000h or 8000h.
"""

from meter_sampling.drivers.driver import Driver, identity, without_options, wrong_identity
from meter_sampling.drivers.rounding import nearest
from meter_sampling.drivers.words import twos_complement
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Values

    Trimming = dict[str, int]

CHIP_ID = 0x60
ID_REGISTER = 0xD0
TRIMMING_REGISTER, TRIMMING_LENGTH = 0x88, 26
TRIMMING_H_REGISTER, TRIMMING_H_LENGTH = 0xE1, 7
CTRL_HUM, STATUS, CTRL_MEAS, CONFIG = 0xF2, 0xF3, 0xF4, 0xF5
DATA_REGISTER, DATA_LENGTH = 0xF7, 8

COPYING = 0x01
"""Of STATUS: the chip is still fetching its trimming parameters."""

HUMIDITY_X1 = 0x01
TEMPERATURE_X1_PRESSURE_X4_NORMAL = 0x2F
SLEEP = 0x00
STANDBY_125_MS = 0x40

FIRST_VALUE_MS = 20

NOT_MEASURED_20_BITS = 0x80000
NOT_MEASURED_16_BITS = 0x8000

INDICATIONS: "Indications" = {
    "absolute_pressure": ("absolute_pressure", -2, None, "sample"),
    "temperature": ("temperature", -2, None, "sample"),
    "relative_humidity": ("relative_humidity", -3, None, "sample"),
}
LIMITS: "Limits" = {
    "absolute_pressure": (3000000, 11000000),
    "temperature": (-4000, 8500),
    "relative_humidity": (0, 100000),
}


def trimming(low: bytes, high: bytes) -> "Trimming":
    """The parameters of registers 88h-A1h and E1h-E7h by their names in the data sheet."""
    found = {"T1": _u16(low, 0), "T2": _s16(low, 2), "T3": _s16(low, 4), "P1": _u16(low, 6)}
    for number in range(2, 10):
        found["P%d" % number] = _s16(low, 4 + 2 * number)
    found["H1"] = low[25]
    found["H2"] = _s16(high, 0)
    found["H3"] = high[2]
    found["H4"] = _s8(high[3]) * 16 + (high[4] & 0x0F)
    found["H5"] = _s8(high[5]) * 16 + (high[4] >> 4)
    found["H6"] = _s8(high[6])
    return found


def fine_temperature(raw: int, dig: "Trimming") -> int:
    """t_fine, 1/5120 degC."""
    linear = (((raw >> 3) - (dig["T1"] << 1)) * dig["T2"]) >> 11
    offset = (raw >> 4) - dig["T1"]
    return linear + ((((offset * offset) >> 12) * dig["T3"]) >> 14)


def temperature(t_fine: int) -> int:
    """0.01 degC."""
    return (t_fine * 5 + 128) >> 8


def pressure(raw: int, t_fine: int, dig: "Trimming") -> "int | None":
    """1/256 Pa; None with parameters that no chip has."""
    var1 = t_fine - 128000
    var2 = var1 * var1 * dig["P6"] + ((var1 * dig["P5"]) << 17) + (dig["P4"] << 35)
    var1 = ((var1 * var1 * dig["P3"]) >> 8) + ((var1 * dig["P2"]) << 12)
    var1 = (((1 << 47) + var1) * dig["P1"]) >> 33
    if var1 == 0:
        return None
    p = _towards_zero((((1048576 - raw) << 31) - var2) * 3125, var1)
    var1 = (dig["P9"] * (p >> 13) * (p >> 13)) >> 25
    var2 = (dig["P8"] * p) >> 19
    return ((p + var1 + var2) >> 8) + (dig["P7"] << 4)


def humidity(raw: int, t_fine: int, dig: "Trimming") -> int:
    """1/1024 %; the maker's formula itself ends at 0 and 100 %."""
    v = t_fine - 76800
    gain = ((((v * dig["H6"]) >> 10) * (((v * dig["H3"]) >> 11) + 32768)) >> 10) + 2097152
    v = (((raw << 14) - (dig["H4"] << 20) - dig["H5"] * v + 16384) >> 15) * ((gain * dig["H2"] + 8192) >> 14)
    v -= ((((v >> 15) * (v >> 15)) >> 7) * dig["H1"]) >> 4
    return min(max(v, 0), 419430400) >> 12


def convert(block: bytes, dig: "Trimming") -> "Values":
    """Of registers F7h-FEh: 0.01 Pa and 0.001 %, rounded to the nearest, and 0.01 degC.

    Pressure and humidity need the temperature: without it there is none of them.
    """
    raw_p = block[0] << 12 | block[1] << 4 | block[2] >> 4
    raw_t = block[3] << 12 | block[4] << 4 | block[5] >> 4
    raw_h = block[6] << 8 | block[7]
    values: "Values" = dict.fromkeys(INDICATIONS)
    if raw_t == NOT_MEASURED_20_BITS:
        return values
    t_fine = fine_temperature(raw_t, dig)
    values["temperature"] = temperature(t_fine)
    p = None if raw_p == NOT_MEASURED_20_BITS else pressure(raw_p, t_fine, dig)
    if p is not None:
        values["absolute_pressure"] = nearest(100 * p, 256)
    if raw_h != NOT_MEASURED_16_BITS:
        values["relative_humidity"] = nearest(1000 * humidity(raw_h, t_fine, dig), 1024)
    return values


def _u16(block: bytes, index: int) -> int:
    return block[index] | block[index + 1] << 8


def _s16(block: bytes, index: int) -> int:
    return twos_complement(_u16(block, index), 16)


def _s8(value: int) -> int:
    return twos_complement(value, 8)


def _towards_zero(numerator: int, denominator: int) -> int:
    """Division as the formula's language, C, means it."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


class Bme280(Driver):
    PERIOD_MS = 140
    BUS = "i2c"
    ADDRESSES = (0x76, 0x77)
    INDICATIONS = INDICATIONS
    LIMITS = LIMITS

    def __init__(self, bus: "Any", address: int) -> None:
        super().__init__(bus, address)
        self._trimming: "Trimming | None" = None

    async def identify(self) -> "Identity":
        """The chip's kind and its trimming; it has no serial number. Sets it up where it is not."""
        async with self._bus:
            if self._read(ID_REGISTER, 1)[0] != CHIP_ID:
                raise wrong_identity()
            if self._read(STATUS, 1)[0] & COPYING:
                raise InstrumentError("not_ready")
            low = self._read(TRIMMING_REGISTER, TRIMMING_LENGTH)
            self._trimming = trimming(low, self._read(TRIMMING_H_REGISTER, TRIMMING_H_LENGTH))
            if not self._is_set_up():
                # Only asleep does it take a standby time, and the humidity's setting only with that of the rest.
                self._write(CTRL_MEAS, SLEEP)
                self._write(CONFIG, STANDBY_125_MS)
                self._write(CTRL_HUM, HUMIDITY_X1)
                self._write(CTRL_MEAS, TEMPERATURE_X1_PRESSURE_X4_NORMAL)
                await self._bus.ticks.pause_ms(FIRST_VALUE_MS)
        return identity("Bosch Sensortec", "BME280", None, None)

    async def _measure(self) -> "tuple[Values, Faults]":
        if self._trimming is None:
            raise InstrumentError("not_ready")
        async with self._bus:
            block = self._read(DATA_REGISTER, DATA_LENGTH)
            if not self._is_set_up():
                raise InstrumentError("wrong_config")
        return convert(block, self._trimming), {}

    def _is_set_up(self) -> bool:
        settings = self._read(CTRL_HUM, 4)
        return (settings[0] & 0x07, settings[2], settings[3] & 0xFD) == (
            HUMIDITY_X1,
            TEMPERATURE_X1_PRESSURE_X4_NORMAL,
            STANDBY_125_MS,
        )

    def _read(self, register: int, count: int) -> bytes:
        block: bytes = self._bus.read_register(self._address, register, count)
        return block

    def _write(self, register: int, value: int) -> None:
        self._bus.write_register(self._address, register, bytes((value,)))


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    return without_options(Bme280, options)
