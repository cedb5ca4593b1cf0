"""The sampling loop: instruments -> channels -> intervals -> chain. No instrument and no full journal ends it.

One interval runs from one boundary to the next; boundaries are multiples of the interval on the clock's
scale. An interval is closed early (`partial`) before the clock steps, before parameters change and at an
orderly end, so that no interval contains any of these. What a register counted while it could not be read
(board off, bus down) is sealed by itself as an `outage`, before the interval that is running.
"""

import asyncio
import gc

from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling import parameters
from meter_sampling.instrument import Instrument
from meter_sampling.journal_error import JournalError, must_be_full
from meter_sampling.metering import MeanChannel, RegisterChannel
from meter_sampling.overflow import Overflow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_sampling.clock import MeterClock
    from meter_sampling.parameters import DriverClass
    from meter_sampling.seams import Log, OpenedSet

    Channel = RegisterChannel | MeanChannel
    Correction = tuple[int, int, int]


CLOCK_WAIT_MS = 5000
SETTLING_LOOK_S = 0.02


class Meter:
    """Needs a board, or a gateway, only for `ticks`: a clock with `ticks_ms()` and `sleep_until(ticks, wake)`."""

    def __init__(
        self,
        log: "Log",
        clock: "MeterClock",
        ticks: "Any",
        link_ms: "Callable[[], int]",
        make_driver: "Callable[[dict[int, Any]], Any]",
        driver_class: "DriverClass",
        on_sealed: "Callable[[], None]",
    ) -> None:
        self._log = log
        self._clock = clock
        self._ticks = ticks
        self._link_ms = link_ms
        self._make_driver = make_driver
        self._driver_class = driver_class
        self._on_sealed = on_sealed
        self._wake = asyncio.Event()
        self._correction: "tuple[Correction, bytes] | None" = None
        self._new_set: "OpenedSet | None" = None
        self._stopping = False
        self._settled = False
        self._fresh = True
        self._clock_deadline_ms: "int | None" = None
        self._set: "dict[int, Any] | None" = None
        self._instruments: "list[Instrument]" = []
        self._channels: "dict[int, Channel]" = {}
        self._start = 0
        self._began_on_boundary = False
        self._boundary = 0
        self._slot = 0
        # By how much the latest sample of the running interval came after its time.
        self._jitter_ms = 0
        # When the registers that cannot be read were read last, where that is known.
        self._gap_starts: "dict[int, int]" = {}
        self._overflow = Overflow(log, clock)

    @property
    def parameters(self) -> "dict[int, Any] | None":
        """The set in force."""
        return self._set

    @property
    def newest_version(self) -> "int | None":
        """Of the set in force or of the one that will be next."""
        newest = self._set if self._new_set is None else self._new_set.fields
        return None if newest is None else newest[f.SET_VERSION]

    def late_ms(self, now: int) -> int:
        """By how much the next sample is overdue; 0 while there is nothing to sample."""
        if self._set is None or not self._settled or self._stopping:
            return 0
        late: int = now - min(self._slot + self._set[f.SAMPLE_PERIOD_MS], self._boundary)
        return max(0, late)

    # What others ask of the loop; each takes effect at its next turn.

    def stop(self) -> None:
        """Close the running interval and return."""
        self._stopping = True
        self._wake.set()

    def correct_clock(self, correction: "Correction", reply: bytes) -> None:
        self._correction = (correction, reply)
        self._wake.set()

    def change_parameters(self, opened: "OpenedSet") -> None:
        self._new_set = opened
        self._wake.set()

    # The loop

    def start(self, fields: "dict[int, Any] | None", before: "dict[int, Any] | None" = None) -> None:
        """Take up the parameters in force and every register where the last sealed reading left it.

        `before` is the set that the one in force replaced: power may have been cut before any reading of the
        new one.
        """
        self._use(fields)
        last = self._log.last_sealed()
        same = parameters.same_registers(before, fields, self._driver_class)
        for channel_id in self._channels:
            channel = self._channels[channel_id]
            reading = last.readings.get(channel_id)
            if reading is None and channel_id in same:
                reading = last.before_change.get(channel_id)
            # Another parameter set may have had a mean under this id.
            if isinstance(channel, RegisterChannel) and reading is not None and len(reading) <= 4:
                channel.restore(reading)
                if self._count_on(channel_id, channel):
                    channel.begin_unseen()
        self._overflow.restore(last, self._totals())

    async def run(self) -> None:
        self._open_interval(self._ticks.ticks_ms())
        while not self._stopping:
            self._wake.clear()
            await self._attend()
            if self._set is None or not self._has_settled():
                await asyncio.sleep(SETTLING_LOOK_S)
                continue
            if self._fresh:
                # Where the registers stand now ends the outage, or is where we begin.
                await self._sample(self._ticks.ticks_ms(), None, True)
            await self._sample_next()
        await self._end()

    async def _end(self) -> None:
        """An orderly end leaves every register sealed as it is now."""
        now = self._ticks.ticks_ms()
        if self._set is not None and self._fresh:
            await self._sample(now, None, True)
        else:
            await self._cut_short(now)

    async def _attend(self) -> None:
        if self._correction is not None:
            correction, reply = self._correction
            self._correction = None
            await self._take_correction(correction, reply, self._ticks.ticks_ms())
        if self._new_set is not None:
            await self._take_parameters(self._new_set, self._ticks.ticks_ms())

    def _has_settled(self) -> bool:
        """A reading with a time is worth a short wait after boot; one without a time is worth more than none."""
        if self._settled:
            return True
        if self._clock_deadline_ms is None:
            self._clock_deadline_ms = self._link_ms() + CLOCK_WAIT_MS
        if self._clock.is_set or self._link_ms() >= self._clock_deadline_ms:
            self._settled = True
            self._open_interval(self._ticks.ticks_ms())
        return self._settled

    async def _sample_next(self) -> None:
        assert self._set is not None
        period = self._set[f.SAMPLE_PERIOD_MS]
        # A loop that is always late must not keep links and receipts from their turn.
        await asyncio.sleep(0)
        slots_left = max(0, self._boundary - self._ticks.ticks_ms() - 1) // period
        # A clock that was put back a little must not take the same slot twice.
        due = max(self._boundary - slots_left * period, min(self._slot + period, self._boundary))
        await self._ticks.sleep_until(due, self._wake)
        now = self._ticks.ticks_ms()
        if now < due:
            return
        slots = max(1, (now - self._slot) // period)
        self._slot += slots * period
        if slots > 1:
            for channel in self._channels.values():
                channel.skip(slots - 1)
        await self._sample(now, due)
        if due >= self._boundary:
            on_boundary = now < self._boundary + period
            is_whole = self._began_on_boundary and on_boundary
            self._close_interval(f.KIND_REGULAR if is_whole else f.KIND_PARTIAL, now)
            self._open_interval(now, on_boundary)

    async def _sample(self, now: int, due: "int | None", registers_only: bool = False) -> None:
        """Read every instrument; `due` is when this was to happen, None for what has no time of its own."""
        assert self._set is not None
        self._fresh = False
        for index in range(len(self._instruments)):
            instrument = self._instruments[index]
            await instrument.read(now)
            if due is not None:
                # When the value was there: how long before that the instrument had measured it, it does not say.
                self._jitter_ms = max(self._jitter_ms, self._ticks.ticks_ms() - due)
            for entry in self._set[f.CHANNELS]:
                if registers_only and entry[f.CHANNEL_KIND] != f.CHANNEL_REGISTER:
                    continue
                if entry[f.CHANNEL_INSTRUMENT] == index:
                    value, status = instrument.indication(entry[f.CHANNEL_INDICATION])
                    self._feed(entry[f.CHANNEL_ID], value, status, now)
        self._end_gaps(now)

    def _feed(self, channel_id: int, value: "int | None", status: int, now: int) -> None:
        channel = self._channels[channel_id]
        if value is None:
            channel.miss(status)
        elif isinstance(channel, MeanChannel):
            channel.add(value)
        else:
            before = channel.total
            jump = channel.add(value, now)
            if jump is not None:
                details = {
                    events.CHANNEL: channel_id,
                    events.TOTAL_BEFORE: before,
                    events.RAW_BEFORE: jump[0],
                    events.RAW_AFTER: jump[1],
                }
                self._event(events.REGISTER_DISCONTINUITY, details, now)

    def _end_gaps(self, now: int) -> None:
        """Seal what registers counted while they could not be read, so that no regular interval gets it."""
        by_start: "dict[int | None, dict[int, Any]]" = {}
        for channel_id in self._channels:
            channel = self._channels[channel_id]
            if isinstance(channel, RegisterChannel) and channel.in_gap and channel.was_read:
                start = self._gap_starts.pop(channel_id, None)
                by_start.setdefault(start, {})[channel_id] = channel.end_gap()
        for start in sorted(by_start, key=lambda start: -1 if start is None else start):
            self._seal(f.KIND_OUTAGE, None if start is None else now - start, by_start[start], now)

    # Intervals

    def _open_interval(self, now: int, on_boundary: bool = False) -> None:
        """From now to the next boundary on the clock's present scale."""
        self._start = now
        self._jitter_ms = 0
        if self._set is None:
            return
        interval_ms, period_ms = self._set[f.INTERVAL_S] * 1000, self._set[f.SAMPLE_PERIOD_MS]
        time_ms = self._clock.time_at(now)
        self._began_on_boundary = on_boundary or time_ms % interval_ms == 0
        self._boundary = self._clock.ticks_at((time_ms // interval_ms + 1) * interval_ms)
        # The sampling slot before the next one.
        self._slot = self._boundary - ((self._boundary - now - 1) // period_ms + 1) * period_ms

    async def _cut_short(self, now: int, explicit: bool = False) -> bool:
        """Seal the running interval as it is now, before what no interval may contain; False if there is no room.

        `explicit` is for a change of parameters: the state is sealed so that it can be read without the old
        ones, even if the interval has just begun, and from the reserve if need be.
        """
        if self._set is None or self._fresh or (now == self._start and not explicit):
            return True
        await self._sample(now, now, True)
        return self._close_interval(f.KIND_PARTIAL, now, explicit)

    def _close_interval(self, kind: int, now: int, explicit: bool = False) -> bool:
        readings = {}
        for channel_id in self._channels:
            channel = self._channels[channel_id]
            if isinstance(channel, RegisterChannel):
                was_in_gap = channel.in_gap
                readings[channel_id] = channel.close(explicit)
                if channel.in_gap and not was_in_gap:
                    self._gap_starts[channel_id] = self._start
            else:
                readings[channel_id] = channel.close()
        return self._seal(kind, now - self._start, readings, now, explicit)

    async def _take_correction(self, correction: "Correction", reply: bytes, now: int) -> None:
        is_step = self._clock.is_step(correction[0])
        if is_step:
            await self._cut_short(now)
        old_time_ms = self._clock.stamp(now)[0]
        drift_ppb = self._clock.take(correction, now)
        details = {
            events.OLD_TIME_MS: old_time_ms,
            events.NEW_TIME_MS: self._clock.stamp(now)[0],
            events.TIME_REPLY: reply,
            events.DRIFT_PPB: drift_ppb,
        }
        try:
            self._overflow.say_clock_set(details, now)
        except JournalError as error:
            must_be_full(error)
        self._on_sealed()
        if is_step:
            self._open_interval(now)
        else:
            # The running interval ends at the same time of day as before, and its slots move with it.
            slew_ms = self._clock.stamp(now)[0] - old_time_ms
            self._boundary -= slew_ms
            self._slot -= slew_ms

    async def _take_parameters(self, opened: "OpenedSet", now: int) -> None:
        applied = await self._cut_short(now, True)
        if applied:
            try:
                self._log.apply_parameters(opened, now)
            except JournalError as error:
                must_be_full(error)
                applied = False
        if self._new_set is opened:
            self._new_set = None
        if applied:
            self._on_sealed()
            self._replace_set(opened.fields, now)
        # Else nothing was changed, and the authority's set comes again.
        self._open_interval(now)

    def _replace_set(self, fields: "dict[int, Any]", now: int) -> None:
        set_before, channels, gap_starts = self._set, self._channels, self._gap_starts
        self._use(fields)
        same = parameters.same_registers(set_before, fields, self._driver_class)
        for channel_id in self._channels:
            old, new = channels.get(channel_id), self._channels[channel_id]
            if not isinstance(old, RegisterChannel) or not isinstance(new, RegisterChannel):
                continue
            if old.total is None or channel_id not in same:
                # Another register: its total begins anew, and no quantity is made of the difference.
                continue
            new.restore([f.STATUS_GOOD, old.total, old.raw])
            self._count_on(channel_id, new)
            if channel_id in gap_starts:
                self._gap_starts[channel_id] = gap_starts[channel_id]
            elif not old.in_gap:
                self._gap_starts[channel_id] = now
        self._overflow.begin_set(self._totals())

    def _count_on(self, channel_id: int, channel: RegisterChannel) -> bool:
        """Whether the board itself is what counts this register: its driver goes on where the channel stands."""
        assert self._set is not None
        for entry in self._set[f.CHANNELS]:
            if entry[f.CHANNEL_ID] == channel_id and channel.total is not None:
                instrument: Instrument = self._instruments[entry[f.CHANNEL_INSTRUMENT]]
                return instrument.restore(entry[f.CHANNEL_INDICATION], channel.raw)
        return False

    def _use(self, fields: "dict[int, Any] | None") -> None:
        # Channels and drivers live long: among what the change of parameters left they would lie scattered.
        gc.collect()
        self._set = fields
        self._fresh = True
        self._gap_starts = {}
        self._instruments = []
        self._channels = {}
        if fields is not None:
            for entry in fields[f.INSTRUMENTS]:
                self._instruments.append(Instrument(self._make_driver(entry), entry[f.INSTRUMENT_SERIAL]))
            self._channels = parameters.make_channels(fields)

    # Sealing, and what happens while the journal is full

    def _seal(
        self, kind: int, duration_ms: "int | None", readings: "dict[int, Any]", now: int, reserved: bool = False
    ) -> bool:
        """Whether there was room. If not, registers go on counting and the resume event will tell the span."""
        jitter_ms = 0 if kind == f.KIND_OUTAGE else self._jitter_ms
        body = {f.KIND: kind, f.DURATION_MS: duration_ms, f.READINGS: readings, f.JITTER_MS: jitter_ms}
        totals = self._totals()
        try:
            self._overflow.end(now, reserved)
            self._log.append(t.READINGS, body, now, reserved)
        except JournalError as error:
            must_be_full(error)
            for channel_id in readings:
                channel = self._channels[channel_id]
                if isinstance(channel, RegisterChannel):
                    channel.put_back(readings[channel_id])
            if not self._overflow.is_open:
                self._event(events.JOURNAL_OVERFLOW, self._overflow.begin(self._start), now, True)
            self._overflow.reach(totals, now)
            return False
        self._overflow.note_sealed({channel: totals[channel] for channel in readings if channel in totals})
        self._on_sealed()
        return True

    def _event(self, code: int, details: "dict[int, Any]", now: int, reserved: bool = False) -> None:
        if self._log.event_if_room(code, details, now, reserved):
            self._on_sealed()

    def _totals(self) -> "dict[int, int | None]":
        totals: "dict[int, int | None]" = {}
        for channel_id in self._channels:
            channel = self._channels[channel_id]
            if isinstance(channel, RegisterChannel):
                totals[channel_id] = channel.total
        return totals
