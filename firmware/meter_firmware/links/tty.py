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

_OUTPUT_SPEED = 4
_INPUT_SPEED = 5
_CONTROL_CHARACTERS = 6
_VTIME = 5
_VMIN = 6


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
    def __init__(self, path: str, speed: "int | None" = None) -> None:
        """`speed` is one of termios' B constants; None leaves the line's own."""
        self._path = path
        self._speed = speed

    async def open(self) -> ByteStream:
        device = open(self._path, "r+b", 0)  # noqa: SIM115  the stream closes it
        descriptor = device.fileno()
        termios.setraw(descriptor)
        settings = termios.tcgetattr(descriptor)
        if self._speed is not None:
            settings[_OUTPUT_SPEED] = settings[_INPUT_SPEED] = self._speed
        settings[_CONTROL_CHARACTERS][_VTIME] = 0
        settings[_CONTROL_CHARACTERS][_VMIN] = 0
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
        return TtyStream(device)
