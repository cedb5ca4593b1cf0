"""What the loader needs of the ESP32-C3; no update replaces it (meter_loader says what it is)."""

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

ROOT = "/meter"
PARTITION = "meter"
"""Of partitions.csv."""

JOURNAL_BYTES = 1 << 20

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
    """None: what runs from a slot is loaded into RAM, of which this chip has too little for it."""
    return None


def restart() -> None:
    machine.reset()


def fail(error: Exception) -> None:
    base_parts.fail(error, restart)
