"""The meter's serial link on MicroPython, over a real pseudo terminal and the socket that stands in for it.

The sampling loop beside it must not wait, whatever the other side does.
"""

import contextlib
import os
import pty
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from link_bench import LARGEST, PATIENCE_S, TOLERATED_GAP_MS, Meter, assert_undisturbed

from meter_protocol import framing


class EchoLine(threading.Thread):
    """The gateway's end of a line: gives each frame back, cut in bits and with noise between."""

    def __init__(self, read: Callable[[], bytes], write: Callable[[bytes], Any], noise: bytes = b"") -> None:
        super().__init__(daemon=True)
        self._read = read
        self._write = write
        self._noise = noise
        self.discarded = 0

    def run(self) -> None:
        deframer = framing.Deframer()
        with contextlib.suppress(OSError):
            while wire := self._read():
                for payload in deframer.feed(wire):
                    answer = self._noise + framing.frame(payload)
                    for start in range(0, len(answer), 100):
                        self._write(answer[start : start + 100])
                self.discarded = deframer.discarded


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """A pseudo terminal in its cooked default, as a login would find it: (our end, the meter's device)."""
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("noise", [b"", b"\x00\xff", b"line noise", b"\x03\x11\x13\x00\x04\r\n"])
def test_frames_make_the_round_trip_over_a_terminal(
    noise: bytes, terminal: tuple[int, str], start_meter: Callable[..., Meter]
) -> None:
    ours, device = terminal
    EchoLine(lambda: os.read(ours, 512), lambda wire: os.write(ours, wire), noise).start()
    for size in (4, 340, LARGEST):
        meter = start_meter(tty=device, frames=10, expect=10, size=size)
        summary = meter.summary()
        assert_undisturbed(summary, 10)
        assert summary["failures"] == 0


def test_a_gateway_that_stopped_reading_does_not_stop_the_meter(
    terminal: tuple[int, str], start_meter: Callable[..., Meter]
) -> None:
    ours, device = terminal
    settings = {"write_timeout_ms": 500}
    meter = start_meter(tty=device, frames=40, expect=1, size=LARGEST, interval_ms=10, settings=settings)
    meter.until_trouble("write_stalled")
    EchoLine(lambda: os.read(ours, 512), lambda wire: os.write(ours, wire)).start()
    summary = meter.summary()
    assert summary["complete"], summary
    assert summary["corrupt"] == 0
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary


def test_a_terminal_that_went_away_is_waited_for(start_meter: Callable[..., Meter], tmp_path: Path) -> None:
    device = tmp_path / "line"
    meter = start_meter(tty=str(device), frames=20, expect=1, interval_ms=50)
    meter.until_trouble("peer_lost")
    for _ in range(2):
        ours, theirs = pty.openpty()
        device.unlink(missing_ok=True)
        device.symlink_to(os.ttyname(theirs))
        meter.until(lambda event: "handed_over" in event)
        os.close(theirs)
        os.close(ours)
        meter.until(lambda event: event.get("trouble") in ("peer_closed", "peer_lost"))
    ours, theirs = pty.openpty()
    device.unlink()
    device.symlink_to(os.ttyname(theirs))
    EchoLine(lambda: os.read(ours, 512), lambda wire: os.write(ours, wire)).start()
    summary = meter.summary()
    assert summary["complete"], summary
    assert summary["corrupt"] == 0


@pytest.mark.parametrize("noise", [b"", b"\x00\x01\x02noise"])
def test_frames_make_the_round_trip_over_the_stand_in_and_its_loss_is_noticed(
    noise: bytes, start_meter: Callable[..., Meter]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        meter = start_meter(
            host="127.0.0.1", port=server.getsockname()[1], frames=60, expect=10, size=1000, interval_ms=20
        )
        first, _ = server.accept()
        meter.until_handed_over(10)
        first.close()
        meter.until(lambda event: event.get("trouble") in ("peer_closed", "peer_lost"))
        second, _ = server.accept()
        with second:
            EchoLine(lambda: second.recv(512), second.sendall, noise).start()
            summary = meter.summary()
    assert summary["complete"], summary
    assert summary["corrupt"] == 0
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary
