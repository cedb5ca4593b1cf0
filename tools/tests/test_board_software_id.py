"""The software id that the tool computes is the one that the firmware finds in the flash, whatever the port."""

import hashlib
import struct
from pathlib import Path

from meter_firmware.software import software_id as named_by_the_board
from meter_gateway import image as images

ESP32 = {"chip": "ESP32-S3", "port": "esp32", "base": "ESP32_GENERIC_S3", "flash": "esptool"}
STM32 = {"chip": "STM32F405RG", "port": "stm32", "base": "PYBV11", "flash": "dfu"}
OWN = {"chip": "STM32F405", "port": "own", "flash": "none"}
UNIX = {"chip": "host", "port": "unix", "flash": "none"}

FLASH = 0x08000000
RAM = 0x20000000
TEXT, TABLE, VARIABLES = b"vectors and code", b"exidx", b"initial values"
FILES = {"app.mpy": b"another app" * 500, "meter_protocol/cose.mpy": b"cose", "board.mpy": b"board"}


def elf(*segments: tuple[int, int, int, bytes]) -> bytes:
    """ELF for 32 bits of (type, virtual and physical address, content): System V ABI, "Program Header"."""
    head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 40, 1, 0, 52, 0, 0, 52, 32, 0, 0, 0, 0)
    head = head[:44] + struct.pack("<H", len(segments)) + head[46:]
    table, contents = b"", b""
    for kind, virtual, physical, content in segments:
        offset = 52 + 32 * len(segments) + len(contents)
        table += struct.pack("<8I", kind, offset, virtual, physical, len(content), len(content) + 8, 5, 4)
        contents += content
    return head + table + contents


IMAGE = elf(
    (1, RAM, FLASH + 24, VARIABLES),
    (1, FLASH, FLASH, TEXT),
    (0x70000001, FLASH + 16, FLASH + 16, b"unwind"),
    (1, FLASH + 16, FLASH + 16, TABLE),
    (1, RAM + 64, RAM + 64, b""),
)
LAID_OUT = TEXT + TABLE + b"\xff" * 3 + VARIABLES


def shown(carbonmeter, *words: str | Path) -> list[str]:
    done = carbonmeter("board", "id", "wall", *words)
    assert done.exit_code == 0, done.output
    return str(done.stdout).splitlines()


def named(region: bytes, files: dict[str, bytes], folder: Path) -> str:
    found = []
    for name, content in files.items():
        path = folder / "slot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        found.append((name, str(path)))
    return f"Software id: {named_by_the_board(found, region).hex()}"


def test_what_the_linker_laid_into_the_flash_and_behind_it_nothing(board_of, carbonmeter, tmp_path: Path) -> None:
    output = board_of(**OWN)
    (output / "firmware.elf").write_bytes(IMAGE)
    assert shown(carbonmeter) == [named(LAID_OUT, {}, tmp_path)]


def test_an_update_s_files_come_before_the_region(board_of, carbonmeter, tmp_path: Path) -> None:
    output = board_of(**OWN)
    (output / "firmware.elf").write_bytes(IMAGE)
    update = tmp_path / "update.bin"
    update.write_bytes(images.build(FILES))
    assert shown(carbonmeter, "--update", update) == [named(LAID_OUT, FILES, tmp_path)]


def test_an_stm32_s_flash_is_erased_behind_the_image(board_of, carbonmeter, tmp_path: Path) -> None:
    output = board_of(**STM32)
    (output / "firmware.elf").write_bytes(IMAGE)
    script = tmp_path / "boards" / "wall" / "wall.ld"
    script.write_text("MEMORY\n{\n    FLASH (rx)    : ORIGIN = 0x08000000, LENGTH = 512K /* sectors 0-7 */\n}\n")
    said = shown(carbonmeter)
    assert said[0] == named(LAID_OUT.ljust(512 << 10, b"\xff"), {}, tmp_path)
    assert "whose flash is erased behind the image" in said[1]
    script.unlink()
    assert "does not follow from the image" in shown(carbonmeter)[0]


def test_an_esp32_names_the_description_of_what_was_linked(board_of, carbonmeter, tmp_path: Path) -> None:
    output = board_of(**ESP32)
    (output / "flash_args").write_text("0x10000 micropython.bin\n")
    (output / "micropython.bin").write_bytes(bytes(range(256)) * 4)
    assert shown(carbonmeter) == [named((bytes(range(256)) * 4)[32:288], {}, tmp_path)]


def test_on_this_host_only_an_update_has_an_id_of_its_own(board_of, carbonmeter, tmp_path: Path) -> None:
    board_of(**UNIX)
    assert "does not follow from the image" in shown(carbonmeter)[0]
    update = tmp_path / "update.bin"
    update.write_bytes(images.build(FILES))
    said = shown(carbonmeter, "--update", update)
    assert said == [f"Software id: {hashlib.sha256(update.read_bytes()).hexdigest()}"]


def test_without_an_image_and_with_what_is_no_update(board_of, carbonmeter, refused, tmp_path: Path) -> None:
    output = board_of(**OWN)
    refused(carbonmeter("board", "id", "wall"), "board.no_image")
    (output / "firmware.elf").write_bytes(IMAGE)
    update = tmp_path / "update.bin"
    update.write_bytes(b"no image")
    refused(carbonmeter("board", "id", "wall", "--update", update), "update.not_an_image")
