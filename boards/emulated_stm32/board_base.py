"""What the loader needs of the emulated STM32; no update replaces it (meter_loader says what it is).

The software's own modules are imported where they are used: the loader uses the golden copy's, and board.py, which
also builds on this, those of the slot that it came from.
"""

import sys

import chip
import machine
import vfs

from meter_loader import base_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_firmware.factory import FactoryRecord
    from meter_firmware.update_manifest import UpdateSite

CLASS_IDENTIFIER = bytes.fromhex("343996838e665ddfbc7ebfdf4fbd1643")
"""UUID 5 of the model, emulated_stm32."""

ROOT = "/meter"
FLASH_FILE = "flash.bin"
"""In the emulator's working folder."""

JOURNAL_SHARE = 4
"""Of the chip's size: of one of 4 MiB the journal takes 1 MiB."""

IMAGE_BYTES = 256 << 10
"""A slot is two sectors of 128 KiB in the processor's flash; the download is on the chip, beside the journal."""

BLOCK_COUNT, BLOCK_SIZE = 4, 5
"""The block device protocol's operations that ask for them."""

FAILED = 64

_chips: "list[chip.Flash]" = []
_mounted: "list[str]" = []


def factory() -> "FactoryRecord | None":
    return base_parts.factory_record(mount())


def mount() -> str:
    if not _mounted:
        from meter_firmware import blockdev

        blockdev.mount(_flash(), ROOT)
        _mounted.append(ROOT)
    return ROOT


def journal_bytes() -> int:
    blocks, block_size = _flash().ioctl(BLOCK_COUNT, 0), _flash().ioctl(BLOCK_SIZE, 0)
    assert blocks is not None
    assert block_size is not None
    return blocks * block_size // JOURNAL_SHARE


def _flash() -> "chip.Flash":
    """The one chip that there is."""
    if not _chips:
        from meter_firmware import blockdev

        _chips.append(chip.Flash(FLASH_FILE, blockdev.BLOCK_SIZE))
    return _chips[0]


def update_site() -> "UpdateSite | None":
    return base_parts.update_site(factory(), CLASS_IDENTIFIER, IMAGE_BYTES, vfs.rom_ioctl)


def restart() -> None:
    machine.reset()


def fail(error: Exception) -> None:
    """A board on a wall would start anew. Here it ends its emulator, so that no test can overlook it."""
    sys.print_exception(error)
    chip.halt(FAILED)
