"""boards/*/board.toml: every one holds, and every mistake is one line with file, key and remedy."""

from pathlib import Path

import pytest

from meter_gateway.validated_toml import ConfigError
from meter_tools.boards import description
from meter_tools.mpycross import PROJECT

GOOD = """
title = "A board"
title_zh = "一块板"
chip = "ESP32-S3"
port = "esp32"
base = "ESP32_GENERIC_S3"
flash = "esptool"
link = "mqtt"
provisioning = "usb"
status = "written"
evidence = "never run"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "boards" / "mine").mkdir(parents=True)
    (tmp_path / "boards" / "mine" / "board.toml").write_text(GOOD)
    return tmp_path


def test_every_board_of_the_project_describes_itself() -> None:
    boards = description.all_boards()
    assert {"emulated_stm32", "unix"} <= {board.name for board in boards}
    folders = {path.parent.name for path in PROJECT.glob("boards/*/main.py")}
    assert {board.name for board in boards} == folders


def test_a_complete_description_is_read(project: Path) -> None:
    board = description.find("mine", project)
    assert (board.name, board.description.chip, board.description.base) == ("mine", "ESP32-S3", "ESP32_GENERIC_S3")


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ('port = "esp32"', 'port = "esp8266"', "port: must be 'esp32', 'stm32', 'unix' or 'own'"),
        ('base = "ESP32_GENERIC_S3"\n', "", 'port "esp32" needs a base; add base'),
        ('port = "esp32"', 'port = "own"', 'port "own" has no base; remove base'),
        ('flash = "esptool"', 'flash = "dfu"', 'is not flashed by "dfu"; flash = "esptool"'),
        ('chip = "ESP32-S3"\n', "", 'chip: is missing; add chip = "ESP32-S3"'),
        ("evidence", "evidenc", "evidenc: is not a known key; did you mean evidence?"),
        ('title = "A board"', 'title = ""', "title: must not be empty"),
        ('title = "A board"', 'title = """A\nboard"""', "title: must match"),
        ('status = "written"', 'status = "works"', "status: must be 'ci', 'by_hand', 'built' or 'written'"),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_remedy(project: Path, wrong: str, right: str, told: str) -> None:
    file = project / "boards" / "mine" / "board.toml"
    assert wrong in GOOD
    file.write_text(GOOD.replace(wrong, right))
    with pytest.raises(ConfigError) as refusal:
        description.find("mine", project)
    assert str(refusal.value).startswith(str(file))
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_unknown_board_is_told_with_those_that_there_are(project: Path) -> None:
    with pytest.raises(ConfigError, match="no board yours; known: mine"):
        description.find("yours", project)
    with pytest.raises(ConfigError, match="run this in a checkout"):
        description.find("mine", project / "elsewhere")
