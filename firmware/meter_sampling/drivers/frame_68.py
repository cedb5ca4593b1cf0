"""Finds the meter's frame in what came over the line: 68 ... C L data CS 16, as DL/T 645 and CJ/T 188 have it.

Before it may come bytes that wake a receiver (FE), what a turn of the line makes (00, FF, anything), and our own
request as an echo, whole or damaged. Where a frame ends its length says; a pause or a 16H says nothing.
"""

from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

START = 0x68
STOP = 0x16
FROM_METER = 0x80
"""Direction bit of the control code C."""


def meter_frame(received: bytes, header_length: int, is_header: "Callable[[bytes], bool]") -> "bytes | None":
    """The first good frame with the meter's direction bit; None while it may still be coming.

    The header ends with C and L. Noise may look like a beginning: what fails its check, or is longer than what
    has come, does not hide a good frame behind it.
    """
    refusal: "str | None" = None
    is_waiting = False
    place = 0
    while True:
        place = received.find(b"\x68", place)
        if place < 0:
            break
        header = received[place : place + header_length]
        if len(header) < header_length:
            is_waiting = True
            break
        end = place + header_length + header[-1] + 2
        if not is_header(header):
            place += 1
        elif len(received) < end:
            is_waiting = True
            place += 1
        elif received[end - 2] != sum(received[place : end - 2]) & 0xFF:
            refusal = "bad_checksum"
            place += 1
        elif received[end - 1] != STOP:
            refusal = "bad_stop"
            place += 1
        elif header[-2] & FROM_METER:
            if len(received) > end:
                raise InstrumentError("trailing_bytes")
            return received[place:end]
        else:
            place = end
    if refusal is not None and not is_waiting:
        raise InstrumentError(refusal)
    return None
