"""Writes that fail: a dying flash, a full file system that others use too, one that shows torn writes."""

import os

from journal_chip import (
    CAPACITY,
    MOUNT,
    RECORDS_PER_SEGMENT,
    SEGMENT,
    A,
    Mounted,
    fill,
    message,
    reason_of,
    sequences,
)
from journal_flash import EIO, PowerCut, RamFlash

from meter_firmware import journal_record
from meter_firmware.journal import Journal


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

    syncs_until_error = -1

    def ioctl(self, operation, argument):
        done = super().ioctl(operation, argument)
        if operation != 3:
            return done
        self.syncs_until_error -= 1
        return EIO if self.syncs_until_error == 0 else done


def test_an_error_after_the_commit_denies_nothing():
    flash = UnsureFlash(64, 4096)
    with Mounted(flash) as chip:
        journal = chip.open()
        fill(journal, A, 0, 3)
        # The first sync is the data's, the second the commit's.
        flash.syncs_until_error = 2
        assert reason_of(journal.append, A, 3, message(3)) == "journal_io"
        assert reason_of(journal.append, A, 3, message(77)) == "journal_io", "the record may be there"
        journal.close()
    with Mounted(flash) as chip:
        journal = chip.open()
        assert journal.recovered_head_proven
        assert journal.head == (A, 3, message(3)), "as it is"


def test_full_is_not_said_of_a_record_that_is_there():
    with Mounted() as chip:
        journal = chip.open()
        fill(journal, A, 0, 3)
        write = journal._files._write

        def write_and_complain(record):
            write(record)
            raise OSError(28)

        journal._files._write = write_and_complain
        assert reason_of(journal.append, A, 3, message(3)) == "journal_io"
        assert chip.open().head == (A, 3, message(3))


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
    root = "journal-on-the-host"
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
