"""The journal's rules, on a real LittleFS."""

import os

from journal_chip import (
    CAPACITY,
    RECORDS_PER_SEGMENT,
    ROOT,
    SEGMENT,
    SEGMENTS,
    A,
    B,
    Mounted,
    fill,
    message,
    reason_of,
    sequences,
)

from meter_firmware import journal_record
from meter_firmware.journal import Journal, segment_bytes_for


def test_empty():
    with Mounted() as chip:
        for journal in (chip.open(), chip.open()):
            assert journal.head is None
            assert journal.last_head_known is None
            assert journal.first_unreceipted is None
            assert journal.pending(1000) == []
            assert list(journal.records()) == []
            assert journal.read(A, 0) is None
            assert journal.recovered_head_proven
            assert journal.quarantined == []
            assert journal.used_bytes == 0
            assert journal.free(A, 0) is False


def test_append_and_read_back():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 50)
        for opened in (journal, chip.open()):
            assert opened.recovered_head_proven
            assert opened.head == (A, 49, message(49))
            assert opened.first_unreceipted == (A, 0)
            assert sequences(opened.records()) == list(range(50))
            assert sequences(opened.records((A, 33))) == list(range(33, 50))
            assert sequences(opened.records((A, 50))) == []
            for sequence in (0, 19, 20, 21, 49, 3):
                assert opened.read(A, sequence) == message(sequence)
            assert opened.read(A, 50) is None
            assert opened.read(B, 0) is None
        opened.append(A, 50, b"after the reboot")
        assert chip.open().head == (A, 50, b"after the reboot")


def test_pending_respects_its_limit():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 30)
        assert sequences(journal.pending(0)) == [0]
        assert sequences(journal.pending(379)) == [0]
        assert sequences(journal.pending(760)) == [0, 1]
        assert sequences(journal.pending(25 * 380 - 1)) == list(range(24))
        assert sequences(journal.pending(1 << 20)) == list(range(30))
        journal.free(A, 18)
        assert sequences(journal.pending(4 * 380)) == [19, 20, 21, 22]
        assert journal.pending(380) == [(A, 19, message(19))]


def test_sequences_are_strict():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 3)
        assert reason_of(journal.append, A, 2, b"again") == "journal_sequence"
        assert reason_of(journal.append, A, 4, b"a gap") == "journal_sequence"
        assert reason_of(journal.append, b"short", 3, b"") == "journal_sequence"
        assert reason_of(journal.append, B, -1, b"") == "journal_sequence"
        journal.append(B, 0, b"a new epoch")
        assert reason_of(journal.append, A, 3, b"the old epoch") == "journal_sequence"
        assert reason_of(chip.open().append, A, 3, b"the old epoch") == "journal_sequence"
        assert sequences(chip.open().records()) == [0, 1, 2, 0]


def test_record_size():
    with Mounted() as chip:
        journal = chip.open()
        assert reason_of(journal.append, A, 0, bytes(SEGMENT)) == "journal_record_size"
        assert reason_of(journal.append, A, 0, bytes(70000)) == "journal_record_size"
        assert journal.used_bytes == 0
        largest = SEGMENT - 2 * 8 - journal_record.OVERHEAD
        journal.append(A, 0, bytes(largest))
        assert journal.used_bytes == SEGMENT
        assert reason_of(journal.append, A, 1, bytes(largest + 1)) == "journal_record_size"
        assert chip.open().head == (A, 0, bytes(largest))


def test_capacity_must_fit():
    with Mounted():
        for capacity in (2 * SEGMENT, 256 * 1024, 64 * 4096 - 15 * 4096):
            try:
                Journal(ROOT, capacity, SEGMENT)
                raise AssertionError(capacity)
            except ValueError:
                pass


def test_full_says_so_and_keeps_the_reserve():
    with Mounted() as chip:
        journal = chip.open()
        count = 0
        while reason_of(journal.append, A, count, message(count)) is None:
            count += 1
        assert reason_of(journal.append, A, count, message(count)) == "journal_full"
        assert journal.used_bytes == CAPACITY - 4096
        assert sequences(journal.records()) == list(range(count)), "nothing was dropped"

        reserved = 0
        while reason_of(journal.append, A, count + reserved, message(reserved), True) is None:
            reserved += 1
        assert reserved >= 9
        assert reason_of(journal.append, A, count + reserved, message(0), True) == "journal_full"
        assert journal.used_bytes == CAPACITY
        reopened = chip.open()
        assert sequences(reopened.pending(1 << 20)) == list(range(count + reserved))
        assert reason_of(reopened.append, A, count + reserved, message(0)) == "journal_full"


def test_freed_is_overwritten_oldest_first_and_only_for_room():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 60)
        assert journal.free(A, 45)
        assert journal.first_unreceipted == (A, 46)
        assert sequences(journal.records()) == list(range(60)), "there is room: nothing goes"
        assert journal.read(A, 0) == message(0)
        sequence = 60
        while journal.read(A, 0):
            journal.append(A, sequence, message(sequence))
            sequence += 1
        assert journal.used_bytes > CAPACITY - 2 * 4096 - SEGMENT
        assert sequences(journal.records()) == list(range(RECORDS_PER_SEGMENT, sequence))
        while reason_of(journal.append, A, sequence, message(sequence)) is None:
            sequence += 1
        # The third segment holds 40..59, and 46 is not receipted.
        assert sequences(chip.open().records()) == list(range(2 * RECORDS_PER_SEGMENT, sequence))
        assert journal.read(A, 45) == message(45)


def test_runs_in_a_ring():
    with Mounted() as chip:
        journal = chip.open()
        for sequence in range(600):
            journal.append(A, sequence, message(sequence))
            journal.free(A, sequence)
            assert journal.first_unreceipted is None
        assert journal.used_bytes <= CAPACITY
        reopened = chip.open()
        assert reopened.head == (A, 599, message(599))
        assert reopened.first_unreceipted is None
        assert reopened.recovered_head_proven


def test_resumes_when_freed():
    with Mounted() as chip:
        journal = chip.open()
        count = 0
        while reason_of(journal.append, A, count, message(count)) is None:
            count += 1
        journal.free(A, 10)
        assert reason_of(journal.append, A, count, message(count)) == "journal_full", "the segment is in use"
        journal.free(A, RECORDS_PER_SEGMENT - 1)
        fill(journal, A, count, count + 5)
        assert chip.open().first_unreceipted == (A, RECORDS_PER_SEGMENT)


def test_receipt_mark_survives_and_never_goes_back():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 30)
        assert journal.free(A, 17) is True
        journal = chip.open()
        assert journal.first_unreceipted == (A, 18)
        assert journal.free(A, 17) is False
        assert journal.free(A, 3) is False
        assert journal.first_unreceipted == (A, 18)
        assert reason_of(journal.free, A, 30) == "journal_not_stored"
        assert journal.free(B, 5) is False
        journal.free(A, 29)
        for opened in (journal, chip.open()):
            assert opened.first_unreceipted is None
            assert opened.pending(1000) == []
        opened.append(A, 30, message(30))
        assert opened.first_unreceipted == (A, 30)


def test_epochs_wait_for_their_own_receipts():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 25)
        fill(journal, B, 0, 25)
        journal.free(B, 9)
        for opened in (journal, chip.open()):
            assert opened.first_unreceipted == (A, 0)
            places = [(record[0], record[1]) for record in opened.pending(1 << 20)]
            assert places == [(A, n) for n in range(25)] + [(B, n) for n in range(10, 25)]
            places = [(record[0], record[1]) for record in opened.records((A, 25))]
            assert places == [(B, n) for n in range(25)]
            assert len(list(opened.records((b"no-epoch", 7)))) == 50
        opened.free(A, 24)
        assert chip.open().first_unreceipted == (B, 10)


def test_freed_segments_go_although_an_older_epoch_waits():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 5)
        sequence = 0
        while sequence < 300:
            journal.append(B, sequence, message(sequence))
            journal.free(B, sequence)
            sequence += 1
        assert sequences(journal.pending(1 << 20)) == [0, 1, 2, 3, 4]
        assert chip.open().first_unreceipted == (A, 0)
        assert chip.open().quarantined == []


def test_the_newest_segment_is_never_given_up():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 4 * RECORDS_PER_SEGMENT)
        for sequence in range(RECORDS_PER_SEGMENT):
            journal.append(B, sequence, message(sequence), True)
            journal.free(B, sequence)
        assert reason_of(journal.append, B, sequence + 1, message(0), True) == "journal_full"
        assert journal.head == (B, sequence, message(sequence))
        assert len(journal.pending(1 << 20)) == 4 * RECORDS_PER_SEGMENT


def test_iteration_outlives_changes():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 60)
        journal.free(A, 59)
        seen = []
        for epoch, sequence, found in journal.records():
            assert epoch == A
            assert found == message(sequence)
            seen.append(sequence)
            if len(seen) <= 60:
                journal.append(A, 59 + len(seen), message(59 + len(seen)))
        assert seen[-1] == 119
        assert seen == sorted(set(seen))


def test_index_is_small():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 80)
        assert len(os.listdir(SEGMENTS)) == 4
        assert len(journal._files.index) == 4
        assert len(journal._reader._known) <= 4


def test_segments_grow_with_the_capacity_so_that_they_are_few():
    for mebibytes, kibibytes in ((1, 16), (4, 16), (8, 64), (16, 64), (64, 256)):
        assert segment_bytes_for(mebibytes << 20) == kibibytes << 10
        assert (mebibytes << 20) // segment_bytes_for(mebibytes << 20) <= 256
