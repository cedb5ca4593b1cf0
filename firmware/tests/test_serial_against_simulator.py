"""The drivers of byte-serial instruments on the real MicroPython, against simulated ones and others' meters.

The simulator runs in a process of its own, reached over TCP and over a pty. DL/T 645 is also read from the meter
of the library dlt645 (PyPI), which shares no line with this project.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from modbus_bench import patiently

from meter_tools.simulator.clock import write_clock_file
from meter_tools.simulator.faults import Fault, write_fault_file
from meter_tools.simulator.serial_server import SERIAL_KINDS

PROJECT = Path(__file__).parents[2]
LINES = ("tcp", "pty")

VALUES: dict[str, dict[str, int | None]] = {
    "dlt645": {
        "active_energy_import": 12345678,
        "active_energy_export": 99999999,
        "reactive_energy_q1": 161616,
        "reactive_energy_q4": 0,
        "voltage_a": 2301,
        "voltage_b": 2299,
        "voltage_c": 2300,
        "current_a": 5001,
        "current_b": -5002,
        "current_c": 799999,
        "active_power": -123456,
        "active_power_a": 1,
        "active_power_b": -1,
        "active_power_c": 0,
        "reactive_power": 4321,
        "apparent_power": 654321,
        "power_factor": -987,
        "frequency": 4999,
    },
    "mbus_heat": {
        "heat": 36 * 218370,
        "volume": 12345678,
        "thermal_power": 54321000,
        "volume_flow": 113000,
        "flow_temperature": 65400,
        "return_temperature": 32100,
        "temperature_difference": 33310,
    },
    "mbus_water": {"volume": 99999999},
    "cjt188_water": {"volume": 55667700},
    "cjt188_heat": {
        "heat": 36 * 12345678,
        "thermal_power": 12345000,
        "volume_flow": 12345678000,
        "volume": 12345678,
        "flow_temperature": 6543,
        "return_temperature": 3210,
    },
    "mhz19": {"co2_fraction": 608},
    "k30": {"co2_fraction": 400},
}
ADDRESSES = {
    "dlt645": 0,
    "mbus_heat": 3,
    "mbus_water": 4,
    "cjt188_water": 0,
    "cjt188_heat": 0,
    "mhz19": 1,
    "k30": 254,
}
GROUPS = (("cjt188_heat", "cjt188_water", "dlt645", "mbus_heat", "mbus_water"), ("k30",), ("mhz19",))
"""Meters of all protocols share a line; sensors are alone on theirs."""


LATE = {"no_response", "short_reply", "trailing_bytes", "wrong_address", "wrong_item"}
"""What is said of a question whose reply is late, or that hears the one before it late."""


class Bench:
    """A simulator process and a MicroPython process, connected."""

    def __init__(self, folder: Path, micropython: Path) -> None:
        self._folder = folder
        self._micropython = micropython
        self._processes: list[subprocess.Popen[str]] = []
        self.clock_file = folder / "clock"
        self.fault_file = folder / "faults.json"
        self.port = 0
        self.bus: dict[str, Any] = {}
        self._reader: subprocess.Popen[str] | None = None
        self._simulator: subprocess.Popen[str] | None = None

    def start_simulator(
        self, line: str, *instruments: dict[str, Any], clock: bool = False, echo: bool = False
    ) -> None:
        bus = {
            "name": "bus",
            "kind": "serial",
            "port": self.port,
            "pty": line == "pty",
            "echo": echo,
            "instruments": instruments,
        }
        configuration = {"bus": [bus], "fault_file": "faults.json"} | ({"clock_file": "clock"} if clock else {})
        path = self._folder / "simulator.json"
        path.write_text(json.dumps(configuration))
        self._simulator = subprocess.Popen(
            [sys.executable, "-m", "meter_tools.simulator", path], stdout=subprocess.PIPE, text=True
        )
        self._processes.append(self._simulator)
        assert self._simulator.stdout
        where = json.loads(self._simulator.stdout.readline())["buses"]["bus"]
        self.port = where["port"]
        self.bus = {"port": where["pty"]} if line == "pty" else {"tcp_port": self.port}

    def stop_simulator(self) -> None:
        assert self._simulator
        self._simulator.send_signal(signal.SIGTERM)
        self._simulator.communicate(timeout=60)
        assert self._simulator.returncode == 0

    def start_reader(self, timeout_ms: int = 5000, **instruments: dict[str, Any]) -> None:
        spec = {
            "buses": {"bus": {"kind": "serial", **self.bus}},
            "timeout_ms": timeout_ms,
            "instruments": {name: {"bus": "bus"} | entry for name, entry in instruments.items()},
        }
        path = self._folder / "reader.json"
        path.write_text(json.dumps(spec))
        self._reader = subprocess.Popen(
            [self._micropython, Path(__file__).with_name("read_instruments.py"), path],
            env=os.environ | {"MICROPYPATH": f"{PROJECT / 'protocol'}:{PROJECT / 'firmware'}:.frozen"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(self._reader)

    def ask(self, command: str, name: str) -> Any:
        assert self._reader
        assert self._reader.stdin
        assert self._reader.stdout
        print(command, name, file=self._reader.stdin, flush=True)
        return json.loads(self._reader.stdout.readline())

    def read(self, name: str) -> Any:
        return self.ask("read", name)

    def values(self, name: str) -> dict[str, Any]:
        """What it shows; asked again if the time for an answer was over."""
        shown: dict[str, Any] = patiently(lambda: self.read(name), lambda outcome: "values" in outcome, LATE)[
            "values"
        ]
        return shown

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


@pytest.fixture
def bench(tmp_path: Path, micropython: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path, micropython)) as bench:
        yield bench


def simulated(kind: str, **changes: int | None) -> dict[str, Any]:
    values = VALUES[kind] | changes
    unit = ADDRESSES[kind] if kind.startswith("mbus") else 1
    return {"name": kind, "kind": kind, "unit": unit, "source": {"kind": "fixed", "values": values}}


def driver(kind: str, *options: list[Any]) -> dict[str, Any]:
    rows = [*(SERIAL_KINDS[kind].options or []), *options]
    return {"driver": SERIAL_KINDS[kind].driver, "unit": ADDRESSES[kind], "options": rows or None}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("kinds", GROUPS)
def test_every_value_of_every_instrument_arrives(bench: Bench, line: str, kinds: tuple[str, ...]) -> None:
    bench.start_simulator(line, *map(simulated, kinds))
    bench.start_reader(**{kind: driver(kind) for kind in kinds})
    for kind in kinds:
        assert set(VALUES[kind]) == set(SERIAL_KINDS[kind].indications)
        assert bench.read(kind) == {"values": VALUES[kind], "faults": {}}
        serial = SERIAL_KINDS[kind].default_serial
        assert bench.ask("identify", kind)["serial"] == (None if serial == "none" else serial)
        assert bench.read(kind) == {"values": VALUES[kind], "faults": {}}


@pytest.mark.parametrize("echo", [False, True])
def test_meters_of_all_protocols_share_one_line(bench: Bench, echo: bool) -> None:
    kinds = GROUPS[0]
    second = simulated("dlt645", active_energy_import=1616) | {"name": "second", "serial": "000000000002"}
    bench.start_simulator("tcp", *(simulated(kind) for kind in kinds), second, echo=echo)
    readers = {kind: driver(kind) for kind in kinds}
    readers["dlt645"] = driver("dlt645", ["address", "000000000001"])
    readers["second"] = driver("dlt645") | {"unit": 2}
    readers["mbus_heat"] = driver("mbus_heat", ["secondary", "12345678"]) | {"unit": 253}
    bench.start_reader(**readers)
    for _ in range(2):
        for kind in kinds:
            assert bench.read(kind) == {"values": VALUES[kind], "faults": {}}, kind
        assert bench.read("second")["values"]["active_energy_import"] == 1616


@pytest.mark.parametrize("kinds", GROUPS)
def test_an_absent_value_is_none_with_its_reason(bench: Bench, kinds: tuple[str, ...]) -> None:
    bench.start_simulator("tcp", *(simulated(kind, **dict.fromkeys(VALUES[kind])) for kind in kinds))
    bench.start_reader(**{kind: driver(kind) for kind in kinds})
    for kind in kinds:
        outcome = bench.read(kind)
        assert outcome["values"] == dict.fromkeys(VALUES[kind])
        reason = {"mhz19": "out_of_range", "k30": "fatal_error"}.get(kind, "not_available")
        assert outcome["faults"] == dict.fromkeys(VALUES[kind], reason)


def test_a_register_wraps_where_the_instrument_wraps(bench: Bench) -> None:
    bench.start_simulator("tcp", simulated("dlt645", active_energy_import=10**8 + 5))
    bench.start_reader(dlt645=driver("dlt645"))
    assert bench.read("dlt645")["values"]["active_energy_import"] == 5


REFUSED = {
    "short_reply",
    "no_frame",
    "bad_header",
    "bad_checksum",
    "trailing_bytes",
    "wrong_address",
    "wrong_function",
}
REFUSALS = {
    "silent": {"no_response"},
    "truncated": {"short_reply"},
    "bad_crc": {"bad_checksum", "bad_crc", "bad_header", "short_reply"},
    "nonsense": REFUSED,
    "exception": {"instrument_refused", "no_response"},
}


@pytest.mark.parametrize("kind", sorted(SERIAL_KINDS))
def test_a_fault_has_its_reason_and_passes(bench: Bench, kind: str) -> None:
    bench.start_simulator("tcp", simulated(kind))
    bench.start_reader(150, **{kind: driver(kind)})
    assert bench.values(kind) == VALUES[kind]
    for fault, reasons in REFUSALS.items():
        write_fault_file(bench.fault_file, {kind: Fault(kind=fault, code=4)})  # type: ignore[arg-type]
        if fault == "truncated" and kind.startswith("mbus"):
            # Half of the one byte E5 is nothing.
            reasons = {"no_response"}
        patiently(lambda: bench.read(kind), lambda outcome, told=reasons: outcome.get("error") in told, LATE)
        bench.fault_file.unlink()
        assert bench.values(kind) == VALUES[kind], fault


@pytest.mark.parametrize("kind", ["cjt188_water", "dlt645", "k30", "mbus_heat", "mhz19"])
def test_a_late_reply_is_never_the_next_answer(bench: Bench, kind: str) -> None:
    name = next(iter(VALUES[kind]))
    later = VALUES[kind] | {name: 360000}
    if name == "co2_fraction":
        later[name] = 777
    steps = [(0, VALUES[kind]), (1000, later)]
    write_clock_file(bench.clock_file, 0)
    bench.start_simulator("tcp", simulated(kind) | {"source": {"kind": "steps", "steps": steps}}, clock=True)
    bench.start_reader(600, **{kind: driver(kind)})
    assert bench.values(kind) == VALUES[kind]
    write_fault_file(bench.fault_file, {kind: Fault(kind="slow", delay_ms=700)})
    # A reader that was slower than the reply has heard what was right when it asked.
    while "values" in (outcome := bench.read(kind)):
        assert outcome["values"] == VALUES[kind]
    assert outcome["error"] in {"no_response", "short_reply"}
    bench.fault_file.unlink()
    write_clock_file(bench.clock_file, 1000)
    assert bench.values(kind) == later


def test_an_instrument_that_went_away_comes_back(bench: Bench, free_port: Callable[[], int]) -> None:
    bench.port = free_port()
    bench.start_simulator("tcp", simulated("cjt188_water"))
    bench.start_reader(500, meter=driver("cjt188_water"), nobody=driver("cjt188_water", ["address", "1" * 14]))
    assert bench.values("meter") == VALUES["cjt188_water"]
    assert bench.read("nobody") == {"error": "no_response", "code": 0}
    bench.stop_simulator()
    assert {bench.read("meter")["error"] for _ in range(20)} <= {"not_connected", "disconnected"}
    bench.start_simulator("tcp", simulated("cjt188_water"))
    deadline = time.monotonic() + 20
    while "error" in (outcome := bench.read("meter")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert outcome == {"values": VALUES["cjt188_water"], "faults": {}}


BY_BOARD = """
import asyncio, json, sys
import board
from meter_firmware import sensors
buses = json.loads(sys.argv[1])
for bus in buses:
    made = board._make_bus(bus)
    driver = sensors.make("cjt188", made, 0)
    print(json.dumps([made.KIND, asyncio.run(driver.read())]))
"""


def test_the_unix_board_has_such_a_bus(bench: Bench, micropython: Path) -> None:
    bench.start_simulator("pty", simulated("cjt188_water"))
    tty = {"kind": "serial", **bench.bus, "baud": 2400, "parity": "even", "timeout_ms": 5000}
    tcp = {"kind": "serial", "host": "127.0.0.1", "tcp_port": bench.port}
    path = ":".join(str(PROJECT / folder) for folder in ("protocol", "firmware", "boards/unix"))
    run = subprocess.run(
        [micropython, "-c", BY_BOARD, json.dumps([tty, tcp])],
        env=os.environ | {"MICROPYPATH": f"{path}:.frozen"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line) for line in run.stdout.splitlines()] == [["serial", VALUES["cjt188_water"]]] * 2


def test_a_meter_of_the_dlt645_library_is_read(bench: Bench) -> None:
    dlt645 = pytest.importorskip("dlt645", reason="the library dlt645 is missing")
    meter = dlt645.MeterServerService.new_tcp_server("127.0.0.1", 0, 30)
    # The library takes an address in the order of the wire, lowest byte first.
    assert meter.set_address("610100000000")
    for identifier, energy in ((0x00010000, 123456.78), (0x00020000, 0.16)):
        assert meter.set_00(identifier, energy)
    for identifier, value in (
        (0x02010100, 230.1),
        (0x02020100, -5.001),
        (0x02030000, 12.3456),
        (0x02800002, 49.99),
    ):
        assert meter.set_02(identifier, value)
    assert meter.set_02(0x02060000, -0.987)
    assert meter.start()
    try:
        bench.bus = {"tcp_port": meter.server.port}
        bench.start_reader(
            alone={"driver": "dlt645", "unit": 0},
            known={"driver": "dlt645", "unit": 161},
            other={"driver": "dlt645", "unit": 0, "options": [["indications", "active_energy_import"]]},
        )
        expected = {
            "active_energy_import": 12345678,
            "active_energy_export": 16,
            "voltage_a": 2301,
            "current_a": -5001,
            "active_power": 123456,
            "power_factor": -987,
            "frequency": 4999,
        }
        for name in ("alone", "known"):
            assert bench.read(name) == {"values": expected, "faults": {}}
            assert bench.ask("identify", name)["serial"] == "000000000161"
        assert bench.read("other")["values"] == {"active_energy_import": 12345678}
    finally:
        meter.stop()
