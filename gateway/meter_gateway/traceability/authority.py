"""The authorities whose word counts: their public keys, and whether one of them signed a message.

Two kinds of authority stand outside every gateway: one says what meters measure (parameters.py), the other what
software they run (software.py). Each has keys of its own; a key file says whose it is, as far as we wrote it.
"""

from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from meter_gateway import signatures
from meter_gateway.sealing import stated_role
from meter_gateway.validated_toml import ConfigError
from meter_protocol import chain, cose, keys

AuthorityKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
AuthorityKeys = Mapping[bytes, AuthorityKey]
"""Public keys of authorities of one kind, by kid."""


def load_authority_key(path: Path, role: str | None = None) -> tuple[bytes, AuthorityKey]:
    """(kid, public key) of a PEM file; ConfigError if the file says that it is of another `role`."""
    pem = path.read_bytes()
    stated = stated_role(pem)
    if role is not None and stated not in (None, role):
        raise ConfigError(path, "", f"is a key in the role of {stated}, not {role}", "one key has one role")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(path, "", "is not a PEM public key", "export it with: openssl pkey -pubout") from None
    is_p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not isinstance(key, AuthorityKey) or not (is_p256 or isinstance(key, ed25519.Ed25519PublicKey)):
        raise ConfigError(path, "", "is neither a P-256 nor an Ed25519 key", "use the authority's public key")
    return keys.kid_of(keys.thumbprint(encode_public_key(key))), key


def encode_public_key(key: AuthorityKey) -> bytes:
    """As COSE_Key (SPEC §3.3)."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return keys.encode_ed25519(key.public_bytes_raw())
    numbers = key.public_numbers()
    return keys.encode_p256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))


def is_signed(parts: cose.Sign1, authorities: AuthorityKeys) -> bool:
    """Does the signature verify under one of these keys and that key's algorithm (RFC 9052 §4.4; low-S only)?"""
    key = authorities.get(parts.kid)
    if key is None:
        return False
    if isinstance(key, ed25519.Ed25519PublicKey):
        message = cose.to_be_signed(parts.protected, parts.payload)
        return parts.alg == cose.EDDSA and signatures.ed25519_verifies(key, message, parts.signature)
    if parts.alg != cose.ES256 or signatures.p256_fault(parts.signature) is not None:
        return False
    digest = chain.message_hash(parts.protected, parts.payload)
    return signatures.p256_verifies(key, digest, parts.signature)
