"""A stand-in for an ESP32-S3 or -C3 in its ROM loader, behind a pseudo-terminal: no chip was ever asked.

Written from Espressif's documentation of esptool ("Serial Protocol"): SLIP frames, the loader's commands, and
those that the stub adds once it was loaded; the stub's own code is taken and not run. Registers that esptool reads
are 0, except the one in which the flash's identification comes. What the real chip says where esptool never asked,
how long it takes, and what its reset lines do, is not in here.

    flash            what lies in its flash, 8 MiB; a write erases its region first and sets what it then gets
    commands         every command that came, by number
    was_written      whether a byte of the flash was erased or set
    pull_after       the cable is pulled when so many blocks of an image have come
"""

import hashlib
import os
import select
import struct
import threading
import tty
import zlib

FLASH_BYTES = 8 << 20
SECTOR = 4096

(FLASH_BEGIN, FLASH_DATA, FLASH_END, MEM_BEGIN, MEM_END, MEM_DATA, SYNC, WRITE_REG, READ_REG) = range(0x02, 0x0B)
SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUDRATE = 0x0B, 0x0D, 0x0F
DEFLATE_BEGIN, DEFLATE_DATA, DEFLATE_END, MD5, SECURITY_INFO = range(0x10, 0x15)
ERASE_FLASH, ERASE_REGION, READ_FLASH = 0xD0, 0xD1, 0xD2

CHIP_ID = {"ESP32-C3": 5, "ESP32-S3": 9}
SPI_DATA_REGISTER = 0x60002058
"""SPI_MEM_W0_REG of both chips."""

FLASH_IDENTIFICATION = 0x1740C8
"""Maker C8H, 2^17H bytes."""


class EspStandIn:
    def __init__(self, chip: str = "ESP32-S3", pull_after: int | None = None) -> None:
        self.chip = chip
        self.pull_after = pull_after
        self.flash = bytearray(b"\xff" * FLASH_BYTES)
        self.commands: list[int] = []
        self.was_written = False
        self._controller, self._device = os.openpty()
        tty.setraw(self._device)
        self.port = os.ttyname(self._device)
        self._has_stub = False
        self._blocks = 0
        self._begun = (0, 0)
        self._inflate = zlib.decompressobj()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(10)
        os.close(self._device)

    def _serve(self) -> None:
        heard = b""
        try:
            while not self._closing.is_set():
                if not select.select([self._controller], [], [], 0.05)[0]:
                    continue
                heard += os.read(self._controller, 65536)
                *frames, heard = heard.split(b"\xc0")
                for frame in frames:
                    packet = frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
                    if len(packet) >= 8 and packet[0] == 0:
                        self._obey(packet[1], packet[8:])
        except OSError:
            pass  # the cable was pulled
        finally:
            # The other end stays open: nobody else's pseudo-terminal may get this one's name.
            os.close(self._controller)

    def _send(self, packet: bytes) -> None:
        escaped = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        os.write(self._controller, b"\xc0" + escaped + b"\xc0")

    def _answer(self, command: int, content: bytes = b"", value: int = 0, status: bytes = b"\0\0") -> None:
        tail = content + status + (b"" if self._has_stub else b"\0\0")
        self._send(struct.pack("<BBHI", 1, command, len(tail), value) + tail)

    def _obey(self, command: int, content: bytes) -> None:
        self.commands.append(command)
        match command:
            case _ if command == SYNC:
                # The loader in ROM answers with a value; 0 is the stub's.
                for _ in range(8):
                    self._answer(command, value=0 if self._has_stub else 0x20120707)
            case _ if command == READ_REG:
                (register,) = struct.unpack("<I", content[:4])
                self._answer(command, value=FLASH_IDENTIFICATION if register == SPI_DATA_REGISTER else 0)
            case _ if command == SECURITY_INFO:
                self._answer(command, struct.pack("<IB7BII", 0, 0, *bytes(7), CHIP_ID[self.chip], 0))
            case _ if command == MEM_END:
                self._answer(command)
                if not self._has_stub:
                    self._has_stub = True
                    self._send(b"OHAI")
            case _ if command in (FLASH_BEGIN, DEFLATE_BEGIN):
                size, _, _, offset = struct.unpack("<4I", content[:16])
                self._erase(offset, size)
                self._begun = (offset, offset + size)
                self._inflate = zlib.decompressobj()
                self._answer(command)
            case _ if command in (FLASH_DATA, DEFLATE_DATA):
                self._take(command, content[16:])
            case _ if command == MD5:
                offset, size = struct.unpack("<2I", content[:8])
                digest = hashlib.md5(self.flash[offset : offset + size], usedforsecurity=False)
                self._answer(command, digest.digest() if self._has_stub else digest.hexdigest().encode())
            case _ if command == READ_FLASH:
                self._read(*struct.unpack("<4I", content[:16]))
            case _ if command in (ERASE_FLASH, ERASE_REGION):
                self._erase(0, FLASH_BYTES)
                self._answer(command)
            case _:
                self._answer(command)

    def _erase(self, offset: int, size: int) -> None:
        start, end = offset // SECTOR * SECTOR, -(-(offset + size) // SECTOR) * SECTOR
        self.flash[start:end] = b"\xff" * (end - start)
        self.was_written = self.was_written or end > start

    def _take(self, command: int, block: bytes) -> None:
        if self.pull_after is not None and self._blocks == self.pull_after:
            raise ConnectionError
        self._blocks += 1
        image = self._inflate.decompress(block) if command == DEFLATE_DATA else block
        at, end = self._begun
        image = image[: end - at]
        self.flash[at : at + len(image)] = image
        self._begun = (at + len(image), end)
        self._answer(command)

    def _read(self, offset: int, length: int, block: int, _: int) -> None:
        """The stub's way: blocks, whose acknowledgements are let pass, then the MD5."""
        self._answer(READ_FLASH)
        whole = bytes(self.flash[offset : offset + length])
        for start in range(0, length, block):
            self._send(whole[start : start + block])
        self._send(hashlib.md5(whole, usedforsecurity=False).digest())
