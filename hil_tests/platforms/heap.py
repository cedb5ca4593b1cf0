"""How much of MicroPython's heap is in use, seen through an emulator's debug port: the image knows nothing of it.

The heap begins with a table of two bits for each block of 16 bytes, 0 where the block is free (MicroPython's
py/gc.c); in the interpreter's state the table's address is followed by its length.
"""

from hil_tests.platforms import PlatformError
from hil_tests.platforms.debugger import Debugger
from hil_tests.platforms.image import Symbols

STATE = "mp_state_ctx"
BLOCK_BYTES = 16

_USED = tuple(sum(octet >> shift & 3 != 0 for shift in (0, 2, 4, 6)) for octet in range(256))


def bytes_in_use(debugger: Debugger, symbols: Symbols) -> int:
    """While the emulator is halted."""
    start = symbols["_heap_start"]
    table = debugger.octets(start, _table_bytes(debugger, symbols, start))
    return BLOCK_BYTES * sum(_USED[octet] for octet in table)


def _table_bytes(debugger: Debugger, symbols: Symbols, start: int) -> int:
    state = symbols.of(STATE)
    octets = debugger.octets(state.start, len(state))
    words = [int.from_bytes(octets[place : place + 4], "little") for place in range(0, len(octets), 4)]
    if start not in words:
        raise PlatformError(f"{STATE} names no heap at {start:#x}")
    return words[words.index(start) + 1]
