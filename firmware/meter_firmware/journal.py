"""The journal: what was sealed is on flash before it is sent, and stays until the gateway's receipt frees it.

Promises, for every cut of power and every kill -9 (the tests cut inside flash operations of all kinds):

1. A record for which `append` returned is there, byte for byte; one for which it did not, whole or not at
   all.
2. Nothing is believed that is not an intact record (magic, length, CRC-32), at every read.
3. Freed means may be overwritten. It is done when room is needed, the oldest segment first, never before;
   what is not receipted is never given up: then `append` says `journal_full`. The bytes of freed records
   are served as long as they are there.
4. A receipt frees records of its own epoch only. What an older epoch still holds waits for its own receipt.
5. The mark of what is freed never runs ahead of the receipts. If it falls behind, messages are sent again.
6. A newest record that was lost is noticed: `recovered_head_proven` is False, the old epoch takes no more
   records, and the caller opens a new one. A mere power cut never causes it.

**Layout.** `segments/` holds files of records (journal_record), `head/` two slots with the newest record's
epoch, sequence and SHA-256 and the receipt marks (journal_head). LittleFS never overwrites in place: it
commits a file's new size after the new bytes, so a cut append leaves the file as it was. It has no cheap
append either: each flushed append erases one block and copies into it the bytes of the block that was
begun. That wear rotates over the free blocks and, as segments come and go, over the chip.

**Why the head file does not double the wear.** Its slots are small enough to live inside their directory's
metadata log. A write is one more log entry of 96 bytes, and the log is erased once in some forty writes,
next to the one block that each record erases anyway. Receipt marks ride in the same slots, so a receipt costs
one log entry. Rejected:

- No head file, but the file size in the segment's own metadata as the witness. It is free and notices rot in
  the record; but where the newest log entry rots, LittleFS falls back to the one before it without a word.
- Slots in the segments' directory: the same rotten entry takes the record and its witness. The folder of its
  own is the point: no single damaged block takes both.
- A head file with blocks of its own: a second erase for every append.
- A head written at every k-th append: up to k records could vanish unnoticed, and sequences be signed twice.

**Room** is counted in the file system's blocks. `capacity_bytes` is for the segments alone; leave the file
system a twentieth more, and at least 16 blocks, for its directories, the copy in progress and other small
files. The last `reserve_bytes` are taken only by `reserved` records (overflow, boot, clock and resume
events). The size of a segment follows from the capacity: 16 KiB, which holds the largest message, up to 4 MiB, and
64 KiB up to 16 MiB, so that there are at most 256 of them, whose index takes 9 KiB of a 32-bit board's RAM.

**Damage** is met at boot or at any read, told in the chain by the caller, and marked as told in the damaged file's
own name (journal_segments). Its intact records are served as ever.

After `journal_io` the flash is in doubt: the record may have arrived, so no other is accepted. Reboot, or mount
the file system anew (LittleFS trusts its cache after a read that failed), and ask the new journal's head.
"""

import hashlib
import os

from meter_firmware import journal_record
from meter_firmware.journal_head import HeadFile
from meter_firmware.journal_reader import Reader
from meter_firmware.journal_recovery import Survey, survey
from meter_firmware.journal_segments import SegmentFiles, name_of
from meter_sampling.journal_error import JournalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from meter_firmware.journal_head import Head
    from meter_firmware.journal_index import Segment
    from meter_firmware.journal_reader import Record

    Place = tuple[bytes, int]

# Directories, the copy in progress, and what their own rewriting takes for a moment.
_SPARE_BLOCKS = 16
_SPARE_FRACTION = 20

_SMALLEST_SEGMENT = 16384
_MAX_SEGMENTS = 256

# MicroPython's numbers on every port; its errno module does not name all of them on every board.
_EIO = 5
_EEXIST = 17
_ENOSPC = 28


def segment_bytes_for(capacity_bytes: int) -> int:
    segment_bytes = _SMALLEST_SEGMENT
    while segment_bytes * _MAX_SEGMENTS < capacity_bytes:
        segment_bytes *= 4
    return segment_bytes


class Journal:
    def __init__(
        self, root: str, capacity_bytes: int, segment_bytes: "int | None" = None, reserve_bytes: int = 4096
    ) -> None:
        segment_bytes = segment_bytes or segment_bytes_for(capacity_bytes)
        if capacity_bytes < 2 * segment_bytes + reserve_bytes:
            # One segment keeps the head while the next is begun.
            raise ValueError("the capacity is below two segments and the reserve")
        try:
            for folder in (root, root + "/segments", root + "/head"):
                _make_folder(folder)
            self._files = SegmentFiles(root + "/segments", segment_bytes)
            self._reader = Reader(self._files)
            self._head_file = HeadFile(root + "/head")
        except OSError:
            raise JournalError("journal_io")
        spare_bytes = max(_SPARE_BLOCKS * self._files.block_size, capacity_bytes // _SPARE_FRACTION)
        if capacity_bytes + spare_bytes > self._files.volume_bytes:
            raise ValueError("the capacity leaves the file system too little")
        self._capacity = capacity_bytes
        self._reserve = reserve_bytes
        self._marks: "dict[bytes, int]" = {}
        self._head: "Head | None" = None
        self._failed = False
        self._uninspected: "list[int]" = []
        self._inspection: "Iterator[Record] | None" = None
        self._first_unreceipted: "Place | None" = None
        self._first_is_known = False
        try:
            self.recovered_head_proven = self._recover()
        except OSError:
            raise JournalError("journal_io")
        self._witnessing = self.recovered_head_proven

    # What is there

    @property
    def head(self) -> "Record | None":
        """The newest intact record."""
        if self._head is None:
            return None
        epoch, sequence, _ = self._head
        message = self.read(epoch, sequence)
        if message is None:
            raise JournalError("journal_damaged")
        return epoch, sequence, message

    @property
    def quarantined(self) -> "list[str]":
        """Segments found damaged, at opening or at a later read."""
        return [name_of(number) for number in self._reader.quarantined]

    @property
    def undeclared(self) -> "list[str]":
        """Those of them of which the chain does not tell yet."""
        declared = self._files.declared
        return [name_of(number) for number in self._reader.quarantined if number not in declared]

    @property
    def last_head_known(self) -> "Head | None":
        """Epoch, sequence and SHA-256 of the newest message known to have been: the head, or a lost one."""
        claim = self._head_file.head
        if self._head is None or claim is None:
            return self._head or claim
        last = self._files.index.last_of(claim[0])
        return claim if last is None or claim[1] > last else self._head

    @property
    def first_unreceipted(self) -> "Place | None":
        if not self._first_is_known:
            first = self.pending(0)
            self._first_unreceipted = (first[0][0], first[0][1]) if first else None
            self._first_is_known = True
        return self._first_unreceipted

    @property
    def used_bytes(self) -> int:
        """Of the capacity, in whole blocks, with what is freed and not yet overwritten."""
        return self._files.used_bytes

    def pending(self, limit_bytes: int) -> "list[Record]":
        """Unreceipted records, the oldest first, up to a sum of message bytes; at least one if there is any."""
        batch: "list[Record]" = []
        size = 0
        for segment in self._unreceipted():
            first = max(segment.first, self._marks.get(segment.epoch, -1) + 1)
            for record in self._reader.records_of(segment.number, first, max(0, limit_bytes - size)):
                size += len(record[2])
                if batch and size > limit_bytes:
                    return batch
                batch.append(record)
                if size >= limit_bytes:
                    return batch
        return batch

    def _unreceipted(self) -> "Iterator[Segment]":
        """Segments with records that wait for a receipt, oldest first."""
        index = self._files.index
        for epoch in index.epochs():
            segment = index.from_number(index.number_from(epoch, self._marks.get(epoch, -1) + 1))
            while segment is not None and segment.epoch == epoch:
                yield segment
                segment = index.from_number(segment.number + 1)

    def read(self, epoch: bytes, sequence: int) -> "bytes | None":
        """Freed or not, as long as the bytes are there."""
        return self._reader.read(epoch, sequence)

    def records(self, start: "Place | None" = None) -> "Iterator[Record]":
        """Everything that is there from a place on, in the order of appending.

        An epoch that is unknown here was given up long ago: everything came after it. The journal may change
        while the iterator is alive.
        """
        number = 0 if start is None else self._files.index.number_from(start[0], start[1])
        while True:
            segment = self._files.index.from_number(number)
            if segment is None:
                return
            begins_here = start is not None and segment.epoch == start[0]
            first = max(segment.first, start[1]) if start is not None and begins_here else segment.first
            yield from self._reader.records_of(segment.number, first)
            number = segment.number + 1

    def inspect(self) -> bool:
        """Read a little of what the boot did not, so that all damage is met; False if there is nothing left.

        To be called whenever there is time: one call costs the reading of one batch of records.
        """
        while self._uninspected:
            if self._inspection is None:
                self._inspection = self._reader.records_of(self._uninspected[0], 0)
            for _ in self._inspection:
                return True
            self._inspection = None
            self._uninspected.pop(0)
        return False

    # What changes it

    def append(self, epoch: bytes, sequence: int, message: bytes, reserved: bool = False) -> None:
        """Durable when it returns."""
        if self._failed:
            raise JournalError("journal_io")
        self._check_place(epoch, sequence)
        if len(message) > journal_record.MAX_MESSAGE_SIZE:
            raise JournalError("journal_record_size")
        record = journal_record.encode(epoch, sequence, message)
        if not self._files.fits_a_segment(len(record)):
            raise JournalError("journal_record_size")
        try:
            number, offset = self._append(epoch, sequence, record, self._limit(reserved))
            self._head = (epoch, sequence, hashlib.sha256(message).digest())
            self._reader.remember(number, sequence, offset)
            if self._first_unreceipted is None:
                self._first_is_known = False
            self._witnessing = True
            self._write_head()
        except OSError:
            self._failed = True
            raise JournalError("journal_io")

    def free(self, epoch: bytes, sequence: int) -> bool:
        """Everything of this epoch up to and including the sequence is receipted. False: that was known.

        After `journal_io` the records count as freed until the next boot; then they may be sent once more.
        """
        last = self._files.index.last_of(epoch)
        if last is None:
            return False
        if sequence > last:
            raise JournalError("journal_not_stored")
        if sequence <= self._marks.get(epoch, -1):
            return False
        self._marks[epoch] = sequence
        self._first_is_known = False
        if self._witnessing:
            # While the head is in doubt the slots are the proof of it, and not touched.
            try:
                self._write_head()
            except OSError:
                raise JournalError("journal_io")
        return True

    def declare(self, names: "list[str]") -> None:
        """The chain tells the damage of these segments now; no boot need tell it again."""
        try:
            for name in names:
                self._files.declare(int(name, 16))
        except OSError:
            raise JournalError("journal_io")

    def close(self) -> None:
        """For an orderly end; everything is durable without it."""
        self._files.close()

    # Recovery

    def _recover(self) -> bool:
        """Whether the head is proven."""
        for epoch, sequence in self._head_file.marks:
            self._marks[epoch] = sequence
        found = survey(self._files, self._is_freed_up_to)
        self._files.adopt(found.index, found.wrecks, found.last_number)
        self._uninspected = found.uninspected
        self._head = self._newest()
        proven = self._prove()
        if not proven:
            found.damage(found.in_doubt)
        self._clear_remains(found)
        for number in sorted(found.damaged):
            self._reader.quarantine(number)
        if proven and (not self._head_file.exists or self._head != self._head_file.head):
            # So that the next cut, too, finds the claim at most one record behind.
            self._write_head()
        return proven

    def _newest(self) -> "Head | None":
        segment = self._files.index.newest
        if segment is None:
            return None
        message = self._reader.read(segment.epoch, segment.last)
        if message is None:
            raise OSError(_EIO)
        return segment.epoch, segment.last, hashlib.sha256(message).digest()

    def _prove(self) -> bool:
        index = self._files.index
        newest = index.newest
        if newest is None:
            return self._head_file.proves(None, False, None)
        first_of_epoch = newest.first == newest.last
        previous_epoch = index[-2].epoch if first_of_epoch and len(index) > 1 else None
        return self._head_file.proves(self._head, first_of_epoch and len(index) == 1, previous_epoch)

    def _clear_remains(self, found: Survey) -> None:
        """Files with nothing in them but the remains of a write that was cut."""
        for wreck in list(self._files.wrecks):
            if wreck.number not in found.damaged:
                self._files.remove(wreck.number)

    # Inside

    def _check_place(self, epoch: bytes, sequence: int) -> None:
        if len(epoch) != journal_record.EPOCH_SIZE or not 0 <= sequence <= journal_record.MAX_SEQUENCE:
            raise JournalError("journal_sequence")
        if self._head is not None and epoch == self._head[0]:
            if not self._witnessing:
                raise JournalError("journal_head_unproven")
            if sequence != self._head[1] + 1:
                raise JournalError("journal_sequence")
        elif self._is_known_epoch(epoch):
            raise JournalError("journal_sequence")

    def _is_known_epoch(self, epoch: bytes) -> bool:
        claim = self._head_file.head
        claimed = claim is not None and claim[0] == epoch
        return claimed or epoch in self._marks or epoch in self._files.index.epochs()

    def _limit(self, reserved: bool) -> int:
        return self._capacity if reserved else self._capacity - self._reserve

    def _append(self, epoch: bytes, sequence: int, record: bytes, limit: int) -> "tuple[int, int]":
        while True:
            while self._files.used_bytes + self._files.growth(epoch, len(record)) > limit:
                if not self._files.reclaim(self._is_freed):
                    raise JournalError("journal_full")
            try:
                return self._files.append(epoch, sequence, record)
            except OSError as error:
                if error.errno != _ENOSPC:
                    raise
            # Others share the file system: there is less room than the capacity says.
            if not self._files.reclaim(self._is_freed):
                raise JournalError("journal_full")

    def _write_head(self) -> None:
        marks = [(epoch, self._marks[epoch]) for epoch in self._files.index.epochs() if epoch in self._marks]
        self._marks = dict(marks)
        self._head_file.write(self._head, marks)

    def _is_freed(self, segment: "Segment") -> bool:
        return self._is_freed_up_to(segment.epoch, segment.last)

    def _is_freed_up_to(self, epoch: bytes, sequence: int) -> bool:
        return sequence <= self._marks.get(epoch, -1)


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path)
    except OSError as error:
        if error.errno != _EEXIST:
            raise
