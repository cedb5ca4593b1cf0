"""What the loader needs of the emulated STM32; no update replaces it (meter_loader says what it is).

The software's own modules are imported where they are used: the loader uses the golden copy's, and board.py, which
also builds on this, those of the slot that it came from.
"""

import sys

import chip
import machine
import vfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_firmware.factory import FactoryRecord
    from meter_firmware.update_manifest import UpdateSite

VENDOR_IDENTIFIER = bytes.fromhex("3ea1fea159ab56a5900367763d79d592")
"""UUID 5 of the maker's domain, carbonmeter.example."""

CLASS_IDENTIFIER = bytes.fromhex("343996838e665ddfbc7ebfdf4fbd1643")
"""UUID 5 of the model, emulated_stm32."""

ROOT = "/meter"
FLASH_FILE = "flash.bin"
"""In the emulator's working folder."""

JOURNAL_SHARE = 4
"""Of the chip's size: of one of 4 MiB the journal takes 1 MiB."""

IMAGE_BYTES = 256 << 10
"""A slot is two sectors of 128 KiB in the processor's flash; the download is on the chip, beside the journal."""

BLOCK_COUNT = 4
"""The block device protocol's operation that asks for it."""

FAILED = 64

_chips: "list[chip.Flash]" = []
_mounted: "list[str]" = []


def factory() -> "FactoryRecord | None":
    from meter_firmware import factory
    from meter_firmware.memory import Memory

    return factory.load(Memory(mount() + "/memory"))


def mount() -> str:
    from meter_firmware import blockdev

    if not _mounted:
        blockdev.mount(_flash(), ROOT)
        _mounted.append(ROOT)
    return ROOT


def journal_bytes() -> int:
    from meter_firmware import blockdev

    blocks: int = _flash().ioctl(BLOCK_COUNT, 0)
    return blocks * blockdev.BLOCK_SIZE // JOURNAL_SHARE


def _flash() -> "chip.Flash":
    """The one chip that there is."""
    from meter_firmware import blockdev

    if not _chips:
        _chips.append(chip.Flash(FLASH_FILE, blockdev.BLOCK_SIZE))
    return _chips[0]


def update_site() -> "UpdateSite | None":
    """None where the factory record names no update authority."""
    from meter_firmware.slot_partitions import SlotPartitions
    from meter_firmware.update_manifest import UpdateSite

    record = factory()
    if record is None or not record.update_keys:
        return None
    slots = SlotPartitions(vfs.rom_ioctl)
    return UpdateSite(VENDOR_IDENTIFIER, CLASS_IDENTIFIER, record.update_keys, IMAGE_BYTES, slots)


def restart() -> None:
    machine.reset()


def fail(error: Exception) -> None:
    """A board on a wall would start anew. Here it ends its emulator, so that no test can overlook it."""
    sys.print_exception(error)
    chip.halt(FAILED)
