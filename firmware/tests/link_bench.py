"""The meter's links in a MicroPython process, and at their other end a mosquitto of the test's own and an echo.

A sampling loop runs in the meter's process beside each link: whatever the other side does, it must not wait. The
fixtures are conftest.py's.
"""

import contextlib
import json
import os
import pwd
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from meter_protocol import topics

KID = bytes(range(8))
TOPICS = {"up": topics.up(KID), "down": topics.down(KID)}
LARGEST = 8192

# Waiting for a processor is left out already; a blocked loop stops for seconds.
TOLERATED_GAP_MS = 250
PATIENCE_S = 60


class Meter:
    """The process with the link; its lines come as events."""

    def __init__(self, micropython: Path, config: dict[str, Any]) -> None:
        here = Path(__file__).parent
        search = [here.parents[1] / "protocol", here.parent, ".frozen"]
        self.events: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [micropython, here / "link_process.py"],
            env=os.environ | {"MICROPYPATH": ":".join(map(str, search))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._was_stopped = False
        threading.Thread(target=self._note_stop, daemon=True).start()
        assert self._process.stdin
        print(json.dumps({"run_ms": PATIENCE_S * 1000} | config), file=self._process.stdin, flush=True)

    def _note_stop(self) -> None:
        with contextlib.suppress(ChildProcessError):  # the process is no more
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)
            self._was_stopped = True

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next event that fulfils the condition; fails with all that was said if there is none."""
        assert self._process.stdout
        for line in self._process.stdout:
            try:
                event: dict[str, Any] = json.loads(line)
            except json.JSONDecodeError:
                pytest.fail(line + self._process.stdout.read())
            self.events.append(event)
            if condition(event):
                return event
        pytest.fail(f"it ended without it: {self.events[-20:]}")

    def until_trouble(self, reason: str) -> None:
        self.until(lambda event: event.get("trouble") == reason)

    def until_handed_over(self, index: int) -> None:
        self.until(lambda event: event.get("handed_over") == index)

    def summary(self) -> dict[str, Any]:
        summary = self.until(lambda event: "complete" in event)
        assert self._process.wait(PATIENCE_S) == 0
        if self._was_stopped:
            # By a signal from outside: what its loop waited for then is no fault of the link's.
            summary["gap_ms"] = 0
        return summary

    def troubles(self) -> set[str]:
        return {event["trouble"] for event in self.events if "trouble" in event}

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start_meter(micropython: Path) -> Iterator[Callable[..., Meter]]:
    meters: list[Meter] = []

    def start(**config: Any) -> Meter:
        meters.append(Meter(micropython, config))
        return meters[-1]

    yield start
    for meter in meters:
        meter.close()


def assert_undisturbed(summary: dict[str, Any], frames: int) -> None:
    """Everything was handed over and came back as it was, and the sampling loop never waited."""
    assert summary["complete"], summary
    assert summary["still_running"], summary
    assert summary["connected"], summary
    assert summary["echoed"] == frames, summary
    assert summary["corrupt"] == 0, summary
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary


class Mosquitto:
    """A broker of our own on a port of its own, that can be killed, stopped and started again."""

    def __init__(self, program: Path, folder: Path, port: int, settings: str = "allow_anonymous true") -> None:
        self.port = port
        self._configuration = folder / f"mosquitto-{port}.conf"
        user = pwd.getpwuid(os.getuid()).pw_name
        self._configuration.write_text(f"listener {port} 127.0.0.1\nuser {user}\n{settings}\n")
        self._program = program
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", self._configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert self._process.poll() is None, "mosquitto did not start"
            time.sleep(0.02)
        pytest.fail("mosquitto does not listen")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


@pytest.fixture
def start_broker(
    mosquitto: Path, free_port: Callable[[], int], tmp_path: Path
) -> Iterator[Callable[..., Mosquitto]]:
    brokers: list[Mosquitto] = []

    def start(*settings: str) -> Mosquitto:
        brokers.append(Mosquitto(mosquitto, tmp_path, free_port(), *settings))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.signal(signal.SIGCONT)
        broker.kill()


@pytest.fixture
def start_echo() -> Iterator[Callable[..., None]]:
    """A gateway that gives every frame back, subscribed before the meter starts."""
    clients: list[paho.mqtt.client.Client] = []

    def give_back(client: paho.mqtt.client.Client, _: Any, message: paho.mqtt.client.MQTTMessage) -> None:
        client.publish(TOPICS["down"], message.payload, 1)

    def start(broker: Mosquitto, authority: Path | None = None, login: tuple[str, str] | None = None) -> None:
        subscribed = threading.Event()
        client = paho.mqtt.client.Client(CallbackAPIVersion.VERSION2)
        if authority:
            client.tls_set(str(authority))
        if login:
            client.username_pw_set(*login)
        client.on_connect = lambda client, *_: client.subscribe(TOPICS["up"], 1)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = give_back
        client.reconnect_delay_set(1, 1)
        client.connect("localhost" if authority else "127.0.0.1", broker.port)
        client.loop_start()
        clients.append(client)
        assert subscribed.wait(PATIENCE_S)

    yield start
    for client in clients:
        client.disconnect()
        client.loop_stop()


def at(broker: Mosquitto) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": broker.port} | TOPICS
