"""The sampling loop: instruments -> channels -> intervals -> chain. No instrument and no full journal ends it.

One interval runs from one boundary to the next; boundaries are multiples of the interval on the clock's
scale. An interval is closed early (`partial`) before the clock steps, before parameters change and at an
orderly end, so that no interval contains any of these. What a register counted while it could not be read
(board off, bus down) is sealed by itself as an `outage`, before the interval that is running.
"""

import asyncio

from meter_firmware import parameters
from meter_firmware.journal import JournalError
from meter_firmware.metering import MeanChannel, RegisterChannel
from meter_firmware.modbus import InstrumentError
from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.chain_log import ChainLog
    from meter_firmware.clock import MeterClock
    from meter_firmware.sealing import SealedMessage

    Channel = RegisterChannel | MeanChannel
    Correction = tuple[int, int, int]


CLOCK_WAIT_MS = 5000


class Meter:
    """Needs a board only for `ticks`: its clock with `ticks_ms()` and `sleep_until(ticks, wake)`."""

    def __init__(
        self,
        log: "ChainLog",
        clock: "MeterClock",
        ticks: "Any",
        link_ms: "Callable[[], int]",
        make_driver: "Callable[[dict[int, Any]], Any]",
        on_sealed: "Callable[[], None]",
    ) -> None:
        self._log = log
        self._clock = clock
        self._ticks = ticks
        self._link_ms = link_ms
        self._make_driver = make_driver
        self._on_sealed = on_sealed
        self._wake = asyncio.Event()
        self._correction: "tuple[Correction, bytes] | None" = None
        self._new_set: "SealedMessage | None" = None
        self._stopping = False
        self._settled = False
        self._fresh = True
        self._clock_deadline_ms: "int | None" = None
        self._set: "dict[int, Any] | None" = None
        self._drivers: "list[Any]" = []
        self._expected: "list[bool | None]" = []
        self._channels: "dict[int, Channel]" = {}
        self._start = 0
        self._boundary = 0
        self._slot = 0
        self._sampled = False
        self._gap_start: "int | None" = None
        self._sealed_totals: "dict[int, int | None]" = {}
        self._overflow: "tuple[int, dict[int, int | None]] | None" = None

    @property
    def has_parameters(self) -> bool:
        return self._set is not None

    # What others ask of the loop; each takes effect at its next turn.

    def stop(self) -> None:
        """Close the running interval and return."""
        self._stopping = True
        self._wake.set()

    def correct_clock(self, correction: "Correction", reply: bytes) -> None:
        self._correction = (correction, reply)
        self._wake.set()

    def change_parameters(self, opened: "SealedMessage") -> None:
        self._new_set = opened
        self._wake.set()

    # The loop

    def start(self, fields: "dict[int, Any] | None") -> None:
        """Take up the parameters in force and every register where the last sealed reading left it."""
        self._use(fields)
        newest = self._log.last_readings()
        for channel_id in self._channels:
            channel = self._channels[channel_id]
            reading = newest.get(channel_id)
            # Another parameter set may have had a mean under this id.
            if isinstance(channel, RegisterChannel) and reading is not None and len(reading) <= 4:
                channel.restore(reading)
        self._sealed_totals = self._totals()

    async def run(self) -> None:
        self._open_interval(self._ticks.ticks_ms())
        while not self._stopping:
            self._wake.clear()
            self._attend()
            if self._set is None or not self._has_settled():
                await asyncio.sleep_ms(20)
                continue
            if self._fresh:
                # Where the registers stand now ends the outage, or is where we begin.
                await self._sample(self._ticks.ticks_ms(), True)
            await self._sample_next()
        if self._set is not None:
            await self._end()

    async def _end(self) -> None:
        """An orderly end leaves every register sealed as it is now."""
        now = self._ticks.ticks_ms()
        if self._sampled or self._fresh:
            await self._sample(now, True)
        if self._sampled:
            self._close_interval(f.KIND_PARTIAL, now)

    def _attend(self) -> None:
        now = self._ticks.ticks_ms()
        if self._correction is not None:
            correction, reply = self._correction
            self._correction = None
            self._take_correction(correction, reply, now)
        if self._new_set is not None:
            opened = self._new_set
            self._new_set = None
            self._take_parameters(opened, now)

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
        now = self._ticks.ticks_ms()
        slots_left = max(0, self._boundary - now - 1) // period
        due = self._boundary - slots_left * period
        await self._ticks.sleep_until(due, self._wake)
        now = self._ticks.ticks_ms()
        if now < due:
            return
        skipped = (due - self._slot) // period - 1
        self._slot = due
        if skipped > 0:
            for channel in self._channels.values():
                channel.skip(skipped)
        await self._sample(now)
        if due >= self._boundary:
            self._close_interval(f.KIND_REGULAR, now)
            self._open_interval(now)

    async def _sample(self, now: int, registers_only: bool = False) -> None:
        assert self._set is not None
        self._fresh = False
        if not registers_only:
            self._sampled = True
        for index in range(len(self._drivers)):
            values, fault = await self._read(index)
            for entry in self._set[f.CHANNELS]:
                if registers_only and entry[f.CHANNEL_KIND] != f.CHANNEL_REGISTER:
                    continue
                if entry[f.CHANNEL_INSTRUMENT] == index:
                    self._feed(entry, values, fault, now)
        self._end_gaps(now)

    async def _read(self, index: int) -> "tuple[dict[str, int | None], int]":
        """What one instrument indicates now, and the status of what it does not."""
        driver = self._drivers[index]
        try:
            if self._expected[index] is None:
                self._expected[index] = await self._is_expected(index)
            values = await driver.read()
        except InstrumentError as error:
            # Whatever answers after a silence may be another instrument.
            self._expected[index] = None
            return {}, f.STATUS_NO_RESPONSE if error.absent else f.STATUS_BAD_RESPONSE
        if not self._expected[index]:
            return values, f.STATUS_WRONG_INSTRUMENT
        if "out_of_range" in driver.faults.values():
            return values, f.STATUS_IMPLAUSIBLE
        return values, f.STATUS_BAD_RESPONSE if driver.faults else f.STATUS_GOOD

    async def _is_expected(self, index: int) -> bool:
        """Whether this is the instrument that the sealed parameters name."""
        assert self._set is not None
        serial = self._set[f.INSTRUMENTS][index][f.INSTRUMENT_SERIAL]
        try:
            identity = await self._drivers[index].identify()
        except InstrumentError as error:
            if error.reason == "wrong_identity":
                return False
            raise
        return serial is None or identity["serial"] in (None, serial)

    def _feed(self, entry: "dict[int, Any]", values: "dict[str, int | None]", fault: int, now: int) -> None:
        channel = self._channels[entry[f.CHANNEL_ID]]
        value = values.get(entry[f.CHANNEL_INDICATION])
        if isinstance(channel, MeanChannel):
            if value is None:
                channel.miss(fault)
            else:
                channel.flag(fault & f.STATUS_WRONG_INSTRUMENT)
                channel.add(value)
        elif value is None or fault & f.STATUS_WRONG_INSTRUMENT:
            # Another instrument's register says nothing about this total.
            channel.miss(fault)
        else:
            before = channel.total
            jump = channel.add(value, now)
            if jump is not None:
                self._event(
                    events.REGISTER_DISCONTINUITY,
                    {
                        events.CHANNEL: entry[f.CHANNEL_ID],
                        events.TOTAL_BEFORE: before,
                        events.RAW_BEFORE: jump[0],
                        events.RAW_AFTER: jump[1],
                    },
                    now,
                )

    def _end_gaps(self, now: int) -> None:
        """Seal what registers counted while they could not be read, so that no regular interval gets it."""
        ended = {}
        for channel_id in self._channels:
            channel = self._channels[channel_id]
            if isinstance(channel, RegisterChannel) and channel.in_gap and channel.was_read:
                ended[channel_id] = channel.end_gap()
        if ended:
            duration_ms = None if self._gap_start is None else now - self._gap_start
            self._seal(f.KIND_OUTAGE, duration_ms, ended, now)

    def _open_interval(self, now: int) -> None:
        self._start = now
        self._sampled = False
        self._aim(now)

    def _aim(self, now: int) -> None:
        """The next boundary and the sampling slot before the next one, on the clock's present scale."""
        if self._set is None:
            return
        interval_ms = self._set[f.INTERVAL_S] * 1000
        period_ms = self._set[f.SAMPLE_PERIOD_MS]
        self._boundary = self._clock.ticks_at((self._clock.time_at(now) // interval_ms + 1) * interval_ms)
        self._slot = self._boundary - ((self._boundary - now - 1) // period_ms + 1) * period_ms

    def _close_interval(self, kind: int, now: int, explicit: bool = False) -> None:
        readings = {}
        in_gap = False
        for channel_id in self._channels:
            channel = self._channels[channel_id]
            readings[channel_id] = channel.close(explicit)
            if isinstance(channel, RegisterChannel) and channel.in_gap:
                in_gap = True
        if not in_gap:
            self._gap_start = None
        elif self._gap_start is None:
            self._gap_start = self._start
        self._seal(kind, now - self._start, readings, now)

    def _take_correction(self, correction: "Correction", reply: bytes, now: int) -> None:
        step = self._clock.is_step(correction[0])
        if step and self._sampled:
            self._close_interval(f.KIND_PARTIAL, now)
        old_time_ms = self._clock.stamp(now)[0]
        self._clock.take(correction, now)
        self._event(
            events.CLOCK_SET,
            {
                events.OLD_TIME_MS: old_time_ms,
                events.NEW_TIME_MS: self._clock.stamp(now)[0],
                events.TIME_REPLY: reply,
            },
            now,
        )
        if step:
            self._open_interval(now)
        else:
            self._aim(now)

    def _take_parameters(self, opened: "SealedMessage", now: int) -> None:
        before = self._channels
        if self._sampled:
            self._close_interval(f.KIND_PARTIAL, now, True)
        try:
            self._log.apply_parameters(opened, now)
        except JournalError as error:
            _must_be_full(error)
            # Nothing was changed; the authority's set comes again.
            return
        self._on_sealed()
        self._use(opened.fields)
        for channel_id in self._channels:
            old, new = before.get(channel_id), self._channels[channel_id]
            if isinstance(old, RegisterChannel) and isinstance(new, RegisterChannel) and old.total is not None:
                new.restore([f.STATUS_GOOD, old.total, old.raw])
        self._open_interval(now)

    def _use(self, fields: "dict[int, Any] | None") -> None:
        self._set = fields
        self._fresh = True
        if fields is not None:
            self._drivers = [self._make_driver(entry) for entry in fields[f.INSTRUMENTS]]
            self._expected = [None] * len(self._drivers)
            self._channels = parameters.make_channels(fields)

    # Sealing, and what happens while the journal is full

    def _seal(self, kind: int, duration_ms: "int | None", readings: "dict[int, Any]", now: int) -> None:
        body = {f.KIND: kind, f.DURATION_MS: duration_ms, f.READINGS: readings}
        try:
            if self._overflow is not None:
                self._say_resumed(now)
            self._log.append(t.READINGS, body, now)
            self._sealed_totals = self._totals()
        except JournalError as error:
            _must_be_full(error)
            self._note_overflow(now)
        self._on_sealed()

    def _say_resumed(self, now: int) -> None:
        assert self._overflow is not None
        details = {
            events.SPAN_START_MS: self._overflow[0],
            events.TOTALS_BEFORE: self._overflow[1],
            events.TOTALS_AFTER: self._totals(),
        }
        # Not from the reserve: room for it is what shows that the journal takes messages again.
        self._log.event(events.JOURNAL_RESUMED, details, now, False)
        self._overflow = None

    def _note_overflow(self, now: int) -> None:
        """Registers go on counting; the span and the totals before and after it will be in the chain."""
        if self._overflow is not None:
            return
        self._overflow = (self._clock.stamp(self._start)[0], self._sealed_totals)
        details = {events.LAST_RECEIPT: self._log.last_receipt(), events.TOTALS_BEFORE: self._overflow[1]}
        self._event(events.JOURNAL_OVERFLOW, details, now)

    def _event(self, code: int, details: "dict[int, Any]", now: int) -> None:
        try:
            self._log.event(code, details, now)
        except JournalError as error:
            _must_be_full(error)
            # Even the reserve is full: the resume event will tell the span.
            return
        self._on_sealed()

    def _totals(self) -> "dict[int, int | None]":
        totals: "dict[int, int | None]" = {}
        for channel_id in self._channels:
            channel = self._channels[channel_id]
            if isinstance(channel, RegisterChannel):
                totals[channel_id] = channel.total
        return totals


def _must_be_full(error: JournalError) -> None:
    """A full journal is lived with; a failing flash is left to a reboot, which recovers what is there."""
    if error.reason != "journal_full":
        raise error
