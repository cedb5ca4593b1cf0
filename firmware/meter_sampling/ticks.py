"""Monotonic milliseconds for waiting: a port's own counter, which turns over; a host's, which does not."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


# A port's module lacks what a host's has, and so do its stubs.
_time: "Any" = time


def _host_ms() -> int:
    ns: int = _time.monotonic_ns()
    return ns // 1000000


def _host_diff(later: int, earlier: int) -> int:
    return later - earlier


ticks_ms: "Callable[[], Any]" = getattr(time, "ticks_ms", _host_ms)
ticks_diff: "Callable[[Any, Any], int]" = getattr(time, "ticks_diff", _host_diff)
