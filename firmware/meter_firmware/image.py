"""The layout of an update's image (SPEC §8.5): its files one after the other, each behind its name and length.

Pure: the bytes come through a function, because half a megabyte is more than a board's memory. A name becomes
a path in the meter's flash, so it is refused here unless it stays inside of its folder.
"""

from meter_protocol import cbor
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    # name, place of the first byte, length
    Entry = tuple[str, int, int]

MAX_NAME = 64
MAX_DEPTH = 8
"""Each folder costs whoever lists or removes them a call inside a call."""

MAX_FILES = 256
"""Twice what the firmware has: the list of them is in a board's memory while it installs."""

WHOLE = ("board", "meter_firmware/app", "meter_protocol/cose")
"""Modules without which the loader would start a mixture of this image and the frozen copy."""

_HEAD_BYTES = 1 + 2 + MAX_NAME + 5
_ARRAY_OF_2 = 0x82
_TEXT = 0x60
_UINT = 0x00


def layout(read: "Callable[[int, int], bytes]", size: int) -> "list[Entry]":
    """Every file of an image of `size` bytes; `read(start, count)` gives a part of it, shorter at its end.

    ProtocolError("update_image") if it is no such image, or one that no meter could run.
    """
    entries: "list[Entry]" = []
    names: "set[str]" = set()
    start = 0
    while start < size:
        if len(entries) == MAX_FILES:
            raise ProtocolError("update_image")
        name, length, head_size = _head(read(start, _HEAD_BYTES))
        start += head_size
        if start + length > size:
            raise ProtocolError("update_image")
        if entries and name <= entries[-1][0]:
            raise ProtocolError("update_image")
        _check_name(name, names)
        names.add(name)
        entries.append((name, start, length))
        start += length
    for module in WHOLE:
        if module + ".mpy" not in names and module + ".py" not in names:
            raise ProtocolError("update_image")
    return entries


def _head(data: bytes) -> "tuple[str, int, int]":
    """(name, length, bytes of both) of the entry that begins here."""
    try:
        if data[:1] != bytes((_ARRAY_OF_2,)):
            raise ProtocolError("update_image")
        major, name_size, start = cbor.decode_head(data, 1)
        end = start + name_size
        if major != _TEXT or name_size > MAX_NAME:
            raise ProtocolError("update_image")
        name = cbor.loads(data[1:end])
        major, length, end = cbor.decode_head(data, end)
        if major != _UINT:
            raise ProtocolError("update_image")
    except ProtocolError:
        raise ProtocolError("update_image") from None
    return name, length, end


def _check_name(name: str, names: "set[str]") -> None:
    """A path below its folder that neither goes through a file nor is cut short by a NUL."""
    parts = name.split("/")
    if len(parts) > MAX_DEPTH:
        raise ProtocolError("update_image")
    for part in parts:
        if not part.strip(".") or "\0" in part:
            raise ProtocolError("update_image")
    for depth in range(1, len(parts)):
        if "/".join(parts[:depth]) in names:
            raise ProtocolError("update_image")
