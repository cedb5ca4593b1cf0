"""The simulated contacts and ATM90E32 as processes, and the model's own arithmetic."""

import itertools
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meter_tools.simulator.clock import write_clock_file
from meter_tools.simulator.pulse import FROM_NOW_ON, Contact, PulseSimulator
from meter_tools.simulator.spi_atm90e32 import Chip, Load


def debounced(edges: list[tuple[int, int, int]], shortest_us: int) -> int:
    """Closings that last, each after an opening that lasted: the plainest way to count them."""
    counted, armed = 0, True
    for (at, _, level), (following, _, _) in itertools.pairwise(edges):
        if following - at >= shortest_us:
            counted += level and armed
            armed = not level
    return counted


@pytest.mark.parametrize("bounces", [0, 1, 7])
def test_a_contact_has_as_many_pulses_as_periods(bounces: int) -> None:
    contact = Contact(period_us=250000, on_us=60000, first_us=1234, bounces=bounces, glitches=3)
    simulator = PulseSimulator([contact], lambda: 0)
    simulator.advance(60 * 10**6 + 200000)
    assert debounced(simulator.edges, 10000) == contact.pulses_until(60 * 10**6 + 200000) == 241
    assert simulator.edges == sorted(simulator.edges)
    assert contact.pulses_until(0) == contact.pulses_until(1234 + 60000 + 4999) == 0
    assert contact.pulses_until(1234 + 60000 + 5000) == 1


def test_edges_are_sent_from_where_they_are_wanted() -> None:
    simulator = PulseSimulator([Contact(period_us=1000, on_us=400, bounce_us=10)], lambda: 0)
    simulator.advance(10000)
    whole = simulator.answer(0)
    assert int.from_bytes(whole[8:12], "big") == len(simulator.edges) == 21
    assert simulator.answer(20)[12:22] == whole[12 + 200 : 12 + 210]
    assert simulator.answer(FROM_NOW_ON)[:12] == (21).to_bytes(8, "big") + bytes(4)


def test_energy_is_power_times_time() -> None:
    """3.2 kW for a second are 0.8889 W.h, 284 counts of 3.125 mW.h and a rest that is kept."""
    chip = Chip(Load(active_power=(10000000, 0, 0)))
    chip.registers[0] = 1
    for _ in range(9):
        chip.advance(1000)
    assert chip.transfer(b"\x80\x80\0\0") == b"\0\0" + (2560).to_bytes(2, "big")
    assert chip.transfer(b"\x80\x80\0\0") == bytes(4)


def start(module: str, folder: Path, configuration: dict[str, Any]) -> tuple[subprocess.Popen[str], int]:
    path = folder / "simulator.json"
    path.write_text(json.dumps(configuration))
    command = [sys.executable, "-m", f"meter_tools.simulator.{module}", path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, json.loads(process.stdout.readline())["port"]


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_contacts_in_a_process_follow_a_replay(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    write_clock_file(clock, 1_700_000_000_000)
    contact = {"period_us": 1000000, "on_us": 100000}
    process, port = start("pulse", tmp_path, {"contacts": [contact], "clock_file": str(clock)})
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        write_clock_file(clock, 1_700_000_010_500)
        line.sendall(bytes(8))
        answer = line.makefile("rb").read(12)
        assert int.from_bytes(answer[8:], "big") == 22
    stop(process)


def test_a_chip_in_a_process_answers(tmp_path: Path) -> None:
    process, port = start("spi_atm90e32", tmp_path, {"chips": [{"frequency": 4998}]})
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(b"\x00\x04\x80\xf8\x00\x00" + b"\x01\x04\x80\xf8\x00\x00")
        assert line.makefile("rb").read(8) == b"\0\0" + (4998).to_bytes(2, "big") + b"\xff" * 4
    stop(process)
