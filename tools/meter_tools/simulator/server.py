"""The buses: pymodbus servers whose registers are filled at the moment of each request.

pymodbus frames, decodes and answers; here is only what a bus of real instruments adds: an address that nobody
has stays silent, registers that an instrument lacks are an illegal data address, nothing can be written, and
an instrument can be at fault. A fault acts on the finished reply of the request that it belongs to, so that a
slow reply keeps the transaction id and the register values of its own request.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from meter_tools.simulator.chip_configuration import ChipBusConfiguration, build_line
from meter_tools.simulator.chip_line import ChipServer
from meter_tools.simulator.clock import Clock, FileClock, real_clock
from meter_tools.simulator.configuration import BusConfiguration, Configuration, Source, build
from meter_tools.simulator.faults import Fault, FaultFile, FaultsNow
from meter_tools.simulator.instruments import HOLDING, INPUT, Identity, Kind, Values
from meter_tools.simulator.serial_configuration import SerialBusConfiguration, build_server
from meter_tools.simulator.serial_pty import PtyLine, open_pty_line
from meter_tools.simulator.serial_server import SerialServer

NOBODY = 0
"""pymodbus hands requests for unknown addresses to device 0; its replies are dropped."""


@dataclass
class Instrument:
    name: str
    kind: Kind
    identity: Identity
    source: Source
    clock: Clock
    fault: Fault | None = None
    requests: int = 0

    def indications(self) -> Values:
        """What the instrument shows at this moment, before its registers wrap."""
        return self.source(self.clock())

    def device(self) -> SimDevice:
        addresses = self.kind.words({}, self.identity)
        return SimDevice(
            id=self.identity.unit,
            simdata=(
                _no_bits(),
                _no_bits(),
                _blocks([address for function, address in addresses if function == HOLDING]),
                _blocks([address for function, address in addresses if function == INPUT]),
            ),
            action=self._fill,
        )

    async def _fill(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        current_registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if set_values is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        self.requests += 1
        words = self.kind.words(self.indications(), self.identity)
        for wanted in range(address, address + count):
            current_registers[wanted - start_address] = words[function_code, wanted]
        return None


def _no_bits() -> list[SimData]:
    return [SimData(address=0, values=[False] * 16, datatype=DataType.BITS)]


def _blocks(addresses: list[int]) -> list[SimData]:
    if not addresses:
        return [SimData(address=0, datatype=DataType.INVALID)]
    blocks = []
    for _, run in groupby(enumerate(sorted(addresses)), lambda pair: pair[1] - pair[0]):
        members = [address for _, address in run]
        blocks.append(SimData(address=members[0], values=[0] * len(members), datatype=DataType.REGISTERS))
    return blocks


class _BusServer(ModbusTcpServer):
    def __init__(
        self, configuration: BusConfiguration, instruments: Mapping[int, Instrument], faults: FaultsNow
    ) -> None:
        nobody = SimDevice(id=NOBODY, simdata=[SimData(address=0, datatype=DataType.INVALID)])
        super().__init__(
            [nobody, *(instrument.device() for instrument in instruments.values())],
            framer=FramerType.RTU if configuration.framing == "rtu" else FramerType.SOCKET,
            address=(configuration.host, configuration.port),
        )
        self.instruments = instruments
        self.faults = faults

    def callback_new_connection(self) -> _Connection:
        return _Connection(self, None, None, None)  # type: ignore[no-untyped-call]


class _Connection(ServerRequestHandler):
    server: _BusServer

    def server_send(self, pdu: ModbusPDU, addr: tuple[str, int] | None) -> None:
        instrument = self.server.instruments.get(pdu.dev_id)
        if instrument is None:
            return
        fault = instrument.fault or self.server.faults().get(instrument.name)
        if fault is None:
            self._send_now(pdu)
            return
        match fault.kind:
            case "silent":
                return
            case "slow":
                self.loop.call_later(fault.delay_ms / 1000, self._send_now, pdu)
            case "exception":
                refusal = ExceptionResponse(
                    pdu.function_code, fault.code, device_id=pdu.dev_id, transaction=pdu.transaction_id
                )
                self._send_now(refusal)
            case "truncated":
                frame = self.framer.buildFrame(pdu)
                self.send(frame[: len(frame) // 2])
            case "nonsense":
                # Seeded by what was asked and when, so that a test that fails fails again.
                noise = random.Random(f"{instrument.name} {instrument.requests}")  # noqa: S311
                self.send(noise.randbytes(noise.randrange(1, 64)))

    def _send_now(self, pdu: ModbusPDU) -> None:
        """A slow reply may find that its connection has gone."""
        if self.is_active():
            self.pdu_send(pdu)


def _no_faults() -> Mapping[str, Fault]:
    return {}


@dataclass
class Bus:
    name: str
    host: str
    port: int
    pty: str | None
    server: _BusServer | ChipServer | SerialServer
    line: PtyLine | None


@dataclass
class Simulation:
    """Running buses. `instruments[name].fault` and `.source` may be changed while they run."""

    buses: dict[str, Bus] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)

    async def close(self) -> None:
        for bus in self.buses.values():
            if bus.line is not None:
                bus.line.close()
            await bus.server.shutdown()


async def serve(configuration: Configuration, faults: FaultsNow | None = None) -> Simulation:
    """Start every bus; returns when all of them listen. `faults` are in place of the configuration's file."""
    clock = FileClock(configuration.clock_file) if configuration.clock_file else real_clock
    if faults is None:
        faults = FaultFile(configuration.fault_file) if configuration.fault_file else _no_faults
    simulation = Simulation()
    try:
        for bus in configuration.bus:
            await _start(simulation, bus, clock, faults)
    except BaseException:
        await simulation.close()
        raise
    return simulation


async def _start(
    simulation: Simulation,
    configuration: BusConfiguration | ChipBusConfiguration | SerialBusConfiguration,
    clock: Clock,
    faults: FaultsNow,
) -> None:
    if configuration.name in simulation.buses:
        raise ValueError(f"bus {configuration.name} is there twice")
    if isinstance(configuration, ChipBusConfiguration):
        chips = build_line(configuration, clock, faults)
        host, port = await chips.listen(configuration.host, configuration.port)
        simulation.buses[configuration.name] = Bus(configuration.name, host, port, None, chips, None)
        return
    if isinstance(configuration, SerialBusConfiguration):
        stations = build_server(configuration, clock, faults)
        host, port = await stations.listen(configuration.host, configuration.port)
        line = await open_pty_line(host, port) if configuration.pty else None
        path = None if line is None else line.path
        simulation.buses[configuration.name] = Bus(configuration.name, host, port, path, stations, line)
        return
    if configuration.pty and configuration.framing != "rtu":
        raise ValueError(f"bus {configuration.name}: only RTU runs over a serial line")
    by_unit: dict[int, Instrument] = {}
    for entry in configuration.instruments:
        kind, identity, source = build(entry)
        if entry.name in simulation.instruments or entry.unit in by_unit:
            raise ValueError(f"instrument {entry.name}, unit {entry.unit}: name or unit is taken")
        instrument = Instrument(entry.name, kind, identity, source, clock)
        simulation.instruments[entry.name] = by_unit[entry.unit] = instrument
    server = _BusServer(configuration, by_unit, faults)
    await server.serve_forever(background=True)
    listener: Any = server.transport
    host, port = listener.sockets[0].getsockname()[:2]
    line = await open_pty_line(host, port) if configuration.pty else None
    path = None if line is None else line.path
    simulation.buses[configuration.name] = Bus(configuration.name, host, port, path, server, line)
