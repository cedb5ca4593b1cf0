"""What the gateway says to a meter after a commit: receipts, refusals and resend requests (SPEC §7).

A receipt is cumulative: it names the last message of a chain that is stored, judged and without a gap before
it. A refusal names the SHA-256 of bytes that will never be accepted, so that the meter can skip exactly those
and say so in its chain; bytes of strangers get no answer at all.
"""

import hashlib

from meter_gateway.chains import Chain
from meter_gateway.model import Answer, Fields, GatewayTime
from meter_gateway.sealing import Sealer
from meter_protocol import fields as f
from meter_protocol import types as t

RESEND_INTERVAL_MS = 1000
"""How long a resend request has to be of use before it is repeated."""

MAX_REFUSALS = 64
"""Per commit group: each costs a signature, and whoever floods a line with garbage should not get them."""


class Answers:
    """The answers to one commit group; `sealer` is the gateway's receipt key."""

    def __init__(self, sealer: Sealer, now: GatewayTime) -> None:
        self._sealer = sealer
        self._now = now
        self._refused: set[bytes] = set()
        self.receipts: list[Answer] = []
        self.requests: list[Answer] = []

    def in_order(self) -> list[Answer]:
        return self.receipts + self.requests

    def receipt(self, chain: Chain, peer: str, is_new: bool) -> None:
        """The chain's receipt; signed anew if the chain has got further, else the last one again."""
        if chain.head_sequence is None:
            return
        if is_new or chain.receipt is None:
            about = {f.EPOCH: chain.epoch, f.SEQUENCE: chain.head_sequence, f.HASH: chain.head_hash}
            chain.receipt = self._seal(t.RECEIPT, chain.meter.key.thumbprint, about)
        self.receipts.append(Answer(chain.meter.key.kid, peer, chain.receipt))

    def refusal(self, thumbprint: bytes, kid: bytes, peer: str, refused: bytes, reason: str) -> None:
        digest = hashlib.sha256(refused).digest()
        if digest in self._refused or len(self._refused) >= MAX_REFUSALS:
            return
        self._refused.add(digest)
        about = {f.DIGEST: digest, f.REASON: reason}
        self.requests.append(Answer(kid, peer, self._seal(t.REFUSAL, thumbprint, about)))

    def resend(self, chain: Chain, peer: str) -> None:
        """Ask for what the chain waits for, unless that was asked a moment ago."""
        if chain.asked_for is not None:
            sequence, asked_ms = chain.asked_for
            if sequence == chain.next_sequence and 0 <= self._now.time_ms - asked_ms < RESEND_INTERVAL_MS:
                return
        chain.asked_for = chain.next_sequence, self._now.time_ms
        about = {f.EPOCH: chain.epoch, f.SEQUENCE: chain.next_sequence}
        thumbprint, kid = chain.meter.key.thumbprint, chain.meter.key.kid
        self.requests.append(Answer(kid, peer, self._seal(t.RESEND_REQUEST, thumbprint, about)))

    def _seal(self, typ: str, thumbprint: bytes, about: Fields) -> bytes:
        return self._sealer.seal(
            typ,
            {
                f.VERSION: f.PROTOCOL_VERSION,
                f.TIME_MS: self._now.time_ms,
                f.CLOCK_STATUS: self._now.clock_status,
                f.CLOCK_UNCERTAINTY_MS: self._now.clock_uncertainty_ms,
                f.METER: thumbprint,
                **about,
            },
        )
