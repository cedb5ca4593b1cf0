"""Run by MicroPython on the host: in a board's flash a bit of its private key flips, or flips back.

micropython flip_key.py FLASH COPIES sealed|torn

`sealed` copies have a right checksum afterwards, as of somebody who put another key there; `torn` ones have not.
"""

import binascii
import os
import struct
import sys

import vfs

from meter_firmware import blockdev

ROOT = "/flash"
FOLDERS = (ROOT + "/memory", ROOT + "/memory/copy")
KEY_FILE = "/key"
CHECKSUM_SIZE = 4
LAST = -1 - CHECKSUM_SIZE


def flip(path: str, sealed: bool) -> None:
    with open(path, "rb") as file:
        content = bytearray(file.read())
    content[LAST] ^= 1
    if sealed:
        content[-CHECKSUM_SIZE:] = struct.pack(">I", binascii.crc32(content[:-CHECKSUM_SIZE]))
    with open(path, "wb") as file:
        file.write(content)


def main(flash: str, copies: str, form: str) -> None:
    blocks = os.stat(flash)[6] // blockdev.BLOCK_SIZE
    blockdev.mount(blockdev.FileBlockDevice(flash, blocks), ROOT)
    for folder in FOLDERS[: int(copies)]:
        flip(folder + KEY_FILE, form == "sealed")
    vfs.umount(ROOT)


main(*sys.argv[1:])
