"""COSE_Key (RFC 9052 §7) of public keys and their thumbprints (RFC 9679).

A key is known everywhere by its thumbprint, the SHA-256 of its required members in deterministic CBOR. The
`kid` in a message is only the thumbprint's first eight bytes: it selects a key, it proves nothing.
"""

import hashlib

from meter_protocol import cbor, cose
from meter_protocol.errors import EncodeError, ProtocolError

MAX_SIZE = 128
"""A P-256 key takes 75 bytes, an Ed25519 key 42."""

_KTY = 1
_CRV = -1
_X = -2
_Y = -3
_KTY_OKP = 1
_KTY_EC2 = 2
_CRV_P256 = 1
_CRV_ED25519 = 6
_P256_PRIME = b"\xff\xff\xff\xff\0\0\0\1" + bytes(12) + b"\xff" * 12
"""FIPS 186-5: 2^256 - 2^224 + 2^192 + 2^96 - 1."""


def encode_p256(public: bytes) -> bytes:
    """COSE_Key of a P-256 point given as x || y, 32 bytes each."""
    if len(public) != 64:
        raise EncodeError("a P-256 public key is 64 bytes, x || y")
    return cbor.dumps({_KTY: _KTY_EC2, _CRV: _CRV_P256, _X: public[:32], _Y: public[32:]})


def encode_ed25519(public: bytes) -> bytes:
    if len(public) != 32:
        raise EncodeError("an Ed25519 public key is 32 bytes")
    return cbor.dumps({_KTY: _KTY_OKP, _CRV: _CRV_ED25519, _X: public})


def decode(cose_key: bytes) -> "tuple[int, bytes]":
    """(COSE algorithm, public key bytes): x || y for ES256, the 32 bytes of RFC 8032 for EdDSA.

    Whether the bytes are a point of the curve is for the cryptographic library to say. It may reduce a coordinate
    that is not below the prime; here that is refused, or one key would have several thumbprints.
    """
    members = cbor.loads(cose_key, MAX_SIZE)
    if not isinstance(members, dict):
        raise ProtocolError("cose_key")
    x = members.get(_X)
    if not isinstance(x, bytes) or len(x) != 32:
        raise ProtocolError("cose_key")
    kind = (members.get(_KTY), members.get(_CRV))
    # true == 1 in Python: without this, one key would have several encodings and so several thumbprints.
    if isinstance(kind[0], bool) or isinstance(kind[1], bool):
        raise ProtocolError("cose_key")
    if kind == (_KTY_OKP, _CRV_ED25519) and len(members) == 3:
        return cose.EDDSA, x
    y = members.get(_Y)
    if kind != (_KTY_EC2, _CRV_P256) or len(members) != 4 or not isinstance(y, bytes) or len(y) != 32:
        raise ProtocolError("cose_key")
    if x < _P256_PRIME and y < _P256_PRIME:
        return cose.ES256, x + y
    raise ProtocolError("cose_key")


def thumbprint(cose_key: bytes) -> bytes:
    """32 bytes. `cose_key` holds only required members, so its own bytes are what RFC 9679 §3 hashes."""
    decode(cose_key)
    return hashlib.sha256(cose_key).digest()


def kid_of(key_thumbprint: bytes) -> bytes:
    return key_thumbprint[: cose.KID_SIZE]
