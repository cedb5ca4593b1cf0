"""A key that is given up, as a file that a gateway takes in: whose, why, and its cut."""

import datetime as dt
import json
from pathlib import Path

from meter_tools.provisioning.board import Head


def write(path: Path, serial: str, thumbprint: bytes, head: Head | None, now: dt.datetime) -> None:
    cut = None
    if head is not None:
        cut = {"epoch": head[0].hex(), "sequence": head[1], "hash": head[2].hex()}
    content = {
        "format": "carbonmeter revocation 1",
        "thumbprint": thumbprint.hex(),
        "serial": serial,
        "reason": "replaced at the maker's: new key, new epoch",
        "time": now.isoformat(timespec="seconds"),
        "cut": cut,
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
