"""While the journal is full: since when, with which totals, and what is to be said when it takes messages again.

Readings stop and registers go on counting (DESIGN, Full journal and outages). The resume event states the span
and the totals before and after it; the interval that follows it begins where the span ends.
"""

from meter_protocol import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.clock import MeterClock
    from meter_sampling.last_sealed import LastSealed
    from meter_sampling.seams import Log

    Totals = dict[int, int | None]


class Overflow:
    def __init__(self, log: "Log", clock: "MeterClock") -> None:
        self._log = log
        self._clock = clock
        self.is_open = False
        # As the chain knows them, before the span, and when a message last found no room.
        self._sealed: "Totals" = {}
        self._before: "Totals" = {}
        self._after: "Totals" = {}
        # Unix ms up to which another boot sealed readings, while this one has sealed none.
        self._sealed_until_ms: "int | None" = None
        self._start: "int | None" = None
        self._end: "int | None" = None
        self._clock_set: "dict[int, Any] | None" = None

    def restore(self, last: "LastSealed", totals: "Totals") -> None:
        """After a boot: an overflow that was said and not ended goes on."""
        self._sealed = totals
        self._sealed_until_ms = last.ended_ms
        if last.overflow is not None:
            self.is_open = True
            self._before = last.overflow
            self._after = totals

    def begin_set(self, totals: "Totals") -> None:
        """Another set may have other channels; what it carries over was sealed."""
        self._sealed = totals

    def note_sealed(self, totals: "Totals") -> None:
        self._sealed.update(totals)
        self._sealed_until_ms = None

    def begin(self, start: int) -> "dict[int, Any]":
        """The interval that began at `start` found no room; the details of the overflow event."""
        self.is_open = True
        self._start = start if self._sealed_until_ms is None else None
        self._before = dict(self._sealed)
        return {events.LAST_RECEIPT: self._log.last_receipt(), events.TOTALS_BEFORE: self._before}

    def reach(self, totals: "Totals", now: int) -> None:
        """Up to here nothing was recorded."""
        self._after = totals
        self._end = now

    def say_clock_set(self, details: "dict[int, Any]", now: int) -> None:
        """Or keep it until there is room (JournalError): of several times the last proof counts."""
        if self._clock_set is not None:
            details[events.OLD_TIME_MS] = self._clock_set[events.OLD_TIME_MS]
        self._clock_set = details
        self._say_clock_set(now, not self.is_open)

    def end(self, now: int, reserved: bool) -> None:
        """Say that the journal takes messages again, if it does: JournalError if not.

        Not from the reserve in the ordinary course: room for this is what shows that there is room.
        """
        self._say_clock_set(now, reserved)
        if not self.is_open:
            return
        end = now if self._end is None else self._end
        details = {
            events.SPAN_START_MS: self._start_ms(),
            events.TOTALS_BEFORE: self._before,
            events.TOTALS_AFTER: self._after,
        }
        self._log.event(events.JOURNAL_RESUMED, details, end, reserved)
        self.is_open = False
        self._start = self._end = None

    def _say_clock_set(self, now: int, reserved: bool) -> None:
        if self._clock_set is not None:
            self._log.event(events.CLOCK_SET, self._clock_set, now, reserved)
            self._clock_set = None

    def _start_ms(self) -> int:
        """On the scale of the resume event; without one the span began before this boot did."""
        if self._start is not None:
            return self._clock.time_at(self._start)
        if self._sealed_until_ms is None or not self._clock.is_set:
            return 0
        return self._sealed_until_ms
