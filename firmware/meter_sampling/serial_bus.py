"""Instruments that are asked and answer over a byte stream and are not Modbus: DL/T 645, M-Bus, CJ/T 188, ...

One RS-485 or M-Bus line may carry several of them, and of several protocols. A half-duplex adapter without
echo suppression repeats what is sent: an echo in front of the reply is taken off here, for every protocol.
"""

from meter_sampling.line_bus import LineBus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, TypeVar

    Answer = TypeVar("Answer")


class SerialBus(LineBus):
    KIND = "serial"

    async def exchange(self, request: bytes, parse: "Callable[[bytes], Answer | None]") -> "Answer":
        """What `parse` makes of the bytes that answer the request.

        `parse` is pure. It gets all that has been received so far and gives None while the reply is not whole;
        it raises InstrumentError as soon as no continuation could make a reply to this request of it.
        """

        async def once() -> "Answer":
            return await self._ask(request, parse)

        return await self._alone(once)

    def _without_echo(self, heard: bytes, request: bytes) -> "bytes | None":
        if heard.startswith(request):
            return heard[len(request) :]
        return None if request.startswith(heard) else heard
