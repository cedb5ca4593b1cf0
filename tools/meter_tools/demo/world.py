"""Everything that a demo runs, as real processes in one folder: broker, instruments, meter, gateway.

Each can be killed and started again by itself, which is what the fault tests do. All of it goes through what a
user has: the `carbonmeter` command, the simulator's and the board's configuration files, the meter's console.
"""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from meter_protocol import keys
from meter_tools.demo import documents
from meter_tools.demo.processes import Process, ProcessFailed, free_port, start_broker
from meter_tools.demo.scene import Scene
from meter_tools.mpycross import PROJECT, interpreter
from meter_tools.simulator.clock import write_clock_file

METER_SERIAL = "DEMO-0001"
CARBONMETER = Path(sys.executable).parent / "carbonmeter"
FIRMWARE_PATH = ":".join([".frozen", *(str(PROJECT / part) for part in ("protocol", "firmware", "boards/unix"))])


class World:
    """`folder` is empty or new; it keeps all logs and the gateway's store when the demo is over.

    `pace_ms` is the least real time that a replay spends on each virtual sleep of the meter.
    """

    def __init__(self, folder: Path, scene: Scene, started: list[Process], pace_ms: int = 0) -> None:
        self.folder = folder
        self.scene = scene
        self._pace_ms = pace_ms
        self.clock_file = folder / "clock"
        self.gateway_folder = folder / "gateway"
        self.broker_port = free_port()
        self._started = started
        self.instrument_port = free_port()
        self._gateway_runs = 0
        self._meter_runs = 0
        self.thumbprint = ""

    # Setting the stage

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_clock_file(self.clock_file, self.scene.start_ms or time.time_ns() // 1_000_000)
        self.start_broker()
        self.start_instruments()
        self.command("gateway", "init", self.gateway_folder)
        self.command("authority", "init", self.folder / "authority.pem")
        self._write_gateway_config(None)
        self._write_meter_config()

    def start_broker(self) -> Process:
        self.broker = self._keep(start_broker(self.folder, self.broker_port))
        return self.broker

    def start_instruments(self) -> Process:
        config = self.folder / "instruments.json"
        config.write_text(json.dumps(self.simulator(), indent=1))
        self.instruments = self._keep(
            Process(
                "instruments",
                [sys.executable, "-m", "meter_tools.simulator", config],
                self.folder / "instruments.log",
            )
        )
        self.instruments.wait_for('"ready"', 60)
        return self.instruments

    def start_gateway(self) -> Process:
        self._gateway_runs += 1
        self.gateway = self._keep(
            Process(
                "gateway",
                [CARBONMETER, "gateway", "run", "--config", self.gateway_config],
                self.folder / f"gateway-{self._gateway_runs}.log",
            )
        )
        self.gateway.wait_for("listening at", 60)
        return self.gateway

    def start_meter(self) -> Process:
        """The thumbprint on the meter's label is read from its console."""
        micropython = interpreter()
        if micropython is None:
            raise ProcessFailed("MicroPython is missing: make setup installs it, or put a micropython on PATH")
        self._meter_runs += 1
        self.meter = self._keep(
            Process(
                "meter",
                [micropython, PROJECT / "boards" / "unix" / "main.py", self.folder / "meter.json"],
                self.folder / f"meter-{self._meter_runs}.log",
                {"MICROPYPATH": FIRMWARE_PATH},
            )
        )
        label = self.meter.wait_for("thumbprint", 60)
        self.thumbprint = label.rsplit(" ", 1)[1]
        return self.meter

    def commission(self) -> None:
        """What a field engineer does: approve its software, bind certificates, enrol it by its label, send its
        parameters.
        """
        self._wait_for_identity()
        self._approve_and_bind()
        parameters = self.folder / "parameters.toml"
        parameters.write_text(documents.parameters(self.scene, self.thumbprint, self.gateway_folder))
        sealed = self.folder / "parameters.cose"
        self.command(
            "parameters",
            "seal",
            parameters,
            "--authority-key",
            self.folder / "authority.pem",
            "--out",
            sealed,
        )
        # One right after the other: a receipt in between is one that the meter cannot believe yet.
        self.command("meters", "enrol", self.thumbprint, "--config", self.gateway_config)
        self.command("parameters", "send", self.thumbprint, sealed, "--config", self.gateway_config)

    def command(self, *arguments: str | Path) -> str:
        """Run `carbonmeter …`; ProcessFailed with its one line if it refuses."""
        done = subprocess.run([CARBONMETER, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines()
            raise ProcessFailed(
                f"carbonmeter {arguments[0]} {arguments[1]}: {words[-1] if words else 'no output'}"
            )
        return done.stdout

    # The instruments, and the way between meter and gateway; another world may have others

    def simulator(self) -> dict[str, Any]:
        return documents.simulator(self.scene, self.instrument_port, self.clock_file)

    def listener(self) -> str:
        return f'type = "mqtt"\nhost = "127.0.0.1"\nport = {self.broker_port}'

    def meter_link(self) -> dict[str, Any]:
        return {"type": "mqtt", "host": "127.0.0.1", "port": self.broker_port}

    # Looking on

    def counts(self) -> dict[str, int]:
        """The gateway's own counters, from its status file; empty until it has written one."""
        try:
            status = json.loads((self.gateway_folder / "state" / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        counts: dict[str, int] = status["counts"]
        # Before its enrolment a meter is a stranger: it gets no answer and keeps what it sent.
        counts["before_enrolment"] = status["rejected_by_reason"].get("unknown_key", 0)
        counts["rejected"] -= counts["before_enrolment"]
        return counts

    def meter_summary(self) -> dict[str, str]:
        """The last line of the meter's console: what it sealed, sent, and where its chain ends."""
        words = re.findall(r"(\w+) (\S+)", self.meter.last_line())
        return dict(words)

    def stored_head(self) -> int:
        """The highest sequence that the gateway has stored without a gap, -1 if none."""
        store = self.gateway_folder / "state" / "gateway.sqlite"
        if not store.exists():
            return -1
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            row = connection.execute("SELECT max(head_sequence) FROM chain").fetchone()
        return -1 if row is None or row[0] is None else int(row[0])

    def check(self) -> None:
        """ProcessFailed if something ended by itself; the meter may, in order."""
        for process in (self.broker, self.instruments, self.gateway):
            process.check()
        if self.meter.exit_code():
            self.meter.check()

    def public_key(self, name: str) -> bytes:
        """COSE_Key of one of the gateway's keys, as an auditor would have got it from the operator."""
        return documents.cose_key((self.gateway_folder / "keys" / f"{name}.pub.pem").read_bytes())

    def meter_key(self) -> bytes:
        """COSE_Key of the meter, from the identity that was enrolled; its thumbprint is on the label."""
        store = self.gateway_folder / "state" / "gateway.sqlite"
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            row = connection.execute(
                "SELECT cose_key FROM meter WHERE thumbprint = ?", (bytes.fromhex(self.thumbprint),)
            ).fetchone()
        cose_key: bytes = row[0]
        if keys.thumbprint(cose_key).hex() != self.thumbprint:
            raise ProcessFailed("the enrolled key is not the one on the meter's label")
        return cose_key

    # Inside

    @property
    def gateway_config(self) -> Path:
        return self.gateway_folder / "gateway.toml"

    def _keep(self, process: Process) -> Process:
        self._started.append(process)
        return process

    def _wait_for_identity(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.gateway.check()
            self.meter.check()
            listed = self.command("meters", "list", "--waiting", "--config", self.gateway_config).replace("\n", "")
            shown = re.findall(r"[0-9a-f]{64}", listed)
            if self.thumbprint in shown:
                # This checkout, as the meter's interpreter has just read it: there is no other build to compare.
                (self._software_id,) = set(shown) - {self.thumbprint}
                return
            time.sleep(0.2)
        raise ProcessFailed("the gateway never saw the meter's identity")

    def _approve_and_bind(self) -> None:
        """Approvals, certificates and bindings are in files; SIGHUP has the running gateway read them."""
        for name, text in documents.certificates(self.scene, self.thumbprint).items():
            (self.gateway_folder / name).write_text(text)
        self._write_gateway_config(self._software_id)
        self.gateway.signal(signal.SIGHUP)
        self.gateway.wait_for("loaded anew", 60)

    def _write_gateway_config(self, software_id: str | None) -> None:
        """With the meter's software id once it is known, and the certificates that are there by then."""
        clock = f"file:{self.clock_file}" if self.scene.trace else "system"
        self.gateway_config.write_text(
            documents.gateway(
                self.listener(), self.broker_port, clock, self.folder / "authority.pub.pem", software_id
            )
        )

    def _write_meter_config(self) -> None:
        authority = (self.folder / "authority.pub.pem").read_bytes()
        config = documents.meter(
            self.scene,
            METER_SERIAL,
            self.folder,
            documents.cose_key(authority),
            self.instrument_port,
            self.meter_link(),
            self.clock_file,
            self._pace_ms,
        )
        path = self.folder / "meter.json"
        path.write_text(json.dumps(config, indent=1))
