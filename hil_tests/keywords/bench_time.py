"""Time: that of the world goes faster than real time where a suite says so, and the clocks on the bench with it.

`Let Time Pass` goes from one sample of the meter to the next. Before each it leaps to shortly before the sample is
due, on the world's clock and on the meter's, and lets real time do the rest; so the meter leaves out nothing. It
leaps only when the sample before is over and the meter awaits no answer, so nothing on a bus is interrupted.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from robot.api.deco import keyword

from hil_tests.keywords.bench_parts import BenchParts
from hil_tests.keywords.traces import StandingTrace, shared_file
from hil_tests.keywords.verification import Message
from meter_protocol import fields as f
from meter_protocol import types as t

BEFORE_SAMPLE_MS = 40
QUIET_S = 0.06
"""A bus without a request for so long has none in progress, where the meter is through with its sample."""

SETTLED_S = 3
"""And for so long where that is not sure: on a busy host half a second was too short."""

FIRST_SAMPLE_S = 6
"""A meter that was switched on waits five seconds for the time, and reads its instruments then."""

FIRST_QUIET_S = 0.5

TIME_RENEWAL_MS = 6 * 3600000
"""A meter whose clock was set so long ago asks again (docs/hil.md)."""

RENEWAL_DOUBT_MS = 10000
"""The meter counts on its own clock, which a suite may have put ahead, and from when it has taken the answer."""

ASKS_S = 3
ANSWER_S = 2
SAMPLE_S = 30
FULL_S = 3
"""A meter that has room has written a reading so long after its last sample."""

LOOK_S = 0.01


def _milliseconds(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


def _for_at_most(seconds: float, condition: Callable[[], bool]) -> None:
    """Until it holds, or until so long was waited for it."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(LOOK_S)


class TimeKeywords(BenchParts):
    _trace: StandingTrace | None = None

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
        self._when_at_rest()
        asked, changed_at = self._instruments.requests(), self._flash_changed_at()
        due_ms = (self._clock.now_ms() // self._sample_period_ms + 1) * self._sample_period_ms
        leap_ms = due_ms - self._clock.now_ms() - BEFORE_SAMPLE_MS
        if leap_ms > 0:
            with self._clock.leap(leap_ms):
                self._board.advance(leap_ms)
        if self._trace is not None:
            self._trace.time_ms = due_ms
        self._until(lambda: self._not_asked_since(asked) <= self._said_unanswered(due_ms), "sample")
        self._passed_over += bool(self._not_asked_since(asked))
        if sealed and due_ms % self._interval_ms == 0:
            self._until(lambda: self._is_sealed(due_ms, changed_at), "sealed reading")
        self._let_meter_ask_the_time()
        self._note_change()

    def _is_sealed(self, due_ms: int, changed_at: int) -> bool:
        """The meter seals when it has read its instruments, and writes to its flash then: that ends the sample.

        A receipt is written there too, at any moment. Where there is a link, only the reading itself is proof; it
        comes at once unless there is a backlog before it.
        """
        if self._gateway.link.is_plugged_in:
            if self._reading_of(due_ms) is not None:
                return True
            if self._instruments.quiet_s() < SETTLED_S:
                return False
        return self._flash_changed_at() > changed_at

    def _not_asked_since(self, asked: dict[str, int]) -> set[str]:
        return {name for name, now in self._instruments.requests().items() if now == asked[name]}

    def _said_unanswered(self, due_ms: int) -> set[str]:
        """A request that comes before a busy host has answered the last one is lost; the reading says so."""
        reading = self._reading_of(due_ms)
        return set() if reading is None else self._site.unanswered(reading.fields[f.READINGS])

    def _reading_of(self, due_ms: int) -> Message | None:
        """Of the sample that was due then, if it has come."""
        messages = self._gateway.chain.messages
        newest = next((message for message in reversed(messages) if message.typ == t.READINGS), None)
        if newest is None or newest.fields[f.TIME_MS] <= due_ms - self._sample_period_ms // 2:
            return None
        return newest

    def _let_meter_ask_the_time(self) -> None:
        """Where it is due to: a leap before it has taken the answer would make that a late one.

        To set its clock it reads its instruments, and a leap must not fall into that either.
        """
        gateway = self._gateway
        if not (gateway.tells_time and gateway.link.is_plugged_in) or self._board.is_cut:
            return
        _for_at_most(ASKS_S, lambda: not self._is_due_to_ask())
        # That it was set, the bench may hear much later: behind a long backfill, say.
        _for_at_most(ANSWER_S, lambda: not gateway.awaits_clock_set)
        gateway.awaits_clock_set = False

    def _is_due_to_ask(self) -> bool:
        answered_ms = self._gateway.answered_ms
        return answered_ms is not None and self._clock.now_ms() - answered_ms >= TIME_RENEWAL_MS - RENEWAL_DOUBT_MS

    def _when_at_rest(self) -> None:
        """A leap into an exchange would be its timeout, and the answer would pass for that to the next request."""
        self._let_meter_ask_the_time()
        quiet_s = QUIET_S
        if self._asked_before is not None:
            asked, self._asked_before = self._asked_before, None
            _for_at_most(FIRST_SAMPLE_S, lambda: self._board.is_cut or not self._not_asked_since(asked))
            quiet_s = FIRST_QUIET_S
        while self._instruments.quiet_s() < quiet_s:
            time.sleep(LOOK_S)

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
        self._when_at_rest()
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
