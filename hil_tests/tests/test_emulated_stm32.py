"""The shipping image in QEMU: what only this platform can show, and that the platform itself tells the truth.

What the firmware does on it is the business of the Robot suites: make hil.
"""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hil_tests.keywords import channels
from hil_tests.keywords.bench_clock import BenchClock
from hil_tests.keywords.gateway import Gateway
from hil_tests.keywords.instruments import InstrumentBuses
from hil_tests.keywords.signing import SigningKey
from hil_tests.keywords.verification import Message
from hil_tests.platforms import PlatformError, Wiring, qemu
from hil_tests.platforms.debugger import Debugger
from hil_tests.platforms.image import Symbols, elf_of
from hil_tests.tests.waiting import PATIENCE_S, wait_until
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.boards import emulator

pytestmark = pytest.mark.long

SERIAL = "QEMU-0001"
LEAPS, LEAP_MS = 100, 2000
SHOWN_WH = 123456789
SITE = channels.usual_site()


@pytest.fixture(scope="session")
def image() -> Path:
    try:
        qemu.prepare()
    except PlatformError as error:
        pytest.skip(f"the image is missing: {error}")
    return elf_of(qemu.BOARD)


class Site:
    """A meter in QEMU, its instruments and its gateway."""

    def __init__(
        self,
        folder: Path,
        update_keys: tuple[bytes, ...] = (),
        measured: channels.Site = SITE,
        flash_share: int = 1,
    ) -> None:
        self.clock = BenchClock()
        self.gateway = Gateway(self.clock)
        self.measured = measured
        self.instruments = InstrumentBuses(measured.instruments, folder)
        self.instruments.show(channels.ENERGY_METER, "active_energy_import", [SHOWN_WH])
        self.instruments.show(channels.CO2_SENSOR, "co2_fraction", [421])
        authority_keys = (self.gateway.authority.cose_key,)
        self.folder = folder
        wiring = Wiring(
            SERIAL, authority_keys, self.gateway.link.port, self.instruments.ports, update_keys, flash_share
        )
        self.board = qemu.Board(folder, wiring)

    def close(self) -> None:
        self.board.cut_power()
        self.gateway.link.close()
        self.instruments.close()

    def parameters(self) -> dict[int, Any]:
        return self.gateway.about_meter() | {
            f.SET_VERSION: 1,
            f.INTERVAL_S: 1,
            f.SAMPLE_PERIOD_MS: 500,
            f.INSTRUMENTS: self.measured.instrument_entries(),
            f.CHANNELS: self.measured.channel_entries(),
            f.RECEIPT_KEYS: [self.gateway.receipt_key.cose_key],
            f.CLOCK_KEYS: [self.gateway.clock_key.cose_key],
        }

    def provision(self) -> None:
        self.gateway.send(self.gateway.authority.seal(t.PARAMETER_SET, self.parameters()))

    def message(self, wanted: Callable[[Message], bool], what: str) -> Message:
        def look() -> Message | None:
            return next((message for message in self.gateway.chain.messages if wanted(message)), None)

        return self.gateway.wait_for(look, PATIENCE_S, what, self.board.check)

    def message_after(self, count: int) -> Message:
        return self.message(lambda message: message.sequence >= count, f"message {count}")

    def boot(self, number: int) -> Message:
        return self.message(lambda message: message.named.get("boot") == number, f"boot {number}")

    def regular_readings(self, at_least: int = 1) -> Message:
        """The one of that number, from 1."""

        def look() -> Message | None:
            found = [message for message in self.gateway.chain.messages if message.named.get("kind") == "regular"]
            return found[at_least - 1] if len(found) >= at_least else None

        return self.gateway.wait_for(look, PATIENCE_S, "regular readings", self.board.check)


@pytest.fixture
def site(tmp_path: Path, image: Path) -> Iterator[Site]:
    opened = Site(tmp_path)
    yield opened
    opened.close()


def signal_emulator(site: Site, number: signal.Signals) -> None:
    site.board.process.signal(number)


def check_until_it_objects(site: Site) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        site.board.check()
        time.sleep(0.02)


def test_what_comes_while_the_board_computes_waits_in_the_line(site: Site) -> None:
    """Each forged set costs it a verification, and of 16 it takes a pause; the true set comes only once."""
    site.board.power_on()
    site.boot(1)
    forged = SigningKey().seal(t.PARAMETER_SET, site.parameters(), kid=site.gateway.authority.kid)
    for _ in range(12):
        site.gateway.send(forged)
    site.provision()
    site.regular_readings()


def test_a_write_that_is_cut_is_done_as_far_as_was_asked(site: Site) -> None:
    """The first operation erases, which does not show on a new chip; the second one writes."""
    site.board.flash.write_bytes(b"\xff" * emulator.FLASH_BYTES)
    site.board.power_on(cut_at=(1, 7))
    wait_until(lambda: site.board.is_cut, "power cut")
    written = (site.folder / "flash.bin").read_bytes().rstrip(b"\xff")
    assert 0 < len(written) <= 7


@pytest.mark.parametrize("operation", [0, 1, 2, 3, 5, 8])
def test_power_that_fails_in_the_first_boot_leaves_a_meter(site: Site, operation: int) -> None:
    site.board.power_on(cut_at=(operation, 7))
    wait_until(lambda: site.board.is_cut, "power cut")
    site.board.power_on()
    site.boot(1)
    site.board.check()


class ScriptedDebugger:
    """A debug port that shows, halt after halt, what a board's counter of microseconds and its timer said."""

    def __init__(self, shown: list[tuple[int, int]]) -> None:
        self._shown = iter(shown)

    def halt(self) -> None:
        self._elapsed_us, self._timer = next(self._shown)

    def go_on(self) -> None:
        pass

    def program_counter(self) -> int:
        return 0

    def read(self, address: int, _size: int) -> int:
        if address == qemu.TIMER_COUNT:
            return self._timer
        return self._elapsed_us if address == Symbols(elf_of(qemu.BOARD))["elapsed_us"] else 0


def test_its_clock_begins_when_the_firmware_counts(site: Site) -> None:
    """Before that the timer counts nanoseconds: a second too many, which the first leap would add."""
    debugger: Any = ScriptedDebugger([(0, 900_000), (0, 1_140_000), (2, 70), (2, 80)])
    began_us = time.monotonic_ns() // 1000
    site.board._see_clock_begin(debugger)
    assert site.board._newest_us == 82
    assert site.board._ahead_us <= 82 - began_us


def test_a_leap_of_its_time_is_never_lost(site: Site) -> None:
    """Whatever the board computes just then: the halts themselves cost it nothing either."""
    site.board.power_on()
    site.boot(1)
    site.provision()
    site.regular_readings()
    site.board.advance(0)
    began_us, real_us = site.board.time_us(), time.monotonic_ns() // 1000
    for leap in range(LEAPS):
        site.board.advance(LEAP_MS)
        time.sleep(0.01)
        gained_us = site.board.time_us() - began_us - (time.monotonic_ns() // 1000 - real_us)
        assert abs(gained_us - (leap + 1) * LEAP_MS * 1000) < LEAP_MS * 500, leap


def test_a_leap_falls_where_no_task_reckons_with_its_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has just found how long it will sleep would sleep for so long from after the leap on."""
    site.board.power_on()
    site.boot(1)
    site.provision()
    site.regular_readings()
    found: list[int] = []
    leap = Debugger.write_and_go_on

    def note_and_leap(debugger: Debugger, address: int, value: int, size: int) -> None:
        found.append(debugger.program_counter())
        leap(debugger, address, value, size)

    monkeypatch.setattr(Debugger, "write_and_go_on", note_and_leap)
    for _ in range(LEAPS):
        # Past the end of a sample, so that there is always something to do.
        site.board.advance(LEAP_MS)
    symbols = Symbols(elf_of(qemu.BOARD))
    idle = [symbols.of("mp_event_wait_ms"), symbols.of("mp_event_wait_indefinite")]
    assert len(found) >= LEAPS
    assert [hex(place) for place in found if not any(place in function for function in idle)] == []


def test_a_firmware_that_fails_is_no_failure_of_the_emulator(site: Site) -> None:
    site.board.flash.unlink()
    site.board.power_on()
    with pytest.raises(AssertionError, match=r"the firmware failed(.|\n)*OSError"):
        check_until_it_objects(site)


def test_an_emulator_that_dies_is_no_failure_of_the_firmware(site: Site) -> None:
    site.board.power_on()
    site.boot(1)
    signal_emulator(site, signal.SIGABRT)
    with pytest.raises(PlatformError, match="ended with code -6"):
        check_until_it_objects(site)
