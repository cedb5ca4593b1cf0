"""Monotonic milliseconds for waiting: a port's own counter, which turns over; a host's, which does not."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


def _host_ms() -> int:
    return int(getattr(time, "monotonic_ns")()) // 1000000  # noqa: B009  a port has none


def _host_diff(later: int, earlier: int) -> int:
    return later - earlier


ticks_ms: "Callable[[], Any]" = getattr(time, "ticks_ms", _host_ms)
ticks_diff: "Callable[[Any, Any], int]" = getattr(time, "ticks_diff", _host_diff)
