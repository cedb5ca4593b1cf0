"""Keys of the bench: the authority, the gateway's receipts, its clock, and strangers. Each run makes its own."""

import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from meter_protocol import cose, keys, messages

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""SEC 2 v2 §2.4.2."""


class SigningKey:
    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        numbers = self._private.public_key().public_numbers()
        self.cose_key = keys.encode_p256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))
        self.kid = keys.kid_of(keys.thumbprint(self.cose_key))

    def seal(self, typ: str, fields: Mapping[int, Any], kid: bytes | None = None) -> bytes:
        """The signed message; another's `kid` makes it a forgery."""
        payload = messages.encode(typ, dict(fields))
        protected = cose.protected_header(cose.ES256, kid or self.kid, typ)
        digest = hashlib.sha256(cose.to_be_signed(protected, payload)).digest()
        r, s = decode_dss_signature(self._private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        s = min(s, P256_ORDER - s)
        return cose.assemble(protected, payload, r.to_bytes(32, "big") + s.to_bytes(32, "big"))
