"""What the loader needs of the ESP32-S3; no update replaces it (meter_loader says what it is)."""

import machine
import micropython
from esp32 import Partition

from meter_loader import base_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_firmware.factory import FactoryRecord
    from meter_firmware.update_manifest import UpdateSite

# The provisioning line is the console's, and a frame may contain what a terminal sends for Ctrl-C: also while a
# new board reads its whole flash.
micropython.kbd_intr(-1)

CLASS_IDENTIFIER = bytes.fromhex("de79ded9abb254e99e9d738ddd8a7842")
"""UUID 5 of the model, esp32_s3."""

ROOT = "/meter"
PARTITION = "meter"
"""Of partitions.csv."""

JOURNAL_BYTES = 8 << 20
IMAGE_BYTES = 512 << 10
"""Two slots and a download lie in the partition, beside the journal; what runs from a slot is loaded into RAM."""

_mounted: "list[str]" = []


def mount() -> str:
    from meter_firmware import blockdev

    if not _mounted:
        try:
            blockdev.mount(Partition.find(Partition.TYPE_DATA, label=PARTITION)[0], ROOT)
        except blockdev.StorageError as error:
            fail(error)
        _mounted.append(ROOT)
    return ROOT


def factory() -> "FactoryRecord | None":
    return base_parts.factory_record(mount())


def update_site() -> "UpdateSite | None":
    return base_parts.update_site(factory(), CLASS_IDENTIFIER, IMAGE_BYTES, None)


def restart() -> None:
    machine.reset()


def fail(error: Exception) -> None:
    base_parts.fail(error, restart)
