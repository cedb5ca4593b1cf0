"""The meter's chain on its journal: every message gets its place, its seal and its flash page in one call.

When `append` returns, the message is durable. The order inside it is fixed: number, hash of the one before,
seal, journal; only then does the head move, so a failed append leaves the chain as it was.

A boot has things to say before anything else: a new epoch its identity and parameters, every boot its event.
Where the journal has no room for them they wait, and the next append says them first: a meter that was
restarted while its journal is full still delivers, gets its receipts and goes on.
"""

from meter_protocol import cbor, chain, cose, events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_sampling import read_back
from meter_sampling.journal_error import JournalError, must_be_full
from meter_sampling.last_sealed import LastSealed, last_sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.journal import Journal
    from meter_firmware.memory import Memory
    from meter_firmware.sealing import SealedMessage, Sealer
    from meter_sampling.clock import MeterClock

    # epoch and sequence of the last head known before an epoch was opened, and why that one was left
    Left = tuple[bytes, int, str]
    # epoch, hash of its identity, software that ran last, and what was left for it
    Known = tuple[bytes, bytes, bytes, Left | None]

_EPOCH_FILE = "epoch"
_PARAMETERS_FILE = "parameters"
_PENDING_FILE = "parameters.pending"
_PREVIOUS_FILE = "parameters.previous"
_RECEIPT_FILE = "receipt"


class ChainLog:
    """Continues this meter's chain at boot, or opens an epoch where its head cannot be proven."""

    def __init__(self, journal: "Journal", memory: "Memory", sealer: "Sealer", clock: "MeterClock") -> None:
        self.journal = journal
        self.sealer = sealer
        self.epoch = b""
        self.sequence = -1
        self.boot = 0
        # Where the event of this boot is, as soon as it is said.
        self.boot_place: "tuple[bytes, int] | None" = None
        self.sealed = 0
        self._memory = memory
        self._clock = clock
        self._software_id = b""
        self._previous = chain.GENESIS
        self._identity_hash = b""
        self._context = chain.NO_CONTEXT
        self._parameters_hash: "bytes | None" = None
        self._left: "Left | None" = None
        # What has to be in the chain before anything else, in this order; each takes the present ticks.
        self._unsaid: "list[Callable[[int], None]]" = []

    # Boot

    def open(self, identity: "dict[int, Any]", random: "Callable[[int], bytes]", ticks: int) -> None:
        """Resume the chain; `identity` are the fields of the identity message should a new epoch begin."""
        head = self.journal.head
        known = self._read_epoch()
        self._finish_parameters(head)
        has_preimages = self._mend_parameters()
        if head is None or known is None or known[0] != head[0] or not self.journal.recovered_head_proven:
            self._begin_epoch("head_unproven", identity, random)
        elif not has_preimages:
            self._begin_epoch("parameters_lost", identity, random)
        elif not read_back.opened(head[2])[0]:
            # Newer software sealed it, before this one was gone back to.
            self._begin_epoch("head_unproven", identity, random)
        else:
            self._resume(head, known)
        if self._left is not None and self.sequence < 1:
            self._unsaid.append(self._say_epoch_opened)
        self._take_up_parameters(head)
        # Of several boots while the journal is full one is said from the reserve, which would not do for all.
        reserved = head is None or not _is_boot(head[2])
        self._unsaid.append(lambda now: self._say_boot(identity[f.SOFTWARE_ID], reserved, now))
        try:
            self._catch_up(ticks)
        except JournalError as error:
            must_be_full(error)

    @property
    def head(self) -> "tuple[bytes, int, bytes] | None":
        """Epoch, sequence and hash of what was sealed last; None before anything was."""
        return None if self.sequence < 0 else (self.epoch, self.sequence, self._previous)

    def records(self, place: "tuple[bytes, int] | None") -> "Any":
        """(epoch, sequence, message) of what the journal has from a place on, or of all."""
        return self.journal.records(place)

    def last_sealed(self) -> LastSealed:
        return last_sealed(self.journal, self.epoch, self.sequence)

    # Sealing

    def append(self, typ: str, body: "dict[int, Any]", ticks: int, reserved: bool = False) -> bytes:
        """Seal and journal one message of the chain stamped with the moment `ticks`; its hash.

        JournalError("journal_full") leaves the chain unchanged.
        """
        self._catch_up(ticks)
        return self._append(typ, body, ticks, reserved)

    def _append(self, typ: str, body: "dict[int, Any]", ticks: int, reserved: bool) -> bytes:
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

    def event_if_room(self, code: int, details: "dict[int, Any]", ticks: int, reserved: bool = False) -> bool:
        """An event whose absence a full journal excuses; whether there was room."""
        try:
            self.event(code, details, ticks, reserved)
        except JournalError as error:
            must_be_full(error)
            return False
        return True

    def apply_parameters(self, sealed_set: "SealedMessage", ticks: int) -> None:
        """Put an opened set into the chain and into force, so that a power cut leaves one of the two states."""
        self._keep_replaced()
        self._memory.write(_PENDING_FILE, sealed_set.raw)
        self.event(events.PARAMETERS_APPLIED, {events.PARAMETER_SET: sealed_set.raw}, ticks)
        self._memory.write(_PARAMETERS_FILE, sealed_set.raw)
        self._memory.remove(_PENDING_FILE)
        self._parameters_hash = sealed_set.hash
        self._renew_context()

    def _keep_replaced(self) -> None:
        """By itself, so that the heap need not hold the old set while the new one is sealed."""
        replaced = self._memory.read(_PARAMETERS_FILE)
        if replaced is not None:
            self._memory.write(_PREVIOUS_FILE, replaced)

    def parameters(self) -> "bytes | None":
        """The set in force; None also if its bytes are no message any more, as after damage of the flash."""
        stored = self._memory.read(_PARAMETERS_FILE)
        try:
            if stored is not None:
                cose.split(stored)
        except ProtocolError:
            return None
        return stored

    def previous_parameters(self) -> "dict[int, Any] | None":
        """The fields of the set that the one in force replaced; nothing is measured by it any more."""
        typ, fields = read_back.opened(self._memory.read(_PREVIOUS_FILE) or b"")
        return fields if typ == t.PARAMETER_SET else None

    # Receipts

    def last_receipt(self) -> "bytes | None":
        stored = self._memory.read(_RECEIPT_FILE)
        return stored if read_back.opened(stored or b"")[0] == t.RECEIPT else None

    def keep_receipt(self, raw: bytes) -> None:
        try:
            self._memory.write(_RECEIPT_FILE, raw)
        except OSError:
            # It is evidence, not state: the records that it freed are marked in the journal.
            pass

    # Inside

    def _catch_up(self, ticks: int) -> None:
        while self._unsaid:
            self._unsaid[0](ticks)
            self._unsaid.pop(0)

    def _begin_epoch(self, reason: str, identity: "dict[int, Any]", random: "Callable[[int], bytes]") -> None:
        last = self.journal.last_head_known
        self._left = None if last is None else (last[0], last[1], reason)
        self._unsaid.append(lambda now: self._open_epoch(identity, random, now))

    def _open_epoch(self, identity: "dict[int, Any]", random: "Callable[[int], bytes]", ticks: int) -> None:
        self.epoch = random(chain.EPOCH_SIZE)
        self.sequence = -1
        self.boot = 0
        self._previous = chain.GENESIS
        self._context = chain.NO_CONTEXT
        self._identity_hash = self._append(t.IDENTITY, identity, ticks, True)
        self._software_id = identity[f.SOFTWARE_ID]
        self._write_epoch()
        if self.parameters() is None:
            # What is left of a lost set must not end the next epoch, too.
            self._memory.remove(_PARAMETERS_FILE)
        self._renew_context()

    def _say_epoch_opened(self, ticks: int) -> None:
        assert self._left is not None
        last_epoch, last_sequence, reason = self._left
        lost = self.journal.read(last_epoch, last_sequence)
        details = {
            events.LAST_EPOCH: last_epoch,
            events.LAST_SEQUENCE: last_sequence,
            events.LAST_HASH: None if lost is None else read_back.hash_of(lost),
            events.LAST_RECEIPT: self.last_receipt(),
            events.REASON: reason,
        }
        self._say(events.EPOCH_OPENED, details, ticks)

    def _say_parameters(self, stored: bytes, ticks: int) -> None:
        self._say(events.PARAMETERS_APPLIED, {events.PARAMETER_SET: stored}, ticks)
        self._parameters_hash = read_back.hash_of(stored)
        self._renew_context()

    def _say_boot(self, software_id: bytes, reserved: bool, ticks: int) -> None:
        details = {events.LAST_RECEIPT: self.last_receipt(), events.SOFTWARE_ID: software_id}
        self.boot += 1
        try:
            # An event carries the context before it: this one the software that ran until now.
            self._say(events.BOOT, details, ticks, reserved)
        except JournalError:
            self.boot -= 1
            raise
        self.boot_place = (self.epoch, self.sequence)
        self._software_id = software_id
        self._write_epoch()
        self._renew_context()

    def _say(self, code: int, details: "dict[int, Any]", ticks: int, reserved: bool = True) -> None:
        self._append(t.EVENT, {f.EVENT_CODE: code, f.DETAILS: details}, ticks, reserved)

    def _resume(self, head: "tuple[bytes, int, bytes]", known: "Known") -> None:
        self.epoch, self.sequence, raw = head
        newest = read_back.opened(raw)[1]
        self.boot = newest[f.BOOT]
        self._previous = read_back.hash_of(raw)
        _, self._identity_hash, self._software_id, self._left = known
        if _is_boot(raw):
            # Power was cut before the file followed.
            self._software_id = newest[f.DETAILS][events.SOFTWARE_ID]
        self._renew_context()

    def _mend_parameters(self) -> bool:
        """Whether the set in force is known: where its file is damaged, the chain may hold it still."""
        if self._memory.read(_PARAMETERS_FILE) is None or self.parameters() is not None:
            return True
        found = None
        for _, _, raw in self.journal.records():
            found = _applied_set_in(raw) or found
        if found is None:
            return False
        self._memory.write(_PARAMETERS_FILE, found)
        return True

    def _take_up_parameters(self, head: "tuple[bytes, int, bytes] | None") -> None:
        stored = self.parameters()
        if stored is None:
            return
        if self.boot == 0 and (head is None or self.sequence < 0 or _applied_set_in(head[2]) != stored):
            # A new epoch holds the preimages of its own context digests.
            self._unsaid.append(lambda now: self._say_parameters(stored, now))
            return
        self._parameters_hash = read_back.hash_of(stored)
        self._renew_context()

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

    def _read_epoch(self) -> "Known | None":
        stored = self._memory.read(_EPOCH_FILE)
        try:
            epoch, identity_hash, software_id, left = cbor.loads(stored or b"")
        except (ProtocolError, ValueError, TypeError):
            # Never written, or damaged: then the head cannot be proven.
            return None
        return epoch, identity_hash, software_id, left

    def _write_epoch(self) -> None:
        known = [self.epoch, self._identity_hash, self._software_id, self._left]
        stored = cbor.dumps(known)
        if stored != self._memory.read(_EPOCH_FILE):
            self._memory.write(_EPOCH_FILE, stored)


def _is_boot(raw: bytes) -> bool:
    event = read_back.event_in(raw)
    return event is not None and event[0] == events.BOOT


def _applied_set_in(raw: bytes) -> "bytes | None":
    event = read_back.event_in(raw)
    return None if event is None else event[1].get(events.PARAMETER_SET)
