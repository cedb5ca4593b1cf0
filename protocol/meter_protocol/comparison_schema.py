"""What a comparison event and its raw data must hold (SPEC §8.6), as tables like those of `schema`.

`comparison` has the names of the keys, and tests hold them against each other.
"""

from meter_protocol import cbor
from meter_protocol.errors import EncodeError, ProtocolError
from meter_protocol.rules import fits, is_version
from meter_protocol.schema import with_header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_RAW_INSIDE = 4096
"""Raw data that still fit into the event beside the largest of everything else that is usual."""

MAX_RAW = 524288

CERTIFICATE = (
    (0, "id", ("text", 64)),
    (1, "digest", ("null", ("bytes", 32, 32))),
)

REFERENCE = (
    (0, "kind", ("uint", 0, 2)),
    (1, "serial", ("text", 64)),
    (2, "name", ("text", 64)),
    (3, "certificates", ("list", 0, 8, ("map", CERTIFICATE))),
    (4, "meter", ("null", ("bytes", 32, 32))),
    (5, "channel", ("null", "channel")),
)

CONDITION = (
    (0, "name", ("text", 64)),
    (1, "unit", ("text", 32)),
    (2, "exponent", "exponent"),
    (3, "minimum", "int"),
    (4, "maximum", "int"),
)

DECISION = (
    (0, "method", ("uint", 0, 2)),
    (1, "guard_band", ("text", 32)),
    (2, "multiplier_ppm", "uint"),
    (3, "max_ratio_ppm", ("null", "uint")),
    (4, "en_limit_ppm", "uint"),
    (5, "limit_ppm", ("null", "uint")),
)

POINT = (
    (0, "reference", "int"),
    (1, "error", "int"),
    (2, "uncertainty", "uint"),
    (3, "mpe", "uint"),
    (4, "en_ppm", ("null", "int")),
    (5, "count", "uint"),
    (6, "deviation", ("null", "uint")),
    (7, "outcome", ("uint", 0, 2)),
)

ACCURACY = (
    (0, "mean_difference", "int"),
    (1, "deviation", "uint"),
    (2, "coefficient", "uint"),
    (3, "mean_reference", "int"),
    (4, "ppm", "uint"),
    (5, "runs", "uint"),
    (6, "basis", ("text", 64)),
)

TABLE = with_header(
    "about_meter",
    (
        (10, "run", ("bytes", 8, 8)),
        (11, "kind", ("uint", 0, 4)),
        (12, "channel", "channel"),
        (13, "serial", ("text", 64)),
        (14, "quantity", ("uint", 1, 0xFFFF)),
        (15, "exponent", "exponent"),
        (16, "start_ms", "int"),
        (17, "end_ms", "int"),
        (18, "reference", ("map", REFERENCE)),
        (19, "conditions", ("list", 0, 16, ("map", CONDITION))),
        (20, "decision", ("map", DECISION)),
        (21, "person", ("text", 64)),
        (22, "points", ("list", 0, 32, ("map", POINT))),
        (23, "relative_accuracy", ("null", ("map", ACCURACY))),
        (24, "outcome", ("uint", 0, 2)),
        (25, "reasons", ("list", 0, 16, ("text", 64))),
        (26, "raw_digest", ("bytes", 32, 32)),
        (27, "raw", ("null", ("bytes", 1, 4096))),
    ),
)

READING = (
    (0, "start_ms", "int"),
    (1, "end_ms", "int"),
    (2, "value", "int"),
    (3, "spread", ("null", "uint")),
    (4, "hash", ("null", ("bytes", 32, 32))),
)

PAIR = (
    (0, "start_ms", "int"),
    (1, "end_ms", "int"),
    (2, "channel", "int"),
    (3, "reference", "int"),
    (4, "correction", "int"),
    (5, "uncertainty", "uint"),
    (6, "use", ("uint", 0, 2)),
)

SETTING = (
    (0, "name", ("text", 64)),
    (1, "value", ("text", 64)),
)

RAW = (
    (0, "version", "version"),
    (1, "channel_exponent", "exponent"),
    (2, "channel", ("list", 0, 8192, ("map", READING))),
    (3, "reference_exponent", "exponent"),
    (4, "reference", ("list", 0, 8192, ("map", READING))),
    (5, "pairs", ("list", 0, 4096, ("map", PAIR))),
    (6, "settings", ("list", 0, 32, ("map", SETTING))),
)


def encode_raw(fields: "dict[int, Any]") -> bytes:
    """The raw data of a run: what the event names by its SHA-256."""
    try:
        _check_raw(fields)
    except ProtocolError as error:
        raise EncodeError(error.reason) from None
    encoded = cbor.dumps(fields)
    if len(encoded) > MAX_RAW:
        raise EncodeError("cbor_too_large")
    return encoded


def decode_raw(data: bytes) -> "dict[int, Any]":
    fields = cbor.loads(data, MAX_RAW)
    _check_raw(fields)
    return fields  # type: ignore[no-any-return]


def _check_raw(fields: "Any") -> None:
    if isinstance(fields, dict) and not is_version(fields.get(0, 1)):
        raise ProtocolError("unknown_version")
    if not fits(fields, ("map", RAW)):
        raise ProtocolError("field_value")
