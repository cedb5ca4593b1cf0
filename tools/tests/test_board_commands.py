"""`carbonmeter board`: what the commands show, in both languages, and what they refuse."""

import re
import shutil
from pathlib import Path

import pytest

from meter_tools import board_build, toolchain, upstream, wiring
from meter_tools.boards import description, frozen, readme, recipe
from meter_tools.boards.new import MAKER
from meter_tools.boards.recipe import BuildError
from meter_tools.mpycross import PROJECT

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def test_the_list_has_every_board_with_its_status_in_both_languages(carbonmeter) -> None:
    english, chinese = carbonmeter("board", "list"), carbonmeter("--lang", "zh", "board", "list")
    for board in description.all_boards():
        assert board.name in english.stdout
        assert board.description.title in english.stdout
        assert board.description.title_zh in chinese.stdout
    assert "run in CI" in english.stdout
    assert "CI 中运行" in chinese.stdout
    assert not CHINESE.search(english.stdout)


def test_a_board_is_shown_with_the_wiring_of_its_readme(carbonmeter) -> None:
    done = carbonmeter("board", "show", "emulated_stm32")
    assert done.exit_code == 0, done.output
    assert "Chip: STM32F405" in done.stdout
    assert f"MicroPython {upstream.MICROPYTHON.version}" in done.stdout
    assert re.search(r"bus modbus0 +USART3, Modbus RTU, 9600 8N1", done.stdout)
    assert "watchdog" in done.stdout
    assert re.search(r"USART2 +Gateway: frames of SPEC §9", done.stdout)


@pytest.mark.parametrize("name", description.names())
def test_a_board_is_shown_in_chinese_as_far_as_its_readme_goes(carbonmeter, name: str) -> None:
    said = carbonmeter("--lang", "zh", "board", "show", name).stdout
    board = description.find(name)
    assert f"芯片：{board.description.chip}" in said
    for label, *_ in readme.facts(board.readme):
        assert not re.search(rf"^ {label} ", said, re.MULTILINE), label
    for part, wire in wiring.wiring_of(board.folder).wires():
        assert CHINESE.search(part.name_zh)
        assert wire.to_zh is None or CHINESE.search(wire.to_zh)
        assert f"{part.name_zh}：{wire.to_zh or wire.to}" in said


def test_a_board_without_readme_and_wiring_is_shown(board_of, carbonmeter) -> None:
    board_of(**STM32)
    done = carbonmeter("board", "show", "wall")
    assert done.exit_code == 0, done.output
    assert "Chip: STM32F4" in done.stdout


def test_an_unknown_board_is_one_line_for_every_command(carbonmeter) -> None:
    for words in (["show"], ["build"], ["flash"], ["run"], ["new", "mine", "--from"]):
        done = carbonmeter("board", *words, "none")
        assert done.exit_code == 2
        (line,) = done.stderr.splitlines()
        assert "no board none; known: emulated_stm32" in line


def test_the_emulated_board_is_not_flashed_and_says_what_starts_it(carbonmeter, refused) -> None:
    line = refused(carbonmeter("board", "flash", "emulated_stm32"), "board.emulated_is_not_flashed")
    assert line.endswith("carbonmeter board run emulated_stm32")
    assert "boards/unix/README.md" in carbonmeter("board", "flash", "unix").stderr
    refused(carbonmeter("board", "run", "unix"), "board.not_emulated")
    chinese = carbonmeter("--lang", "zh", "board", "flash", "emulated_stm32")
    assert "没有可写入的芯片" in chinese.stderr


def test_a_dry_build_shows_sources_and_commands_and_makes_nothing(
    carbonmeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MICROPYTHON_DIR", raising=False)
    monkeypatch.setattr(board_build, "OUTPUT", tmp_path / "build")
    monkeypatch.setattr(board_build, "SOURCES", tmp_path / "sources")
    done = carbonmeter("board", "build", "emulated_stm32", "--dry-run")
    assert done.exit_code == 0, done.output
    assert f"git ({upstream.MICROPYTHON.repository}, {upstream.MICROPYTHON.tag}), else Debian" in done.stdout
    assert re.search(rf"&& .*make -j\d+ MICROPYTHON_DIR={tmp_path}/sources/micropython", done.stdout)
    assert list(tmp_path.iterdir()) == []
    files = carbonmeter("board", "build", "emulated_stm32", "--files", "--dry-run")
    assert f"would compile the firmware with mpy-cross into {tmp_path}/build/emulated_stm32/files" in files.stdout


def micropython(folder: Path, *parts: str) -> Path:
    header = folder / upstream.MICROPYTHON.header
    header.parent.mkdir(parents=True)
    numbers = zip(upstream.MICROPYTHON.macros, upstream.MICROPYTHON.version.split("."), strict=True)
    header.write_text("".join(f"#define {macro} {number}\n" for macro, number in numbers))
    for part in parts:
        (folder / part).mkdir(parents=True)
        (folder / part / "something").touch()
    return folder


ESP32 = {"chip": "ESP32-S3", "port": "esp32", "base": "ESP32_GENERIC_S3", "flash": "esptool"}
STM32 = {"chip": "STM32F429ZI", "port": "stm32", "base": "NUCLEO_F429ZI", "flash": "dfu"}


@pytest.mark.parametrize("told", [ESP32, STM32])
def test_a_source_without_submodules_is_refused_with_the_remedy(
    board_of, carbonmeter, refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: dict[str, str]
) -> None:
    board_of(**told)
    monkeypatch.setenv("MICROPYTHON_DIR", str(micropython(tmp_path / "source")))
    line = refused(carbonmeter("board", "build", "wall", "--dry-run"), "board.no_submodules")
    assert f"git clone --branch {upstream.MICROPYTHON.tag}" in line
    assert "set MICROPYTHON_DIR" in line


def test_the_ports_of_micropython_are_given_the_boards_folder(
    board_of, carbonmeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board_of(**ESP32)
    whole = micropython(tmp_path / "source", *recipe.SUBMODULE.values())
    monkeypatch.setenv("MICROPYTHON_DIR", str(whole))
    (command,) = carbonmeter("board", "build", "wall", "--dry-run").stdout.splitlines()[1:]
    assert f"cd {whole}/ports/esp32" in command
    assert f"BOARD_DIR={tmp_path}/boards/wall" in command
    assert "USER_C_MODULES=" in command
    assert command.partition("USER_C_MODULES=")[2].split()[0].endswith("firmware/native/micropython.cmake")
    (whole / ".git").mkdir()
    commands = carbonmeter("board", "build", "wall", "--dry-run").stdout.splitlines()[1:]
    assert "submodules" in commands[0]
    assert len(commands) == 2


def test_esp_idf_that_is_missing_is_told_with_the_remedy(
    board_of, carbonmeter, refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board_of(**ESP32)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("IDF_PATH", raising=False)
    assert recipe.IDF_PAGE in refused(carbonmeter("board", "build", "wall"), "board.no_idf")
    (tmp_path / "idf").mkdir()
    (tmp_path / "idf" / "export.sh").touch()
    monkeypatch.setenv("IDF_PATH", str(tmp_path / "idf"))
    line = refused(carbonmeter("board", "build", "wall"), "board.idf_not_exported")
    assert f". {tmp_path}/idf/export.sh" in line


def test_a_compiler_that_is_missing_is_told_with_the_packages(
    board_of, carbonmeter, refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board_of(**STM32)
    monkeypatch.setenv("MICROPYTHON_DIR", str(micropython(tmp_path / "source", *recipe.SUBMODULE.values())))
    mbedtls = tmp_path / "mbedtls" / upstream.MBEDTLS.header
    mbedtls.parent.mkdir(parents=True)
    mbedtls.write_text("")
    monkeypatch.setenv("MBEDTLS_SOURCE", str(tmp_path / "mbedtls"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(toolchain, "_as_root", lambda: None)
    line = refused(carbonmeter("board", "build", "wall"), "board.missing")
    assert "arm-none-eabi-gcc" in line
    assert "sudo apt-get install gcc-arm-none-eabi" in line


def test_what_the_compiler_says_is_one_line_and_the_log(board_of, tmp_path: Path) -> None:
    failing = recipe.Command(("sh", "-c", "echo 'x.c:1: error: no such thing'; exit 2"), tmp_path)
    steps = recipe.Recipe({}, "sh", (failing,), tmp_path / "firmware.elf")
    with pytest.raises(BuildError) as refusal:
        board_build._run(steps, tmp_path / "log", lambda: None)
    assert str(refusal.value) == f"the image was not built (x.c:1: error: no such thing): see {tmp_path}/log"


def test_files_for_an_official_image_are_what_an_image_would_have_frozen(
    carbonmeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_build, "OUTPUT", tmp_path)
    done = carbonmeter("board", "build", "emulated_stm32", "--files")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "emulated_stm32" / "files"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        "main.py",
        "board.mpy",
        "board_base.mpy",
        "meter_loader/__init__.mpy",
        "meter_firmware/app.mpy",
    } <= names
    assert not [name for name in names if name.endswith(".py") and name != "main.py"]
    assert "manifest.mpy" not in names
    own = {path.name for path in (PROJECT / "boards" / "emulated_stm32").glob("*.py")} - {"manifest.py", "main.py"}
    modules = own | set(frozen.modules(PROJECT))
    assert names == {"main.py"} | {f"{name.removesuffix('.py')}.mpy" for name in modules}


def test_a_new_board_by_command(carbonmeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PROJECT / "boards" / "unix", tmp_path / "boards" / "unix")
    (tmp_path / MAKER).parent.mkdir(parents=True)
    shutil.copy(PROJECT / MAKER, tmp_path / MAKER)
    copied = description.find("unix", tmp_path)
    monkeypatch.setattr(description, "find", lambda name: copied)
    would = carbonmeter("board", "new", "mine", "--from", "unix", "--dry-run")
    assert would.stdout.startswith(f"Would make {tmp_path}/boards/mine with README.md, board.py, board.toml, ")
    assert not (tmp_path / "boards" / "mine").exists()
    done = carbonmeter("board", "new", "mine", "--from", "unix")
    assert done.exit_code == 0, done.output
    assert f"Made {tmp_path}/boards/mine." in done.stdout
    assert (tmp_path / "boards" / "mine" / "board.toml").is_file()
