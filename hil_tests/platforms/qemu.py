"""The `emulated_stm32` board in QEMU: the image as it would be flashed, on an emulated Cortex-M4.

A power cut is SIGKILL: whole writes to the flash are in its file then. `cut_at` has one torn.

QEMU ends with a code that the firmware chose, those of boards/emulated_stm32/port, where that is what ended. Any
other end is the emulator's own failure, and no verdict about the firmware.
"""

import shutil
from pathlib import Path

from hil_tests.platforms import HOST, PlatformError, Wiring
from hil_tests.platforms.first_contact import hand_over
from meter_tools.board_build import OUTPUT
from meter_tools.demo.processes import Process

BOARD = "emulated_stm32"
MACHINE = "netduinoplus2"
"""STM32F405."""

QEMU = "qemu-system-arm"
ELF = OUTPUT / BOARD / "firmware.elf"
FLASH_BYTES = 4 << 20
SLOTS_BYTES, SLOTS_ADDRESS = 512 << 10, 0x08080000
"""The upper half of the processor's own flash, which the emulator loads at power-on."""
START_S = 20

FIRMWARE_ENDED = {0: "returned", 64: "failed", 65: "faulted"}
POWER_CUT = 66

LINES = ("link", "modbus0")
"""The board's UARTs 2 and 3, in this order; 1 is the console."""


class Board:
    key_protection = "native"

    def __init__(self, folder: Path, wiring: Wiring) -> None:
        if shutil.which(QEMU) is None:
            raise PlatformError(f"{QEMU} is missing: sudo apt-get install {QEMU}")
        if not ELF.exists():
            raise PlatformError(f"there is no image: python -m meter_tools.board_build {BOARD}")
        self._folder = folder
        self._console = folder / "console.log"
        self._console.touch()
        self._process: Process | None = None
        self._console_start = 0
        (folder / "flash.bin").write_bytes(b"\xff" * FLASH_BYTES)
        (folder / "slots.bin").write_bytes(b"\xff" * SLOTS_BYTES)
        self._ports = dict(zip(LINES, (wiring.link_port, wiring.bus_port), strict=True))
        self._make_meter(wiring)

    def _make_meter(self, wiring: Wiring) -> None:
        """At the factory: the console is the provisioning line; the reset after first contact ends this run."""
        log = self._folder / "factory.log"
        command = [*self._command(), "-no-reboot", "-chardev", "pty,id=console", "-serial", "chardev:console"]
        factory = Process("qemu", command, log, folder=self._folder)
        try:
            said = factory.wait_for("redirected to ", START_S)
            port = said.split("redirected to ")[1].split()[0]
            hand_over(port, wiring.serial, wiring.authority_keys, wiring.update_keys)
            factory.wait(START_S)
        finally:
            factory.stop()

    def _command(self, arguments: str = "") -> list[str | Path]:
        return [
            QEMU, "-machine", MACHINE, "-kernel", ELF, "-nodefaults", "-display", "none",
            "-device", f"loader,file=slots.bin,addr={SLOTS_ADDRESS:#x},force-raw=on",
            "-semihosting-config", f"enable=on,target=native{arguments}",
        ]  # fmt: skip

    def power_on(self, cut_at: tuple[int, int] | None = None) -> None:
        """`cut_at`: the power fails in that write or erase of the flash, counted from 0, after so many bytes."""
        self._console_start = self._console.stat().st_size
        arguments = "" if cut_at is None else ",arg=cut={}:{}".format(*cut_at)
        command = self._command(arguments)
        command += [
            "-chardev",
            f"file,id=console,path={self._console.name},append=on",
            "-serial",
            "chardev:console",
        ]
        for name, port in self._ports.items():
            far_end = f"socket,id={name},host={HOST},port={port},nodelay=on,reconnect=1"
            command += ["-chardev", far_end, "-serial", f"chardev:{name}"]
        self._process = Process("qemu", command, self._folder / "emulator.log", folder=self._folder)

    def cut_power(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    @property
    def pid(self) -> int | None:
        """Of the emulator, where the power is on."""
        return None if self._process is None else self._process.pid

    @property
    def is_cut(self) -> bool:
        """Whether `cut_at` has come."""
        return self._process is not None and self._process.exit_code() == POWER_CUT

    def console(self) -> str:
        return self._console.read_bytes()[self._console_start :].decode(errors="replace")

    def check(self) -> None:
        code = None if self._process is None else self._process.exit_code()
        if self._process is None or code is None or code == POWER_CUT:
            return
        if code in FIRMWARE_ENDED:
            raise AssertionError(f"the firmware {FIRMWARE_ENDED[code]}:\n{self.console()}")
        raise PlatformError(f"{QEMU} ended with code {code}: {self._process.last_line()}")
