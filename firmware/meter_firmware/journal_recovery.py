"""What a journal's files say after a reboot: which segments there are, and which of them are damaged.

Bytes that are no record are the remains of a write that was cut if no sequence is missing around them, and
damage if one is. (On LittleFS only damage occurs: it shows a write whole or not at all.) So:

1. The first intact record of every file gives its epoch and first sequence. Files of size 0 are removed.
2. A segment that is receipted as a whole is not read further; on a large chip that would take a minute a
   boot, for records that nobody waits for. Every other segment is read to its end, each record checked.
3. A sequence missing inside a segment, or between two of one epoch, is damage. So is anything unaccounted for
   at an epoch's end, except at the newest segment's: whether something was lost there, the head file decides.
"""

import os

from meter_firmware import journal_record
from meter_firmware.journal_segments import Segment, Wreck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from meter_firmware.journal_segments import SegmentFiles

    Start = tuple[int, bytes, int]


class Survey:
    """`damaged` are file numbers. `in_doubt`: the files that the bytes after the very last record belong to."""

    def __init__(self) -> None:
        self.segments: "list[Segment]" = []
        self.wrecks: "list[Wreck]" = []
        self.damaged: "list[int]" = []
        self.in_doubt: "list[int]" = []
        self.last_number = 0

    def damage(self, numbers: "list[int]") -> None:
        for number in numbers:
            if number not in self.damaged:
                self.damaged.append(number)


def survey(files: "SegmentFiles", is_freed_up_to: "Callable[[bytes, int], bool]") -> Survey:
    result = Survey()
    starts = _starts(files, result)
    remains: "list[int]" = []
    for place, (number, size, start) in enumerate(starts):
        if start is None:
            result.wrecks.append(Wreck(number, size))
            remains.append(number)
            continue
        offset, epoch, first = start
        last = _last_if_freed(starts, place, is_freed_up_to)
        end = size
        if last is None:
            last, end, whole = _walk(files.path(number), start)
            if not whole:
                result.damage([number])
        segment = Segment(number, epoch, first, last, size)
        _judge_border(result, segment, remains + ([number] if offset else []))
        result.segments.append(segment)
        remains = [number] if end < size else []
    result.in_doubt = remains
    return result


def _starts(files: "SegmentFiles", result: Survey) -> "list[tuple[int, int, Start | None]]":
    """Step 1: number, size, and (offset, epoch, sequence) of the first record."""
    starts = []
    for number in files.numbers():
        result.last_number = number
        try:
            size = files.size_on_flash(number)
        except OSError:
            size = files.block_size
        if size == 0:
            os.remove(files.path(number))
            continue
        start = None
        records = journal_record.scan(files.path(number))
        for offset, epoch, sequence, _ in records:
            start = (offset, epoch, sequence)
            break
        records.close()
        starts.append((number, size, start))
    return starts


def _last_if_freed(
    starts: "list[tuple[int, int, Start | None]]", place: int, is_freed_up_to: "Callable[[bytes, int], bool]"
) -> "int | None":
    """Step 2: the last sequence as the next segment tells it, if all up to there is receipted."""
    if place + 1 == len(starts):
        return None
    here, following = starts[place][2], starts[place + 1][2]
    if here is None or following is None or here[1] != following[1]:
        return None
    last = following[2] - 1
    return last if last >= here[2] and is_freed_up_to(here[1], last) else None


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


def _judge_border(result: Survey, segment: "Segment", remains: "list[int]") -> None:
    """Step 3 for what lies between this segment's first record and the last record before it."""
    before = result.segments[-1] if result.segments else None
    same_epoch = before is not None and before.epoch == segment.epoch
    if before and same_epoch and before.last + 1 == segment.first:
        return
    result.damage(remains)
    if before and same_epoch and not remains:
        # A whole file is missing; its name is told although it is not there.
        result.damage([before.number + 1])
