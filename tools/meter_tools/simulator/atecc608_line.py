"""A simulated ATECC608 on a bus of its own, where the unix board finds the signer that its configuration names.

The chip answers to its address and, to wake, to the general call. It runs in real time, whatever time a replay
drives: its watchdog and its signatures take as long as a chip's.
"""

import time

from meter_tools.simulator.atecc608 import ADDRESS, Chip
from meter_tools.simulator.chip_line import ChipServer, Device, I2cLine
from meter_tools.simulator.clock import real_clock
from meter_tools.simulator.i2c_chip import Nack

GENERAL_CALL = 0


class ChipAtAddress:
    """What the line sees of the chip at one of the two addresses."""

    def __init__(self, chip: Chip, address: int) -> None:
        self.chip = chip
        self._address = address

    def power_on(self, now_ms: int) -> None:
        """It wakes when it is called."""

    def write(self, frame: bytes, now_ms: int) -> None:
        if not self.chip.write(self._address, frame, _now_us()):
            raise Nack

    def read(self, count: int, now_ms: int) -> bytes:
        received = None if self._address == GENERAL_CALL else self.chip.read(self._address, count, _now_us())
        if received is None:
            raise Nack
        return received


def element_line(chip: Chip) -> ChipServer:
    devices = {address: Device("atecc608", ChipAtAddress(chip, address)) for address in (GENERAL_CALL, ADDRESS)}
    return ChipServer(I2cLine(devices, real_clock, dict))


def _now_us() -> int:
    return time.monotonic_ns() // 1000
