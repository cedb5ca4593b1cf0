"""Frames on a serial line (SPEC §9): 0x00, COBS(payload + CRC-32), 0x00.

COBS leaves no zero byte inside a frame, so a receiver that lost its place waits for the next zero and is
back. A delimiter stands at both ends: noise between two frames then spoils neither. The CRC-32 (IEEE 802.3,
big-endian) finds transmission faults only; authenticity is the signature's work.
"""

from binascii import crc32

from meter_protocol.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

MAX_PAYLOAD = 16384

_PIECE = 256
_BLOCK = 254
"""The longest run without a zero that one code byte of COBS stands for."""


def frame(payload: bytes) -> bytes:
    return b"".join(pieces(payload))


def pieces(payload: bytes) -> "Iterator[bytes]":
    """The frame in parts of at most 512 bytes: a board in use has no room for all of it in one place."""
    if len(payload) > MAX_PAYLOAD:
        raise EncodeError("larger than any receiver takes")
    piece = bytearray(1)
    start = 0
    while True:
        end = payload.find(b"\x00", start, start + _BLOCK)
        if end < 0 and len(payload) - start < _BLOCK:
            break
        if end < 0:
            piece.append(255)
            piece.extend(payload[start : start + _BLOCK])
            start += _BLOCK
        else:
            piece.append(end - start + 1)
            piece.extend(payload[start:end])
            start = end + 1
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece = bytearray()
    yield bytes(piece)
    yield cobs_encode(payload[start:] + (crc32(payload) & 0xFFFFFFFF).to_bytes(4, "big")) + b"\x00"


class Deframer:
    """Turns a byte stream, cut anywhere, into intact payloads; counts what it had to throw away."""

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        # COBS adds one byte in 254 and one more; the CRC adds four.
        self._max_payload = max_payload
        self._limit = max_payload + 4 + (max_payload + 4) // 254 + 1
        self._buffer = bytearray()
        self._skipping = False
        self.discarded = 0

    def feed(self, data: bytes) -> "list[bytes]":
        payloads: "list[bytes]" = []
        start = 0
        while True:
            end = data.find(b"\x00", start)
            if end < 0:
                self._collect(data[start:])
                return payloads
            self._collect(data[start:end])
            payload = self._close()
            if payload is not None:
                payloads.append(payload)
            start = end + 1

    def _collect(self, piece: bytes) -> None:
        if self._skipping:
            return
        if len(self._buffer) + len(piece) > self._limit:
            self._skipping = True
            self._buffer = bytearray()
        else:
            self._buffer.extend(piece)

    def _close(self) -> "bytes | None":
        held = self._buffer
        skipped = self._skipping
        self._buffer = bytearray()
        self._skipping = False
        if not held and not skipped:
            return None
        size = -1 if skipped else _decode_in_place(held)
        length = size - 4
        payload = bytes(memoryview(held)[1 : 1 + length]) if 0 <= length <= self._max_payload else None
        if payload is None or (crc32(payload) & 0xFFFFFFFF).to_bytes(4, "big") != held[1 + length :]:
            self.discarded += 1
            return None
        return payload


def cobs_encode(data: bytes) -> bytes:
    """Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): no zero byte in the result."""
    out = bytearray()
    start = 0
    while True:
        end = data.find(b"\x00", start, start + 254)
        if end < 0 and len(data) - start >= 254:
            out.append(255)
            out.extend(data[start : start + 254])
            start += 254
            if start == len(data):
                return bytes(out)
            continue
        if end < 0:
            end = len(data)
        out.append(end - start + 1)
        out.extend(data[start:end])
        if end == len(data):
            return bytes(out)
        start = end + 1


def cobs_decode(encoded: bytes) -> "bytes | None":
    """The data, or None if the bytes are not a COBS encoding."""
    held = bytearray(encoded)
    size = -1 if 0 in encoded else _decode_in_place(held)
    return None if size < 0 else bytes(held[1:])


def _decode_in_place(held: bytearray) -> int:
    """The size of what then lies behind its first byte, or -1: a board has no room for a copy. No zero comes in.

    Each code says where the next one is, and stands where a zero was, but behind a block of 254 bytes.
    """
    if not held:
        return -1
    size = len(held)
    read = 0
    behind_full = []
    while read < size:
        code = held[read]
        held[read] = 0
        read += code
        if code == 255:
            behind_full.append(read)
    if read != size:
        return -1
    for place in reversed(behind_full):
        held[place : place + 1] = b""
    return len(held) - 1
