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
    from typing import Any

    from meter_firmware.update_manifest import UpdateSite

VENDOR_IDENTIFIER = bytes.fromhex("3ea1fea159ab56a5900367763d79d592")
"""UUID 5 of the maker's domain, carbonmeter.example."""

CLASS_IDENTIFIER = bytes.fromhex("343996838e665ddfbc7ebfdf4fbd1643")
"""UUID 5 of the model, emulated_stm32."""

ROOT = "/meter"
FLASH_FILE = "flash.bin"
FACTORY_FILE = "factory.cbor"
"""Both in the emulator's working folder."""

JOURNAL_BYTES = 1 << 20
IMAGE_BYTES = 256 << 10
"""A slot is two sectors of 128 KiB in the processor's flash; the download is on the chip, beside the journal."""

FAILED = 64

_mounted: "list[str]" = []


def factory() -> "list[Any]":
    """What the maker programmed once, as a CBOR array: serial number, authority keys, update keys (COSE_Keys)."""
    from meter_protocol import cbor

    record: "list[Any]" = cbor.loads(chip.read(FACTORY_FILE))
    return record


def mount() -> str:
    from meter_firmware import blockdev

    if not _mounted:
        blockdev.mount(chip.Flash(FLASH_FILE, blockdev.BLOCK_SIZE), ROOT)
        _mounted.append(ROOT)
    return ROOT


def update_site() -> "UpdateSite | None":
    """None where the factory record names no update authority."""
    from meter_firmware.slot_partitions import SlotPartitions
    from meter_firmware.update_manifest import UpdateSite

    keys = factory()[2]
    if not keys:
        return None
    slots = SlotPartitions(vfs.rom_ioctl)
    return UpdateSite(VENDOR_IDENTIFIER, CLASS_IDENTIFIER, keys, IMAGE_BYTES, slots)


def restart() -> None:
    machine.reset()


def fail(error: Exception) -> None:
    """A board on a wall would start anew. Here it ends its emulator, so that no test can overlook it."""
    sys.print_exception(error)
    chip.halt(FAILED)
