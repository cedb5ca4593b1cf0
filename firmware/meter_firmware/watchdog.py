"""When the board's watchdog is fed: only while the loop does what it is for.

An event loop that turns proves nothing. The meter must take its samples when they are due, and what waits in the
journal must be tried again while the link is up. Whatever keeps that from happening for longer than any fault
that is provided for (instruments that time out, a gateway that is silent) is cured by the board's reset, after
which the boot recovers. A link that is down is no reason: days of it are ordinary.
"""

LATE_LIMIT_MS = 300000
"""Reading an instrument that does not answer takes seconds; sixty-four of them, some minutes."""

STALLED_LIMIT_MS = 1800000
"""Six times the longest pause between two attempts to deliver."""


class Watchdog:
    """Pure: the moments come in as arguments, `feed` is the board's."""

    def __init__(self) -> None:
        self._delivered = -1
        self._moved_ms: "int | None" = None

    def is_healthy(self, late_ms: int, may_deliver: bool, delivered: int, now_ms: int) -> bool:
        """`late_ms`: by how much the next sample is overdue; `may_deliver`: the link is up and a message waits.

        `delivered` counts what was handed to the link so far, repetitions too.
        """
        if not may_deliver or delivered != self._delivered or self._moved_ms is None:
            self._delivered = delivered
            self._moved_ms = now_ms
        return late_ms <= LATE_LIMIT_MS and now_ms - self._moved_ms <= STALLED_LIMIT_MS
