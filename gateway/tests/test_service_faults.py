"""What the disk can do to a gateway: it says so, receipts nothing, and goes on when it can."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meter_tools.simulated_meter import SimulatedMeter

Mount = Callable[[Path, str], None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts a small file system in memory; unmounts it afterwards."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    mounted: list[Path] = []

    def do(place: Path, options: str) -> None:
        arguments = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
        if place in mounted:
            arguments = ["mount", "-o", f"remount,{options}", place]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this root may not mount: {done.stderr.strip()}")
        mounted.append(place)

    yield do
    for place in dict.fromkeys(mounted):
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@contextmanager
def write_lock(store: Path) -> Iterator[None]:
    """Another process holds the store."""
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout
    assert holder.stdout.readline()
    yield
    holder.communicate()


_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


async def test_full_disk(gateway, connect, until, mount: Mount) -> None:
    mount(gateway.state, "size=3m")
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    line.send(*meter.begin())
    await line.receipt(2)
    ballast = gateway.state / "ballast"
    with pytest.raises(OSError, match="No space left"):
        fill(ballast)
    line.send(*(meter.readings() for _ in range(100)))
    await until(lambda: "the disk is full" in gateway.log.read_text())
    assert await line.silent()
    ballast.unlink()
    await line.receipt(meter.sequence)
    await until(lambda: "the store works again" in gateway.log.read_text())
    await until(lambda: gateway.status()["counts"]["stored"] == 103)


async def test_store_that_cannot_grow(gateway, connect, until) -> None:
    """The same without root: a limit on the size of the process's files, taken back later."""
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    line.send(*meter.begin())
    await line.receipt(2)
    _, hard = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (16384, hard))
    line.send(*(meter.readings() for _ in range(100)))
    await until(lambda: "until then nothing is receipted" in gateway.log.read_text())
    assert await line.silent()
    await until(lambda: gateway.status()["store"] != "ok")
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    await line.receipt(meter.sequence)
    await until(lambda: gateway.status()["store"] == "ok")


async def test_read_only_store_at_the_start(gateway, connect, until, mount: Mount) -> None:
    mount(gateway.state, "size=3m,ro")
    gateway.start_unready()
    await until(lambda: "gateway.sqlite" in gateway.log.read_text() or "Read-only" in gateway.log.read_text())
    assert gateway.process.poll() is None
    mount(gateway.state, "size=3m,rw")
    await until(lambda: "listening at" in gateway.log.read_text())
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    line.send(*meter.begin())
    await line.receipt(2)


async def test_store_that_another_process_holds(gateway, connect, until) -> None:
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    line.send(*meter.begin())
    await line.receipt(2)
    with write_lock(gateway.state / "gateway.sqlite"):
        line.send(meter.readings())
        await until(lambda: "another process holds it" in gateway.log.read_text())
        assert await line.silent()
    await line.receipt(3)


async def test_stopping_while_nothing_can_be_stored(gateway, connect, until) -> None:
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    _, hard = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (16384, hard))
    line.send(*meter.begin(), *(meter.readings() for _ in range(100)))
    await until(lambda: "until then nothing is receipted" in gateway.log.read_text())
    assert gateway.stop() == 0
    assert "Traceback" not in gateway.log.read_text()
