"""The two signature algorithms of the protocol over `cryptography`, and nothing that needs to know a message.

ES256 (RFC 9053 §2.1 on P-256) is what meters and gateways sign with; EdDSA on Ed25519 (RFC 9053 §2.2) is
verified too. Malleability policy: an ES256 signature is 64 bytes r || s with r in [1, n-1] and s in [1, n/2].
Of the two signatures (r, s) and (r, n-s) that verify equally, only the low one is accepted, and only the low
one is made. Ed25519 needs no rule of ours: RFC 8032 §5.1.7 already demands S below the group's order.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""n of SEC 2 v2 §2.4.2."""

_HALF_ORDER = P256_ORDER // 2
# Big-endian numbers of one size compare as their bytes do, which spares the hot path two conversions.
_ZERO_BYTES = bytes(32)
_ORDER_BYTES = P256_ORDER.to_bytes(32, "big")
_HALF_ORDER_BYTES = _HALF_ORDER.to_bytes(32, "big")

_DIGEST = ec.ECDSA(Prehashed(SHA256()))
_DETERMINISTIC = ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True)


def p256_public_key(point: bytes) -> ec.EllipticCurvePublicKey:
    """The key of x || y; ValueError if that is not a point of the curve."""
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)


def ed25519_public_key(public: bytes) -> ed25519.Ed25519PublicKey:
    return ed25519.Ed25519PublicKey.from_public_bytes(public)


def p256_fault(signature: bytes) -> str | None:
    """Why 64 bytes cannot be an acceptable ES256 signature under any key, or None."""
    r, s = signature[:32], signature[32:]
    if not (_ZERO_BYTES < r < _ORDER_BYTES and _ZERO_BYTES < s < _ORDER_BYTES):
        return "signature_range"
    return None if s <= _HALF_ORDER_BYTES else "signature_high_s"


def p256_verifies(key: ec.EllipticCurvePublicKey, digest: bytes, signature: bytes) -> bool:
    """Does r || s sign this SHA-256 digest? The caller has asked `p256_fault` before."""
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, digest, _DIGEST)
    except InvalidSignature:
        return False
    return True


def ed25519_verifies(key: ed25519.Ed25519PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def p256_sign(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """r || s by RFC 6979, low-S."""
    r, s = decode_dss_signature(key.sign(digest, _DETERMINISTIC))
    return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")
