"""The image of a board with a port of its own: where its variables and functions are, and damage to it."""

import re
import subprocess
from functools import cache
from pathlib import Path

from hil_tests.platforms import PlatformError
from meter_tools.board_build import OUTPUT

NM = "arm-none-eabi-nm"
PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
"""Of P-256, y² = x³ - 3x + b over the field of the prime (SEC 2 v2 §2.4.2)."""

SIZE = 32


def elf_of(board: str) -> Path:
    """PlatformError with the remedy if it was not built."""
    elf = OUTPUT / board / "firmware.elf"
    if not elf.exists():
        raise PlatformError(f"there is no image: python -m meter_tools.board_build {board}")
    return elf


def with_wrong_curve(image: bytes) -> bytes:
    """A bit flipped of each b that is in it, as a number or times 2**256 for Montgomery's multiplication."""
    damaged = image
    for kept in (B, (B << 256) % PRIME):
        damaged = damaged.replace(kept.to_bytes(SIZE, "little"), (kept ^ 1 << 128).to_bytes(SIZE, "little"))
    if damaged == image:
        raise PlatformError("the image does not hold the curve's b")
    return damaged


class Symbols:
    def __init__(self, elf: Path) -> None:
        self._ranges = _ranges(elf)

    def __getitem__(self, name: str) -> int:
        """Its address."""
        return self.of(name).start

    def of(self, name: str) -> range:
        """The addresses that it takes."""
        try:
            return self._ranges[name]
        except KeyError:
            raise PlatformError(
                f"the image has no {name}: hil_tests/platforms and the board's port disagree"
            ) from None

    def ranges_ending(self, suffix: str) -> list[range]:
        """Of all whose names end so."""
        return [taken for name, taken in self._ranges.items() if name.endswith(suffix)]


@cache
def _ranges(elf: Path) -> dict[str, range]:
    try:
        listed = subprocess.run([NM, "-S", elf], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise PlatformError(f"{elf} cannot be read: {error}") from None
    return {
        name: range(int(start, 16), int(start, 16) + int(size or "0", 16))
        for start, size, name in re.findall(r"^(\w{8})(?: (\w{8}))? \w (\S+)$", listed, re.MULTILINE)
    }
