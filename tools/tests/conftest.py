"""Fixtures of the tools' tests."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from meter_gateway.texts import entries
from meter_tools import board_build
from meter_tools.boards import description
from meter_tools.boards.description import Board, Description
from meter_tools.cli import app
from meter_tools.simulator import Simulation

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def ask_over_pty() -> Callable[[Simulation, str, int], Awaitable[str]]:
    """A request over the pseudo terminal of `bus`, and so many bytes of what comes back, both in hexadecimal."""

    async def ask(simulation: Simulation, request: str, reply_bytes: int) -> str:
        path = simulation.buses["bus"].pty
        assert path is not None
        device = os.open(path, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(device, bytes.fromhex(request))
            reply = b""
            while len(reply) < reply_bytes:
                reply += await asyncio.to_thread(os.read, device, reply_bytes)
            return reply.hex().upper()
        finally:
            os.close(device)

    return ask


@pytest.fixture
def board_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes `wall` the only board there is, of what its board.toml says, and gives the folder of its image."""

    def make(**told: str) -> Path:
        words = {"title": "a board", "title_zh": "板", "evidence": "none", "status": "written"}
        words |= {"link": "mqtt", "provisioning": "usb", **told}
        board = Board(tmp_path / "boards" / "wall", Description.model_validate(words))
        board.folder.mkdir(parents=True)
        monkeypatch.setattr(description, "find", lambda name: board)
        monkeypatch.setattr(board_build, "OUTPUT", tmp_path / "build")
        output = tmp_path / "build" / "wall"
        output.mkdir(parents=True)
        return output

    return make


@pytest.fixture
def carbonmeter() -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def refused() -> Callable[..., str]:
    """The one line of a command that was refused; it is the English text of that key."""

    def check(done: Result, key: str, code: int = 2) -> str:
        assert done.exit_code == code, done.output
        (line,) = done.stderr.splitlines()
        text, zh = entries()[key]
        ending = text.rpartition("}")[2].split("(")[0].strip(" ;.)")
        assert ending in line
        assert zh
        assert "Traceback" not in done.output
        return line

    return check
