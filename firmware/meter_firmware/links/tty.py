"""A serial device of the Unix port, set raw through termios. Boards with a `machine.UART` need none of this.

MicroPython opens a device without O_NONBLOCK and has no way to set it. Reading does not block all the same:
VMIN = VTIME = 0 returns what is there. Writing blocks as soon as the kernel's buffer cannot take everything,
and POLLOUT promises room for one byte only. So bytes are written one by one, each after a poll: a gateway
that stopped reading delays its own frame, not the meter's sampling.
"""

import select
import termios

from meter_firmware.links import LinkError
from meter_firmware.links.streams import ByteStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SLICE = 64
"""Bytes written before the event loop gets its turn; a fraction of a millisecond."""

SPEEDS = {300: 7, 600: 8, 1200: 9, 2400: 11, 4800: 12, 9600: 13, 19200: 14, 38400: 15, 57600: 4097, 115200: 4098}
"""Linux's numbers of termios' B constants, by baud: MicroPython's termios names only some of them."""

PARITIES = ("none", "even", "odd")

_INPUT_FLAGS = 0
_CONTROL_FLAGS = 2
_OUTPUT_SPEED = 4
_INPUT_SPEED = 5
_CONTROL_CHARACTERS = 6
_VTIME = 5
_VMIN = 6

# Linux's, of termios(3).
_INPCK = 0o20
_PARENB = 0o400
_PARODD = 0o1000


class TtyStream(ByteStream):
    def __init__(self, raw: "Any") -> None:
        super().__init__(raw)
        self._poller = select.poll()
        self._poller.register(raw, select.POLLOUT)
        self._byte = bytearray(1)

    def _write_some(self, view: memoryview) -> int:
        byte = self._byte
        count = 0
        for value in view[:SLICE]:
            if not self._has_room():
                break
            byte[0] = value
            self._raw.write(byte)
            count += 1
        return count

    def _has_room(self) -> bool:
        for _, events in self._poller.ipoll(0):
            if events & (select.POLLERR | select.POLLHUP):
                raise LinkError("peer_closed")
            return True
        return False


class Tty:
    def __init__(self, path: str, baud: "int | None" = None, parity: str = "none") -> None:
        """None leaves the line's own speed. ValueError for a speed or a parity that a line cannot have."""
        if (baud is not None and baud not in SPEEDS) or parity not in PARITIES:
            raise ValueError("baud or parity")
        self._path = path
        self._baud = baud
        self._parity = parity

    async def open(self) -> ByteStream:
        device = open(self._path, "r+b", 0)  # noqa: SIM115  the stream closes it
        descriptor = device.fileno()
        termios.setraw(descriptor)
        settings = termios.tcgetattr(descriptor)
        set_line(settings, self._baud, self._parity)
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
        return TtyStream(device)


def set_line(settings: "list[Any]", baud: "int | None", parity: str) -> None:
    """Change what tcgetattr gave of a raw line. A byte with a parity error arrives as NUL, and its frame's
    checksum fails.
    """
    if baud is not None:
        settings[_OUTPUT_SPEED] = settings[_INPUT_SPEED] = SPEEDS[baud]
    if parity != "none":
        settings[_INPUT_FLAGS] |= _INPCK
        settings[_CONTROL_FLAGS] |= _PARENB
    if parity == "odd":
        settings[_CONTROL_FLAGS] |= _PARODD
    settings[_CONTROL_CHARACTERS][_VTIME] = 0
    settings[_CONTROL_CHARACTERS][_VMIN] = 0
