"""Pulse inputs: contacts that close once for each unit counted, without their bounces.

A pulse is a closed contact of at least `min_on_us` after an open one of at least `min_off_us`; it is counted when
the contact opens. So a bounce is never a pulse, however many edges it has, and a contact that was closed while
the board booted is counted once, by the boot that sees it open.

`edge(index, level, ticks_us)` is for an interrupt handler on both edges of a pin; level 1 is a closed contact. It
takes no memory and no lock: it alone writes what it writes, and a count is read as a difference. A board whose
interrupts are late by more than the shortest pulse needs a filter in hardware.
"""

import time

from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    # What time.ticks_* give: only time.ticks_diff may look into it.
    Ticks = Any

COUNT_MASK = 0x1FFFFFFF
"""What a handler may count to without taking memory: one more is still a small integer of a 32-bit board."""

SHORTEST_US = 30000
"""Pulse and pause of an S0 output (IEC 62053-31). Holds until a driver says otherwise: a boot takes its time."""

LONG_MS = 60000
"""Longer than any bounce. Microseconds cannot say so: on a board they begin anew after 17 minutes."""


class PulseInputs:
    """`levels` are those of the inputs now; address of an input is its place in them."""

    KIND = "pulse"

    def __init__(
        self,
        levels: "list[int]",
        ticks_us: "Callable[[], Ticks]" = time.ticks_us,
        ticks_ms: "Callable[[], Ticks]" = time.ticks_ms,
    ) -> None:
        size = len(levels)
        self._ticks_us = ticks_us
        self.ticks_ms = ticks_ms
        # By level
        self._minimum_us = [[SHORTEST_US] * size, [SHORTEST_US] * size]
        # The handler's alone
        self._level = list(levels)
        self._since_us = [ticks_us()] * size
        self._since_ms = [ticks_ms()] * size
        self._edges = [0] * size
        self._armed = [1] * size
        self._pulses = [0] * size
        # The reader's alone: the number of the edge whose level has lasted long since, and what was read.
        self._lasting = [-1] * size
        self._seen = [0] * size
        self._counts = [0] * size

    def configure(self, index: int, min_on_us: int, min_off_us: int) -> None:
        self._check(index)
        self._minimum_us[0][index] = min_off_us
        self._minimum_us[1][index] = min_on_us

    def edge(self, index: int, level: int, ticks_us: "Ticks") -> None:
        """The contact changed at `ticks_us` and is at `level`, also if that is what it was before."""
        ticks_ms = self.ticks_ms()
        before = self._level[index]
        if (
            self._lasting[index] == self._edges[index]
            or time.ticks_diff(ticks_ms, self._since_ms[index]) >= LONG_MS
            or time.ticks_diff(ticks_us, self._since_us[index]) >= self._minimum_us[before][index]
        ):
            if before == 0:
                self._armed[index] = 1
            elif self._armed[index]:
                self._armed[index] = 0
                self._pulses[index] = (self._pulses[index] + 1) & COUNT_MASK
        self._level[index] = level
        self._since_us[index] = ticks_us
        self._since_ms[index] = ticks_ms
        self._edges[index] = (self._edges[index] + 1) & COUNT_MASK

    def count(self, index: int) -> int:
        """Pulses since this boot; to be read at least every few days."""
        self._check(index)
        # In this order: the number of an edge that another one follows meanwhile means nothing any more.
        edge = self._edges[index]
        if time.ticks_diff(self.ticks_ms(), self._since_ms[index]) >= LONG_MS:
            self._lasting[index] = edge
        pulses = self._pulses[index]
        self._counts[index] += (pulses - self._seen[index]) & COUNT_MASK
        self._seen[index] = pulses
        return self._counts[index]

    def counted(self, index: int) -> int:
        """What `count` gave last."""
        self._check(index)
        return self._counts[index]

    def has(self, index: int) -> bool:
        return 0 <= index < len(self._level)

    def _check(self, index: int) -> None:
        if not self.has(index):
            raise InstrumentError("not_connected")
