"""How a board is wired, from its README: the tables before its first section, and those in sections on wiring."""

from collections.abc import Iterator
from pathlib import Path


def wiring(path: Path) -> list[list[list[str]]]:
    """Each table as rows of cells, the head first; none where there is no README."""
    if not path.is_file():
        return []
    return list(_tables(path.read_text("utf-8").splitlines()))


def _tables(lines: list[str]) -> Iterator[list[list[str]]]:
    wanted, rows = True, []
    for line in [*lines, ""]:
        if line.startswith("## "):
            wanted = "wiring" in line.lower()
        if wanted and line.startswith("|"):
            rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
        elif rows:
            yield [row for row in rows if not all(set(cell) <= set("-: ") for cell in row)]
            rows = []
