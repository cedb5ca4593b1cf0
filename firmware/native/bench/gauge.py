"""What a call takes: instructions of the emulated core, and bytes of the heap.

The emulator runs with -icount shift=0, so that a microsecond of its time is a thousand instructions. On a host the
times mean nothing; the bytes do.
"""

import gc
import time

INSTRUCTIONS_PER_US = 1000


def unswept(call, *arguments):
    """Calls it in a heap that was swept just before and is not meanwhile: all that it takes still shows.

    How long a search for memory is depends on the sweep before it, so parts are gauged inside of one such call.
    """
    gc.collect()
    gc.disable()
    try:
        return call(*arguments)
    finally:
        gc.enable()


class Cost:
    """What each of some calls took."""

    def __init__(self):
        self.instructions = []
        self.heap_bytes = []

    @property
    def calls(self):
        return len(self.instructions)

    def of(self, call, *arguments):
        heap, start = gc.mem_alloc(), time.ticks_us()
        result = call(*arguments)
        elapsed_us = time.ticks_diff(time.ticks_us(), start)
        self.heap_bytes.append(gc.mem_alloc() - heap)
        self.instructions.append(elapsed_us * INSTRUCTIONS_PER_US)
        return result

    def tell(self, name):
        """Prints a line "name instructions largest bytes": medians, and the most instructions of one call."""
        print(name, _median(self.instructions), max(self.instructions), _median(self.heap_bytes))


def _median(values):
    return sorted(values)[len(values) // 2]
