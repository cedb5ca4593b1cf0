"""Sealed parameter sets on their way to meters: sent until the meter's own chain says what became of them.

A set waits as a file named by the meter's thumbprint. It is sent at once, again at each contact and every half
minute; a signed parameters_applied event with these very bytes, or a parameters_refused event with their
digest, ends that. The set is signed by its authority and names its meter, so the way it takes needs no trust.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from meter_gateway.history import applied_sets, walk
from meter_gateway.store import Store
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import keys
from meter_protocol import types as t

RETRY_S = 30.0
PAUSE_S = 2.0
"""A meter that sends a lot is in contact all the time."""

LOOK_BACK_MS = 86_400_000
"""How much a meter's clock may be behind for its refusal to be noticed; else the set is sent on, to no harm."""

APPLIED = "applied"
WAITING = "waiting"

_WAITING = ".set"
_REFUSED = ".refused"


@dataclass(slots=True)
class Pending:
    raw: bytes
    since_ms: int
    sent_s: float | None = None


class Delivery:
    """`look` reads files and the store; the rest is memory."""

    def __init__(self, folder: Path, store: Store, monotonic: Callable[[], float]) -> None:
        self._folder = folder
        self._store = store
        self._monotonic = monotonic
        self._pending: dict[bytes, Pending] = {}

    def look(self, now_ms: int) -> list[str]:
        """Take up new sets and lay down those that are answered; what happened, in words for the log."""
        news = []
        found: dict[bytes, Pending] = {}
        for path in sorted(self._folder.glob("*" + _WAITING)):
            thumbprint, raw = bytes.fromhex(path.stem), path.read_bytes()
            pending = self._pending.get(keys.kid_of(thumbprint))
            if pending is None or pending.raw != raw:
                pending = Pending(raw, now_ms - LOOK_BACK_MS)
            answer = self._answer(thumbprint, pending)
            if answer is None:
                found[keys.kid_of(thumbprint)] = pending
                continue
            news.append(f"meter {thumbprint.hex()[:16]}: parameter set {answer}")
            if answer != APPLIED:
                path.with_suffix(_REFUSED).write_text(answer + "\n")
            path.unlink(missing_ok=True)
        self._pending = found
        return news

    @property
    def kids(self) -> Collection[bytes]:
        """Meters for which something waits."""
        return self._pending.keys()

    def due(self, kid: bytes) -> bytes | None:
        """The set that should be sent to this meter now, unasked."""
        return self._take(kid, RETRY_S)

    def on_contact(self, kid: bytes) -> bytes | None:
        """The set for a meter that has just been heard."""
        return self._take(kid, PAUSE_S)

    def _take(self, kid: bytes, pause_s: float) -> bytes | None:
        pending, now = self._pending.get(kid), self._monotonic()
        if pending is None:
            return None
        if pending.sent_s is not None and now - pending.sent_s < pause_s:
            return None
        pending.sent_s = now
        return pending.raw

    def _answer(self, thumbprint: bytes, pending: Pending) -> str | None:
        """What the meter's chain says about this set, as far as it does."""
        if pending.raw in applied_sets(self._store.database, thumbprint):
            return APPLIED
        digest = hashlib.sha256(pending.raw).digest()
        for stored in walk(self._store.archive, thumbprint, pending.since_ms, types=(t.EVENT,)):
            fields = stored.verified().fields
            details = fields[f.DETAILS]
            if fields[f.EVENT_CODE] == ev.PARAMETERS_REFUSED and details[ev.DIGEST] == digest:
                return f"refused: {details[ev.REASON]}"
        return None


def submit(folder: Path, thumbprint: bytes, raw: bytes) -> None:
    """Hand a set to the running gateway. It appears whole or not at all, and replaces one that still waits."""
    folder.mkdir(exist_ok=True)
    refused = folder / (thumbprint.hex() + _REFUSED)
    refused.unlink(missing_ok=True)
    path = folder / (thumbprint.hex() + _WAITING)
    temporary = path.with_suffix(".new")
    temporary.write_bytes(raw)
    temporary.chmod(0o644)
    temporary.replace(path)


def states(folder: Path) -> list[tuple[bytes, str]]:
    """(thumbprint, WAITING or what the meter answered) of every set that lies in the folder."""
    found = [(bytes.fromhex(path.stem), WAITING) for path in folder.glob("*" + _WAITING)]
    found += [(bytes.fromhex(path.stem), path.read_text().strip()) for path in folder.glob("*" + _REFUSED)]
    return sorted(found)
