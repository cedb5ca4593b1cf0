"""Payloads that no meter may send, signed by the meter's own key: the signature is good, the content is not."""

from collections.abc import Callable

import cbor2
from forgery import attack, parts
from scene import Scene, resigned

from meter_gateway.model import Fields
from meter_protocol import cbor, cose
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import SimulatedMeter


def signed(scene: Scene, payload: bytes, typ: str = t.READINGS) -> bytes:
    return resigned(scene.meter, cose.protected_header(cose.ES256, scene.meter.kid, typ), payload)


def payload_with(meter: SimulatedMeter, change: Callable[[Fields], object]) -> bytes:
    fields = cbor.loads(cose.split(meter.readings()).payload)
    change(fields)
    return cbor2.dumps(dict(sorted(fields.items())))


@attack("cbor_non_shortest")
def number_too_long(scene: Scene) -> bytes:
    payload = parts(scene).payload
    assert payload.startswith(b"\xad\x00\x01")
    return signed(scene, b"\xad\x00\x18\x01" + payload[3:])


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
