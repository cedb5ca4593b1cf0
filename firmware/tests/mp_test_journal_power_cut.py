"""Power is cut before, inside and after flash operations; the journal's promises hold at every boot after it.

By default a sample of the operations is cut, spread over the whole scenario; EXHAUSTIVE=1 cuts every one.
"""

import os
import random

import vfs
from journal_flash import EIO, PowerCut, RamFlash

from meter_firmware import blockdev
from meter_firmware.journal import Journal, JournalError

BLOCK_COUNT = 96
BLOCK_SIZE = 512
CAPACITY = 10 * 1024
SEGMENT = 2048
RESERVE = 512
MOUNT = "/cut"
MODES = ("before", "torn", "after")
STEPS = 70


class Model:
    """What the journal has promised so far, kept where no power cut reaches it."""

    def __init__(self):
        self.epoch = b"epoch-00"
        self.appended = []
        self.trying = None
        self.freed = {}

    def next_place(self):
        last = self.appended[-1] if self.appended else None
        return (self.epoch, last[1] + 1) if last and last[0] == self.epoch else (self.epoch, 0)


def message_for(step):
    return bytes([(step * 7 + place) & 0xFF for place in range(90 + step * 37 % 120)])


def run(journal, model, steps):
    """Appends, receipts that lag behind, a new epoch, segments that are given up."""
    for step in range(steps):
        if len(model.appended) == 40:
            model.epoch = b"epoch-01"
        epoch, sequence = model.next_place()
        model.trying = (epoch, sequence, message_for(len(model.appended)))
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


def boot(flash, cut=None):
    device = cut or flash
    blockdev.mount(device, MOUNT)
    return Journal(MOUNT + "/journal", CAPACITY, SEGMENT, RESERVE)


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
    assert there == promised[len(promised) - len(there) :], "what is there is the newest part, byte for byte"
    waiting = [record for record in promised if record[1] > model.freed.get(record[0], -1)]
    pending = journal.pending(1 << 30)
    for record in waiting:
        assert record in pending, "not receipted, and lost"
    assert pending == promised[len(promised) - len(pending) :] or len(journal_epochs(pending)) > 1
    if waiting:
        first = journal.first_unreceipted
        assert promised.index(waiting[0]) >= index_of(promised, first), "a mark ahead of the receipts"


def journal_epochs(records):
    return set([record[0] for record in records])


def index_of(records, place):
    for number, record in enumerate(records):
        if (record[0], record[1]) == place:
            return number
    raise AssertionError("unknown record")


def run_until_cut(flash, model, cut_at, mode, steps=STEPS):
    """Whether the power failed at all; the scenario is over when it does not."""
    cut = PowerCut(flash, cut_at, mode, 1)
    try:
        run(boot(flash, cut), model, steps)
    except JournalError as error:
        assert cut.dead, error.reason
        assert error.reason == "journal_io"
    except OSError:
        assert cut.dead
    power_off()
    return cut.dead


def operations_of(flash, steps=STEPS):
    cut = PowerCut(RamFlash(BLOCK_COUNT, BLOCK_SIZE, flash.content))
    run(boot(flash, cut), Model(), steps)
    power_off()
    return cut.operations


def sample(count, wanted):
    if os.getenv("EXHAUSTIVE"):
        return range(count)
    random.seed(20261122)
    return sorted(set([random.randrange(count) for _ in range(wanted)] + [0, 1, 2, 3, count - 1]))


def goes_on(flash, model):
    journal = boot(flash)
    check(journal, model)
    run(journal, model, 12)
    power_off()
    check(boot(flash), model)
    power_off()


def test_single_cuts():
    blank = RamFlash(BLOCK_COUNT, BLOCK_SIZE)
    count = operations_of(blank)
    assert count > 400, count
    for cut_at in sample(count, 60):
        for mode in MODES:
            flash = RamFlash(BLOCK_COUNT, BLOCK_SIZE)
            model = Model()
            assert run_until_cut(flash, model, cut_at, mode)
            goes_on(flash, model)


def test_double_cuts():
    random.seed(20261123)
    for _ in range(400 if os.getenv("EXHAUSTIVE") else 60):
        flash = RamFlash(BLOCK_COUNT, BLOCK_SIZE)
        model = Model()
        run_until_cut(flash, model, random.randrange(500), MODES[random.randrange(3)])
        # The second one comes soon: during recovery, or in the first appends after it.
        second, mode = random.randrange(40), MODES[random.randrange(3)]
        state = flash.content
        run_until_cut(flash, reconciled(RamFlash(BLOCK_COUNT, BLOCK_SIZE, state), model), second, mode, 6)
        goes_on(flash, model)


def reconciled(copy, model):
    """The model as the next boot will find it, read from a copy of the flash."""
    check(boot(copy), model)
    power_off()
    return model


def test_operations_are_torn():
    flash = RamFlash(2, 64)
    cut = PowerCut(flash, 0, "torn", 3)
    assert cut.writeblocks(0, bytes(64), 0) == EIO
    assert 0 < sum(flash.content[:64]) < 64 * 255
    assert cut.readblocks(0, bytearray(4), 0) == EIO
    assert cut.ioctl(6, 0) == EIO
    assert cut.ioctl(3, 0) == EIO
    assert 0 < sum(flash.content[:64]) < 64 * 255
