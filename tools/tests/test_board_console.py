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
from hypothesis import given
from hypothesis import strategies as st
from serial.tools import list_ports

from meter_protocol import framing
from meter_tools.boards import emulator, ports
from meter_tools.boards.console_text import MAX_FRAME, ConsoleText
from meter_tools.checks import SCRIPTS
from meter_tools.simulated_meter import SimulatedMeter

PATIENCE_S = 60


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


def test_frames_are_one_line_each_and_text_that_only_begins_like_one_is_shown(
    board, terminal: Terminal, tmp_path: Path
) -> None:
    identity = SimulatedMeter("CM-1").identity()
    os.write(board[0], b"no factory record\r\n" + framing.frame(identity) + b"meter CM-1\r\n")
    line = f"[frame of {len(framing.frame(identity))} bytes: identity]\r\n".encode()
    assert line + b"meter CM-1" in read_until(terminal.screen, b"meter CM-1\r\n")
    os.write(board[0], b"\0Traceback: it ends here")
    assert b"Traceback" in read_until(terminal.screen, b"ends here")
    log = (tmp_path / "log").read_bytes()
    assert log == b"no factory record\r\n" + line + b"meter CM-1\r\nTraceback: it ends here"


FRAME, OTHER = framing.frame(SimulatedMeter("CM-1").identity()), framing.frame(b"no message")


def readable(*pieces: bytes) -> bytes:
    text = ConsoleText(lambda types, size: f"<{','.join(types)} {size}>")
    return b"".join(map(text.feed, pieces)) + text.give_up()


@given(data=st.data())
def test_a_console_is_the_same_however_it_comes(data: st.DataObject) -> None:
    said = b"before" + FRAME + OTHER + b"between\r\n" + FRAME + b"after"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(said)))))
    pieces = [said[start:end] for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    identity = f"<identity {len(FRAME)}>\r\n".encode()
    assert readable(*pieces) == b"before%s< %d>\r\nbetween\r\n%safter" % (identity, len(OTHER), identity)


TEXT = st.binary(max_size=40).map(lambda octets: octets.replace(b"\0", b""))


@given(st.lists(st.one_of(TEXT, st.just(b"\0"), st.just(FRAME))))
def test_no_text_is_lost(pieces: list[bytes]) -> None:
    """A zero alone is noise on the line: what follows is text, or a frame all the same."""
    lines = {FRAME: f"<identity {len(FRAME)}>\r\n".encode(), b"\0": b""}
    assert readable(*pieces) == b"".join(lines.get(piece, piece) for piece in pieces)


def test_what_never_ends_is_shown() -> None:
    text = ConsoleText(lambda types, size: "")
    assert text.feed(b"\0" + b"x" * (MAX_FRAME + 1)) == b"x" * (MAX_FRAME + 1)
    assert not text.is_holding
    assert text.feed(b"yz") == b"yz"


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


def test_the_log_of_an_emulated_board_is_readable(tmp_path: Path) -> None:
    """QEMU opens the end of a pipe by its name, as any file."""
    log = tmp_path / "console.log"
    log.write_bytes(b"the boot before\r\n")
    text = ConsoleText(lambda types, size: f"<{','.join(types)} {size}>")
    with emulator._readable_log(log, text) as end, Path(f"/dev/fd/{end}").open("ab", buffering=0) as qemu:
        qemu.write(b"no factory record\r\n" + FRAME[:100])
        qemu.write(FRAME[100:] + b"meter CM-1\r\n\0half a frame")
    shown = f"<identity {len(FRAME)}>\r\n".encode()
    assert log.read_bytes() == b"the boot before\r\nno factory record\r\n" + shown + b"meter CM-1\r\nhalf a frame"
