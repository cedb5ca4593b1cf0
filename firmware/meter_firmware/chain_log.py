"""The meter's chain on its journal: every message gets its place, its seal and its flash page in one call.

When `append` returns, the message is durable. The order inside it is fixed: number, hash of the one before,
seal, journal; only then does the head move, so a failed append leaves the chain as it was.
"""

from meter_protocol import cbor, chain, cose, events, messages
from meter_protocol import fields as f
from meter_protocol import types as t

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.clock import MeterClock
    from meter_firmware.journal import Journal
    from meter_firmware.memory import Memory
    from meter_firmware.sealing import SealedMessage, Sealer

_EPOCH_FILE = "epoch"
_PARAMETERS_FILE = "parameters"
_PENDING_FILE = "parameters.pending"
_RECEIPT_FILE = "receipt"


class ChainLog:
    """Continues this meter's chain at boot, or opens an epoch where its head cannot be proven."""

    def __init__(self, journal: "Journal", memory: "Memory", sealer: "Sealer", clock: "MeterClock") -> None:
        self.journal = journal
        self.sealer = sealer
        self.epoch = b""
        self.sequence = -1
        self.boot = 0
        self.sealed = 0
        self._memory = memory
        self._clock = clock
        self._software_id = b""
        self._previous = chain.GENESIS
        self._identity_hash = b""
        self._context = chain.NO_CONTEXT
        self._parameters_hash: "bytes | None" = None

    # Boot

    def open(self, identity: "dict[int, Any]", random: "Callable[[int], bytes]", ticks: int) -> None:
        """Resume the chain; `identity` are the fields of the identity message should a new epoch begin."""
        software_id = identity[f.SOFTWARE_ID]
        head = self.journal.head
        known = self._read_epoch()
        if head is not None and known is not None and known[0] == head[0] and self.journal.recovered_head_proven:
            self._resume(head, known)
        else:
            last = self.journal.last_head_known
            self._open_epoch(identity, random, ticks)
            if last is not None:
                self._say_epoch_opened(last[0], last[1], ticks)
        self._finish_parameters(head)
        stored = self._memory.read(_PARAMETERS_FILE)
        if stored is not None:
            self._parameters_hash = _hash_of(stored)
            if self.boot == 0:
                # A new epoch holds the preimages of its own context digests.
                self.event(events.PARAMETERS_APPLIED, {events.PARAMETER_SET: stored}, ticks)
        self.boot += 1
        # An event carries the context before it: the boot event the software that ran until now.
        self._renew_context()
        self.event(
            events.BOOT,
            {events.LAST_RECEIPT: self.last_receipt(), events.SOFTWARE_ID: software_id},
            ticks,
        )
        if software_id != self._software_id:
            self._software_id = software_id
            self._write_epoch()
            self._renew_context()

    def last_readings(self) -> "dict[int, Any]":
        """Each channel's newest reading: the state of every register (empty if nothing was ever sealed).

        A regular message holds every channel, so the walk back ends there; messages after it (outages) hold
        only the channels they are about.
        """
        newest: "dict[int, Any]" = {}
        for sequence in range(self.sequence, -1, -1):
            raw = self.journal.read(self.epoch, sequence)
            if raw is None:
                break
            fields = _readings_fields(raw)
            if fields is not None:
                for channel in fields[f.READINGS]:
                    newest.setdefault(channel, fields[f.READINGS][channel])
                if fields[f.KIND] != f.KIND_OUTAGE:
                    return newest
        # Rare: a new epoch began, or more events than messages fit in the journal followed.
        oldest_first: "dict[int, Any]" = {}
        for _, _, raw in self.journal.records():
            fields = _readings_fields(raw)
            if fields is not None:
                oldest_first.update(fields[f.READINGS])
        return oldest_first

    # Sealing

    def append(self, typ: str, body: "dict[int, Any]", ticks: int, reserved: bool = False) -> bytes:
        """Seal and journal one message of the chain stamped with the moment `ticks`; its hash.

        JournalError("journal_full") leaves the chain unchanged.
        """
        time_ms, status, uncertainty_ms = self._clock.stamp(ticks)
        fields = {
            f.VERSION: f.PROTOCOL_VERSION,
            f.EPOCH: self.epoch,
            f.SEQUENCE: self.sequence + 1,
            f.BOOT: self.boot,
            f.PREVIOUS: self._previous,
            f.CONTEXT: self._context,
            f.TIME_MS: time_ms,
            f.CLOCK_STATUS: status,
            f.CLOCK_UNCERTAINTY_MS: uncertainty_ms,
        }
        fields.update(body)
        raw, digest = self.sealer.seal(typ, fields)
        self.journal.append(self.epoch, self.sequence + 1, raw, reserved)
        self.sequence += 1
        self._previous = digest
        self.sealed += 1
        return digest

    def event(self, code: int, details: "dict[int, Any]", ticks: int, reserved: bool = True) -> None:
        self.append(t.EVENT, {f.EVENT_CODE: code, f.DETAILS: details}, ticks, reserved)

    def apply_parameters(self, sealed_set: "SealedMessage", ticks: int) -> None:
        """Put an opened set into the chain and into force, so that a power cut leaves one of the two states."""
        self._memory.write(_PENDING_FILE, sealed_set.raw)
        self.event(events.PARAMETERS_APPLIED, {events.PARAMETER_SET: sealed_set.raw}, ticks)
        self._memory.write(_PARAMETERS_FILE, sealed_set.raw)
        self._memory.remove(_PENDING_FILE)
        self._parameters_hash = sealed_set.hash
        self._renew_context()

    def parameters(self) -> "bytes | None":
        return self._memory.read(_PARAMETERS_FILE)

    # Receipts

    def last_receipt(self) -> "bytes | None":
        return self._memory.read(_RECEIPT_FILE)

    def keep_receipt(self, raw: bytes) -> None:
        self._memory.write(_RECEIPT_FILE, raw)

    # Inside

    def _open_epoch(self, identity: "dict[int, Any]", random: "Callable[[int], bytes]", ticks: int) -> None:
        self.epoch = random(chain.EPOCH_SIZE)
        self.sequence = -1
        self.boot = 0
        self._previous = chain.GENESIS
        self._context = chain.NO_CONTEXT
        self._identity_hash = self.append(t.IDENTITY, identity, ticks, True)
        self._software_id = identity[f.SOFTWARE_ID]
        self._write_epoch()
        self._renew_context()

    def _say_epoch_opened(self, last_epoch: bytes, last_sequence: int, ticks: int) -> None:
        lost = self.journal.read(last_epoch, last_sequence)
        details = {
            events.LAST_EPOCH: last_epoch,
            events.LAST_SEQUENCE: last_sequence,
            events.LAST_HASH: None if lost is None else _hash_of(lost),
            events.LAST_RECEIPT: self.last_receipt(),
            events.REASON: "head_unproven",
        }
        self.event(events.EPOCH_OPENED, details, ticks)

    def _resume(self, head: "tuple[bytes, int, bytes]", known: "tuple[bytes, bytes, bytes]") -> None:
        self.epoch, self.sequence, raw = head
        sign1 = cose.split(raw)
        newest = messages.decode(sign1.typ, sign1.payload)
        self.boot = newest[f.BOOT]
        self._previous = chain.message_hash(sign1.protected, sign1.payload)
        _, self._identity_hash, self._software_id = known
        if sign1.typ == t.EVENT and newest[f.EVENT_CODE] == events.BOOT:
            # Power was cut before the file followed.
            self._software_id = newest[f.DETAILS][events.SOFTWARE_ID]

    def _finish_parameters(self, head: "tuple[bytes, int, bytes] | None") -> None:
        """A set that was interrupted is in force exactly if its event reached the journal."""
        pending = self._memory.read(_PENDING_FILE)
        if pending is None:
            return
        if head is not None and _applied_set_in(head[2]) == pending:
            self._memory.write(_PARAMETERS_FILE, pending)
        self._memory.remove(_PENDING_FILE)

    def _renew_context(self) -> None:
        self._context = chain.context_digest(self._identity_hash, self._parameters_hash, self._software_id)

    def _read_epoch(self) -> "tuple[bytes, bytes, bytes] | None":
        stored = self._memory.read(_EPOCH_FILE)
        if stored is None:
            return None
        epoch, identity_hash, software_id = cbor.loads(stored)
        return epoch, identity_hash, software_id

    def _write_epoch(self) -> None:
        stored = cbor.dumps([self.epoch, self._identity_hash, self._software_id])
        self._memory.write(_EPOCH_FILE, stored)


def _hash_of(raw: bytes) -> bytes:
    sign1 = cose.split(raw)
    return chain.message_hash(sign1.protected, sign1.payload)


def _readings_fields(raw: bytes) -> "dict[int, Any] | None":
    sign1 = cose.split(raw)
    return messages.decode(sign1.typ, sign1.payload) if sign1.typ == t.READINGS else None


def _applied_set_in(raw: bytes) -> "bytes | None":
    sign1 = cose.split(raw)
    if sign1.typ != t.EVENT:
        return None
    applied: "bytes | None" = messages.decode(sign1.typ, sign1.payload)[f.DETAILS].get(events.PARAMETER_SET)
    return applied
