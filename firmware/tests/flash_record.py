"""A scenario's flash operations, recorded once, and the chip as it was before any of them.

To cut the power at every operation one need not run the scenario again for each: the operations before the cut
are the same. `Recorder` notes them; `Replay` goes over them in order and gives, for the cut at hand, a chip that
may be written to and leaves the replay as it is.
"""

from journal_flash import ERASE, PROGRAM, PowerCut, RamFlash


class Recorder(RamFlash):
    """`operations`: (kind, block, offset, bytes programmed or None), from a blank chip on."""

    def __init__(self, block_count, block_size):
        super().__init__(block_count, block_size)
        self.operations = []

    def writeblocks(self, block, buffer, offset=0):
        self.operations.append((PROGRAM, block, offset, bytes(buffer)))
        return super().writeblocks(block, buffer, offset)

    def ioctl(self, operation, argument):
        if operation == 6:
            self.operations.append((ERASE, argument, 0, None))
        return super().ioctl(operation, argument)


class Replay:
    """`position` operations were done."""

    def __init__(self, recorder):
        self._operations = recorder.operations
        self._flash = RamFlash(recorder.block_count, recorder.block_size)
        self.position = 0

    def go_to(self, position):
        assert self.position <= position <= len(self._operations)
        for number in range(self.position, position):
            _do(self._flash, self._operations[number])
        self.position = position

    def cut(self, mode, seed=0):
        """The chip after a cut "before" the next operation, or inside it ("torn")."""
        chip = Overlay(self._flash)
        if mode == "torn":
            _do(PowerCut(chip, 0, "torn", seed), self._operations[self.position])
        return chip


class Overlay(RamFlash):
    """Blocks are copied when they are first written to."""

    def __init__(self, below):
        self.block_count = below.block_count
        self.block_size = below.block_size
        self._below = memoryview(below.content)
        self._blocks = {}

    def readblocks(self, block, buffer, offset=0):
        own = self._blocks.get(block)
        if own is None:
            start = block * self.block_size + offset
            buffer[:] = self._below[start : start + len(buffer)]
        else:
            buffer[:] = memoryview(own)[offset : offset + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        place = memoryview(self._own(block))[offset : offset + len(buffer)]
        assert place == b"\xff" * len(buffer), "programs what is not erased"
        place[:] = buffer

    def overwrite(self, block, buffer, offset=0):
        memoryview(self._own(block))[offset : offset + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.block_count
        if operation == 5:
            return self.block_size
        if operation == 6:
            self.overwrite(argument, b"\xff" * self.block_size)
        return 0

    def _own(self, block):
        own = self._blocks.get(block)
        if own is None:
            start = block * self.block_size
            own = self._blocks[block] = bytearray(self._below[start : start + self.block_size])
        return own


def _do(device, operation):
    kind, block, offset, content = operation
    if kind == ERASE:
        device.ioctl(6, block)
    else:
        device.writeblocks(block, content, offset)
