"""What the journal says of flash that has rotted."""

import os

from journal_chip import (
    ROOT,
    SEGMENTS,
    A,
    B,
    Mounted,
    fill,
    flip,
    message,
    reason_of,
    record_size,
    rewrite,
    sequences,
)
from journal_flash import RamFlash

from meter_firmware import journal_record


def test_rot_inside_a_segment_costs_one_record():
    for receipted in (None, 19):
        with Mounted() as chip:
            journal = chip.open()
            fill(journal, A, 0, 50)
            if receipted is not None:
                journal.free(A, receipted)
            journal.close()
            rewrite(SEGMENTS + "/00000001", flip(5 * record_size() + 100))
            rewrite(SEGMENTS + "/00000002", flip(7 * record_size() + 3))
            journal = chip.open()
            found = ["00000001", "00000002"] if receipted is None else ["00000002"]
            assert journal.quarantined == found, journal.quarantined
            assert journal.recovered_head_proven
            assert journal.head == (A, 49, message(49))
            assert sequences(journal.records()) == [n for n in range(50) if n not in (5, 27)]
            assert "00000001" in journal.quarantined, "met at a read"
            assert journal.read(A, 5) is None
            assert journal.read(A, 6) == message(6)
            journal.append(A, 50, message(50))
            journal.free(A, 50)
            journal = chip.open()
            assert journal.quarantined == [], "nobody waits for it any more"


def test_rot_in_freed_records_is_met_at_a_read():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 30)
        journal.free(A, 29)
        journal.close()
        rewrite(SEGMENTS + "/00000001", flip(19 * record_size() + 30))
        journal = chip.open()
        assert journal.quarantined == []
        assert journal.read(A, 18) == message(18)
        assert journal.read(A, 19) is None
        assert journal.quarantined == ["00000001"]


def test_rot_where_the_next_record_is_hard_to_find():
    """The next magic lies across two windows of the search, or is met inside a message."""
    for size in range(224, 236):
        with Mounted() as chip:
            journal = chip.open()
            for sequence in range(4):
                journal.append(A, sequence, message(sequence, size))
            journal.append(A, 4, b"\xc5\x4a" * 40 + b"\xc5")
            journal.append(A, 5, message(5))
            journal.close()
            for damaged in (0, 4):
                rewrite(SEGMENTS + "/00000001", flip(damaged * (size + journal_record.OVERHEAD)))
            journal = chip.open()
            assert journal.quarantined == ["00000001"]
            assert sequences(journal.records()) == [1, 2, 3, 5]


def test_records_out_of_place_are_not_believed():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 5)
        journal.close()
        foreign = journal_record.encode(B, 5, b"another epoch's")
        rewrite(SEGMENTS + "/00000001", lambda content: content + content[: record_size()] + foreign)
        journal = chip.open()
        assert journal.quarantined == ["00000001"]
        assert journal.head == (A, 4, message(4))
        assert sequences(journal.records()) == [0, 1, 2, 3, 4]
        assert sequences(journal.pending(1 << 20)) == [0, 1, 2, 3, 4]


def test_rot_at_a_segments_ends():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 60)
        journal.close()
        rewrite(SEGMENTS + "/00000001", flip(19 * record_size()))
        rewrite(SEGMENTS + "/00000003", flip(1))
        journal = chip.open()
        assert journal.quarantined == ["00000001", "00000003"]
        assert sequences(journal.records()) == [n for n in range(60) if n not in (19, 40)]
        assert journal.first_unreceipted == (A, 0)
        journal.free(A, 18)
        assert journal.first_unreceipted == (A, 20)


def test_a_segment_without_an_intact_record():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 60)
        journal.close()
        rewrite(SEGMENTS + "/00000002", lambda content: bytes(len(content)))
        journal = chip.open()
        assert journal.quarantined == ["00000002"]
        assert sequences(journal.records()) == list(range(20)) + list(range(40, 60))
        os.remove(SEGMENTS + "/00000002")
        assert chip.open().quarantined == ["00000002"], "a file that is missing has a name, too"


def test_an_unreadable_segment_makes_room():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 60)
        journal.close()
        rewrite(SEGMENTS + "/00000001", lambda content: bytes(len(content)))
        journal = chip.open()
        sequence = 60
        while reason_of(journal.append, A, sequence, message(sequence)) is None:
            sequence += 1
        assert "00000001" not in os.listdir(SEGMENTS)
        assert sequences(journal.pending(1 << 20)) == list(range(20, sequence))


def test_lost_newest_record_is_noticed():
    for lose in (
        flip(9 * record_size() + 50),
        lambda content: content[: 9 * record_size()],
        lambda content: content[:-1],
        lambda content: content[: 5 * record_size()],
    ):
        with Mounted() as chip:
            journal = chip.open()
            fill(journal, A, 0, 30)
            journal.free(A, 3)
            last = journal.last_head_known
            journal.close()
            rewrite(SEGMENTS + "/00000002", lose)
            for _ in range(2):
                journal = chip.open()
                assert not journal.recovered_head_proven, "and it stays so until an epoch is opened"
                assert journal.last_head_known == last
                known = journal.head
                assert known[1] in (28, 24)
                assert known[2] == message(known[1])
                assert reason_of(journal.append, A, known[1] + 1, b"a fork") == "journal_head_unproven"
                assert reason_of(journal.append, A, 30, b"a gap") == "journal_head_unproven"
                journal.free(A, 4)
            journal.append(B, 0, b"a new epoch")
            journal.append(B, 1, b"goes on")
            assert journal.last_head_known[:2] == (B, 1)
            journal = chip.open()
            assert journal.recovered_head_proven
            assert journal.head == (B, 1, b"goes on")
            assert reason_of(journal.append, A, known[1] + 1, b"") == "journal_sequence"


def test_a_lost_journal_is_noticed():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 3)
        last = journal.last_head_known
        journal.close()
        os.remove(SEGMENTS + "/00000001")
        journal = chip.open()
        assert journal.head is None
        assert not journal.recovered_head_proven
        assert journal.last_head_known == last
        assert reason_of(journal.append, A, 3, b"") == "journal_sequence"
        journal.append(B, 0, b"")
        assert chip.open().recovered_head_proven


def test_a_lost_epoch_is_noticed():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 1)
        fill(journal, B, 0, 2)
        last = journal.last_head_known
        journal.close()
        os.remove(SEGMENTS + "/00000002")
        journal = chip.open()
        assert journal.head == (A, 0, message(0))
        assert not journal.recovered_head_proven
        assert journal.last_head_known == last


def test_another_message_in_the_newest_place_is_noticed():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 3)
        journal.close()
        other = journal_record.encode(A, 2, message(99))
        rewrite(SEGMENTS + "/00000001", lambda content: content[: -len(other)] + other)
        journal = chip.open()
        assert journal.head == (A, 2, message(99))
        assert not journal.recovered_head_proven


def test_a_head_file_from_the_past_proves_nothing():
    for lived in (0, 1, 2, 5):
        with Mounted() as chip:
            journal = chip.open()
            fill(journal, A, 0, lived)
            past = []
            for name in os.listdir(ROOT + "/head"):
                with open(ROOT + "/head/" + name, "rb") as file:
                    past.append((name, file.read()))
            fill(journal, A, lived, lived + 2)
            journal.close()
            for name in os.listdir(ROOT + "/head"):
                os.remove(ROOT + "/head/" + name)
            for name, content in past:
                with open(ROOT + "/head/" + name, "wb") as file:
                    file.write(content)
            journal = chip.open()
            assert not journal.recovered_head_proven
            assert journal.last_head_known[:2] == (A, lived + 1)


def test_a_lost_head_file_proves_nothing():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 3)
        journal.close()
        for name in os.listdir(ROOT + "/head"):
            os.remove(ROOT + "/head/" + name)
        journal = chip.open()
        assert journal.head == (A, 2, message(2))
        assert not journal.recovered_head_proven


def test_rot_in_the_newer_head_slot():
    for record_lost in (False, True):
        with Mounted() as chip:
            journal = chip.open()
            fill(journal, A, 0, 5)
            journal.close()
            # Five records and the birth of the journal make six generations: the newest is in slot b.
            rewrite(ROOT + "/head/b", flip(20))
            if record_lost:
                rewrite(SEGMENTS + "/00000001", flip(4 * record_size()))
            journal = chip.open()
            assert journal.head[1] == (3 if record_lost else 4)
            assert journal.recovered_head_proven == (not record_lost)


def test_rot_anywhere_in_the_last_append():
    """Bits of what the last append programmed, flipped: the newest record is there, or its loss is noticed."""
    flash = Recorder(64, 4096)
    with Mounted(flash) as chip:
        journal = chip.open()
        fill(journal, A, 0, 10)
        journal.close()
    with Mounted(flash) as chip:
        journal = chip.open()
        flash.programmed = []
        journal.append(A, 10, message(10, 60))
        journal.close()
    intact = bytes(flash.content)
    lost = 0
    for start, size in flash.programmed:
        # Metadata and the block's head to the byte, of the copied records a sample.
        for place in range(start, start + size, 1 if size < 128 else 17):
            rotten = RamFlash(64, 4096, intact)
            rotten.content[place] ^= 1 << (place % 8)
            with Mounted(rotten) as chip:
                journal = chip.open()
                if journal.head != (A, 10, message(10, 60)):
                    assert not journal.recovered_head_proven, place
                    assert journal.last_head_known[:2] == (A, 10)
                    lost += 1
                elif len(list(journal.records())) < 11:
                    assert journal.quarantined == ["00000001"]
                for _, sequence, found in journal.records():
                    assert found in (message(sequence), message(10, 60)), "believed what was never written"
    assert lost > 60, lost


class Recorder(RamFlash):
    def __init__(self, block_count, block_size):
        super().__init__(block_count, block_size)
        self.programmed = []

    def writeblocks(self, block, buffer, offset=0):
        self.programmed.append((block * self.block_size + offset, len(buffer)))
        return super().writeblocks(block, buffer, offset)
