"""A journal's life for the power cuts: appends, receipts that lag behind, a new epoch, segments given up."""

import vfs
from flash_record import Recorder
from power_cuts import Recording

from meter_firmware import blockdev
from meter_firmware.journal import Journal

MOUNT = "/cut"


class JournalScenario:
    """A chip, a journal that fills it, and messages that make it give up segments within the steps."""

    def __init__(self, block_count, block_size, capacity, segment, message_size, steps):
        self._block_count = block_count
        self._block_size = block_size
        self._capacity = capacity
        self._segment = segment
        self._message_size = message_size
        self._steps = steps

    def record(self):
        recording = Recording(Recorder(self._block_count, self._block_size))
        journal = self._boot(recording.flash)
        self._run(journal, recording, self._steps)
        assert next(journal.records())[1] > 0, "no segment was given up"
        recording.check_journal(journal)
        power_off()
        return recording

    def live(self, device, promises):
        try:
            journal = self._boot(device)
            promises.settle(lambda record: record == journal.head)
            self._run(journal, promises, 6)
        finally:
            power_off()

    def check(self, chip, promises):
        journal = self._boot(chip)
        promises.settle(lambda record: record == journal.head)
        promises.check_journal(journal)
        self._run(journal, promises, 12)
        power_off()
        promises.check_journal(self._boot(chip))
        power_off()

    def _boot(self, device):
        blockdev.mount(device, MOUNT)
        return Journal(MOUNT + "/journal", self._capacity, self._segment, self._block_size)

    def _run(self, journal, promises, steps):
        for step in range(steps):
            epoch, sequence = _next_place(promises.records)
            promises.note("try", (epoch, sequence, self._message(len(promises.records))))
            journal.append(*promises.trying, step % 9 == 8)
            promises.note("append", None)
            if step % 4 == 3:
                for behind in (12, 6):
                    epoch, sequence, _ = promises.records[max(0, len(promises.records) - behind)]
                    promises.note("free", (epoch, sequence))
                    journal.free(epoch, sequence)

    def _message(self, number):
        size = self._message_size + number * 37 % 120
        return bytes([(number * 7 + place) & 0xFF for place in range(size)])


# Blocks so small that LittleFS meets every one of its cases soon; the head file's slots are files with blocks.
SMALL = JournalScenario(96, 512, 10 * 1024, 2048, 90, 70)
# As on a board: the slots live in their directory's log.
BOARD = JournalScenario(28, 4096, 36 * 1024, 8192, 500, 70)


def _next_place(records):
    if len(records) == 40:
        return b"epoch-01", 0
    return (records[-1][0], records[-1][1] + 1) if records else (b"epoch-00", 0)


def power_off():
    for _, mount_point in vfs.mount():
        if mount_point == MOUNT:
            vfs.umount(MOUNT)
