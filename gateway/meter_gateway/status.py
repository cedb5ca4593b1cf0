"""What the running gateway says of itself: a small JSON file, renewed every second, read by `doctor` and the demo.

Counts are since the start of the process. The file is replaced as a whole, so a reader never sees half of it.
"""

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Counts:
    """Messages, except where a name says otherwise."""

    received: int = 0
    verified: int = 0
    """Authentic: stored now or before, or a request for the time or a chunk of an image."""
    rejected: int = 0
    duplicates: int = 0
    stored: int = 0
    judged: int = 0
    accepted: int = 0
    revised: int = 0
    """Further revisions of verdicts, because what they rest on has changed."""
    answers: int = 0
    uplinked: int = 0
    outbox_pending: int = 0
    dropped_payloads: int = 0
    """Too large, too fast or no room: not looked at. The meters send them again."""


@dataclass(slots=True)
class Status:
    pid: int = field(default_factory=os.getpid)
    started_ms: int = 0
    time_ms: int = 0
    host_time_ms: int = 0
    """The host's clock, by which the age of this file is told; in a replay `time_ms` is virtual."""
    clock: str = "unknown"
    store: str = "opening"
    """"ok", or why nothing can be stored, in words."""
    listeners: dict[str, bool] = field(default_factory=dict)
    witnesses: dict[str, str] = field(default_factory=dict)
    """By name, one of witnessed_meter.State."""
    witness_faults: dict[str, str] = field(default_factory=dict)
    """By name, why it has failed."""
    uplink: bool | None = None
    """None without an uplink."""
    counts: Counts = field(default_factory=Counts)
    rejected_by_reason: Counter[str] = field(default_factory=Counter)
    image_requests: Counter[str] = field(default_factory=Counter)
    """By what became of them: answered, unsolicited, too_fast."""
    lost: Counter[str] = field(default_factory=Counter)


def dumps(status: Status) -> str:
    # asdict rebuilds a Counter from pairs, which counts the pairs (mended in CPython 3.12).
    names = ("rejected_by_reason", "image_requests", "lost")
    counters = {name: dict(getattr(status, name)) for name in names}
    return json.dumps(asdict(status) | counters, indent=1) + "\n"


def write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """The last status, None if there is none that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
