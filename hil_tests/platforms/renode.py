"""The `emulated_stm32` board in Renode: the image of QEMU's, on the machine of boards/emulated_stm32/*.resc.

One Renode serves a whole run of robot; a meter that is powered on is a machine made in it, and one whose power is
cut is a machine that ends between two instructions. Whole writes to the flash are in its file then.

An image that ends leaves its code in the file `exit_code`; what is wrong with Renode itself is a PlatformError,
and no verdict about the firmware. Time and what fails are driven as in QEMU, through Renode's monitor.
"""

import time
from pathlib import Path

from hil_tests.platforms import HOST, PlatformError, Wiring, qemu
from hil_tests.platforms.debugger import Debugger
from hil_tests.platforms.first_contact import hand_over
from hil_tests.platforms.qemu import (
    BOARD,
    BRANCH_TO_ITSELF,
    FAILED,
    FIRMWARE_ENDED,
    POWER_CUT,
    START_S,
    UARTS,
    WATCHDOG_MS,
)
from hil_tests.platforms.renode_monitor import Monitor, MonitorDebugger, Progress, monitor, must_be_installed
from meter_tools import board_build, toolchain, upstream

LACKS: tuple[str, ...] = ()
"""The suites of chips have a board of their own."""

PATIENCE = 4
"""Where the host is busy, Renode's virtual time falls behind real time."""

SCRIPT = Path(__file__).parents[2] / "boards" / BOARD / f"{BOARD}.resc"
FIRST_UART = 2
WITHOUT_CLOCK_LINE = (4, 5)
"""What the manual calls UART and not USART."""

LOOK_S = 0.1
CONTACTS = 4

TURNS = "mp_hal_ticks_ms"
"""What the event loop calls in each of its turns, and no interrupt handler does."""


def prepare() -> None:
    """The image, built; PlatformError is one line with the remedy, also where Renode is missing."""
    must_be_installed()
    try:
        print(f"{BOARD}: {board_build.build(BOARD)} B", flush=True)
    except (toolchain.ToolchainError, upstream.SourceError, board_build.BuildError) as error:
        raise PlatformError(str(error)) from None


class Board(qemu.Board):
    def __init__(self, folder: Path, wiring: Wiring) -> None:
        self._monitor: Monitor = monitor()
        self._exit_code = folder.resolve() / "exit_code"
        self._power_is_on = False
        self._progress: Progress | None = None
        self._powered_on_us = self._lost_us = self._lost_before_us = 0
        super().__init__(folder.resolve(), wiring)

    def _make_meter(self, wiring: Wiring) -> None:
        """At the factory: the console is the provisioning line; the reset after first contact ends this run."""
        port = self._folder / "provisioning"
        self._make_machine()
        self._do(
            f'emulation CreateUartPtyTerminal "console" "{port}" True', "connector Connect sysbus.usart1 console"
        )
        self._do('macro reset "cpu IsHalted true"', "start")
        self._hand_over(str(port), wiring)
        deadline = time.monotonic() + START_S * PATIENCE
        while self._monitor.do("sysbus.cpu IsHalted") != "True":
            if time.monotonic() > deadline:
                raise PlatformError("the board did not reset itself after first contact")
            time.sleep(LOOK_S)
        self._do("pause", "Clear")

    def _hand_over(self, port: str, wiring: Wiring) -> None:
        """Once more where a slow board's answer was to the question before."""
        for left in reversed(range(CONTACTS)):
            try:
                hand_over(port, wiring.serial, wiring.authority_keys, wiring.update_keys)
            except PlatformError:
                if not left:
                    raise
            else:
                return

    def _make_machine(self, arguments: str = "") -> None:
        slots = self._folder / "slots.bin"
        self._do("Clear", f"$elf=@{self._elf}", f"$slots=@{slots}", f'$folder="{self._folder}"')
        self._do(f'$arguments="{arguments}"', f"include @{SCRIPT}")

    def _do(self, *commands: str) -> None:
        for command in commands:
            self._monitor.do(command)

    def power_on(self, cut_at: tuple[int, int] | None = None) -> None:
        self._exit_code.unlink(missing_ok=True)
        self._console_start = self._console.stat().st_size
        self._make_machine("" if cut_at is None else "cut={}:{}".format(*cut_at))
        self._do(f'sysbus.usart1 AppendToHostFile "{self._console}"')
        for number, name in enumerate(UARTS, FIRST_UART):
            if name in self._ports:
                self._do(f'emulation CreateHostLine "{name}" "{HOST}" {self._ports[name]}')
                self._do(f"connector Connect sysbus.{_peripheral(number)} {name}")
        self._lost_before_us = self._lost_us
        self._powered_on_us = _now_us()
        self._do("start")
        self._power_is_on = True
        self._progress = Progress(self._monitor)

    def cut_power(self) -> None:
        if self._power_is_on:
            self.lost_ms()
            self._power_is_on = False
            self._do("pause", "Clear")

    @property
    def pid(self) -> int | None:
        """Of Renode, which has others' machines too."""
        return self._monitor.pid if self._power_is_on else None

    @property
    def is_cut(self) -> bool:
        return self._ended_with == POWER_CUT

    @property
    def has_failed(self) -> bool:
        return self._ended_with == FAILED

    @property
    def _ended_with(self) -> int | None:
        return int(self._exit_code.read_text()) if self._exit_code.exists() else None

    def check(self) -> None:
        code = self._ended_with
        if self._power_is_on and code is not None and code != POWER_CUT:
            raise AssertionError(f"the firmware {FIRMWARE_ENDED[code]}:\n{self.console()}")
        self._monitor.check()
        if self._power_is_on and self._progress is not None and code is None:
            self._progress.check()

    @property
    def _debug_port(self) -> Debugger:
        if not self._power_is_on:
            raise AssertionError("the power is off")
        if self._debugger is None:
            self._debugger = MonitorDebugger(self._monitor)
        return self._debugger

    def hang(self) -> None:
        debugger = self._debug_port
        self._halt_outside_of_time(debugger)
        # A reset loads the image anew. (A jump into RAM, as in QEMU, ended in a fault here.)
        debugger.write(self._symbols[TURNS], BRANCH_TO_ITSELF, 2)
        elapsed_us = debugger.read(self._symbols["elapsed_us"], 8)
        debugger.write_and_go_on(self._symbols["elapsed_us"], elapsed_us + WATCHDOG_MS * 1000, 8)

    def advance(self, milliseconds: int) -> None:
        with self._unless_power_fails():
            debugger = self._debug_port
            self._halt_when_idle(debugger)
            for counter in ("watchdog_bites_us", "elapsed_us"):
                address = self._symbols[counter]
                debugger.write(address, debugger.read(address, 8) + milliseconds * 1000, 8)
            debugger.go_on()

    def lost_ms(self) -> int:
        """Virtual time falls behind where the host is busy, and afterwards runs faster than real time."""
        if self._power_is_on and self._ended_with is None:
            self._lost_us = self._lost_before_us + _now_us() - self._powered_on_us - self._monitor.time_us()
        return self._lost_us // 1000


def _now_us() -> int:
    return time.monotonic_ns() // 1000


def _peripheral(number: int) -> str:
    return f"{'uart' if number in WITHOUT_CLOCK_LINE else 'usart'}{number}"
