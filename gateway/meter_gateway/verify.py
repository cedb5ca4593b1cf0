"""Is this message authentic, and whose is it? The steps, in their order; the first that fails rejects.

  1. Size and form: one COSE_Sign1 of at most 8192 bytes, tag 18, four parts, empty unprotected header,
     64 bytes of signature, nothing behind it (RFC 9052 §4.2, SPEC §3).
  2. Protected header: exactly algorithm, kid and typ, deterministically encoded; the algorithm is ES256 or
     EdDSA (RFC 9052 §3.1, RFC 9596, SPEC §3).
  3. Key: the kid selects a key that the consumer trusts, else `unknown_key`. The kid proves nothing; the
     algorithm in the header must be the key's own, so no header can talk a key into another scheme.
  4. Type: the typ belongs to the role of that key, this consumer takes it, and the message is no larger than
     its type may be (SPEC §3, domain separation).
  5. Form of the signature: r and s in range, s in the lower half (SPEC §3; see signatures.py).
  6. Revocation: a key is worth nothing from the moment of reception at which it was revoked. The message's
     own time does not matter here: a thief can write any (DESIGN, "Keys").
  7. Signature over Sig_structure (RFC 9052 §4.4). Everything before this step cost no cryptography.
  8. Payload: deterministic CBOR that is exactly its type's schema (SPEC §2, §4–§8).
  9. The message speaks of its own key: an identity message carries it, a time or image request names it
     (SPEC §7, §8.5).

Deliberately absent: whether the message continues its chain, whether its time can be true, and whether its
content is fit for use. An authentic message is kept however unfit (traceability judges it, ingest orders it).

Steps 1–6 are `open_message`, step 7 is `is_signed`, steps 8–9 are `read`, so that ingest can give step 7 of a
whole group to other processor cores. `verify` is all of them.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from meter_gateway import decode, signatures
from meter_gateway.model import Rejected, Verified
from meter_protocol import cose, keys
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

METER_TYPES = (t.READINGS, t.EVENT, t.IDENTITY, t.TIME_REQUEST, t.IMAGE_REQUEST)
"""What ingest takes; a consumer of another kind of message names its own types."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that a consumer trusts in one role; `revoked_ms` is the moment from which it does not."""

    cose_key: bytes
    role: str
    alg: int
    public: bytes
    thumbprint: bytes
    kid: bytes
    handle: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
    revoked_ms: int | None

    @classmethod
    def of(cls, cose_key: bytes, role: str = t.ROLE_METER, revoked_ms: int | None = None) -> "Key":
        """Rejected("cose_key") if these bytes are not a key, or not a point of their curve."""
        handle: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
        try:
            alg, public = keys.decode(cose_key)
            is_p256 = alg == cose.ES256
            handle = signatures.p256_public_key(public) if is_p256 else signatures.ed25519_public_key(public)
        except ProtocolError as error:
            raise Rejected(error.reason) from error
        except ValueError as error:
            raise Rejected("cose_key") from error
        thumbprint = keys.thumbprint(cose_key)
        return cls(cose_key, role, alg, public, thumbprint, keys.kid_of(thumbprint), handle, revoked_ms)


class KeyRing:
    """The keys that one consumer trusts, by kid. Enrolment refuses a colliding kid, so one kid is one key."""

    def __init__(self, trusted: Iterable[Key], types: Collection[str] = METER_TYPES) -> None:
        self._types = types
        self._by_kid: dict[bytes, Key] = {}
        self._admitted: dict[bytes, tuple[Key, str]] = {}
        for key in trusted:
            if key.kid in self._by_kid:
                raise ValueError("two keys with one kid")
            self._by_kid[key.kid] = key

    def get(self, kid: bytes) -> Key | None:
        return self._by_kid.get(kid)

    def admit(self, protected: bytes) -> tuple[Key, str]:
        """Steps 2–4 on a protected header. One header stands in all messages of a type and key, so those that
        pass are remembered; what fails is not, and cannot fill the memory."""
        known = self._admitted.get(protected)
        if known is None:
            known = self._admitted[protected] = self._examine(protected)
        return known

    def _examine(self, protected: bytes) -> tuple[Key, str]:
        # (2)
        try:
            alg, kid, typ = cose.parse_protected(protected)
        except ProtocolError as error:
            raise Rejected(error.reason) from error
        if typ not in t.ROLE_OF_TYPE:
            raise Rejected("unknown_type")
        # (3)
        key = self._by_kid.get(kid)
        if key is None:
            raise Rejected("unknown_key")
        if alg != key.alg:
            raise Rejected("algorithm_mismatch")
        # (4)
        if t.ROLE_OF_TYPE[typ] != key.role or typ not in self._types:
            raise Rejected("type_not_allowed")
        return key, typ


class Opened(NamedTuple):
    """A message whose steps 1–6 passed. It is not authentic yet."""

    raw: bytes
    key: Key
    typ: str
    payload: bytes
    signature: bytes
    to_be_signed: bytes
    hash: bytes


def verify(raw: bytes, ring: KeyRing, received_ms: int) -> Verified:
    """All steps; Rejected with the first reason."""
    opened = open_message(raw, ring, received_ms)
    if not is_signed(opened):
        raise Rejected("signature_invalid")
    return read(opened)


def open_message(raw: bytes, ring: KeyRing, received_ms: int) -> Opened:
    """Steps 1–6."""
    try:
        parts = decode.split(raw)
    except ProtocolError as error:
        raise Rejected(error.reason) from error
    return open_parts(parts, ring, received_ms)


def open_parts(parts: decode.Parts, ring: KeyRing, received_ms: int) -> Opened:
    """Steps 2–6 on a message that was taken apart (step 1)."""
    raw, protected, payload, signature, to_be_signed = parts
    # (2) (3) (4)
    key, typ = ring.admit(protected)
    if len(raw) > t.max_size(typ):
        raise Rejected("cose_too_large")
    # (5)
    if key.alg == cose.ES256:
        fault = signatures.p256_fault(signature)
        if fault is not None:
            raise Rejected(fault)
    # (6)
    if key.revoked_ms is not None and received_ms >= key.revoked_ms:
        raise Rejected("revoked_key")
    return Opened(raw, key, typ, payload, signature, to_be_signed, hashlib.sha256(to_be_signed).digest())


def is_signed(opened: Opened) -> bool:
    """Step 7."""
    handle = opened.key.handle
    if isinstance(handle, ed25519.Ed25519PublicKey):
        return signatures.ed25519_verifies(handle, opened.to_be_signed, opened.signature)
    return signatures.p256_verifies(handle, opened.hash, opened.signature)


def read(opened: Opened) -> Verified:
    """Steps 8–9, for a message whose signature was found good."""
    # (8)
    try:
        fields = decode.decode(opened.typ, opened.payload)
    except ProtocolError as error:
        raise Rejected(error.reason) from error
    # (9)
    if opened.typ == t.IDENTITY and fields[f.PUBLIC_KEY] != opened.key.cose_key:
        raise Rejected("identity_key_mismatch")
    if opened.typ in (t.TIME_REQUEST, t.IMAGE_REQUEST) and fields[f.METER] != opened.key.thumbprint:
        raise Rejected("meter_mismatch")
    return Verified(opened.raw, opened.typ, opened.key.thumbprint, fields, opened.hash)


def verify_identity(raw: bytes) -> tuple[Key, Verified]:
    """A self-signed identity message under a key that nobody vouched for: proof of possession, no more.

    Whether the key is the meter's that stands on the wall is for a person to say, who compares thumbprints.
    """
    try:
        parts = cose.split(raw)
        if parts.typ != t.IDENTITY:
            raise Rejected("type_not_allowed")
        fields = decode.decode(parts.typ, parts.payload)
    except ProtocolError as error:
        raise Rejected(error.reason) from error
    key = Key.of(fields[f.PUBLIC_KEY])
    if key.kid != parts.kid:
        raise Rejected("identity_key_mismatch")
    return key, verify(raw, KeyRing([key]), 0)
