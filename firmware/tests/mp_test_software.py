"""The identification of the firmware changes with every byte of it, and with nothing else."""

import os

from meter_firmware.software import software_id


def _files(contents):
    files = []
    for number, (name, content) in enumerate(contents):
        path = "software%d" % number
        with open(path, "wb") as file:
            file.write(content)
        files.append((name, path))
    return files


BASE = [("a.py", b"abc"), ("b.py", b"def")]


def test_every_byte_and_every_name_counts():
    base = software_id(_files(BASE))
    assert len(base) == 32
    for changed in (
        [("a.py", b"abd"), ("b.py", b"def")],
        [("a.py", b"abc"), ("c.py", b"def")],
        [("a.py", b"abc")],
        [("a.py", b"abc"), ("b.py", b"def"), ("c.py", b"")],
        # What moves from one file to the next, or from a name to a content, is another software.
        [("a.py", b"abcd"), ("b.py", b"ef")],
        [("a.pya", b"bc"), ("b.py", b"def")],
        [("a.py", b"def"), ("b.py", b"abc")],
    ):
        assert software_id(_files(changed)) != base, changed


def test_neither_the_order_nor_the_place_of_the_files_counts():
    base = software_id(_files(BASE))
    assert software_id(_files(BASE[::-1])) == base
    os.mkdir("elsewhere")
    moved = []
    for name, content in BASE:
        with open("elsewhere/" + name, "wb") as file:
            file.write(content)
        moved.append((name, "elsewhere/" + name))
    assert software_id(moved) == base


def test_every_single_byte_counts_those_of_the_boards_image_too():
    contents = [("a.mpy", bytes(range(200)) * 6), ("b/c.mpy", b"x"), ("empty", b"")]
    region = bytes(range(100, 140))
    found = {software_id(_files(contents)), software_id(_files(contents), region)}
    for number, (name, content) in enumerate(contents):
        for place in range(0, len(content), 7):
            changed = bytearray(content)
            changed[place] ^= 1
            found.add(software_id(_files(contents[:number] + [(name, changed)] + contents[number + 1 :]), region))
    for place in range(len(region)):
        changed = bytearray(region)
        changed[place] ^= 0x80
        found.add(software_id(_files(contents), memoryview(changed)))
    assert len(found) == 2 + 172 + 1 + 40


def test_a_region_is_no_file():
    assert software_id(_files(BASE), b"abc") != software_id(_files(BASE + [("", b"abc")]))
    assert software_id(_files(BASE), b"") != software_id(_files(BASE))
