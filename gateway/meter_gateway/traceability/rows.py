"""The readings of a run of messages, as everything that judges them takes them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from meter_gateway.model import Finding

Reading = list[Any]
Rows = Sequence[dict[int, Reading]]
Found = list[list[Finding]]
"""Findings of each message of the run, to be added to."""


class Interval(NamedTuple):
    """When the readings of a row were taken; None where it is not known."""

    end_ms: int | None
    duration_ms: int | None

    def start_ms(self) -> int | None:
        return None if self.end_ms is None or self.duration_ms is None else self.end_ms - self.duration_ms
