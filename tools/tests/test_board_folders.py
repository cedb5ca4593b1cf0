"""Every board's folder explains itself, and nothing in it says a second thing of a pin."""

import ast
import csv
import re
from pathlib import Path

import pytest

from meter_gateway.validated_toml import ConfigError
from meter_tools import wiring
from meter_tools.boards import description
from meter_tools.mpycross import PROJECT

BOARDS = sorted(path.parent for path in (PROJECT / "boards").glob("*/main.py"))
IDS = [board.name for board in BOARDS]

OF_EVERY_BOARD = (
    "README.md",
    "board.py",
    "board.toml",
    "board_base.py",
    "main.py",
    "manifest.py",
    "wiring.svg",
    "wiring.toml",
)
OF_PORT = {
    "esp32": ("mpconfigboard.h", "mpconfigboard.cmake", "sdkconfig.board", "partitions.csv", "pins.py"),
    "stm32": ("mpconfigboard.h", "mpconfigboard.mk", "stm32f4xx_hal_conf.h", "pins.csv", "{name}.ld"),
    "own": ("port/Makefile",),
    "unix": (),
}
TWO_LINES = "from meter_loader import start\n\nstart()\n"


def port_of(board: Path) -> str:
    return description.find(board.name).description.port


def test_there_are_boards_of_every_port() -> None:
    assert {port_of(board) for board in BOARDS} == set(OF_PORT)


@pytest.mark.parametrize("board", BOARDS, ids=IDS)
def test_a_folder_is_complete(board: Path) -> None:
    wanted = [*OF_EVERY_BOARD, *(name.format(name=board.name) for name in OF_PORT[port_of(board)])]
    assert [name for name in wanted if not (board / name).is_file()] == []
    assert (board / "main.py").read_text() == TWO_LINES


@pytest.mark.parametrize("board", BOARDS, ids=IDS)
def test_a_readme_has_what_a_newcomer_looks_for(board: Path) -> None:
    readme = (board / "README.md").read_text(encoding="utf-8")
    assert readme.startswith(f"# `{board.name}`: ")
    assert "](wiring.svg)" in readme
    headings = re.findall(r"^## (.*)$", readme, re.MULTILINE)
    for words in ("iring", "uild|tart"):
        assert any(re.search(words, heading) for heading in headings), words
    assert "\nStatus: " in readme
    parts = readme.partition("| part | here |")[2].partition("\n\n")[0]
    for part in ("flash", "key", "link"):
        assert re.search(rf"^\| {part}", parts, re.MULTILINE), part


@pytest.mark.parametrize("board", BOARDS, ids=IDS)
def test_everything_of_a_board_is_frozen(board: Path) -> None:
    manifest = (board / "manifest.py").read_text()
    frozen = set(re.findall(r'^module\("(.*)"\)$', manifest, re.MULTILINE))
    assert frozen == {path.name for path in board.glob("*.py")} - {"manifest.py"}
    assert 'include("../../firmware/manifest.py")' in manifest


# Wiring


@pytest.mark.parametrize("board", BOARDS, ids=IDS)
def test_picture_and_table_are_those_of_today(board: Path) -> None:
    """If this fails: python -m meter_tools.wiring."""
    of_board = wiring.wiring_of(board)
    assert (board / "wiring.svg").read_text(encoding="utf-8") == wiring.picture(board.name, of_board)
    readme = (board / "README.md").read_text(encoding="utf-8")
    assert readme == wiring.with_table(readme, of_board)


@pytest.mark.parametrize("board", BOARDS, ids=IDS)
def test_no_pin_and_no_signal_is_wired_twice(board: Path) -> None:
    wires = [wire for _, wire in wiring.wiring_of(board).wires() if wire.signal]
    assert len({wire.pin for wire in wires}) == len({wire.signal for wire in wires}) == len(wires)


def pins_of(board: Path) -> dict[str, str]:
    """What the files that are built call a pin, by its name in them."""
    if port_of(board) == "stm32":
        with (board / "pins.csv").open() as file:
            return dict(csv.reader(file))
    if port_of(board) == "esp32":
        assignments = [
            node for node in ast.parse((board / "pins.py").read_text()).body if isinstance(node, ast.Assign)
        ]
        return {ast.unparse(node.targets[0]): f"GPIO{ast.literal_eval(node.value)}" for node in assignments}
    return {}


@pytest.mark.parametrize("board", BOARDS, ids=IDS)
def test_the_wiring_is_that_of_the_files_that_are_built(board: Path) -> None:
    wires = [wire for _, wire in wiring.wiring_of(board).wires()]
    assert {wire.signal: wire.pin for wire in wires if wire.signal} == pins_of(board)


@pytest.mark.parametrize(
    "board", [board for board in BOARDS if port_of(board) == "stm32"], ids=lambda board: board.name
)
def test_the_ports_own_peripherals_are_on_the_wired_pins(board: Path) -> None:
    wires = {wire.macro: wire.pin for _, wire in wiring.wiring_of(board).wires() if wire.macro}
    settings = (board / "mpconfigboard.h").read_text()
    macros = re.findall(
        r"^#define MICROPY_HW_((?:UART|SPI|I2C)\d_(?:TX|RX|SCK|MISO|MOSI|SCL|SDA)) +\(pin_(\w+)\)",
        settings,
        re.MULTILINE,
    )
    assert {name: f"P{pin}" for name, pin in macros} == wires


@pytest.mark.parametrize(
    "board", [board for board in BOARDS if port_of(board) in ("esp32", "stm32")], ids=lambda board: board.name
)
def test_a_board_uses_no_pin_that_is_not_wired(board: Path) -> None:
    known = set(pins_of(board))
    source = "".join((board / name).read_text() for name in ("board.py", "board_base.py"))
    used = set(re.findall(r"\bpins\.(\w+)", source)) | set(re.findall(r'"([A-Z][A-Z0-9_]+[A-Z0-9])"', source))
    assert used
    assert used <= known


def test_what_is_wrong_with_a_wiring_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "wiring.toml").write_text('processor = "X"\n[[part]]\nname = "Y"\ndetail = "Z"\nwire = []\n')
    with pytest.raises(ConfigError, match=r"wiring\.toml: part"):
        wiring.wiring_of(tmp_path)
    with pytest.raises(ValueError, match="no <!-- wiring"):
        wiring.with_table("# a README without a place for it", wiring.wiring_of(BOARDS[0]))


@pytest.mark.parametrize("key", ["processor", "name", "detail", "signal", "pin", "to"])
def test_text_that_would_run_over_its_box_is_refused(key: str, tmp_path: Path) -> None:
    words = {"processor": "P", "name": "N", "detail": "D", "signal": "S", "pin": "A1", "to": "T"}

    def load(length: int) -> None:
        told = {**words, key: "n" * length}
        wire = f'{{pin = "{told["pin"]}", signal = "{told["signal"]}", to = "{told["to"]}", way = "in"}}'
        (tmp_path / "wiring.toml").write_text(
            f'processor = "{told["processor"]}"\n[[part]]\nname = "{told["name"]}"\n'
            f'name_zh = "部分"\ndetail = "{told["detail"]}"\nwire = [{wire}]\n'
        )
        wiring.wiring_of(tmp_path)

    load(16)
    with pytest.raises(ConfigError, match=rf"{key}: .*\d+ characters"):
        load(47)


def test_text_in_a_picture_is_escaped() -> None:
    wires = ({"pin": "A&B", "to": "<C>", "way": "out"},)
    of_board = wiring.Wiring.model_validate(
        {"processor": "P", "part": ({"name": "N", "name_zh": "部分", "detail": "D", "wire": wires},)}
    )
    drawn = wiring.picture("board", of_board)
    assert "A&amp;B" in drawn
    assert "&lt;C&gt;" in drawn


# ESP32: flash and what is in it

FLASH_BYTES = {"esp32_s3": 16 << 20, "esp32_c3": 4 << 20}
SECTOR = 0x1000
APP_ALIGNMENT = 0x10000
TABLE_END = 0x9000
"""The partition table itself is at 0x8000, a sector long (ESP-IDF, Partition Tables)."""


@pytest.mark.parametrize("name", sorted(FLASH_BYTES))
def test_partitions_fit_the_flash(name: str) -> None:
    board = PROJECT / "boards" / name
    lines = [line for line in (board / "partitions.csv").read_text().splitlines() if not line.startswith("#")]
    rows = [[word.strip() for word in row] for row in csv.reader(lines)]
    end = TABLE_END
    for _, kind, _, offset, size in rows:
        start, length = int(offset, 16), int(size, 16)
        assert start >= end
        assert start % (APP_ALIGNMENT if kind == "app" else SECTOR) == 0
        assert length % (APP_ALIGNMENT if kind == "app" else SECTOR) == 0
        end = start + length
    assert end == FLASH_BYTES[name]
    by_name = {row[0]: row for row in rows}
    assert by_name["factory"][1:3] == ["app", "factory"]
    constants = {
        ast.unparse(node.targets[0]): node.value
        for node in ast.parse((board / "board_base.py").read_text()).body
        if isinstance(node, ast.Assign)
    }
    partition = by_name[ast.literal_eval(constants["PARTITION"])]
    assert partition[1] == "data"
    assert 0x40 <= int(partition[2], 16) <= 0xFE, "a subtype that ESP-IDF leaves to the application"
    needed = eval(ast.unparse(constants["JOURNAL_BYTES"]), {})
    if "IMAGE_BYTES" in constants:
        needed += 3 * eval(ast.unparse(constants["IMAGE_BYTES"]), {})
    # LittleFS, docs/device-maker.md: a twentieth more, and at least 16 blocks.
    assert needed + needed // 20 + 16 * 4096 <= int(partition[4], 16)


@pytest.mark.parametrize("name", sorted(FLASH_BYTES))
def test_the_image_is_built_for_that_flash(name: str) -> None:
    board = PROJECT / "boards" / name
    settings = (board / "sdkconfig.board").read_text().splitlines()
    assert f"CONFIG_ESPTOOLPY_FLASHSIZE_{FLASH_BYTES[name] >> 20}MB=y" in settings
    assert "CONFIG_PARTITION_TABLE_CUSTOM=y" in settings
    recipe = (board / "mpconfigboard.cmake").read_text()
    assert f"set(IDF_TARGET {name.replace('_', '')})" in recipe
    assert "${MICROPY_BOARD_DIR}/partitions.csv" in recipe
    assert "${MICROPY_BOARD_DIR}/sdkconfig.board" in recipe
