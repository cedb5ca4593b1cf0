"""Small durable values: whole after every power cut, and there although one of their two copies rots."""

import os

import vfs
from journal_flash import PowerCut, RamFlash

from meter_firmware import blockdev
from meter_firmware.memory import DAMAGED, Memory

MOUNT = "/memory-test"
FOLDERS = (MOUNT + "/m", MOUNT + "/m/copy")
SMALL = b"a key of thirty-two bytes, or so."
LARGE = bytes([place * 7 & 0xFF for place in range(3000)])


class Mounted:
    def __init__(self, flash=None):
        self.flash = flash or RamFlash(48, 512)

    def __enter__(self):
        blockdev.mount(self.flash, MOUNT)
        return Memory(MOUNT + "/m")

    def __exit__(self, *_):
        try:
            vfs.umount(MOUNT)
        except OSError:
            pass  # the power failed before it was mounted


def rot(folder, name, change):
    with open(folder + "/" + name, "rb") as file:
        content = bytearray(file.read())
    with open(folder + "/" + name, "wb") as file:
        file.write(change(content))


def flipped(content):
    content[len(content) // 2] ^= 4
    return content


def cut_short(content):
    return content[:-5]


def emptied(content):
    return b""


def test_values_are_kept():
    with Mounted() as memory:
        assert memory.read("value") is None
        memory.remove("value")
        for value in (SMALL, LARGE, b"x", LARGE[:100]):
            memory.write("value", value)
            assert memory.read("value") == value == Memory(MOUNT + "/m").read("value")
        memory.write("other", SMALL)
        memory.remove("value")
        assert memory.read("value") is None
        assert memory.read("other") == SMALL


def test_one_copy_may_rot():
    for value in (SMALL, LARGE):
        for folder in FOLDERS:
            for change in (flipped, cut_short, emptied):
                with Mounted() as memory:
                    memory.write("value", b"the value before")
                    memory.write("value", value)
                    rot(folder, "value", change)
                    assert memory.read("value") == value
                    # That read has put it right: now the other copy may go.
                    for other in FOLDERS:
                        if other != folder:
                            rot(other, "value", flipped)
                    assert memory.read("value") == value


def test_a_copy_from_the_past_or_none_is_not_believed():
    with Mounted() as memory:
        for folder in FOLDERS:
            memory.write("value", b"old")
            with open(folder + "/value", "rb") as file:
                old = file.read()
            memory.write("value", SMALL)
            rot(folder, "value", lambda content, old=old: old)
            assert memory.read("value") == SMALL
            os.remove(folder + "/value")
            assert memory.read("value") == SMALL


def test_a_value_whose_copies_are_both_damaged_is_known_to_have_been():
    with Mounted() as memory:
        memory.write("value", SMALL)
        for folder in FOLDERS:
            rot(folder, "value", flipped)
        assert memory.read("value") is DAMAGED
        memory.write("value", LARGE)
        assert memory.read("value") == LARGE


def chip_with(before):
    flash = RamFlash(48, 512)
    with Mounted(flash) as memory:
        memory.write("neighbour", SMALL)
        if before is not None:
            memory.write("value", before)
    return bytes(flash.content)


def test_a_power_cut_leaves_one_of_the_two_values():
    cuts = 0
    for before, change, after in (
        (None, lambda memory: memory.write("value", SMALL), SMALL),
        (SMALL, lambda memory: memory.write("value", LARGE), LARGE),
        (LARGE, lambda memory: memory.write("value", SMALL), SMALL),
        (LARGE, lambda memory: memory.remove("value"), None),
    ):
        content = chip_with(before)
        for mode in ("before", "torn", "after"):
            dead, position, changed = True, 0, False
            while dead:
                flash = RamFlash(48, 512, content)
                device = PowerCut(flash, position, mode, 7)
                try:
                    with Mounted(device) as memory:
                        change(memory)
                except OSError:
                    pass
                dead = device.dead
                with Mounted(flash) as memory:
                    found = memory.read("value")
                    assert found in (before, after)
                    assert not changed or found == after, "it was the new one after an earlier cut"
                    changed = found == after
                    assert memory.read("neighbour") == SMALL
                with Mounted(flash) as memory:
                    assert memory.read("value") == found
                    memory.write("value", b"goes on")
                    assert memory.read("value") == b"goes on"
                position += 1
                cuts += 1
            assert changed
    assert cuts > 150, cuts
