"""The far end of the uplink: believes nothing but signatures that it checks itself.

It knows the meter's public key (from the label) and the gateway's verdict key, and imports nothing of the
gateway. Of every envelope it verifies the meter's own signature over the original bytes, and that the gateway
signed this verdict for these bytes. What it adds up, it adds up from the meter's bytes.
"""

from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from meter_protocol import chain, cose, keys, merkle, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

Place = tuple[bytes, int, bytes]


@dataclass(frozen=True)
class Reading:
    """One channel of one readings message as the far end got it."""

    time_ms: int
    kind: int
    values: list[Any]


@dataclass
class FarEnd:
    meter_key: bytes
    verdict_key: bytes
    messages: int = 0
    repeated: int = 0
    refused: list[str] = field(default_factory=list)
    accepted: int = 0
    findings: dict[str, int] = field(default_factory=dict)
    readings: dict[int, list[Reading]] = field(default_factory=dict)
    _seen: dict[Place, dict[int, Any]] = field(default_factory=dict)
    """The latest verdict on each message."""

    def take(self, envelope: bytes) -> None:
        """Verify one envelope; what does not verify is listed by its reason and adds to nothing."""
        try:
            self._take(messages.decode_envelope(envelope))
        except ProtocolError as error:
            self.refused.append(error.reason)

    def _take(self, envelope: dict[int, Any]) -> None:
        typ, fields, digest = _open(envelope[f.ENVELOPE_MESSAGE], self.meter_key)
        verdict = messages.decode_verdict(envelope[f.ENVELOPE_VERDICT])
        batch_type, batch, _ = _open(envelope[f.ENVELOPE_BATCH], self.verdict_key)
        if batch_type != t.VERDICT_BATCH or verdict[f.HASH] != digest:
            raise ProtocolError("type_not_allowed")
        merkle.verify_path(
            envelope[f.ENVELOPE_VERDICT],
            envelope[f.ENVELOPE_INDEX],
            batch[f.COUNT],
            envelope[f.ENVELOPE_PATH],
            batch[f.ROOT],
        )
        place = (fields[f.EPOCH], fields[f.SEQUENCE], digest)
        before = self._seen.get(place)
        if before is not None and before[f.VERDICT_REVISION] >= verdict[f.VERDICT_REVISION]:
            self.repeated += 1
            return
        self._seen[place] = verdict
        self._count(verdict, 1)
        if before is not None:
            # A later revision of the verdict on the same message takes the place of the one before.
            self._count(before, -1)
            return
        self.messages += 1
        if typ == t.READINGS:
            for channel, values in fields[f.READINGS].items():
                reading = Reading(fields[f.TIME_MS], fields[f.KIND], values)
                self.readings.setdefault(channel, []).append(reading)

    def _count(self, verdict: dict[int, Any], by: int) -> None:
        self.accepted += by * (verdict[f.VERDICT_ACCEPTANCE] == f.ACCEPTED)
        for code, _ in verdict[f.VERDICT_FINDINGS]:
            self.findings[code] = self.findings.get(code, 0) + by

    def gaps(self) -> int:
        """Sequence numbers missing between the first and the last message of each epoch."""
        epochs: dict[bytes, set[int]] = {}
        for epoch, sequence, _ in self._seen:
            epochs.setdefault(epoch, set()).add(sequence)
        return sum(max(numbers) + 1 - len(numbers) for numbers in epochs.values())

    def means(self, channel: int) -> list[int | None]:
        """The means of a channel's regular intervals, in the order of their time."""
        regular = [r for r in self.readings.get(channel, []) if r.kind == f.KIND_REGULAR]
        return [reading.values[3] for reading in sorted(regular, key=lambda reading: reading.time_ms)]

    def totals(self, channel: int) -> list[int]:
        """The register totals of a channel that are known, oldest first: they only ever grow."""
        return sorted(r.values[1] for r in self.readings.get(channel, []) if r.values[1] is not None)


def _open(raw: bytes, cose_key: bytes) -> tuple[str, dict[int, Any], bytes]:
    sign1 = cose.split(raw)
    alg, public = keys.decode(cose_key)
    if alg != cose.ES256 or sign1.alg != alg:
        raise ProtocolError("algorithm_mismatch")
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public)
    signature = encode_dss_signature(
        int.from_bytes(sign1.signature[:32], "big"), int.from_bytes(sign1.signature[32:], "big")
    )
    try:
        point.verify(signature, cose.to_be_signed(sign1.protected, sign1.payload), ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise ProtocolError("signature_invalid") from None
    fields = messages.decode(sign1.typ, sign1.payload)
    return sign1.typ, fields, chain.message_hash(sign1.protected, sign1.payload)
