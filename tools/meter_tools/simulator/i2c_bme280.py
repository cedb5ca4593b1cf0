"""A simulated Bosch BME280 on an I2C bus: registers, modes, and raw values whose compensation gives what is shown.

Checked against: the independent PyPI library RPi.bme280, which reads its trimming parameters and registers and
compensates with the floating-point formulas of its own (tools/tests/test_simulated_chips.py). The raw values are
found by bisection of the data sheet's floating-point formulas (§8.1), where the firmware's driver has the
integer ones (§4.2.3). Trimming of temperature and pressure: the worked example of the BMP280 data sheet §3.12.

Without an oracle, by the data sheet's words alone: when a setting takes effect, and what the registers hold
before the first measurement. No real chip was compared with it.
"""

import struct
from collections.abc import Callable

from meter_tools.simulator.i2c_chip import Nack, Source, Values

T = (27504, 26435, -1000)
P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
H1, H2, H3, H4, H5, H6 = 75, 361, 0, 323, 50, 30

CTRL_HUM, STATUS, CTRL_MEAS, CONFIG, DATA = 0xF2, 0xF3, 0xF4, 0xF5, 0xF7
RESET, RESET_WORD = 0xE0, 0xB6
NOT_MEASURED = bytes((0x80, 0, 0, 0x80, 0, 0, 0x80, 0))
MEASURING_MS = 17
STANDBY_MS = (1, 63, 125, 250, 500, 1000, 10, 20)


def fine(raw: float) -> float:
    linear = (raw / 16384 - T[0] / 1024) * T[1]
    return linear + (raw / 131072 - T[0] / 8192) ** 2 * T[2]


def celsius(raw: float) -> float:
    return fine(raw) / 5120


def pascal(raw: float, t_fine: float) -> float:
    x = t_fine / 2 - 64000
    y = (x * x * P[5] / 32768 + x * P[4] * 2) / 4 + P[3] * 65536
    x = (1 + (P[2] * x * x / 524288 + P[1] * x) / 524288 / 32768) * P[0]
    p = (1048576 - raw - y / 4096) * 6250 / x
    return p + (P[8] * p * p / 2147483648 + p * P[7] / 32768 + P[6]) / 16


def percent(raw: float, t_fine: float) -> float:
    h = t_fine - 76800
    scale = H2 / 65536 * (1 + H6 / 67108864 * h * (1 + H3 / 67108864 * h))
    h = (raw - (H4 * 64 + H5 / 16384 * h)) * scale
    return min(max(h * (1 - H1 * h / 524288), 0.0), 100.0)


def invert(formula: Callable[[float], float], wanted: float, bits: int) -> int:
    """The raw value whose formula comes closest to `wanted`; the formula is monotonic."""
    low, high = 0, (1 << bits) - 1
    rises = formula(high) > formula(low)
    while high - low > 1:
        middle = (low + high) // 2
        if (formula(middle) < wanted) == rises:
            low = middle
        else:
            high = middle
    return min(low, high, key=lambda raw: abs(formula(raw) - wanted))


class Bme280:
    def __init__(self, source: Source, serial: str) -> None:
        self.source = source
        self.power_on(0)

    def power_on(self, now_ms: int) -> None:
        self._registers = bytearray(256)
        self._registers[0xD0] = 0x60
        self._registers[0x88:0xA0] = struct.pack("<Hhh H8h", *T, *P)
        self._registers[0xA1] = H1
        mixed = (H4 & 15) | (H5 & 15) << 4
        self._registers[0xE1:0xE8] = struct.pack("<hBbBbb", H2, H3, H4 >> 4, mixed, H5 >> 4, H6)
        self._pointer = 0
        self._humidity_in_force = 0
        self._normal_from_ms = now_ms

    def write(self, frame: bytes, now_ms: int) -> None:
        if not frame:
            raise Nack
        self._pointer = frame[0]
        # Register and value by turns: only the first register's address comes by itself.
        for register, value in zip(frame[0::2], frame[1::2], strict=False):
            self._set(register, value, now_ms)

    def _set(self, register: int, value: int, now_ms: int) -> None:
        if register == RESET and value == RESET_WORD:
            self.power_on(now_ms)
        elif register == CTRL_HUM or (register == CONFIG and not self._is_normal):
            self._registers[register] = value
        elif register == CTRL_MEAS:
            self._registers[register] = value
            self._humidity_in_force = self._registers[CTRL_HUM] & 7
            self._normal_from_ms = now_ms

    @property
    def _is_normal(self) -> bool:
        return self._registers[CTRL_MEAS] & 3 == 3

    def read(self, count: int, now_ms: int) -> bytes:
        self._registers[DATA : DATA + 8] = self._data(now_ms)
        said = bytes(self._registers[self._pointer : self._pointer + count])
        return said.ljust(count, b"\xff")

    def _data(self, now_ms: int) -> bytes:
        period_ms = MEASURING_MS + STANDBY_MS[self._registers[CONFIG] >> 5]
        since_ms = now_ms - self._normal_from_ms - MEASURING_MS
        if self._registers[CTRL_MEAS] & 3 == 0 or since_ms < 0:
            return NOT_MEASURED
        newest_ms = now_ms - since_ms % period_ms if self._is_normal else now_ms - since_ms
        return self._encode(self.source(newest_ms))

    def _encode(self, values: Values) -> bytes:
        settings = self._registers[CTRL_MEAS]
        temperature, pressure = values.get("temperature"), values.get("absolute_pressure")
        humidity = values.get("relative_humidity")
        if temperature is None or settings >> 5 == 0:
            return NOT_MEASURED
        raw_t = invert(celsius, temperature / 100, 20)
        raw_p, raw_h = 0x80000, 0x8000
        if pressure is not None and settings >> 2 & 7:
            raw_p = invert(lambda raw: pascal(raw, fine(raw_t)), pressure / 100, 20)
        if humidity is not None and self._humidity_in_force:
            raw_h = invert(lambda raw: percent(raw, fine(raw_t)), humidity / 1000, 16)
        return (raw_p << 4).to_bytes(3, "big") + (raw_t << 4).to_bytes(3, "big") + raw_h.to_bytes(2, "big")
