"""Fixtures of the gateway's tests: real brokers on ports of their own, and patience."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest


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
    deadline = time.monotonic() + 20
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
    """Waits until a condition holds; fails after 20 s."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - what is waited for knows of no events
                await asyncio.sleep(0.01)

    return wait
