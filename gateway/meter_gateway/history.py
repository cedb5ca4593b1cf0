"""Walking through what is stored: messages by time, however many, and the parameter set of each."""

from bisect import bisect_right
from collections.abc import Iterator

from meter_gateway.archive import Archive, StoredMessage
from meter_gateway.database import Database
from meter_gateway.traceability import ChainState, parameters
from meter_gateway.traceability.parameters import ParameterSet
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t

PAGE = 2000


def walk(
    archive: Archive,
    thumbprint: bytes | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    types: tuple[str, ...] = t.CHAIN_TYPES,
    page: int = PAGE,
) -> Iterator[StoredMessage]:
    """Messages by time (from inclusive, to exclusive), read in pages, so that a year fits into memory."""
    limit = page
    at_boundary: set[int] = set()
    while True:
        found = archive.messages(thumbprint, from_ms, to_ms, types, limit)
        new = [message for message in found if message.id not in at_boundary]
        yield from new
        if len(found) < limit:
            return
        # The next page begins with the last moment of this one, of which some messages may have been left off.
        last_ms = found[-1].time_ms
        there = {message.id for message in found if message.time_ms == last_ms}
        at_boundary, limit = (at_boundary | there, 2 * limit) if last_ms == from_ms else (there, page)
        from_ms = last_ms


def applied_sets(database: Database, thumbprint: bytes) -> list[bytes]:
    """The sealed parameter set in force at the end of each of a meter's chains, the newest chain last."""
    rows = database.query(
        "SELECT state FROM chain JOIN meter ON meter.id = chain.meter WHERE thumbprint = ? AND state IS NOT NULL "
        "ORDER BY chain.id",
        (thumbprint,),
    )
    sets = (ChainState.loads(state).parameter_set for (state,) in rows)
    return [raw for raw in sets if raw is not None]


class ParameterHistory:
    """Which parameter set a meter had applied at any place of its chains."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._by_meter: dict[bytes, dict[bytes, list[tuple[int, ParameterSet | None]]]] = {}

    def at(self, message: StoredMessage) -> ParameterSet | None:
        """The set in force when the message was sealed; None if none was applied or it cannot be read."""
        chains = self._by_meter.get(message.thumbprint)
        if chains is None:
            chains = self._by_meter[message.thumbprint] = self._load(message.thumbprint)
        applied = chains.get(message.epoch, [])
        place = bisect_right(applied, message.sequence, key=lambda entry: entry[0])
        return applied[place - 1][1] if place else None

    def _load(self, thumbprint: bytes) -> dict[bytes, list[tuple[int, ParameterSet | None]]]:
        chains: dict[bytes, list[tuple[int, ParameterSet | None]]] = {}
        for stored in walk(self._archive, thumbprint, types=(t.EVENT,)):
            fields = stored.verified().fields
            if fields[f.EVENT_CODE] == ev.PARAMETERS_APPLIED:
                known = parameters.decode(fields[f.DETAILS][ev.PARAMETER_SET])
                chains.setdefault(stored.epoch, []).append((stored.sequence, known))
        for applied in chains.values():
            applied.sort(key=lambda entry: entry[0])
        return chains
