"""What is built on the Signer seam (DESIGN decision 12): sealing our messages; and opening others'."""

import hashlib

from meter_firmware import verification
from meter_firmware.signers.signer import SignerError
from meter_protocol import chain, cose, keys, messages
from meter_protocol import fields as f
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.signers.signer import Signer

# RFC 6979 A.2.5, P-256, SHA-256, message "test"; its s is the lower one as printed.
_KNOWN_PUBLIC = bytes.fromhex(
    "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
)
_KNOWN_MESSAGE = b"test"
_KNOWN_SIGNATURE = bytes.fromhex(
    "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
    "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"
)


class Sealer:
    """Seals this meter's messages; knows the meter's own COSE_Key, thumbprint and kid."""

    def __init__(self, signer: "Signer") -> None:
        self._signer = signer
        self.protection = signer.protection
        self.public_key = signer.public_key()
        self.cose_key = keys.encode_p256(self.public_key)
        self.thumbprint = keys.thumbprint(self.cose_key)
        self.kid = keys.kid_of(self.thumbprint)

    def seal(self, typ: str, fields: "dict[int, Any]") -> "tuple[bytes, bytes]":
        """(message, its hash in the chain)."""
        payload = messages.encode(typ, fields)
        protected = cose.protected_header(cose.ES256, self.kid, typ)
        digest = chain.message_hash(protected, payload)
        return cose.assemble(protected, payload, self._signer.sign(digest)), digest

    def seal_about_us(self, typ: str, body: "dict[int, Any]", stamp: "tuple[int, int, int | None]") -> bytes:
        """A message that stands alone, outside of the chain; `stamp` is the clock's."""
        fields = {
            f.VERSION: f.PROTOCOL_VERSION,
            f.TIME_MS: stamp[0],
            f.CLOCK_STATUS: stamp[1],
            f.CLOCK_UNCERTAINTY_MS: stamp[2],
            f.METER: self.thumbprint,
        }
        fields.update(body)
        return self.seal(typ, fields)[0]

    def certificate_request(self, maker: str) -> bytes:
        """PKCS #10, of O = maker, CN = thumbprint: who certifies the key chooses another subject."""
        # Imported where it is needed: a meter that is one asks for none.
        from meter_firmware import csr

        return csr.request(self._signer, maker, self.thumbprint.hex())

    def self_test(self) -> None:
        """Verify and sign once, so that a broken engine or key is found at boot; SignerError says which.

        (1) The engine takes a published signature, and not for another message: the gateway's messages are
        believed by it. (2) The signer's public key is the one that the identity message will hold. (3) What
        the signer signs, low-S, verifies under that key.
        """
        known, other = _sha256(_KNOWN_MESSAGE), _sha256(b"carbonmeter self test")
        if not verification.verify(_KNOWN_PUBLIC, known, _KNOWN_SIGNATURE):
            raise SignerError("self_test_verify")
        if verification.verify(_KNOWN_PUBLIC, other, _KNOWN_SIGNATURE):
            raise SignerError("self_test_verify")
        public = self._signer.public_key()
        if keys.encode_p256(public) != self.cose_key:
            raise SignerError("public_key_changed")
        if not verification.verify(public, other, self._signer.sign(other)):
            raise SignerError("self_test_sign")


class SealedMessage:
    """An opened message: its fields may be believed, its bytes are kept for evidence."""

    def __init__(self, raw: bytes, fields: "dict[int, Any]", digest: bytes) -> None:
        self.raw = raw
        self.fields = fields
        self.hash = digest


def unverified(raw: bytes, typ: str) -> "dict[int, Any]":
    """What a message of this type says, whoever signed it."""
    sign1 = cose.split(raw)
    if sign1.typ != typ:
        raise ProtocolError("type_not_allowed")
    return messages.decode(typ, sign1.payload)


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
    if not verification.verify(public, digest, sign1.signature):
        raise ProtocolError("signature_invalid")
    return SealedMessage(raw, fields, digest)


def _sha256(message: bytes) -> bytes:
    digest: bytes = hashlib.sha256(message).digest()
    return digest
