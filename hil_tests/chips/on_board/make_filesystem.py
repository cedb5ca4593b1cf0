"""Run by MicroPython on the host: a folder's files as a FAT filesystem in one file.

micropython make_filesystem.py FOLDER FILE BYTES
"""

import os
import sys

import vfs

BLOCK_BYTES = 512
FOLDER = 0x4000
IOCTL_BLOCK_COUNT, IOCTL_BLOCK_SIZE = 4, 5
MADE = "/made"


class Blocks:
    def __init__(self, size: int) -> None:
        self.content = bytearray(b"\xff" * size)

    def readblocks(self, number: int, into: bytearray) -> None:
        start = number * BLOCK_BYTES
        into[:] = memoryview(self.content)[start : start + len(into)]

    def writeblocks(self, number: int, content: bytes) -> None:
        start = number * BLOCK_BYTES
        self.content[start : start + len(content)] = content

    def ioctl(self, operation: int, _: int) -> int:
        if operation == IOCTL_BLOCK_COUNT:
            return len(self.content) // BLOCK_BYTES
        return BLOCK_BYTES if operation == IOCTL_BLOCK_SIZE else 0


def put(source: str, target: str) -> None:
    for entry in os.ilistdir(source):
        name = "/" + entry[0]
        if entry[1] == FOLDER:
            os.mkdir(target + name)
            put(source + name, target + name)
        else:
            with open(source + name, "rb") as file, open(target + name, "wb") as copy:
                copy.write(file.read())


def main(folder: str, file: str, size: str) -> None:
    blocks = Blocks(int(size))
    vfs.VfsFat.mkfs(blocks)
    vfs.mount(vfs.VfsFat(blocks), MADE)
    put(folder, MADE)
    vfs.umount(MADE)
    with open(file, "wb") as image:
        image.write(blocks.content)


main(*sys.argv[1:])
