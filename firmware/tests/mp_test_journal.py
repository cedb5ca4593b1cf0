"""The journal's rules on a real LittleFS, and what it says of flash that was damaged."""

import os

import vfs
from journal_flash import EIO, PowerCut, RamFlash

from meter_firmware import blockdev, journal_record
from meter_firmware.journal import Journal, JournalError

MOUNT = "/ram"
ROOT = MOUNT + "/journal"
SEGMENTS = ROOT + "/segments"
A = b"epoch--A"
B = b"epoch--B"
CAPACITY = 40 * 1024
SEGMENT = 8192
RECORDS_PER_SEGMENT = 20


class Mounted:
    """A formatted chip of 256 KiB, mounted for the length of a test."""

    def __init__(self, flash=None):
        self.flash = flash or RamFlash(64, 4096)

    def __enter__(self):
        blockdev.mount(self.flash, MOUNT)
        return self

    def __exit__(self, *_):
        vfs.umount(MOUNT)

    def open(self):
        return Journal(ROOT, CAPACITY, SEGMENT)


def message(sequence, size=380):
    return bytes([(sequence + place) & 0xFF for place in range(size)])


def fill(journal, epoch, start, stop):
    for sequence in range(start, stop):
        journal.append(epoch, sequence, message(sequence))


def reason_of(call, *arguments):
    try:
        call(*arguments)
    except JournalError as error:
        return error.reason
    return None


def sequences(records):
    return [record[1] for record in records]


def rewrite(path, change):
    """Rot, as far as a file system lets one make it: the file's bytes changed, its length kept or cut."""
    with open(path, "rb") as file:
        content = bytearray(file.read())
    content = change(content)
    with open(path, "wb") as file:
        file.write(content)


def flip(offset):
    def change(content):
        content[offset] ^= 0x10
        return content

    return change


def record_size():
    return journal_record.size_of(message(0))


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
        fill(journal, A, 0, 3 * RECORDS_PER_SEGMENT)
        sequence = 0
        while reason_of(journal.append, B, sequence, message(sequence), True) is None:
            journal.free(B, sequence)
            sequence += 1
        assert sequence == 2 * RECORDS_PER_SEGMENT
        assert journal.head == (B, sequence - 1, message(sequence - 1))
        assert len(journal.pending(1 << 20)) == 3 * RECORDS_PER_SEGMENT


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


def test_flash_that_fails_closes_the_journal():
    flash = RamFlash(64, 4096)
    with Mounted(flash) as chip:
        journal = chip.open()
        fill(journal, A, 0, 3)
        journal.close()
    failing = PowerCut(flash, 2, "before")
    with Mounted(failing) as chip:
        journal = chip.open()
        assert reason_of(journal.append, A, 3, message(3)) == "journal_io"
        failing.dead = False
        assert reason_of(journal.append, A, 3, message(77)) == "journal_io", "the record may be there"
        journal.close()
    with Mounted(flash) as chip:
        journal = chip.open()
        assert journal.recovered_head_proven
        assert journal.head == (A, 2, message(2))
        journal.append(A, 3, message(3))
        assert chip.open().head == (A, 3, message(3))


class UnsureFlash(RamFlash):
    """Reports an error after having done the work, as a bus does that breaks at the last moment."""

    failing = False

    def ioctl(self, operation, argument):
        done = super().ioctl(operation, argument)
        return EIO if operation == 3 and self.failing else done


def test_an_error_after_the_commit_denies_nothing():
    flash = UnsureFlash(64, 4096)
    with Mounted(flash) as chip:
        journal = chip.open()
        fill(journal, A, 0, 3)
        flash.failing = True
        assert reason_of(journal.append, A, 3, message(3)) == "journal_io"
        flash.failing = False
        assert reason_of(journal.append, A, 3, message(77)) == "journal_io", "the record may be there"
        journal.close()
    with Mounted(flash) as chip:
        journal = chip.open()
        assert journal.recovered_head_proven
        assert journal.head == (A, 3, message(3)), "as it is"


def test_others_on_the_file_system_make_it_full_not_broken():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 45)
        with open(MOUNT + "/ballast", "wb") as ballast:
            try:
                while True:
                    ballast.write(bytes(1024))
                    ballast.flush()
            except OSError:
                pass
        sequence = 45
        while reason_of(journal.append, A, sequence, message(sequence)) is None:
            sequence += 1
        assert journal.used_bytes < CAPACITY - 2 * 4096, "not by its own count"
        assert reason_of(journal.append, A, sequence, message(sequence)) == "journal_full"
        assert sequences(journal.records()) == list(range(sequence))
        journal.free(A, 25)
        journal.append(A, sequence, message(sequence))
        assert sequences(chip.open().records()) == list(range(RECORDS_PER_SEGMENT, sequence + 1))
        assert chip.open().recovered_head_proven


def test_torn_tail_on_a_file_system_that_tears():
    """The host's own file system shows a half-written record; LittleFS never does."""
    root = "carbonmeter-journal-%d" % os.getpid() if hasattr(os, "getpid") else "carbonmeter-journal-test"
    remove_tree(root)
    try:
        journal = Journal(root, CAPACITY, SEGMENT)
        fill(journal, A, 0, 30)
        journal.close()
        record = journal_record.encode(A, 30, message(30))
        for cut in (1, 3, 19, 25, 200, len(record) - 1):
            with open(root + "/segments/00000002", "ab") as file:
                file.write(record[:cut])
            journal = Journal(root, CAPACITY, SEGMENT)
            assert journal.quarantined == []
            assert journal.recovered_head_proven
            assert journal.head == (A, 29, message(29))
        journal.append(A, 30, message(30))
        journal.close()
        for number in (3, 4):
            with open(root + "/segments/%08x" % number, "wb") as file:
                file.write(record[:200])
        journal = Journal(root, CAPACITY, SEGMENT)
        assert journal.quarantined == []
        assert journal.recovered_head_proven
        assert sequences(journal.records()) == list(range(31))
        assert sorted(os.listdir(root + "/segments")) == ["00000001", "00000002"]
        fill(journal, A, 31, 60)
        journal.close()
        assert Journal(root, CAPACITY, SEGMENT).quarantined == []
    finally:
        remove_tree(root)


def remove_tree(path):
    try:
        names = os.listdir(path)
    except OSError:
        return
    for name in names:
        child = path + "/" + name
        if os.stat(child)[0] & 0x4000:
            remove_tree(child)
        else:
            os.remove(child)
    os.rmdir(path)
