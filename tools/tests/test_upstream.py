"""Where a board's sources come from, as far as it shows without fetching: hil_tests build what was fetched."""

from pathlib import Path

import pytest

from meter_tools import toolchain, upstream
from meter_tools.upstream import MBEDTLS, MICROPYTHON, SourceError


def micropython_tree(folder: Path, minor: int) -> Path:
    header = folder / MICROPYTHON.header
    header.parent.mkdir(parents=True)
    numbers = zip(MICROPYTHON.macros, (1, minor, 0), strict=True)
    header.write_text("".join(f"#define {macro} {number}\n" for macro, number in numbers))
    return folder


def test_the_folder_that_the_variable_names_wins_and_its_version_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = micropython_tree(tmp_path / "mine", 26)
    monkeypatch.setenv("MICROPYTHON_DIR", str(chosen))
    source = upstream.find(MICROPYTHON, tmp_path / "cache")
    assert source.folder == chosen
    assert str(source) == f"MicroPython 1.26.0 (pinned is {MICROPYTHON.version}) from MICROPYTHON_DIR"


def test_a_folder_that_is_no_source_is_refused_with_the_variable_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MBEDTLS_SOURCE", str(tmp_path))
    with pytest.raises(SourceError, match="no source of Mbed TLS: set MBEDTLS_SOURCE"):
        upstream.find(MBEDTLS, tmp_path / "cache")


def fetched(cache: Path, pinned: str) -> Path:
    folder = micropython_tree(cache / MICROPYTHON.package, 25)
    (folder / upstream.NOTE).write_text(f"{pinned}\nsomewhere\n")
    return folder


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, no git, no Debian."""
    monkeypatch.delenv("MICROPYTHON_DIR", raising=False)
    monkeypatch.setattr(upstream, "REACH_S", 0)
    monkeypatch.setattr(upstream, "OS_RELEASE", Path("does not exist"))


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path, nowhere: None) -> None:
    folder = fetched(tmp_path, MICROPYTHON.version)
    source = upstream.find(MICROPYTHON, tmp_path)
    assert (source.folder, str(source)) == (folder, "MicroPython 1.25.0 from somewhere")


def test_what_was_fetched_for_another_pin_is_no_longer_it(tmp_path: Path, nowhere: None) -> None:
    fetched(tmp_path, "1.24.1")
    with pytest.raises(SourceError, match=r"no source of MicroPython .* set MICROPYTHON_DIR"):
        upstream.find(MICROPYTHON, tmp_path)


def test_where_nothing_is_reached_one_line_says_what_to_do(tmp_path: Path, nowhere: None) -> None:
    with pytest.raises(SourceError) as refusal:
        upstream.find(MICROPYTHON, tmp_path / "cache")
    assert "\n" not in str(refusal.value)
    assert "set MICROPYTHON_DIR" in str(refusal.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_archive_is_that_of_the_release_itself() -> None:
    rows = [
        "bookworm-updates http://mirror/debian/",
        "bookworm http://mirror/debian/",
        "bookworm-security http://s/",
    ]
    assert upstream.archive_among(rows, "bookworm") == "http://mirror/debian/"
    assert upstream.archive_among(rows, "noble") is None


def test_a_missing_program_is_one_line_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain, "_as_root", lambda: None)
    with pytest.raises(
        toolchain.ToolchainError, match=r"^qemu-system-arm missing: sudo apt-get install qemu-system-arm$"
    ):
        toolchain.want(toolchain.EMULATOR, tmp_path / "log")
