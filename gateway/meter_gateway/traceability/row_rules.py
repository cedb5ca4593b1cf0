"""Rules about the readings themselves, besides what their certificates say: plausibility, balance, data validity.

A rule is made once for a meter under one parameter set, and is asked once for a run of messages. It is asked
before the run's totals are taken in: it knows of a register's increase what columns.py will know.
"""

from collections.abc import Sequence
from typing import Protocol

from meter_gateway.traceability.rows import REGISTER_MAX_LENGTH, Found, Run
from meter_protocol import fields as f

_NOTHING: tuple[int, None] = (0, None)
_NO_INCREASE = f.STATUS_GAP_BEFORE | f.STATUS_DISCONTINUITY


class RowRule(Protocol):
    def judge(self, run: Run, found: Found) -> None:
        """Add what is to be said of each row to its place in `found`."""


def increases(channel: int, run: Run) -> Sequence[int | None]:
    """What the register counted in each interval; None where a total at either end of it is not known."""
    plain = run.increases(channel)
    return _one_by_one(channel, run) if plain is None else plain.values


def _one_by_one(channel: int, run: Run) -> list[int | None]:
    last = None if channel in run.memory.unsettled else run.memory.totals.get(channel)
    found: list[int | None] = []
    for row in run.rows:
        reading = row.get(channel, _NOTHING)
        status, total = reading[:2] if len(reading) <= REGISTER_MAX_LENGTH else _NOTHING
        if total is None or last is None or total < last or status & _NO_INCREASE:
            found.append(None)
        else:
            found.append(total - last)
        last = total
    return found
