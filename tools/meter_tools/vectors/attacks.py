"""The part of the vector file that must be refused: named attacks, each with the one reason it gives.

`refused` fails before any signature is looked at, and every reason of SPEC §11.1 occurs in it. `unauthentic`
is well-formed and fails at the signature or at the key, with the reasons of SPEC §11.2.
"""

from collections.abc import Iterator
from typing import Any

from meter_protocol import cbor, cose, merkle
from meter_protocol import types as t
from meter_tools.vectors.annotated import head
from meter_tools.vectors.field_attacks import Attack, changed, payload_attacks, uplink_attacks
from meter_tools.vectors.sealing import P256_ORDER, P256_PRIME, Scenario, Sealed, raw_signature


def refused(scenario: Scenario) -> list[dict[str, Any]]:
    found = [
        *cbor_attacks(),
        *cose_attacks(scenario),
        *sequence_attacks(scenario),
        *payload_attacks(scenario),
        *uplink_attacks(scenario),
        *key_attacks(scenario),
    ]
    vectors = []
    for decoder, name, content, reason in found:
        parts = [(content, 1)] if isinstance(content, bytes) else content
        vectors.append(
            {
                "name": name,
                "decoder": decoder,
                "bytes": [[piece.hex(), times] for piece, times in parts],
                "reason": reason,
            }
        )
    return [*vectors, *merkle_attacks(scenario)]


def cbor_attacks() -> Iterator[Attack]:
    for name, hexadecimal, reason in (
        ("nothing at all", "", "cbor_truncated"),
        ("head cut short", "19 01", "cbor_truncated"),
        ("byte string cut short", "43 0102", "cbor_truncated"),
        ("array cut short", "82 01", "cbor_truncated"),
        ("map without its last value", "a1 01", "cbor_truncated"),
        ("array that announces 2^63 items", "9b 7fffffffffffffff", "cbor_truncated"),
        ("map that announces 2^64-1 pairs", "bb ffffffffffffffff", "cbor_truncated"),
        ("a second item", "00 00", "cbor_trailing_bytes"),
        ("23 in two bytes", "18 17", "cbor_non_shortest"),
        ("0 in nine bytes", "1b 0000000000000000", "cbor_non_shortest"),
        ("-1 in three bytes", "39 0000", "cbor_non_shortest"),
        ("length in two bytes", "58 01 00", "cbor_non_shortest"),
        ("false in two bytes", "f8 14", "cbor_simple_value"),
        ("keys 1, 0", "a2 01 00 00 00", "cbor_unsorted_keys"),
        ("keys -1, 24: shorter first, RFC 7049", "a2 20 00 18 18 00", "cbor_unsorted_keys"),
        ("key 0 twice", "a2 00 01 00 02", "cbor_duplicate_key"),
        ("indefinite array", "9f ff", "cbor_indefinite_length"),
        ("indefinite text", "7f 61 61 ff", "cbor_indefinite_length"),
        ("a break alone", "ff", "cbor_indefinite_length"),
        ("half-precision 1.0", "f9 3c00", "cbor_float"),
        ("single-precision NaN", "fa 7fc00000", "cbor_float"),
        ("double-precision 1.1", "fb 3ff199999999999a", "cbor_float"),
        ("bignum", "c2 49 010000000000000000", "cbor_tag"),
        ("self-described CBOR", "d9 d9f7 00", "cbor_tag"),
        ("undefined", "f7", "cbor_simple_value"),
        ("simple(255)", "f8 ff", "cbor_simple_value"),
        ("2^63", "1b 8000000000000000", "cbor_integer_range"),
        ("-2^63 - 1", "3b 8000000000000000", "cbor_integer_range"),
        ("text as a key", "a1 61 61 00", "cbor_key_type"),
        ("false as a key", "a1 f4 00", "cbor_key_type"),
        ("array as a key", "a1 80 00", "cbor_key_type"),
        ("a surrogate in UTF-8", "63 eda080", "cbor_invalid_utf8"),
        ("overlong NUL", "62 c080", "cbor_invalid_utf8"),
        ("overlong NUL in three bytes", "63 e08080", "cbor_invalid_utf8"),
        ("overlong NUL in four bytes", "64 f0808080", "cbor_invalid_utf8"),
        ("beyond U+10FFFF", "64 f4908080", "cbor_invalid_utf8"),
        ("half a character", "61 c3", "cbor_invalid_utf8"),
        ("additional information 28", "1c", "cbor_reserved"),
        ("additional information 30", "fe", "cbor_reserved"),
        ("nine arrays in each other", "81 81 81 81 81 81 81 81 81 00", "cbor_too_deep"),
    ):
        yield "cbor", name, bytes.fromhex(hexadecimal), reason
    yield "cbor", "8193 bytes", [(bytes.fromhex("591ffe"), 1), (b"\x00", 8190)], "cbor_too_large"


def cose_attacks(scenario: Scenario) -> Iterator[Attack]:
    good = scenario.by_name["readings"]
    sign1 = cose.split(good.raw)
    protected, payload, signature = sign1.protected, sign1.payload, sign1.signature
    kid, typ = sign1.kid, good.typ

    def header(value: Any) -> bytes:
        return cose.assemble(cbor.dumps(value), payload, signature)

    def signed(signature: bytes) -> bytes:
        return cose.assemble(protected, payload, signature)

    in_unprotected = good.raw.replace(protected + b"\xa0", protected + b"\xa1\x04\x48" + kid)
    detached = good.raw.replace(b"\xa0" + head(0x40, len(payload)) + payload, b"\xa0\xf6")
    as_array = b"\xd2\x84" + protected + good.raw[4 + len(protected) :]
    for name, message, reason in (
        ("nothing at all", b"", "cbor_truncated"),
        ("cut in the signature", good.raw[:-1], "cbor_truncated"),
        ("cut in the payload", good.raw[:100], "cbor_truncated"),
        ("a byte after the end", good.raw + b"\x00", "cbor_trailing_bytes"),
        ("twice", good.raw * 2, "cbor_trailing_bytes"),
        ("no tag", good.raw[1:], "cose_not_sign1"),
        ("tag 18 in two bytes", b"\xd8\x12" + good.raw[1:], "cose_not_sign1"),
        ("tag 17, COSE_Mac0", b"\xd1" + good.raw[1:], "cose_not_sign1"),
        ("tag 98, COSE_Sign", b"\xd8\x62" + good.raw[1:], "cose_not_sign1"),
        ("array of 5", b"\xd2\x85" + good.raw[2:] + b"\x00", "cose_structure"),
        ("array of 4 in two bytes", b"\xd2\x98\x04" + good.raw[2:], "cose_structure"),
        ("protected header not wrapped", as_array, "cose_structure"),
        ("detached payload", detached, "cose_structure"),
        ("kid in the unprotected header", in_unprotected, "cose_unprotected_header"),
        ("length of the payload in five bytes", stretched(good), "cbor_non_shortest"),
        ("empty protected header", cose.assemble(b"", payload, signature), "cbor_truncated"),
        ("protected header is empty map", header({}), "cose_protected_header"),
        ("protected header is an array", header([1, -7]), "cose_protected_header"),
        ("no kid", header({1: -7, 16: typ}), "cose_protected_header"),
        ("no typ", header({1: -7, 4: kid}), "cose_protected_header"),
        ("critical header", header({1: -7, 2: [16], 4: kid, 16: typ}), "cose_protected_header"),
        ("content type instead of typ", header({1: -7, 3: typ, 4: kid}), "cose_protected_header"),
        ("protected header of 129 bytes", header({1: -7, 4: kid, 16: "x" * 113}), "cbor_too_large"),
        ("protected header unsorted", reordered_header(good), "cbor_unsorted_keys"),
        ("algorithm none", header({1: 0, 4: kid, 16: typ}), "cose_algorithm"),
        ("algorithm null", header({1: None, 4: kid, 16: typ}), "cose_algorithm"),
        ("algorithm as text", header({1: "ES256", 4: kid, 16: typ}), "cose_algorithm"),
        ("algorithm true", header({1: True, 4: kid, 16: typ}), "cose_algorithm"),
        ("HMAC 256/256", header({1: 5, 4: kid, 16: typ}), "cose_algorithm"),
        ("ES384", header({1: -35, 4: kid, 16: typ}), "cose_algorithm"),
        ("kid of 7 bytes", header({1: -7, 4: kid[:7], 16: typ}), "cose_kid"),
        ("kid of 32 bytes", header({1: -7, 4: good.key.thumbprint, 16: typ}), "cose_kid"),
        ("kid as text", header({1: -7, 4: "meter001", 16: typ}), "cose_kid"),
        ("typ as a number", header({1: -7, 4: kid, 16: 273}), "unknown_type"),
        ("signature of 63 bytes", signed(signature[:63]), "cose_signature_length"),
        (
            "signature of 65 bytes",
            signed(signature + b"\0"),
            "cose_signature_length",
        ),
        ("signature empty", signed(b""), "cose_signature_length"),
        ("signature in DER", signed(der(signature)), "cose_signature_length"),
    ):
        yield "message", name, message, reason
    size = t.MAX_MESSAGE - len(protected)
    before, _, after = cose.assemble(protected, bytes(size), signature).partition(bytes(size))
    yield "message", "larger than 8192 bytes", [(before, 1), (b"\0", size), (after, 1)], "cose_too_large"
    receipt = cose.split(scenario.by_name["receipt"].raw)
    large = cose.assemble(receipt.protected, bytes(t.MAX_STANDALONE), signature)
    yield "message", "receipt larger than its type allows", large, "cose_too_large"


def stretched(sealed: Sealed) -> bytes:
    length = len(sealed.payload)
    long_head = b"\x5a" + length.to_bytes(4, "big")
    return sealed.raw.replace(head(0x40, length) + sealed.payload, long_head + sealed.payload)


def reordered_header(sealed: Sealed) -> bytes:
    """kid before alg: the same map for a tolerant decoder, other bytes under the same signature."""
    sign1 = cose.split(sealed.raw)
    alg, kid, typ = sign1.protected[1:3], sign1.protected[3:13], sign1.protected[13:]
    return cose.assemble(sign1.protected[:1] + kid + alg + typ, sign1.payload, sign1.signature)


def der(signature: bytes) -> bytes:
    """The form in which TLS and X.509 carry the same two integers."""
    integers = b"".join(
        bytes([2, 33]) + b"\0" + part if part[0] & 0x80 else bytes([2, 32]) + part
        for part in (signature[:32], signature[32:])
    )
    return bytes([0x30, len(integers)]) + integers


def sequence_attacks(scenario: Scenario) -> Iterator[Attack]:
    good = scenario.by_name["readings"].raw
    smallest = cose.assemble(b"", b"", b"")
    yield "sequence", "the second message cut short", good + good[:-9], "cbor_truncated"
    yield "sequence", "an integer between two messages", good + b"\x00" + good, "cose_not_sign1"
    yield "sequence", "messages in an array", b"\x82" + good * 2, "cose_not_sign1"
    yield "sequence", "257 messages", [(smallest, cose.MAX_MESSAGES + 1)], "cose_too_many_messages"


def key_attacks(scenario: Scenario) -> Iterator[Attack]:
    ec2 = cbor.loads(scenario.key("meter").cose_key)
    okp = cbor.loads(scenario.key("meter, ed25519").cose_key)
    for name, members, change in (
        ("a private key", ec2, {-4: bytes(32)}),
        ("with its algorithm", ec2, {3: cose.ES256}),
        ("Ed25519 with its algorithm", okp, {3: cose.EDDSA}),
        ("Ed25519 with a y", okp, {-3: bytes(32)}),
        ("crv true", ec2, {-1: True}),
        ("kty true", okp, {1: True}),
        ("P-384", ec2, {-1: 2}),
        ("compressed point", ec2, {-3: True}),
        ("x of 31 bytes", ec2, {-2: bytes(31)}),
        ("no y", ec2, {-3: ...}),
        ("x that is the prime", ec2, {-2: P256_PRIME.to_bytes(32, "big")}),
        ("y that is the prime", ec2, {-3: P256_PRIME.to_bytes(32, "big")}),
        ("OKP on P-256", okp, {-1: 1}),
        ("X25519", okp, {-1: 4}),
        ("symmetric", {1: 4, -1: bytes(32)}, {}),
    ):
        yield "key", name, cbor.dumps(changed(members, change)), "cose_key"
    yield "key", "not a map", b"\x01", "cose_key"
    yield "key", "129 bytes", cbor.dumps({1: 2, -1: bytes(123)}), "cbor_too_large"


def merkle_attacks(scenario: Scenario) -> list[dict[str, Any]]:
    """Proofs for verdict 1 of the batch that do not prove it."""
    levels = merkle.tree(scenario.verdicts)
    count, path = len(scenario.verdicts), merkle.path(levels, 1)
    leaf, other = scenario.verdicts[1], scenario.verdicts[0]
    attempts = (
        ("another leaf", other, 1, count, path),
        ("another place", leaf, 0, count, path),
        ("a place after the end", leaf, count, count, path),
        ("a smaller tree", leaf, 1, count - 1, path[:-1]),
        ("path too short", leaf, 1, count, path[:-1]),
        ("path too long", leaf, 1, count, [*path, path[0]]),
        ("path in the wrong order", leaf, 1, count, path[::-1]),
        ("an inner node for a leaf", levels[0][0] + levels[0][1], 0, count - 1, path[1:]),
    )
    return [
        {
            "name": name,
            "decoder": "merkle",
            "leaf": content.hex(),
            "index": index,
            "count": size,
            "path": [node.hex() for node in siblings],
            "root": merkle.root(levels).hex(),
            "reason": "merkle_path",
        }
        for name, content, index, size, siblings in attempts
    ]


def unauthentic(scenario: Scenario) -> list[dict[str, str]]:
    good, receipt = scenario.by_name["readings"], scenario.by_name["receipt"]
    sign1 = cose.split(good.raw)
    r, s = (int.from_bytes(part, "big") for part in (sign1.signature[:32], sign1.signature[32:]))
    flipped = bytes([sign1.signature[0] ^ 1]) + sign1.signature[1:]

    def signed(signature: bytes) -> bytes:
        return cose.assemble(sign1.protected, sign1.payload, signature)

    def under(key: str, typ: str, payload: bytes, alg: int = cose.ES256) -> bytes:
        """Well signed by `key`, whatever it may sign."""
        signer = scenario.key(key)
        protected = cose.protected_header(alg, signer.kid, typ)
        return cose.assemble(protected, payload, signer.sign(cose.to_be_signed(protected, payload)))

    event = cose.protected_header(cose.ES256, good.key.kid, t.EVENT)
    attempts = (
        ("a signature bit flipped", signed(flipped), "signature_invalid"),
        (
            "a payload bit flipped",
            good.raw.replace(good.payload, flip_last_bit(good.payload)),
            "signature_invalid",
        ),
        ("the typ exchanged", cose.assemble(event, sign1.payload, sign1.signature), "signature_invalid"),
        ("high-S twin", signed(raw_signature(r, P256_ORDER - s)), "signature_high_s"),
        ("r is 0", signed(raw_signature(0, s)), "signature_range"),
        ("s is 0", signed(raw_signature(r, 0)), "signature_range"),
        ("r and s are 0", signed(bytes(64)), "signature_range"),
        ("r is n", signed(raw_signature(P256_ORDER, s)), "signature_range"),
        ("r and s exchanged", signed(raw_signature(s, min(r, P256_ORDER - r))), "signature_invalid"),
        ("s is n", signed(raw_signature(r, P256_ORDER)), "signature_range"),
        ("all ones", signed(b"\xff" * 64), "signature_range"),
        (
            "EdDSA in the header of a P-256 key",
            under("meter", t.READINGS, good.payload, cose.EDDSA),
            "algorithm_mismatch",
        ),
        ("a receipt signed by the meter", under("meter", t.RECEIPT, receipt.payload), "type_not_allowed"),
        ("readings signed by the gateway", under("receipt", t.READINGS, good.payload), "type_not_allowed"),
        (
            "a receipt signed by the clock key",
            under("clock", t.RECEIPT, receipt.payload),
            "type_not_allowed",
        ),
    )
    return [{"name": name, "message": raw.hex(), "reason": reason} for name, raw, reason in attempts]


def flip_last_bit(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])
