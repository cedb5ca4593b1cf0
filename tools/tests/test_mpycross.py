"""What a board cannot run must stop the build, and be named."""

from pathlib import Path

import pytest

from meter_tools import mpycross


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project: one file of the protocol, one of a board, and a manifest that only the host reads."""
    for name, source in {
        "protocol/meter_protocol/cbor.py": "def dumps(value):\n    return bytes([value])\n",
        "boards/unix/main.py": "print('ready')\n",
        "boards/unix/manifest.py": "match 1:\n    case 1:\n        pass\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return tmp_path


def test_sizes_are_summed_by_folder(project: Path) -> None:
    sizes, refusals = mpycross.compile_all(project)
    assert not refusals
    assert set(sizes) == {"protocol/meter_protocol", "boards/unix"}
    assert min(sizes.values()) > 0
    (project / "boards/unix/board.py").write_text("CHANNELS = (1, 2, 3)\n")
    widened, _ = mpycross.compile_all(project)
    assert widened["boards/unix"] > sizes["boards/unix"]
    assert widened["protocol/meter_protocol"] == sizes["protocol/meter_protocol"]


def test_size_does_not_depend_on_where_the_project_lies(project: Path, tmp_path: Path) -> None:
    moved = tmp_path / "another" / "much" / "longer" / "way"
    moved.mkdir(parents=True)
    for folder in ("protocol", "boards"):
        (moved / folder).symlink_to(project / folder)
    assert mpycross.compile_all(moved)[0] == mpycross.compile_all(project)[0]


@pytest.mark.parametrize(
    "source",
    [
        "match 1:\n    case 1:\n        pass\n",
        "def f(a, /):\n    return a\n",
        "x = [*range(3), 4]\n",
        "x = {**{}}\n",
    ],
)
def test_syntax_that_micropython_lacks_is_refused_by_name(project: Path, source: str) -> None:
    (project / "boards/unix/main.py").write_text(source)
    sizes, refusals = mpycross.compile_all(project)
    assert [refusal.partition(":")[0] for refusal in refusals] == ["boards/unix/main.py"]
    assert "SyntaxError" in refusals[0]
    assert sizes["boards/unix"] == 0


def test_exit_code_tells(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mpycross, "PROJECT", project)
    assert mpycross.main() == 0
    (project / "boards/unix/main.py").write_text("def\n")
    assert mpycross.main() == 1
    assert "boards/unix/main.py" in capsys.readouterr().err


def test_compiler_and_interpreter_speak_one_bytecode_version(micropython: Path) -> None:
    assert mpycross.compiler_bytecode_version() == mpycross.interpreter_bytecode_version(micropython)


@pytest.mark.usefixtures("micropython")
def test_another_bytecode_version_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mpycross, "PROJECT", project)
    monkeypatch.setattr(mpycross, "interpreter_bytecode_version", lambda _: 5)
    assert mpycross.main() == 1
    assert "loads v5" in capsys.readouterr().err
