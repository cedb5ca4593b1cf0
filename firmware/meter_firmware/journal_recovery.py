"""What a journal's files say after a reboot: which segments there are, and which of them are damaged.

Bytes that are no record are the remains of a write that was cut if no sequence is missing around them, and
damage if one is. (On LittleFS only damage occurs: it shows a write whole or not at all.) So:

1. The first intact record of every file gives its epoch and first sequence. Files of size 0 are removed, but
   for those that stand for records whose loss the chain has told, while there are others on both sides.
2. A segment that is receipted as a whole is not read further: nobody waits for its records. Of the others the
   first megabyte is read, the oldest first, which is sent first, and so is every segment whose end no neighbour
   tells, the newest among them. What is left is inspected while the meter runs: a boot takes seconds however
   large the chip, and damage is told all the same.
3. A sequence missing inside a segment, or between two of one epoch, is damage. So is anything unaccounted for
   at an epoch's end, except at the newest segment's: whether something was lost there, the head file decides.
"""

import os

from meter_firmware import journal_record
from meter_firmware.journal_index import Index, Segment
from meter_firmware.journal_segments import Wreck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

    from meter_firmware.journal_segments import SegmentFiles

    Start = tuple[int, bytes, int]
    Entry = tuple[int, int, Start | None]

READ_AT_BOOT_BYTES = 1 << 20


class Survey:
    """`damaged` and `uninspected` are file numbers, `in_doubt` the files with the bytes after the last record."""

    def __init__(self) -> None:
        self.index = Index()
        self.wrecks: "list[Wreck]" = []
        self.damaged: "list[int]" = []
        self.uninspected: "list[int]" = []
        self.in_doubt: "list[int]" = []
        self.last_number = 0

    def damage(self, numbers: "list[int]") -> None:
        for number in numbers:
            if number not in self.damaged:
                self.damaged.append(number)


def survey(files: "SegmentFiles", is_freed_up_to: "Callable[[bytes, int], bool]") -> Survey:
    result = Survey()
    to_read = READ_AT_BOOT_BYTES
    remains: "list[int]" = []
    told: "list[int]" = []
    for (number, size, start), following in _with_following(_starts(files, result)):
        if start is None:
            if size == 0:
                told.append(number)
            else:
                result.wrecks.append(Wreck(number, size))
                remains.append(number)
            continue
        offset, epoch, first = start
        before = result.index.newest
        if before is not None and before.epoch == epoch:
            # One object for all of them: a thousand copies would take a board's heap.
            epoch = before.epoch
        last, end = _last_as_told(number, start, following), size
        if last is None or (to_read > 0 and not is_freed_up_to(epoch, last)):
            to_read -= size
            last, end, whole = _walk(files.path(number), start)
            if not whole:
                result.damage([number])
        elif not is_freed_up_to(epoch, last):
            result.uninspected.append(number)
        segment = Segment(number, epoch, first, last, size)
        _judge_border(files, result, segment, remains + ([number] if offset else []), told)
        result.index.add(segment)
        remains = [number] if end < size else []
        told = []
    _forget(files, told)
    result.in_doubt = remains
    return result


def _starts(files: "SegmentFiles", result: Survey) -> "Iterator[Entry]":
    """Step 1: number, size, and (offset, epoch, sequence) of the first record."""
    for number in files.numbers():
        result.last_number = number
        size, found = journal_record.first(files.path(number))
        if size == 0 and number not in files.declared:
            os.remove(files.path(number))
            continue
        # The message's bytes are of no use here, and there may be hundreds of them.
        start = None if found is None else found[:3]
        yield number, size, start


def _with_following(entries: "Iterator[Entry]") -> "Iterator[tuple[Entry, Entry | None]]":
    here = None
    for entry in entries:
        if here is not None:
            yield here, entry
        here = entry
    if here is not None:
        yield here, None


def _last_as_told(number: int, start: "Start", following: "Entry | None") -> "int | None":
    """Step 2: the last sequence as the very next file tells it, which goes on in the same epoch."""
    if following is None or following[2] is None or following[2][1] != start[1] or following[0] != number + 1:
        return None
    last = following[2][2] - 1
    return last if last >= start[2] else None


def _walk(path: str, start: "Start") -> "tuple[int, int, bool]":
    """The last sequence, where its record ends, and whether none is missing between."""
    offset, epoch, last = start
    end = offset
    whole = True
    for position, found_epoch, sequence, message in journal_record.scan(path, offset):
        if position > offset:
            if found_epoch != epoch or sequence <= last:
                whole = False
                continue
            whole = whole and sequence == last + 1
        last = sequence
        end = position + journal_record.size_of(message)
    return last, end, whole


def _judge_border(
    files: "SegmentFiles", result: Survey, segment: "Segment", remains: "list[int]", told: "list[int]"
) -> None:
    """Step 3 for what lies between this segment's first record and the last record before it."""
    before = result.index.newest
    same_epoch = before is not None and before.epoch == segment.epoch
    if before and same_epoch and before.last + 1 == segment.first:
        _forget(files, told)
        return
    result.damage(remains)
    if before and same_epoch:
        result.damage(told)
        if not remains and not told:
            # A whole file is missing; its name is told although it is not there.
            result.damage([before.number + 1])
    else:
        _forget(files, told)


def _forget(files: "SegmentFiles", told: "list[int]") -> None:
    for number in told:
        os.remove(files.path(number))
        files.forget(number)
