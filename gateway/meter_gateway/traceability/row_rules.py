"""Rules about the readings themselves, besides what their certificates say: plausibility, balance, data validity.

A rule is made once for a meter under one parameter set, and is asked once for a run of messages. It is asked
before the run's totals are taken in: it knows of a register's increase what columns.py will know.
"""

from collections.abc import Sequence
from operator import sub
from typing import Any, Protocol

from meter_gateway.traceability.rows import Found, Interval, Rows
from meter_protocol import fields as f

_WITH_TOTAL = (2, 3)
_NOTHING: tuple[int, None] = (0, None)
_NO_INCREASE = f.STATUS_GAP_BEFORE | f.STATUS_DISCONTINUITY


class Memory(Protocol):
    """What the chain has taught, as far as it concerns rules (ChainState)."""

    totals: dict[int, int]
    unsettled: dict[int, int | None]
    remembered: dict[int, list[Any]]


class RowRule(Protocol):
    def judge(self, rows: Rows, intervals: Sequence[Interval], memory: Memory, found: Found) -> None:
        """Add what is to be said of each row to its place in `found`."""


def increases(channel: int, rows: Rows, memory: Memory) -> Sequence[int | None]:
    """What the register counted in each interval; None where a total at either end of it is not known."""
    last = None if channel in memory.unsettled else memory.totals.get(channel)
    if last is not None:
        columns = columns_of(channel, rows)
        if columns is not None and len(columns) in _WITH_TOTAL and not any(columns[0]):
            grown = list(map(sub, columns[1], (last, *columns[1])))
            if min(grown) >= 0:
                return grown
    return _increases_one_by_one(last, channel, rows)


def columns_of(channel: int, rows: Rows) -> tuple[Any, ...] | None:
    """The channel's readings taken apart, if each row has one and all have one length."""
    try:
        return tuple(zip(*[row[channel] for row in rows], strict=True))
    except (KeyError, ValueError):
        return None


def _increases_one_by_one(last: int | None, channel: int, rows: Rows) -> list[int | None]:
    found: list[int | None] = []
    for row in rows:
        reading = row.get(channel, _NOTHING)
        status, total = reading[:2] if len(reading) in _WITH_TOTAL else _NOTHING
        if total is None or last is None or total < last or status & _NO_INCREASE:
            found.append(None)
        else:
            found.append(total - last)
        last = total
    return found
