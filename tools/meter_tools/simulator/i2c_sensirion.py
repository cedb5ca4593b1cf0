"""Simulated Sensirion SCD30, SCD41 and SDP810 on an I2C bus, byte for byte.

Checked against: Sensirion's own Python drivers sensirion-i2c-scd30, sensirion-i2c-scd and sensirion-i2c-sdp, whose
commands these chips execute and whose decoders and CRC checks accept their replies
(tools/tests/test_simulated_chips.py); the published frames of shared/reference/metrology.md §5. Written from the
SCD30 interface description and the SCD4x and SDP8xx data sheets, independently of the firmware's drivers.

Without an oracle, by the data sheets' words alone: which commands a measuring sensor refuses, that a sensor is
not to be read before its execution time, what a loss of supply forgets. That an idle SDP810 refuses a stop is
assumed as the harder case. No real sensor was compared with these.
"""

import struct
from fractions import Fraction

from meter_tools.simulator.i2c_chip import Nack, Source, Values


def _crc_table() -> tuple[int, ...]:
    table = []
    for first in range(256):
        remainder = first
        for _ in range(8):
            remainder = remainder << 1 ^ (0x131 if remainder & 0x80 else 0)
        table.append(remainder)
    return tuple(table)


CRC_TABLE = _crc_table()


def word(value: int) -> bytes:
    """Two bytes, high first, and their CRC."""
    high, low = value >> 8 & 0xFF, value & 0xFF
    return bytes((high, low, CRC_TABLE[CRC_TABLE[0xFF ^ high] ^ low]))


class SensirionChip:
    """Commands of 16 bits, some with one argument; a reply waits until it is read or another command comes."""

    EXECUTION_MS = 1

    def __init__(self, source: Source, serial: str) -> None:
        self.source = source
        self.serial = serial
        self.power_on(0)

    def power_on(self, now_ms: int) -> None:
        self._reply = b""
        self._reply_at_ms = now_ms

    def write(self, frame: bytes, now_ms: int) -> None:
        if len(frame) not in (2, 5) or (len(frame) == 5 and word(frame[2] << 8 | frame[3]) != frame[2:]):
            raise Nack
        argument = frame[2] << 8 | frame[3] if len(frame) == 5 else None
        self._reply = self.execute(frame[0] << 8 | frame[1], argument, now_ms)
        self._reply_at_ms = now_ms + self.EXECUTION_MS

    def read(self, count: int, now_ms: int) -> bytes:
        if not self._reply or now_ms < self._reply_at_ms:
            raise Nack
        said, self._reply = self._reply, b""
        return said[:count].ljust(count, b"\xff")

    def execute(self, code: int, argument: int | None, now_ms: int) -> bytes:
        """The reply to a command; Nack if there is no such command, or not now."""
        raise NotImplementedError


class Measurements:
    """One every `period_ms` from `start_ms` on; each is to be had once, and replaced by the next."""

    def __init__(self, start_ms: int, period_ms: int) -> None:
        self._start_ms = start_ms
        self._period_ms = period_ms
        self._taken = 0

    def newest_ms(self, now_ms: int) -> int | None:
        """When the newest that was not taken yet was made, None if there is none."""
        made = (now_ms - self._start_ms) // self._period_ms
        return self._start_ms + made * self._period_ms if made > self._taken else None

    def take(self, now_ms: int) -> None:
        self._taken = (now_ms - self._start_ms) // self._period_ms


class Scd30(SensirionChip):
    EXECUTION_MS = 3

    def __init__(self, source: Source, serial: str) -> None:
        # Kept without supply: also whether it measures.
        self.interval_s = 5
        self.self_calibration = 1
        self.writes_to_memory = 0
        self.pressure_hpa: int | None = None
        super().__init__(source, serial)

    def power_on(self, now_ms: int) -> None:
        super().power_on(now_ms)
        self._begin(now_ms)

    def _begin(self, now_ms: int) -> None:
        self._measurements = Measurements(now_ms, 1000 * self.interval_s)

    def execute(self, code: int, argument: int | None, now_ms: int) -> bytes:
        newest_ms = None if self.pressure_hpa is None else self._measurements.newest_ms(now_ms)
        match code, argument:
            case 0x0010, int() if argument == 0 or 700 <= argument <= 1400:
                if self.pressure_hpa is None:
                    self._begin(now_ms)
                self.pressure_hpa = argument
            case 0x0104, None:
                self.pressure_hpa = None
            case 0x4600, None:
                return word(self.interval_s)
            case 0x4600, int() if 2 <= argument <= 1800:
                self.interval_s = argument
                self.writes_to_memory += 1
                self._begin(now_ms)
            case 0x5306, None:
                return word(self.self_calibration)
            case 0x5306, int() if argument <= 1:
                self.self_calibration = argument
                self.writes_to_memory += 1
            case 0x0202, None:
                return word(0 if newest_ms is None else 1)
            case 0x0300, None:
                self._measurements.take(now_ms)
                return b"" if newest_ms is None else self._values(self.source(newest_ms))
            case 0xD100, None:
                return word(0x0342)
            case _:
                raise Nack
        return b""

    @staticmethod
    def _values(values: Values) -> bytes:
        said = b""
        for name in ("co2_fraction", "temperature", "relative_humidity"):
            value = values.get(name)
            bits = struct.pack(">f", float("nan") if value is None else value / 1000)
            said += word(bits[0] << 8 | bits[1]) + word(bits[2] << 8 | bits[3])
        return said


class Scd41(SensirionChip):
    PERIOD_MS = 5000
    STOP_MS = 500

    def power_on(self, now_ms: int) -> None:
        super().power_on(now_ms)
        self._measurements: Measurements | None = None
        self._busy_until_ms = now_ms
        self.self_calibration = 1
        self.pressure_hpa: int | None = None

    def execute(self, code: int, argument: int | None, now_ms: int) -> bytes:
        if now_ms < self._busy_until_ms:
            raise Nack
        if code == 0xE000 and argument is not None:
            self.pressure_hpa = argument
            return b""
        if self._measurements is None:
            return self._idle(code, argument, now_ms)
        return self._measuring(self._measurements, code, now_ms)

    def _measuring(self, measurements: Measurements, code: int, now_ms: int) -> bytes:
        newest_ms = measurements.newest_ms(now_ms)
        match code:
            case 0x3F86:
                self._measurements = None
                self._busy_until_ms = now_ms + self.STOP_MS
            case 0xE4B8:
                return word(0x8000 if newest_ms is None else 0x8006)
            case 0xEC05 if newest_ms is not None:
                measurements.take(now_ms)
                return self._values(self.source(newest_ms))
            case _:
                raise Nack
        return b""

    def _idle(self, code: int, argument: int | None, now_ms: int) -> bytes:
        match code, argument:
            case 0x21B1, None:
                self._measurements = Measurements(now_ms, self.PERIOD_MS)
            case 0x3F86, None:
                self._busy_until_ms = now_ms + self.STOP_MS
            case 0xE4B8, None:
                return word(0x8000)
            case 0x3682, None:
                return b"".join(word(int(self.serial[start : start + 4], 16)) for start in (0, 4, 8))
            case 0x2313, None:
                return word(self.self_calibration)
            case 0x2416, int() if argument <= 1:
                self.self_calibration = argument
            case _:
                raise Nack
        return b""

    @staticmethod
    def _values(values: Values) -> bytes:
        temperature = Fraction(65535 * ((values.get("temperature") or 0) + 45000), 175000)
        humidity = Fraction(65535 * (values.get("relative_humidity") or 0), 100000)
        return word(values.get("co2_fraction") or 0) + word(round(temperature)) + word(round(humidity))


class Sdp810(SensirionChip):
    """The 500 Pa type, or with `scale` 240 the 125 Pa type."""

    FIRST_VALUE_MS = 8

    def __init__(self, source: Source, serial: str, scale: int = 60) -> None:
        self._scale = scale
        self._product_number = {60: 0x03020A01, 240: 0x03020B01}[scale]
        super().__init__(source, serial)

    def power_on(self, now_ms: int) -> None:
        super().power_on(now_ms)
        self._measuring_from_ms: int | None = None
        self._is_prepared = False

    def execute(self, code: int, argument: int | None, now_ms: int) -> bytes:
        was_prepared, self._is_prepared = self._is_prepared, code == 0x367C
        match code, self._measuring_from_ms is None:
            case 0x3615, True:
                self._measuring_from_ms = now_ms + self.FIRST_VALUE_MS
            case 0x3FF9, False:
                self._measuring_from_ms = None
            case 0x367C, True:
                pass
            case 0xE102, True if was_prepared:
                content = self._product_number.to_bytes(4, "big") + bytes.fromhex(self.serial)
                return b"".join(word(content[at] << 8 | content[at + 1]) for at in range(0, 12, 2))
            case _:
                raise Nack
        return b""

    def read(self, count: int, now_ms: int) -> bytes:
        if self._measuring_from_ms is None:
            return super().read(count, now_ms)
        if now_ms < self._measuring_from_ms:
            raise Nack
        values = self.source(now_ms)
        pressure = round(Fraction(self._scale * (values.get("differential_pressure") or 0), 1000))
        temperature = round(Fraction(values.get("temperature") or 0, 5))
        return (word(pressure) + word(temperature) + word(self._scale))[:count].ljust(count, b"\xff")
