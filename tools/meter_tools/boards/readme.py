"""What a board is, from its README: the table before the first section."""

from pathlib import Path


def facts(path: Path) -> list[list[str]]:
    """Rows of cells, the head first; none where there is no README."""
    if not path.is_file():
        return []
    introduction = path.read_text("utf-8").partition("\n## ")[0]
    lines = [line for line in introduction.splitlines() if line.startswith("|")]
    rows = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if not all(set(cell) <= set("-: ") for cell in row)]
