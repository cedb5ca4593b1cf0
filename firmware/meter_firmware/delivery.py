"""From the journal to the gateway: in order, as often as it takes, freed only by a verified receipt.

The journal is the queue. A cursor walks over its records; what was sent stays until the gateway's signed
receipt names it, because a broker's PUBACK proves nothing. When receipts stop coming the cursor goes back
and the same bytes are sent again, at growing distances.
"""

import asyncio
import hashlib

from meter_firmware import sealing
from meter_firmware.links import LinkError
from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling import read_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.chain_log import ChainLog

    Place = tuple[bytes, int]

WINDOW_BYTES = 16384
"""Sent and not yet receipted: what a broker without a gateway behind it may swallow for nothing."""

LOOK_MS = 200
"""How often the link is looked at: oftener than one that was lost can be there again."""

MAX_UNAVAILABLE = 64
"""Places of which a boot says that they are gone; a gateway that needs more asks after the next one."""

RETRY_MS = 10000
RETRY_LIMIT_MS = 300000
RECEIPT_FILE_MS = 60000
"""The last receipt is evidence, not state: writing it once a minute spares the flash."""


class Delivery:
    """`now_ms` gives monotonic milliseconds of the link's own time, which no replay accelerates."""

    def __init__(self, log: "ChainLog", link: "Any", now_ms: "Callable[[], int]") -> None:
        self._log = log
        self._journal = log.journal
        self._link = link
        self._now_ms = now_ms
        self._cursor: "Place | None" = None
        # (epoch, sequence, size) of what was handed to the link, or is just being handed over
        self._outstanding: "list[tuple[bytes, int, int]]" = []
        self._refused: "list[Place]" = []
        self._receipted: "dict[bytes, int]" = {}
        self._wake = asyncio.Event()
        self._retry_ms = RETRY_MS
        self._progress_ms = 0
        self._unavailable: "list[Place]" = []
        self._receipt: "bytes | None" = None
        self._receipt_kept_ms: "int | None" = None
        self.sent = 0
        self.resent = 0
        self._highest_sent: "Place | None" = None

    def notify(self) -> None:
        """A message was journalled."""
        self._wake.set()

    def hurry(self) -> None:
        """A gateway that knows us has spoken: send what waits now, not at the end of a long back-off."""
        self._outstanding = []
        self._cursor = None
        self._retry_ms = RETRY_MS
        self._wake.set()

    @property
    def drained(self) -> bool:
        return self._journal.first_unreceipted is None

    async def run(self) -> None:
        was_connected = True
        while True:
            if not self._link.connected:
                was_connected = False
                await asyncio.sleep_ms(50)
                continue
            if not was_connected:
                # What was on its way when the link went down need not have arrived.
                was_connected = True
                self.hurry()
            self._wake.clear()
            if self._window() < WINDOW_BYTES and await self._send_next():
                continue
            await self._wait()
            self._retry_if_due()

    async def _send_next(self) -> bool:
        """Send one frame from the cursor on; False if there is nothing to send or the link failed."""
        places, frame = self._next_frame()
        if not places:
            return False
        if not self._outstanding:
            self._progress_ms = self._now_ms()
        cursor = self._cursor
        self._outstanding.extend(places)
        # Receipts and requests may come in while the link is busy: what they move must not be moved back.
        if not await self._hand_over(frame):
            self._outstanding = [entry for entry in self._outstanding if entry not in places]
            return False
        for epoch, sequence, _ in places:
            self._count((epoch, sequence))
        if self._cursor == cursor:
            self._cursor = (places[-1][0], places[-1][1] + 1)
        return True

    async def _hand_over(self, frame: bytes) -> bool:
        try:
            handed_over: bool = await self._link.send(frame)
        except LinkError:
            # A board whose link takes less than the largest message: nothing else of ours may end for it.
            return False
        return handed_over

    def _window(self) -> int:
        return sum([size for _, _, size in self._outstanding])

    def _next_frame(self) -> "tuple[list[tuple[bytes, int, int]], bytes]":
        start = self._cursor or self._journal.first_unreceipted
        places: "list[tuple[bytes, int, int]]" = []
        messages: "list[bytes]" = []
        size = 0
        if start is None or start == (self._log.epoch, self._log.sequence + 1):
            return places, b""
        for epoch, sequence, raw in self._journal.records(start):
            if (epoch, sequence) in self._refused:
                continue
            if places and size + len(raw) > self._link.frame_bytes:
                break
            places.append((epoch, sequence, len(raw)))
            messages.append(raw)
            size += len(raw)
        # A large one goes alone: where it lies, for a board in use may have no room for a copy.
        return places, messages[0] if len(messages) == 1 else b"".join(messages)

    def _count(self, place: "Place") -> None:
        self.sent += 1
        highest = self._highest_sent
        if highest is not None and highest[0] == place[0] and place[1] <= highest[1]:
            self.resent += 1
        else:
            self._highest_sent = place

    async def _wait(self) -> None:
        """Until something was journalled, receipted or asked for, and not for long."""
        try:
            await asyncio.wait_for_ms(self._wake.wait(), LOOK_MS)
        except asyncio.TimeoutError:
            return

    def _retry_if_due(self) -> None:
        if self._outstanding and self._now_ms() - self._progress_ms >= self._retry_ms:
            self._outstanding = []
            self._cursor = None
            self._retry_ms = min(2 * self._retry_ms, RETRY_LIMIT_MS)

    # Answers of the gateway. Each raises ProtocolError if the message is not believed or of no use.

    def take_receipt(self, raw: bytes, receipt_keys: "list[bytes]") -> None:
        """Free everything up to the sequence that a verified receipt names."""

        def objection(fields: "dict[int, Any]") -> "str | None":
            if fields[f.METER] != self._log.sealer.thumbprint:
                return "not_for_us"
            place = (fields[f.EPOCH], fields[f.SEQUENCE])
            stored = self._journal.read(place[0], place[1])
            if stored is None or read_back.hash_of(stored) != fields[f.HASH]:
                return "receipt_not_ours"
            return "receipt_stale" if self._is_stale(place) else None

        receipt = sealing.open_sealed(raw, t.RECEIPT, receipt_keys, objection)
        place = (receipt.fields[f.EPOCH], receipt.fields[f.SEQUENCE])
        self._outstanding = [entry for entry in self._outstanding if entry[0] != place[0] or entry[1] > place[1]]
        self._refused = [entry for entry in self._refused if entry[0] != place[0] or entry[1] > place[1]]
        self._receipted[place[0]] = max(place[1], self._receipted.get(place[0], 0))
        self._progress_ms = self._now_ms()
        self._retry_ms = RETRY_MS
        self._wake.set()
        if not self._journal.free(place[0], place[1]):
            # A restored gateway receipts again what it once had: the window moves, nothing is left to free.
            return
        self._receipt = raw
        if self._receipt_kept_ms is None or self._progress_ms - self._receipt_kept_ms >= RECEIPT_FILE_MS:
            self.close()

    def close(self) -> None:
        """Keep the newest receipt over a boot."""
        if self._receipt is not None:
            self._log.keep_receipt(self._receipt)
            self._receipt_kept_ms = self._now_ms()

    def take_refusal(self, raw: bytes, receipt_keys: "list[bytes]", ticks: int) -> None:
        """Skip the one message whose bytes the gateway refuses for good; the chain says that it was skipped."""
        refused: "list[Place]" = []

        def objection(fields: "dict[int, Any]") -> "str | None":
            if fields[f.METER] != self._log.sealer.thumbprint:
                return "not_for_us"
            first = self._journal.first_unreceipted
            if first is None:
                return "refusal_not_ours"
            size = 0
            for epoch, sequence, stored in self._journal.records(first):
                if (epoch, sequence) in self._refused:
                    continue
                if hashlib.sha256(stored).digest() == fields[f.DIGEST]:
                    refused.append((epoch, sequence))
                    return None
                size += len(stored)
                if size > WINDOW_BYTES:
                    break
            return "refusal_not_ours"

        refusal = sealing.open_sealed(raw, t.REFUSAL, receipt_keys, objection)
        epoch, sequence = refused[0]
        self._log.event(
            events.MESSAGE_REFUSED,
            {
                events.LAST_EPOCH: epoch,
                events.LAST_SEQUENCE: sequence,
                events.LAST_HASH: None,
                events.REASON: refusal.fields[f.REASON],
                events.DIGEST: refusal.fields[f.DIGEST],
            },
            ticks,
        )
        self._refused.append((epoch, sequence))
        self._cursor = (epoch, sequence + 1)
        self._outstanding = []
        self._wake.set()

    def take_resend_request(self, raw: bytes, receipt_keys: "list[bytes]", ticks: int) -> None:
        """Go back to the sequence asked for, or say in the chain that its bytes are gone."""

        def objection(fields: "dict[int, Any]") -> "str | None":
            if fields[f.METER] != self._log.sealer.thumbprint:
                return "not_for_us"
            if fields[f.EPOCH] == self._log.epoch and fields[f.SEQUENCE] > self._log.sequence:
                return "resend_of_nothing"
            return None

        request = sealing.open_sealed(raw, t.RESEND_REQUEST, receipt_keys, objection)
        epoch, sequence = request.fields[f.EPOCH], request.fields[f.SEQUENCE]
        if self._is_outstanding((epoch, sequence)):
            # It is on its way; should it be lost there, the missing receipt will tell.
            return
        self._cursor = self._next_there((epoch, sequence))
        self._outstanding = []
        self._wake.set()
        if self._cursor != (epoch, sequence) and self._may_say_unavailable((epoch, sequence)):
            self._say_unavailable(epoch, sequence, ticks)
            self._unavailable.append((epoch, sequence))

    def _next_there(self, place: "Place") -> "Place | None":
        """The first place from there on whose bytes are there; of an epoch that is gone, the oldest of all."""
        for epoch, sequence, _ in self._journal.records(place):
            return epoch, sequence
        return None

    def _may_say_unavailable(self, place: "Place") -> bool:
        """Once for each place: recorded requests played again must not fill the journal."""
        return place not in self._unavailable and len(self._unavailable) < MAX_UNAVAILABLE

    def _say_unavailable(self, epoch: bytes, sequence: int, ticks: int) -> None:
        last = None
        if self._cursor is not None and self._cursor[0] == epoch:
            last = self._cursor[1] - 1
        self._log.event(
            events.RESEND_UNAVAILABLE,
            {
                events.LAST_EPOCH: epoch,
                events.FIRST_SEQUENCE: sequence,
                events.LAST_SEQUENCE: last,
                events.LAST_HASH: None,
                events.LAST_RECEIPT: self._receipt or self._log.last_receipt(),
            },
            ticks,
        )

    def _is_outstanding(self, place: "Place") -> bool:
        return any(entry[0] == place[0] and entry[1] == place[1] for entry in self._outstanding)

    def _is_stale(self, place: "Place") -> bool:
        """Whether a receipt for this place is known to do nothing; what is not known, `free` will say."""
        if self._is_outstanding(place):
            return False
        first = self._journal.first_unreceipted
        if first is None or (first[0] == place[0] and place[1] < first[1]):
            return True
        return place[1] <= self._receipted.get(place[0], -1)
