"""Headers and outer forms that a careless COSE library takes; most are signed by the meter's own key."""

import cbor2
from forgery import attack, parts
from scene import Scene, resigned

from meter_protocol import cose
from meter_protocol import types as t


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
