"""A simulated 1-Wire line and the DS18B20 thermometers on it, byte for byte.

Checked against: by hand, the independent PyPI library adafruit-circuitpython-ds18x20 1.4.9, whose commands it
executes and which reads its temperatures and resolutions right; in the tests, the data sheet's table of
temperatures and application note 27's CRC (tools/tests/test_simulated_chips.py). Written from the DS18B20 data
sheet (2019). The line is the wired AND of its devices; time slots are not simulated.

Byte 6 of the scratchpad (0Ch after power-up, 10h less the last four bits after a conversion) is as observed on
genuine chips and relied on by the Linux kernel's w1_therm; the data sheet reserves it. Parasitic supply, alarms
and the EEPROM are not simulated. No real chip was compared with it.
"""

import random
from collections.abc import Mapping, Sequence
from fractions import Fraction

from meter_tools.simulator.faults import FaultsNow
from meter_tools.simulator.i2c_chip import Source

READ_ROM, MATCH_ROM, SKIP_ROM = 0x33, 0x55, 0xCC
CONVERT, READ_SCRATCHPAD, WRITE_SCRATCHPAD = 0x44, 0xBE, 0x4E
POWER_UP = bytes((0x50, 0x05, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10))


def crc(content: bytes) -> int:
    """CRC-8 x^8 + x^5 + x^4 + 1 by polynomial division, least significant bit first."""
    dividend = [byte >> bit & 1 for byte in content for bit in range(8)] + [0] * 8
    for at in range(len(dividend) - 8):
        if dividend[at]:
            for offset in (0, 3, 4, 8):
                dividend[at + offset] ^= 1
    return sum(bit << at for at, bit in enumerate(dividend[-8:]))


class Ds18b20:
    def __init__(self, source: Source, serial: str) -> None:
        """`serial` is the 48-bit serial number, or the whole ROM code, in hexadecimal."""
        number = bytes.fromhex(serial)
        self.rom = number if len(number) == 8 else b"\x28" + number + bytes((crc(b"\x28" + number),))
        self.source = source
        self.power_on(0)

    def power_on(self, now_ms: int) -> None:
        self._memory = bytearray(POWER_UP)
        self._converting_until_ms: int | None = None

    def convert(self, now_ms: int) -> None:
        self._converting_until_ms = now_ms + (750 >> 3 - (self._memory[4] >> 5 & 3))

    def is_converting(self, now_ms: int) -> bool:
        if self._converting_until_ms is None or now_ms < self._converting_until_ms:
            return self._converting_until_ms is not None
        value = self.source(self._converting_until_ms).get("temperature")
        self._converting_until_ms = None
        if value is not None:
            steps = round(Fraction(value, 625)) & 0xFFFF
            self._memory[0:2] = steps.to_bytes(2, "little")
            self._memory[6] = 0x10 - (steps & 15)
        return False

    def scratchpad(self, now_ms: int) -> bytes:
        self.is_converting(now_ms)
        return bytes(self._memory) + bytes((crc(bytes(self._memory)),))

    def set_scratchpad(self, content: bytes) -> None:
        self._memory[2:5] = content[0], content[1], content[2] & 0x60 | 0x1F


class OneWireLine:
    """Devices by name; `faults` says which of them is at fault now."""

    def __init__(self, devices: Mapping[str, Ds18b20], faults: FaultsNow) -> None:
        self._devices = devices
        self._faults = faults
        self._absent: set[str] = set()
        self._written = bytearray()
        self._read_count = 0
        self._noise = random.Random(",".join(devices))  # noqa: S311  a fault that repeats itself

    def reset(self, now_ms: int) -> bool:
        """Whether anybody is there. Who was pulled out comes back as after power-up."""
        self._written.clear()
        self._read_count = 0
        for name, device in self._devices.items():
            if self._is(name, "silent", "exception"):
                self._absent.add(name)
            elif name in self._absent:
                self._absent.remove(name)
                device.power_on(now_ms)
        return len(self._absent) < len(self._devices)

    def write(self, byte: int, now_ms: int) -> None:
        self._written.append(byte)
        self._read_count = 0
        function = self._function()
        for name in self._selected():
            if function == bytes((CONVERT,)):
                self._devices[name].convert(now_ms)
            elif len(function) == 4 and function[0] == WRITE_SCRATCHPAD:
                self._devices[name].set_scratchpad(function[1:])

    def read(self, now_ms: int) -> int:
        byte = 0xFF
        for name in self._selected():
            content = self._content(self._devices[name], now_ms)
            if self._is(name, "nonsense"):
                content = self._noise.randbytes(len(content))
            if self._is(name, "bad_crc"):
                content = bytes((content[0] ^ 0x04,)) + content[1:]
            if self._is(name, "truncated"):
                content = content[: len(content) // 2]
            byte &= content[self._read_count] if self._read_count < len(content) else 0xFF
        self._read_count += 1
        return byte

    def search(self, now_ms: int) -> Sequence[bytes]:
        self.reset(now_ms)
        return [device.rom for name, device in self._devices.items() if name not in self._absent]

    def _content(self, device: Ds18b20, now_ms: int) -> bytes:
        function = self._function()
        if self._written[:1] == bytes((READ_ROM,)):
            return device.rom
        if function == bytes((READ_SCRATCHPAD,)):
            return device.scratchpad(now_ms)
        # After CONVERT it says 0 until it is done, as often as it is asked.
        is_busy = function == bytes((CONVERT,)) and device.is_converting(now_ms)
        return bytes((0x00 if is_busy else 0xFF,)) * (self._read_count + 1)

    def _function(self) -> bytes:
        """What was written after the ROM command, itself included."""
        length = {SKIP_ROM: 1, MATCH_ROM: 9, READ_ROM: 1}.get(self._written[0], len(self._written))
        return bytes(self._written[length:])

    def _selected(self) -> list[str]:
        present = [name for name in self._devices if name not in self._absent]
        if self._written and self._written[0] in (SKIP_ROM, READ_ROM):
            return present
        if len(self._written) >= 9 and self._written[0] == MATCH_ROM:
            return [name for name in present if self._devices[name].rom == bytes(self._written[1:9])]
        return []

    def _is(self, name: str, *kinds: str) -> bool:
        fault = self._faults().get(name)
        return fault is not None and fault.kind in kinds
