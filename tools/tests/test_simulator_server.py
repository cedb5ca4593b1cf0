"""The simulator as a Modbus server: published frames, what real buses do, faults, configuration."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import ValidationError
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.framer import FramerType

from meter_tools.simulator import Configuration, Fault, Simulation, load_configuration, serve
from meter_tools.simulator.clock import FileClock, write_clock_file

Serve = Callable[..., Awaitable[Simulation]]
PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""


def fixed(name: str, kind: str, unit: int, **values: int | None) -> dict[str, Any]:
    return {"name": name, "kind": kind, "unit": unit, "source": {"kind": "fixed", "values": values}}


ROOM = fixed("room", "senseair_s8", 254, co2_fraction=400)
METER = fixed("meter", "energy64", 1, active_energy_import=70000, active_power=-2)


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Serve]:
    running: list[Simulation] = []

    async def start(
        *instruments: dict[str, Any], framing: str = "tcp", pty: bool = False, **more: Any
    ) -> Simulation:
        bus = {"name": "bus", "framing": framing, "pty": pty, "instruments": instruments}
        simulation = await serve(Configuration.model_validate({"bus": [bus], **more}))
        running.append(simulation)
        return simulation

    yield start
    for simulation in running:
        await simulation.close()


async def exchange(simulation: Simulation, request: str, wait_s: float = PATIENCE_S) -> str:
    """What comes back for these bytes, in hexadecimal; empty if nothing does in time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", simulation.buses["bus"].port)
    writer.write(bytes.fromhex(request))
    try:
        return (await asyncio.wait_for(reader.read(300), wait_s)).hex().upper()
    except TimeoutError:
        return ""
    finally:
        writer.close()


async def test_published_frames_of_the_senseair_s8(start: Serve) -> None:
    simulation = await start(ROOM, framing="rtu")
    assert await exchange(simulation, "FE0400030001D5C5") == "FE04020190ACD8"
    assert await exchange(simulation, "FE0400000004E5C6") == "FE0408000000000000019016E6"


async def test_the_published_request_of_the_pzem(start: Serve) -> None:
    pzem = fixed("pzem", "pzem004t", 0xF8, voltage=2301, active_energy_import=0x12345)
    reply = await exchange(await start(pzem, framing="rtu"), "F8040000000A6464")
    assert reply.startswith("F8041408FD")
    assert reply[6 + 20 : 6 + 28] == "23450001", "energy, low word first"


async def test_the_energies_of_a_real_djsf1352(start: Serve) -> None:
    meter = fixed("meter", "djsf1352", 1, active_energy_import=21018, active_energy_export=0)
    reply = await exchange(await start(meter, framing="rtu"), "0103000C0008840F")
    assert reply == "0103100000521A00000000000100FA000000005985"


async def test_the_published_request_of_the_sdm630(start: Serve) -> None:
    """The printed reply says 230.20001 V, the single above the nearest one to 230.2, which is answered here."""
    reply = await exchange(
        await start(fixed("m", "sdm630", 1, voltage_l1=23020), framing="rtu"), "01040000000271CB"
    )
    assert reply.startswith("01040443663333")
    assert len(reply) == len("010404436633341B38")


async def test_modbus_tcp_by_an_independent_client(start: Serve) -> None:
    simulation = await start(METER)
    client = AsyncModbusTcpClient("127.0.0.1", port=simulation.buses["bus"].port, framer=FramerType.SOCKET)
    await client.connect()
    try:
        energy = await client.read_holding_registers(0, count=4, device_id=1)
        assert energy.registers == [0, 0, 1, 4464]
        serial = await client.read_holding_registers(0x110, count=8, device_id=1)
        assert b"".join(word.to_bytes(2, "big") for word in serial.registers).rstrip(b"\0") == b"SIM-0001"
        for refused, code in (
            (await client.read_holding_registers(23, count=1, device_id=1), 2),
            (await client.read_holding_registers(0, count=24, device_id=1), 2),
            (await client.read_input_registers(0, count=1, device_id=1), 2),
            (await client.write_register(0, 1, device_id=1), 1),
        ):
            assert refused.isError()
            assert refused.exception_code == code
    finally:
        client.close()


async def test_an_address_that_nobody_has_stays_silent(start: Serve) -> None:
    simulation = await start(METER, framing="rtu")
    assert await exchange(simulation, "1103006B00037687", 0.2) == ""
    assert (await exchange(simulation, "0103000000044409")).startswith("010308")


async def test_registers_are_those_of_the_moment(start: Serve, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    source = {"kind": "generator", "seed": 1, "start": "2026-01-05T00:00:00Z"}
    site = {"name": "site", "kind": "energy64", "unit": 1, "source": source}
    simulation = await start(site, clock_file=str(clock))
    for moment in (1_767_600_000_000, 1_767_700_000_000):
        write_clock_file(clock, moment)
        expected = simulation.instruments["site"].source(moment)["active_energy_import"]
        reply = await exchange(simulation, "000100000006010300000004")
        assert int(reply[18:], 16) == expected


async def test_faults_are_switched_while_it_runs(start: Serve, tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    simulation = await start(METER, fault_file=str(faults))
    request, reply = "000700000006010300020002", "00070000000701030400011170"
    assert await exchange(simulation, request) == reply
    faults.write_text('{"meter": {"kind": "truncated"}}')
    assert await exchange(simulation, request) == reply[:12]
    faults.write_text('{"somebody else": {"kind": "silent"}}')
    assert await exchange(simulation, request) == reply
    simulation.instruments["meter"].fault = Fault(kind="exception", code=6)
    assert await exchange(simulation, request) == "000700000003018306"
    simulation.instruments["meter"].fault = Fault(kind="silent")
    assert await exchange(simulation, request, 0.2) == ""
    simulation.instruments["meter"].fault = Fault(kind="nonsense")
    assert await exchange(simulation, request) != reply


async def test_a_slow_reply_is_that_of_its_own_request(start: Serve) -> None:
    simulation = await start(METER)
    meter = simulation.instruments["meter"]
    reader, writer = await asyncio.open_connection("127.0.0.1", simulation.buses["bus"].port)
    meter.fault = Fault(kind="slow", delay_ms=3000)
    writer.write(bytes.fromhex("000100000006010300020002"))
    await asyncio.sleep(0.1)
    meter.fault = None
    meter.source = lambda _: {"active_energy_import": 70001}
    writer.write(bytes.fromhex("000200000006010300020002"))
    replies = [(await reader.readexactly(13)).hex() for _ in range(2)]
    writer.close()
    assert replies == ["00020000000701030400011171", "00010000000701030400011170"]


async def test_a_pty_carries_the_same_bytes(start: Serve, ask_over_pty: Callable[..., Awaitable[str]]) -> None:
    simulation = await start(ROOM, framing="rtu", pty=True)
    assert await ask_over_pty(simulation, "FE0400030001D5C5", 7) == "FE04020190ACD8"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "energy65"}, "kind must be"),
        ({"kind": None}, "kind must be"),
        ({"kind": "register_map"}, "names no map"),
        ({"kind": "register_map", "register_map": "fox_ft4"}, "no built-in register map"),
        ({"kind": "register_map", "register_map": "nowhere.toml"}, "cannot be read"),
        ({"kind": "register_map", "register_map": "fox_ft3", "source": {"kind": "generator"}}, "no generator"),
        ({"source": {"kind": "fixed", "values": {"voltage": 1}}}, ""),
    ],
)
async def test_what_cannot_be_simulated_is_said(start: Serve, change: dict[str, Any], words: str) -> None:
    if not words:
        # Known only when the registers are made: the instrument answers that it failed.
        simulation = await start(ROOM | change, framing="rtu")
        assert (await exchange(simulation, "FE0400030001D5C5")).startswith("FE8404")
        return
    with pytest.raises(ValueError, match=words):
        await start(ROOM | change)


async def test_names_and_units_are_unique(start: Serve) -> None:
    with pytest.raises(ValueError, match="taken"):
        await start(METER, ROOM | {"name": "meter"})
    with pytest.raises(ValueError, match="taken"):
        await start(METER, ROOM | {"unit": 1})
    bus = {"name": "b", "framing": "tcp", "pty": True, "instruments": [METER]}
    with pytest.raises(ValueError, match="serial line"):
        await serve(Configuration.model_validate({"bus": [bus]}))


async def test_a_busy_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bus = {"name": "b", "framing": "tcp", "port": taken.getsockname()[1], "instruments": [METER]}
        with pytest.raises((OSError, RuntimeError)):
            await serve(Configuration.model_validate({"bus": [bus]}))


def test_paths_are_relative_to_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "instruments.toml"
    path.write_text(
        'clock_file = "clock"\n[[bus]]\nname = "b"\nframing = "tcp"\n'
        '[[bus.instruments]]\nname = "m"\nunit = 1\nsource = { kind = "trace", csv = "t.csv" }\n'
    )
    configuration = load_configuration(path)
    assert configuration.clock_file == tmp_path / "clock"
    assert configuration.bus[0].instruments[0].source.csv == tmp_path / "t.csv"  # type: ignore[union-attr]
    path.write_text(path.read_text().replace("framing", "farming"))
    with pytest.raises(ValidationError):
        load_configuration(path)


def test_a_clock_file_holds_eight_bytes(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    write_clock_file(path, -1)
    assert FileClock(path)() == -1
    path.write_bytes(b"1234567")
    with pytest.raises(ValueError, match="8"):
        FileClock(path)()


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "instruments.json"
    trace = {"name": "m", "unit": 1, "source": {"kind": "trace", "csv": "mine.csv"}}
    path.write_text(json.dumps({"bus": [{"name": "b", "framing": "tcp", "instruments": [trace]}]}))
    run = subprocess.run(
        [sys.executable, "-m", "meter_tools.simulator", path], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.startswith("simulator: no map for mine.csv")
    assert "Traceback" not in run.stderr
