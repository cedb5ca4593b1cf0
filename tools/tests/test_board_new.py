"""A new board of another: names, identifiers and status are its own, and the board holds what its origin held."""

import ast
import re
import shutil
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from meter_gateway import image as images
from meter_tools.boards import description, new
from meter_tools.checks import board_type_stages
from meter_tools.mpycross import PROJECT, compile_all


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "boards", tmp_path / "boards")
    return tmp_path


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
    folder = new.make("hall_seven", old, "meters.example.org")
    made = description.find("hall_seven", project)
    assert {path.name for path in folder.iterdir()} == {
        path.name.replace(origin, "hall_seven") for path in old.folder.iterdir() if path.name != "__pycache__"
    }
    code = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    assert not re.search(rf"\b{origin}\b", code)
    assert re.search(r'model\b.*= "hall_seven"', code)
    vendor = images.vendor_id("meters.example.org")
    identifiers = constants(folder / "board_base.py")
    assert UUID(hex=identifiers["VENDOR_IDENTIFIER"]) == vendor
    assert UUID(hex=identifiers["CLASS_IDENTIFIER"]) == images.class_id(vendor, "hall_seven")
    assert "maker's domain, meters.example.org." in (folder / "board_base.py").read_text()
    assert (made.description.status, made.description.chip) == ("written", old.description.chip)
    assert made.description.evidence == f"new, made of {origin}: never built, never run"


def test_without_a_domain_the_maker_stays_and_the_class_is_new(project: Path) -> None:
    old = description.find("emulated_stm32", project)
    folder = new.make("mine", old, None)
    before, after = constants(old.folder / "board_base.py"), constants(folder / "board_base.py")
    assert after["VENDOR_IDENTIFIER"] == before["VENDOR_IDENTIFIER"]
    assert after["CLASS_IDENTIFIER"] != before["CLASS_IDENTIFIER"]
    assert "class Mine:" in (folder / "board.py").read_text()


def test_a_new_board_compiles_and_passes_the_type_check_of_boards(project: Path, tmp_path: Path) -> None:
    new.make("mine", description.find("emulated_stm32", project), None)
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
        new.make(name, description.find("emulated_stm32", project), None)
    assert refusal.value.key == key
    assert sorted(project.rglob("*")) == before


def test_an_origin_without_identifiers_is_refused_and_nothing_made(project: Path) -> None:
    base = project / "boards" / "emulated_stm32" / "board_base.py"
    base.write_text(base.read_text().replace("CLASS_IDENTIFIER", "OTHER"))
    with pytest.raises(new.NewBoardError, match=r"board_base\.py"):
        new.make("mine", description.find("emulated_stm32", project), None)
    assert not (project / "boards" / "mine").exists()
    assert not list((project / "boards").glob(".new-*"))
