"""A flash chip in RAM that behaves like NOR flash, and one whose power fails inside a chosen operation.

`PowerCut` wraps any block device at its three methods. The operation with the chosen number (programs and erases
count, from 0) is cut: "before" leaves it undone, "after" does it, "torn" does a random prefix of a program and
programs random bits of the rest, or erases half a block and sets random bits of the other half. From then on
nothing works, as on a board without power: every call answers EIO.

`RomPartitions` are the slots of updates where they lie in flash that the processor reads: the last blocks of the
same chip, so that the operations on all of it are counted as one.
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


class RomPartitions:
    """A stand-in for a port's `vfs.rom_ioctl` (MicroPython's extmod/vfs.h); `flash` is what `device` wraps.

    The file system has the blocks before `first_block`: give it `file_system`.
    """

    COUNT = 2
    UNIT = 4

    def __init__(self, device, flash, first_block):
        self._device = device
        self._flash = flash
        self._first_block = first_block
        self._blocks = (flash.block_count - first_block) // self.COUNT
        self.file_system = FirstBlocks(device, first_block)

    def memory(self, number):
        start = (self._first_block + number * self._blocks) * self._flash.block_size
        return memoryview(self._flash.content)[start : start + self._blocks * self._flash.block_size]

    def rom_ioctl(self, operation, number=0, *arguments):
        if operation == 1:
            return self.COUNT
        if not 0 <= number < self.COUNT:
            return -22
        if operation == 2:
            return self.memory(number)
        if operation == 3:
            return self._prepare(number, *arguments)
        if operation == 4:
            return self._write(number, *arguments)
        # As the stm32 port of 1.25 answers 5: it has nothing to complete.
        return -22

    def _prepare(self, number, size):
        if size > len(self.memory(number)):
            return -22
        first = self._first_block + number * self._blocks
        for block in range(first, first + (size + self._flash.block_size - 1) // self._flash.block_size):
            status = self._device.ioctl(6, block)
            if status:
                return status
        return self.UNIT

    def _write(self, number, offset, buffer):
        assert len(buffer) % self.UNIT == offset % self.UNIT == 0
        assert offset + len(buffer) <= len(self.memory(number))
        block, inside = divmod(offset, self._flash.block_size)
        assert inside + len(buffer) <= self._flash.block_size, "writes over the end of a block"
        block += self._first_block + number * self._blocks
        return self._device.writeblocks(block, buffer, inside) or 0


class FirstBlocks:
    """A block device that ends earlier."""

    def __init__(self, device, block_count):
        self._device = device
        self._block_count = block_count
        self.readblocks = device.readblocks
        self.writeblocks = device.writeblocks

    def ioctl(self, operation, argument):
        return self._block_count if operation == 4 else self._device.ioctl(operation, argument)
