"""`carbonmeter board run`, `board console` and `simulate` together: the emulated board and its instruments.

Commands as a person starts them, on the pseudo-terminals that QEMU makes of the board's lines; the gateway is the
suites' own.
"""

import os
import re
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hil_tests.keywords import channels
from hil_tests.keywords.bench_clock import BenchClock
from hil_tests.keywords.gateway import Gateway
from hil_tests.platforms import HOST, Wiring, qemu
from hil_tests.tests.waiting import PATIENCE_S, wait_until
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools import board_build, toolchain, upstream
from meter_tools.checks import SCRIPTS

pytestmark = pytest.mark.long

SERIAL = "QEMU-0002"


class Commands:
    """What was started here, and is ended here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *words: str | Path) -> tuple[subprocess.Popen[str], Path]:
        said = self.folder / f"said-{len(self.running)}"
        with said.open("w") as out:
            process = subprocess.Popen(
                [SCRIPTS / "carbonmeter", "--lang", "en", *words],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "COLUMNS": "200"},
            )
        self.running.append(process)
        return process, said

    def close(self) -> None:
        for process in reversed(self.running):
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    made = Commands(tmp_path)
    yield made
    made.close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway(BenchClock())
    yield made
    made.link.close()


@pytest.fixture(scope="session")
def image() -> None:
    try:
        toolchain.want(toolchain.EMULATOR, board_build.OUTPUT / qemu.BOARD / "toolchain.log")
        board_build.build(qemu.BOARD)
    except (toolchain.ToolchainError, upstream.SourceError) as error:
        pytest.skip(f"the image is missing: {error}")


@pytest.fixture
def bridge() -> Iterator[Callable[[str, int], None]]:
    """Carries bytes between a pseudo-terminal and a TCP port, as `reconnect` does for the suites' board."""
    ending = threading.Event()
    threads = []

    def pump(pty: int, port: int) -> None:
        with socket.create_connection((HOST, port)) as line:
            while not ending.is_set():
                for end in select.select([pty, line.fileno()], [], [], 0.05)[0]:
                    try:
                        chunk = os.read(end, 4096)
                    except OSError:
                        return
                    os.write(line.fileno() if end == pty else pty, chunk)

    def join(path: str, port: int) -> None:
        pty = os.open(path, os.O_RDWR | os.O_NOCTTY)
        threads.append(threading.Thread(target=pump, args=(pty, port)))
        threads[-1].start()

    yield join
    ending.set()
    for thread in threads:
        thread.join()


def test_the_emulated_board_is_run_watched_and_given_instruments_by_command(
    image: None, commands: Commands, gateway: Gateway, bridge: Callable[[str, int], None], tmp_path: Path
) -> None:
    place = tmp_path / "board"
    place.mkdir()
    qemu.Board(place, Wiring(SERIAL, (gateway.authority.cose_key,), gateway.link.port, {"modbus0": 9}))
    _, ran = commands.start("board", "run", qemu.BOARD, "--folder", place)
    wait_until(lambda: "Ctrl-C cuts its power" in ran.read_text(), "board")
    line = dict(re.findall(r"^(\w+): (/dev/\S+)$", ran.read_text(), re.MULTILINE))
    assert set(line) == {"console", "link", "modbus0", "serial0"}

    log = tmp_path / "console.log"
    _, watched = commands.start("board", "console", "--port", line["console"], "--log", log)
    wait_until(log.exists, "log")
    simulator, simulated = commands.start(
        *("simulate", "energy64@1", "senseair_s8@2", "--port", line["modbus0"]),
        *("--set", "energy64.active_energy_import=123456789", "--set", "senseair_s8.co2_fraction=421"),
    )
    wait_until(lambda: f"ready on {line['modbus0']}" in simulated.read_text(), "instruments")
    bridge(line["link"], gateway.link.port)

    wait_until(lambda: any(message.name == "identity" for message in gateway.chain.messages), "identity")
    gateway.send(gateway.authority.seal(t.PARAMETER_SET, parameters(gateway)))

    def sealed(energy_wh: int) -> bool:
        wanted = [0, channels.RATIO * energy_wh]
        regular = [message for message in gateway.chain.messages if message.named.get("kind") == "regular"]
        return any(message.fields[f.READINGS][channels.ENERGY] == wanted for message in regular)

    wait_until(lambda: sealed(123456789), "sealed energy")
    assert simulator.stdin
    simulator.stdin.write("energy64.active_energy_import 123456799\nnonsense\n")
    simulator.stdin.flush()
    wait_until(lambda: sealed(123456799), "sealed energy that was typed")
    wait_until(lambda: "nonsense: write an indication and its value" in simulated.read_text(), "word about it")
    # The board said it before the console was there.
    assert f"thumbprint {gateway.chain.thumbprint.hex()}" in (place / "console.log").read_text()
    wait_until(lambda: f"{line['console']}; Ctrl-] leaves" in watched.read_text(), "console")


def test_a_folder_has_one_board_at_a_time_and_no_signal_leaves_it_running(
    image: None, commands: Commands, tmp_path: Path
) -> None:
    first, ran = commands.start("board", "run", qemu.BOARD, "--folder", tmp_path)
    wait_until(lambda: "Ctrl-C cuts its power" in ran.read_text(), "board")
    second, said = commands.start("board", "run", qemu.BOARD, "--folder", tmp_path)
    assert second.wait(PATIENCE_S) == 2
    assert said.read_text().splitlines() == [
        f"carbonmeter: a board runs in {tmp_path} already: end that one, or give this one another --folder"
    ]
    first.terminate()
    assert first.wait(PATIENCE_S) == 0
    # QEMU has the lock, too: were it left over, the folder would not be free.
    _, again = commands.start("board", "run", qemu.BOARD, "--folder", tmp_path)
    wait_until(lambda: "Ctrl-C cuts its power" in again.read_text(), "board that starts again")


def parameters(gateway: Gateway) -> dict[int, Any]:
    return gateway.about_meter() | {
        f.SET_VERSION: 1,
        f.INTERVAL_S: 1,
        f.SAMPLE_PERIOD_MS: 500,
        f.INSTRUMENTS: channels.usual_site().instrument_entries(),
        f.CHANNELS: channels.usual_site().channel_entries(),
        f.RECEIPT_KEYS: [gateway.receipt_key.cose_key],
        f.CLOCK_KEYS: [gateway.clock_key.cose_key],
    }
