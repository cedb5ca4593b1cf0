"""A reference instrument on Modbus: a real pymodbus server, read by the running gateway while a run lasts."""

import asyncio
import json
import logging
import re
import signal
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from plant import POWER, Plant, channels
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from meter_gateway.config import BusSection
from meter_gateway.in_situ.modbus_reference import BusNamed, Poller, References, modbus_of
from meter_gateway.in_situ.run_state import ModbusState, ReferenceState, Runs, RunState
from meter_gateway.metrology.conformity import Outcome
from meter_gateway.sealing import load_sealer
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.witness.buses import make_bus
from meter_protocol import comparison as cm
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import INTERVAL_MS
from meter_tools.simulator import Configuration, Fault
from meter_tools.simulator import serve as simulate

MAP = """
title = "Portable standard"
maker = "x"
model = "y"
source = "this test"
checked = "by this test"
[[register]]
name = "power"
quantity = "active_power"
function = "holding"
address = 0
type = "float32"
unit = "kW"
exponent = -1
range = [0, 1000]
[[condition]]
function = "holding"
address = 4
type = "uint16"
value = 0
meaning = "no error is active"
[serial]
function = "holding"
address = 10
type = "text2"
"""
BUSES = (
    BusSection(name="line0", kind="modbus", port="/dev/ttyUSB0"),
    BusSection(name="m-bus", kind="serial", port="/dev/ttyUSB1"),
)
SECOND_MS = 1000
UNIT = 7
SLOW_MS = 150
PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""


def registers(kilowatts: float, serial: str = "PS-9", error: int = 0) -> list[int]:
    high, low = struct.unpack(">HH", struct.pack(">f", kilowatts))
    text = struct.unpack(">HH", serial.encode())
    return [high, low, 0, 0, error, 0, 0, 0, 0, 0, *text]


Serve = Callable[[list[int]], Awaitable[int]]


@pytest.fixture
async def serve(free_port: Callable[[], int]) -> AsyncIterator[Serve]:
    servers: list[ModbusTcpServer] = []

    async def start(values: list[int]) -> int:
        port = free_port()
        device = SimDevice(UNIT, [SimData(0, values=values, datatype=DataType.REGISTERS)])
        server = ModbusTcpServer(device, address=("127.0.0.1", port))
        servers.append(server)
        await server.serve_forever(background=True)
        return port

    yield start
    for server in servers:
        await server.shutdown()


async def test_a_reference_that_the_gateway_reads(
    plant: Plant,
    serve: Serve,
    connect: Callable[[Any], Awaitable[Any]],
    until: Callable[[Callable[[], bool]], Awaitable[None]],
) -> None:
    """The meter shows 0.15 % more than one standard, 2 % more than the other; the third has a poor certificate."""
    good, low = await serve(registers(100.0)), await serve(registers(98.0))
    (plant.gateway.folder / "standard.toml").write_text(MAP)
    plant.certify("POOR", "PS-9", u=3)
    text = plant.gateway.config.read_text()
    plant.gateway.config.write_text(text.replace("'PORTABLE.toml'", "'PORTABLE.toml', 'POOR.toml'"))
    plant.plan(interval_days=None, min_pairs=3)
    plant.gateway.start()
    line = await connect(plant.gateway)
    for port, certificate in ((good, "PORTABLE"), (low, "PORTABLE"), (good, "POOR")):
        await asyncio.to_thread(
            plant.ask, "compare", "start", "M-1", str(POWER), "--person", "N. N.", "--kind", "as-found",
            "--modbus", f"127.0.0.1:{port}/{UNIT}", "--map", str(plant.gateway.folder / "standard.toml"),
            "--indication", "power", "--period-ms", "100", "--certificate", certificate,
        )  # fmt: skip
    folder = plant.gateway.state / "comparisons"

    def last_readings_ms() -> list[int]:
        """Of each run that has one."""
        texts = [path.read_text() for path in folder.glob("*.readings")]
        return [json.loads(text.splitlines()[-1])[0] for text in texts if text.endswith("\n")]

    await until(lambda: len(last_readings_ms()) == 3)
    first_ms = max(last_readings_ms())
    await until(lambda: min(last_readings_ms(), default=0) > first_ms + 7 * SECOND_MS)
    plant.meter.channels = channels(1500)
    for second in range(6):
        plant.meter.time_ms = first_ms + (second + 1) * SECOND_MS - INTERVAL_MS
        line.send(plant.meter.readings(DURATION_MS=SECOND_MS))
    await until(lambda: plant.gateway.status()["counts"]["stored"] >= 6)
    runs = [path.stem for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)]
    for run in runs:
        await asyncio.to_thread(plant.ask, "compare", "finish", "--run", run)
    line.close()
    outcomes = {event.run: event for event in plant.events()}
    assert [outcomes[run].outcome for run in runs] == [Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE]
    assert outcomes[runs[1]].fields[cm.REASONS] == ["en_exceeded", "mpe_exceeded"]
    assert outcomes[runs[2]].fields[cm.REASONS] == ["uncertainty_too_large"]
    passed = outcomes[runs[0]].fields
    assert passed[cm.REFERENCE][cm.REFERENCE_KIND] == cm.READ_BY_GATEWAY
    (point,) = passed[cm.POINTS]
    assert point[cm.POINT_ERROR] * 10.0 ** passed[cm.EXPONENT] == pytest.approx(150, abs=10)
    assert plant.gateway.stop() == 0


WITNESSED = """
version = 1
interval_s = 1
sample_period_ms = 250
receipt_keys = ["keys/receipt.pub.pem"]
clock_keys = ["keys/clock.pub.pem"]
[[instrument]]
name = "feeder"
driver = "energy64"
bus = "line0"
address = 1
serial = "SIM-0001"
[[channel]]
id = 1
instrument = "feeder"
indication = "active_power"
quantity = "active_power"
kind = "mean"
exponent = 0
ratio = 1
"""


async def test_a_reference_on_the_serial_line_of_the_instrument_that_it_is_held_against(
    plant: Plant, until: Callable[[Callable[[], bool]], Awaitable[None]]
) -> None:
    """RTU on one pty: the gateway's own meter reads its instrument there, the comparison reads the standard."""
    gateway, folder = plant.gateway, plant.gateway.folder
    (folder / "standard.toml").write_text(MAP)
    (folder / "set.toml").write_text(WITNESSED)
    feeder = {"name": "feeder", "kind": "energy64", "unit": 1, "serial": "SIM-0001"}
    feeder |= {"source": {"kind": "fixed", "values": {"active_power": 100_200}}}
    standard = {"name": "standard", "kind": "register_map", "unit": UNIT, "serial": "PS-9"}
    standard |= {"register_map": str(folder / "standard.toml")}
    standard |= {"source": {"kind": "fixed", "values": {"power": 1_000_000}}}
    line = {"name": "line0", "framing": "rtu", "pty": True, "instruments": [feeder, standard]}
    simulation = await simulate(Configuration.model_validate({"bus": [line]}))

    async def ask(*words: str | Path) -> str:
        return await asyncio.to_thread(plant.ask, *words)

    def readings_of_the_standard() -> int:
        return sum(len(path.read_text().splitlines()) for path in gateway.state.glob("comparisons/*.readings"))

    # On a busy computer an interval may lack a sample.
    whole = (f.STATUS_GOOD, 4, 4, 100_200)

    def regular() -> list[tuple[int, ...]]:
        with closing(Store(gateway.state / "gateway.sqlite")) as store:
            messages = store.archive.messages(bytes.fromhex(thumbprint), types=(t.READINGS,), limit=1000)
            stored = [message.verified().fields for message in messages]
        return [tuple(each[f.READINGS][1][:4]) for each in stored if each[f.KIND] == f.KIND_REGULAR]

    try:
        gateway.start()
        # As an engineer does who has brought an adapter: a bus takes effect with a reload.
        with gateway.config.open("a") as file:
            file.write(
                f'[[bus]]\nname = "line0"\nkind = "modbus"\nport = "{simulation.buses["line0"].pty}"\n'
                'baud = 19200\n[[witness]]\nname = "W-1"\nkey = "keys/W-1.pem"\n'
            )
        gateway.process.send_signal(signal.SIGHUP)
        await until(lambda: "loaded anew" in gateway.log.read_text())
        await ask("witness", "add", "W-1")
        thumbprint = load_sealer(folder / "keys" / "W-1.pem", t.ROLE_METER).thumbprint.hex()
        sealed = folder / "set.cose"
        await asyncio.to_thread(
            gateway.command, "parameters", "seal", folder / "set.toml", "--authority-key",
            folder / "authority.pem", "--out", sealed, "--meter", thumbprint,
        )  # fmt: skip
        await until(lambda: gateway.status()["witnesses"].get("W-1") == "no_parameters")
        await ask("parameters", "send", thumbprint, sealed)
        await until(lambda: gateway.status()["witnesses"].get("W-1") == "measures")
        await ask(
            "compare", "start", thumbprint, "1", "--person", "N. N.", "--mpe-percent", "1", "--modbus",
            f"line0/{UNIT}", "--map", folder / "standard.toml", "--indication", "power", "--period-ms", "200",
            "--certificate", "PORTABLE",
        )  # fmt: skip
        await until(lambda: readings_of_the_standard() > 30 and regular().count(whole) > 5)
        await ask("compare", "finish")
        assert await asyncio.to_thread(gateway.stop) == 0
    finally:
        await simulation.close()
    (event,) = plant.events()
    assert (event.outcome, event.fields[cm.REASONS]) == (Outcome.PASSED, [])
    assert event.fields[cm.REFERENCE][cm.REFERENCE_KIND] == cm.READ_BY_GATEWAY
    assert event.fields[cm.SERIAL] == "SIM-0001"
    (point,) = event.fields[cm.POINTS]
    assert point[cm.POINT_ERROR] * 10.0 ** event.fields[cm.EXPONENT] == pytest.approx(200, abs=1)
    # Whatever both asked at once, each had its own answer.
    assert {value for _, good, _, value in regular() if good} == {100_200}


class CountingPoller(Poller):
    """Knows how often it has asked."""

    asked = 0

    async def _read_once(self) -> str:
        try:
            return await super()._read_once()
        finally:
            self.asked += 1


def said(port: int, where: Path, period_ms: int = 300) -> ModbusState:
    path = where / "standard.toml"
    path.write_text(MAP)
    return modbus_of(f"127.0.0.1:{port}/{UNIT}", (), str(path), "power", period_ms)


async def readings(state: ModbusState, bus_named: BusNamed = lambda _: None, times: int = 3) -> set[Decimal]:
    """What asking so often takes in."""
    found: set[Decimal] = set()

    async def append(_run: RunState, value: Decimal, _at_ms: int) -> None:
        found.add(value)

    reference = ReferenceState(kind="modbus", serial="PS-9", name="x", certificates=(), modbus=state)
    run = RunState(
        run="00" * 8, kind="routine", meter="00" * 32, channel=1, person="N. N.", started_ms=0, reference=reference
    )
    poller = CountingPoller(run, state, bus_named, append, lambda: 5)
    task = asyncio.create_task(poller.poll())
    async with asyncio.timeout(PATIENCE_S):
        while poller.asked < times:  # noqa: ASYNC110 - it knows of no events
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return found


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (registers(100.0), ""),
        (registers(100.0, serial="PS-8"), "wrong_instrument"),
        (registers(100.0, error=3), "bad_response"),
        (registers(float("nan")), "bad_response"),
        (registers(1001.0), "implausible"),
        (registers(100.0)[:11], "bad_response"),
    ],
)
async def test_what_gives_no_reading(
    values: list[int], told: str, serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another instrument, an error, no number, a number out of range, registers that are not there."""
    found = await readings(said(await serve(values), tmp_path))
    assert found == (set() if told else {Decimal("100000.0")})
    # However often it is asked.
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == ([told] if told else [])


@pytest.mark.parametrize(("period_ms", "expected"), [(1000, {Decimal("100000.0")}), (100, set())])
async def test_an_answer_that_took_too_long_is_of_no_known_moment(
    period_ms: int, expected: set[Decimal], tmp_path: Path
) -> None:
    """Value and condition take 300 ms: half of that is within 1000 ms of either, and not within 100 ms."""
    state = said(1, tmp_path, period_ms)
    standard = {
        "name": "standard",
        "kind": "register_map",
        "register_map": state.map,
        "unit": UNIT,
        "serial": "PS-9",
        "source": {"kind": "fixed", "values": {"power": 1_000_000}},
    }
    table = {"name": "bus", "framing": "tcp", "instruments": [standard]}
    slow = {"standard": Fault(kind="slow", delay_ms=SLOW_MS)}
    simulation = await simulate(Configuration.model_validate({"bus": [table]}), lambda: slow)
    try:
        tcp = f"127.0.0.1:{simulation.buses['bus'].port}"
        found = await readings(state.model_copy(update={"tcp": tcp}), times=1)
    finally:
        await simulation.close()
    assert found == expected


async def test_a_bus_that_is_gone_is_told_once_and_one_in_its_place_is_read(
    tmp_path: Path, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """After a reload the gateway has no such bus, then another one of that name, then none that is Modbus."""
    state = said(1, tmp_path).model_copy(update={"tcp": None, "bus": "line0"})
    assert await readings(state) == set()
    tcp = f"127.0.0.1:{await serve(registers(100.0))}"
    section = BusSection.model_validate({"name": "line0", "kind": "modbus", "tcp": tcp})
    with closing(make_bus(section)) as first, closing(make_bus(section)) as second:
        buses = iter([None, first, first])
        assert await readings(state, lambda _: next(buses, second), times=5) == {Decimal("100000.0")}
    with closing(make_bus(section.model_copy(update={"kind": "serial"}))) as other:
        assert await readings(state, lambda _: other) == set()
    told = [record.getMessage().rpartition("PS-9: ")[2] for record in caplog.records]
    assert told == 2 * ["gateway.toml has no [[bus]] named line0 any more"] + ["unknown_driver"]


async def test_a_map_that_is_gone_is_told_once_and_looked_for_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = said(1, tmp_path).model_copy(update={"map": str(tmp_path / "gone.toml")})
    assert await readings(state) == set()
    (record,) = caplog.records
    assert "gone.toml" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:502",
        "host:x/1",
        "host:502/256",
        ":502/1",
        "host:70000/1",
        "host:٥/1",
        "line1/1",
        "line0",
    ],
)
def test_what_is_no_place_of_an_instrument(text: str) -> None:
    with pytest.raises(Told) as told:
        modbus_of(text, BUSES, "fox_ft3", "mass_flow", 1000)
    assert (told.value.key, told.value.values["known"]) == ("compare.bad_modbus", "line0, m-bus")


def test_a_reference_is_on_a_bus_that_is_modbus() -> None:
    state = modbus_of("line0/7", BUSES, "fox_ft3", "mass_flow", 1000)
    assert (state.bus, state.tcp, state.unit) == ("line0", None, 7)
    with pytest.raises(Told) as told:
        modbus_of("m-bus/7", BUSES, "fox_ft3", "mass_flow", 1000)
    assert told.value.key == "compare.bus_of_another_kind"


# A gateway that was given another version meanwhile


def test_a_run_that_another_version_began_is_never_passed_over_in_silence(plant: Plant) -> None:
    plant.measure(3)
    start = ("compare", "start", "M-1", str(POWER), "--person", "N. N.", "--certificate", "REF")
    standard = plant.gateway.folder / "standard.toml"
    standard.write_text(MAP)
    modbus = ("--modbus", "127.0.0.1:502/7", "--map", str(standard), "--indication", "power")
    plant.ask(*start, *modbus, "--from", "2026-01-01T00:00:00Z")
    (file,) = (plant.gateway.state / "comparisons").glob("*.json")
    state = json.loads(file.read_text())
    # As it was until a reference could be on a [[bus]].
    host, port = state["reference"]["modbus"].pop("tcp").split(":")
    del state["reference"]["modbus"]["bus"]
    state["reference"]["modbus"] |= {"host": host, "port": int(port)}
    file.write_text(json.dumps(state))
    readings = file.with_suffix(".readings")
    readings.write_text("[1,1,2]\n")
    old = file.stem

    def refused(*words: str) -> str:
        done = plant.gateway.command(*words, "--config", plant.gateway.config)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        return done.stderr

    for words in (("status",), ("finish",), ("status", "--run", old[:6])):
        told = refused("compare", *words)
        assert f"comparison {old} was begun by another version" in told
        assert f"carbonmeter compare finish --run {old} --discard" in told
        assert str(readings) in told
    assert f"比对 {old} 由本程序的另一版本开始" in refused("--lang", "zh", "compare", "status")
    # Beside one of this version it is a line of its own, and never the one that is meant.
    plant.ask(*start, *modbus, "--from", "2026-01-01T00:00:00Z")
    said = plant.ask("compare", "status").replace("\n", " ")
    assert f"comparison {old} was begun by another version" in said
    assert re.search(r"Nothing was read of R-1 power since 2026-01-01.00:00:00.*: carbonmeter doctor says", said)
    plant.ask("compare", "finish", "--run", old, "--discard")
    assert not file.exists()
    assert not readings.exists()
    assert old not in plant.ask("compare", "status")


async def test_the_gateway_says_once_that_it_reads_nothing_for_a_run_of_another_version(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "0123456789abcdef.json").write_text("{}")
    caplog.set_level(logging.WARNING)
    references = References(tmp_path, lambda _: None, lambda *_: asyncio.sleep(0), lambda: 0)
    for _ in range(2):
        references._tell(Runs(tmp_path).of_another_version())
    (record,) = caplog.records
    assert "comparison 0123456789abcdef was begun by another version" in record.getMessage()
