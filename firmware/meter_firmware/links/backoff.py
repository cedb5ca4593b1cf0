"""How long to wait before the next attempt: longer each time, and never at the same time as the neighbours.

After a power cut in a hall of meters all of them find the broker gone at once. Half of each delay is random,
so they do not come back at once. The random source is an argument; nothing here needs to be unguessable.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

BASE_MS = 500
LIMIT_MS = 60000


class Backoff:
    def __init__(
        self, random_below: "Callable[[int], int]", base_ms: int = BASE_MS, limit_ms: int = LIMIT_MS
    ) -> None:
        """`random_below(n)` gives an integer from 0 to n - 1."""
        self._random_below = random_below
        self._base_ms = base_ms
        self._limit_ms = limit_ms
        self._ceiling_ms = base_ms

    def next_delay_ms(self) -> int:
        """Between half the ceiling and the ceiling, which then doubles up to the limit."""
        ceiling_ms = self._ceiling_ms
        self._ceiling_ms = min(2 * ceiling_ms, self._limit_ms)
        half_ms = ceiling_ms // 2
        return half_ms + self._random_below(ceiling_ms - half_ms + 1)

    def reset(self) -> None:
        self._ceiling_ms = self._base_ms
