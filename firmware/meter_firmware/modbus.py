"""Modbus master: meter_sampling.modbus_frames has the frames, the master waits and decides, a line moves bytes.

On TCP the transaction id tells a late reply from the answer. RTU has no such id and keeps to the quarantine of
meter_sampling.line_bus. Writes are deliberately absent: a meter does not change the instruments that it reads.
"""

from meter_sampling.instrument_error import InstrumentError
from meter_sampling.line_bus import LineBus
from meter_sampling.modbus_frames import (
    READ_HOLDING,
    READ_INPUT,
    rtu_reply,
    rtu_reply_length,
    rtu_request,
    tcp_reply,
    tcp_reply_length,
    tcp_request,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from meter_sampling.line_bus import Line, Ticks


class ModbusMaster(LineBus):
    """Reads registers over one line, one request at a time, whoever asks."""

    KIND = "modbus"

    def __init__(
        self,
        line: "Line",
        framing: str,
        timeout_ms: int = 500,
        quarantine_ms: "int | None" = None,
        ticks_ms: "Callable[[], Ticks] | None" = None,
    ) -> None:
        if framing not in ("rtu", "tcp"):
            raise ValueError("framing")
        super().__init__(line, timeout_ms, quarantine_ms, ticks_ms)
        self._framing = framing
        self._transaction = 0

    async def read_holding(self, unit: int, address: int, count: int) -> bytes:
        return await self._read(unit, READ_HOLDING, address, count)

    async def read_input(self, unit: int, address: int, count: int) -> bytes:
        return await self._read(unit, READ_INPUT, address, count)

    async def _read(self, unit: int, function: int, address: int, count: int) -> bytes:
        exchange = self._exchange_tcp if self._framing == "tcp" else self._exchange_rtu
        return await self._alone(lambda: exchange(unit, function, address, count))

    async def _exchange_rtu(self, unit: int, function: int, address: int, count: int) -> bytes:
        def parse(received: bytes) -> "bytes | None":
            length = rtu_reply_length(received)
            return rtu_reply(received, unit, function, count) if length and len(received) >= length else None

        return await self._ask(rtu_request(unit, function, address, count), parse)

    async def _exchange_tcp(self, unit: int, function: int, address: int, count: int) -> bytes:
        self._transaction = (self._transaction + 1) & 0xFFFF
        request = tcp_request(self._transaction, unit, function, address, count)
        self._line.drain()
        started = self._ticks_ms()
        await self._line.write(request)
        received = b""
        stale = False
        try:
            while True:
                received += await self._receive(started, received, stale)
                length = tcp_reply_length(received)
                while length and len(received) >= length:
                    frame = received[:length]
                    if frame[0] << 8 | frame[1] == self._transaction:
                        return tcp_reply(frame, self._transaction, unit, function, count)
                    stale = True
                    received = received[length:]
                    length = tcp_reply_length(received)
        except InstrumentError as error:
            # The stream has lost its frame boundaries: only a new connection restores them.
            if error.reason in ("bad_header", "short_reply"):
                self._line.close()
            raise
