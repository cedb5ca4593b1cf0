"""A key that its maker gives up, as a file from the maker's bench to a gateway: whose, why, and its cut.

The cut is the head of the chain when the board forgot its key; the journal up to there is the maker's to hand
over. The file itself proves nothing: whoever takes it in answers for it, as for a thumbprint that he types. A
certified key is also on its maker's revocation list.
"""

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meter_gateway.texts import Told
from meter_protocol.rules import is_uint

FORMAT = "carbonmeter revocation 1"
MAX_BYTES = 4096
MAX_REASON = 256


@dataclass(frozen=True, slots=True)
class Cut:
    epoch: bytes
    sequence: int
    hash: bytes


def save(path: Path, serial: str, thumbprint: bytes, reason: str, cut: Cut | None, now: dt.datetime) -> None:
    content = {
        "format": FORMAT,
        "thumbprint": thumbprint.hex(),
        "serial": serial,
        "reason": reason,
        "time": now.isoformat(timespec="seconds"),
        "cut": None
        if cut is None
        else {"epoch": cut.epoch.hex(), "sequence": cut.sequence, "hash": cut.hash.hex()},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def load(path: Path) -> tuple[bytes, str, Cut | None]:
    """(thumbprint, reason, cut); Told if this is not such a file."""
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_BYTES + 1)
        found = _read(json.loads(octets) if len(octets) <= MAX_BYTES else None)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Told("meters.not_a_revocation", path=path) from error
    return found


def _read(content: Any) -> tuple[bytes, str, Cut | None]:
    thumbprint, reason, cut = bytes.fromhex(content["thumbprint"]), content["reason"], content["cut"]
    if content["format"] != FORMAT or len(thumbprint) != 32 or not isinstance(reason, str):
        raise ValueError
    if not 0 < len(reason) <= MAX_REASON:
        raise ValueError
    if cut is None:
        return thumbprint, reason, None
    found = Cut(bytes.fromhex(cut["epoch"]), cut["sequence"], bytes.fromhex(cut["hash"]))
    if len(found.epoch) != 8 or not is_uint(found.sequence) or len(found.hash) != 32:
        raise ValueError
    return thumbprint, reason, found
