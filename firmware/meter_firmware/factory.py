"""The factory record (SPEC §16.2): what the maker wrote into this board once, on first contact.

It lies in the board's memory, beside the key that it is for. Writing it is what makes a board a meter, and
removing it what ends one; either is one atomic step, and all else that belongs to it is written before or wiped
after. Its bytes were verified when they came: what is read back from the own flash is only taken apart.
"""

import hashlib

from meter_firmware.memory import DAMAGED
from meter_protocol import cbor, cose
from meter_protocol import fields as f
from meter_protocol import first_contact as fc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.memory import Memory

_RECORD_FILE = "factory"
_FIRST_SET_FILE = "parameters.first"


class FactoryRecord:
    """`link` has the keys `LINK_…` of meter_protocol.first_contact; `digest` is None for a board without a record
    of its own, whose configuration says the same."""

    def __init__(
        self,
        serial: str,
        authority_keys: "list[bytes]",
        update_keys: "list[bytes]",
        certificate: "bytes | None" = None,
        link: "dict[int, Any] | None" = None,
        digest: "bytes | None" = None,
        made_ms: "int | None" = None,
    ) -> None:
        self.serial = serial
        self.authority_keys = authority_keys
        self.update_keys = update_keys
        self.certificate = certificate
        self.link = link
        self.digest = digest
        self.made_ms = made_ms


def load(memory: "Memory") -> "FactoryRecord | None":
    """None where there is no intact record."""
    raw = memory.read(_RECORD_FILE)
    if raw is None or raw == DAMAGED:
        return None
    fields: "dict[int, Any]" = cbor.loads(cose.split(raw).payload)
    return FactoryRecord(
        fields[fc.RECORD_SERIAL],
        fields[fc.RECORD_AUTHORITY_KEYS],
        fields[fc.RECORD_UPDATE_KEYS],
        fields[fc.RECORD_CERTIFICATE],
        fields[fc.RECORD_LINK],
        hashlib.sha256(raw).digest(),
        fields[f.TIME_MS],
    )


def was_never_written(memory: "Memory") -> bool:
    """Not so where a record is lost to damage: that board keeps its key and its journal."""
    return memory.read(_RECORD_FILE) is None


def write(memory: "Memory", record: bytes, first_set: "bytes | None") -> None:
    """The set first: as long as the record is not there, nothing is believed of it."""
    if first_set is not None:
        memory.write(_FIRST_SET_FILE, first_set)
    else:
        memory.remove(_FIRST_SET_FILE)
    memory.write(_RECORD_FILE, record)


def remove(memory: "Memory") -> None:
    """From here on the board is nobody's; its next start wipes what is left of it. OSError if the record stays."""
    memory.remove(_RECORD_FILE)
    if not was_never_written(memory):
        raise OSError("the record stays")


def first_set(memory: "Memory") -> "bytes | None":
    """The default parameter set, until it was applied; None also if it is damaged."""
    return memory.read(_FIRST_SET_FILE) or None


def forget_first_set(memory: "Memory") -> None:
    memory.remove(_FIRST_SET_FILE)
