"""What updates need of the rest of the firmware: the link, the chain, and whether the gateway knows this boot."""

from meter_firmware.refusals import Refusals
from meter_protocol import events
from meter_sampling import read_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.chain_log import ChainLog
    from meter_firmware.delivery import Delivery


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
        self._refusals = Refusals(log, events.UPDATE_REFUSED, board.link_ms)
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
        said = self._log.event_if_room(code, details, self._board.clock.ticks_ms())
        if said:
            self._delivery.notify()
        return said

    def refuse(self, raw: bytes, reason: str) -> bool:
        """Say that a manifest was refused, at a bounded rate; whether it was said."""
        said = self._refusals.say(raw, reason, self._board.clock.ticks_ms())
        if said:
            self._delivery.notify()
        return said

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
        return None if head is None else read_back.event_in(head[2])
