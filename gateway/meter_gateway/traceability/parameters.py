"""The sealed parameter set that a meter applied, decoded, and whether an authority of ours signed it.

The set travels whole inside the parameters_applied event (SPEC §6, §7), so that whoever has the chain has the
units and scales of its readings. What is not a valid set, or is not signed for this meter by a configured
authority, is a finding for every reading under it and not a reason to forget it: the meter did apply it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from meter_gateway import signatures
from meter_gateway.model import Fields
from meter_gateway.validated_toml import ConfigError
from meter_protocol import chain, cose, keys, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_protocol.quantities import BY_CODE, Quantity

AuthorityKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
AuthorityKeys = Mapping[bytes, AuthorityKey]
"""Public keys of parameter authorities by kid."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel as the set declares it; `quantity` None if this gateway does not know its code."""

    id: int
    quantity: Quantity | None
    kind: int
    exponent: int
    ratio: int
    serial: str | None
    operating_point: int | None
    extremes: bool
    scale: tuple[int | str | None, ...]
    """What a register's total depends on: a total is comparable only with one of the same scale."""


@dataclass(frozen=True, slots=True)
class ParameterSet:
    version: int
    channels: tuple[Channel, ...]


def load_authority_key(path: Path) -> tuple[bytes, AuthorityKey]:
    """(kid, public key) of a PEM file."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(path, "", "is not a PEM public key", "export it with: openssl pkey -pubout") from None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        numbers = key.public_numbers()
        cose_key = keys.encode_p256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))
        return keys.kid_of(keys.thumbprint(cose_key)), key
    if isinstance(key, ed25519.Ed25519PublicKey):
        cose_key = keys.encode_ed25519(key.public_bytes_raw())
        return keys.kid_of(keys.thumbprint(cose_key)), key
    raise ConfigError(path, "", "is neither a P-256 nor an Ed25519 key", "use the authority's public key")


def message_hash(raw: bytes) -> bytes | None:
    """The hash that the meter's context digest covers; None if `raw` is no message at all."""
    try:
        parts = cose.split(raw)
    except ProtocolError:
        return None
    return chain.message_hash(parts.protected, parts.payload)


def decode(raw: bytes) -> ParameterSet | None:
    """The set, or None if `raw` is not one that the protocol allows."""
    try:
        parts = cose.split(raw)
        if parts.typ != t.PARAMETER_SET:
            return None
        fields = messages.decode(t.PARAMETER_SET, parts.payload)
    except ProtocolError:
        return None
    instruments = fields[f.INSTRUMENTS]
    channels = tuple(_channel(entry, instruments[entry[f.CHANNEL_INSTRUMENT]]) for entry in fields[f.CHANNELS])
    return ParameterSet(fields[f.SET_VERSION], channels)


def _channel(entry: Fields, instrument: Fields) -> Channel:
    serial = instrument[f.INSTRUMENT_SERIAL]
    scale = (
        serial,
        entry[f.CHANNEL_INDICATION],
        entry[f.CHANNEL_QUANTITY],
        entry[f.CHANNEL_EXPONENT],
        entry[f.CHANNEL_RATIO],
    )
    return Channel(
        id=entry[f.CHANNEL_ID],
        quantity=BY_CODE.get(entry[f.CHANNEL_QUANTITY]),
        kind=entry[f.CHANNEL_KIND],
        exponent=entry[f.CHANNEL_EXPONENT],
        ratio=entry[f.CHANNEL_RATIO],
        serial=serial,
        operating_point=entry[f.CHANNEL_OPERATING_POINT],
        extremes=entry[f.CHANNEL_EXTREMES],
        scale=scale,
    )


def is_authorised(raw: bytes, thumbprint: bytes, authorities: AuthorityKeys) -> bool:
    """Is this a parameter set for this very meter, signed by one of the authorities?

    1. The kid selects an authority; it proves nothing.
    2. The signature verifies under that authority's key and algorithm (RFC 9052 §4.4; low-S only).
    3. The set names this meter: a set that was signed for another one is not a permission.
    Deliberately absent: the set's time. When it was signed does not matter, its version does.
    """
    try:
        parts = cose.split(raw)
        fields = messages.decode(t.PARAMETER_SET, parts.payload)
    except ProtocolError:
        return False
    key = authorities.get(parts.kid)
    if key is None or parts.typ != t.PARAMETER_SET or fields[f.METER] != thumbprint:
        return False
    if isinstance(key, ed25519.Ed25519PublicKey):
        message = cose.to_be_signed(parts.protected, parts.payload)
        return parts.alg == cose.EDDSA and signatures.ed25519_verifies(key, message, parts.signature)
    if parts.alg != cose.ES256 or signatures.p256_fault(parts.signature) is not None:
        return False
    digest = chain.message_hash(parts.protected, parts.payload)
    return signatures.p256_verifies(key, digest, parts.signature)


def findings(raw: bytes, thumbprint: bytes, authorities: AuthorityKeys) -> list[str]:
    """What is to be held against every reading under this set."""
    codes = ["parameters_invalid"] if decode(raw) is None else []
    if not is_authorised(raw, thumbprint, authorities):
        codes.append("parameters_unauthorised")
    return codes
