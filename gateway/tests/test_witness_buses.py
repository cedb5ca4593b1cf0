"""Instruments that the gateway reads itself, against the simulator: pymodbus' server, and serial ones."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from meter_gateway.config import BusSection
from meter_gateway.register_map import find_register_map, load_register_map
from meter_gateway.witness.buses import Bus, ModbusBus, make_bus
from meter_gateway.witness.instrument_reader import Indication, InstrumentReader
from meter_protocol import fields as f
from meter_sampling.instrument_error import InstrumentError
from meter_tools.simulator import Configuration, Fault, Simulation, serve

Start = Callable[..., Awaitable[Simulation]]

ENERGY = {"active_energy_import": 999_999_999_999, "active_power": -20_000_000, "power_factor_leading": 1}
DLT645 = {"active_energy_import": 99_999_999, "voltage_a": 2301, "current_a": -799_999, "active_power": -123_456}
SHORT_MS = 150
LONG_MS = 600
"""Where a reply is to be late, and a busy computer must not make it so late that the bus is no more left alone."""

PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""


def fixed(name: str, kind: str, unit: int = 1, **values: int | None) -> dict[str, Any]:
    return {"name": name, "kind": kind, "unit": unit, "source": {"kind": "fixed", "values": values}}


METER = fixed("meter", "energy64", 1, **ENERGY)
SERIAL_METER = fixed("meter", "dlt645", 1, **DLT645)


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Start]:
    running: list[Simulation] = []

    async def start(
        *instruments: dict[str, Any], faults: dict[str, Fault] | None = None, **bus: Any
    ) -> Simulation:
        table = {"name": "bus", "instruments": instruments, **bus}
        simulation = await serve(Configuration.model_validate({"bus": [table]}), lambda: faults or {})
        running.append(simulation)
        return simulation

    yield start
    for simulation in running:
        await simulation.close()


def section(simulation: Simulation, kind: str = "modbus", pty: bool = False, **more: Any) -> BusSection:
    bus = simulation.buses["bus"]
    place = {"port": bus.pty} if pty else {"tcp": f"{bus.host}:{bus.port}"}
    return BusSection.model_validate({"name": "bus0", "kind": kind, **place, **more})


async def indications(bus: Bus, *instrument: Any) -> dict[str, Indication]:
    return await InstrumentReader(bus, *instrument).read(0)


async def shown(bus: Bus, driver: str, address: int, name: str) -> int:
    """Asked again while there is none: on a busy computer the time for an answer may be over."""
    async with asyncio.timeout(PATIENCE_S):
        while (value := (await indications(bus, driver, address))[name].value) is None:
            pass
    return value


async def read_instrument(line: BusSection, *instrument: Any) -> dict[str, Indication]:
    with closing(make_bus(line)) as bus:
        return await indications(bus, *instrument)


def values(found: dict[str, Indication]) -> dict[str, int | None]:
    return {name: entry.value for name, entry in found.items()}


@pytest.mark.parametrize(
    ("framing", "pty", "more"), [("tcp", False, {}), ("rtu", False, {"rtu": True}), ("rtu", True, {})]
)
async def test_modbus_to_the_last_digit(start: Start, framing: str, pty: bool, more: dict[str, Any]) -> None:
    simulation = await start(METER, framing=framing, pty=pty)
    found = await read_instrument(section(simulation, pty=pty, **more), "energy64", 1, None, "SIM-0001")
    assert {name: found[name].value for name in ENERGY} == ENERGY
    assert found["active_energy_import"][:2] == ("active_energy_import", 0)
    assert {entry.status for entry in found.values() if entry.value is not None} == {f.STATUS_GOOD}
    # What the simulator was given nothing for, the instrument says that it has not.
    assert found["voltage"] == Indication("voltage", -1, None, f.STATUS_BAD_RESPONSE)


@pytest.mark.parametrize("pty", [False, True])
@pytest.mark.parametrize("echo", [False, True])
async def test_dlt645_to_the_last_digit(start: Start, pty: bool, echo: bool) -> None:
    simulation = await start(SERIAL_METER, kind="serial", pty=pty, echo=echo)
    names = [["indications", *DLT645]]
    line = section(simulation, "serial", pty=pty, baud=2400, parity="even")
    assert values(await read_instrument(line, "dlt645", 0, names)) == DLT645


async def test_a_register_map_of_the_gateway_is_read_by_the_same_rows(start: Start) -> None:
    name = "vaisala_gmp251"
    path = find_register_map(name, Path())
    assert path is not None
    rows = load_register_map(path).rows()
    shown = {row[0]: 7 * row[9] for row in rows if len(row) == 10}
    simulation = await start({**fixed("probe", "register_map", 240, **shown), "register_map": name}, framing="tcp")
    found = await read_instrument(section(simulation), "register_map", 240, rows)
    assert values(found) == shown


async def test_another_instrument_is_nobodys_reading(start: Start) -> None:
    simulation = await start(METER, framing="tcp")
    found = await read_instrument(section(simulation), "energy64", 1, None, "SIM-0002")
    assert {entry.status for entry in found.values()} == {f.STATUS_WRONG_INSTRUMENT}
    assert set(values(found).values()) == {None}


async def test_a_driver_of_another_kind_of_bus_is_refused(start: Start) -> None:
    simulation = await start(METER, framing="tcp")
    for driver in ("dlt645", "bme280", "nothing"):
        with pytest.raises(InstrumentError, match="unknown_driver"):
            await read_instrument(section(simulation), driver, 1)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("silent", f.STATUS_NO_RESPONSE),
        ("slow", f.STATUS_NO_RESPONSE),
        ("nonsense", f.STATUS_BAD_RESPONSE),
        ("truncated", f.STATUS_BAD_RESPONSE),
        ("exception", f.STATUS_BAD_RESPONSE),
    ],
)
@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_a_fault_costs_its_own_reading_and_no_other(
    start: Start, kind: str, status: int, framing: str
) -> None:
    """A late reply is not taken for the next one's: the values are told apart."""
    faults: dict[str, Fault] = {}
    other = fixed("other", "energy64", 2, active_energy_import=5)
    simulation = await start(METER, other, framing=framing, faults=faults)
    timeout_ms = LONG_MS if kind == "slow" else SHORT_MS
    line = section(simulation, rtu=framing == "rtu", timeout_ms=timeout_ms)
    with closing(make_bus(line)) as bus:
        assert await shown(bus, "energy64", 1, "active_power") == -20_000_000
        faults["meter"] = Fault(kind=kind, delay_ms=timeout_ms + 60)
        said: set[int] = set()
        async with asyncio.timeout(PATIENCE_S):
            # On a busy computer there may be none in time to have a fault, or a slow one just as the time ends.
            while said != {status}:
                found = await indications(bus, "energy64", 1)
                assert set(values(found).values()) == {None}
                said = {entry.status for entry in found.values()}
                assert said <= {f.STATUS_NO_RESPONSE, f.STATUS_BAD_RESPONSE}
        assert await shown(bus, "energy64", 2, "active_energy_import") == 5
        faults.clear()
        assert await shown(bus, "energy64", 1, "active_power") == -20_000_000


async def test_a_late_reply_is_not_the_answer_to_the_next_question(start: Start) -> None:
    """RTU frames have no number: unit, function and length of both replies are the same."""
    faults: dict[str, Fault] = {}
    meter = fixed("meter", "energy64", 1, active_energy_import=1, reactive_energy_lagging=2)
    simulation = await start(meter, framing="rtu", faults=faults)
    bus = make_bus(section(simulation, rtu=True, timeout_ms=LONG_MS))
    assert isinstance(bus, ModbusBus)
    with closing(bus):
        await bus.read_holding(1, 0, 4)
        faults["meter"] = Fault(kind="slow", delay_ms=LONG_MS + 60)
        with pytest.raises(InstrumentError, match="no_response"):
            await bus.read_holding(1, 0, 4)
        # This one's own reply would come after the late one.
        faults["meter"] = Fault(kind="slow", delay_ms=100)
        assert int.from_bytes(await bus.read_holding(1, 4, 4), "big") == 2


@pytest.mark.parametrize("kind", ["silent", "slow", "nonsense", "truncated", "bad_crc"])
async def test_a_serial_fault_costs_its_own_reading(start: Start, kind: str) -> None:
    faults: dict[str, Fault] = {}
    simulation = await start(SERIAL_METER, kind="serial", faults=faults)
    with closing(make_bus(section(simulation, "serial", timeout_ms=SHORT_MS))) as bus:
        faults["meter"] = Fault(kind=kind, delay_ms=SHORT_MS + 60)
        found = await indications(bus, "dlt645", 0)
        assert set(values(found).values()) == {None}
        assert f.STATUS_GOOD not in {entry.status for entry in found.values()}
        faults.clear()
        assert await shown(bus, "dlt645", 0, "active_power") == -123_456


@pytest.mark.parametrize("kind", ["modbus", "serial"])
async def test_a_line_that_went_away_comes_back(start: Start, free_port: Callable[[], int], kind: str) -> None:
    driver, meter, more = (
        ("energy64", METER, {"framing": "tcp"}) if kind == "modbus" else ("dlt645", SERIAL_METER, {})
    )
    port = free_port()
    simulation = await start(meter, kind=kind, port=port, **more)
    line = section(simulation, kind, timeout_ms=SHORT_MS)
    address = 1 if kind == "modbus" else 0
    with closing(make_bus(line)) as bus:
        await shown(bus, driver, address, "active_power")
        await simulation.close()
        await asyncio.sleep(0.05)
        for _ in range(3):
            found = await indications(bus, driver, address)
            assert {entry.status for entry in found.values()} == {f.STATUS_NO_RESPONSE}
        await start(meter, kind=kind, port=port, **more)
        await shown(bus, driver, address, "active_power")


@pytest.mark.parametrize("kind", ["modbus", "serial"])
async def test_any_bytes_from_the_instrument_are_a_status(kind: str) -> None:
    """Whatever comes over the line: no exception gets out, and no value that nobody sent."""
    noise = random.Random(5)

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(64):
            writer.write(noise.randbytes(noise.choice((1, 5, 9, 60, 300, 6000))))

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    line = BusSection.model_validate(
        {"name": "bus0", "kind": kind, "tcp": f"127.0.0.1:{port}", "timeout_ms": 50, "rtu": kind == "modbus"}
    )
    driver = "energy64" if kind == "modbus" else "dlt645"
    with closing(make_bus(line)) as bus:
        for _ in range(30):
            found = await indications(bus, driver, 1)
            assert set(values(found).values()) == {None}
            assert {entry.status for entry in found.values()} <= {f.STATUS_BAD_RESPONSE, f.STATUS_NO_RESPONSE}
    server.close()
