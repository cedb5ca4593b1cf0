"""The partition table of an ESP32 board: where its image may be, and where it keeps its data.

32 bytes an entry (ESP-IDF Programming Guide, "Partition Tables"): magic AA 50, type, subtype, offset, size (both
32 bits, little-endian), 16 bytes of name, flags; a row of MD5 that begins EB EB, or bytes FF, ends the table.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

OFFSET = 0x8000
LENGTH = 0xC00
MAGIC = b"\xaa\x50"
DATA = 0x01
OF_THE_SYSTEM = (0x00, 0x01, 0x02, 0x03, 0x04, 0x05)
"""Of data that the boot loader and ESP-IDF write by themselves: ota, phy, nvs, coredump, nvs_keys, efuse."""


@dataclass(frozen=True)
class Partition:
    name: str
    offset: int
    size: int
    is_kept: bool
    """Whether it holds what a board must not lose."""

    def overlaps(self, offset: int, size: int) -> bool:
        return offset < self.offset + self.size and self.offset < offset + size

    def __str__(self) -> str:
        return f"{self.name} 0x{self.offset:x}+0x{self.size:x}"


def partitions(table: bytes) -> Iterator[Partition]:
    """None of a flash that holds no table."""
    for at in range(0, len(table) - 31, 32):
        entry = table[at : at + 32]
        if entry[:2] != MAGIC:
            return
        kind, subtype, offset, size, name = struct.unpack("<BBII16s", entry[2:28])
        text = name.rstrip(b"\0").decode("ascii", "replace")
        yield Partition(text, offset, size, kind == DATA and subtype not in OF_THE_SYSTEM)


def lost(on_board: bytes, new: bytes) -> list[Partition]:
    """Partitions of the board's data that the new table does not have at the same place."""
    there = {found for found in partitions(new) if found.is_kept}
    return [kept for kept in partitions(on_board) if kept.is_kept and kept not in there]
