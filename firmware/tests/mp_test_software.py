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
