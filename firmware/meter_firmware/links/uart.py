"""A UART of the board as a byte stream. It is never closed: the pins stay what they are, and a line has no far end
that could hang up."""

from meter_firmware.links.streams import ByteStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class UartStream(ByteStream):
    def close(self) -> None:
        # machine.UART has no close; the next session reads on where this one stopped.
        self._closed = True


class Uart:
    """`uart` is a machine.UART whose reads do not wait."""

    def __init__(self, uart: "Any") -> None:
        self._uart = uart

    async def open(self) -> ByteStream:
        return UartStream(self._uart)
