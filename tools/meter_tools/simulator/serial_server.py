"""A bus of simulated instruments that are not Modbus: bytes over TCP, and through a pty.

Every instrument hears what the meter sends; who is meant answers. `echo` is the adapter that repeats what goes
out. A fault acts on the finished reply, which keeps the values of its own moment.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from meter_tools.simulator import serial_cjt188, serial_co2, serial_dlt645, serial_mbus
from meter_tools.simulator.clock import Clock
from meter_tools.simulator.faults import FaultsNow
from meter_tools.simulator.instruments import Identity, Values
from meter_tools.simulator.serial_instrument import SerialInstrument, SerialKind

SERIAL_KINDS: Mapping[str, SerialKind] = MappingProxyType(
    {**serial_cjt188.KINDS, **serial_co2.KINDS, **serial_dlt645.KINDS, **serial_mbus.KINDS}
)

CHUNK = 256


@dataclass
class SerialStation:
    """An instrument on a bus, and what there is for it to measure."""

    name: str
    kind: SerialKind
    identity: Identity
    source: Callable[[int], Values]
    clock: Clock
    requests: int = 0

    def __post_init__(self) -> None:
        self.instrument: SerialInstrument = self.kind.make(self.identity)

    def answer(self, request: bytes) -> bytes | None:
        reply = self.instrument.answer(request, self.kind.shown(self.source(self.clock())))
        self.requests += reply is not None
        return reply


class SerialServer:
    def __init__(self, stations: list[SerialStation], faults: FaultsNow, echo: bool = False) -> None:
        self._stations = stations
        self._faults = faults
        self._echo = echo
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listens; says where."""
        self._server = await asyncio.start_server(self._serve, host, port)
        taken_host, taken_port = self._server.sockets[0].getsockname()[:2]
        return taken_host, taken_port

    async def shutdown(self) -> None:
        if self._server:
            self._server.close()
        tasks = [task for task in self._connections.values() if task]
        for writer in self._connections:
            writer.close()
        await asyncio.gather(*tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections[writer] = asyncio.current_task()
        try:
            while chunk := await reader.read(CHUNK):
                if self._echo:
                    writer.write(chunk)
                for station in self._stations:
                    for request in station.instrument.hear(chunk):
                        self._reply(station, request, writer)
        except ConnectionError:
            return
        finally:
            del self._connections[writer]
            writer.close()

    def _reply(self, station: SerialStation, request: bytes, writer: asyncio.StreamWriter) -> None:
        reply = station.answer(request)
        if reply is None:
            return
        fault = self._faults().get(station.name)
        if fault is None:
            writer.write(reply)
            return
        match fault.kind:
            case "silent":
                return
            case "slow":
                asyncio.get_running_loop().call_later(fault.delay_ms / 1000, _write_late, writer, reply)
            case "exception":
                writer.write(station.instrument.refusal(request, fault.code) or b"")
            case "truncated":
                writer.write(reply[: len(reply) // 2])
            case "bad_crc":
                damaged = bytearray(reply)
                damaged[len(reply) - 2 if len(reply) > 1 else 0] ^= 0x01
                writer.write(damaged)
            case "nonsense":
                noise = random.Random(f"{station.name} {station.requests}")  # noqa: S311
                writer.write(noise.randbytes(noise.randrange(1, 64)))


def _write_late(writer: asyncio.StreamWriter, reply: bytes) -> None:
    if not writer.is_closing():
        writer.write(reply)
