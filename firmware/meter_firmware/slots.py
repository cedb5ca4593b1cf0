"""The two slots that software runs from, A and B, and the boot state that says which of them is run.

One small file, replaced atomically, holds all that is decided; what it names is verified before it is run. So a
power cut leaves the decision before or the one after it, and a slot that is half written is named by nobody.
The loader frozen in a board reads what every later firmware writes: the file's form does not change.

    active      has proven its health and is run; nothing at all means the frozen golden copy
    previous    was active before, and is run if the active slot is damaged
    trial       is run while it has attempts left, until it has proven its health
    floor       the highest manifest sequence ever proven: none falls below it without the authority's leave
    failed      manifests that are not tried again, each with the reason
    unsaid      what still has to become an event of the chain

The journal, keys and parameters live elsewhere; no slot holds anything of them. What a slot's files lie in is the
board's: folders (slot_folders) or partitions of the processor's flash (slot_partitions).
"""

import hashlib
import os

from meter_firmware import software
from meter_firmware.memory import Memory
from meter_firmware.software import GOLDEN
from meter_firmware.update_manifest import UpdateSite, open_manifest
from meter_protocol import cbor, events
from meter_protocol import fields as f
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from meter_firmware.image import Entry
    from meter_firmware.slot_folders import SlotFolders

NAMES = ("a", "b")

ATTEMPTS = 3
"""Boots that a new software has to prove its health in; a power cut may take one or two of them."""

MAX_CRASHES = 10
"""Boots in a row of proven software that end by an error before the gateway's receipt; then it is left."""

MAX_FAILED = 8

_FORMAT = 1
_STATE_FILE = "state"
_CRASHES_FILE = "crashes"
_DIRECTORY = 0x4000


class Installed:
    """What a slot holds: the SHA-256 of its manifest's message, that one's sequence, and its software id."""

    def __init__(self, slot: str, manifest_digest: bytes, sequence: int, software_id: bytes) -> None:
        self.slot = slot
        self.manifest_digest = manifest_digest
        self.sequence = sequence
        self.software_id = software_id


class Slots:
    """`root` is the folder of updates in the meter's flash."""

    def __init__(self, root: str, site: UpdateSite) -> None:
        self._root = root
        self._site = site
        self._contents = site.partitions or _folders(root)
        self._memory = Memory(root)
        self.active: "Installed | None" = None
        self.previous: "Installed | None" = None
        self.trial: "Installed | None" = None
        self.attempts = 0
        self.software_before = b""
        self.floor = 0
        self.failed: "list[list[Any]]" = []
        self.unsaid: "list[list[Any]]" = []
        self._load()

    def folder(self, slot: str) -> str:
        """Where software is imported from that runs in this slot."""
        return self._contents.folder(slot)

    def files(self, slot: str) -> "list[tuple[str, str]]":
        """(name, path) of every file in a slot, whatever it is."""
        found: "list[tuple[str, str]]" = []
        _list(self.folder(slot), "", found)
        return found

    def manifest(self, slot: str) -> "bytes | None":
        return self._memory.read(slot + ".manifest")

    def is_on_trial(self, slot: str) -> bool:
        return self.trial is not None and self.trial.slot == slot

    def reason_of_failure(self, manifest_digest: bytes) -> "str | None":
        for digest, reason in self.failed:
            if digest == manifest_digest:
                known: str = reason
                return known
        return None

    # The loader's part

    def choose(self) -> str:
        """The slot to run now, or GOLDEN; what had to be decided for it is durable."""
        while self.trial is not None:
            if self.attempts == 0:
                self.roll_back("update_health")
                continue
            self.attempts -= 1
            self._save()
            fault = self._fault_twice(self.trial)
            if fault is None:
                return self.trial.slot
            self.roll_back(fault)
        while self.active is not None:
            fault = "update_health" if self._crashes() >= MAX_CRASHES else self._fault_twice(self.active)
            if fault is None:
                return self.active.slot
            # First: those crashes are not the next one's.
            self.forget_crashes()
            self.unsaid.append([events.UPDATE_ROLLED_BACK, self.active.software_id, fault])
            self.active, self.previous = self.previous, None
            self._save()
        return GOLDEN

    def _crashes(self) -> int:
        """The loader appends a byte to this file for each."""
        try:
            size: int = os.stat(self._root + "/" + _CRASHES_FILE)[6]
        except OSError:
            return 0
        return size

    def _fault_twice(self, installed: Installed) -> "str | None":
        """A bus may read wrongly once: what runs well is not given up for that."""
        fault = self._fault(installed)
        return None if fault is None else self._fault(installed)

    def _fault(self, installed: Installed) -> "str | None":
        """Why a slot may not be run: it is not, to the last byte, what the authority signed."""
        raw = self.manifest(installed.slot)
        if raw is None or hashlib.sha256(raw).digest() != installed.manifest_digest:
            return "update_image"
        try:
            digest = open_manifest(raw, self._site).fields[f.IMAGE_DIGEST]
            if software.software_id(self.files(installed.slot)) != digest:
                return "update_image"
        except ProtocolError as error:
            return error.reason
        except OSError:
            return "update_image"
        return None

    # The running firmware's part

    def forget_crashes(self) -> None:
        """What runs has reached the gateway: whatever is wrong with it, it can be replaced."""
        try:
            os.remove(self._root + "/" + _CRASHES_FILE)
        except OSError:
            # There was none.
            pass

    def spare(self, running: str) -> str:
        """The slot to install into; what is in it is forgotten, and to be removed."""
        slot = NAMES[1] if running == NAMES[0] else NAMES[0]
        if self.previous is not None and self.previous.slot == slot:
            self.previous = None
            self._save()
        self._memory.remove(slot + ".manifest")
        return slot

    def emptying(self, slot: str) -> "Iterator[None]":
        """Removes all that is in a slot, a little at each step: it may take a flash seconds."""
        return self._contents.emptying(slot)

    def filling(self, slot: str, entries: "list[Entry]", read: "Callable[[int, int], bytes]") -> "Iterator[None]":
        """Writes an image's files into an empty slot, a little at each step; `read(start, count)` gives them."""
        return self._contents.filling(slot, entries, read)

    def begin_trial(self, installed: Installed, manifest: bytes, software_before: bytes) -> None:
        """`software_before` is the id of the software that runs now."""
        self._memory.write(installed.slot + ".manifest", manifest)
        self.trial = installed
        self.attempts = ATTEMPTS
        self.software_before = software_before
        self._save()

    def confirm(self) -> None:
        """The software on trial has proven its health: from now on it is the active one."""
        assert self.trial is not None
        replaced, self.active, self.trial = self.active, self.trial, None
        self.previous = replaced
        if replaced is not None and self.active.sequence <= replaced.sequence:
            # The authority has taken it back: an old recording of its manifest must not bring it again.
            self._fail(replaced.manifest_digest, "update_not_newer")
            self.previous = None
        self.floor = max(self.floor, self.active.sequence)
        self.unsaid.append(
            [events.FIRMWARE_UPDATED, self.active.software_id, self.software_before, self.active.slot]
        )
        self._save()

    def roll_back(self, reason: str) -> None:
        assert self.trial is not None
        self._fail(self.trial.manifest_digest, reason)
        self.unsaid.append([events.UPDATE_ROLLED_BACK, self.trial.software_id, reason])
        self.trial = None
        self._save()

    def refuse(self, manifest_digest: bytes, reason: str) -> None:
        """A manifest whose image turned out to be none."""
        self._fail(manifest_digest, reason)
        self.unsaid.append([events.UPDATE_REFUSED, manifest_digest, reason])
        self._save()

    def first_unsaid(self) -> "tuple[int, dict[int, Any]] | None":
        """Code and details of the next event; what cannot be said any more is dropped."""
        while self.unsaid:
            code, subject = self.unsaid[0][:2]
            if code == events.UPDATE_REFUSED:
                return code, {events.DIGEST: subject, events.REASON: self.unsaid[0][2]}
            if code == events.UPDATE_ROLLED_BACK:
                return code, {events.SOFTWARE_ID: subject, events.REASON: self.unsaid[0][2]}
            before, slot = self.unsaid[0][2:]
            manifest = self.manifest(slot)
            if manifest:
                details = {
                    events.SOFTWARE_ID: subject,
                    events.SOFTWARE_BEFORE: before,
                    events.MANIFEST: manifest,
                }
                return code, details
            self.said()
        return None

    def said(self) -> None:
        self.unsaid.pop(0)
        self._save()

    # Inside

    def _fail(self, manifest_digest: bytes, reason: str) -> None:
        self.failed = self.failed[1 - MAX_FAILED :] + [[manifest_digest, reason]]

    def _load(self) -> None:
        """Without a state that can be read there is no slot either, and the golden copy is run."""
        stored = self._memory.read(_STATE_FILE)
        try:
            state = cbor.loads(stored or b"")
        except ProtocolError:
            return
        if not _is_state(state):
            return
        active, previous, trial, attempts, before, floor, failed, unsaid = state[1:]
        self.active, self.previous, self.trial = _installed(active), _installed(previous), _installed(trial)
        self.attempts, self.software_before, self.floor = attempts, before, floor
        self.failed, self.unsaid = failed, unsaid

    def _save(self) -> None:
        slots = [_row(self.active), _row(self.previous), _row(self.trial)]
        trial = [self.attempts, self.software_before, self.floor]
        self._memory.write(_STATE_FILE, cbor.dumps([_FORMAT] + slots + trial + [self.failed, self.unsaid]))


def _folders(root: str) -> "SlotFolders":
    # Imported where it is needed: a board with partitions has the least heap.
    from meter_firmware.slot_folders import SlotFolders

    return SlotFolders(root)


def _is_state(state: "Any") -> bool:
    """Whoever wrote it, the loader and the golden copy must not stumble over it at every boot."""
    return (
        _has_form(state, (int, list, list, list, int, bytes, int, list, list), nullable=(1, 2, 3))
        and state[0] == _FORMAT
        and all(row is None or _is_installed(row) for row in state[1:4])
        and all(_has_form(row, (bytes, str)) for row in state[7])
        and all(_is_unsaid(row) for row in state[8])
    )


def _is_installed(row: "Any") -> bool:
    return _has_form(row, (str, bytes, int, bytes)) and row[0] in NAMES


def _is_unsaid(row: "Any") -> bool:
    updated = _has_form(row, (int, bytes, bytes, str)) and row[0] == events.FIRMWARE_UPDATED
    others = (events.UPDATE_REFUSED, events.UPDATE_ROLLED_BACK)
    return updated or (_has_form(row, (int, bytes, str)) and row[0] in others)


def _has_form(row: "Any", form: "tuple[type, ...]", nullable: "tuple[int, ...]" = ()) -> bool:
    if not isinstance(row, list) or len(row) != len(form):
        return False
    places = range(len(form))
    return all(isinstance(row[at], form[at]) or (at in nullable and row[at] is None) for at in places)


def _row(installed: "Installed | None") -> "list[Any] | None":
    if installed is None:
        return None
    return [installed.slot, installed.manifest_digest, installed.sequence, installed.software_id]


def _installed(row: "list[Any] | None") -> "Installed | None":
    return None if row is None else Installed(row[0], row[1], row[2], row[3])


def _list(folder: str, prefix: str, found: "list[tuple[str, str]]") -> None:
    for entry in os.ilistdir(folder):
        path = folder + "/" + entry[0]
        if entry[1] & _DIRECTORY:
            _list(path, prefix + entry[0] + "/", found)
        else:
            found.append((prefix + entry[0], path))
