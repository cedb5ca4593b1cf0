"""Messages that must be rejected, one builder for each attack and next to it the reason that it must get.

An attack is built from a message that would be accepted as it is, by changing one thing. Those in `signed` are
signed by the meter's own key: there the signature is good, and the form or the content is not.
"""

from collections.abc import Callable
from typing import NamedTuple

import cbor2
from scene import Scene, resigned

from meter_gateway.model import Fields
from meter_gateway.signatures import P256_ORDER
from meter_protocol import cbor, chain, cose
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import SimulatedMeter


class Attack(NamedTuple):
    reason: str
    build: Callable[[Scene], bytes]


ATTACKS: dict[str, Attack] = {}


def attack(reason: str) -> Callable[[Callable[[Scene], bytes]], Callable[[Scene], bytes]]:
    """The function's name is the attack's."""

    def register(build: Callable[[Scene], bytes]) -> Callable[[Scene], bytes]:
        ATTACKS[build.__name__] = Attack(reason, build)
        return build

    return register


def parts(scene: Scene) -> cose.Sign1:
    return cose.split(scene.meter.readings())


# The signature


@attack("signature_invalid")
def signature_bit_flipped(scene: Scene) -> bytes:
    raw = bytearray(scene.meter.readings())
    raw[-1] ^= 1
    return bytes(raw)


@attack("signature_invalid")
def reading_changed(scene: Scene) -> bytes:
    raw = scene.meter.readings()
    at = raw.index(cbor2.dumps(scene.meter.totals[1]))
    return raw[:at] + cbor2.dumps(scene.meter.totals[1] + 1) + raw[at + len(cbor2.dumps(scene.meter.totals[1])) :]


@attack("signature_invalid")
def signature_of_another_message(scene: Scene) -> bytes:
    return scene.meter.readings()[:-64] + scene.meter.readings()[-64:]


@attack("signature_invalid")
def meter_swapped(scene: Scene) -> bytes:
    """One meter's reading under another meter's name."""
    signed = parts(scene)
    protected = cose.protected_header(cose.ES256, scene.other.kid, t.READINGS)
    return cose.assemble(protected, signed.payload, signed.signature)


@attack("signature_invalid")
def type_swapped(scene: Scene) -> bytes:
    """An event that is presented as readings keeps its signature and loses its meaning."""
    signed = cose.split(scene.meter.boot())
    protected = cose.protected_header(cose.ES256, scene.meter.kid, t.READINGS)
    return cose.assemble(protected, signed.payload, signed.signature)


@attack("signature_invalid")
def signed_by_a_stranger_in_our_name(scene: Scene) -> bytes:
    signed = parts(scene)
    digest = chain.message_hash(signed.protected, signed.payload)
    return cose.assemble(signed.protected, signed.payload, scene.stranger.sealer.sign(digest))


@attack("signature_high_s")
def high_s_twin(scene: Scene) -> bytes:
    signed = parts(scene)
    s = int.from_bytes(signed.signature[32:], "big")
    twin = signed.signature[:32] + (P256_ORDER - s).to_bytes(32, "big")
    return cose.assemble(signed.protected, signed.payload, twin)


def with_numbers(scene: Scene, r: int, s: int) -> bytes:
    signed = parts(scene)
    return cose.assemble(signed.protected, signed.payload, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@attack("signature_range")
def r_is_zero(scene: Scene) -> bytes:
    return with_numbers(scene, 0, 1)


@attack("signature_range")
def s_is_zero(scene: Scene) -> bytes:
    return with_numbers(scene, 1, 0)


@attack("signature_range")
def all_zero_signature(scene: Scene) -> bytes:
    """CVE-2022-21449: some verifiers take (0, 0) for a signature of everything."""
    return with_numbers(scene, 0, 0)


@attack("signature_range")
def r_is_the_order(scene: Scene) -> bytes:
    return with_numbers(scene, P256_ORDER, 1)


@attack("signature_range")
def s_is_the_order(scene: Scene) -> bytes:
    return with_numbers(scene, 1, P256_ORDER)


def with_signature(scene: Scene, signature: bytes) -> bytes:
    signed = parts(scene)
    return cose.assemble(signed.protected, signed.payload, signature)


@attack("cose_signature_length")
def signature_missing(scene: Scene) -> bytes:
    return with_signature(scene, b"")


@attack("cose_signature_length")
def signature_one_byte_short(scene: Scene) -> bytes:
    return with_signature(scene, parts(scene).signature[:-1])


@attack("cose_signature_length")
def signature_one_byte_long(scene: Scene) -> bytes:
    return with_signature(scene, b"\x00" + parts(scene).signature)


@attack("cose_signature_length")
def signature_in_der(scene: Scene) -> bytes:
    signature = parts(scene).signature
    integers = b"".join(b"\x02\x21\x00" + half for half in (signature[:32], signature[32:]))
    return with_signature(scene, b"\x30" + bytes((len(integers),)) + integers)


# The headers


def with_header(scene: Scene, header: object) -> bytes:
    """Signed anew under another protected header."""
    return resigned(scene.meter, cbor2.dumps(header), parts(scene).payload)


def header_of(scene: Scene, **changes: object) -> dict[int, object]:
    header: dict[int, object] = {
        cose.HEADER_ALG: cose.ES256,
        cose.HEADER_KID: scene.meter.kid,
        cose.HEADER_TYP: t.READINGS,
    }
    return header | {getattr(cose, "HEADER_" + name.upper()): value for name, value in changes.items()}


@attack("unknown_key")
def unknown_kid(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, kid=bytes(8)))


@attack("unknown_key")
def stranger_s_reading(scene: Scene) -> bytes:
    return scene.stranger.readings(SEQUENCE=1)


@attack("cose_kid")
def kid_one_byte_short(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, kid=scene.meter.kid[:7]))


@attack("cose_kid")
def kid_is_the_whole_thumbprint(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, kid=scene.meter.thumbprint))


@attack("cose_algorithm")
def algorithm_es384(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, alg=-35))


@attack("cose_algorithm")
def algorithm_hmac(scene: Scene) -> bytes:
    """The public key as an HMAC secret, which JOSE libraries fell for."""
    return with_header(scene, header_of(scene, alg=5))


@attack("cose_algorithm")
def algorithm_none_as_zero(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, alg=0))


@attack("cose_algorithm")
def algorithm_none_as_text(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, alg="none"))


@attack("cose_algorithm")
def algorithm_null(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, alg=None))


@attack("cose_protected_header")
def algorithm_left_out(scene: Scene) -> bytes:
    header = header_of(scene)
    del header[cose.HEADER_ALG]
    return with_header(scene, header)


@attack("algorithm_mismatch")
def algorithm_of_another_kind_of_key(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, alg=cose.EDDSA))


@attack("cose_protected_header")
def critical_header_added(scene: Scene) -> bytes:
    return with_header(scene, dict(sorted((header_of(scene) | {2: [99]}).items())))


@attack("cbor_truncated")
def protected_header_empty(scene: Scene) -> bytes:
    return resigned(scene.meter, b"", parts(scene).payload)


@attack("cbor_unsorted_keys")
def protected_header_unsorted(scene: Scene) -> bytes:
    return with_header(scene, dict(reversed(header_of(scene).items())))


@attack("cbor_too_large")
def protected_header_huge(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, typ=t.READINGS + "x" * 200))


@attack("unknown_type")
def type_unknown(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, typ=t.PREFIX + "reading"))


@attack("unknown_type")
def type_as_integer(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, typ=16))


@attack("type_not_allowed")
def meter_signs_a_receipt(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, typ=t.RECEIPT))


@attack("type_not_allowed")
def meter_signs_a_parameter_set(scene: Scene) -> bytes:
    return with_header(scene, header_of(scene, typ=t.PARAMETER_SET))


@attack("cose_unprotected_header")
def unprotected_header_filled(scene: Scene) -> bytes:
    signed = parts(scene)
    raw = cose.assemble(signed.protected, signed.payload, signed.signature)
    at = 4 + len(signed.protected)
    return raw[:at] + cbor2.dumps({cose.HEADER_ALG: cose.ES256}) + raw[at + 1 :]


# The form of the message


@attack("cose_not_sign1")
def tag_left_out(scene: Scene) -> bytes:
    return scene.meter.readings()[1:]


@attack("cose_not_sign1")
def tag_of_mac0(scene: Scene) -> bytes:
    return b"\xd1" + scene.meter.readings()[1:]


@attack("cose_not_sign1")
def tag_in_two_bytes(scene: Scene) -> bytes:
    return b"\xd8\x12" + scene.meter.readings()[1:]


@attack("cose_structure")
def five_parts(scene: Scene) -> bytes:
    return b"\xd2\x85" + scene.meter.readings()[2:] + b"\x00"


@attack("cose_structure")
def array_without_length(scene: Scene) -> bytes:
    return b"\xd2\x9f" + scene.meter.readings()[2:] + b"\xff"


@attack("cose_structure")
def payload_detached(scene: Scene) -> bytes:
    signed = parts(scene)
    return cose.assemble(signed.protected, b"", signed.signature).replace(b"\xa0\x40", b"\xa0\xf6")


@attack("cbor_non_shortest")
def head_of_the_payload_too_long(scene: Scene) -> bytes:
    signed = parts(scene)
    raw = cose.assemble(signed.protected, signed.payload, signed.signature)
    at = 5 + len(signed.protected)
    return raw[:at] + b"\x5a\x00\x00" + len(signed.payload).to_bytes(2, "big") + raw[at + 2 :]


@attack("cbor_truncated")
def truncated(scene: Scene) -> bytes:
    return scene.meter.readings()[:-1]


@attack("cose_too_large")
def oversize(scene: Scene) -> bytes:
    return resigned(scene.meter, cbor2.dumps(header_of(scene)), bytes(t.MAX_MESSAGE))


@attack("cose_too_large")
def oversize_for_its_type(scene: Scene) -> bytes:
    protected = cose.protected_header(cose.ES256, scene.meter.kid, t.TIME_REQUEST)
    return resigned(scene.meter, protected, bytes(t.MAX_STANDALONE))


# The payload, signed by the meter's own key


def signed(scene: Scene, payload: bytes, typ: str = t.READINGS) -> bytes:
    return resigned(scene.meter, cose.protected_header(cose.ES256, scene.meter.kid, typ), payload)


def payload_with(meter: SimulatedMeter, change: Callable[[Fields], object]) -> bytes:
    fields = cbor.loads(cose.split(meter.readings()).payload)
    change(fields)
    return cbor2.dumps(dict(sorted(fields.items())))


@attack("cbor_non_shortest")
def number_too_long(scene: Scene) -> bytes:
    payload = parts(scene).payload
    assert payload.startswith(b"\xac\x00\x01")
    return signed(scene, b"\xac\x00\x18\x01" + payload[3:])


@attack("cbor_unsorted_keys")
def keys_unsorted(scene: Scene) -> bytes:
    fields = cbor.loads(parts(scene).payload)
    return signed(scene, cbor2.dumps(dict(reversed(fields.items()))))


@attack("cbor_unsorted_keys")
def channels_unsorted(scene: Scene) -> bytes:
    def change(fields: Fields) -> None:
        fields[f.READINGS] = dict(reversed(fields[f.READINGS].items()))

    return signed(scene, payload_with(scene.meter, change))


@attack("cbor_duplicate_key")
def key_twice(scene: Scene) -> bytes:
    return signed(scene, b"\xad\x00\x01" + parts(scene).payload[1:])


@attack("cbor_indefinite_length")
def map_without_length(scene: Scene) -> bytes:
    return signed(scene, b"\xbf" + parts(scene).payload[1:] + b"\xff")


@attack("cbor_float")
def value_as_float(scene: Scene) -> bytes:
    return signed(scene, payload_with(scene.meter, lambda fields: fields.update({f.DURATION_MS: 60000.0})))


@attack("cbor_tag")
def value_as_bignum(scene: Scene) -> bytes:
    return signed(scene, payload_with(scene.meter, lambda fields: fields.update({f.DURATION_MS: 1 << 70})))


@attack("cbor_integer_range")
def value_beyond_int64(scene: Scene) -> bytes:
    return signed(scene, payload_with(scene.meter, lambda fields: fields.update({f.DURATION_MS: 1 << 63})))


@attack("cbor_simple_value")
def value_undefined(scene: Scene) -> bytes:
    change = {f.DURATION_MS: cbor2.undefined}
    return signed(scene, payload_with(scene.meter, lambda fields: fields.update(change)))


@attack("cbor_key_type")
def key_as_text(scene: Scene) -> bytes:
    return signed(scene, b"\xa1\x61a\x01")


@attack("cbor_invalid_utf8")
def text_is_no_utf8(scene: Scene) -> bytes:
    return signed(scene, b"\xa1\x00\x61\xff")


@attack("cbor_reserved")
def reserved_length(scene: Scene) -> bytes:
    return signed(scene, b"\xa1\x00\x1c")


@attack("cbor_too_deep")
def nested_too_deep(scene: Scene) -> bytes:
    return signed(scene, b"\x81" * 100 + b"\x00")


@attack("cbor_trailing_bytes")
def payload_with_more_behind_it(scene: Scene) -> bytes:
    return signed(scene, parts(scene).payload + b"\x00")


@attack("field_missing")
def field_left_out(scene: Scene) -> bytes:
    return signed(scene, payload_with(scene.meter, lambda fields: fields.pop(f.KIND)))


@attack("field_unknown")
def field_added(scene: Scene) -> bytes:
    return signed(scene, payload_with(scene.meter, lambda fields: fields.update({23: 0})))


@attack("field_value")
def register_total_negative(scene: Scene) -> bytes:
    return signed(scene, payload_with(scene.meter, lambda fields: fields.update({f.READINGS: {1: [0, -1]}})))


@attack("field_value")
def nothing_read_and_called_good(scene: Scene) -> bytes:
    return signed(scene, payload_with(scene.meter, lambda fields: fields.update({f.READINGS: {1: [0, None]}})))


@attack("unknown_version")
def version_of_the_future(scene: Scene) -> bytes:
    return signed(scene, payload_with(scene.meter, lambda fields: fields.update({f.VERSION: 2})))


@attack("unknown_version")
def version_true(scene: Scene) -> bytes:
    """true == 1 in Python."""
    return signed(scene, payload_with(scene.meter, lambda fields: fields.update({f.VERSION: True})))


@attack("identity_key_mismatch")
def identity_of_another_key(scene: Scene) -> bytes:
    scene.meter.open_epoch()
    return scene.meter.identity(PUBLIC_KEY=scene.stranger.sealer.cose_key)


@attack("meter_mismatch")
def time_request_of_another_meter(scene: Scene) -> bytes:
    payload = cose.split(scene.other.time_request(bytes(16))).payload
    return signed(scene, payload, t.TIME_REQUEST)


@attack("revoked_key")
def key_revoked(scene: Scene) -> bytes:
    registry = scene.gateway.store.registry
    registry.revoke(scene.meter.thumbprint, "stolen", scene.gateway.now.time_ms)
    return scene.meter.readings()


@attack("cose_too_many_messages")
def flood_in_one_frame(scene: Scene) -> bytes:
    """What follows 256 messages of one frame is not even looked at; these 256 are of a stranger."""
    return scene.stranger.readings(SEQUENCE=1) * cose.MAX_MESSAGES + scene.meter.readings()
