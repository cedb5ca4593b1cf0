"""The buses of the configuration, as drivers want them: Modbus by pymodbus, other protocols over a plain line.

A bus serves one request at a time, whoever asks. A late reply is never taken for the answer to the next request:
after a request without an answer the bus is left alone until the instrument has had its time. A line that went
away comes back by itself, at growing distances; reads in between fail at once.
"""

import asyncio
import logging
import termios
from collections.abc import Awaitable
from typing import Any

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU

from meter_gateway.config import BusSection
from meter_gateway.witness.line import InstrumentLine
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.line_bus import BACKOFF_MAX_MS, BACKOFF_MIN_MS, SILENT_LIMIT
from meter_sampling.modbus_frames import READ_HOLDING, READ_INPUT
from meter_sampling.serial_bus import SerialBus

# What it says of every request without an answer, the readings say themselves.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

Client = AsyncModbusTcpClient | AsyncModbusSerialClient

_PARITIES = {"none": "N", "even": "E", "odd": "O"}


class ModbusBus:
    """Register bytes, two a register, high byte first: what a ModbusDriver reads."""

    KIND = "modbus"

    def __init__(self, section: BusSection) -> None:
        self._section = section
        self._timeout_s = section.timeout_ms / 1000
        self._lock = asyncio.Lock()
        self._client: Client | None = None
        self._heard = False
        self._suspect_until_s = 0.0
        self._wait_s = 0.0
        self._next_try_s = 0.0
        self._silent = 0

    async def read_holding(self, unit: int, address: int, count: int) -> bytes:
        return await self._read(READ_HOLDING, unit, address, count)

    async def read_input(self, unit: int, address: int, count: int) -> bytes:
        return await self._read(READ_INPUT, unit, address, count)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _read(self, function: int, unit: int, address: int, count: int) -> bytes:
        async with self._lock:
            await asyncio.sleep(max(0.0, self._suspect_until_s - _now_s()))
            client = await self._connected()
            ask = client.read_holding_registers if function == READ_HOLDING else client.read_input_registers
            self._heard = False
            # Suspect until the exchange has succeeded: it may also end by cancellation.
            self._suspect_until_s = _now_s() + 2 * self._timeout_s
            octets = await self._answer(ask(address, count=count, device_id=unit), function, count)
            self._suspect_until_s = 0.0
            self._silent = 0
            return octets

    async def _answer(self, asked: Awaitable[ModbusPDU], function: int, count: int) -> bytes:
        try:
            reply = await asked
        except ConnectionException:
            self.close()
            raise InstrumentError("disconnected") from None
        except (ModbusException, OSError):
            raise self._unanswered() from None
        if reply.isError():
            self._suspect_until_s = 0.0
            raise InstrumentError("modbus_exception", reply.exception_code)
        if reply.function_code != function:
            raise InstrumentError("wrong_function")
        if len(reply.registers) != count:
            raise InstrumentError("wrong_length")
        return b"".join(register.to_bytes(2, "big") for register in reply.registers)

    def _unanswered(self) -> InstrumentError:
        """pymodbus passes over what is no reply to the request; that something came is told here."""
        if self._heard:
            return InstrumentError("bad_crc" if self._is_rtu else "bad_header")
        if self._client is not None and not self._client.connected:
            self.close()
            return InstrumentError("disconnected")
        self._silent += 1
        if self._silent >= SILENT_LIMIT:
            # The far end of a dead TCP connection never says so.
            self._silent = 0
            self.close()
        return InstrumentError("no_response")

    async def _connected(self) -> Client:
        if self._client is not None and self._client.connected:
            return self._client
        self.close()
        if _now_s() < self._next_try_s:
            raise InstrumentError("not_connected")
        client = self._client = self._make()
        try:
            is_open = await client.connect()
        except (OSError, ValueError, termios.error):
            # Of a port that is none, or cannot be set so; pyserial's own errors are OSErrors.
            is_open = False
        if not is_open:
            self.close()
            self._wait_s = min(max(2 * self._wait_s, BACKOFF_MIN_MS / 1000), BACKOFF_MAX_MS / 1000)
            self._next_try_s = _now_s() + self._wait_s
            raise InstrumentError("not_connected")
        self._wait_s = 0.0
        return client

    @property
    def _is_rtu(self) -> bool:
        return self._section.tcp is None or self._section.rtu

    def _make(self) -> Client:
        section = self._section
        # Nothing is asked twice by itself, and nothing reconnects by itself: both are decided here.
        common: dict[str, Any] = {
            "timeout": self._timeout_s, "retries": 0, "reconnect_delay": 0, "trace_packet": self._trace
        }  # fmt: skip
        if section.tcp is None:
            parity = _PARITIES[section.parity]
            return AsyncModbusSerialClient(section.port or "", baudrate=section.baud, parity=parity, **common)
        host, port = section.tcp
        framer = FramerType.RTU if section.rtu else FramerType.SOCKET
        return AsyncModbusTcpClient(host, port=port, framer=framer, **common)

    def _trace(self, sending: bool, octets: bytes) -> bytes:
        self._heard |= not sending
        return octets


class SerialLineBus(SerialBus):
    """DL/T 645, M-Bus, CJ/T 188 and whatever else is asked and answers in bytes."""

    def __init__(self, section: BusSection) -> None:
        self._instrument_line = InstrumentLine(section)
        super().__init__(self._instrument_line, section.timeout_ms)

    def close(self) -> None:
        self._instrument_line.close()


Bus = ModbusBus | SerialLineBus


def make_bus(section: BusSection) -> Bus:
    return ModbusBus(section) if section.kind == "modbus" else SerialLineBus(section)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
