"""Reading the journal's segments: by place, in batches, with the damage that a read meets on its way.

The index knows segments, not records, so a record is found by scanning its segment. The last few places that
were met are remembered, which makes walking forward, as delivery and receipts do, a matter of one read.
"""

from meter_firmware import journal_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from meter_firmware.journal_index import Segment
    from meter_firmware.journal_segments import SegmentFiles

    Record = tuple[bytes, int, bytes]

_BATCH_BYTES = 2048
_PLACES_REMEMBERED = 4


class Reader:
    def __init__(self, files: "SegmentFiles") -> None:
        # Numbers of segments
        self.quarantined: "list[int]" = []
        self._files = files
        # (number, sequence, offset) where a record is known to begin, the latest first
        self._known: "list[tuple[int, int, int]]" = []

    def read(self, epoch: bytes, sequence: int) -> "bytes | None":
        segment = self._files.index.find(epoch, sequence)
        if segment is None:
            return None
        batch = self._batch(segment, sequence, 0)
        return batch[0][2] if batch and batch[0][1] == sequence else None

    def records_of(self, number: int, sequence: int, batch_bytes: int = _BATCH_BYTES) -> "Iterator[Record]":
        """The records of one segment from a sequence on; no file stays open between two batches."""
        while True:
            segment = self._files.index.from_number(number)
            if segment is None or segment.number != number:
                return
            batch = self._batch(segment, sequence, batch_bytes)
            if not batch:
                return
            yield from batch
            sequence = batch[-1][1] + 1

    def remember(self, number: int, sequence: int, offset: int) -> None:
        self._known.insert(0, (number, sequence, offset))
        del self._known[_PLACES_REMEMBERED:]

    def quarantine(self, number: int) -> None:
        if number not in self.quarantined:
            self.quarantined.append(number)

    def _batch(self, segment: "Segment", sequence: int, limit_bytes: int) -> "list[Record]":
        """Records from a sequence on up to a sum of message bytes; at least one if there is one."""
        batch: "list[Record]" = []
        if sequence > segment.last:
            return batch
        size = 0
        expected = max(sequence, segment.first)
        found = journal_record.scan(self._files.path(segment.number), self._nearest(segment.number, sequence))
        for offset, epoch, number, message in found:
            if epoch != segment.epoch or number < sequence or number > segment.last:
                continue
            size += len(message)
            if batch and size > limit_bytes:
                self.remember(segment.number, number, offset)
                break
            if number != expected:
                self.quarantine(segment.number)
            expected = number + 1
            batch.append((epoch, number, message))
            if number == segment.last:
                break
        found.close()
        if not batch:
            self.quarantine(segment.number)
        return batch

    def _nearest(self, number: int, sequence: int) -> int:
        best = (0, 0)
        for known_number, known_sequence, offset in self._known:
            if known_number == number and best[0] <= known_sequence <= sequence:
                best = (known_sequence, offset)
        return best[1]
