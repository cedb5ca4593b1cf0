"""Damage that the chain has told is not told again, and what a boot had no time to read is read after it."""

import os

from journal_chip import (
    RECORDS_PER_SEGMENT,
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

from meter_firmware import journal_record, journal_recovery


def names():
    return sorted(os.listdir(SEGMENTS))


def damaged(chip, *numbers):
    """Three segments and a bit, the sixth record of some of them rotten."""
    journal = chip.open()
    fill(journal, A, 0, 65)
    journal.close()
    for number in numbers:
        rewrite(SEGMENTS + "/%08x" % number, flip(5 * record_size() + 40))
    return chip.open()


def test_told_damage_stays_told_over_boots():
    with Mounted() as chip:
        journal = damaged(chip, 1, 3)
        assert journal.undeclared == journal.quarantined == ["00000001", "00000003"]
        assert chip.open().undeclared == ["00000001", "00000003"], "nobody has told it"
        journal = chip.open()
        journal.declare(["00000003"])
        assert names() == ["00000001", "00000002", "00000003.q", "00000004"]
        for opened in (journal, chip.open(), chip.open()):
            assert opened.quarantined == ["00000001", "00000003"]
            assert opened.undeclared == ["00000001"]
            # What is intact in it is served as ever.
            assert opened.read(A, 44) == message(44)
            assert opened.read(A, 45) is None
            assert sequences(opened.pending(1 << 20)) == [n for n in range(65) if n not in (5, 45)]
        opened.declare(["00000001", "00000003"])
        assert chip.open().undeclared == []


def test_the_newest_segment_takes_records_after_its_damage_was_told():
    with Mounted() as chip:
        journal = damaged(chip)
        fill(journal, A, 65, 67)
        rewrite(SEGMENTS + "/00000004", flip(record_size() + 40))
        journal = chip.open()
        assert journal.undeclared == ["00000004"]
        fill(journal, A, 67, 68)
        journal.declare(["00000004"])
        fill(journal, A, 68, 72)
        assert names()[-1] == "00000004.q"
        journal = chip.open()
        assert journal.recovered_head_proven
        assert journal.head == (A, 71, message(71))
        assert journal.undeclared == []
        assert sequences(journal.records((A, 60))) == [n for n in range(60, 72) if n != 61]


def test_damage_met_at_a_read_is_there_to_be_told():
    with Mounted() as chip:
        journal = damaged(chip)
        journal.free(A, 64)
        rewrite(SEGMENTS + "/00000002", flip(5 * record_size() + 40))
        journal = chip.open()
        assert journal.undeclared == []
        assert len(list(journal.records())) == 64
        assert journal.undeclared == ["00000002"]
        journal.declare(journal.undeclared)
        journal = chip.open()
        assert len(list(journal.records())) == 64
        assert journal.undeclared == []


def test_room_is_made_of_what_was_told_and_freed():
    with Mounted() as chip:
        journal = damaged(chip, 1)
        journal.declare(["00000001"])
        journal.free(A, 64)
        sequence = 65
        while "00000001.q" in names():
            journal.append(A, sequence, message(sequence))
            sequence += 1
        assert journal._files.declared == []
        reopened = chip.open()
        assert reopened.quarantined == []
        assert reopened.used_bytes == journal.used_bytes


def test_a_segment_that_is_gone_is_told_once():
    """Lost as a file, or as bytes, and the bytes given up for room: its name stays, and takes none."""
    for lose in (os.remove, lambda path: rewrite(path, lambda content: bytes(len(content)))):
        with Mounted() as chip:
            damaged(chip)
            lose(SEGMENTS + "/00000002")
            journal = chip.open()
            assert journal.undeclared == ["00000002"]
            journal.declare(journal.undeclared)
            assert chip.open().undeclared == []
            journal = chip.open()
            sequence = 65
            while reason_of(journal.append, A, sequence, message(sequence)) is None:
                sequence += 1
            assert os.stat(SEGMENTS + "/00000002.q")[6] == 0
            for _ in range(2):
                journal = chip.open()
                assert journal.quarantined == ["00000002"]
                assert journal.undeclared == []
                assert sequences(journal.records()) == list(range(20)) + list(range(40, sequence))
            # With the records before it its name goes, too.
            journal.free(A, 45)
            while "00000001" in names():
                journal.append(A, sequence, message(sequence))
                sequence += 1
            assert chip.open().quarantined == []
            assert "00000002.q" not in names()


def test_a_name_that_stands_for_lost_records_goes_with_its_epoch():
    with Mounted() as chip:
        journal = damaged(chip)
        os.remove(SEGMENTS + "/00000002")
        chip.open().declare(["00000002"])
        journal = chip.open()
        journal.append(B, 0, message(0))
        journal.free(A, 64)
        sequence = 1
        while "00000003" in names():
            journal.append(B, sequence, message(sequence))
            sequence += 1
        journal = chip.open()
        assert journal.quarantined == []
        assert [name for name in names() if name.endswith(".q")] == []


class Limited:
    """Boots that read less than the chip holds."""

    def __init__(self, size):
        self._size = size

    def __enter__(self):
        self._real = journal_recovery.READ_AT_BOOT_BYTES
        journal_recovery.READ_AT_BOOT_BYTES = self._size

    def __exit__(self, *_):
        journal_recovery.READ_AT_BOOT_BYTES = self._real


def test_what_the_boot_does_not_read_is_read_after_it():
    with Mounted() as chip, Limited(8000):
        journal = damaged(chip, 1, 2, 3)
        assert journal.quarantined == ["00000001"], "the oldest is read, the newest, and no more"
        assert sequences(journal.pending(1 << 20))[:6] == [0, 1, 2, 3, 4, 6]
        journal = chip.open()
        while journal.inspect():
            pass
        assert journal.quarantined == ["00000001", "00000002", "00000003"]
        assert not journal.inspect()


def test_a_boot_reads_one_record_of_every_segment_and_the_newest_whole():
    record_at, read = journal_record._record_at, []
    with Mounted() as chip, Limited(1):
        damaged(chip)
        journal_record._record_at = lambda *arguments: read.append(1) or record_at(*arguments)
        try:
            chip.open()
        finally:
            journal_record._record_at = record_at
    # Four segments; the oldest is within the limit, the newest holds five records, its last is the head.
    assert len(read) == 4 + RECORDS_PER_SEGMENT + 5 + 5, len(read)


def test_inspection_lives_with_what_changes_meanwhile():
    with Mounted() as chip, Limited(1):
        journal = damaged(chip, 3)
        steps = 0
        while journal.inspect():
            steps += 1
            journal.append(A, 64 + steps, message(64 + steps))
            journal.free(A, 30)
        assert steps >= 30, steps
        assert journal.quarantined == ["00000003"]


def test_an_end_that_a_neighbour_cannot_tell_is_read_at_boot():
    """The last record of a segment rots, and then the whole of the next one is lost: which is which?"""
    with Mounted() as chip, Limited(1):
        journal = damaged(chip)
        rewrite(SEGMENTS + "/00000002", flip(19 * record_size() + 40))
        os.remove(SEGMENTS + "/00000003")
        journal = chip.open()
        assert journal.quarantined == ["00000002"]
        assert sequences(journal.records()) == list(range(39)) + list(range(60, 65))
        assert journal.read(A, 50) is None
