"""What the board_base of several boards have in common. It is frozen with the loader: no update replaces it.

The software's own modules are imported where they are used, as meter_loader says.
"""

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.factory import FactoryRecord
    from meter_firmware.update_manifest import UpdateSite

VENDOR_IDENTIFIER = bytes.fromhex("3ea1fea159ab56a5900367763d79d592")
"""UUID 5 of the maker's domain, carbonmeter.example."""

PAUSE_MS = 5000
"""Before a board that failed starts anew: long enough to read why, and to spare a flash that is the reason."""


def factory_record(root: str) -> "FactoryRecord | None":
    from meter_firmware import factory
    from meter_firmware.memory import Memory

    return factory.load(Memory(root + "/memory"))


def update_site(
    record: "FactoryRecord | None",
    class_identifier: bytes,
    image_bytes: int,
    rom_ioctl: "Callable[..., Any] | None",
) -> "UpdateSite | None":
    """None where no update authority is named. Slots are partitions where there is a `rom_ioctl`."""
    from meter_firmware.slot_partitions import SlotPartitions
    from meter_firmware.update_manifest import UpdateSite

    if record is None or not record.update_keys:
        return None
    partitions = None if rom_ioctl is None else SlotPartitions(rom_ioctl)
    return UpdateSite(VENDOR_IDENTIFIER, class_identifier, record.update_keys, image_bytes, partitions)


def fail(error: Exception, restart: "Callable[[], Any]") -> None:
    """Says why, and starts anew: nobody stands beside a meter to do it."""
    sys.print_exception(error)
    time.sleep_ms(PAUSE_MS)
    restart()
