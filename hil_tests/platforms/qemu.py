"""The `emulated_stm32` board in QEMU: the image as it would be flashed, on an emulated Cortex-M4.

A power cut is SIGKILL: whole writes to the flash are in its file then. `tear_flash_operation` has one torn.

QEMU ends with a code that the firmware chose, those of boards/emulated_stm32/port, where that is what ended. Any
other end is the emulator's own failure, and no verdict about the firmware.

Time and what fails are driven through QEMU's debug port, in variables of the port's C code: the image is the one
that ships.
"""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from hil_tests.platforms import HOST, PlatformError, Wiring, heap
from hil_tests.platforms.debugger import SOCKET, Debugger
from hil_tests.platforms.first_contact import hand_over
from hil_tests.platforms.image import Symbols, elf_of, with_wrong_curve
from meter_tools import board_build, toolchain, upstream
from meter_tools.board_build import OUTPUT
from meter_tools.boards import emulator
from meter_tools.boards.emulator import FLASH_BYTES, QEMU
from meter_tools.demo.processes import Process, hold_port

LACKS = ("renode",)
"""I2C, SPI and ADC, which QEMU's machine has not."""

BOARD = "emulated_stm32"
FAILED = 64
FIRMWARE_ENDED = {0: "returned", FAILED: "failed", 65: "faulted"}
POWER_CUT = 66

UARTS = ("link", "modbus0", "serial0")
"""The board's UARTs 2, 3 and 4; 1 is the console. Of a bus that a suite has not, nothing is connected."""

TIME_FUNCTIONS = ("virtual_time_us", "watchdog_start", "watchdog_feed", "bite_if_due", "receive")
"""Inside of these the time in memory may be half of the old one; the last is what interrupts call."""

GOING_ON_US = 100_000
"""A host that is busier than this is waited for; judgements.BENCH_DOUBT_MS is as much."""

IDLE_FUNCTIONS = ("mp_event_wait_ms", "mp_event_wait_indefinite")
"""MicroPython's, in which the core waits for an interrupt while no task has anything to do.

A leap anywhere else may fall between two looks of the firmware at its time: a task that has just reckoned for how
long it will sleep then sleeps for so long from after the leap on.
"""

TIMER_COUNT = 0x40000024
"""Counter of timer 2, whose microseconds are not in `elapsed_us` yet as far as they are later than `seen_us`."""

IDLE_S = 20
"""Within so long the firmware has nothing to do for a moment, or never will."""

END_S = 5
START_S = 60
TOLERANCE_US = 20_000
"""An emulator that is halted and goes on loses about as much again."""

CUT_OPERATIONS, CUT_OPERATION, CUT_BYTES = 4, 8, 12
"""Offsets in the port's `cut`: operations since the reset, the one to tear, and after how many bytes."""

BRANCH_TO_ITSELF = 0xE7FE
"""Thumb: `b .`."""

UNDEFINED = 0xDE00
"""Thumb: `udf`, which no core executes."""

SWEEPS = "gc_collect_end"
"""MicroPython's function that does, at the end of each collection."""

HANDLER = "_handler"
"""What the names of the functions that interrupts call end with."""

DAMAGED_IMAGE = "damaged.elf"

WATCHDOG_MS = 10000
"""boards/emulated_stm32/board.py."""


def prepare() -> None:
    """QEMU and the image, installed and built where that may be; PlatformError is one line with the remedy."""
    try:
        toolchain.want({QEMU: toolchain.EMULATOR[QEMU]}, OUTPUT / BOARD / "toolchain.log")
        print(f"{BOARD}: {board_build.build(BOARD)} B", flush=True)
    except (toolchain.ToolchainError, upstream.SourceError, board_build.BuildError) as error:
        raise PlatformError(str(error)) from None


class Board:
    model = BOARD
    key_protection = "native"

    def __init__(self, folder: Path, wiring: Wiring) -> None:
        self._elf = elf_of(BOARD)
        self._folder = folder
        self._console = folder / "console.log"
        self._console.touch()
        self._process: Process | None = None
        self._debugger: Debugger | None = None
        self._ahead_us = 0
        """By how much the board's clock is to be ahead of `time.monotonic`, since both began where they did."""
        self._newest_us: int | None = None
        self.heap_bytes: int | None = None
        """Of its memory MicroPython gets no more from the next power-on, its tables for the heap included."""
        self._console_start = 0
        self.flash = folder / "flash.bin"
        self.flash.write_bytes(b"\xff" * (FLASH_BYTES // wiring.flash_share))
        (folder / emulator.SLOTS_FILE).write_bytes(b"\xff" * emulator.SLOTS_BYTES)
        self._ports = {"link": wiring.link_port, **wiring.bus_ports}
        self._make_meter(wiring)

    def _make_meter(self, wiring: Wiring) -> None:
        """At the factory: the console is the provisioning line; the reset after first contact ends this run."""
        with hold_port() as keeper:
            port = keeper.getsockname()[1]
            # No pty: with it would go what the board said last, when the emulator ends before it was read.
            console = (
                f"socket,id=console,host={HOST},port={port},server=on,wait=off,logfile=factory.log,logappend=on"
            )
            command = [*self._command(), "-no-reboot", "-chardev", console, "-serial", "chardev:console"]
            factory = Process("qemu", command, self._folder / "factory.log", folder=self._folder)
            try:
                # What is asked before it listens is lost, and asked again only after a patience of seconds.
                factory.wait_for("no factory record", START_S)
                hand_over(f"tcp:{HOST}:{port}", wiring.serial, wiring.authority_keys, wiring.update_keys)
                factory.wait(START_S)
            finally:
                factory.stop()

    def _command(self, arguments: str = "") -> list[str]:
        if shutil.which(QEMU) is None:
            raise PlatformError(f"{QEMU} is missing: sudo apt-get install {QEMU}")
        return emulator.machine(BOARD, self._elf, arguments)

    def power_on(self, cut_at: tuple[int, int] | None = None) -> None:
        """`cut_at`: the power fails in that write or erase of the flash, counted from 0, after so many bytes."""
        self.cut_power()
        self._console_start = self._console.stat().st_size
        self._newest_us = None
        arguments = "" if cut_at is None else ",arg=cut={}:{}".format(*cut_at)
        arguments += "" if self.heap_bytes is None else f",arg=heap={self.heap_bytes}"
        command = self._command(arguments)
        command += [
            "-chardev",
            f"file,id=console,path={self._console.name},append=on",
            "-serial",
            "chardev:console",
        ]
        for name in UARTS:
            if name in self._ports:
                far_end = f"socket,id={name},host={HOST},port={self._ports[name]},nodelay=on,reconnect=1"
                command += ["-chardev", far_end, "-serial", f"chardev:{name}"]
            else:
                command += ["-serial", "null"]
        command += ["-chardev", f"socket,id=debug,path={SOCKET},server=on,wait=off", "-gdb", "chardev:debug"]
        (self._folder / SOCKET).unlink(missing_ok=True)
        self._process = Process("qemu", command, self._folder / "emulator.log", folder=self._folder)
        with self._unless_power_fails():
            self._see_clock_begin(self._debug_port)

    def _see_clock_begin(self, debugger: Debugger) -> None:
        """Now, when the firmware has no time to keep yet, neither a halt nor a leap does harm."""
        while not self._has_counted(debugger):
            time.sleep(0.002)
        self._leap(debugger, 0, self._halt_outside_of_time)

    def _has_counted(self, debugger: Debugger) -> bool:
        """Whether the firmware has looked at its timer, which counts nanoseconds until it is set up."""
        self._halt_outside_of_time(debugger)
        elapsed_us, _ = self._read_time(debugger)
        debugger.go_on()
        return elapsed_us > 0

    def cut_power(self) -> None:
        if self._debugger is not None:
            self._debugger.close()
            self._debugger = None
        if self._process is not None:
            self._process.kill()
            self._process = None

    @property
    def process(self) -> Process:
        """The emulator's, where the power is on."""
        if self._process is None:
            raise AssertionError("the power is off")
        return self._process

    @property
    def is_cut(self) -> bool:
        return self._process is not None and self._process.exit_code() == POWER_CUT

    @property
    def has_failed(self) -> bool:
        return self._process is not None and self._process.exit_code() == FAILED

    def console(self) -> str:
        return self._console.read_bytes()[self._console_start :].decode(errors="replace")

    def check(self) -> None:
        code = None if self._process is None else self._process.exit_code()
        if self._process is None or code is None or code == POWER_CUT:
            return
        if code in FIRMWARE_ENDED:
            raise AssertionError(f"the firmware {FIRMWARE_ENDED[code]}:\n{self.console()}")
        raise PlatformError(f"{QEMU} ended with code {code}: {self._process.last_line()}")

    # Through the debug port

    def advance(self, milliseconds: int) -> None:
        """And by what the board has lost to halts of ours: seen from real time, it leaps and does nothing else."""
        with self._unless_power_fails():
            self._leap(self._debug_port, milliseconds * 1000, self._halt_when_idle)

    def lost_ms(self) -> int:
        """What is lost is given back with each leap."""
        return 0

    def _leap(self, debugger: Debugger, ahead_us: int, halt: Callable[[Debugger], None]) -> None:
        halt(debugger)
        self._note_reset(debugger)
        self._ahead_us += ahead_us
        while not self._has_caught_up(debugger):
            halt(debugger)

    @contextlib.contextmanager
    def _unless_power_fails(self) -> Iterator[None]:
        """A debug port that is gone because of that, or with the firmware, is no failure of the emulator."""
        try:
            yield
        except PlatformError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self._process is not None:
                    self._process.wait(END_S)
            if not (self.is_cut or self.has_failed):
                self.check()
                raise

    def _has_caught_up(self, debugger: Debugger) -> bool:
        """Halted at first, and running afterwards. Nothing is believed that is not seen a second time."""
        elapsed_us, since_us = self._read_time(debugger)
        deadline_us = debugger.read(self._symbols["watchdog_bites_us"], 8)
        behind_us = _now_us() + self._ahead_us - elapsed_us - since_us
        if behind_us <= TOLERANCE_US:
            debugger.go_on()
            # What it has lost until then is given back with the next leap, and its clock may be set before that.
            return _now_us() + self._ahead_us - elapsed_us - since_us <= GOING_ON_US
        debugger.write(self._symbols["watchdog_bites_us"], deadline_us + behind_us, 8)
        debugger.write_and_go_on(self._symbols["elapsed_us"], elapsed_us + behind_us, 8)
        return False

    def _note_reset(self, debugger: Debugger) -> None:
        """The board's clock begins anew with its power, and whenever it resets itself."""
        board_us = sum(self._read_time(debugger))
        if self._newest_us is None or board_us < self._newest_us:
            self._ahead_us = board_us - _now_us()
        self._newest_us = board_us

    def _halt_outside_of_time(self, debugger: Debugger) -> None:
        """Not where the firmware is just reckoning with its time, and not in an interrupt."""
        debugger.halt()
        while any(debugger.program_counter() in busy for busy in self._busy_ranges):
            debugger.go_on()
            time.sleep(0.001)
            debugger.halt()

    def _halt_when_idle(self, debugger: Debugger) -> None:
        deadline = time.monotonic() + IDLE_S
        debugger.halt()
        while not any(debugger.program_counter() in idle for idle in self._idle_ranges):
            debugger.go_on()
            if self.is_cut or self.has_failed:
                raise PlatformError("the board has ended")
            if time.monotonic() > deadline:
                raise AssertionError(f"the firmware was never idle within {IDLE_S} s")
            time.sleep(0.001)
            debugger.halt()

    def time_us(self) -> int:
        """Since the board's reset, on its own clock."""
        debugger = self._debug_port
        self._halt_outside_of_time(debugger)
        board_us = sum(self._read_time(debugger))
        debugger.go_on()
        return board_us

    def _read_time(self, debugger: Debugger) -> tuple[int, int]:
        """What the firmware has counted, and what its timer has since."""
        elapsed_us = debugger.read(self._symbols["elapsed_us"], 8)
        since_us = debugger.read(TIMER_COUNT, 4) - debugger.read(self._symbols["seen_us"], 4)
        return elapsed_us, since_us % (1 << 32)

    def tear_flash_operation(self, number: int, size: int) -> None:
        debugger = self._debug_port
        with debugger.halted():
            done = debugger.read(self._symbols["cut"] + CUT_OPERATIONS, 4)
            debugger.write(self._symbols["cut"] + CUT_OPERATION, done + number, 4)
            debugger.write(self._symbols["cut"] + CUT_BYTES, size, 4)

    def end_at(self, function: str) -> None:
        """The firmware faults, which `check` says, where it comes to this function of its image."""
        with self._debug_port.halted():
            self._debug_port.write(self._symbols[function], UNDEFINED, 2)

    def heap_after_sweep(self) -> int:
        """Bytes that MicroPython's heap still holds when it has just been swept, in the firmware's own time."""
        debugger = self._debug_port
        self._halt_outside_of_time(debugger)
        debugger.run_to(self._symbols[SWEEPS])
        debugger.run_to(debugger.link_register() & ~1)
        used = heap.bytes_in_use(debugger, self._symbols)
        debugger.go_on()
        return used

    def hang(self) -> None:
        debugger = self._debug_port
        # In an interrupt the loop would keep the watchdog's from coming.
        self._halt_outside_of_time(debugger)
        # The stack never grows so far.
        loop = self._symbols["_stack_limit"]
        debugger.write(loop, BRANCH_TO_ITSELF, 2)
        debugger.jump(loop)
        elapsed_us = debugger.read(self._symbols["elapsed_us"], 8)
        debugger.write_and_go_on(self._symbols["elapsed_us"], elapsed_us + WATCHDOG_MS * 1000, 8)

    def damage_software(self) -> None:
        damaged = self._folder / DAMAGED_IMAGE
        damaged.write_bytes(with_wrong_curve(self._elf.read_bytes()))
        self._elf = damaged

    def repair_software(self) -> None:
        self._elf = elf_of(BOARD)

    @cached_property
    def _busy_ranges(self) -> list[range]:
        return [self._symbols.of(name) for name in TIME_FUNCTIONS] + self._symbols.ranges_ending(HANDLER)

    @cached_property
    def _idle_ranges(self) -> list[range]:
        return [self._symbols.of(name) for name in IDLE_FUNCTIONS]

    @property
    def _debug_port(self) -> Debugger:
        if self._debugger is None:
            if self._process is None:
                raise AssertionError("the power is off")
            process = self._process
            self._debugger = Debugger(self._folder, lambda: process.exit_code() is None)
        return self._debugger

    @cached_property
    def _symbols(self) -> Symbols:
        return Symbols(self._elf)


def _now_us() -> int:
    return time.monotonic_ns() // 1000
