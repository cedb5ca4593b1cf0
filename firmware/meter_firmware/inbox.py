"""What comes in from the gateway: split, sorted by type, each to the one place that verifies and obeys it.

Only documented types act (WELMEC 7.2 P3, P4); everything else is counted and dropped. A flood costs little:
sizes and counts are bounded here, every consumer looks at the cheap fields before the signature, and signatures
that prove forged are checked at a bounded rate: in Python one costs a board a second in which it samples nothing.
"""

from meter_protocol import cose
from meter_protocol.errors import ProtocolError
from meter_sampling.journal_error import JournalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

MAX_INBOUND = 8192
MAX_MESSAGES = 16
FORGERIES_AT_ONCE = 16
FORGERY_PAUSE_MS = 2000
"""An honest gateway's messages verify and take nothing from this allowance; a faulty line forges one a day."""


class Inbox:
    """`consumers` maps a typ to the function that takes the raw message or raises ProtocolError."""

    def __init__(
        self,
        consumers: "dict[str, Callable[[bytes], None]]",
        now_ms: "Callable[[], int]",
        say: "Callable[[str], None]",
    ) -> None:
        """`now_ms` gives monotonic milliseconds that no replay accelerates; `say` puts a line on the console."""
        self._consumers = consumers
        self._now_ms = now_ms
        self._say = say
        # How far the allowance is used up, as the time at which it is whole again.
        self._whole_again_ms = 0
        self.taken = 0
        self.refused: "dict[str, int]" = {}

    def receive(self, payload: bytes) -> None:
        try:
            if len(payload) > MAX_INBOUND:
                raise ProtocolError("cose_too_large")
            received = cose.split_sequence(payload)
            if len(received) > MAX_MESSAGES:
                raise ProtocolError("cose_too_many_messages")
        except ProtocolError as error:
            self._count(error.reason)
            return
        for raw in received:
            try:
                self._take(raw)
                self.taken += 1
            except (ProtocolError, JournalError) as error:
                # What an answer of ours finds no room for is asked again. A flash that fails ends the loop.
                self._count(error.reason)
                if error.reason == "signature_invalid":
                    self._whole_again_ms = max(self._whole_again_ms, self._now_ms()) + FORGERY_PAUSE_MS

    def _take(self, raw: bytes) -> None:
        typ = cose.split(raw).typ
        if typ not in self._consumers:
            raise ProtocolError("type_not_allowed")
        if self._whole_again_ms - self._now_ms() >= FORGERIES_AT_ONCE * FORGERY_PAUSE_MS:
            raise ProtocolError("forgeries")
        self._consumers[typ](raw)

    def _count(self, reason: str) -> None:
        if reason not in self.refused:
            # The first of its kind since the boot: a flood is no reason to write all day.
            self._say("refused: " + reason)
        self.refused[reason] = self.refused.get(reason, 0) + 1
