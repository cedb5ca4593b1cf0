"""The ATM90E32 and pulse drivers on the real MicroPython, over the unix board's buses, against simulated chips.

The simulators run in this process, on a clock that stands until a test moves it: what must be counted is known
to the last unit.
"""

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from meter_tools.simulator.pulse import Contact, PulseSimulator
from meter_tools.simulator.spi_atm90e32 import Chip, Load, SpiSimulator

PROJECT = Path(__file__).parents[2]
ENERGIES = ("active_energy_import", "active_energy_export", "reactive_energy_lagging", "reactive_energy_leading")
MAX_POWER = [["max_power", 20000]]
HOUR_MS = 3600000


class Clock:
    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


class Server:
    """A simulator on a thread of its own; what it shares with the test is only touched while nobody asks it."""

    def __init__(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        # Whoever was connected is gone: what serves it ends by itself.
        if tasks := asyncio.all_tasks(self._loop):
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=5))
        self._loop.close()


class Reader:
    def __init__(self, micropython: Path, folder: Path, spec: dict[str, Any]) -> None:
        path = folder / "reader.json"
        path.write_text(json.dumps(spec))
        search = [PROJECT / "protocol", PROJECT / "firmware", PROJECT / "boards" / "unix", ".frozen"]
        self._process = subprocess.Popen(
            [micropython, Path(__file__).with_name("read_front_end.py"), path],
            env=os.environ | {"MICROPYPATH": ":".join(map(str, search))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        print(command, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Bench:
    def __init__(self, stack: ExitStack, micropython: Path, folder: Path) -> None:
        self._stack, self._micropython, self._folder = stack, micropython, folder
        self.clock = Clock()

    def chip(self, load: Load, options: list[list[Any]] = MAX_POWER, address: int = 0) -> Chip:
        chip = Chip(load)
        self._start(SpiSimulator([chip], self.clock).serve, "spi", "atm90e32", options, address)
        return chip

    def contact(self, contact: Contact, options: list[Any], address: int = 0) -> PulseSimulator:
        simulator = PulseSimulator([contact], self.clock)
        self._start(simulator.serve, "pulse", "pulse", [options], address)
        return simulator

    def _start(self, serve: Any, kind: str, driver: str, options: Any, address: int) -> None:
        server = Server(serve)
        self._stack.callback(server.close)
        bus = {"kind": kind, "host": "127.0.0.1", "tcp_port": server.port}
        spec = {"bus": bus, "driver": driver, "address": address, "options": options}
        self._reader = Reader(self._micropython, self._folder, spec)
        self._stack.callback(self._reader.close)

    def ask(self, command: str) -> Any:
        return self._reader.ask(command)

    def read(self) -> dict[str, int]:
        outcome = self.ask("read")
        assert outcome.get("faults") == {}, outcome
        values: dict[str, int] = outcome["values"]
        return values

    def energies(self) -> list[int]:
        values = self.read()
        return [values[name] for name in ENERGIES]


@pytest.fixture
def bench(tmp_path: Path, micropython: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack, micropython, tmp_path)


# ATM90E32


LOAD = Load(
    voltage=(23001, 22987, 65535),
    current=(5500, 0, 65535),
    active_power=(65536, -131072, 3125),
    reactive_power=-1,
    power_factor=-987,
    frequency=4998,
)


def test_every_value_of_the_chip_arrives(bench: Bench) -> None:
    bench.chip(LOAD)
    assert bench.ask("identify") == {
        "maker": "Microchip",
        "model": "ATM90E32AS",
        "serial": None,
        "revision": None,
    }
    assert bench.read() == {
        "voltage_a": 23001,
        "voltage_b": 22987,
        "voltage_c": 65535,
        "current_a": 5500,
        "current_b": 0,
        "current_c": 65535,
        "active_power": 32 * (65536 - 131072 + 3125),
        # 20.97152 W, as jethub-iot/atm90e32-async's tests have it
        "active_power_a": 2097152,
        "active_power_b": -4194304,
        "active_power_c": 100000,
        "reactive_power": -32,
        "power_factor": -987,
        "frequency": 4998,
    } | dict.fromkeys(ENERGIES, 0)


def test_the_options_are_what_the_chip_works_by(bench: Bench) -> None:
    gains = [["voltage_gain", 0x8000, 0x4000, 0xC000], ["current_gain", 0x4000, 0x8000, 0x8000]]
    rest = [["mains_hz", 60], ["wiring", "3p3w"], ["amplifier", 4]]
    words = [["phase_angle", 1, 2, 0x8003], ["active_offset", -1, 0, 1], ["meter_constant", 1000]]
    chip = bench.chip(Load(current=(1000, 1000, 1000)), MAX_POWER + gains + rest + words)
    bench.ask("identify")
    values = bench.read()
    assert [values["voltage_" + phase] for phase in "abc"] == [23000, 11500, 34500]
    assert [values["current_" + phase] for phase in "abc"] == [500, 1000, 1000]
    registers = chip.registers
    assert (registers[0x31] << 16 | registers[0x32], registers[0x33], registers[0x34]) == (450000000, 0x1185, 0x2A)
    assert [registers[at] for at in (0x48, 0x4A, 0x4C, 0x41, 0x45)] == [1, 2, 0x8003, 0xFFFF, 1]
    assert chip.access == 0


def test_energy_is_counted_once_and_to_the_last_unit(bench: Bench) -> None:
    # 3600 W and -1800 var: 1 W.h and 0.5 var.h in a second
    chip = bench.chip(Load(active_power=(3750000, 3750000, 3750000), reactive_power=-5625000))
    bench.ask("identify")
    bench.read()
    for second in (1, 10, 20, 35):
        bench.clock.now_ms = 1000 * second
        # 0.01 CF at 3200 imp/kWh are 3125 uWh
        assert bench.energies() == [1000000 * second, 0, 0, 500000 * second]
    chip.load = Load(active_power=(-3750000, 0, 0))
    bench.clock.now_ms += 3000
    assert bench.energies() == [35000000, 1000000, 0, 17500000]


def test_a_garbled_word_costs_no_energy(bench: Bench) -> None:
    chip = bench.chip(Load(active_power=(11250000, 0, 0)))
    bench.ask("identify")
    bench.read()
    # A read of the chip is some hundred words; each of them is hit once.
    words = chip.transfers
    bench.read()
    words = chip.transfers - words
    for place in range(0, words, 7):
        bench.clock.now_ms += 1000
        chip.garbled = [0] * place + [0x0100]
        outcome = bench.ask("read")
        assert outcome["faults"] == {}, place
        assert outcome["values"]["active_energy_import"] == 1000 * bench.clock.now_ms, place
        assert outcome["values"]["voltage_a"] == 23000, place


def test_a_line_of_noise_is_no_reading(bench: Bench) -> None:
    chip = bench.chip(Load(active_power=(11250000, 0, 0)))
    bench.ask("identify")
    bench.read()
    chip.garbled = [(31 * place + 7) & 0xFFFF for place in range(4000)]
    assert bench.ask("read") == {"error": "bad_readback"}
    chip.garbled = []
    assert bench.ask("identify")["maker"] == "Microchip"
    assert bench.read()["voltage_a"] == 23000


def test_a_chip_that_is_not_there_does_not_answer(bench: Bench) -> None:
    chip = bench.chip(Load())
    chip.silent = True
    assert bench.ask("identify") == {"error": "no_response"}
    chip.silent = False
    assert bench.ask("identify")["model"] == "ATM90E32AS"
    chip.silent = True
    assert bench.ask("read") == {"error": "no_response"}


def test_a_pin_that_the_board_does_not_have(bench: Bench) -> None:
    bench.chip(Load(), address=1)
    assert bench.ask("identify") == {"error": "not_connected"}


def test_a_brown_out_is_said_and_ends_with_the_configuration_back(bench: Bench) -> None:
    chip = bench.chip(Load(active_power=(11250000, 0, 0)), [*MAX_POWER, ["voltage_gain", 0x4000, 0x4000, 0x4000]])
    bench.ask("identify")
    bench.read()
    bench.clock.now_ms = 10000
    assert bench.energies()[0] == 5000000
    chip.power_on()
    bench.clock.now_ms = 15000
    assert bench.ask("read") == {"error": "chip_reset"}
    assert bench.ask("identify")["model"] == "ATM90E32AS"
    assert bench.read()["voltage_a"] == 11500
    bench.clock.now_ms = 17000
    # The five seconds are lost and not invented.
    assert bench.energies()[0] == 6000000


def test_a_brown_out_that_only_the_checksum_shows(bench: Bench) -> None:
    chip = bench.chip(Load())
    bench.ask("identify")
    bench.read()
    chip.registers[0x61] = 0x7FFF
    assert bench.ask("read") == {"error": "chip_reset"}
    chip.registers[0x61] = 0x7FFF
    assert bench.ask("identify") == {"error": "chip_reset"}
    bench.ask("identify")
    assert bench.read()["voltage_a"] == 23000


def test_another_digest_of_the_same_configuration_is_no_reset(bench: Bench) -> None:
    chip = bench.chip(Load(active_power=(11250000, 0, 0)))
    bench.ask("identify")
    bench.read()
    # Not one of the registers that the driver knows.
    chip.registers[0x07] = 1
    bench.clock.now_ms = 1000
    assert bench.energies()[0] == 1000000


def test_a_register_that_may_have_been_full_is_said_and_kept(bench: Bench) -> None:
    chip = bench.chip(Load(active_power=(11250000, 0, 0)))
    bench.ask("identify")
    bench.read()
    bench.clock.now_ms = HOUR_MS
    outcome = bench.ask("read")
    assert outcome["faults"] == {"active_energy_import": "register_overrun"}
    assert outcome["values"]["active_energy_import"] is None
    chip.load = Load()
    assert bench.energies() == [65535 * 3125, 0, 0, 0]


def test_a_chip_that_nobody_asked_for_long_may_have_overrun_without_being_full(bench: Bench) -> None:
    # A billion watts fill a register within a millisecond of real time.
    bench.chip(Load(), [["max_power", 10**9]])
    bench.ask("identify")
    bench.ask("read")
    assert bench.ask("read")["faults"] == dict.fromkeys(ENERGIES, "register_overrun")


def test_a_new_driver_goes_on_where_the_old_one_read_last(bench: Bench) -> None:
    bench.chip(Load(active_power=(11250000, 0, 0)))
    bench.ask("identify")
    bench.read()
    bench.clock.now_ms = 5000
    assert bench.energies()[0] == 5000000
    bench.clock.now_ms = 6000
    bench.ask("anew")
    bench.ask("restore active_energy_import 5000000")
    assert bench.ask("identify")["model"] == "ATM90E32AS"
    assert bench.energies()[0] == 6000000


def test_the_register_in_the_board_wraps_at_its_modulus(bench: Bench) -> None:
    bench.chip(Load(active_power=(11250000, 0, 0)))
    bench.ask(f"restore active_energy_import {10**13 - 3125}")
    bench.ask("identify")
    bench.read()
    bench.clock.now_ms = 1000
    assert bench.energies()[0] == 1000000 - 3125


# Pulses


S0 = ["active_energy_import", "active_energy_import", -3, 1250, 1, 30000, 30000, 36000]
RATIONAL = ["active_energy_import", "active_energy_import", -3, 1000, 3, 30000, 30000, 36000]
NAME = "active_energy_import"


def test_bounces_and_glitches_are_no_pulses(bench: Bench) -> None:
    contact = Contact(period_us=200000, on_us=50000, first_us=100000, bounces=5, glitches=2)
    simulator = bench.contact(contact, S0)
    assert bench.read()[NAME] == 0
    for now_ms in (40, 1000, 1001, 7777, 60000, 123456):
        bench.clock.now_ms = now_ms
        assert bench.read()[NAME] == 1250 * contact.pulses_until(1000 * now_ms), now_ms
    assert len(simulator.edges) > 20 * contact.pulses_until(123456000)


def test_slow_pulses_are_counted_although_microseconds_wrap(bench: Bench) -> None:
    # One in 40 minutes, closed for 20: longer than a board's microseconds last. And a glitch in each pause.
    contact = Contact(period_us=2400 * 10**6, on_us=1200 * 10**6, bounces=3, glitches=1)
    bench.contact(contact, S0)
    bench.read()
    for quarter in range(1, 60):
        bench.clock.now_ms = quarter * 900000 + 17
        assert bench.read()[NAME] == 1250 * contact.pulses_until(1000 * bench.clock.now_ms), quarter


def test_a_rational_weight_loses_nothing_by_rounding_nor_by_boots(bench: Bench) -> None:
    contact = Contact(period_us=150000, on_us=50000, first_us=10000)
    bench.contact(contact, RATIONAL)
    bench.read()
    for turn in range(1, 30):
        bench.clock.now_ms = turn * 1000
        shown = bench.read()[NAME]
        assert shown == contact.pulses_until(1000 * bench.clock.now_ms) * 1000 // 3
        bench.ask("anew")
        bench.ask(f"restore {NAME} {shown}")


def test_a_contact_that_chatters_is_out_of_range_and_its_pulses_are_kept(bench: Bench) -> None:
    simulator = bench.contact(Contact(period_us=70000, on_us=35000), S0)
    bench.read()
    bench.clock.now_ms = 70000
    # 51,000 an hour where 36,000 are plausible
    outcome = bench.ask("read")
    assert outcome == {"values": {NAME: None}, "faults": {NAME: "out_of_range"}}
    counted = simulator.contacts[0].pulses_until(70000000)
    simulator.contacts[0] = Contact(period_us=10**12, on_us=50000, first_us=10**12)
    bench.clock.now_ms = 80000
    assert bench.read()[NAME] >= 1250 * counted


def test_edges_wait_for_a_line_that_is_down(bench: Bench) -> None:
    contact = Contact(period_us=200000, on_us=50000, bounces=2)
    simulator = bench.contact(contact, S0)
    bench.read()
    bench.clock.now_ms = 5000
    simulator.silent = True
    assert bench.ask("read") == {"error": "no_response"}
    simulator.silent = False
    bench.clock.now_ms = 10000
    assert bench.read()[NAME] == 1250 * contact.pulses_until(10000000)


def test_an_input_that_the_board_does_not_have(bench: Bench) -> None:
    bench.contact(Contact(period_us=10**6, on_us=10**5), S0, address=4)
    assert bench.ask("identify") == {"error": "not_connected"}
    assert bench.ask("read") == {"error": "not_connected"}
