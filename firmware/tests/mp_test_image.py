"""What an image may hold: whole files in their order, with names that stay inside of their folder."""

import random

from update_bench import WHOLE, pack, release

from meter_firmware import image
from meter_protocol import cbor
from meter_protocol.errors import ProtocolError


def layout(data):
    return image.layout(lambda start, count: data[start : start + count], len(data))


def is_refused(data):
    try:
        layout(data)
    except ProtocolError as error:
        assert error.reason == "update_image", error.reason
        return True
    return False


def with_file(name, content=b"x"):
    return pack(sorted(release(1) + [(name, content)], key=lambda file: file[0].encode()))


def test_every_file_is_found():
    data = with_file("meter_firmware/sensors/ü.mpy", b"")
    entries = layout(data)
    assert [name for name, _, _ in entries] == sorted(list(WHOLE) + ["meter_firmware/sensors/ü.mpy"])
    for name, start, length in entries:
        assert data[start : start + length] == (b"" if "ü" in name else b"\x01" * 300)


def test_names_that_leave_their_folder_are_refused():
    for name in (
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "../a",
        "a/.",
        "a/...",
        "...",
        "a\0b",
        "board.mpy/x",
        "a" * 65,
    ):
        assert is_refused(with_file(name)), name
    assert is_refused(with_file("/".join("a" * 9)))
    for name in ("/".join("a" * 8), "a", "a.b", ".a", "a..b", "a" * 64, "a/b/c/d", "board.mpyx"):
        assert not is_refused(with_file(name)), name
    assert is_refused(pack([("", b"x")] + release(1)))


def test_a_file_named_like_the_folder_of_another_is_refused():
    # In between, by the order of the bytes, is a name that is neither.
    assert is_refused(pack([("a", b"1"), ("a-", b"2"), ("a/b", b"3")] + release(1)))


def test_only_one_order_is_an_image():
    files = release(1)
    assert not is_refused(pack(files))
    assert is_refused(pack(files[::-1]))
    assert is_refused(pack([files[0]] + files))


def test_without_its_main_parts_it_would_be_a_mixture():
    for missing in range(3):
        rest = release(1)[:missing] + release(1)[missing + 1 :]
        assert is_refused(pack(rest))
        module = WHOLE[missing].rpartition(".")[0]
        assert not is_refused(pack(sorted(rest + [(module + ".py", b"")])))
        assert is_refused(pack(sorted(rest + [(module + ".txt", b"")])))


def test_as_many_files_as_a_board_can_list():
    more = [("m/%03d" % number, b"") for number in range(image.MAX_FILES - 3)]
    assert len(layout(pack(sorted(release(1) + more)))) == image.MAX_FILES
    assert is_refused(pack(sorted(release(1) + more + [("m/x", b"")])))


def test_heads_that_are_not_as_they_must_be():
    whole = pack(release(1))
    for first in (
        b"\x83" + cbor.dumps("a") + b"\x01x",  # an array of three
        b"\x9f" + cbor.dumps("a") + b"\x01x",
        b"\x82" + cbor.dumps(b"a") + b"\x01x",  # bytes for a name
        b"\x82\x78\x01a\x01x",  # not the shortest
        b"\x82\x63\xed\xa0\x80\x01x",  # a surrogate
        b"\x82" + cbor.dumps("a") + b"\x20",  # -1 bytes
        b"\x82" + cbor.dumps("a") + b"\x1b" + b"\xff" * 8,
    ):
        assert is_refused(first + whole), first
    assert not is_refused(b"\x82" + cbor.dumps("a") + b"\x01x" + whole)


def test_every_cut_and_no_noise_is_an_image():
    whole = pack(release(1))
    for size in range(len(whole)):
        assert is_refused(whole[:size])
    random.seed(5)
    for _ in range(3000):
        noise = bytes([random.getrandbits(8) for _ in range(random.randrange(90))])
        assert is_refused(b"\x82" + noise)
        assert is_refused(noise)
    assert is_refused(whole + b"\x00")
