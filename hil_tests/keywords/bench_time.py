"""Time: that of the world goes faster than real time where a suite says so, and the clocks on the bench with it.

`Let Time Pass` goes from one sample of the meter to the next. Before each it leaps to shortly before the sample is
due, on the world's clock and on the meter's, and lets real time do the rest; so the meter leaves out nothing, and
nothing on a bus is interrupted.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from robot.api.deco import keyword

from hil_tests.keywords.bench_parts import BenchParts
from hil_tests.keywords.traces import StandingTrace, shared_file

BEFORE_SAMPLE_MS = 40
QUIET_S = 0.06
"""A bus without a request for so long has none in progress."""

TIME_RENEWAL_MS = 6 * 3600000
"""A meter whose clock was set so long ago asks again (docs/hil.md)."""

ASKS_S = 3
ANSWER_S = 0.3
SAMPLE_S = 30
BEHIND_S = 8
FULL_S = 3
"""A meter that has room has written a reading so long after its last sample."""

LOOK_S = 0.01


def _milliseconds(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


class TimeKeywords(BenchParts):
    _trace: StandingTrace | None = None
    _settings_seen = 0
    _set_ms = 0

    @keyword
    def let_time_pass(self, span: timedelta, sealed: bool = True) -> None:
        """For whole sample periods of a meter whose clock is set; afterwards it has sealed what this made due.

        `sealed` is false where it cannot: its flash is full, or its power will fail.
        """
        samples, rest = divmod(_milliseconds(span), self._sample_period_ms)
        if rest or not samples:
            raise ValueError(f"{span} are no whole sample periods of {self._sample_period_ms} ms")
        for _ in range(samples):
            self._pass_one_sample(sealed)

    @keyword
    def let_time_pass_until(self, time_ms: int) -> None:
        """A moment of UTC at which a sample is due."""
        while self._clock.now_ms() < time_ms:
            self._pass_one_sample()

    def _pass_one_sample(self, sealed: bool = True) -> None:
        self._board.check()
        self._when_quiet()
        asked, changed_at = self._instruments.requests(), self._flash_changed_at()
        due_ms = (self._clock.now_ms() // self._sample_period_ms + 1) * self._sample_period_ms
        leap_ms = due_ms - self._clock.now_ms() - BEFORE_SAMPLE_MS
        if leap_ms > 0:
            self._clock.advance(leap_ms)
            self._board.advance(leap_ms)
        told = len(self._gateway.time_replies)
        if self._trace is not None:
            self._trace.time_ms = due_ms
        began_s = time.monotonic()

        def is_sampled() -> bool:
            return all(now > asked[name] for name, now in self._instruments.requests().items())

        self._until(lambda: is_sampled() or self._is_sample_behind(began_s), "sample")
        if sealed and is_sampled() and due_ms % self._interval_ms == 0:
            self._until(lambda: self._flash_changed_at() > changed_at, "sealed reading")
        self._let_meter_ask_the_time(told)
        self._note_change()

    def _is_sample_behind(self, began_s: float) -> bool:
        """A clock that was ahead and has just been set back has taken this sample already."""
        was_set = self._clock_settings() != self._settings_seen
        is_recent = was_set or self._clock.now_ms() - self._set_ms <= 2 * self._sample_period_ms
        return is_recent and time.monotonic() - began_s > BEHIND_S

    def _let_meter_ask_the_time(self, told: int) -> None:
        """Where it is due to, and has not since the leap: another leap would make the answer a late one."""
        gateway, count = self._gateway, self._clock_settings()
        if count != self._settings_seen:
            self._settings_seen, self._set_ms = count, self._clock.now_ms()
        is_due = self._clock.now_ms() - self._set_ms >= TIME_RENEWAL_MS
        if not (is_due and gateway.tells_time and gateway.link.is_plugged_in) or self._board.is_cut:
            return
        # That it was set, the bench may hear much later: behind a long backfill, say.
        deadline = time.monotonic() + ASKS_S
        while len(gateway.time_replies) == told and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        time.sleep(ANSWER_S)

    def _clock_settings(self) -> int:
        return sum(message.name == "clock_set" for message in self._gateway.chain.messages)

    def _when_quiet(self) -> None:
        asked, since = self._instruments.requests(), time.monotonic()
        while time.monotonic() - since < QUIET_S:
            time.sleep(LOOK_S)
            if asked != self._instruments.requests():
                asked, since = self._instruments.requests(), time.monotonic()

    def _flash_changed_at(self) -> int:
        return self._board.flash.stat().st_mtime_ns

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SAMPLE_S
        while not condition() and not self._board.is_cut:
            self._board.check()
            self._gateway.check()
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} of the meter within {SAMPLE_S} s")
            time.sleep(LOOK_S)

    @keyword
    def fill_journal(self, most: int = 2000) -> None:
        """Until an interval was over and nothing of it was written."""
        for _ in range(most):
            before = self._flash_changed_at()
            self._pass_one_sample(sealed=False)
            if not self._is_written(before):
                return
        raise AssertionError(f"{most} intervals do not fill the journal")

    def _is_written(self, before: int) -> bool:
        deadline = time.monotonic() + FULL_S
        while self._flash_changed_at() == before:
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_S)
        return True

    @keyword
    def set_clock(self, ahead: timedelta) -> None:
        """The gateway's, ahead of the world's time from now on; the meter takes it when it asks the next time."""
        self._clock.gateway_error_ms = _milliseconds(ahead)
        self._note_change()

    @keyword
    def meter_clock_gains(self, gain: timedelta) -> None:
        """On the world's time, at once."""
        self._board.advance(_milliseconds(gain))
        self._note_change()

    @keyword
    def total_of_trace(self, trace: StandingTrace, indication: str) -> int:
        """Exactly, in units of the register behind its ratio."""
        total = trace.total(indication)
        if total != int(total):
            raise ValueError(f"{total} is no whole number of the register's units")
        return int(total)

    @keyword
    def shared_file(self, name: str) -> Path:
        """A measured trace; the suite is skipped where there is none, but not in CI."""
        return shared_file(name)

    @keyword
    def instrument_follows_trace(self, instrument: str, csv: Path, days: int = 1) -> StandingTrace:
        """It shows what the measured trace had counted when the sample was due."""
        self._trace = StandingTrace(csv, days, self._clock.now_ms())
        self._instruments.follow(instrument, self._trace)
        self._note_change()
        return self._trace
