"""Waiting for what a board, a command or a gateway does in its own time."""

import time
from collections.abc import Callable

PATIENCE_S = 120
"""Far more than an idle machine needs: how long it takes is no part of what a test says."""

LOOK_AGAIN_S = 0.05


def wait_until(
    look: Callable[[], object], what: str, patience_s: float = PATIENCE_S, said: Callable[[], str] = str
) -> None:
    """Until `look` finds something. AssertionError names `what` was missing, and ends with what `said` has."""
    deadline = time.monotonic() + patience_s
    while not look():
        assert time.monotonic() < deadline, f"no {what} in {patience_s} s\n{said()}".rstrip()
        time.sleep(LOOK_AGAIN_S)
