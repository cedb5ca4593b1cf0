"""Modbus master: the frames are pure functions, the master waits and decides, a line moves bytes.

Sources: MODBUS Application Protocol V1.1b3 (function codes 3 and 4, exception replies), MODBUS over Serial
Line V1.02 (RTU frame, CRC-16), MODBUS Messaging on TCP/IP V1.0b (MBAP header).

Rules
- Length-driven: a frame ends where its own header says, never at a pause, so a slow instrument is not cut short.
- A reply counts only if unit, function and byte count are those of the request. Anything else is an
  InstrumentError with a reason; nothing in the bytes is believed.
- A late reply is never taken for the answer to the next request. On TCP the transaction id tells them apart.
  RTU has no such id: after any failed exchange the master listens and discards for `quarantine_ms` before
  it asks again. A reply later than timeout + quarantine cannot be recognised by RTU, so the timeout of a bus
  must exceed what its slowest instrument needs.
- A line that went away comes back by itself: attempts to reconnect back off up to BACKOFF_MAX_MS, and reads
  in between fail at once.

Writes are deliberately absent: a meter does not change the instruments that it reads.
"""

import asyncio
import time

from meter_firmware import FirmwareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Protocol

    # What time.ticks_ms gives: only time.ticks_diff may look into it.
    Ticks = Any

    class Line(Protocol):
        @property
        def is_open(self) -> bool: ...
        async def reconnect(self) -> None: ...
        async def write(self, frame: bytes) -> None: ...
        async def read_some(self, timeout_ms: int) -> bytes: ...
        def drain(self) -> None: ...
        def close(self) -> None: ...


READ_HOLDING = 3
READ_INPUT = 4
EXCEPTION_BIT = 0x80
MAX_REGISTERS = 125
MBAP_LENGTH = 7
MAX_MBAP_LENGTH_FIELD = 254

BACKOFF_MIN_MS = 100
BACKOFF_MAX_MS = 5000

SILENT_LIMIT = 3
"""So many unanswered requests in a row open the line anew: the far end of a dead TCP connection never says so."""

REASONS = (
    "no_response",
    "short_reply",
    "trailing_bytes",
    "bad_crc",
    "bad_header",
    "wrong_transaction",
    "wrong_unit",
    "wrong_function",
    "wrong_length",
    "modbus_exception",
    "disconnected",
    "not_connected",
    # sensors
    "wrong_identity",
    "unknown_driver",
    "register_map",
)


ABSENT_REASONS = ("no_response", "disconnected", "not_connected")


class InstrumentError(FirmwareError):
    """An instrument gave no usable answer; `reason` is one of REASONS, `code` the Modbus exception code."""

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.code = code

    @property
    def absent(self) -> bool:
        """Nothing answered at all; otherwise something answered, and not as the instrument would."""
        return self.reason in ABSENT_REASONS


def crc16(frame: bytes) -> int:
    """CRC-16 of MODBUS over Serial Line V1.02 §6.2.2: reflected polynomial A001, initial value FFFF."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def _read_pdu(function: int, address: int, count: int) -> bytes:
    if function not in (READ_HOLDING, READ_INPUT):
        raise ValueError("function is not a register read")
    if not 0 <= address <= 0xFFFF or not 1 <= count <= MAX_REGISTERS or address + count > 0x10000:
        raise ValueError("register range")
    return bytes((function, address >> 8, address & 0xFF, 0, count))


def rtu_request(unit: int, function: int, address: int, count: int) -> bytes:
    if not 1 <= unit <= 255:
        raise ValueError("unit")
    frame = bytes((unit,)) + _read_pdu(function, address, count)
    crc = crc16(frame)
    return frame + bytes((crc & 0xFF, crc >> 8))


def rtu_reply_length(received: bytes) -> int:
    """Length of the frame that begins `received`, 0 while its header is still incomplete."""
    if len(received) < 3:
        return 0
    function = received[1]
    if function & EXCEPTION_BIT:
        return 5
    if function not in (READ_HOLDING, READ_INPUT):
        raise InstrumentError("wrong_function")
    return 5 + received[2]


def rtu_reply(received: bytes, unit: int, function: int, count: int) -> bytes:
    """Register bytes of one whole RTU reply.

    The CRC is checked before the unit: in a damaged frame the unit byte means nothing.
    """
    length = rtu_reply_length(received)
    if length == 0 or len(received) < length:
        raise InstrumentError("short_reply")
    if len(received) > length:
        raise InstrumentError("trailing_bytes")
    if crc16(received[:-2]) != received[-2] | received[-1] << 8:
        raise InstrumentError("bad_crc")
    if received[0] != unit:
        raise InstrumentError("wrong_unit")
    return _reply_pdu(received[1:-2], function, count)


def _reply_pdu(pdu: bytes, function: int, count: int) -> bytes:
    if len(pdu) < 2 or pdu[0] & ~EXCEPTION_BIT != function:
        raise InstrumentError("wrong_function")
    if pdu[0] & EXCEPTION_BIT:
        raise InstrumentError("modbus_exception", pdu[1])
    if pdu[1] != 2 * count or len(pdu) != 2 + 2 * count:
        raise InstrumentError("wrong_length")
    return pdu[2:]


def tcp_request(transaction: int, unit: int, function: int, address: int, count: int) -> bytes:
    if not 0 <= transaction <= 0xFFFF or not 0 <= unit <= 255:
        raise ValueError("transaction or unit")
    pdu = _read_pdu(function, address, count)
    header = (transaction >> 8, transaction & 0xFF, 0, 0, 0, 1 + len(pdu), unit)
    return bytes(header) + pdu


def tcp_reply_length(received: bytes) -> int:
    """Length of the frame that begins `received`, 0 while its MBAP header is still incomplete."""
    if len(received) < MBAP_LENGTH:
        return 0
    length_field = received[4] << 8 | received[5]
    if received[2] or received[3] or not 3 <= length_field <= MAX_MBAP_LENGTH_FIELD:
        raise InstrumentError("bad_header")
    return 6 + length_field


def tcp_reply(frame: bytes, transaction: int, unit: int, function: int, count: int) -> bytes:
    """Register bytes of one whole Modbus TCP reply."""
    length = tcp_reply_length(frame)
    if length == 0 or len(frame) < length:
        raise InstrumentError("short_reply")
    if len(frame) > length:
        raise InstrumentError("trailing_bytes")
    if frame[0] << 8 | frame[1] != transaction:
        raise InstrumentError("wrong_transaction")
    if frame[6] != unit:
        raise InstrumentError("wrong_unit")
    return _reply_pdu(frame[7:], function, count)


class ModbusMaster:
    """Reads registers over one line, one request at a time, whoever asks.

    `quarantine_ms` is as long as the timeout unless given; `ticks_ms` is time.ticks_ms unless a test has its own.
    """

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
        self._line = line
        self._framing = framing
        self._timeout_ms = timeout_ms
        self._quarantine_ms = timeout_ms if quarantine_ms is None else quarantine_ms
        self._ticks_ms: "Callable[[], Ticks]" = time.ticks_ms if ticks_ms is None else ticks_ms
        self._lock = asyncio.Lock()
        self._transaction = 0
        self._suspect_since: "Ticks | None" = None
        self._backoff_ms = 0
        self._refused_at: "Ticks" = 0
        self._silent = 0

    async def read_holding(self, unit: int, address: int, count: int) -> bytes:
        return await self._read(unit, READ_HOLDING, address, count)

    async def read_input(self, unit: int, address: int, count: int) -> bytes:
        return await self._read(unit, READ_INPUT, address, count)

    async def _read(self, unit: int, function: int, address: int, count: int) -> bytes:
        await self._lock.acquire()
        try:
            try:
                payload = await self._attempt(unit, function, address, count)
            finally:
                self._lock.release()
        except InstrumentError as error:
            self._count_silence(error)
            raise
        self._silent = 0
        return payload

    async def _attempt(self, unit: int, function: int, address: int, count: int) -> bytes:
        """Once, and once more where the line had been closed behind our back: many servers drop an idle client."""
        exchange = self._exchange_tcp if self._framing == "tcp" else self._exchange_rtu
        was_open = self._line.is_open
        await self._connect()
        try:
            return await exchange(unit, function, address, count)
        except OSError:
            self._line.close()
            if not was_open:
                raise InstrumentError("disconnected")
        await self._connect()
        try:
            return await exchange(unit, function, address, count)
        except OSError:
            self._line.close()
            raise InstrumentError("disconnected")

    def _count_silence(self, error: InstrumentError) -> None:
        self._silent = self._silent + 1 if error.reason == "no_response" else 0
        if self._silent >= SILENT_LIMIT:
            self._silent = 0
            self._line.close()

    async def _connect(self) -> None:
        if self._line.is_open:
            return
        if self._backoff_ms and 0 <= self._elapsed_ms(self._refused_at) < self._backoff_ms:
            raise InstrumentError("not_connected")
        try:
            await self._line.reconnect()
        except OSError:
            self._refused_at = self._ticks_ms()
            self._backoff_ms = min(max(2 * self._backoff_ms, BACKOFF_MIN_MS), BACKOFF_MAX_MS)
            raise InstrumentError("not_connected")
        self._backoff_ms = 0

    async def _exchange_rtu(self, unit: int, function: int, address: int, count: int) -> bytes:
        request = rtu_request(unit, function, address, count)
        await self._quarantine()
        self._line.drain()
        # Suspect until the exchange has succeeded: it may also end by cancellation.
        self._suspect_since = started = self._ticks_ms()
        await self._line.write(request)
        received = b""
        while True:
            received += await self._receive(started, received)
            length = rtu_reply_length(received)
            if length and len(received) >= length:
                break
        try:
            payload = rtu_reply(received, unit, function, count)
        except InstrumentError as error:
            if error.reason == "modbus_exception":
                self._suspect_since = None
            raise
        self._suspect_since = None
        return payload

    async def _quarantine(self) -> None:
        """Discard what arrives until the instrument of a failed exchange has had its time to answer.

        The span runs from the failed request's timeout, not from the failure: a wrong early reply may
        be followed by the right one.
        """
        if self._suspect_since is None:
            return
        span_ms = self._timeout_ms + self._quarantine_ms
        while True:
            remaining_ms = span_ms - self._elapsed_ms(self._suspect_since)
            if not 0 < remaining_ms <= span_ms:
                break
            await self._line.read_some(remaining_ms)
        self._suspect_since = None

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

    async def _receive(self, started: "Ticks", received: bytes, stale: bool = False) -> bytes:
        remaining_ms = self._timeout_ms - self._elapsed_ms(started)
        chunk = await self._line.read_some(remaining_ms) if remaining_ms > 0 else b""
        if chunk:
            return chunk
        if received:
            raise InstrumentError("short_reply")
        raise InstrumentError("wrong_transaction" if stale else "no_response")

    def _elapsed_ms(self, since: "Ticks") -> int:
        return time.ticks_diff(self._ticks_ms(), since)
