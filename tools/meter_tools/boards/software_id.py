"""The software id that a board will name which runs a built image, so that it can be approved before there is one.

A board hashes the files of the slot that it runs from, if it does, and behind them its image region
(meter_firmware.software). The files of a slot, so hashed, are the update's image. What the region is, by port:

    own     what the linker laid into the flash, to its end
    stm32   all of the flash that the linker script gives the image: behind the image it is taken for erased
    esp32   ESP-IDF's description of the application, which holds the SHA-256 of what was linked
    unix    none: the golden copy is the files that the interpreter finds, an update's id its image's digest
"""

import hashlib
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from meter_protocol import cbor
from meter_tools.boards.description import Board
from meter_tools.told import ToolError

APPLICATION = "micropython.bin"
DESCRIPTION = slice(32, 32 + 256)
"""esp_app_desc_t, behind the headers of image and first segment (ESP-IDF, "App Image Format")."""

ERASED = b"\xff"

_FLASH = re.compile(r"^\s*FLASH\s*\(\w+\)\s*:\s*ORIGIN\s*=\s*\w+,\s*LENGTH\s*=\s*(\d+)K", re.MULTILINE)
_PROGRAM_HEADERS = struct.Struct("<28xI10xHH")
"""Of an ELF header for 32 bits: where the program headers begin, how long one is, and how many."""

_SEGMENT = struct.Struct("<IIIIII")
"""Type, offset in the file, virtual and physical address, size in the file and in memory."""

_LOADED = 1


class SoftwareIdError(ToolError):
    """There is no image."""


def software_id(board: Board, product: Path, update: bytes = b"") -> bytes | None:
    """`update` is an update's image if the board runs one. None if the id does not follow from what was built;
    SoftwareIdError if nothing was."""
    if board.description.port == "unix":
        return hashlib.sha256(update).digest() if update else None
    region = _image_region(board, product)
    if region is None:
        return None
    return hashlib.sha256(update + cbor.dumps([None, len(region)]) + region).digest()


def _image_region(board: Board, product: Path) -> bytes | None:
    if not product.exists():
        raise SoftwareIdError("board.no_image", board=board.name, path=product)
    match board.description.port:
        case "own":
            return _laid_out(product.read_bytes())
        case "stm32":
            script = board.folder / f"{board.name}.ld"
            found = _FLASH.search(script.read_text()) if script.is_file() else None
            return None if found is None else _laid_out(product.read_bytes()).ljust(int(found[1]) << 10, ERASED)
        case "esp32":
            return (product.parent / APPLICATION).read_bytes()[DESCRIPTION]
        case _:
            return None


def _laid_out(elf: bytes) -> bytes:
    """The flash from the image's first byte, which is the flash's own, to its last."""
    segments = sorted(_segments(elf))
    flash = b""
    for address, content in segments:
        flash = flash.ljust(address - segments[0][0], ERASED) + content
    return flash


def _segments(elf: bytes) -> Iterator[tuple[int, bytes]]:
    """(physical address, content) of what is loaded."""
    first, size, count = _PROGRAM_HEADERS.unpack_from(elf)
    for number in range(count):
        kind, offset, _, address, length, _ = _SEGMENT.unpack_from(elf, first + number * size)
        if kind == _LOADED and length:
            yield address, elf[offset : offset + length]
