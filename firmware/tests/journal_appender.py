"""A process of its own that appends to a journal for as long as it lives, and notes each append that returned.

Started by mp_test_journal_blockdev.py, which kills it: `journal_appender.py IMAGE NOTES`.
"""

import sys

from meter_firmware import blockdev
from meter_firmware.journal import Journal

BLOCKS = 128
CAPACITY = 256 * 1024
EPOCH = b"epoch--A"


def open_journal(image):
    device = blockdev.FileBlockDevice(image, BLOCKS, fsync=False)
    blockdev.mount(device, "/appender")
    return Journal("/appender/journal", CAPACITY)


def message(sequence):
    return bytes([(sequence + place) & 0xFF for place in range(330)])


def main(image, notes):
    journal = open_journal(image)
    sequence = journal.head[1] + 1 if journal.head else 0
    with open(notes, "ab") as file:  # noqa: PTH123  (MicroPython)
        while True:
            journal.append(EPOCH, sequence, message(sequence))
            # Unbuffered: the kernel has it even if the next instruction is never reached.
            file.write(b"a%d\n" % sequence)
            if sequence % 3 == 2:
                file.write(b"f%d\n" % (sequence - 1))
                journal.free(EPOCH, sequence - 1)
            sequence += 1


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
