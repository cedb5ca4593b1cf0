"""A flash chip in a file: its protocol, a file system made once and never over anything, and kill -9."""

import os
import sys

import journal_appender
import vfs
from journal_flash import PowerCut, RamFlash

from meter_firmware import blockdev

IMAGE = "flash.img"
NOTES = "notes.txt"


def fresh_image():
    for name in (IMAGE, NOTES):
        try:
            os.remove(name)
        except OSError:
            pass


def reason_of(call, *arguments):
    try:
        call(*arguments)
    except blockdev.StorageError as error:
        return error.reason
    return None


def test_block_protocol():
    fresh_image()
    device = blockdev.FileBlockDevice(IMAGE, 4, 512)
    assert device.ioctl(1, 0) == 0
    assert device.ioctl(4, 0) == 4
    assert device.ioctl(5, 0) == 512
    assert device.ioctl(99, 0) is None
    buffer = bytearray(512)
    device.readblocks(3, buffer)
    assert buffer == b"\xff" * 512
    assert device.writeblocks(1, b"abc", 100) == 0
    assert device.writeblocks(2, bytes(512)) == 0
    assert device.ioctl(3, 0) == 0
    device.close()
    device = blockdev.FileBlockDevice(IMAGE, 4, 512)
    piece = bytearray(5)
    assert device.readblocks(1, piece, 99) == 0
    assert piece == b"\xffabc\xff"
    assert device.ioctl(6, 2) == 0
    device.readblocks(2, buffer)
    assert buffer == b"\xff" * 512
    assert device.readblocks(4, piece, 0) < 0, "behind the end"
    device.close()


def test_a_file_of_another_size_is_refused():
    fresh_image()
    blockdev.FileBlockDevice(IMAGE, 4, 512).close()
    assert reason_of(blockdev.FileBlockDevice, IMAGE, 8, 512) == "storage_size"
    assert reason_of(blockdev.FileBlockDevice, IMAGE, 3, 512) == "storage_size"
    assert os.stat(IMAGE)[6] == 2048


def test_what_was_stored_is_there_after_a_remount():
    fresh_image()
    for content in (b"first", b"second"):
        device = blockdev.FileBlockDevice(IMAGE, 32)
        blockdev.mount(device, "/file")
        if content == b"second":
            with open("/file/note", "rb") as file:
                assert file.read() == b"first"
        with open("/file/note", "wb") as file:
            file.write(content)
        vfs.umount("/file")
        device.close()


def test_a_used_chip_is_never_formatted():
    flash = RamFlash(32, 4096)
    blockdev.mount(flash, "/used")
    with open("/used/reading", "wb") as file:
        file.write(bytes(10000))
    vfs.umount("/used")
    for block in (0, 1):
        flash.overwrite(block, bytes(4096))
    before = bytes(flash.content)
    assert reason_of(blockdev.mount, flash, "/used") == "storage_unreadable"
    assert flash.content == before


def test_power_cut_in_the_first_format_is_repaired():
    counting = PowerCut(RamFlash(16, 4096))
    blockdev.mount(counting, "/new")
    vfs.umount("/new")
    assert counting.operations >= 4
    for mode in ("before", "torn", "after"):
        for cut_at in range(counting.operations):
            flash = RamFlash(16, 4096)
            try:
                blockdev.mount(PowerCut(flash, cut_at, mode), "/new")
                vfs.umount("/new")
            except OSError:
                pass
            blockdev.mount(flash, "/new")
            vfs.umount("/new")


def test_kill_9_loses_nothing():
    """Each life of the appender goes on with the journal that the killed one left."""
    fresh_image()
    program = journal_appender.__file__
    appended = []
    for life in range(3):
        # It has begun, however slow the computer is, and is killed anywhere in what it does then.
        noted = "[ $(cat %s 2>/dev/null | grep -c ^a) -gt %d ]" % (NOTES, len(appended) + 20)
        begun = "for _ in $(seq 3000); do " + noted + " && break; sleep 0.02; done; sleep 0.%d" % (1 + life)
        start = "%s %s %s %s & process=$!; " % (sys.executable, program, IMAGE, NOTES)
        assert os.system(start + begun + "; kill -9 $process; wait $process 2>/dev/null; true") == 0
        with open(NOTES, "rb") as file:
            notes = file.read().split(b"\n")[:-1]
        appended = [int(note[1:]) for note in notes if note[:1] == b"a"]
        freed = [int(note[1:]) for note in notes if note[:1] == b"f"]
        assert len(appended) > 20 * (life + 1), "it ended before it was killed"
        journal = journal_appender.open_journal(IMAGE)
        assert journal.recovered_head_proven
        assert journal.quarantined == []
        head = journal.head[1]
        assert head - appended[-1] in (0, 1)
        pending = journal.pending(1 << 20)
        assert pending[0][1] <= freed[-1] + 1
        assert [record[1] for record in pending] == list(range(pending[0][1], head + 1))
        for _, sequence, found in journal.records():
            assert found == journal_appender.message(sequence)
        vfs.umount("/appender")
