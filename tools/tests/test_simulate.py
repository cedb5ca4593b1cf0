"""`carbonmeter simulate` as a process: a real Modbus client reads what was named, set and typed."""

import os
import signal
import subprocess
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.framer import FramerType

from meter_tools.checks import SCRIPTS
from meter_tools.simulator import by_hand

PATIENCE_S = 60


class Simulator:
    def __init__(self, words: tuple[str, ...], folder: Path) -> None:
        self.said = folder / "said"
        with self.said.open("w") as out:
            self.process = subprocess.Popen(
                [SCRIPTS / "carbonmeter", "--lang", "en", "simulate", *words],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.wait_for("ready on ")
        self.place = self.said.read_text().partition("ready on ")[2].partition(";")[0]

    def wait_for(self, words: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while words not in self.said.read_text():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < until, self.said.read_text()
            time.sleep(0.02)

    def type(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    made = []

    def start(*words: str) -> Simulator:
        made.append(Simulator(words, tmp_path))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.communicate()


def read(client: ModbusTcpClient | ModbusSerialClient, address: int, unit: int, count: int) -> list[int]:
    reply = client.read_holding_registers(address, count=count, device_id=unit)
    assert not reply.isError()
    return list(reply.registers)


def test_values_that_were_set_are_read_and_typed_ones_after_them(simulate) -> None:
    simulator = simulate(
        "djsf1352@17", "--tcp", "0", "--set", "voltage=48.125", "--set", "active_energy_import=70000"
    )
    host, port = simulator.place.split(":")
    with ModbusTcpClient(host, port=int(port)) as client:
        assert read(client, 0, 17, 2) == [4812, 1]
        assert read(client, 12, 17, 2) == [1, 4464]
        simulator.type("voltage 12.5")
        simulator.wait_for("done: voltage 12.5")
        assert read(client, 0, 17, 2) == [12500, 0]
    assert simulator.end() == 0
    assert "Traceback" not in simulator.said.read_text()


def test_mistakes_that_are_typed_are_one_line_each_and_change_nothing(simulate) -> None:
    simulator = simulate("djsf1352", "senseair_s8", "--tcp", "0", "--set", "djsf1352.voltage=1")
    for line, told in (
        ("voltage 3", "voltage of which instrument? Write NAME.voltage; there are djsf1352, senseair_s8"),
        ("djsf1352.volt 3", "djsf1352 has no indication volt; it has voltage"),
        ("djsf1352.voltage many", "voltage: many is no decimal number"),
        ("djsf1352.voltage NaN", "voltage: NaN is no decimal number"),
        ("djsf1352.voltage 1e999", "voltage: 1e999 is no decimal number"),
        (
            "djsf1352.voltage 1.0001",
            "voltage: 1.0001 is finer than the instrument shows, which is in steps of 0.001",
        ),
        ("djsf1352.active_energy_import 1e15", "djsf1352 cannot show active_energy_import = 1e15"),
        ("meter.voltage 3", "there is no instrument meter"),
        ("djsf1352.fault broken", "broken is no fault; known: silent"),
        ("what", "what: write an indication and its value"),
    ):
        simulator.type(line)
        simulator.wait_for(told)
    host, port = simulator.place.split(":")
    with ModbusTcpClient(host, port=int(port)) as client:
        assert read(client, 0, 1, 2) == [1000, 0]
    assert "Traceback" not in simulator.said.read_text()


def test_rtu_on_a_pseudo_terminal_and_a_fault_that_comes_and_goes(simulate) -> None:
    simulator = simulate("djsf1352", "--pty", "--set", "voltage=5", "--fault", "silent")
    with (
        ModbusSerialClient(simulator.place, framer=FramerType.RTU, timeout=0.5, retries=0) as client,
        pytest.raises(Exception, match=r"[Nn]o response"),
    ):
        client.read_holding_registers(0, count=1, device_id=1)
    simulator.type("fault none")
    simulator.wait_for("done: fault none")
    with ModbusSerialClient(simulator.place, framer=FramerType.RTU, timeout=PATIENCE_S, retries=0) as client:
        assert read(client, 0, 1, 1) == [5000]


def test_instruments_serve_on_a_serial_port_that_is_there(simulate) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    # As an RS-485 adapter: the meter is at the other end of the cable.
    simulator = simulate("djsf1352", "--port", os.ttyname(theirs), "--set", "voltage=6")
    request = bytes.fromhex("010300000001840a")
    os.write(ours, request)
    reply = b""
    while len(reply) < 7:
        reply += os.read(ours, 7)
    assert reply[:5] == bytes([1, 3, 2, *(6000).to_bytes(2, "big")])
    assert simulator.end() == 0
    os.close(ours)
    os.close(theirs)


def test_what_is_not_modbus_answers_too(simulate) -> None:
    simulator = simulate("mhz19", "--pty", "--set", "co2_fraction=421")
    device = os.open(simulator.place, os.O_RDWR | os.O_NOCTTY)
    os.write(device, bytes.fromhex("ff0186000000000079"))
    reply = b""
    while len(reply) < 9:
        reply += os.read(device, 9)
    os.close(device)
    assert reply[:4] == bytes([0xFF, 0x86, *(421).to_bytes(2, "big")])


TRACE = """title = "t"
source = "s"
licence = "none"
[csv]
file = "t.csv"
[interval]
seconds = 900
start = 2020-01-01T00:00:00Z
[instrument]
kind = "djsf1352"
[[column]]
name = "volt"
use = "value"
indication = "voltage"
unit = "V"
"""


def test_a_trace_begins_now_whatever_its_own_time(simulate, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(TRACE)
    (tmp_path / "t.csv").write_text("volt\n7.5\n8\n")
    simulator = simulate("--trace", str(tmp_path / "t.csv"), "--tcp", "0")
    host, port = simulator.place.split(":")
    with ModbusTcpClient(host, port=int(port)) as client:
        assert read(client, 0, 1, 2) == [7500, 0]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ([], "none"),
        (["pm5560x", "--tcp", "0"], "unknown"),
        (["sdm630"], "where"),
        (["sdm630@300", "--tcp", "0"], "bad_unit"),
        (["sdm630", "--set", "voltage_l1", "--tcp", "0"], "bad_line"),
        (["sdm630", "--fault", "dead", "--tcp", "0"], "no_fault"),
        (["sdm630", "dlt645", "--tcp", "0"], "mixed"),
        (["sdm630@9", "djsf1352@9", "--tcp", "0"], "same_unit"),
        (["sdm630@2", "djsf1352", "--tcp", "0"], "same_unit"),
        (["sdm630", "--tcp", "0", "--host", "nowhere.invalid"], "taken"),
        (["--trace", "/nowhere.csv", "--tcp", "0"], "trace"),
    ],
)
def test_what_cannot_be_is_one_line_in_earnest_and_dry(words: list[str], key: str, carbonmeter, refused) -> None:
    line = refused(carbonmeter("simulate", *words), f"simulate.{key}")
    assert refused(carbonmeter("simulate", *words, "--dry-run"), f"simulate.{key}") == line


def test_a_dry_run_says_where_and_leaves_the_port_alone(carbonmeter, refused) -> None:
    ours, theirs = os.openpty()
    port = os.ttyname(theirs)
    line = ("simulate", "djsf1352", "--port", port, "--dry-run")
    before = termios.tcgetattr(theirs)
    assert f"would be ready on {port}" in carbonmeter(*line).stdout
    assert termios.tcgetattr(theirs) == before
    with serial.Serial(port, exclusive=True):
        assert f"fuser {port}" in refused(carbonmeter(*line), "board.port_busy")
    os.close(ours)
    os.close(theirs)
    for wrong, key in (("/dev/null", "no_serial_port"), ("/dev/none", "no_port_there")):
        told = [refused(carbonmeter(*line[:3], wrong, *dry), f"board.{key}") for dry in ((), ("--dry-run",))]
        assert told[0] == told[1]


def test_a_dry_run_on_tcp_says_where(carbonmeter, free_port) -> None:
    port = str(free_port())
    for tcp, place in (("0", "127.0.0.1, any free port"), (port, f"127.0.0.1:{port}")):
        done = carbonmeter("simulate", "djsf1352", "--tcp", tcp, "--dry-run")
        assert done.stdout.splitlines()[-1] == f"would be ready on {place}"


def test_a_port_that_may_not_be_opened_is_told_by_a_dry_run(
    monkeypatch: pytest.MonkeyPatch, carbonmeter, refused
) -> None:
    """Nothing is forbidden to root, so the answer is put in the way."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused(carbonmeter("simulate", "djsf1352", "--port", "/dev/tty", "--dry-run"), "board.port_forbidden")


@pytest.mark.parametrize("kind", ["djsf1352", "mhz19"])
def test_a_port_that_is_taken_is_told(simulate, carbonmeter, refused, kind: str) -> None:
    place = simulate("djsf1352", "--tcp", "0").place
    for dry in ((), ("--dry-run",)):
        done = carbonmeter("simulate", kind, "--tcp", place.split(":")[1], *dry)
        assert f"{place} (Address already in use)" in refused(done, "simulate.taken")


def test_every_kind_that_is_listed_can_be_simulated_with_its_zeros(carbonmeter) -> None:
    done = carbonmeter("simulate", "--list")
    assert done.exit_code == 0
    for kind in by_hand.known_kinds():
        assert kind in done.stdout
        dry = carbonmeter("simulate", f"{kind}@7", "--pty", "--dry-run")
        assert dry.stdout.splitlines() == [f"{kind}: {kind}, address 7", "would be ready on a pseudo-terminal"]
        hand = by_hand.bench([kind], None, None, None).hands[kind]
        for name in hand.indications:
            hand.set(name, "0")
            hand.set(name, "none")
