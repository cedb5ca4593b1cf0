"""What the chain is told of parameter sets and manifests that were refused."""

import hashlib

from meter_protocol import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from meter_firmware.chain_log import ChainLog

REFUSAL_EVENT_MS = 600000
"""Refused messages of one kind become events at most this often: forged ones must not fill the journal."""


class Refusals:
    """Of one kind, whose event is `code`; `now_ms` gives monotonic milliseconds that no replay accelerates."""

    def __init__(self, log: "ChainLog", code: int, now_ms: "Callable[[], int]") -> None:
        self._log = log
        self._code = code
        self._now_ms = now_ms
        self._tried_ms: "int | None" = None

    def say(self, raw: bytes, reason: str, ticks: int) -> bool:
        """Whether it was said."""
        now_ms = self._now_ms()
        if self._tried_ms is not None and now_ms - self._tried_ms < REFUSAL_EVENT_MS:
            return False
        self._tried_ms = now_ms
        details = {events.REASON: reason, events.DIGEST: hashlib.sha256(raw).digest()}
        return self._log.event_if_room(self._code, details, ticks)
