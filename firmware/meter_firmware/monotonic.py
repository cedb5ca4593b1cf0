"""Milliseconds that never begin anew, out of a counter that does.

`time.ticks_ms` of a board starts again from zero after 2^30 ms, some twelve days; of two of its values only the
difference says something, and that only for half as long. A meter is alone on its wall for years: what it compares
or keeps for longer than an exchange on a bus takes is counted here.

No interrupt handler may ask: a count is two steps.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class Monotonic:
    """`counter` starts again from zero after `highest`, and must be looked at before it is where it was."""

    def __init__(self, counter: "Callable[[], int]", highest: int) -> None:
        self._counter = counter
        self._highest = highest
        self._seen = counter()
        self._now = 0

    def now(self) -> int:
        """Since this object was made."""
        seen = self._counter()
        # Modulo its span, and not by ticks_diff: a look after more than half of it is no look into the past.
        self._now += (seen - self._seen) & self._highest
        self._seen = seen
        return self._now


_shared: "list[Monotonic]" = []


def now_ms() -> int:
    """Since it was asked first. The sampling loop asks all the time, so nobody else need look often enough."""
    if not _shared:
        # The highest value is the one before 0, as MicroPython's documentation of time.ticks_add has it.
        counter: "Any" = time.ticks_ms
        zero: "Any" = 0
        _shared.append(Monotonic(counter, time.ticks_add(zero, -1)))
    return _shared[0].now()
