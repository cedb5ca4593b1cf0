"""Updates of the running firmware (SPEC §8.5): an offer is judged, its image fetched, installed, tried, proven.

1. A manifest is taken if the update authority signed it, it is for this vendor and class, fits this flash,
   has not failed here before, and is newer than what runs, or the authority allows the way back.
2. The image is fetched chunk by chunk, each asked for, each checked against the manifest; what is on flash is
   not asked for again, whatever happens in between.
3. A whole and correct image is written into the slot that does not run, read back, and put on trial. The board
   starts anew, in an orderly way, and the loader runs it.
4. On trial the software proves its health: it has passed its self-test (else it would not have come this far),
   has sealed its boot event and has the gateway's receipt for that. Then it is the active one. If receipts fail
   to come for too long, the software before runs again; the loader does the same when the boots are used up.

Every decision is durable before it counts and becomes an event of the chain after it, once.
"""

import asyncio
import hashlib

from meter_firmware import sealing, software
from meter_firmware.slots import Installed, Slots
from meter_firmware.software import GOLDEN
from meter_firmware.staging import Staging
from meter_firmware.update_manifest import chunk_digest, chunk_length, open_manifest
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_protocol.schema import CHUNK_DIGEST_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware import image
    from meter_firmware.sealing import SealedMessage
    from meter_firmware.update_manifest import UpdateSite

LOOK_MS = 200
RETRY_MS = 10000
RETRY_LIMIT_MS = 300000
SAY_RETRY_MS = 60000
"""While the journal is full, an event is not sealed in vain oftener than this."""

HEALTH_MS = 3600000
"""For a trial, without a new receipt: the gateway that handed out the image was there a moment ago."""

MAX_SAID = 16

MAX_FETCHES = 3
"""Of one image in a boot, should the flash change what was good when it came."""

_ENOSPC = 28


class Updater:
    """`services` is what the app has: `seal(typ, body)` of a message about this meter, `thumbprint`,
    `receipt_keys()`, `send(raw)`, `may_send()`, `link_ms()`, `say(code, details)` -> whether there was room,
    `refuse(raw, reason)` -> whether it was said, `first_unreceipted()`, `boot_is_receipted()`.
    """

    def __init__(self, site: "UpdateSite", root: str, running: str, services: "Any") -> None:
        self._site = site
        self._services = services
        self._running = running
        self._slots = Slots(root, site)
        self._staging = Staging(root)
        self._wake = asyncio.Event()
        self._offer: "SealedMessage | None" = None
        self._asked: "int | None" = None
        self._asked_ms = 0
        self._retry_ms = RETRY_MS
        self._fetches = 1
        self._installing = False
        self._filling = False
        self._said: "list[bytes]" = []
        self._say_tried_ms: "int | None" = None
        self._software_id = b""
        self._image_region: "Any" = None
        self._moved_ms = services.link_ms()
        self._unreceipted: "tuple[bytes, int] | None" = None
        self._is_proven = False
        self.restart_wanted = False

    def files(self) -> "list[tuple[str, str]] | None":
        """What runs, if it runs from a slot."""
        return None if self._running == GOLDEN else self._slots.files(self._running)

    def begin(self, newest: "tuple[int, dict[int, Any]] | None", software_id: bytes, image_region: "Any") -> None:
        """`newest` is code and details of the event that the chain ended with before this boot, if it was one."""
        self._software_id = software_id
        self._image_region = image_region
        if newest is not None and newest == self._slots.first_unsaid():
            # Power was cut between the event and the note that it is said.
            self._slots.said()
        raw = self._staging.manifest()
        if raw is None:
            self._staging.drop_image()
            return
        try:
            if self._is_settled(hashlib.sha256(raw).digest()):
                raise ProtocolError("update_not_newer")
            self._offer = open_manifest(raw, self._site)
        except ProtocolError:
            self._staging.end()

    @property
    def _on_trial(self) -> bool:
        return self._slots.is_on_trial(self._running)

    async def run(self) -> None:
        while True:
            self._wake.clear()
            await self._turn()
            try:
                await asyncio.wait_for_ms(self._wake.wait(), LOOK_MS)
            except asyncio.TimeoutError:
                pass

    async def _turn(self) -> None:
        if not self._say_unsaid() or self.restart_wanted:
            return
        was_on_trial = self._on_trial
        if not self._is_proven:
            self._judge_health()
        if was_on_trial or self._offer is None:
            return
        if self._staging.received >= self._offer.fields[f.IMAGE_SIZE]:
            await self._install(self._offer)
        else:
            await self._ask_if_due(self._offer)

    # Offers and chunks. Each raises ProtocolError if the message is not believed or of no use.

    def take_manifest(self, raw: bytes) -> None:
        digest = hashlib.sha256(raw).digest()
        if self._offer is not None and self._offer.raw == raw:
            # The gateway repeats its offer until it sees the end of it: it is there, so ask it soon.
            self._retry_ms = RETRY_MS
            return
        if self._on_trial or self._installing or self.restart_wanted or self._is_run(digest):
            raise ProtocolError("update_not_newer")
        try:
            opened = open_manifest(raw, self._site, lambda fields: self._objection(fields, digest))
            self._begin_staging(raw)
        except ProtocolError as error:
            if digest not in self._said and self._services.refuse(raw, error.reason):
                self._said = self._said[1 - MAX_SAID :] + [digest]
            raise
        self._offer = opened
        self._asked = None
        self._retry_ms = RETRY_MS
        self._fetches = 1
        self._wake.set()

    def _begin_staging(self, raw: bytes) -> None:
        self._offer = None
        try:
            self._staging.begin(raw)
        except OSError as error:
            self._staging.end()
            raise ProtocolError(_reason_of(error)) from None

    def _objection(self, fields: "dict[int, Any]", digest: bytes) -> "str | None":
        slots = self._slots
        highest, running = slots.floor, 0 if slots.active is None else slots.active.sequence
        # A sequence that was lost with a damaged slot may come again.
        least: int = highest if running < highest else highest + 1
        if self._offer is not None:
            highest = max(highest, self._offer.fields[f.MANIFEST_SEQUENCE])
            least = max(least, highest + 1)
        downgrade_from = fields[f.DOWNGRADE_FROM]
        may_go_back = downgrade_from is not None and downgrade_from >= highest
        if fields[f.MANIFEST_SEQUENCE] < least and not may_go_back:
            return "update_not_newer"
        return slots.reason_of_failure(digest)

    def _is_run(self, digest: bytes) -> bool:
        active = self._slots.active
        return active is not None and active.manifest_digest == digest

    def _is_settled(self, digest: bytes) -> bool:
        trial = self._slots.trial
        is_tried = trial is not None and trial.manifest_digest == digest
        return is_tried or self._is_run(digest) or self._slots.reason_of_failure(digest) is not None

    def take_chunk(self, raw: bytes) -> None:
        def objection(fields: "dict[int, Any]") -> "str | None":
            if fields[f.METER] != self._services.thumbprint:
                return "not_for_us"
            if self._offer is None or self._asked is None:
                return "update_unsolicited"
            manifest = self._offer.fields
            asked = (manifest[f.IMAGE_DIGEST], self._asked)
            if (fields[f.DIGEST], fields[f.CHUNK_INDEX]) != asked:
                return "update_unsolicited"
            return None if _is_chunk(manifest, self._asked, fields[f.CHUNK]) else "update_image"

        opened = sealing.open_sealed(raw, t.IMAGE_CHUNK, self._services.receipt_keys(), objection)
        try:
            self._staging.add(opened.fields[f.CHUNK])
        except OSError as error:
            self._give_up(_reason_of(error))
            raise ProtocolError(_reason_of(error)) from None
        self._asked = None
        self._retry_ms = RETRY_MS
        self._wake.set()

    async def _ask_if_due(self, offer: "SealedMessage") -> None:
        now_ms = self._services.link_ms()
        if not self._services.may_send():
            return
        if self._asked is not None:
            if now_ms - self._asked_ms < self._retry_ms:
                return
            self._retry_ms = min(2 * self._retry_ms, RETRY_LIMIT_MS)
        index, torn = divmod(self._staging.received, offer.fields[f.CHUNK_SIZE])
        if torn:
            # No power cut leaves that; whatever did, the bytes are in doubt.
            self._staging.drop_image()
            index = 0
        self._asked = index
        self._asked_ms = now_ms
        body = {f.DIGEST: offer.fields[f.IMAGE_DIGEST], f.CHUNK_INDEX: index}
        await self._services.send(self._services.seal(t.IMAGE_REQUEST, body))

    # Installation

    async def _install(self, offer: "SealedMessage") -> None:
        self._installing = True
        self._asked = None
        try:
            await self._install_image(offer)
        except (ProtocolError, OSError, MemoryError) as error:
            # Raised further, it would end the next boot, too: that finds the same image and installs it.
            await self._clear_away()
            self._give_up(_reason_of(error))
        self._installing = False

    async def _install_image(self, offer: "SealedMessage") -> None:
        manifest = offer.fields
        if not await self._image_is_whole(manifest):
            if self._fetches == MAX_FETCHES:
                raise ProtocolError("update_image")
            self._fetches += 1
            self._staging.drop_image()
            return
        # Imported where it is needed: it is rarely, and takes heap.
        from meter_firmware import image

        entries = image.layout(self._staging.read, manifest[f.IMAGE_SIZE])
        slot = self._slots.spare(self._running)
        await self._empty(slot)
        self._filling = True
        files = await self._fill(slot, entries, manifest[f.IMAGE_DIGEST])
        installed = Installed(
            slot,
            hashlib.sha256(offer.raw).digest(),
            manifest[f.MANIFEST_SEQUENCE],
            await _software_id(files, self._image_region),
        )
        self._slots.begin_trial(installed, offer.raw, self._software_id)
        self._staging.end()
        self._offer = None
        self.restart_wanted = True

    async def _image_is_whole(self, manifest: "dict[int, Any]") -> bool:
        """False if the flash has changed a chunk that was good when it came: then all of it is fetched again."""
        whole = hashlib.sha256()
        size = manifest[f.CHUNK_SIZE]
        for index in range(len(manifest[f.CHUNK_DIGESTS]) // CHUNK_DIGEST_SIZE):
            try:
                chunk = self._staging.read(index * size, size)
            except OSError:
                return False
            if not _is_chunk(manifest, index, chunk):
                return False
            whole.update(chunk)
            # Sampling, links and the watchdog have their turn.
            await asyncio.sleep_ms(0)
        if whole.digest() != manifest[f.IMAGE_DIGEST]:
            raise ProtocolError("update_image")
        return True

    async def _fill(self, slot: str, entries: "list[image.Entry]", digest: bytes) -> "list[tuple[str, str]]":
        """The slot's files, written and read back."""
        for _ in self._slots.filling(slot, entries, self._staging.read):
            # Sampling, links and the watchdog have their turn.
            await asyncio.sleep_ms(0)
        files = self._slots.files(slot)
        if await _software_id(files) != digest:
            raise ProtocolError("update_image")
        return files

    async def _empty(self, slot: str) -> None:
        for _ in self._slots.emptying(slot):
            await asyncio.sleep_ms(0)

    async def _clear_away(self) -> None:
        """What was written of an image that is given up."""
        # A flash without room has none for removing either: the download, one file, goes first.
        self._staging.end()
        if self._filling:
            self._filling = False
            try:
                await self._empty(self._slots.spare(self._running))
            except OSError:
                # The next image finds the rest, and removes it first.
                pass

    def _give_up(self, reason: str) -> None:
        assert self._offer is not None
        digest = hashlib.sha256(self._offer.raw).digest()
        self._staging.end()
        self._slots.refuse(digest, reason)
        self._offer = None
        self._asked = None

    # The end of a trial, and what the chain is told

    def _judge_health(self) -> None:
        now_ms, unreceipted = self._services.link_ms(), self._services.first_unreceipted()
        if unreceipted != self._unreceipted:
            # What waited before this boot goes first: with months of it, that takes longer than an hour.
            self._unreceipted = unreceipted
            self._moved_ms = now_ms
        if self._services.boot_is_receipted():
            self._is_proven = True
            self._slots.forget_crashes()
            if self._on_trial:
                self._slots.confirm()
                self._wake.set()
        elif self._on_trial and now_ms - self._moved_ms >= HEALTH_MS:
            self._slots.roll_back("update_health")
            self.restart_wanted = True

    def _say_unsaid(self) -> bool:
        """Whether the chain knows everything that was decided; nothing new is decided before."""
        unsaid = self._slots.first_unsaid()
        while unsaid is not None:
            now_ms = self._services.link_ms()
            if self._say_tried_ms is not None and now_ms - self._say_tried_ms < SAY_RETRY_MS:
                return False
            if not self._services.say(unsaid[0], unsaid[1]):
                self._say_tried_ms = now_ms
                return False
            self._say_tried_ms = None
            self._slots.said()
            unsaid = self._slots.first_unsaid()
        return True


def _is_chunk(manifest: "dict[int, Any]", index: int, chunk: bytes) -> bool:
    if len(chunk) != chunk_length(manifest, index):
        return False
    digest: bytes = hashlib.sha256(chunk).digest()[:CHUNK_DIGEST_SIZE]
    return digest == chunk_digest(manifest, index)


def _reason_of(error: Exception) -> str:
    """Whatever else fails in the flash fails where this image is: the meter goes on without the image."""
    if isinstance(error, ProtocolError):
        return error.reason
    is_full = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == _ENOSPC)
    return "update_space" if is_full else "update_image"


async def _software_id(files: "list[tuple[str, str]]", image_region: "Any" = None) -> bytes:
    identification = b""
    for part in software.in_parts(files, image_region):
        identification = part
        # Sampling, links and the watchdog have their turn.
        await asyncio.sleep_ms(0)
    return identification
