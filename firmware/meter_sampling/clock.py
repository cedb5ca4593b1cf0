"""The meter's clock (DESIGN, Clock): monotonic ticks of its own, UTC only by signed challenge.

Time and clock status are separate. Until the first accepted reply the status is `relative` and times are
milliseconds since boot. An accepted reply sets UTC = the gateway's time + half the round trip, uncertain by
the gateway's own uncertainty + the other half. Between replies the uncertainty grows with the ticks' drift,
which each reply measures anew: a clock that proves worse than its bound gets the bound that it deserves.
"""

from meter_protocol import fields as f

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DRIFT_PPM = 50
"""Bound of a quartz on an unconditioned board; a board with a better one may say so."""

IMPOSSIBLE_PPM = 1000
"""No quartz is that bad: one of the two clocks was stepped."""

MAX_ROUND_TRIP_MS = 10000
"""A reply that took longer is late: its half round trip would say little about the time."""

PLAUSIBLE_MS = (10**12, 10**13)
"""Thirteen digits, 2001 to 2286: outside of it a gateway's own clock is broken."""

MAX_UNCERTAINTY_MS = 86400000
"""A time that is less certain than a day is none."""

STEP_MS = 1000
"""A correction below this is a slew inside the stated uncertainty and leaves the running interval alone."""


class MeterClock:
    """UTC over ticks, the board's monotonic milliseconds since boot; every moment comes in as an argument."""

    def __init__(self, drift_ppm: int = DRIFT_PPM) -> None:
        self._drift_ppm = drift_ppm
        self._offset_ms = 0
        self._status = f.CLOCK_RELATIVE
        self._uncertainty_ms = 0
        self._set_at_ticks = 0
        self._nonce: "bytes | None" = None
        self._asked_at_ticks = 0

    @property
    def is_set(self) -> bool:
        return self._status != f.CLOCK_RELATIVE

    def age_ms(self, ticks: int) -> "int | None":
        """How long ago the clock was last set, None if never."""
        return ticks - self._set_at_ticks if self.is_set else None

    def time_at(self, ticks: int) -> int:
        return ticks + self._offset_ms

    def ticks_at(self, time_ms: int) -> int:
        return time_ms - self._offset_ms

    def stamp(self, ticks: int) -> "tuple[int, int, int | None]":
        """(TIME_MS, CLOCK_STATUS, CLOCK_UNCERTAINTY_MS) of the moment `ticks`."""
        if not self.is_set:
            return ticks, f.CLOCK_RELATIVE, None
        drift_ms = (abs(ticks - self._set_at_ticks) * self._drift_ppm + 999999) // 1000000
        return self.time_at(ticks), self._status, self._uncertainty_ms + drift_ms

    def ask(self, nonce: bytes, ticks: int) -> None:
        """Remember the challenge that the next time request carries; an older one is void."""
        self._nonce = nonce
        self._asked_at_ticks = ticks

    @property
    def pending_nonce(self) -> "bytes | None":
        return self._nonce

    def objection(self, reply: "dict[int, Any]") -> "str | None":
        """Why a reply's content is of no use, whoever signed it."""
        if reply[f.NONCE] != self._nonce:
            return "time_reply_unsolicited"
        if reply[f.CLOCK_STATUS] not in (f.CLOCK_INFORMATIVE, f.CLOCK_SYNCHRONISED):
            return "time_reply_without_time"
        if not PLAUSIBLE_MS[0] <= reply[f.TIME_MS] < PLAUSIBLE_MS[1]:
            return "time_reply_implausible"
        return "time_reply_implausible" if reply[f.CLOCK_UNCERTAINTY_MS] > MAX_UNCERTAINTY_MS else None

    def correction(self, reply: "dict[int, Any]", ticks: int) -> "tuple[int, int, int] | None":
        """(new offset, status, uncertainty) by an authentic reply without an objection; None if it is late.

        The nonce is spent by this call, so the same reply again is unsolicited.
        """
        self._nonce = None
        round_trip_ms = ticks - self._asked_at_ticks
        if not 0 <= round_trip_ms <= MAX_ROUND_TRIP_MS:
            return None
        half = round_trip_ms // 2
        new_offset = reply[f.TIME_MS] + half - ticks
        uncertainty_ms = reply[f.CLOCK_UNCERTAINTY_MS] + round_trip_ms - half
        return new_offset, reply[f.CLOCK_STATUS], uncertainty_ms

    def is_step(self, new_offset_ms: int) -> bool:
        """Whether taking this offset is more than a slew, so that the interval must be closed first."""
        return not self.is_set or abs(new_offset_ms - self._offset_ms) >= STEP_MS

    def take(self, correction: "tuple[int, int, int]", ticks: int) -> "int | None":
        """Set the clock; how much it had gained since it was set before, in 1e-9, None where that is unknown."""
        drift_ppb = self._measure_drift(correction[0], correction[2], ticks)
        self._offset_ms, self._status, self._uncertainty_ms = correction
        self._set_at_ticks = ticks
        return drift_ppb

    def _measure_drift(self, offset_ms: int, uncertainty_ms: int, ticks: int) -> "int | None":
        span_ms = ticks - self._set_at_ticks
        doubt_ms = self._uncertainty_ms + uncertainty_ms
        if not self.is_set or doubt_ms * 1000000 > span_ms * DRIFT_PPM:
            # A span in which the bound itself would not show.
            return None
        gained_ms = self._offset_ms - offset_ms
        if abs(gained_ms) * 1000000 > span_ms * IMPOSSIBLE_PPM:
            return None
        if (abs(gained_ms) - doubt_ms) * 1000000 > span_ms * self._drift_ppm:
            self._drift_ppm = (abs(gained_ms) * 1000000 + span_ms - 1) // span_ms
        return gained_ms * 1000000000 // span_ms
