"""I2C and 1-Wire buses of simulated chips: the far end of the unix board's sockets, boards/unix/remote_buses.py.

One request, one reply, big-endian:

    request  operation (1), address (1), count to read (2), length (2), bytes to write
    reply    0 done, 1 not acknowledged (1), length (2), bytes read

Bits, levels and clock stretching are not simulated; a reply that is late (fault `slow`) is what a clock stretched
for too long is to the controller. A chip that is pulled out (`silent`) forgets what it forgets without supply.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from meter_tools.simulator.clock import Clock
from meter_tools.simulator.faults import Fault, FaultsNow
from meter_tools.simulator.i2c_chip import I2cChip, Nack
from meter_tools.simulator.onewire_ds18b20 import OneWireLine

DONE, REFUSED = 0, 1
HEADER_LENGTH = 6


class Operation(IntEnum):
    WRITE = 1
    READ = 2
    WRITE_READ = 3
    RESET = 16
    READ_BYTE = 17
    WRITE_BYTE = 18
    SEARCH = 19


@dataclass(frozen=True)
class Request:
    operation: int
    address: int
    count: int
    content: bytes


@dataclass
class Device:
    name: str
    chip: I2cChip
    has_supply: bool = True
    reads: int = 0


@dataclass
class I2cLine:
    """Chips by address."""

    devices: Mapping[int, Device]
    clock: Clock
    faults: FaultsNow

    def execute(self, request: Request) -> tuple[bytes, int]:
        """What was read and how many milliseconds late it is; Nack."""
        device = self.devices.get(request.address)
        if device is None:
            raise Nack
        fault = self.faults().get(device.name)
        self._supply(device, fault)
        said = self._transfer(device.chip, request)
        device.reads += 1
        late_ms = 0 if fault is None or fault.kind != "slow" else fault.delay_ms
        return _damaged(said, fault, f"{device.name} {device.reads}"), late_ms

    def _supply(self, device: Device, fault: Fault | None) -> None:
        if _is(fault, "silent"):
            device.has_supply = False
            raise Nack
        if not device.has_supply:
            device.chip.power_on(self.clock())
            device.has_supply = True
        if _is(fault, "exception"):
            raise Nack

    def _transfer(self, chip: I2cChip, request: Request) -> bytes:
        if request.operation in (Operation.WRITE, Operation.WRITE_READ):
            chip.write(request.content, self.clock())
        if request.operation in (Operation.READ, Operation.WRITE_READ):
            return chip.read(request.count, self.clock())
        return b""


@dataclass
class OneWire:
    line: OneWireLine
    clock: Clock

    def execute(self, request: Request) -> tuple[bytes, int]:
        now_ms = self.clock()
        match request.operation:
            case Operation.RESET:
                return bytes((self.line.reset(now_ms),)), 0
            case Operation.READ_BYTE:
                return bytes((self.line.read(now_ms),)), 0
            case Operation.WRITE_BYTE:
                self.line.write(request.content[0], now_ms)
                return b"", 0
            case Operation.SEARCH:
                return b"".join(self.line.search(now_ms)), 0
        raise Nack


def _is(fault: Fault | None, kind: str) -> bool:
    return fault is not None and fault.kind == kind


def _damaged(said: bytes, fault: Fault | None, seed: str) -> bytes:
    if fault is None or not said:
        return said
    # Seeded by what was asked and when, so that a test that fails fails again.
    noise = random.Random(seed)  # noqa: S311
    match fault.kind:
        case "nonsense":
            return noise.randbytes(len(said))
        case "bad_crc":
            flipped = noise.randrange(8 * len(said))
            return (int.from_bytes(said, "big") ^ 1 << flipped).to_bytes(len(said), "big")
        case "truncated":
            # Who stops driving the line leaves it high.
            return said[: len(said) // 2].ljust(len(said), b"\xff")
    return said


@dataclass
class ChipServer:
    """Serves one bus to whoever connects, one request after the other."""

    bus: I2cLine | OneWire
    server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        self.server = await asyncio.start_server(self._serve, host, port)
        bound: tuple[str, int] = self.server.sockets[0].getsockname()[:2]
        return bound

    async def shutdown(self) -> None:
        if self.server is not None:
            self.server.close()
            for writer in self._writers:
                writer.close()
            await self.server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    header = await reader.readexactly(HEADER_LENGTH)
                    content = await reader.readexactly(header[4] << 8 | header[5])
                    request = Request(header[0], header[1], header[2] << 8 | header[3], content)
                    writer.write(await self._reply(request))
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _reply(self, request: Request) -> bytes:
        try:
            said, late_ms = self.bus.execute(request)
        except Nack:
            return bytes((REFUSED, 0, 0))
        await asyncio.sleep(late_ms / 1000)
        return bytes((DONE, len(said) >> 8, len(said) & 0xFF)) + said
