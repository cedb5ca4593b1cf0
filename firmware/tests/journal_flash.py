"""A flash chip in RAM that behaves like NOR flash, and one whose power fails inside a chosen operation.

`PowerCut` wraps any block device at its three methods. The operation with the chosen number (programs and erases
count, from 0) is cut: "before" leaves it undone, "after" does it, "torn" does a random prefix of a program and
programs random bits of the rest, or erases half a block and sets random bits of the other half. From then on
nothing works, as on a board without power: every call answers EIO.
"""

import random

PROGRAM = 0
ERASE = 1

EIO = -5


class RamFlash:
    """Refuses to program what is not erased, and counts what wears it."""

    def __init__(self, block_count, block_size, content=None):
        self.block_count = block_count
        self.block_size = block_size
        self.content = bytearray(content) if content else bytearray(b"\xff" * (block_count * block_size))
        self.erased_blocks = 0
        self.programmed_bytes = 0
        self.read_bytes = 0

    def readblocks(self, block, buffer, offset=0):
        start = block * self.block_size + offset
        self.read_bytes += len(buffer)
        buffer[:] = memoryview(self.content)[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        start = block * self.block_size + offset
        end = start + len(buffer)
        assert memoryview(self.content)[start:end] == b"\xff" * len(buffer), "programs what is not erased"
        self.programmed_bytes += len(buffer)
        memoryview(self.content)[start:end] = buffer

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.block_count
        if operation == 5:
            return self.block_size
        if operation == 6:
            self.erased_blocks += 1
            self.overwrite(argument, b"\xff" * self.block_size)
        return 0

    def overwrite(self, block, buffer, offset=0):
        """What physics does, not the protocol."""
        start = block * self.block_size + offset
        memoryview(self.content)[start : start + len(buffer)] = buffer


class PowerCut:
    def __init__(self, flash, cut_at=None, mode="torn", seed=0):
        self.operations = 0
        self.dead = False
        self._flash = flash
        self._cut_at = cut_at
        self._mode = mode
        self._seed = seed

    def readblocks(self, block, buffer, offset=0):
        if self.dead:
            return EIO
        return self._flash.readblocks(block, buffer, offset)

    def writeblocks(self, block, buffer, offset=0):
        if self._survives(PROGRAM, block, buffer, offset):
            return self._flash.writeblocks(block, buffer, offset)
        return EIO

    def ioctl(self, operation, argument):
        alive = self._survives(ERASE, argument, None, 0) if operation == 6 else not self.dead
        return self._flash.ioctl(operation, argument) if alive else EIO

    def _survives(self, kind, block, buffer, offset):
        if self.dead:
            return False
        number = self.operations
        self.operations += 1
        if number != self._cut_at:
            return True
        self.dead = True
        if self._mode == "after":
            if kind == ERASE:
                self._flash.ioctl(6, block)
            else:
                self._flash.writeblocks(block, buffer, offset)
        elif self._mode == "torn":
            random.seed(self._seed + number)
            if kind == ERASE:
                self._tear_erase(block)
            else:
                self._tear_program(block, buffer, offset)
        return False

    def _tear_program(self, block, buffer, offset):
        torn = bytearray(buffer)
        for place in range(random.randrange(len(torn) + 1), len(torn)):
            torn[place] |= random.getrandbits(8)
        self._flash.writeblocks(block, torn, offset)

    def _tear_erase(self, block):
        torn = bytearray(self._flash.block_size)
        self._flash.readblocks(block, torn, 0)
        half = len(torn) // 2
        for place in range(len(torn)):
            torn[place] |= 0xFF if place < half else random.getrandbits(8)
        self._flash.overwrite(block, torn)
