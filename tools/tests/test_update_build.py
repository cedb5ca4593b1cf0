"""A board's image from sources: what is in it, and that it is the same wherever it is built."""

import hashlib
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meter_gateway import image as images
from meter_tools.boards.description import names
from meter_tools.cli import app
from meter_tools.mpycross import PROJECT
from meter_tools.update_build import FROZEN, build_image, sources


@pytest.fixture(scope="module")
def image() -> bytes:
    return build_image("unix")


def test_it_holds_the_protocol_the_firmware_and_the_board_as_bytecode(image: bytes) -> None:
    files = dict(images.parse(image))
    assert {"board.mpy", "meter_firmware/app.mpy", "meter_protocol/cose.mpy"} <= set(files)
    assert not {f"{name.removesuffix('.py')}.mpy" for name in FROZEN} & set(files)
    assert not [name for name in files if "meter_loader" in name or "test" in name]
    # The first byte of every .mpy (MicroPython's documentation, "MicroPython .mpy files").
    assert {content[:1] for content in files.values()} == {b"M"}
    assert set(files) == set(sources("unix"))


def test_the_same_sources_elsewhere_give_the_same_image(image: bytes, tmp_path: Path) -> None:
    copy = tmp_path / "a" / "much" / "longer" / "way"
    for part in ("protocol/meter_protocol", "firmware", "boards/unix"):
        shutil.copytree(PROJECT / part, copy / part)
    assert build_image("unix", copy) == image
    with (copy / "firmware" / "meter_firmware" / "app.py").open("a") as file:
        file.write("\nCHANGED = 1\n")
    assert build_image("unix", copy) != image


def test_the_command(image: bytes, tmp_path: Path) -> None:
    out = tmp_path / "image.bin"
    done = CliRunner().invoke(app, ["update", "build", "--board", "unix", "--out", str(out)])
    assert done.exit_code == 0
    assert out.read_bytes() == image
    assert done.stdout.strip().endswith(hashlib.sha256(image).hexdigest())
    done = CliRunner().invoke(app, ["update", "build", "--board", "none", "--out", str(out)])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert f"no board none; known: {', '.join(names())}" in done.stderr
