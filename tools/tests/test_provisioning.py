"""Boards become meters through the real command, against the shipping firmware on this host."""

import io
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from PIL import Image
from provisioning_bench import Bench, Cable, UnixBoard, thumbprint_of

from meter_gateway.label import text_of


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("maker"))


@pytest.fixture
def cable() -> Iterator[Cable]:
    made = Cable()
    yield made
    made.close()


@pytest.fixture
def board(tmp_path: Path, micropython: Path, cable: Cable) -> Iterator[UnixBoard]:
    made = UnixBoard(tmp_path / "board", micropython, cable)
    made.power_on()
    yield made
    made.cut_power()


def rows(bench: Bench, columns: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(bench.folder / "factory.sqlite") as connection:
        return connection.execute(f"SELECT {columns} FROM happening ORDER BY id").fetchall()


def test_a_board_becomes_a_meter(bench: Bench, board: UnixBoard, cable: Cable) -> None:
    would = bench.provision(cable.tool, "--dry-run")
    assert "Would make this unix the meter" in would
    said = bench.provision(cable.tool, "--serial", "CM-A1")
    thumbprint = thumbprint_of(said)
    assert thumbprint == thumbprint_of(would)
    assert f"meter CM-A1 thumbprint {thumbprint}" in board.console()
    states = [state for state, serial in rows(bench, "state, serial") if serial == "CM-A1"]
    assert states == ["started", "complete"]
    name = f"CM-A1-{thumbprint[:16]}"
    png = Image.open(bench.folder / "labels" / f"{name}.png")
    pdf = pypdfium2.PdfDocument(bench.folder / "labels" / f"{name}.pdf")[0].render(scale=300 / 72).to_pil()
    for picture in (png, pdf):
        (code,) = zxingcpp.read_barcodes(picture)
        assert code.text == text_of("CM-A1", bytes.fromhex(thumbprint))
    refused = bench.refused("provision", "--port", cable.tool)
    assert "CM-A1 is a meter already" in refused
    board.cut_power()
    board.power_on()
    assert "CM-A1 is a meter already" in bench.refused("provision", "--port", cable.tool)
    assert io.StringIO(board.console()).read().count("Traceback") == 0
