"""The main way: the shipping image on an emulated STM32, its console line a pseudo terminal, the real command."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from provisioning_bench import START_S, Bench, thumbprint_of

from meter_tools.boards import emulator
from meter_tools.demo.processes import Process

ELF = emulator.image_of("emulated_stm32")

pytestmark = pytest.mark.skipif(
    not ELF.exists() or shutil.which(emulator.QEMU) is None,
    reason="no image or no QEMU: python -m meter_tools.board_build emulated_stm32",
)


class EmulatedBoard:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        emulator.make_flash(folder)
        self.process: Process | None = None
        self.port = ""
        self._starts = 0
        (folder / "console.log").touch()

    def power_on(self) -> None:
        self._starts += 1
        said_before = len(self.console())
        log = self._folder / f"emulator{self._starts}.log"
        command = emulator.machine("emulated_stm32", ELF)
        command += ["-chardev", "pty,id=console,logfile=console.log,logappend=on", "-serial", "chardev:console"]
        self.process = Process("qemu", command, log, folder=self._folder)
        self.port = self.process.wait_for("redirected to ", 60).split("redirected to ")[1].split()[0]
        # What is asked before it listens is lost, and asked again only when the command's patience is over.
        deadline = time.monotonic() + START_S
        while "thumbprint" not in self.console()[said_before:]:
            assert time.monotonic() < deadline, self.console()
            time.sleep(0.02)

    def cut_power(self) -> None:
        if self.process is not None:
            self.process.kill()

    def console(self) -> str:
        return (self._folder / "console.log").read_text(errors="replace")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("maker"), ("emulated_stm32",), "native")


@pytest.fixture
def board(tmp_path: Path) -> Iterator[EmulatedBoard]:
    made = EmulatedBoard(tmp_path)
    made.power_on()
    yield made
    made.cut_power()


def test_a_new_board_becomes_a_meter_and_stays_one(bench: Bench, board: EmulatedBoard) -> None:
    assert "Would make this emulated_stm32" in bench.provision(board.port, "--dry-run")
    said = bench.provision(board.port, "--serial", "CM-E1")
    thumbprint = thumbprint_of(said)
    assert f"meter CM-E1 thumbprint {thumbprint}" in board.console()
    board.cut_power()
    board.power_on()
    assert f"CM-E1 is a meter already (thumbprint {thumbprint})" in bench.refused(
        "provision", "--port", board.port
    )
    assert "Traceback" not in board.console()


def test_a_meter_is_replaced(bench: Bench, board: EmulatedBoard) -> None:
    old = thumbprint_of(bench.provision(board.port, "--serial", "CM-E2"))
    time.sleep(2)
    said = bench.provision(board.port, "--replace")
    new = thumbprint_of(said)
    assert new != old
    assert f"meter CM-E2 thumbprint {new}" in board.console()
    (journal,) = (bench.folder / "journals").glob("CM-E2-*.cbor")
    shown = bench.command("verify", journal, "--thumbprint", old)
    assert shown.exit_code == 0, shown.output
