"""ESP32 boards, written by the real esptool; the chip is a stand-in (meter_tools.boards.esp_stand_in)."""

import os
import random
import struct
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meter_tools.boards import description, partitions, program
from meter_tools.boards import flash as flashing
from meter_tools.boards.esp_stand_in import ERASE_FLASH, EspStandIn

BOOTLOADER = b"\xe9" + bytes(range(251)) * 40
APP = b"\xe9" + random.Random(1).randbytes(100_000)
"""Incompressible, as esptool deflates what it sends."""

VFS = (0x200000, 0x600000)


def entry(kind: int, subtype: int, offset: int, size: int, name: str) -> bytes:
    return partitions.MAGIC + struct.pack("<BBII16sI", kind, subtype, offset, size, name.encode(), 0)


def table(vfs: tuple[int, int] = VFS) -> bytes:
    """As MicroPython's boards with 8 MiB have it (ports/esp32/partitions-8MiB.csv)."""
    rows = [
        entry(1, 2, 0x9000, 0x6000, "nvs"),
        entry(1, 1, 0xF000, 0x1000, "phy_init"),
        entry(0, 0, 0x10000, 0x1F0000, "factory"),
        entry(1, 0x81, *vfs, "vfs"),
    ]
    return b"".join(rows).ljust(partitions.LENGTH, b"\xff")


@pytest.fixture
def image(board_of: Callable[..., Path]) -> Path:
    """What ESP-IDF leaves of the board `wall`, an ESP32-S3."""
    output = board_of(chip="ESP32-S3", port="esp32", base="ESP32_GENERIC_S3", flash="esptool")
    for name, content in (
        ("bootloader/bootloader.bin", BOOTLOADER),
        ("partition_table/partition-table.bin", table()),
        ("micropython.bin", APP),
    ):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(content)
    (output / "flash_args").write_text(
        "--flash_mode dio --flash_freq 80m --flash_size 8MB\n0x0 bootloader/bootloader.bin\n"
        "0x10000 micropython.bin\n0x8000 partition_table/partition-table.bin\n"
    )
    return output


@pytest.fixture
def chip() -> Iterator[Callable[..., EspStandIn]]:
    made = []

    def make(*arguments: object, **options: object) -> EspStandIn:
        made.append(EspStandIn(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_image_is_written_and_what_the_board_keeps_stays(image: Path, carbonmeter, refused, chip) -> None:
    board = chip()
    board.flash[0x8000 : 0x8000 + partitions.LENGTH] = table()
    journal = bytes(range(256)) * 16
    board.flash[VFS[0] : VFS[0] + len(journal)] = journal
    board.flash[0x9000:0x9010] = b"calibrated radio"
    done = carbonmeter("board", "flash", "wall", "--port", board.port)
    assert done.exit_code == 0, done.output
    assert board.flash[0x10000 : 0x10000 + len(APP)] == APP
    assert board.flash[0x8000 : 0x8000 + partitions.LENGTH] == table()
    # esptool puts the flash's mode and size into the boot loader's header, bytes 2 and 3.
    assert board.flash[4 : len(BOOTLOADER)] == BOOTLOADER[4:]
    assert board.flash[VFS[0] : VFS[0] + len(journal)] == journal
    assert board.flash[0x9000:0x9010] == b"calibrated radio"
    assert ERASE_FLASH not in board.commands
    assert "its key, journal and parameters stayed" in done.stdout


@pytest.mark.parametrize("found", ["ESP32-C3"])
def test_another_chip_is_refused_before_anything_is_written(
    image: Path, carbonmeter, refused, chip, found: str
) -> None:
    board = chip(found)
    line = refused(carbonmeter("board", "flash", "wall", "--port", board.port), "board.wrong_chip")
    assert f"wall has a ESP32-S3, this says {found}" in line
    assert not board.was_written


def test_a_board_that_keeps_its_data_elsewhere_is_refused_unless_that_is_wanted(
    image: Path, carbonmeter, refused, chip
) -> None:
    board = chip()
    board.flash[0x8000 : 0x8000 + partitions.LENGTH] = table((0x300000, 0x500000))
    line = refused(carbonmeter("board", "flash", "wall", "--port", board.port), "board.would_lose")
    assert "vfs 0x300000+0x500000" in line
    assert not board.was_written
    assert carbonmeter("board", "flash", "wall", "--port", board.port, "--discard").exit_code == 0
    assert board.flash[0x10000 : 0x10000 + len(APP)] == APP


def test_an_image_that_reaches_into_the_data_is_refused(image: Path, carbonmeter, refused, chip) -> None:
    (image / "flash_args").write_text(
        "--flash_mode dio\n0x8000 partition_table/partition-table.bin\n0x1ffff0 micropython.bin\n"
    )
    board = chip()
    refused(carbonmeter("board", "flash", "wall", "--port", board.port), "board.would_lose")
    assert not board.was_written


def test_a_cable_pulled_in_the_middle_is_told_with_exit_code_1(image: Path, carbonmeter, refused, chip) -> None:
    board = chip(pull_after=3)
    line = refused(carbonmeter("board", "flash", "wall", "--port", board.port), "board.half_written", code=1)
    assert "flash it again" in line
    assert board.was_written


def test_a_board_that_does_not_answer_is_told_with_the_remedy(image: Path, carbonmeter, refused) -> None:
    controller, device = os.openpty()
    tty.setraw(device)
    line = refused(carbonmeter("board", "flash", "wall", "--port", os.ttyname(device)), "board.no_answer_esp32")
    assert "hold BOOT" in line
    os.close(controller)
    os.close(device)


def test_what_is_missing_is_told_before_any_port_is_looked_for(
    image: Path, carbonmeter, refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image / "micropython.bin").unlink()
    assert "carbonmeter board build wall" in refused(carbonmeter("board", "flash", "wall"), "board.no_image")
    (image / "micropython.bin").write_bytes(APP)
    monkeypatch.setattr(program.sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    assert "pip install 'carbonmeter[flash]'" in refused(
        carbonmeter("board", "flash", "wall"), "board.no_flash_program"
    )


def test_a_dry_run_shows_the_commands_and_runs_none(image: Path, carbonmeter, refused, chip) -> None:
    board = chip()
    done = carbonmeter("board", "flash", "wall", "--port", board.port, "--dry-run")
    assert done.exit_code == 0
    ask, write = done.stdout.splitlines()
    assert "read-flash 0x8000 0xc00" in ask
    assert f"--chip esp32s3 --port {board.port} --baud 460800 write-flash --flash-mode dio" in write
    assert "erase" not in write
    assert board.commands == []


def test_progress_is_told_in_bytes_of_all_that_is_written(image: Path, carbonmeter, refused, chip) -> None:
    board = chip()
    told: list[tuple[int, int]] = []
    writer = flashing.writer_for(description.find("wall"), files=False)
    writer.write(board.port, lambda done, of: told.append((done, of)))
    total = len(BOOTLOADER) + partitions.LENGTH + len(APP)
    assert told[-1] == (total, total)
    assert told == sorted(told)
    assert len({done for done, _ in told}) > 3


def test_partitions_are_read_as_esp_idf_writes_them() -> None:
    found = {part.name: part for part in partitions.partitions(table())}
    assert list(found) == ["nvs", "phy_init", "factory", "vfs"]
    assert [name for name, part in found.items() if part.is_kept] == ["vfs"]
    assert (found["vfs"].offset, found["vfs"].size) == VFS
    assert list(partitions.partitions(b"\xff" * partitions.LENGTH)) == []
    assert list(partitions.partitions(partitions.MAGIC)) == []
