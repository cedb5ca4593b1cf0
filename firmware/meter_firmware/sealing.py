"""The Signer seam (DESIGN decision 12) and what is built on it: sealing our messages, opening others'.

A Signer has `protection` (a KEY_… value of meter_protocol.fields), `public_key()` -> x || y and
`sign(digest)` -> r || s, low-S. There is no call that returns a private key. Today's only signer is the
software one; a secure element and the native module take its place without a change here.
"""

import hashlib

from meter_firmware import p256
from meter_protocol import chain, cose, keys, messages
from meter_protocol import fields as f
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Protocol

    class Signer(Protocol):
        protection: int

        def public_key(self) -> bytes: ...

        def sign(self, digest: bytes) -> bytes: ...


class SoftwareSigner:
    """P-256 in Python on a key that lies in the board's own flash: for development, and it says so."""

    protection = f.KEY_SOFTWARE

    def __init__(self, private: bytes) -> None:
        self._private = private
        self._public = p256.public_key(private)

    def public_key(self) -> bytes:
        return self._public

    def sign(self, digest: bytes) -> bytes:
        return p256.sign(self._private, digest)


class Sealer:
    """Seals this meter's messages; knows the meter's own COSE_Key, thumbprint and kid."""

    def __init__(self, signer: "Signer") -> None:
        self._signer = signer
        self.protection = signer.protection
        self.cose_key = keys.encode_p256(signer.public_key())
        self.thumbprint = keys.thumbprint(self.cose_key)
        self.kid = keys.kid_of(self.thumbprint)

    def seal(self, typ: str, fields: "dict[int, Any]") -> "tuple[bytes, bytes]":
        """(message, its hash in the chain)."""
        payload = messages.encode(typ, fields)
        protected = cose.protected_header(cose.ES256, self.kid, typ)
        digest = chain.message_hash(protected, payload)
        return cose.assemble(protected, payload, self._signer.sign(digest)), digest

    def self_test(self) -> bool:
        """Sign and verify once, so that a broken key is found at boot and not by the gateway."""
        digest = hashlib.sha256(b"carbonmeter self test").digest()
        return p256.verify(self._signer.public_key(), digest, self._signer.sign(digest))


class SealedMessage:
    """An opened message: its fields may be believed, its bytes are kept for evidence."""

    def __init__(self, raw: bytes, fields: "dict[int, Any]", digest: bytes) -> None:
        self.raw = raw
        self.fields = fields
        self.hash = digest


def open_sealed(
    raw: bytes, typ: str, trusted_keys: "list[bytes]", objection: "Callable[[dict[int, Any]], str | None]"
) -> SealedMessage:
    """Verify a message from a gateway or an authority; ProtocolError with the reason if it is not believed.

    `trusted_keys` are COSE_Keys of the one role that may sign `typ`. `objection` says why the fields are of
    no use to us (not our thumbprint, not our nonce, stale), or None: it is asked before the signature is
    checked, because that costs a board a hundred times more and a flood of old messages must not.
    """
    sign1 = cose.split(raw)
    if sign1.typ != typ:
        raise ProtocolError("type_not_allowed")
    public = None
    for cose_key in trusted_keys:
        if keys.kid_of(keys.thumbprint(cose_key)) == sign1.kid:
            alg, public = keys.decode(cose_key)
            if alg != cose.ES256 or sign1.alg != cose.ES256:
                raise ProtocolError("algorithm_mismatch")
    if public is None:
        raise ProtocolError("unknown_key")
    fields = messages.decode(typ, sign1.payload)
    reason = objection(fields)
    if reason is not None:
        raise ProtocolError(reason)
    digest = chain.message_hash(sign1.protected, sign1.payload)
    if not p256.verify(public, digest, sign1.signature):
        raise ProtocolError("signature_invalid")
    return SealedMessage(raw, fields, digest)
