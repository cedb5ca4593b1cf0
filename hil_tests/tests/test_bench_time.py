"""The bench's time keywords against a meter that is a script: board, instruments and line are stand-ins.

What the real ones do with these keywords is the business of the Robot suites.
"""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hil_tests.keywords import bench_time
from hil_tests.keywords.bench_clock import BenchClock
from hil_tests.keywords.bench_time import TimeKeywords
from hil_tests.keywords.channels import usual_site
from meter_protocol import fields as f
from meter_protocol import types as t

PERIOD_MS = 1800000
PERIOD = timedelta(milliseconds=PERIOD_MS)
STEP_S = 0.1
"""What a busy host takes for one step of the meter: far longer than the bench holds for quiet."""


class ScriptedMeter:
    """Board, instruments and gateway in one. `sample` is what it does, in a thread, after each leap."""

    def __init__(self, flash: Path) -> None:
        self.clock = BenchClock()
        self.flash = flash
        self.flash.touch()
        self.is_cut = False
        self.sample: Callable[[], None] = self.sample_well
        self.is_busy = False
        """With an exchange on a bus."""

        self.at_work: list[threading.Thread] = []
        self.interrupted = 0
        self.leaps = 0
        self.link = SimpleNamespace(is_plugged_in=True)
        self.sends_receipts = self.tells_time = True
        self.chain = SimpleNamespace(messages=[])
        self.answered_ms: int | None = None
        self.awaits_clock_set = False
        self._requests = {"energy meter": 0, "CO2 sensor": 0}
        self._asked_s = 0.0

    # What it does

    def sample_well(self) -> None:
        """A receipt for what was sealed before goes to the flash in the middle of it."""
        self.ask("energy meter")
        self.write_flash()
        self.ask("energy meter", "CO2 sensor", "CO2 sensor")
        self.seal()

    def sample_without_a_receipt(self) -> None:
        self.ask("energy meter", "energy meter", "CO2 sensor", "CO2 sensor")
        self.seal()

    def sample_behind_a_backlog(self) -> None:
        self.ask("energy meter")
        self.write_flash()
        self.ask("energy meter", "CO2 sensor", "CO2 sensor")
        self.write_flash()

    def ask(self, *names: str) -> None:
        for name in names:
            self._requests[name] += 1
            self._asked_s = time.monotonic()
            self.is_busy = True
            time.sleep(STEP_S)
            self.is_busy = False

    def write_flash(self) -> None:
        self.flash.write_bytes(str(time.monotonic_ns()).encode())

    def seal(self, energy: int = f.STATUS_GOOD, co2: int = f.STATUS_GOOD) -> None:
        """With the status of each instrument."""
        self.write_flash()
        if self.link.is_plugged_in:
            fields = {f.TIME_MS: self.clock.now_ms(), f.READINGS: {1: [energy], 2: [co2]}}
            self.chain.messages.append(SimpleNamespace(typ=t.READINGS, name="readings", fields=fields))

    def set_its_clock(self) -> None:
        time.sleep(STEP_S)
        self.answered_ms, self.awaits_clock_set = self.clock.now_ms(), True
        time.sleep(STEP_S)
        self.ask("energy meter", "CO2 sensor")
        self.chain.messages.append(SimpleNamespace(typ=t.EVENT, name="clock_set", fields={}))
        self.awaits_clock_set = False

    # What the bench asks of it

    def advance(self, _milliseconds: int) -> None:
        self.leaps += 1
        self.interrupted += self.is_busy
        self.at_work.append(threading.Thread(target=self.sample))
        self.at_work[-1].start()

    def check(self) -> None:
        pass

    def requests(self) -> dict[str, int]:
        return dict(self._requests)

    def quiet_s(self) -> float:
        return time.monotonic() - self._asked_s


@pytest.fixture
def meter(tmp_path: Path) -> ScriptedMeter:
    return ScriptedMeter(tmp_path / "flash.bin")


@pytest.fixture
def bench(meter: ScriptedMeter, monkeypatch: pytest.MonkeyPatch) -> Iterator[TimeKeywords]:
    monkeypatch.setattr(bench_time, "SAMPLE_S", 2)
    monkeypatch.setattr(bench_time, "SETTLED_S", 0.7)
    bench = TimeKeywords("scripted", seed=1)
    vars(bench).update(_board=meter, _instruments=meter, _gateway=meter, _clock=meter.clock, _site=usual_site())
    bench._interval_ms = bench._sample_period_ms = PERIOD_MS
    yield bench
    for thread in meter.at_work:
        thread.join()


@pytest.mark.parametrize("is_up", [True, False], ids=["link up", "link down"])
def test_the_next_leap_waits_until_a_sample_is_over(
    bench: TimeKeywords, meter: ScriptedMeter, is_up: bool
) -> None:
    """However slow the host is."""
    meter.link.is_plugged_in = is_up
    if not is_up:
        meter.sample = meter.sample_without_a_receipt
    bench.let_time_pass(3 * PERIOD)
    bench.meter_clock_gains(timedelta(seconds=5))
    assert (meter.leaps, meter.interrupted) == (4, 0)


def test_behind_a_backlog_the_flash_and_a_longer_quiet_tell_that_it_is_over(
    bench: TimeKeywords, meter: ScriptedMeter
) -> None:
    meter.sample = meter.sample_behind_a_backlog
    bench.let_time_pass(2 * PERIOD)
    assert (meter.leaps, meter.interrupted) == (2, 0)


def test_the_next_leap_waits_until_the_clock_is_set(bench: TimeKeywords, meter: ScriptedMeter) -> None:
    """The meter asks when the sample is over, and for setting its clock it reads its instruments once more."""

    def sample_and_set_clock() -> None:
        meter.sample_well()
        meter.set_its_clock()
        meter.sample = meter.sample_well

    meter.answered_ms = meter.clock.now_ms() - bench_time.TIME_RENEWAL_MS
    meter.sample = sample_and_set_clock
    bench.let_time_pass(PERIOD)
    assert [message.name for message in meter.chain.messages] == ["readings", "clock_set"]
    bench.let_time_pass(PERIOD)
    assert (meter.leaps, meter.interrupted) == (2, 0)


@pytest.mark.parametrize("asked", [(), ("energy meter",), ("CO2 sensor",)], ids=["none", "energy", "CO2"])
@pytest.mark.parametrize("was_set", [False, True], ids=["clock as it was", "clock just set"])
def test_a_sample_that_misses_an_instrument_is_never_passed_over(
    bench: TimeKeywords, meter: ScriptedMeter, asked: tuple[str, ...], was_set: bool
) -> None:
    """A clock that was set a moment ago is no excuse: the meter has another sample to take all the same."""
    bench.let_time_pass(PERIOD)
    if was_set:
        meter.set_its_clock()
    meter.sample = lambda: meter.ask(*asked)
    with pytest.raises(AssertionError, match="no sample of the meter within 2 s"):
        bench.let_time_pass(PERIOD)


def test_a_sample_that_invents_what_no_instrument_said_is_never_passed_over(
    bench: TimeKeywords, meter: ScriptedMeter
) -> None:
    def invent() -> None:
        meter.ask("energy meter")
        meter.seal()

    meter.sample = invent
    with pytest.raises(AssertionError, match="no sample of the meter within 2 s"):
        bench.let_time_pass(PERIOD)


def test_a_sample_that_says_which_instrument_it_missed_is_counted_as_disturbed(
    bench: TimeKeywords, meter: ScriptedMeter
) -> None:
    """A request that a busy host lost; the other instrument was asked, or said to be missing too."""

    def miss() -> None:
        meter.ask("energy meter")
        meter.seal(co2=f.STATUS_NO_RESPONSE)

    meter.sample = miss
    bench.let_time_pass(2 * PERIOD)
    assert (meter.leaps, bench._passed_over) == (2, 2)
    meter.sample = lambda: meter.seal(co2=f.STATUS_NO_RESPONSE)
    with pytest.raises(AssertionError, match="no sample of the meter within 2 s"):
        bench.let_time_pass(PERIOD)


def test_the_first_leap_waits_for_the_sample_that_no_clock_tells_of(
    bench: TimeKeywords, meter: ScriptedMeter
) -> None:
    """Switched on, or with new parameters, a meter reads its instruments at once."""
    bench._expect_sample_at_once()
    meter.at_work.append(threading.Timer(STEP_S, meter.ask, ["energy meter", "CO2 sensor", "CO2 sensor"]))
    meter.at_work[-1].start()
    bench.let_time_pass(2 * PERIOD)
    assert (meter.leaps, meter.interrupted) == (2, 0)


def test_a_sample_of_which_nothing_is_sealed_is_never_passed_over(
    bench: TimeKeywords, meter: ScriptedMeter
) -> None:
    meter.sample = lambda: meter.ask("energy meter", "CO2 sensor")
    with pytest.raises(AssertionError, match="no sealed reading of the meter within 2 s"):
        bench.let_time_pass(PERIOD)


def test_the_gateway_tells_no_time_while_only_one_of_two_clocks_has_leapt() -> None:
    clock = BenchClock()
    told: list[Any] = []
    began_ms = clock.now_ms()
    with clock.leap(PERIOD_MS):
        asking = threading.Thread(target=lambda: told.append((clock.gateway_ms(), is_over)))
        is_over = False
        asking.start()
        time.sleep(STEP_S)
        assert not told
        is_over = True
    asking.join()
    assert told[0][0] >= began_ms + PERIOD_MS
    assert told[0][1]
