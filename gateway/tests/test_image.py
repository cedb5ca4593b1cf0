"""Images and manifests: from files to bytes and back, and what is no image."""

import hashlib
import io
from pathlib import Path
from uuid import UUID

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meter_gateway import image as images
from meter_gateway.texts import Told
from meter_protocol import cbor, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.schema import MAX_CHUNK, MAX_CHUNKS

FILES = {"meter_protocol/cbor.mpy": b"c" * 5000, "board.mpy": b"", "meter_protocol/é.py": b"e" * 300}

NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda part: bool(part.strip("."))
)
PATH = st.lists(NAME, min_size=1, max_size=3).map("/".join).filter(lambda name: len(name.encode()) <= 64)
SOFTWARE = st.dictionaries(PATH, st.binary(max_size=300), min_size=1, max_size=6)


def refusal(function: object, *arguments: object) -> str:
    with pytest.raises(Told) as caught:
        function(*arguments)  # type: ignore[operator]
    return caught.value.key


def test_the_layout_is_the_specification_s() -> None:
    first, second, third = sorted(FILES, key=str.encode)
    expected = b"".join(
        part for name in (first, second, third) for part in (cbor2.dumps([name, len(FILES[name])]), FILES[name])
    )
    assert images.build(FILES) == expected
    assert images.build(dict(reversed(FILES.items()))) == expected
    assert images.parse(expected) == [(name, FILES[name]) for name in (first, second, third)]


def test_names_are_in_the_order_of_their_bytes() -> None:
    """U+FF5A sorts before U+1F600 by code unit in UTF-16 as here, and U+E000 after U+1F600 only there."""
    names = ["\U0001f600.py", "\ue000.py", "a.py", "Z.py"]
    ordered = [name for name, _ in images.parse(images.build(dict.fromkeys(names, b"")))]
    assert ordered == ["Z.py", "a.py", "\ue000.py", "\U0001f600.py"]


@given(SOFTWARE)
def test_whatever_can_be_built_comes_apart_again(files: dict[str, bytes]) -> None:
    if any(name.startswith(other + "/") for name in files for other in files):
        assert refusal(images.build, files) == "update.bad_name"
    else:
        assert dict(images.parse(images.build(files))) == files


@settings(max_examples=300)
@given(SOFTWARE, st.data())
def test_damaged_images_are_refused_or_are_images_in_their_one_encoding(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    image = bytearray(images.build({name.replace("/", "_"): content for name, content in files.items()}))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(image)))
        image[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        found = images.parse(bytes(image))
    except Told:
        return
    assert images.build(dict(found)) == bytes(image)


@given(st.binary(max_size=200))
def test_any_bytes_at_all(content: bytes) -> None:
    try:
        found = images.parse(content)
    except Told:
        return
    assert images.build(dict(found)) == content


@pytest.mark.parametrize("name", ["", "/a", "a//b", "a/", ".", "..", "a/../b", "...", "a/./b", "n" * 65, "a\0b"])
def test_names_that_would_leave_their_folder(name: str) -> None:
    assert refusal(images.build, {name: b""}) == "update.bad_name"
    assert refusal(images.parse, cbor2.dumps([name, 0])) == "update.not_an_image"


@pytest.mark.parametrize(
    "content",
    [
        b"\x82\x61a",  # no length
        b"\x82\x61a\x05abcd",  # a byte short
        b"\x82\x61a\x18\x01x",  # a length not in its shortest form
        b"\x82\x78\x01a\x01x",  # a name's length likewise
        b"\x83\x61a\x01\x01x",
        b"\x82\x41a\x01x",  # bytes for a name
        b"\x82\x61a\x20x",  # a negative length
        b"\x82\x61\xff\x01x",  # not UTF-8
        b"\x82\x61a\xf5x",  # true is not 1
        b"\x82\x61a\x1b\x7f\xff\xff\xff\xff\xff\xff\xffx",
        b"\x82\x61b\x00\x82\x61a\x00",  # out of order
        b"\x82\x61a\x00\x82\x61a\x00",  # twice
        b"\x82\x61a\x00\x00",  # something behind
    ],
)
def test_what_is_no_image(content: bytes) -> None:
    assert refusal(images.parse, content) == "update.not_an_image"


def test_a_path_through_a_file() -> None:
    assert refusal(images.build, {"a": b"", "a/b": b""}) == "update.bad_name"
    assert refusal(images.parse, b"\x82\x61a\x00\x82\x63a/b\x00") == "update.bad_name"


def test_the_smallest_and_the_largest() -> None:
    assert refusal(images.build, {}) == refusal(images.parse, b"") == "update.image_size"
    room = MAX_CHUNKS * MAX_CHUNK - len(cbor.dumps(["a", 1 << 18]))
    largest = images.build({"a": bytes(room)})
    assert len(largest) == images.MAX_IMAGE == 524288
    assert len(images.parse(largest)) == 1
    assert refusal(images.build, {"a": bytes(room + 1)}) == "update.image_size"
    assert refusal(images.parse, largest + b"x") == "update.image_size"


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "one" / "package" / "__pycache__").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "package" / "a.mpy").write_bytes(b"a")
    (tmp_path / "one" / "package" / "__pycache__" / "a.pyc").write_bytes(b"cached")
    (tmp_path / "two" / "board.py").write_bytes(b"b")
    folders = [tmp_path / "one", tmp_path / "two"]
    assert images.read_folders(folders) == {"package/a.mpy": b"a", "board.py": b"b"}
    (tmp_path / "one" / "board.py").write_bytes(b"c")
    assert refusal(images.read_folders, folders) == "update.name_twice"
    (tmp_path / "two" / "notes.txt").write_bytes(b"d")
    assert refusal(images.read_folders, [tmp_path / "two"]) == "update.not_software"


def test_a_manifest_says_what_the_image_is() -> None:
    image = images.build(FILES)
    vendor = images.vendor_id("example.com")
    fields = images.manifest_fields(image, 3, "1.3.0", vendor, "M1", 5, 1000)
    messages.check(t.UPDATE_MANIFEST, fields)
    # RFC 9562, appendix A.4: UUID 5 of www.example.com in the DNS name space.
    assert images.vendor_id("www.example.com") == UUID("2ed6657d-e927-568b-95e1-2665a8aea6a2")
    assert fields[f.CLASS_IDENTIFIER] == images.class_id(vendor, "M1").bytes != vendor.bytes
    stream, digests = io.BytesIO(image), fields[f.CHUNK_DIGESTS]
    for at in range(0, len(digests), 16):
        assert hashlib.sha256(stream.read(MAX_CHUNK)).digest()[:16] == digests[at : at + 16]
    assert not stream.read()
    assert (fields[f.MANIFEST_SEQUENCE], fields[f.DOWNGRADE_FROM], fields[f.SOFTWARE_VERSION]) == (3, 5, "1.3.0")
    assert images.is_of(image, fields)
    for other in (image[:-1], image + b"x", b"x" + image[1:]):
        assert not images.is_of(other, fields)
    for change in ({f.IMAGE_SIZE: 1}, {f.CHUNK_SIZE: 4095}, {f.CHUNK_DIGESTS: digests[:16]}):
        assert not images.is_of(image, fields | change)
