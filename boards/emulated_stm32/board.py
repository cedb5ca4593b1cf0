"""The emulated STM32: the firmware as on a board without a network, on a STM32F405 that is QEMU's.

Two RS-485 lines and a serial line to the gateway are UARTs; the flash is a chip of 4 MiB. README.md beside this
file has the wiring.
"""

import os

import board_base
import chip
from machine import UART, WDT

from meter_firmware import monotonic
from meter_firmware.board_clock import BoardClock
from meter_firmware.links.backoff import Backoff
from meter_firmware.links.serial import SerialLink
from meter_firmware.links.uart import Uart
from meter_firmware.memory import Memory
from meter_firmware.modbus import ModbusMaster
from meter_firmware.modbus_line import StreamLine
from meter_firmware.native_module import module as native
from meter_firmware.signers import key_file
from meter_firmware.signers.native import NativeSigner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from meter_firmware.signers.software import SoftwareSigner
    from meter_firmware.update_manifest import UpdateSite
    from meter_sampling.serial_bus import SerialBus

    Bus = ModbusMaster | SerialBus

CONSOLE_UART = 1
LINK_UART = 2
MODBUS_UART = 3
SERIAL_UART = 4
CONSOLE_BAUD = 115200
LINK_BAUD = 115200
BUS_BAUD = 9600
SERIAL_TIMEOUT_MS = 2000
WATCHDOG_MS = 10000
"""Longer than any one step of the firmware, on a busy host too: a signature in Python is the longest."""


class EmulatedStm32:
    maker = "carbonmeter"
    model = "emulated_stm32"
    hardware_id = None
    """QEMU's STM32F405 has no unique id."""

    def __init__(self) -> None:
        self.factory = board_base.factory()
        self.journal_bytes = board_base.journal_bytes()
        self.image_region = chip.image()
        self.clock = BoardClock()
        self._watchdog = WDT(0, WATCHDOG_MS)
        self._buses: "dict[str, Bus]" = {}

    @property
    def update_site(self) -> "UpdateSite | None":
        """Made when there is an update: it takes heap."""
        return board_base.update_site()

    def link_ms(self) -> int:
        return monotonic.now_ms()

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def say(self, line: str) -> None:
        print(line)

    def mount(self) -> str:
        return board_base.mount()

    def make_signer(self, memory: Memory) -> "NativeSigner | SoftwareSigner":
        """The key is made here, on first boot, and stays here."""
        private = key_file.private_key(memory, self.random)
        if native is not None:
            return NativeSigner(private)
        # Imported where it is needed: the curve in Python takes a kilobyte of heap.
        from meter_firmware.signers.software import SoftwareSigner

        return SoftwareSigner(private)

    def renew_key(self, memory: Memory) -> None:
        key_file.forget(memory)

    def software_files(self) -> "list[tuple[str, str]]":
        """The golden copy is frozen: it lies in the image region."""
        return []

    def bus(self, name: str) -> "Bus":
        """Made when a parameter set names it first: a line has buffers of its own."""
        if name not in self._buses:
            self._buses[name] = _MAKERS[name]()
        return self._buses[name]

    def provisioning_line(self) -> Uart:
        """The console's: at the maker's bench one cable does."""
        return Uart(UART(CONSOLE_UART, CONSOLE_BAUD))

    def make_link(self, kid: bytes) -> SerialLink:
        return SerialLink(Uart(UART(LINK_UART, LINK_BAUD)).open, Backoff(_random_below))

    def feed_watchdog(self) -> None:
        self._watchdog.feed()

    def finished(self) -> bool:
        """A board runs until its power is cut."""
        return False

    def drained_late(self) -> bool:
        return False


def _modbus0() -> ModbusMaster:
    return ModbusMaster(StreamLine(Uart(UART(MODBUS_UART, BUS_BAUD))), "rtu")


def _serial0() -> "SerialBus":
    from meter_sampling.serial_bus import SerialBus

    return SerialBus(StreamLine(Uart(UART(SERIAL_UART, BUS_BAUD))), SERIAL_TIMEOUT_MS)


_MAKERS: "dict[str, Callable[[], Bus]]" = {"modbus0": _modbus0, "serial0": _serial0}


def board() -> EmulatedStm32:
    return EmulatedStm32()


def _random_below(limit: int) -> int:
    return int.from_bytes(os.urandom(4), "big") % limit
