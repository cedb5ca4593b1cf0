"""An I2C bus: a controller like MicroPython's machine.I2C, and who may use it when.

Bytes move at once and block for as long as they take on the wire (20 bytes at 50 kHz: 4 ms).

A board sets the speed to what its slowest chip bears, and its controller's timeout to more than any chip
stretches the clock (SCD30: 150 ms; machine.I2C waits 50 ms unless told otherwise).
"""

from meter_firmware.buses.chip_bus import ChipBus
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Controller(Protocol):
        def writeto(self, address: int, frame: bytes) -> "int | None": ...
        def readfrom(self, address: int, count: int) -> bytes: ...
        def readfrom_mem(self, address: int, register: int, count: int) -> bytes: ...
        def writeto_mem(self, address: int, register: int, content: bytes) -> None: ...


class I2cBus(ChipBus):
    KIND = "i2c"

    def __init__(self, controller: "Controller", ticks: "Any" = None) -> None:
        super().__init__(ticks)
        self._controller = controller

    def write(self, address: int, frame: bytes) -> None:
        try:
            acknowledged = self._controller.writeto(address, frame)
        except OSError:
            raise InstrumentError("no_response")
        # A bit-banged controller says by its count that a chip refused a byte, and raises nothing.
        if acknowledged is not None and acknowledged < len(frame):
            raise InstrumentError("no_response")

    def read(self, address: int, count: int) -> bytes:
        try:
            return self._controller.readfrom(address, count)
        except OSError:
            raise InstrumentError("no_response")

    def read_register(self, address: int, register: int, count: int) -> bytes:
        try:
            return self._controller.readfrom_mem(address, register, count)
        except OSError:
            raise InstrumentError("no_response")

    def write_register(self, address: int, register: int, content: bytes) -> None:
        try:
            self._controller.writeto_mem(address, register, content)
        except OSError:
            raise InstrumentError("no_response")
