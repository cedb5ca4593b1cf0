"""A chip with a journal on it, and ways to let it rot; for the journal's tests."""

import vfs
from journal_flash import RamFlash

from meter_firmware import blockdev, journal_record
from meter_firmware.journal import Journal
from meter_sampling.journal_error import JournalError

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
    with open(path, "rb") as file:  # noqa: PTH123  (MicroPython)
        content = bytearray(file.read())
    content = change(content)
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(content)


def flip(offset):
    def change(content):
        content[offset] ^= 0x10
        return content

    return change


def record_size():
    return journal_record.size_of(message(0))
