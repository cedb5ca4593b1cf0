"""Simulated I2C and 1-Wire chips in a process of their own, and a MicroPython that reads them over sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from meter_tools.simulator.clock import write_clock_file
from meter_tools.simulator.faults import Fault, write_fault_file

PROJECT = Path(__file__).parents[2]
START_MS = 1_800_000_000_000

ROMS = {"supply": "280000075A1BFF73", "return": "280000075A1C0028"}

SCD30 = {"co2_fraction": 439095, "temperature": 27238, "relative_humidity": 48807}
SCD41 = {"co2_fraction": 500, "temperature": 25003, "relative_humidity": 37002}
SDP8XX = {"differential_pressure": 123450, "temperature": 21500}
BME280 = {"absolute_pressure": 10132500, "temperature": 2345, "relative_humidity": 45678}
PINS = {"input_0": 1_200_000, "input_1": 400_000, "input_2": 2_000_000, "input_3": 1_000_000}
LOOPS = {"flue": 5000, "steam": -5000, "wind": 1600, "pitot": 3750}

LOOP_ROWS = [
    # 100 ohm on 0 to 2, 50 ohm on 3: 12 mA, 4 mA, 20 mA, 20 mA at most.
    ["flue", "differential_pressure", 0, 100000, -1, 0, 10000],
    ["steam", "temperature", 1, 100000, -2, -5000, 40000],
    ["wind", "velocity", 2, 100000, -2, 0, 1600],
    ["pitot", "differential_pressure", 3, 50000, -1, 0, 3750],
]

READER_KEYS = ("driver", "address", "options")

CHIPS = {
    "scd30": ("scd30", 0x61, SCD30),
    "scd41": ("scd41", 0x62, SCD41),
    "sdp8xx": ("sdp8xx", 0x25, SDP8XX),
    "bme280": ("bme280", 0x76, BME280),
    "current_loop": ("ads1115", 0x48, PINS),
}
OPTIONS: dict[str, Any] = {"current_loop": LOOP_ROWS}
INDICATED = {name: values for name, (_, _, values) in CHIPS.items()} | {"current_loop": LOOPS}

# What each needs from its start to its first value.
FIRST_VALUE_MS = {"scd30": 2000, "scd41": 5000, "sdp8xx": 0, "bme280": 0, "current_loop": 0, "supply": 800}
IDENTITY = {
    "scd30": {"maker": "Sensirion", "model": "SCD30", "serial": None, "revision": "3.66"},
    "scd41": {"maker": "Sensirion", "model": "SCD4x", "serial": "F8969F073BBE", "revision": None},
    "sdp8xx": {"maker": "Sensirion", "model": "SDP810-500Pa", "serial": "00000A1B2C3D4E5F", "revision": "01"},
    "bme280": {"maker": "Bosch Sensortec", "model": "BME280", "serial": None, "revision": None},
    "current_loop": {"maker": "Texas Instruments", "model": "ADS1115", "serial": None, "revision": None},
    "supply": {"maker": "Maxim", "model": "DS18B20", "serial": ROMS["supply"], "revision": None},
}


def chip(name: str, source: dict[str, Any] | None = None, /, **changes: Any) -> dict[str, Any]:
    kind, address, values = CHIPS[name]
    fixed = {"kind": "fixed", "values": values}
    return {"name": name, "kind": kind, "address": address, "source": source or fixed} | changes


def thermometer(name: str, ten_thousandths: int | None) -> dict[str, Any]:
    source = {"kind": "fixed", "values": {"temperature": ten_thousandths}}
    return {"name": name, "kind": "ds18b20", "serial": ROMS[name], "source": source}


THERMOMETERS = [thermometer("supply", 851250), thermometer("return", -101250)]


def driver(name: str, **changes: Any) -> dict[str, Any]:
    if name in ROMS:
        return {"bus": "onewire", "driver": "ds18b20", "address": 0, "options": [["rom", ROMS[name]]]} | changes
    return {"bus": "i2c", "driver": name, "address": CHIPS[name][1], "options": OPTIONS.get(name)} | changes


class Bench:
    """A simulator process and a MicroPython process, connected by a socket for each bus."""

    def __init__(self, folder: Path, micropython: Path) -> None:
        self._folder = folder
        self._micropython = micropython
        self._processes: list[subprocess.Popen[str]] = []
        self.ports: dict[str, int] = {}

    def start(
        self,
        instruments: dict[str, dict[str, Any]],
        i2c: list[dict[str, Any]] | None = None,
        onewire: list[dict[str, Any]] | None = None,
    ) -> None:
        clock = self._folder / "clock"
        write_clock_file(clock, START_MS)
        i2c = i2c or [chip(name) for name in CHIPS]
        ports = self.start_simulator(i2c, onewire or THERMOMETERS, {"clock_file": "clock"})
        buses = {name: {"kind": name, "tcp_port": port} for name, port in ports.items()}
        self.start_reader("read_chips.py", {"clock_file": str(clock), "buses": buses, "instruments": instruments})

    def start_simulator(
        self, i2c: list[dict[str, Any]], onewire: list[dict[str, Any]], clock: dict[str, str]
    ) -> dict[str, int]:
        buses = [
            {"name": "i2c", "kind": "i2c", "instruments": i2c},
            {"name": "onewire", "kind": "onewire", "instruments": onewire},
        ]
        path = self._folder / "simulator.json"
        path.write_text(json.dumps({"bus": buses, "fault_file": "faults.json"} | clock))
        simulator = self._run([sys.executable, "-m", "meter_tools.simulator", path])
        assert simulator.stdout
        where = json.loads(simulator.stdout.readline())["buses"]
        self.ports = {name: entry["port"] for name, entry in where.items()}
        return self.ports

    def start_reader(self, script: str, spec: dict[str, Any]) -> None:
        path = self._folder / "reader.json"
        path.write_text(json.dumps(spec))
        search = ":".join(str(PROJECT / part) for part in ("protocol", "firmware", "boards/unix"))
        self._run(
            [self._micropython, Path(__file__).with_name(script), path],
            env=os.environ | {"MICROPYPATH": f"{search}:.frozen"},
        )

    def _run(self, command: list[Any], **options: Any) -> "subprocess.Popen[str]":
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
        self._processes.append(process)
        return process

    def ask(self, command: str, argument: str | int) -> Any:
        return self.tell(f"{command} {argument}")

    def tell(self, line: str) -> Any:
        reader = self._processes[-1]
        assert reader.stdin
        assert reader.stdout
        print(line, file=reader.stdin, flush=True)
        return json.loads(reader.stdout.readline())

    def wait(self, span_ms: int) -> None:
        self.ask("wait", span_ms)

    def start_measuring(self, name: str) -> None:
        """Identified, started, and asked once; then with time enough for its first value."""
        self.identify(name)
        self.ask("read", name)
        self.wait(FIRST_VALUE_MS.get(name, 0))

    def identify(self, name: str) -> Any:
        for _ in range(3):
            identity = self.ask("identify", name)
            if identity != {"error": "not_ready"}:
                break
            self.wait(500)
        return identity

    def set_faults(self, **faults: Fault) -> None:
        write_fault_file(self._folder / "faults.json", faults)

    def brown_out(self, name: str) -> None:
        """The chip's supply fails for a moment that no instrument notices by itself."""
        self.set_faults(**{name: Fault(kind="silent")})
        self.transfer(CHIPS[name][1], b"\x00")
        self.set_faults()

    def transfer(self, address: int, frame: bytes, count: int = 0) -> bytes:
        """Bytes on the I2C bus from another controller."""
        with socket.create_connection(("127.0.0.1", self.ports["i2c"])) as line:
            line.sendall(bytes((1, address, 0, 0, 0, len(frame))) + frame)
            reply = line.recv(3)
            if count:
                line.sendall(bytes((2, address, 0, count, 0, 0)))
                reply = line.recv(3 + count)
        return reply[3:]

    def close(self) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGKILL)
            process.communicate()
