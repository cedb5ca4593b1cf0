"""Software that the update authority, or a stranger, offers to the meter."""

import time
from datetime import timedelta

from robot.api.deco import keyword

from hil_tests.keywords import forgeries, updates
from hil_tests.keywords.bench_parts import PATIENCE, BenchParts
from hil_tests.keywords.signing import SigningKey
from hil_tests.keywords.verification import open_message
from meter_protocol import cose
from meter_protocol import fields as f
from meter_protocol import types as t

OFFER_AGAIN_S = 5


class UpdateKeywords(BenchParts):
    _update: updates.Update | None = None
    _is_sick = False
    _chunks_sent = 0

    @keyword
    def offer_update(
        self, sequence: int, signed_by: str = "the update authority", model: str | None = None
    ) -> None:
        """This checkout's own software."""
        self._offer(sequence, False, signed_by, model)

    @keyword
    def offer_sick_update(self, sequence: int) -> None:
        """Software that ends in an error as soon as it is started."""
        self._offer(sequence, True, "the update authority", None)

    def _offer(self, sequence: int, is_sick: bool, signed_by: str, model: str | None) -> None:
        if self._update is None or is_sick != self._is_sick:
            image = updates.image_of(self._board.model, self._folder, is_sick)
            self._update, self._is_sick = updates.Update(image, b""), is_sick
        image = self._update.image
        authority = self._gateway.update_authority
        if signed_by not in ("the update authority", forgeries.STRANGER):
            raise ValueError(f"nobody here is {signed_by!r}")
        key = authority if signed_by == "the update authority" else SigningKey()
        header = {key: value for key, value in self._gateway.about_meter().items() if key != f.METER}
        raw = updates.manifest(image, model or self._board.model, sequence, key, authority.kid, header)
        self._update = updates.Update(image, raw)
        self._gateway.take_alone = self._take_image_request
        self._gateway.send(raw)

    @keyword
    def repeat_update_offer(self) -> None:
        """The last manifest, byte for byte."""
        if self._update is None:
            raise AssertionError("nothing was offered yet")
        self._gateway.send(self._update.manifest)

    def _take_image_request(self, raw: bytes) -> bool:
        if cose.split(raw).typ != t.IMAGE_REQUEST or self._update is None:
            return False
        request = open_message(raw, self._gateway.chain.cose_key).fields
        if request[f.DIGEST] != self._update.digest:
            return True
        index = request[f.CHUNK_INDEX]
        about = {f.DIGEST: request[f.DIGEST], f.CHUNK_INDEX: index, f.CHUNK: self._update.chunk(index)}
        self._chunks_sent += 1
        self._gateway.link.send(self._gateway.receipt_key.seal(t.IMAGE_CHUNK, self._gateway.about_meter() | about))
        return True

    @keyword
    def wait_for_chunks(self, count: int, timeout: timedelta = PATIENCE) -> None:
        """Until the meter has asked for so many parts of the image more.

        As the gateway does, the bench repeats its offer until then: what comes while a board starts is lost.
        """
        before, offered_s = self._chunks_sent, time.monotonic()

        def look() -> bool | None:
            nonlocal offered_s
            if self._chunks_sent == before and time.monotonic() - offered_s > OFFER_AGAIN_S:
                self.repeat_update_offer()
                offered_s = time.monotonic()
            return self._chunks_sent >= before + count or None

        self._wait(look, f"{count} image requests", timeout)
