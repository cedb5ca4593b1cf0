"""The sizes of the image that ships are those of docs/board-costs.md: growth has to show there."""

import pytest

from hil_tests.platforms import PlatformError, qemu
from hil_tests.platforms.image import elf_of
from meter_tools import board_build, upstream
from meter_tools.bench import board_page

TOLERANCE = 0.005


def test_the_image_is_as_large_as_the_page_says() -> None:
    try:
        qemu.prepare()
    except PlatformError as error:
        pytest.skip(f"the image is missing: {error}")
    text = board_page.PAGE.read_text()
    told = {name: cells[0] for name, cells in board_page.rows(text, board_page.BUILT_WITH).items()}
    sources = [upstream.find(source, board_build.SOURCES) for source in (upstream.MICROPYTHON, upstream.MBEDTLS)]
    here = board_page.built_with(*sources)
    others = [f"{name} is {here[name]} here, {told[name]} there" for name in here if here[name] != told[name]]
    if others:
        pytest.skip(f"the page is of another build: {'; '.join(others)}")
    sizes = board_build.sizes_of(elf_of(qemu.BOARD))
    page = dict(zip(board_page.SIZES, board_page.rows(text, board_page.IMAGES)[f"`{qemu.BOARD}`"], strict=True))
    for name in ("text", "data", "bss"):
        size, said = sizes[name], int(page[name].replace(",", ""))
        assert abs(size - said) <= TOLERANCE * said, f"{name} {size:,}: make bench-board renews {said:,}"
