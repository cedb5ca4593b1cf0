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


class Rs485Stream(UartStream):
    """Half duplex: the transceiver drives the line exactly as long as bytes leave.

    So a write blocks until the last stop bit is out, 8 ms for eight bytes at 9600 baud. A driver that is let go by
    a task which gets its turn later would talk over the answer: instruments answer after 2 ms.
    """

    def __init__(self, raw: "Any", enable: "Any") -> None:
        super().__init__(raw)
        self._enable = enable

    def _write_some(self, view: memoryview) -> int:
        self._enable.value(1)
        try:
            count = super()._write_some(view)
            self._raw.flush()
        finally:
            self._enable.value(0)
        return count


class Uart:
    """`uart` is a machine.UART whose reads do not wait."""

    def __init__(self, uart: "Any") -> None:
        self._uart = uart

    async def open(self) -> ByteStream:
        return UartStream(self._uart)


class Rs485:
    """`enable` is a machine.Pin, high while the transceiver drives the line: DE, and /RE with it."""

    def __init__(self, uart: "Any", enable: "Any") -> None:
        self._uart = uart
        self._enable = enable
        enable.value(0)

    async def open(self) -> ByteStream:
        return Rs485Stream(self._uart, self._enable)
