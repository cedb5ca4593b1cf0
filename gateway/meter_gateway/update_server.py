"""Software updates on their way to meters: the manifest until it is answered, the image by chunks (SPEC §8.5).

1. A manifest is sent when a meter with an open offer is heard, and repeated; not while that meter fetches chunks
   or tries the software, for checking a signature may cost it seconds.
2. A chunk goes only to the enrolled meter that signed the request, and only of the image that it was offered;
   any other request is counted and gets no answer. Each meter may ask at a bounded rate, and all together.
3. What became of an offer is the meter's own word: events in its chain (`look`). Without them it stays open, also
   over restarts of the gateway: the meter knows which chunks it lacks.

`look` reads and writes the store; the rest is memory, so that a request never waits for the disk.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from meter_gateway import decode, offers
from meter_gateway.model import Fields, GatewayTime, ImageRequest
from meter_gateway.offers import Offer, Offers
from meter_gateway.rate import Bucket, Rates
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import keys
from meter_protocol import types as t

RETRY_S = 30.0
FETCHING_S = 60.0
"""A meter that asked for a chunk so lately needs no manifest."""

BURST = 128
CHUNKS_PER_S = 16
"""Of one meter: a whole image at once, and then some 64 KiB a second."""

BURST_OF_ALL = 512
CHUNKS_PER_S_OF_ALL = 128
"""Each costs a signature on the event loop."""

_SEEN_LAG = 10_000
"""How many messages may have to be looked at again after a restart."""


@dataclass(slots=True)
class Pending:
    """An open offer, as it is in the store and as it has become since."""

    stored: Offer
    offer: Offer
    digest: bytes
    image: bytes
    chunk_size: int
    asked: bytearray
    sent_s: float | None = None
    asked_s: float | None = None

    def chunk(self, index: int) -> bytes:
        """Empty behind the last one."""
        return self.image[index * self.chunk_size : (index + 1) * self.chunk_size]


class UpdateServer:
    """`seal` signs with the gateway's receipt key."""

    def __init__(
        self, store: Offers, seal: Callable[[str, Fields], bytes], monotonic: Callable[[], float]
    ) -> None:
        self._store = store
        self._seal = seal
        self._monotonic = monotonic
        self._pending: dict[bytes, Pending] = {}
        self._rates: Rates[bytes] = Rates(BURST, CHUNKS_PER_S)
        self._rate_of_all = Bucket(BURST_OF_ALL, CHUNKS_PER_S_OF_ALL, BURST_OF_ALL, monotonic())
        self.requests: Counter[str] = Counter()
        """Image requests by what became of them: answered, unsolicited, too_fast."""

    # In the thread for chores

    def look(self) -> list[str]:
        """Take up new offers, and what the meters' chains say of the open ones; what happened, for the log."""
        found = {}
        images_at_hand = {pending.digest: pending.image for pending in self._pending.values()}
        for offer in self._store.open():
            kid = keys.kid_of(offer.thumbprint)
            known = self._pending.get(kid)
            is_same = known is not None and _same(known.stored, offer)
            pending = known if known is not None and is_same else self._take_up(offer, images_at_hand)
            if pending is not None:
                found[kid] = pending
        news = self._read_events(list(found.values()))
        self._write(found.values())
        self._pending = {kid: pending for kid, pending in found.items() if pending.offer.state in offers.OPEN}
        return news

    def _take_up(self, offer: Offer, images_at_hand: dict[bytes, bytes]) -> Pending | None:
        """An image is in memory once, however many meters are offered it."""
        manifest = offer.fields()
        digest = manifest[f.IMAGE_DIGEST]
        image = images_at_hand.get(digest) or self._store.image(digest)
        if image is None:
            # Withdrawn between the two questions.
            return None
        images_at_hand[digest] = image
        return Pending(offer, offer, digest, image, manifest[f.CHUNK_SIZE], bytearray(offer.asked))

    def _read_events(self, open_offers: list[Pending]) -> list[str]:
        if not open_offers:
            return []
        by_meter = {pending.offer.meter: pending for pending in open_offers}
        seen = self._store.last_message()
        for number, meter, raw in self._store.events(min(pending.offer.seen for pending in open_offers)):
            pending = by_meter.get(meter)
            if pending is not None and number > pending.offer.seen and pending.offer.state in offers.OPEN:
                fields = decode.decode(t.EVENT, decode.split(raw).payload)
                state, reason = after_event(pending.offer, pending.digest, any(pending.asked), fields)
                pending.offer = replace(pending.offer, state=state, reason=reason)
            seen = max(seen, number)
        for pending in open_offers:
            if pending.offer.state == offers.OFFERED and any(pending.asked):
                pending.offer = replace(pending.offer, state=offers.DOWNLOADING)
            pending.offer = replace(pending.offer, asked=bytes(pending.asked), seen=seen)
        return [
            f"meter {pending.offer.thumbprint.hex()[:16]}: update {pending.digest.hex()[:16]}"
            f" {' '.join(filter(None, (pending.offer.state, pending.offer.reason)))}"
            for pending in open_offers
            if pending.offer.state != pending.stored.state
        ]

    def _write(self, open_offers: Iterable[Pending]) -> None:
        changed = [pending for pending in open_offers if _is_worth_writing(pending)]
        if changed:
            self._store.note(pending.offer for pending in changed)
        for pending in changed:
            pending.stored = pending.offer

    # On the event loop

    @property
    def kids(self) -> Collection[bytes]:
        """Meters with an open offer."""
        return self._pending.keys()

    def due(self, kid: bytes) -> bytes | None:
        """The manifest that should be sent to this meter now."""
        pending, now_s = self._pending.get(kid), self._monotonic()
        if pending is None or pending.offer.state not in (offers.OFFERED, offers.DOWNLOADING):
            return None
        if pending.asked_s is not None and now_s - pending.asked_s < FETCHING_S:
            return None
        if pending.sent_s is not None and now_s - pending.sent_s < RETRY_S:
            return None
        pending.sent_s = now_s
        return pending.offer.manifest

    def answer(self, request: ImageRequest, now: GatewayTime) -> bytes | None:
        """The signed chunk, or None: it was not offered to this meter, or the meter asks too fast."""
        pending, now_s = self._pending.get(request.kid), self._monotonic()
        chunk = b""
        if pending is not None and (pending.offer.thumbprint, pending.digest) == (
            request.thumbprint,
            request.digest,
        ):
            chunk = pending.chunk(request.index)
        if pending is None or not chunk:
            self.requests["unsolicited"] += 1
            return None
        if not self._rates.take(request.kid, 1, now_s) or not self._rate_of_all.take(1, now_s):
            self.requests["too_fast"] += 1
            return None
        pending.asked_s = now_s
        pending.asked[request.index // 8] |= 1 << request.index % 8
        self.requests["answered"] += 1
        return self._seal(t.IMAGE_CHUNK, _chunk(request, chunk, now))


def after_event(offer: Offer, digest: bytes, is_begun: bool, fields: Fields) -> tuple[str, str | None]:
    """State and reason of an open offer after this event of its meter; `is_begun` once it asked for a chunk.

    A board's software id covers more than the image's files (its flash), so it is new if it is the image's digest,
    or another than before once the download began.
    """
    code, details = fields[f.EVENT_CODE], fields[f.DETAILS]
    software_id = details.get(ev.SOFTWARE_ID)
    is_new = software_id == digest or (is_begun and software_id != offer.software_before)
    if code == ev.FIRMWARE_UPDATED and details[ev.MANIFEST] == offer.manifest:
        return offers.RUNNING, None
    if code == ev.UPDATE_ROLLED_BACK and is_new:
        return offers.ROLLED_BACK, details[ev.REASON]
    if code == ev.UPDATE_REFUSED and details[ev.DIGEST] == hashlib.sha256(offer.manifest).digest():
        # While the meter tries it, the manifest is old news to it, which is no refusal.
        return (
            (offer.state, offer.reason) if offer.state == offers.TRYING else (offers.REFUSED, details[ev.REASON])
        )
    if code == ev.BOOT:
        if is_new:
            return offers.TRYING, None
        if offer.state == offers.TRYING:
            return offers.DOWNLOADING, None
    return offer.state, offer.reason


def chunks_asked(asked: bytes | bytearray) -> int:
    return int.from_bytes(asked, "big").bit_count()


def _same(one: Offer, other: Offer) -> bool:
    return (one.meter, one.offered_ms, one.manifest) == (other.meter, other.offered_ms, other.manifest)


def _is_worth_writing(pending: Pending) -> bool:
    stored, offer = pending.stored, pending.offer
    has_changed = (stored.state, stored.reason, stored.asked) != (offer.state, offer.reason, offer.asked)
    return has_changed or offer.seen - stored.seen > _SEEN_LAG


def _chunk(request: ImageRequest, chunk: bytes, now: GatewayTime) -> Fields:
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.TIME_MS: now.time_ms,
        f.CLOCK_STATUS: now.clock_status,
        f.CLOCK_UNCERTAINTY_MS: now.clock_uncertainty_ms,
        f.METER: request.thumbprint,
        f.DIGEST: request.digest,
        f.CHUNK_INDEX: request.index,
        f.CHUNK: chunk,
    }
