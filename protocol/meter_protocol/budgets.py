"""What a budget record holds (SPEC §8.7): everything constant by which a gateway states uncertainties.

A verdict names its record by SHA-256, so that whoever has the record and the message can compute again what the
verdict says. Only gateways and their readers use this file; a board never loads it.
"""

from meter_protocol import cbor
from meter_protocol.errors import EncodeError, ProtocolError
from meter_protocol.messages import check_table, check_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Fields = dict[int, Any]

MAX_BUDGET = 4194304

# budget
VERSION = 0
CHANNELS = 1

# one entry of CHANNELS
CHANNEL = 0
QUANTITY = 1
EXPONENT = 2
IS_INCREASE = 3
CERTIFICATES = 4
DOCUMENT = 5
OPERATING_POINT = 6
POINT_EXPONENT = 7
POINTS = 8
POINTS_RELATIVE = 9
SOURCES = 10
COVERAGE = 11
KNOWN_ERROR = 12
TARGET = 13
TARGET_RELATIVE = 14

# Values of KNOWN_ERROR
CARRIED = 0
CORRECTED = 1

# one entry of SOURCES
NAME = 0
DISTRIBUTION = 1
VALUE = 2
SENSITIVITY = 3
RELATIVE = 4
DEGREES_OF_FREEDOM = 5
COMMON = 6
STATED_BY = 7

# Values of DISTRIBUTION
NORMAL = 0
RECTANGULAR = 1
TRIANGULAR = 2
U_SHAPED = 3

# Values of COMMON; from FIRST_CERTIFICATE on the place among CERTIFICATES counts up
COMMON_TO_NOTHING = 0
COMMON_TO_RESOLUTION = 1
COMMON_TO_CHANNEL = 2
FIRST_CERTIFICATE = 3

_DECIMAL = ("list", 2, 2, "int")

SOURCE = (
    (0, "name", ("text", 200)),
    (1, "distribution", ("uint", 0, 3)),
    (2, "value", _DECIMAL),
    (3, "sensitivity", _DECIMAL),
    (4, "relative", "bool"),
    (5, "degrees_of_freedom", ("null", _DECIMAL)),
    (6, "common", ("uint", 0, 10)),
    (7, "stated_by", ("null", ("text", 200))),
)

CHANNEL_BUDGET = (
    (0, "channel", "channel"),
    (1, "quantity", ("uint", 1, 0xFFFF)),
    (2, "exponent", "exponent"),
    (3, "is_increase", "bool"),
    (4, "certificates", ("list", 0, 8, ("text", 200))),
    (5, "document", ("null", ("bytes", 32, 32))),
    (6, "operating_point", ("null", "channel")),
    (7, "point_exponent", "exponent"),
    (8, "points", ("list", 0, 1000, ("list", 4, 4, _DECIMAL))),
    (9, "points_relative", "bool"),
    (10, "sources", ("list", 1, 64, ("map", SOURCE))),
    (11, "coverage", ("uint", 1, 9999)),
    (12, "known_error", ("uint", 0, 1)),
    (13, "target", ("null", _DECIMAL)),
    (14, "target_relative", "bool"),
)

BUDGET = (
    (0, "version", "version"),
    (1, "channels", ("list", 1, 64, ("map", CHANNEL_BUDGET))),
)


def encode(fields: "Fields") -> bytes:
    """The record's bytes; EncodeError with the reason if SPEC does not allow them."""
    try:
        _check(fields)
    except ProtocolError as error:
        raise EncodeError(error.reason) from None
    return cbor.dumps(fields)


def decode(data: bytes) -> "Fields":
    fields = cbor.loads(data, MAX_BUDGET)
    _check(fields)
    return fields  # type: ignore[no-any-return]


def _check(fields: "Any") -> None:
    check_version(fields)
    check_table(BUDGET, fields)
    for entry in fields[CHANNELS]:
        for source in entry[SOURCES]:
            if source[COMMON] >= FIRST_CERTIFICATE + len(entry[CERTIFICATES]):
                raise ProtocolError("field_value")
