"""One record of the journal, and reading a segment of them without believing anything that is not intact.

A record is

    offset  bytes  content
         0      2  magic C5 4A
         2      2  length of the message
         4      8  epoch
        12      8  sequence
        20      n  message, opaque and verbatim
      20+n      4  CRC-32 (IEEE 802.3) of everything before it

all big-endian. A segment is a file of records. Where bytes are not an intact record (a write that was cut,
bit rot) the scan looks for the next magic at which one is: damage costs the records it touches and no
others.
"""

import binascii
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Generator

    Found = tuple[int, bytes, int, bytes]

EPOCH_SIZE = 8
OVERHEAD = 24
MAX_MESSAGE_SIZE = 0xFFFF
MAX_SEQUENCE = (1 << 64) - 1

_MAGIC = b"\xc5\x4a"
_HEADER = ">2sH8sQ"
_HEADER_SIZE = 20
_CRC_SIZE = 4
_SEARCH_BYTES = 256


def encode(epoch: bytes, sequence: int, message: bytes) -> bytes:
    head = struct.pack(_HEADER, _MAGIC, len(message), epoch, sequence)
    crc = binascii.crc32(message, binascii.crc32(head))
    return b"".join((head, message, struct.pack(">I", crc)))


def size_of(message: bytes) -> int:
    return len(message) + OVERHEAD


def scan(path: str, offset: int = 0) -> "Generator[Found, None, None]":
    """Every intact record from `offset` on, as (offset, epoch, sequence, message).

    A file that cannot be read further ends the scan: what the file system refuses to give is damage like any
    other, and the caller sees it as bytes that no record accounts for.
    """
    try:
        with open(path, "rb") as file:
            yield from _scan(file, offset, file.seek(0, 2))
    except OSError:
        return


def first(path: str) -> "tuple[int, Found | None]":
    """The file's size, and its first intact record: both at the price of finding the file once."""
    size = 0
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            for found in _scan(file, 0, size):
                return size, found
    except OSError:
        # There, and not to be read: damage, which an empty file is not.
        return max(size, 1), None
    return size, None


def _scan(file: "BinaryIO", offset: int, end: int) -> "Generator[Found, None, None]":
    while offset + OVERHEAD <= end:
        found = _record_at(file, offset, end)
        if found is None:
            offset = _next_magic(file, offset + 1, end)
        else:
            yield found
            offset += size_of(found[3])


def _record_at(file: "BinaryIO", offset: int, end: int) -> "Found | None":
    file.seek(offset)
    head = file.read(_HEADER_SIZE)
    if len(head) != _HEADER_SIZE:
        return None
    magic, length, epoch, sequence = struct.unpack(_HEADER, head)
    if magic != _MAGIC or offset + OVERHEAD + length > end:
        return None
    message = file.read(length)
    crc = file.read(_CRC_SIZE)
    if len(message) != length or len(crc) != _CRC_SIZE:
        return None
    if binascii.crc32(message, binascii.crc32(head)) != struct.unpack(">I", crc)[0]:
        return None
    return offset, epoch, sequence, message


def _next_magic(file: "BinaryIO", offset: int, end: int) -> int:
    while offset < end:
        file.seek(offset)
        window = file.read(_SEARCH_BYTES)
        found = window.find(_MAGIC)
        if found >= 0:
            return offset + found
        if len(window) < _SEARCH_BYTES:
            break
        # The magic may straddle two windows.
        offset += len(window) - 1
    return end
