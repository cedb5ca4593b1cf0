"""What the loader needs of the meter board; no update replaces it (meter_loader says what it is)."""

import machine
import micropython
import vfs

from meter_loader import base_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_firmware.factory import FactoryRecord
    from meter_firmware.update_manifest import UpdateSite

# The provisioning line is the console's, and a frame may contain what a terminal sends for Ctrl-C: also while a
# new board reads its whole flash.
micropython.kbd_intr(-1)

CLASS_IDENTIFIER = bytes.fromhex("b78a5012f90a5166a436920e6ace4953")
"""UUID 5 of the model, stm32f4_meter."""

ROOT = "/meter"
FLASH_SPI = 2
FLASH_HZ = 21000000
FLASH_BYTES = 16 << 20

JOURNAL_BYTES = 12 << 20
IMAGE_BYTES = 256 << 10
"""A slot is two sectors of the processor's flash; the download lies on the chip, beside the journal."""

_mounted: "list[str]" = []


def mount() -> str:
    from meter_firmware import blockdev
    from meter_firmware.spi_flash import SpiFlash

    if not _mounted:
        try:
            spi = machine.SPI(FLASH_SPI, baudrate=FLASH_HZ, polarity=0, phase=0)
            chip = SpiFlash(spi, machine.Pin("FLASH_SELECT", machine.Pin.OUT, value=1), FLASH_BYTES)
            blockdev.mount(chip, ROOT)
        except blockdev.StorageError as error:
            fail(error)
        _mounted.append(ROOT)
    return ROOT


def factory() -> "FactoryRecord | None":
    return base_parts.factory_record(mount())


def update_site() -> "UpdateSite | None":
    return base_parts.update_site(factory(), CLASS_IDENTIFIER, IMAGE_BYTES, vfs.rom_ioctl)


def restart() -> None:
    machine.reset()


def fail(error: Exception) -> None:
    base_parts.fail(error, restart)
