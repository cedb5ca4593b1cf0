"""Signatures that are of something else, of somebody else, or no signatures at all."""

import cbor2
from forgery import attack, parts
from scene import Scene

from meter_gateway.signatures import P256_ORDER
from meter_protocol import chain, cose
from meter_protocol import types as t


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
