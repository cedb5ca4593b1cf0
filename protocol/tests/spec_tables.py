"""The tables of SPEC.md: each that is announced by `<!-- table: name -->`, as rows of cells."""

import re
from pathlib import Path

SPEC = (Path(__file__).parents[1] / "SPEC.md").read_text()

Rows = list[list[str]]


def tables() -> dict[str, Rows]:
    """By name; without the heading row."""
    found = re.findall(r"^<!-- table: (.+) -->\n\n((?:\|.*\|\n)+)", SPEC, flags=re.MULTILINE)
    return {name: cells(text)[2:] for name, text in found}


def section(number: str) -> str:
    """The text of one numbered section, subsections included."""
    found = re.search(rf"^(#+) {re.escape(number)}\.? .*?(?=^\1 |\Z)", SPEC, flags=re.MULTILINE | re.DOTALL)
    assert found, f"SPEC has no section {number}"
    return found[0]


def first_table(text: str) -> Rows:
    found = re.search(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    assert found
    return cells(found[0])[2:]


def cells(text: str) -> Rows:
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines()]
