"""A new board of another: names, identifiers and status are its own, and the board holds what its origin held."""

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from meter_gateway import image as images
from meter_gateway.texts import Told
from meter_tools import wiring
from meter_tools.boards import description, new
from meter_tools.boards.description import Board
from meter_tools.checks import board_type_stages
from meter_tools.mpycross import PROJECT, compile_all


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "boards", tmp_path / "boards")
    (tmp_path / new.MAKER).parent.mkdir(parents=True)
    shutil.copy(PROJECT / new.MAKER, tmp_path / new.MAKER)
    return tmp_path


def make(name: str, origin: Board) -> Path:
    made = new.plan(name, origin)
    new.make(made)
    return made.folder


def constants(path: Path) -> dict[str, str]:
    """The bytes that a module's names are bound to by bytes.fromhex, in hexadecimal."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            found[ast.unparse(node.targets[0])] = ast.literal_eval(node.value.args[0])
    return found


@pytest.mark.parametrize("origin", description.names())
def test_every_board_can_be_the_origin_of_another(project: Path, origin: str) -> None:
    old = description.find(origin, project)
    folder = make("hall_seven", old)
    made = description.find("hall_seven", project)
    assert {path.name for path in folder.iterdir()} == {
        path.name.replace(origin, "hall_seven") for path in old.folder.iterdir() if path.name != "__pycache__"
    }
    code = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    assert not re.search(rf"\b{origin}\b", code)
    assert not re.search(rf'"{origin}"', code)
    before, after = constants(old.folder / "board_base.py"), constants(folder / "board_base.py")
    assert before.keys() == after.keys()
    vendor = images.vendor_id("carbonmeter.example")
    for name, class_id in after.items():
        wanted = vendor if name == "VENDOR_IDENTIFIER" else images.class_id(vendor, "hall_seven")
        assert UUID(hex=class_id) == wanted, name
    assert (made.description.status, made.description.chip) == ("written", old.description.chip)
    assert (folder / "wiring.svg").read_text() == wiring.picture("hall_seven", wiring.wiring_of(folder))
    assert (folder / "README.md").read_text().startswith("# `hall_seven`: ")
    assert made.description.evidence == f"new, made of {origin}: never built, never run"


def test_the_class_of_the_board_is_named_after_it_where_it_was(project: Path) -> None:
    folder = make("mine", description.find("emulated_stm32", project))
    assert "class Mine:" in (folder / "board.py").read_text()


def test_a_new_board_compiles_and_passes_the_type_check_of_boards(project: Path, tmp_path: Path) -> None:
    make("mine", description.find("emulated_stm32", project))
    sizes, refusals = compile_all(project)
    assert (refusals, sizes["boards/mine"] > 2000) == ([], True)
    (stage,) = [stage for stage in board_type_stages() if "emulated_stm32" in stage.title]
    ours = project / "boards" / "mine"
    swap = str(PROJECT / "boards" / "emulated_stm32"), str(ours)
    command = [str(word).replace(*swap) for word in stage.command]
    command[command.index("--cache-dir") + 1] = str(tmp_path / "cache")
    environment = {name: value.replace(*swap) for name, value in stage.environment.items()}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "key"), [("Mine", "board.bad_name"), ("../mine", "board.bad_name"), ("unix", "board.exists")]
)
def test_a_name_that_cannot_be_is_refused_and_nothing_made(project: Path, name: str, key: str) -> None:
    before = sorted(project.rglob("*"))
    with pytest.raises(new.NewBoardError) as refusal:
        make(name, description.find("emulated_stm32", project))
    assert refusal.value.key == key
    assert sorted(project.rglob("*")) == before


def test_a_project_without_a_maker_is_refused_and_nothing_made(project: Path) -> None:
    (project / new.MAKER).write_text("")
    with pytest.raises(new.NewBoardError, match=r"base_parts\.py has no VENDOR_IDENTIFIER"):
        make("mine", description.find("nucleo_f429zi", project))
    assert not (project / "boards" / "mine").exists()
    assert not list((project / "boards").glob(".new-*"))


@pytest.mark.parametrize("origin", description.names())
def test_what_would_be_made_is_what_is_made(project: Path, origin: str) -> None:
    before = sorted(project.rglob("*"))
    made = new.plan("hall_seven", description.find(origin, project))
    assert sorted(project.rglob("*")) == before
    new.make(made)
    there = {path.relative_to(made.folder): path for path in made.folder.rglob("*") if path.is_file()}
    assert {place: path.read_text() for place, path in there.items()} == made.files
    # What is built, and what is hidden, stays with the origin; modes are kept.
    (project / "boards" / origin / "build-here").mkdir()
    (project / "boards" / origin / "build-here" / "firmware.elf").write_bytes(b"\x7fELF\xff")
    (project / "boards" / origin / ".swp").write_bytes(b"\xff")
    (project / "boards" / origin / "main.py").chmod(0o755)
    again = new.plan("hall_eight", description.find(origin, project))
    assert len(again.files) == len(made.files)
    new.make(again)
    assert (again.folder / "main.py").stat().st_mode & 0o777 == 0o755


def test_a_folder_of_boards_that_may_not_be_written_is_told(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(Told, match=r"folder\.closed"):
        new.plan("mine", description.find("unix", project))


def test_a_picture_in_the_origin_is_told(project: Path) -> None:
    (project / "boards" / "unix" / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(new.NewBoardError, match=r"photo\.jpg is no text"):
        new.plan("mine", description.find("unix", project))
