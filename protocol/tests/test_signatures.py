"""What the signature covers and which signatures count (SPEC §2), with the vectors' keys and a plain verifier.

The verifier here follows SPEC §3 step by step; the gateway's and the meter's are tested on the same vectors.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from meter_protocol import chain, cose, keys
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "v1.json").read_text())
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KEYS = {bytes.fromhex(key["kid"]): key for key in VECTORS["keys"]}


def refusal(raw: bytes) -> str | None:
    """The first reason against a message, or None if its signature is good and its key may sign its type."""
    try:
        sign1 = cose.split(raw)
    except ProtocolError as error:
        return error.reason
    key = KEYS.get(sign1.kid)
    if key is None:
        return "unknown_key"
    alg, public = keys.decode(bytes.fromhex(key["cose_key"]))
    if alg != sign1.alg:
        return "algorithm_mismatch"
    if t.ROLE_OF_TYPE.get(sign1.typ) != key["role"]:
        return "type_not_allowed"
    to_be_signed = cose.to_be_signed(sign1.protected, sign1.payload)
    try:
        if alg == cose.ES256:
            r, s = (int.from_bytes(half, "big") for half in (sign1.signature[:32], sign1.signature[32:]))
            if not (0 < r < ORDER and 0 < s < ORDER):
                return "signature_range"
            if s > ORDER // 2:
                return "signature_high_s"
            x, y = (int.from_bytes(half, "big") for half in (public[:32], public[32:]))
            point = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            point.verify(encode_dss_signature(r, s), to_be_signed, ec.ECDSA(hashes.SHA256()))
        else:
            ed25519.Ed25519PublicKey.from_public_bytes(public).verify(sign1.signature, to_be_signed)
    except InvalidSignature:
        return "signature_invalid"
    return None


def message(name: str) -> bytes:
    return next(bytes.fromhex(vector["message"]) for vector in VECTORS["messages"] if vector["name"] == name)


def test_every_vector_is_authentic() -> None:
    for vector in VECTORS["messages"]:
        assert refusal(bytes.fromhex(vector["message"])) is None, vector["name"]


@pytest.mark.parametrize("vector", VECTORS["unauthentic"], ids=lambda vector: vector["name"])
def test_unauthentic(vector: dict[str, Any]) -> None:
    assert refusal(bytes.fromhex(vector["message"])) == vector["reason"]


def test_every_single_bit_flip_is_refused() -> None:
    raw = message("readings")
    reasons = set()
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << (bit % 8)
        reason = refusal(bytes(flipped))
        assert reason, f"bit {bit}"
        reasons.add(reason)
    assert {"signature_invalid", "signature_high_s", "unknown_key", "cose_algorithm", "cose_not_sign1"} <= reasons


def test_every_cut_is_refused() -> None:
    raw = message("readings")
    for end in range(len(raw)):
        assert refusal(raw[:end]), end


def test_hash_of_a_message_leaves_the_signature_out_and_nothing_else() -> None:
    sign1 = cose.split(message("readings"))
    digest = chain.message_hash(sign1.protected, sign1.payload)
    other = chain.message_hash(sign1.protected, sign1.payload[:-1] + bytes([sign1.payload[-1] ^ 1]))
    another_type = cose.protected_header(sign1.alg, sign1.kid, t.EVENT)
    assert len({digest, other, chain.message_hash(another_type, sign1.payload)}) == 3


def test_a_type_cannot_be_exchanged_under_a_signature() -> None:
    """Each message with every other type's protected header: the signature says no, not the schema alone."""
    for vector in VECTORS["messages"]:
        sign1 = cose.split(bytes.fromhex(vector["message"]))
        for typ in t.ROLE_OF_TYPE:
            if typ != sign1.typ:
                protected = cose.protected_header(sign1.alg, sign1.kid, typ)
                moved = cose.assemble(protected, sign1.payload, sign1.signature)
                expected = ("signature_invalid", "type_not_allowed", "cose_too_large")
                assert refusal(moved) in expected, (vector["name"], typ)
                assert chain.message_hash(protected, sign1.payload) != bytes.fromhex(vector["hash"])
