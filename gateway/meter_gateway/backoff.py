"""How long to wait before trying again: doubling, capped, spread so that a fleet does not return in step."""

from collections.abc import Callable, Iterator

FIRST_S = 0.25
LONGEST_S = 30.0


def delays(
    uniform: Callable[[float, float], float], first_s: float = FIRST_S, longest_s: float = LONGEST_S
) -> Iterator[float]:
    """Endless delays in seconds; each is drawn by `uniform(a, b)` from the upper half of its step."""
    step = first_s
    while True:
        yield uniform(step / 2, step)
        step = min(2 * step, longest_s)
