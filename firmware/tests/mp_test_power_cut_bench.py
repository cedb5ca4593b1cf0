"""What the power cuts are made with: operations are torn, and a chip made of a recording is the chip it was."""

from flash_record import Recorder, Replay
from journal_flash import EIO, PowerCut, RamFlash
from journal_scenario import JournalScenario
from power_cuts import Cutter

SCENARIO = JournalScenario(60, 512, 6 * 1024, 2048, 90, 36)


def test_operations_are_torn():
    flash = RamFlash(2, 64)
    cut = PowerCut(flash, 0, "torn", 3)
    assert cut.writeblocks(0, bytes(64), 0) == EIO
    assert 0 < sum(flash.content[:64]) < 64 * 255
    assert cut.readblocks(0, bytearray(4), 0) == EIO
    assert cut.ioctl(6, 0) == EIO
    assert cut.ioctl(3, 0) == EIO
    assert 0 < sum(flash.content[:64]) < 64 * 255


def content_of(chip):
    content = bytearray(chip.block_count * chip.block_size)
    for block in range(chip.block_count):
        chip.readblocks(block, memoryview(content)[block * chip.block_size : (block + 1) * chip.block_size], 0)
    return content


def test_a_replayed_chip_is_the_chip_that_a_cut_leaves():
    recording = SCENARIO.record()
    replay = Replay(recording.flash)
    replay.go_to(len(recording.flash.operations))
    assert content_of(replay.cut("before")) == recording.flash.content
    for position in (0, 7, 100, len(recording.flash.operations) - 1):
        for mode in ("before", "torn"):
            replay = Replay(recording.flash)
            replay.go_to(position)
            left = replay.cut(mode, position)
            real = RamFlash(60, 512)
            # The same operations on a chip whose power fails; PowerCut tears by seed and number.
            cut = PowerCut(real, position, mode, 0)
            for kind, block, offset, content in recording.flash.operations[: position + 1]:
                if kind:
                    cut.ioctl(6, block)
                else:
                    cut.writeblocks(block, content, offset)
            assert content_of(left) == real.content


def test_a_cut_chip_leaves_the_replay_as_it_is():
    flash = Recorder(2, 64)
    flash.ioctl(6, 0)
    flash.writeblocks(0, b"\x01" * 8, 0)
    flash.writeblocks(0, b"\x02" * 8, 8)
    replay = Replay(flash)
    replay.go_to(2)
    left = replay.cut("before")
    left.writeblocks(0, b"\x03" * 8, 8)
    left.ioctl(6, 1)
    left.writeblocks(1, b"\x04" * 8, 0)
    assert bytes(content_of(left)[:16]) == b"\x01" * 8 + b"\x03" * 8
    assert bytes(content_of(replay.cut("before"))[:16]) == b"\x01" * 8 + b"\xff" * 8


def test_promises_are_those_made_before_the_cut():
    recording = SCENARIO.record()
    cutter = Cutter(recording)
    made = 0
    for position in range(cutter.count + 1):
        _, promises = cutter.cut(position, "before")
        assert made <= len(promises.records) <= made + 1
        made = len(promises.records)
        assert promises.records == recording.records[:made]
    assert made == len(recording.records) == 36
    assert promises.freed == recording.freed
