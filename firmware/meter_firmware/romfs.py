"""MicroPython's ROMFS, as far as a slot in memory-mapped flash is one: what an update's image becomes there.

A record is its kind, the length of its payload, and the payload. Numbers are big-endian groups of 7 bits, bit 7
set in all but the last; a group of zeros in front changes nothing. (MicroPython's extmod/vfs_rom.c has all kinds.)

    file system   entries; its whole length is even
    folder        length of its name, name, entries
    file          length of its name, name, a record with the content

Pure: the image's bytes come through a function, because half a megabyte is more than a board's memory.
MicroPython's own reader follows a length wherever it leads, out of the flash if power was cut while it was
written: `is_sound` is asked first. What the files hold is judged elsewhere, by their digest.
"""

from meter_firmware.image import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

    from meter_firmware.image import Entry

    Read = Callable[[int, int], bytes]

    # name, first of the entries that it is or holds, the one after the last, whether it is a file
    Member = tuple[str, int, int, bool]

_FILE_SYSTEM = b"\xd2\xcd\x31"
_CONTENT = 2
_FOLDER = 4
_FILE = 5

_MORE = 0x80
_LONGEST_NUMBER = 5


class _Unsound(Exception):
    pass


def size(entries: "list[Entry]") -> int:
    """Bytes of the file system of an image's files."""
    payload = _payload(entries, 0, len(entries), 0)
    return len(_begin(payload)) + payload


def blocks(entries: "list[Entry]", read: "Read", block_bytes: int) -> "Iterator[bytes]":
    """The file system in blocks, the last of them filled up with 0xff.

    The entries are in the order of their names, as in an image, whose bytes `read(start, count)` gives.
    """
    block = bytearray(_begin(_payload(entries, 0, len(entries), 0)))
    for part in _parts(entries, read, block_bytes, 0, len(entries), 0):
        block.extend(part)
        while len(block) >= block_bytes:
            yield bytes(block[:block_bytes])
            block = block[block_bytes:]
    if block:
        yield bytes(block) + b"\xff" * (block_bytes - len(block))


def _parts(
    entries: "list[Entry]", read: "Read", part_bytes: int, first: int, last: int, skip: int
) -> "Iterator[bytes]":
    """Of the folder that the names of these entries share `skip` characters for."""
    for name, start, end, is_file in _members(entries, first, last, skip):
        named = name.encode()
        named = _number(len(named)) + named
        if not is_file:
            inner = skip + len(name) + 1
            yield _record(_FOLDER, len(named) + _payload(entries, start, end, inner)) + named
            yield from _parts(entries, read, part_bytes, start, end, inner)
            continue
        place, length = entries[start][1:]
        content = _record(_CONTENT, length)
        yield _record(_FILE, len(named) + len(content) + length) + named + content
        for at in range(place, place + length, part_bytes):
            yield read(at, min(part_bytes, place + length - at))


def _payload(entries: "list[Entry]", first: int, last: int, skip: int) -> int:
    """Bytes of all records in that folder."""
    total = 0
    for name, start, end, is_file in _members(entries, first, last, skip):
        name_size = len(name.encode())
        inside = len(_number(name_size)) + name_size
        if is_file:
            length = entries[start][2]
            inside += len(_record(_CONTENT, length)) + length
        else:
            inside += _payload(entries, start, end, skip + len(name) + 1)
        total += len(_record(_FILE, inside)) + inside
    return total


def _members(entries: "list[Entry]", first: int, last: int, skip: int) -> "Iterator[Member]":
    at = first
    while at < last:
        path = entries[at][0]
        end = path.find("/", skip)
        if end < 0:
            yield path[skip:], at, at + 1, True
            at += 1
        else:
            folder = path[: end + 1]
            after = at + 1
            while after < last and entries[after][0].startswith(folder):
                after += 1
            yield path[skip:end], at, after, False
            at = after


def _begin(payload: int) -> bytes:
    length = _number(payload)
    if (len(_FILE_SYSTEM) + len(length) + payload) % 2:
        length = bytes((_MORE,)) + length
    return _FILE_SYSTEM + length


def _record(kind: int, payload: int) -> bytes:
    return bytes((kind,)) + _number(payload)


def _number(value: int) -> bytes:
    digits = bytes((value & 0x7F,))
    value >>= 7
    while value:
        digits = bytes((_MORE | value & 0x7F,)) + digits
        value >>= 7
    return digits


def is_sound(memory: "bytes | bytearray | memoryview") -> bool:
    """Whether it begins with a file system of records such as those above, each inside of what it lies in."""
    if bytes(memory[: len(_FILE_SYSTEM)]) != _FILE_SYSTEM:
        return False
    try:
        payload, start = _read_number(memory, len(_FILE_SYSTEM), len(memory))
        _check_entries(memory, start, _inside(start + payload, len(memory)), 1)
    except _Unsound:
        return False
    return True


def _check_entries(memory: "bytes | bytearray | memoryview", at: int, end: int, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _Unsound
    while at < end:
        kind = memory[at]
        payload, at = _read_number(memory, at + 1, end)
        after = _inside(at + payload, end)
        at = _check_name(memory, at, after)
        if kind == _FOLDER:
            _check_entries(memory, at, after, depth + 1)
        elif kind == _FILE:
            _check_content(memory, at, after)
        else:
            raise _Unsound
        at = after


def _check_name(memory: "bytes | bytearray | memoryview", at: int, end: int) -> int:
    """The place behind it. Any other name than these may be listed as the folder that it is in, without an end."""
    size, at = _read_number(memory, at, end)
    after = _inside(at + size, end)
    try:
        name = bytes(memory[at:after]).decode()
    except UnicodeError:
        raise _Unsound
    if not name or "/" in name or "\0" in name:
        raise _Unsound
    return after


def _check_content(memory: "bytes | bytearray | memoryview", at: int, end: int) -> None:
    if at == end or memory[at] != _CONTENT:
        raise _Unsound
    length, at = _read_number(memory, at + 1, end)
    if at + length != end:
        raise _Unsound


def _read_number(memory: "bytes | bytearray | memoryview", at: int, end: int) -> "tuple[int, int]":
    """The number at that place, and the place behind it."""
    value = 0
    for place in range(at, min(end, at + _LONGEST_NUMBER)):
        digit = memory[place]
        value = value << 7 | digit & 0x7F
        if digit < _MORE:
            return value, place + 1
    raise _Unsound


def _inside(place: int, end: int) -> int:
    if place > end:
        raise _Unsound
    return place
