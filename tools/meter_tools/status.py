"""`python -m meter_tools.status`: writes docs/status.md, what was run of this project and what was not.

The words come from where the things are: a board's from its board.toml, all others' from docs/status.toml.
"""

import sys
from typing import Annotated

from pydantic import BeforeValidator, Field

from meter_gateway.validated_toml import ConfigError, Table, as_tuple, read
from meter_tools.boards import description
from meter_tools.boards.description import OneLine, Status
from meter_tools.mpycross import PROJECT

SOURCE = PROJECT / "docs" / "status.toml"
PAGE = PROJECT / "docs" / "status.md"

MEANING: dict[Status, tuple[str, str]] = {
    "ci": ("run in CI", "at every commit"),
    "by_hand": ("run by hand", "by us, on the versions named; not at every commit"),
    "built": ("built only", "it compiles and links; it never ran"),
    "written": ("written, never run", "the evidence names the command that would prove it"),
}


class Part(Table):
    name: OneLine
    status: Status
    evidence: OneLine


class Parts(Table):
    part: Annotated[tuple[Part, ...], BeforeValidator(as_tuple), Field(min_length=1)]


def page() -> str:
    lines = [
        "# What was run, and what was not",
        "",
        "Made by `python -m meter_tools.status` from `docs/status.toml` and `boards/*/board.toml`.",
        "",
        "| status | means |",
        "|---|---|",
        *(f"| {words} | {meaning} |" for words, meaning in MEANING.values()),
        "",
        "## Parts",
        "",
        *_table([(part.name, part.status, part.evidence) for part in read(SOURCE, Parts).part]),
        "",
        "## Boards",
        "",
        *_table(
            [
                (f"[`{board.name}`](../boards/{board.name}/README.md)", said.status, said.evidence)
                for board in description.all_boards()
                for said in [board.description]
            ]
        ),
    ]
    return "\n".join(lines) + "\n"


def _table(rows: list[tuple[str, Status, str]]) -> list[str]:
    return [
        "| | status | evidence |",
        "|---|---|---|",
        *(f"| {name} | {MEANING[status][0]} | {evidence} |" for name, status, evidence in rows),
    ]


def main() -> int:
    try:
        PAGE.write_text(page())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
