"""The part of the vector file that must be refused: named attacks, each with the one reason it gives.

`refused` fails before any signature is looked at, and every reason of SPEC §11.1 occurs in it. `unauthentic`
is well-formed and fails at the signature or at the key, with the reasons of SPEC §11.2.
"""

from collections.abc import Iterator
from typing import Any

from meter_protocol import cbor, cose, merkle, messages
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.annotated import head
from meter_tools.vector_scenario import P256_ORDER, Fields, Scenario, Sealed, raw_signature

Parts = list[tuple[bytes, int]]


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


Attack = tuple[str, str, bytes | Parts, str]


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


def payload_attacks(scenario: Scenario) -> Iterator[Attack]:
    good = scenario.by_name["readings"]
    identity, boot = scenario.by_name["identity"], scenario.by_name["event boot"]
    parameters = scenario.by_name["parameter-set"]

    def readings(entry: Any) -> Fields:
        return {f.READINGS: {1: entry}}

    def parameters_with(key: int, place: int, **change: int | None) -> Fields:
        entries = [dict(entry) for entry in parameters.fields[key]]
        entries[place].update({getattr(f, name): value for name, value in change.items()})
        return {key: entries}

    for name, sealed, change, reason in (
        ("version 2", good, {f.VERSION: 2}, "unknown_version"),
        ("version true", good, {f.VERSION: True}, "unknown_version"),
        ("version as text", good, {f.VERSION: "1"}, "unknown_version"),
        ("version 2 with an additional field", good, {f.VERSION: 2, 99: 0}, "unknown_version"),
        ("no version", good, {f.VERSION: ...}, "field_missing"),
        ("no sequence", good, {f.SEQUENCE: ...}, "field_missing"),
        ("an additional field", good, {13: 0}, "field_unknown"),
        ("an additional field with a negative key", good, {-1: 0}, "field_unknown"),
        ("epoch of 7 bytes", good, {f.EPOCH: bytes(7)}, "field_value"),
        ("epoch as text", good, {f.EPOCH: "00000000"}, "field_value"),
        ("sequence negative", good, {f.SEQUENCE: -1}, "field_value"),
        ("sequence true", good, {f.SEQUENCE: True}, "field_value"),
        ("sequence null", good, {f.SEQUENCE: None}, "field_value"),
        ("readings at sequence 0", good, {f.SEQUENCE: 0}, "field_value"),
        ("clock status 4", good, {f.CLOCK_STATUS: 4}, "field_value"),
        ("synchronised without uncertainty", good, {f.CLOCK_UNCERTAINTY_MS: None}, "field_value"),
        ("relative with uncertainty", good, {f.CLOCK_STATUS: f.CLOCK_RELATIVE}, "field_value"),
        ("kind 3", good, {f.KIND: 3}, "field_value"),
        ("duration negative", good, {f.DURATION_MS: -1}, "field_value"),
        ("no readings", good, {f.READINGS: {}}, "field_value"),
        ("readings as an array", good, {f.READINGS: [[0, 1]]}, "field_value"),
        ("channel 0", good, {f.READINGS: {0: [0, 1]}}, "field_value"),
        ("channel 65536", good, {f.READINGS: {65536: [0, 1]}}, "field_value"),
        ("65 channels", good, {f.READINGS: {i: [0, 1] for i in range(1, 66)}}, "field_value"),
        ("reading not an array", good, readings(5), "field_value"),
        ("reading of 1", good, readings([0]), "field_value"),
        ("reading of 6", good, readings([0, 2, 2, 1, 0, 1]), "field_value"),
        ("reading of 8", good, readings([0, 2, 2, 1, 0, 1, 1, 1]), "field_value"),
        ("status 256", good, readings([256, 1]), "field_value"),
        ("good but null", good, readings([0, None]), "field_value"),
        ("total negative", good, readings([0, -1]), "field_value"),
        ("total false", good, readings([0, False]), "field_value"),
        ("total as text", good, readings([0, "1"]), "field_value"),
        ("raw null", good, readings([0, 1, None]), "field_value"),
        ("not read, yet a total", good, readings([1, 1, 1, 1]), "field_value"),
        ("mean of no sample", good, readings([1, 0, 15, 3, None]), "field_value"),
        ("no mean of two samples", good, readings([0, 2, 15, None, None]), "field_value"),
        ("s of one sample", good, readings([0, 1, 15, 3, 0]), "field_value"),
        ("s negative", good, readings([0, 2, 15, 3, -1]), "field_value"),
        ("mean above the maximum", good, readings([0, 2, 2, 9, 1, 0, 8]), "field_value"),
        ("no sample, yet good", good, readings([0, 0, 15, None, None]), "field_value"),
        ("second identity in an epoch", identity, {f.SEQUENCE: 5}, "field_value"),
        ("identity with a previous hash", identity, {f.PREVIOUS: b"\1" * 32}, "field_value"),
        ("identity with a context", identity, {f.CONTEXT: b"\1" * 16}, "field_value"),
        ("identity without a key", identity, {f.PUBLIC_KEY: b"\xa0"}, "field_value"),
        ("serial empty", identity, {f.SERIAL: ""}, "field_value"),
        ("serial of 65 bytes", identity, {f.SERIAL: "é" * 32 + "x"}, "field_value"),
        ("event 0", boot, {f.EVENT_CODE: 0}, "field_value"),
        ("event 14", boot, {f.EVENT_CODE: len(ev.NAMES) + 1}, "field_value"),
        ("details null", boot, {f.DETAILS: None}, "field_value"),
        ("details empty", boot, {f.DETAILS: {}}, "field_missing"),
        ("details of another event", boot, {f.EVENT_CODE: ev.CLOCK_SET}, "field_missing"),
        ("details with more", boot, {f.DETAILS: {**boot.fields[f.DETAILS], 3: "x"}}, "field_unknown"),
        ("channel id twice", parameters, parameters_with(f.CHANNELS, 1, CHANNEL_ID=1), "field_value"),
        (
            "channel of no instrument",
            parameters,
            parameters_with(f.CHANNELS, 0, CHANNEL_INSTRUMENT=2),
            "field_value",
        ),
        ("ratio 0", parameters, parameters_with(f.CHANNELS, 0, CHANNEL_RATIO=0), "field_value"),
        ("exponent 19", parameters, parameters_with(f.CHANNELS, 0, CHANNEL_EXPONENT=19), "field_value"),
        ("extremes as 0", parameters, parameters_with(f.CHANNELS, 0, CHANNEL_EXTREMES=0), "field_value"),
        (
            "nine receipt keys",
            parameters,
            {f.RECEIPT_KEYS: parameters.fields[f.RECEIPT_KEYS] * 9},
            "field_value",
        ),
        ("receipt key that is none", parameters, {f.RECEIPT_KEYS: [b"\0" * 77]}, "field_value"),
    ):
        yield sealed.typ, name, cbor.dumps(changed(sealed.fields, change)), reason
    yield "no-such-type", "unknown type", good.payload, "unknown_type"
    yield good.typ, "an array", b"\x80", "field_value"
    bomb: Parts = [(bytes.fromhex("991d00"), 1), (b"\x80", 0x1D00)]
    yield parameters.typ, "7424 empty arrays", bomb, "cbor_too_many_objects"


def changed(fields: Fields, change: dict[int, Any]) -> Fields:
    """A copy with some fields replaced; `...` leaves one out."""
    both = {**fields, **change}
    return {key: both[key] for key in both if both[key] is not ...}


def uplink_attacks(scenario: Scenario) -> Iterator[Attack]:
    verdict = messages.decode_verdict(scenario.verdicts[1])
    attempts: list[tuple[str, Fields, str]] = [
        ("verdict of version 2", {f.VERSION: 2}, "unknown_version"),
        ("acceptance true", {f.VERDICT_ACCEPTANCE: True}, "field_value"),
        ("acceptance 2", {f.VERDICT_ACCEPTANCE: 2}, "field_value"),
        ("no findings", {f.VERDICT_FINDINGS: ...}, "field_missing"),
        ("finding without a channel", {f.VERDICT_FINDINGS: [["range"]]}, "field_value"),
        ("449 findings", {f.VERDICT_FINDINGS: [["a", None]] * 449}, "field_value"),
        ("an additional field", {16: 0}, "field_unknown"),
    ):
        yield "verdict", name, cbor.dumps(changed(verdict, change)), reason
    envelope: Fields = {0: 1, 1: b"m", 2: b"v", 3: b"b", 4: 0, 5: []}
    for name, other, reason in (
        ("envelope of version 0", {f.VERSION: 0}, "unknown_version"),
        ("empty message", {f.ENVELOPE_MESSAGE: b""}, "field_value"),
        ("path of 33", {f.ENVELOPE_PATH: [bytes(32)] * 33}, "field_value"),
        ("path of 31 bytes", {f.ENVELOPE_PATH: [bytes(31)]}, "field_value"),
        ("index -1", {f.ENVELOPE_INDEX: -1}, "field_value"),
        ("no batch", {f.ENVELOPE_BATCH: ...}, "field_missing"),
    ):
        yield "envelope", name, cbor.dumps(changed(envelope, other)), reason


def key_attacks(scenario: Scenario) -> Iterator[Attack]:
    ec2 = cbor.loads(scenario.key("meter").cose_key)
    okp = cbor.loads(scenario.key("meter, ed25519").cose_key)
    for name, members, change in (
        ("a private key", ec2, {-4: bytes(32)}),
        ("with its algorithm", ec2, {3: cose.ES256}),
        ("crv true", ec2, {-1: True}),
        ("kty true", okp, {1: True}),
        ("P-384", ec2, {-1: 2}),
        ("compressed point", ec2, {-3: True}),
        ("x of 31 bytes", ec2, {-2: bytes(31)}),
        ("no y", ec2, {-3: ...}),
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
        ("a signature bit flipped", signed(flipped), "bad_signature"),
        (
            "a payload bit flipped",
            good.raw.replace(good.payload, flip_last_bit(good.payload)),
            "bad_signature",
        ),
        ("the typ exchanged", cose.assemble(event, sign1.payload, sign1.signature), "bad_signature"),
        ("high-S twin", signed(raw_signature(r, P256_ORDER - s)), "high_s"),
        ("r is 0", signed(raw_signature(0, s)), "bad_signature"),
        ("s is 0", signed(raw_signature(r, 0)), "bad_signature"),
        ("r and s are 0", signed(bytes(64)), "bad_signature"),
        ("r is n", signed(raw_signature(P256_ORDER, s)), "bad_signature"),
        ("r is r + n", signed(raw_signature((r + P256_ORDER) % 2**256, s)), "bad_signature"),
        ("s is n", signed(raw_signature(r, P256_ORDER)), "high_s"),
        ("all ones", signed(b"\xff" * 64), "high_s"),
        (
            "EdDSA in the header of a P-256 key",
            under("meter", t.READINGS, good.payload, cose.EDDSA),
            "wrong_algorithm",
        ),
        ("a receipt signed by the meter", under("meter", t.RECEIPT, receipt.payload), "wrong_type_for_role"),
        ("readings signed by the gateway", under("receipt", t.READINGS, good.payload), "wrong_type_for_role"),
        (
            "a receipt signed by the clock key",
            under("clock", t.RECEIPT, receipt.payload),
            "wrong_type_for_role",
        ),
    )
    return [{"name": name, "message": raw.hex(), "reason": reason} for name, raw, reason in attempts]


def flip_last_bit(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])
