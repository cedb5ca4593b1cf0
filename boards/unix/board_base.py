"""What the loader needs of the unix board; no update replaces it (meter_loader says what it is).

The software's own modules are imported where they are used: the loader uses the golden copy's, and board.py, which
also builds on this, those of the slot that it came from.
"""

import json
import sys

from meter_loader import base_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.factory import FactoryRecord
    from meter_firmware.update_manifest import UpdateSite

CLASS_IDENTIFIER = bytes.fromhex("3e5a52ab6f6f564dac246e2e01bb94cc")
"""UUID 5 of the model, unix."""

ROOT = "/meter"

RESTART_CODE = 3
"""The process ends with it when a board would start itself anew; whoever started it starts it again."""

_mounted: "list[str]" = []


def config() -> "dict[str, Any]":
    """The configuration that the command line names."""
    with open(sys.argv[1]) as file:
        settings: "dict[str, Any]" = json.load(file)
    return settings


def journal_bytes() -> int:
    room: int = config().get("journal_bytes", 2 << 20)
    return room


def _image_bytes() -> int:
    room: int = config().get("image_bytes", 512 << 10)
    return room


def mount() -> str:
    from meter_firmware import blockdev

    if not _mounted:
        # Two slots and a download, a quarter more for what is not a whole block; and LittleFS needs room beside
        # the journal's segments: a tenth and sixteen blocks at least.
        bytes_needed = (journal_bytes() + 3 * _image_bytes()) * 5 // 4
        device = blockdev.FileBlockDevice(config()["flash"], bytes_needed // blockdev.BLOCK_SIZE + 32)
        blockdev.mount(device, ROOT)
        _mounted.append(ROOT)
    return ROOT


def factory() -> "FactoryRecord | None":
    """What the configuration says of a development board, else what first contact has written into the flash."""
    from meter_firmware import factory

    settings = config()
    if "serial" not in settings:
        return base_parts.factory_record(mount())
    authorities, updates = settings["authority_keys"], settings.get("update_keys", [])
    return factory.FactoryRecord(settings["serial"], _keys(authorities), _keys(updates))


def _keys(digits: "list[str]") -> "list[bytes]":
    return [bytes.fromhex(key) for key in digits]


def update_site() -> "UpdateSite | None":
    return base_parts.update_site(factory(), CLASS_IDENTIFIER, _image_bytes(), None)


def restart() -> None:
    sys.exit(RESTART_CODE)


def fail(error: Exception) -> None:
    raise error
