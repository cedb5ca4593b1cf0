"""What updates need of the rest of the firmware: the link, the chain, and whether the gateway knows this boot."""

import hashlib

from meter_firmware.journal import JournalError
from meter_protocol import cose, events, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.chain_log import ChainLog
    from meter_firmware.delivery import Delivery

REFUSAL_EVENT_MS = 600000
"""Refused manifests become events at most this often: forged ones must not fill the journal."""


class UpdateServices:
    """`seal(typ, body)` seals a message about this meter; `receipt_keys()` are those of the set in force."""

    def __init__(
        self,
        board: "Any",
        link: "Any",
        log: "ChainLog",
        delivery: "Delivery",
        seal: "Callable[[str, dict[int, Any]], bytes]",
        receipt_keys: "Callable[[], list[bytes]]",
    ) -> None:
        self._board = board
        self._link = link
        self._log = log
        self._delivery = delivery
        self._refusal_said_ms: "int | None" = None
        self.thumbprint = log.sealer.thumbprint
        self.link_ms = board.link_ms
        self.send = link.send
        self.seal = seal
        self.receipt_keys = receipt_keys

    def may_send(self) -> bool:
        """Whether an answer could come, and be believed."""
        connected: bool = self._link.connected
        return connected and self.receipt_keys() != []

    def say(self, code: int, details: "dict[int, Any]") -> bool:
        """An event; False if the journal has no room."""
        try:
            self._log.event(code, details, self._board.clock.ticks_ms(), False)
        except JournalError as error:
            if error.reason != "journal_full":
                raise
            return False
        self._delivery.notify()
        return True

    def refuse(self, raw: bytes, reason: str) -> bool:
        """Say that a manifest was refused, at a bounded rate; whether it was said."""
        now_ms = self.link_ms()
        if self._refusal_said_ms is not None and now_ms - self._refusal_said_ms < REFUSAL_EVENT_MS:
            return False
        self._refusal_said_ms = now_ms
        details = {events.REASON: reason, events.DIGEST: hashlib.sha256(raw).digest()}
        return self.say(events.UPDATE_REFUSED, details)

    def first_unreceipted(self) -> "tuple[bytes, int] | None":
        """Epoch and sequence of the oldest message that the gateway does not have for sure."""
        return self._log.journal.first_unreceipted

    def boot_is_receipted(self) -> bool:
        boot = self._log.boot_place
        if boot is None:
            return False
        first = self.first_unreceipted()
        return first is None or (first[0] == boot[0] and first[1] > boot[1])

    def newest_event(self) -> "tuple[int, dict[int, Any]] | None":
        """Code and details of the event that the chain ends with, if it is one."""
        head = self._log.journal.head
        if head is None:
            return None
        try:
            sign1 = cose.split(head[2])
            fields = messages.decode(sign1.typ, sign1.payload)
        except ProtocolError:
            # Newer software sealed it, before this one was gone back to.
            return None
        return (fields[f.EVENT_CODE], fields[f.DETAILS]) if sign1.typ == t.EVENT else None
