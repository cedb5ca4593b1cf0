"""What a board freezes of the protocol is what its modules import: nothing is missing, nothing is of no use."""

import os
import subprocess
from pathlib import Path

from hil_tests.chips.filesystem import wanted
from meter_protocol import types as t
from meter_tools.boards import description, frozen
from meter_tools.boards.board_files import sources
from meter_tools.mpycross import HOST_ONLY, PROJECT

PROTOCOL = PROJECT / "protocol"


def test_of_the_protocol_all_that_any_board_imports_and_no_more() -> None:
    found = frozen.modules(PROJECT)
    boards = [path for path in (PROJECT / "boards").glob("*/*.py") if path.name not in HOST_ONLY]
    assert len(boards) > 3 * len(description.names())
    ours = [path for path in found.values() if not path.is_relative_to(PROTOCOL)]
    imported = {path.relative_to(root).as_posix() for path, root in wanted(*ours, *boards) if root == PROTOCOL}
    assert {name for name in found if name.startswith("meter_protocol/")} == imported
    assert "meter_protocol/first_contact_schema.py" in imported, "imported by a function"
    assert "meter_protocol/comparison_schema.py" not in imported


def test_of_everything_else_all_that_there_is() -> None:
    packages = ("meter_sampling", "meter_firmware", "meter_loader")
    there = {path for package in packages for path in (PROJECT / "firmware" / package).rglob("*.py")}
    assert there == {path for path in frozen.modules(PROJECT).values() if not path.is_relative_to(PROTOCOL)}


def test_a_board_knows_no_comparison_and_says_so(micropython: Path, tmp_path: Path) -> None:
    """Its flash may hold what a newer software left there."""
    for name, source in sources(description.find("unix")).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).with_suffix(".py").write_bytes(source.read_bytes())
    script = f"""
from meter_protocol import messages
from meter_protocol.errors import ProtocolError
try:
    messages.decode({t.COMPARISON!r}, bytes.fromhex("a10001"))
except ProtocolError as error:
    print(error.reason)
"""
    done = subprocess.run(
        [micropython, "-c", script],
        check=False,
        env=os.environ | {"MICROPYPATH": f"{tmp_path}:.frozen"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("unknown_type\n", "")
