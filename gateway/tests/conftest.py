"""Fixtures of the gateway's tests: real brokers on ports of their own, and patience.

This folder is on the path, so that all its tests share `papers.py`.
"""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from meter_gateway import status
from meter_gateway.config import load_config
from meter_gateway.ingest import Ingest
from meter_gateway.key_files import write_pair
from meter_gateway.model import GatewayTime, Received, Verified
from meter_gateway.parameters import load_public_key
from meter_gateway.policy import load_scheme
from meter_gateway.sealing import Sealer, load_sealers
from meter_gateway.store import Store
from meter_gateway.traceability import load_trust
from meter_gateway.validated_toml import ConfigError
from meter_gateway.verify import Key, KeyRing, verify
from meter_gateway.workers import Inline
from meter_protocol import cose, framing
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import AUTHORITY, SOFTWARE_ID, SimulatedMeter
from meter_tools.simulated_update import UPDATE_AUTHORITY

sys.path.insert(0, str(Path(__file__).parent))

PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""


@dataclass
class Mosquitto:
    """A mosquitto that a test starts, kills and starts again on the same port."""

    program: Path
    folder: Path
    port: int
    settings: str = "allow_anonymous true\nset_tcp_nodelay true\n"
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\n{self.settings}")
        self.process = subprocess.Popen(
            [self.program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()
        self.process = None


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@pytest.fixture
def broker(mosquitto: Path, free_port: Callable[[], int], tmp_path: Path) -> Iterator[Mosquitto]:
    """A running mosquitto."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    started = Mosquitto(mosquitto, folder, free_port())
    started.start()
    yield started
    if started.process:
        started.kill()
    shutil.rmtree(folder)


Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Waits until a condition holds; fails after PATIENCE_S."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - what is waited for knows of no events
                await asyncio.sleep(0.01)

    return wait


Refusal = Callable[[Callable[[Path], object], str, str, str], str]


@pytest.fixture
def refusal(tmp_path: Path) -> Refusal:
    """What is said of a file with one mistake: one line of file, place and remedy; here without the file."""

    def say(load: Callable[[Path], object], text: str, old: str, new: str) -> str:
        assert old in text
        path = tmp_path / "changed.toml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(ConfigError) as error:
            load(path)
        line = str(error.value)
        assert line.startswith(f"{path}: ")
        assert "\n" not in line
        assert re.search(r"; \S", line), "no remedy"
        return line.removeprefix(f"{path}: ")

    return say


CARBONMETER = Path(sys.executable).parent / "carbonmeter"
RECEIVED_MS = 1_770_000_000_000
"""2026-02-02, a month after the simulated meters begin."""


KEYS = {"receipt": t.ROLE_RECEIPT, "verdict": t.ROLE_VERDICT, "clock": t.ROLE_CLOCK}


class Gateway:
    """A gateway of its own folder, run as users run it: by the command `carbonmeter`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.config = folder / "gateway.toml"
        self.state = folder / "state"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "gateway.log"
        (folder / "keys").mkdir(parents=True)
        self.state.mkdir()
        for name, role in KEYS.items():
            write_pair(Sealer.generate(role), folder / "keys" / f"{name}.pem")
        write_pair(AUTHORITY, folder / "authority.pem")
        write_pair(UPDATE_AUTHORITY, folder / "updates.pem")
        self.configure()

    def configure(self, listeners: str = "", uplink: str = "", state_dir: str = "state") -> None:
        """Lines over TCP, and what else a test wants."""
        self.state = self.folder / state_dir
        self.config.write_text(
            f"""
            [gateway]
            name = "test"
            state_dir = "{state_dir}"
            scheme = "development"
            [keys]
            receipt = "keys/receipt.pem"
            verdict = "keys/verdict.pem"
            clock = "keys/clock.pem"
            [clock]
            trusted = true
            uncertainty_ms = 20
            [[listener]]
            type = "serial"
            tcp = "127.0.0.1:{self.port}"
            {listeners}
            [parameters]
            authority_keys = ["authority.pub.pem"]
            [updates]
            authority_keys = ["updates.pub.pem"]
            [[software]]
            id = "{SOFTWARE_ID.hex()}"
            {uplink}
            """
        )

    def start(self) -> None:
        self.start_unready()
        wait_for_port(self.port)

    def start_unready(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [CARBONMETER, "gateway", "run", "--config", self.config], stdout=log, stderr=log
            )

    def stop(self) -> int:
        assert self.process
        self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        self.process = None
        return code

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()
        self.process = None

    def command(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CARBONMETER, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder.parent,
            env=os.environ | {"CARBONMETER_LANG": "en", "TZ": "UTC"} | environment,
            check=False,
        )

    def ask(self, *arguments: str | Path) -> str:
        """A command that has to succeed; what it printed."""
        done = self.command(*arguments, "--config", self.config)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rest_on(self, certificates: Iterable[str], bindings: Iterable[str], more: str = "") -> None:
        """What verdicts rest on, as text (papers.py), and `more` keys of [traceability]."""
        for number, text in enumerate(certificates):
            (self.folder / f"{number}.certificate.toml").write_text(text, encoding="utf-8")
        (self.folder / "bindings.toml").write_text("".join(bindings))
        with self.config.open("a") as file:
            file.write('\n[traceability]\ncertificates = ["*.certificate.toml"]\nbindings = ["bindings.toml"]\n')
            file.write(more)

    def enrol(self, meter: SimulatedMeter) -> None:
        """As an engineer who was given the identity as a file, without taking a message of the chain away."""
        self.state.mkdir(exist_ok=True)
        store = Store(self.state / "gateway.sqlite")
        store.registry.enrol(SimulatedMeter(meter.name).identity(), "thumbprint", 0)
        store.close()

    def fill(self, *raws: bytes) -> None:
        """What a run would have stored of these, without one."""
        config = load_config(self.config)
        self.state.mkdir(exist_ok=True)
        store = Store(self.state / "gateway.sqlite")
        sealers = load_sealers(config.keys.receipt, config.keys.verdict, config.keys.clock)
        judge = load_scheme(config.gateway.scheme).judge
        ingest = Ingest(store, sealers, Inline(), load_trust(config), judge)
        now = GatewayTime(RECEIVED_MS, f.CLOCK_SYNCHRONISED, 20)
        ingest.process([Received(raw, "here", RECEIVED_MS) for raw in raws], now)
        store.close()

    def status(self) -> dict[str, Any]:
        """What the gateway that runs says of itself, once it does; not what is left of one before it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            said = status.read(self.state / "status.json")
            if said is not None and (self.process is None or said["pid"] == self.process.pid):
                return said
            assert time.monotonic() < deadline, "the gateway writes no status"
            time.sleep(0.02)


class Line:
    """The meter's end of a line, and what comes down on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keys: Path) -> None:
        self._reader = reader
        self._writer = writer
        self._deframer = framing.Deframer()
        self._waiting: list[bytes] = []
        known = {t.ROLE_RECEIPT: "receipt", t.ROLE_CLOCK: "clock"}
        self._keys = {role: load_public_key(keys / f"{name}.pub.pem") for role, name in known.items()}
        self._keys[t.ROLE_PARAMETERS] = AUTHORITY.cose_key
        self._keys[t.ROLE_UPDATES] = UPDATE_AUTHORITY.cose_key

    def send(self, *raws: bytes) -> None:
        """In frames of about a dozen messages, as firmware does."""
        for at in range(0, len(raws), 12):
            self._writer.write(framing.frame(b"".join(raws[at : at + 12])))

    async def next(self, seconds: float = PATIENCE_S) -> Verified:
        """The next answer; its signature is checked as a meter would."""
        async with asyncio.timeout(seconds):
            while not self._waiting:
                octets = await self._reader.read(4096)
                if not octets:
                    raise ConnectionError("the gateway closed the line")
                self._waiting += self._deframer.feed(octets)
        raw = self._waiting.pop(0)
        typ = cose.split(raw).typ
        role = t.ROLE_OF_TYPE[typ]
        return verify(raw, KeyRing([Key.of(self._keys[role], role)], [typ]), 0)

    async def receipt(self, sequence: int, seconds: float = PATIENCE_S) -> Verified:
        """The receipt that covers this sequence; what comes before it is passed over."""
        async with asyncio.timeout(seconds):
            while True:
                answer = await self.next(seconds)
                if answer.typ == t.RECEIPT and answer.fields[f.SEQUENCE] >= sequence:
                    return answer

    async def of_type(self, typ: str, seconds: float = PATIENCE_S) -> Verified:
        """The next answer of this type; what comes before it is passed over."""
        async with asyncio.timeout(seconds):
            while True:
                answer = await self.next(seconds)
                if answer.typ == typ:
                    return answer

    async def silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes."""
        try:
            await self.next(seconds)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self._writer.close()


async def line_to(gateway: Gateway) -> Line:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    return Line(reader, writer, gateway.folder / "keys")


@pytest.fixture
def connect() -> Callable[[Gateway], Awaitable[Line]]:
    return line_to


@pytest.fixture
def gateway(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Gateway]:
    """A gateway that is set up and not started; its log is shown if the test fails."""
    made = Gateway(tmp_path / "gateway", free_port())
    yield made
    if made.process:
        made.kill()
    if made.log.exists():
        print(made.log.read_text())
