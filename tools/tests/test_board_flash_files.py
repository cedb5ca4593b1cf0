"""Files for an official image, copied by the real mpremote onto the real MicroPython behind a pseudo-terminal."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meter_tools.boards import mpremote_writer
from meter_tools.boards.mpremote_writer import is_chip
from meter_tools.boards.repl_stand_in import MicroPythonBehindPty
from meter_tools.mpycross import compiled, interpreter

NUCLEO = "NUCLEO-F429ZI with STM32F429xx"
MODULES = ("board", "meter_firmware/app", "meter_firmware/links/mqtt", "meter_protocol/cbor")
KEPT = ("journal/0001.seg", "memory/key", "meter.txt")


@pytest.fixture
def files(board_of: Callable[..., Path], tmp_path: Path) -> Path:
    """A few files in place of a whole firmware."""
    folder = board_of(chip="STM32F429ZI", port="stm32", base="NUCLEO_F429ZI", flash="dfu") / "files"
    for name in MODULES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        source = tmp_path / "source.py"
        source.write_text(f"NAME = {name!r}\n" + "".join(f"def f{n}():\n return {n}\n" for n in range(40)))
        (folder / f"{name}.mpy").write_bytes(compiled(source, f"{name}.py"))
    (folder / "main.py").write_text("import board\n")
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The board's: an older firmware, and what it keeps."""
    old = ("main.py", "board.py", "meter_firmware/gone.mpy", "meter_firmware/app.py")
    for name in (*old, *KEPT):
        path = tmp_path / "disk" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"old {name}")
    return tmp_path / "disk"


@pytest.fixture
def board(disk: Path) -> Iterator[Callable[..., MicroPythonBehindPty]]:
    program = interpreter()
    if program is None:
        pytest.skip("micropython is missing")
    made = []

    def make(machine: str = NUCLEO, pull_after: int | None = None) -> MicroPythonBehindPty:
        made.append(MicroPythonBehindPty(program.resolve(), disk, machine, pull_after))
        return made[-1]

    yield make
    for one in made:
        one.close()


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_files_are_there_afterwards_the_old_ones_gone_and_the_rest_untouched(
    files: Path, disk: Path, board, carbonmeter
) -> None:
    port = board().port
    done = carbonmeter("board", "flash", "wall", "--files", "--port", port)
    assert done.exit_code == 0, done.output
    kept = {name: f"old {name}".encode() for name in KEPT}
    assert content(disk) == {**content(files), **kept}
    again = carbonmeter("board", "flash", "wall", "--files", "--port", port)
    assert again.exit_code == 0, again.output
    assert content(disk) == {**content(files), **kept}


def test_another_board_is_refused_before_anything_is_changed(
    files: Path, disk: Path, board, carbonmeter, refused
) -> None:
    before = content(disk)
    other = board("NUCLEO-F746ZG with STM32F746")
    line = refused(carbonmeter("board", "flash", "wall", "--files", "--port", other.port), "board.wrong_chip")
    assert "this says NUCLEO-F746ZG with STM32F746" in line
    assert content(disk) == before


def test_a_cable_pulled_while_files_are_copied_leaves_a_board_that_starts_nothing(
    files: Path, disk: Path, board, carbonmeter, refused
) -> None:
    pulled = board(pull_after=9000)
    done = carbonmeter("board", "flash", "wall", "--files", "--port", pulled.port)
    refused(done, "board.half_written", code=1)
    assert not (disk / "main.py").exists()
    assert {name: (disk / name).read_text() for name in KEPT} == {name: f"old {name}" for name in KEPT}


def test_a_port_without_a_board_is_told_with_the_remedy(files: Path, carbonmeter, refused) -> None:
    controller, device = os.openpty()
    line = refused(
        carbonmeter("board", "flash", "wall", "--files", "--port", os.ttyname(device)), "board.no_answer_repl"
    )
    assert "put its official image on the board first" in line
    os.close(controller)
    os.close(device)


def test_a_dry_run_shows_each_copy_and_main_last(files: Path, carbonmeter) -> None:
    done = carbonmeter("board", "flash", "wall", "--files", "--port", "/dev/ttyACM0", "--dry-run")
    assert done.exit_code == 0
    assert done.stdout.rstrip().endswith("connect /dev/ttyACM0 cp main.py :main.py + reset")
    assert "cp meter_firmware/links/mqtt.mpy :meter_firmware/links/" in done.stdout


@pytest.mark.parametrize(
    ("chip", "machine", "fits"),
    [
        ("STM32F429ZI", "NUCLEO-F429ZI with STM32F429xx", True),
        ("STM32F405RG", "PYBv1.1 with STM32F405RG", True),
        ("STM32F429ZI", "PYBv1.1 with STM32F405RG", False),
        ("STM32F405RG", "linux [GCC 12.2.0] version", False),
        ("ESP32-S3", "Generic ESP32S3 module with ESP32S3", True),
        ("ESP32-S3", "Generic ESP32C3 module with ESP32C3", False),
        ("STM32F429ZI", "", False),
    ],
)
def test_a_chip_is_found_in_what_the_machine_says(chip: str, machine: str, fits: bool) -> None:
    assert is_chip(chip, machine) == fits


def test_a_file_that_reads_back_otherwise_is_told_and_main_does_not_come_back(
    files: Path, disk: Path, board, carbonmeter, refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flash is bad: the board's own hash of one file is another."""
    monkeypatch.setattr(
        mpremote_writer, "HASH", mpremote_writer.HASH.replace("file.read(512)", "file.read(512)[1:]")
    )
    done = carbonmeter("board", "flash", "wall", "--files", "--port", board().port)
    assert "board.mpy reads back otherwise" in refused(done, "board.half_written", code=1)
    assert not (disk / "main.py").exists()
