"""`carbonmeter board console` on a pseudo-terminal, as a process with a terminal of its own."""

import os
import pty
import select
import subprocess
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from serial.tools import list_ports

from meter_tools.boards import ports
from meter_tools.checks import SCRIPTS

PATIENCE_S = 20


@pytest.fixture
def board() -> Iterator[tuple[int, str]]:
    """The board's end of its console, and the name of the other."""
    controller, device = os.openpty()
    tty.setraw(device)
    yield controller, os.ttyname(device)
    os.close(device)


def read_until(end: int, wanted: bytes) -> bytes:
    said = b""
    until = time.monotonic() + PATIENCE_S
    while wanted not in said:
        assert time.monotonic() < until, said
        if select.select([end], [], [], 0.1)[0]:
            said += os.read(end, 4096)
    return said


class Terminal:
    """A person's terminal with the command in it."""

    def __init__(self, *words: str | Path) -> None:
        self.screen, inside = pty.openpty()
        self.process = subprocess.Popen(
            [SCRIPTS / "carbonmeter", "board", "console", *words],
            stdin=inside,
            stdout=inside,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        os.close(inside)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self.screen)


@pytest.fixture
def terminal(board: tuple[int, str], tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal("--port", board[1], "--log", tmp_path / "log")
    read_until(made.screen, b"Ctrl-] leaves")
    yield made
    made.close()


def test_bytes_go_both_ways_and_the_boards_into_the_log(board, terminal: Terminal, tmp_path: Path) -> None:
    os.write(board[0], b"meter SN-1 thumbprint 00ff\r\n")
    assert b"thumbprint 00ff" in read_until(terminal.screen, b"00ff\r\n")
    os.write(terminal.screen, b"\x03import os\r")
    assert read_until(board[0], b"\r") == b"\x03import os\r"
    os.write(terminal.screen, b"more\x1d")
    assert read_until(board[0], b"more") == b"more"
    assert terminal.process.wait(PATIENCE_S) == 0
    assert (tmp_path / "log").read_bytes() == b"meter SN-1 thumbprint 00ff\r\n"


def test_a_board_that_goes_is_told_in_one_line(board, terminal: Terminal) -> None:
    os.close(board[0])
    assert terminal.process.wait(PATIENCE_S) == 2
    assert terminal.process.stderr
    (line,) = terminal.process.stderr.read().splitlines()
    assert f"{board[1]} is gone: check the cable" in line


def test_a_port_that_is_in_use_is_told(board, carbonmeter, refused) -> None:
    with serial.Serial(board[1], exclusive=True):
        line = refused(carbonmeter("board", "console", "--port", board[1]), "board.port_busy")
    assert f"fuser {board[1]}" in line
    os.close(board[0])


def test_a_port_that_may_not_be_opened_is_told(monkeypatch: pytest.MonkeyPatch, carbonmeter, refused) -> None:
    """Nothing is forbidden to root, so the refusal is put in the way of the real call."""

    def forbid(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(serial.serialposix.os, "open", forbid)
    assert "dialout" in refused(carbonmeter("board", "console", "--port", "/dev/tty"), "board.port_forbidden")


@pytest.mark.parametrize(
    ("port", "key"),
    [("/dev/none", "no_port_there"), ("/dev/null", "no_serial_port"), ("/etc/hostname", "no_serial_port")],
)
def test_what_is_no_port_is_told(port: str, key: str, carbonmeter, refused) -> None:
    assert port in refused(carbonmeter("board", "console", "--port", port), f"board.{key}")


class Found:
    def __init__(self, device: str, vid: int | None) -> None:
        self.device, self.vid, self.pid, self.description = device, vid, 0x1001, "USB JTAG"


def test_the_only_board_is_found_and_several_are_listed(monkeypatch, carbonmeter, refused) -> None:
    here = [Found("/dev/ttyS0", None)]
    monkeypatch.setattr(list_ports, "comports", lambda: here)
    refused(carbonmeter("board", "console"), "board.no_console")
    here.append(Found("/dev/ttyACM0", ports.ESPRESSIF))
    assert [found.name for found in ports.serial_candidates("esp32")] == ["/dev/ttyACM0"]
    assert ports.serial_candidates("stm32") == []
    assert "/dev/ttyACM0" in refused(carbonmeter("board", "console"), "board.no_port_there")
    here.append(Found("/dev/ttyACM1", ports.ST))
    line = refused(carbonmeter("board", "console"), "board.several_ports")
    assert "/dev/ttyACM0 (303A:1001 USB JTAG), /dev/ttyACM1 (0483:1001 USB JTAG)" in line
