"""Power is cut before, inside and after flash operations; the journal's promises hold at every boot after it.

By default a sample of the operations is cut, spread over the whole scenario; EXHAUSTIVE=1 cuts every one.
"""

import os
import random

import vfs
from journal_flash import EIO, PowerCut, RamFlash

from meter_firmware import blockdev
from meter_firmware.journal import Journal, JournalError

MOUNT = "/cut"
MODES = ("before", "torn", "after")


class Geometry:
    """A chip, a journal that fills it, and messages that make it give up segments within the steps."""

    def __init__(self, block_count, block_size, capacity, segment, message_size, steps):
        self.block_count = block_count
        self.block_size = block_size
        self.capacity = capacity
        self.segment = segment
        self.message_size = message_size
        self.steps = steps

        self._chips = []

    def blank(self):
        """The same memory every time: the interpreter's heap is small, and its pieces do not move."""
        if not self._chips:
            self._chips = [RamFlash(self.block_count, self.block_size) for _ in range(2)]
        for block in range(self.block_count):
            self._chips[0].ioctl(6, block)
        return self._chips[0]

    def copy(self, flash):
        memoryview(self._chips[1].content)[:] = flash.content
        return self._chips[1]


# Blocks so small that LittleFS meets every one of its cases soon; the head file's slots are files with blocks.
SMALL = Geometry(96, 512, 10 * 1024, 2048, 90, 70)
# As on a board: the slots live in their directory's log.
BOARD = Geometry(28, 4096, 36 * 1024, 8192, 500, 70)


class Model:
    """What the journal has promised so far, kept where no power cut reaches it."""

    def __init__(self, geometry):
        self.geometry = geometry
        self.epoch = b"epoch-00"
        self.appended = []
        self.trying = None
        self.freed = {}

    def next_place(self):
        last = self.appended[-1] if self.appended else None
        return (self.epoch, last[1] + 1) if last and last[0] == self.epoch else (self.epoch, 0)


def message_for(geometry, step):
    size = geometry.message_size + step * 37 % 120
    return bytes([(step * 7 + place) & 0xFF for place in range(size)])


def run(journal, model, steps):
    """Appends, receipts that lag behind, a new epoch, segments that are given up."""
    for step in range(steps):
        if len(model.appended) == 40:
            model.epoch = b"epoch-01"
        epoch, sequence = model.next_place()
        model.trying = (epoch, sequence, message_for(model.geometry, len(model.appended)))
        journal.append(model.trying[0], model.trying[1], model.trying[2], step % 9 == 8)
        model.appended.append(model.trying)
        model.trying = None
        if step % 4 == 3:
            oldest = max(0, len(model.appended) - 12)
            receipt(journal, model, model.appended[oldest])
            receipt(journal, model, model.appended[-6] if len(model.appended) >= 6 else model.appended[0])


def receipt(journal, model, record):
    epoch, sequence, _ = record
    model.freed[epoch] = max(sequence, model.freed.get(epoch, -1))
    journal.free(epoch, sequence)


def boot(device, geometry):
    blockdev.mount(device, MOUNT)
    return Journal(MOUNT + "/journal", geometry.capacity, geometry.segment, geometry.block_size)


def power_off():
    try:
        vfs.umount(MOUNT)
    except OSError:
        pass  # the cut came before it was mounted


def check(journal, model):
    assert journal.recovered_head_proven
    assert journal.quarantined == [], journal.quarantined
    promised = list(model.appended)
    head = journal.head
    if model.trying is not None and head == model.trying:
        # The cut came after the commit: the record is whole, and the chain goes on from it.
        promised.append(model.trying)
    model.appended = promised
    model.trying = None
    assert head == (promised[-1] if promised else None)
    there = list(journal.records())
    assert there == [record for record in promised if record in there], "what is there is what was promised"
    waiting = [record for record in promised if record[1] > model.freed.get(record[0], -1)]
    pending = journal.pending(1 << 30)
    for record in waiting:
        assert record in pending, "not receipted, and lost"
        assert record in there
    assert pending == [record for record in promised if record in pending], "in the order of appending"
    if waiting:
        first = journal.first_unreceipted
        assert promised.index(waiting[0]) >= index_of(promised, first), "a mark ahead of the receipts"


def index_of(records, place):
    for number, record in enumerate(records):
        if (record[0], record[1]) == place:
            return number
    raise AssertionError("unknown record")


def run_until_cut(flash, model, cut_at, mode, steps):
    """Whether the power failed at all; the scenario is over when it does not."""
    cut = PowerCut(flash, cut_at, mode, 1)
    try:
        run(boot(cut, model.geometry), model, steps)
    except JournalError as error:
        assert cut.dead, error.reason
        assert error.reason == "journal_io"
    except OSError:
        assert cut.dead
    power_off()
    return cut.dead


def operations_of(geometry):
    cut = PowerCut(geometry.blank())
    model = Model(geometry)
    journal = boot(cut, geometry)
    run(journal, model, geometry.steps)
    assert next(journal.records())[1] > 0, "no segment was given up"
    power_off()
    return cut.operations


def sample(count, wanted):
    if os.getenv("EXHAUSTIVE"):
        return range(count)
    random.seed(20261122)
    return sorted(set([random.randrange(count) for _ in range(wanted)] + [0, 1, 2, 3, count - 1]))


def goes_on(flash, model):
    journal = boot(flash, model.geometry)
    check(journal, model)
    run(journal, model, 12)
    power_off()
    check(boot(flash, model.geometry), model)
    power_off()


def cut_everywhere(geometry, wanted):
    for cut_at in sample(operations_of(geometry), wanted):
        for mode in MODES:
            flash = geometry.blank()
            model = Model(geometry)
            assert run_until_cut(flash, model, cut_at, mode, geometry.steps)
            goes_on(flash, model)


def test_single_cuts_with_small_blocks():
    cut_everywhere(SMALL, 60)


def test_single_cuts_with_the_blocks_of_a_board():
    cut_everywhere(BOARD, 25)


def test_double_cuts():
    random.seed(20261123)
    for number in range(400 if os.getenv("EXHAUSTIVE") else 40):
        geometry = BOARD if number % 4 == 3 else SMALL
        flash = geometry.blank()
        model = Model(geometry)
        run_until_cut(flash, model, random.randrange(500), MODES[random.randrange(3)], geometry.steps)
        # What the next boot will find, read from a copy.
        check(boot(geometry.copy(flash), geometry), model)
        power_off()
        # The second one comes soon: during recovery, or in the first appends after it.
        run_until_cut(flash, model, random.randrange(40), MODES[random.randrange(3)], 6)
        goes_on(flash, model)


def test_operations_are_torn():
    flash = RamFlash(2, 64)
    cut = PowerCut(flash, 0, "torn", 3)
    assert cut.writeblocks(0, bytes(64), 0) == EIO
    assert 0 < sum(flash.content[:64]) < 64 * 255
    assert cut.readblocks(0, bytearray(4), 0) == EIO
    assert cut.ioctl(6, 0) == EIO
    assert cut.ioctl(3, 0) == EIO
    assert 0 < sum(flash.content[:64]) < 64 * 255
