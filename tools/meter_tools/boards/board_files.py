"""The firmware as files, for a board that keeps its official MicroPython image: bytecode of what would be frozen.

`main.py` stays source, because MicroPython starts nothing else by itself; it is two lines.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from meter_tools.boards import frozen
from meter_tools.boards.description import Board
from meter_tools.boards.recipe import BuildError
from meter_tools.mpycross import HOST_ONLY, PROJECT, CompileError, compiled

MAIN = "main.py"


def sources(board: Board, project: Path = PROJECT) -> dict[str, Path]:
    """Every source by the name that its file has on the board."""
    found = {path.name: path for path in board.folder.glob("*.py") if path.name not in HOST_ONLY}
    found |= frozen.modules(project)
    return {name if name == MAIN else f"{name.removesuffix('.py')}.mpy": path for name, path in found.items()}


def write(board: Board, output: Path, done: Callable[[], None]) -> dict[str, int]:
    """Writes them below `output`, which is theirs alone; their sizes in bytes. `done` is called after each."""
    found = sources(board)
    shutil.rmtree(output, ignore_errors=True)

    def one(name: str) -> int:
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = found[name]
        target.write_bytes(source.read_bytes() if name == MAIN else compiled(source, f"{name[:-4]}.py"))
        done()
        return target.stat().st_size

    try:
        with ThreadPoolExecutor() as pool:
            return dict(zip(found, pool.map(one, found), strict=True))
    except CompileError as error:
        raise BuildError("board.not_compiled", words=error) from None
