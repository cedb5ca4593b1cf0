"""The file system of a slot, read by MicroPython's own VfsRom, and what keeps that from a damaged one."""

import os
import random

import vfs
from update_bench import pack

from meter_firmware import image, romfs

MOUNT = "/romfs-test"


def entries_of(files):
    """What an installation starts from: the image, and where its files are in it."""
    whole = pack(files)
    entries, place = [], 0
    for name, content in files:
        place = whole.index(content, place) if content else place
        entries.append((name, place, len(content)))
    return entries, lambda start, count: whole[start : start + count]


def written(files, block_bytes=512):
    entries, read = entries_of(files)
    blocks = list(romfs.blocks(entries, read, block_bytes))
    assert all(len(block) == block_bytes for block in blocks)
    whole, size = b"".join(blocks), romfs.size(entries)
    assert size % 2 == 0
    assert 0 <= len(whole) - size < block_bytes
    assert whole[size:] == b"\xff" * (len(whole) - size)
    assert romfs.is_sound(whole)
    # Whatever follows in the partition is none of it.
    assert romfs.is_sound(whole[:size])
    assert romfs.is_sound(whole + b"\x00" * 100)
    return whole[:size]


class Mounted:
    def __init__(self, memory):
        self._file_system = vfs.VfsRom(memory)

    def __enter__(self):
        vfs.mount(self._file_system, MOUNT)

    def __exit__(self, *_):
        vfs.umount(MOUNT)


def read_back(memory):
    with Mounted(memory):
        return sorted(_files(MOUNT, ""))


def _files(folder, prefix):
    for entry in os.ilistdir(folder):
        if entry[1] & 0x4000:
            yield from _files(folder + "/" + entry[0], prefix + entry[0] + "/")
        else:
            with open(folder + "/" + entry[0], "rb") as file:
                yield prefix + entry[0], file.read()


def content(size):
    made = bytearray(size)
    for place in range(size):
        made[place] = random.getrandbits(8)
    return bytes(made)


def tree(count, sizes=(0, 1, 2, 100, 127, 128, 129, 1000)):
    """Random files; each name is there once, and no file is in the way of a folder."""
    found = {}
    for _ in range(count):
        parts = [
            random.choice(("a", "a-b", "ab", "b.mpy", "längst", "x" * 60)) for _ in range(random.randrange(1, 8))
        ]
        name = "/".join(["d" + part for part in parts[:-1]] + ["f" + parts[-1]])
        found[name] = content(random.choice(sizes))
    return sorted(found.items())


def test_every_file_comes_back():
    random.seed(1)
    for count in (0, 1, 2, 5, 20, 60):
        for block_bytes in (4, 512, 4096):
            files = tree(count)
            assert read_back(written(files, block_bytes)) == files


def test_files_as_long_as_their_length_has_groups_of_bits():
    random.seed(2)
    for length in (0, 1, 126, 127, 128, 16383, 16384, 70000):
        files = [("a", content(length)), ("b/c", content(1))]
        assert read_back(written(files)) == files


def test_the_deepest_and_the_longest_name_of_an_image():
    files = [("d/" * (image.MAX_DEPTH - 1) + "f", b"deep"), ("n" * image.MAX_NAME, b"long")]
    assert read_back(written(files)) == files


def test_modules_are_imported_from_it():
    import sys

    memory = written(
        [("romfs_test_package/inner.py", b"VALUE = 405"), ("romfs_test_package/__init__.py", b"")][::-1]
    )
    with Mounted(memory):
        sys.path.insert(0, MOUNT)
        try:
            from romfs_test_package.inner import VALUE
        finally:
            sys.path.remove(MOUNT)
    assert VALUE == 405


def test_what_is_cut_off_is_not_sound():
    random.seed(3)
    memory = written(tree(8))
    for size in range(len(memory)):
        assert not romfs.is_sound(memory[:size]), size


def test_no_byte_leads_the_reader_out_of_it():
    """A bit of every byte flipped, and every byte that a torn write leaves erased: found, or harmless."""
    random.seed(4)
    memory = written(tree(6, (0, 1, 9)))
    found = 0
    for place in range(len(memory)):
        for byte in [memory[place] ^ 1 << bit for bit in range(8)] + [0xFF, 0x00]:
            damaged = memory[:place] + bytes([byte]) + memory[place + 1 :]
            if not romfs.is_sound(damaged):
                found += 1
                continue
            try:
                assert sum([len(part) for _, part in read_back(damaged)]) <= len(memory)
            except OSError:
                # A folder and a file have the same name now.
                pass
    assert found > len(memory) // 10


def test_names_that_would_be_listed_for_ever_are_not_sound():
    """An empty name of a folder is the folder that it is in."""
    assert not romfs.is_sound(b"\xd2\xcd\x31\x03\x04\x01\x00")
    assert romfs.is_sound(b"\xd2\xcd\x31\x04\x04\x02\x01a")


def test_folders_in_folders_have_an_end():
    memory = b""
    for _ in range(image.MAX_DEPTH - 1):
        memory = bytes((4, len(memory) + 2, 1)) + b"d" + memory
    assert romfs.is_sound(b"\xd2\xcd\x31" + bytes((len(memory),)) + memory)
    for _ in range(2):
        memory = bytes((4, len(memory) + 2, 1)) + b"d" + memory
    assert not romfs.is_sound(b"\xd2\xcd\x31" + bytes((len(memory),)) + memory)


def test_anything_else_is_not_sound():
    random.seed(5)
    for memory in (
        b"",
        b"\xff" * 64,
        b"\x00" * 64,
        b"\xd2\xcd\x31",
        b"\xd2\xcd\x31\xff",
        b"\xd2\xcd\x31" + b"\x80" * 9,
    ):
        assert not romfs.is_sound(memory)
    for _ in range(2000):
        size = random.randrange(1, 40)
        memory = (
            b"\xd2\xcd\x31"
            + bytes((size,))
            + bytes([random.choice((0, 1, 2, 4, 5, 97, 255)) for _ in range(size)])
        )
        if romfs.is_sound(memory):
            read_back(memory)


def test_nothing_lies_behind_the_content_of_a_file():
    file = b"\x01a\x02\x01x"
    assert romfs.is_sound(b"\xd2\xcd\x31\x07\x05\x05" + file)
    assert not romfs.is_sound(b"\xd2\xcd\x31\x08\x05\x06" + file + b"\x00")
