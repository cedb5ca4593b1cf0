"""Fills a journal on a chip in a file, on MicroPython, as the app opens it.

Arguments: the file, the capacity in bytes, and the bytes of a message. Prints how many messages there was room
for, how many segments they are in, and the milliseconds of the next boot and of a look-up.
"""

import sys
import time

import vfs

from meter_firmware import blockdev
from meter_firmware.app import RESERVE_BYTES
from meter_firmware.journal import Journal
from meter_sampling.journal_error import JournalError

EPOCH = b"epoch--A"


def main(path, capacity_bytes, message_bytes):
    # What boards/unix gives a journal.
    device = blockdev.FileBlockDevice(path, capacity_bytes * 5 // 4 // 4096 + 32, fsync=False)
    blockdev.mount(device, "/fill")
    journal = Journal("/fill/journal", capacity_bytes, reserve_bytes=RESERVE_BYTES)
    count = 0
    try:
        while True:
            journal.append(EPOCH, count, bytes(message_bytes))
            count += 1
    except JournalError as error:
        if error.reason != "journal_full":
            raise
    journal.close()
    vfs.umount("/fill")
    start = time.ticks_ms()
    blockdev.mount(device, "/fill")
    journal = Journal("/fill/journal", capacity_bytes, reserve_bytes=RESERVE_BYTES)
    booted = time.ticks_ms()
    places = [(count * part // 10) for part in range(10)]
    for place in places:
        assert next(journal.records((EPOCH, place)))[1] == place
    looked = time.ticks_ms()
    assert journal.recovered_head_proven
    assert journal.first_unreceipted == (EPOCH, 0)
    assert journal.read(EPOCH, count - 1) == bytes(message_bytes)
    segments = len(journal._files.index)
    print(count, segments, time.ticks_diff(booted, start), time.ticks_diff(looked, booted) / len(places))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
