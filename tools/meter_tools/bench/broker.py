"""The same gateway behind a real broker, with its real MQTT listener and a load generator in another process.

Broker and load generator share the cores with the gateway, so this is not what the gateway could do by itself.
"""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from meter_gateway import workers
from meter_gateway.config import MqttListener as Section
from meter_gateway.listener.mqtt import MqttListener
from meter_gateway.model import Outcome
from meter_tools.bench.gateway import Gateway
from meter_tools.bench.load import Load
from meter_tools.bench.machine import cpu_s
from meter_tools.demo.processes import hold_port

PATIENCE_S = 10.0


class BrokerRun(NamedTuple):
    broker: str
    messages: int
    seconds: float
    gateway_cpu_us: float
    broker_cpu_us: float
    """Processor time for one message."""

    @property
    def rate(self) -> float:
        return self.messages / self.seconds


def find_mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def mosquitto(program: str, folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A broker of our own on a free port of the loopback, which drops nothing."""
    with hold_port() as keeper:
        port = keeper.getsockname()[1]
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
            "max_queued_messages 0\nmax_inflight_messages 0\n"
        )
        process = subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while process.poll() is None and not _listens(port):
                time.sleep(0.02)
            yield port, process
        finally:
            process.terminate()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def version_of(program: str) -> str:
    """`mosquitto -h` begins with its name and version; it has no option for that alone."""
    told = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    return told.partition("\n")[0].strip()


async def publish_stream(folder: Path, load: Load, pool: workers.Pool, program: str) -> BrokerRun:
    """From the first publish to the last receipt at the meters."""
    gateway = Gateway(folder / "broker.db", load.meters, pool)
    with mosquitto(program, folder) as (port, broker):
        section = Section(type="mqtt", host="127.0.0.1", port=port)
        listener = MqttListener(section, gateway.inbox, lambda: gateway.now_ms)

        def deliver(outcome: Outcome) -> None:
            for answer in outcome.answers:
                listener.send(answer.peer, answer.kid, answer.raw)

        async with gateway.running(deliver):
            listening = asyncio.create_task(listener.run())
            async with asyncio.timeout(PATIENCE_S):
                while not listener.connected:  # noqa: ASYNC110 - it says whether, and nobody when
                    await asyncio.sleep(0.01)
            gateway_s, broker_s = cpu_s(gateway.pids), cpu_s([broker.pid])
            publisher = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "meter_tools.bench.publisher", str(port), *map(str, load.paths)),
                stdout=subprocess.PIPE,
            )
            told, _ = await publisher.communicate()
            gateway_s, broker_s = cpu_s(gateway.pids) - gateway_s, cpu_s([broker.pid]) - broker_s
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    gateway.close()
    report = json.loads(told)
    messages = report["messages"]
    return BrokerRun(
        version_of(program),
        messages,
        report["seconds"],
        1e6 * gateway_s / messages,
        1e6 * broker_s / messages,
    )
