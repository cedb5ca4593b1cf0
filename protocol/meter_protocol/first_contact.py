"""What a board and its maker say to each other on the provisioning line (SPEC §16): fields and tables.

Kept apart from `fields` and `schema`, because a board that measures speaks none of it: it is loaded when first
contact is made, and takes no memory before.
"""

from meter_protocol import cbor
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import EncodeError, ProtocolError
from meter_protocol.schema import (
    ABOUT_METER,
    MAX_TEXT,
    bytes_of,
    bytes_to,
    is_cose_key,
    is_int,
    is_uint,
    is_version,
    list_to,
    map_by,
    or_null,
    positive_to,
    text_to,
    uint_to,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_CERTIFICATES = 2048
"""Of the identity's certificate field: the device's certificate and those of issuing CAs below the root."""

MAX_CA_CERTIFICATE = 2048
MAX_REQUEST = 1024
MAX_AUTHORITIES = 4
MAX_HELLO_REQUEST = 32
NONCE_SIZE = 16

# hello
HELLO_NONCE = 10
HELLO_PUBLIC_KEY = 11
HELLO_MAKER = 12
HELLO_MODEL = 13
HELLO_HARDWARE_ID = 14
HELLO_SOFTWARE_ID = 15
HELLO_KEY_PROTECTION = 16
HELLO_BOARD_NONCE = 17
HELLO_REQUEST = 18
HELLO_RECORD = 19
HELLO_SERIAL = 20
HELLO_EPOCH = 21
HELLO_SEQUENCE = 22
HELLO_HASH = 23
HELLO_PROVISIONED_MS = 24

# factory record
RECORD_SERIAL = 10
RECORD_AUTHORITY_KEYS = 11
RECORD_UPDATE_KEYS = 12
RECORD_CERTIFICATE = 13
RECORD_LINK = 14
RECORD_PARAMETER_SET = 15

# the link of a factory record
LINK_WIFI_SSID = 0
LINK_WIFI_PASSWORD = 1
LINK_HOST = 2
LINK_PORT = 3
LINK_USERNAME = 4
LINK_PASSWORD = 5
LINK_SERVER_NAME = 6
LINK_CA_CERTIFICATE = 7

# factory command
COMMAND_NONCE = 10
COMMAND = 11
COMMAND_EPOCH = 12
COMMAND_SEQUENCE = 13
COMMAND_HASH = 14

# Values of COMMAND
EXPORT = 0
DROP = 1

# factory answer
ANSWER_DIGEST = 11
ANSWER_REASON = 12


def is_authorities(value: "Any") -> bool:
    """A board that obeys nobody could never be given parameters."""
    return list_to(MAX_AUTHORITIES, is_cose_key)(value) and len(value) > 0


LINK = (
    (LINK_WIFI_SSID, "wifi_ssid", or_null(text_to(32))),
    (LINK_WIFI_PASSWORD, "wifi_password", or_null(text_to(MAX_TEXT))),
    (LINK_HOST, "host", text_to(MAX_TEXT)),
    (LINK_PORT, "port", positive_to(0xFFFF)),
    (LINK_USERNAME, "username", or_null(text_to(MAX_TEXT))),
    (LINK_PASSWORD, "password", or_null(text_to(MAX_TEXT))),
    (LINK_SERVER_NAME, "server_name", or_null(text_to(MAX_TEXT))),
    (LINK_CA_CERTIFICATE, "ca_certificate", or_null(bytes_to(MAX_CA_CERTIFICATE))),
)

TABLES = {
    t.HELLO: ABOUT_METER
    + (
        (HELLO_NONCE, "nonce", bytes_of(NONCE_SIZE)),
        (HELLO_PUBLIC_KEY, "public_key", is_cose_key),
        (HELLO_MAKER, "maker", text_to(MAX_TEXT)),
        (HELLO_MODEL, "model", text_to(MAX_TEXT)),
        (HELLO_HARDWARE_ID, "hardware_id", or_null(bytes_to(32))),
        (HELLO_SOFTWARE_ID, "software_id", bytes_of(32)),
        (HELLO_KEY_PROTECTION, "key_protection", uint_to(f.KEY_SECURE_ELEMENT)),
        (HELLO_BOARD_NONCE, "board_nonce", bytes_of(NONCE_SIZE)),
        (HELLO_REQUEST, "request", bytes_to(MAX_REQUEST)),
        (HELLO_RECORD, "record", or_null(bytes_of(32))),
        (HELLO_SERIAL, "serial", or_null(text_to(MAX_TEXT))),
        (HELLO_EPOCH, "epoch", or_null(bytes_of(8))),
        (HELLO_SEQUENCE, "sequence", or_null(is_uint)),
        (HELLO_HASH, "hash", or_null(bytes_of(32))),
        (HELLO_PROVISIONED_MS, "provisioned_ms", or_null(is_int)),
    ),
    t.FACTORY_RECORD: ABOUT_METER
    + (
        (RECORD_SERIAL, "serial", text_to(MAX_TEXT)),
        (RECORD_AUTHORITY_KEYS, "authority_keys", is_authorities),
        (RECORD_UPDATE_KEYS, "update_keys", list_to(MAX_AUTHORITIES, is_cose_key)),
        (RECORD_CERTIFICATE, "certificate", or_null(bytes_to(MAX_CERTIFICATES))),
        (RECORD_LINK, "link", or_null(map_by(LINK))),
        (RECORD_PARAMETER_SET, "parameter_set", or_null(bytes_of(32))),
    ),
    t.FACTORY_COMMAND: ABOUT_METER
    + (
        (COMMAND_NONCE, "nonce", bytes_of(NONCE_SIZE)),
        (COMMAND, "command", uint_to(DROP)),
        (COMMAND_EPOCH, "epoch", or_null(bytes_of(8))),
        (COMMAND_SEQUENCE, "sequence", or_null(is_uint)),
        (COMMAND_HASH, "hash", or_null(bytes_of(32))),
    ),
    t.FACTORY_ANSWER: ABOUT_METER
    + (
        (ANSWER_DIGEST, "digest", bytes_of(32)),
        (ANSWER_REASON, "reason", or_null(text_to(MAX_TEXT))),
    ),
}

_HELLO_REQUEST = ((f.VERSION, "version", is_version), (HELLO_NONCE, "nonce", bytes_of(NONCE_SIZE)))


def hello_request(nonce: bytes) -> bytes:
    """The one thing that is said without a signature: who asks has no key that a new board could know."""
    if not bytes_of(NONCE_SIZE)(nonce):
        raise EncodeError("a nonce of a hello request has 16 bytes")
    return cbor.dumps({f.VERSION: f.PROTOCOL_VERSION, HELLO_NONCE: nonce})


def nonce_of_request(payload: bytes) -> bytes:
    fields = cbor.loads(payload, MAX_HELLO_REQUEST)
    if not isinstance(fields, dict):
        raise ProtocolError("field_value")
    if not is_version(fields.get(f.VERSION, f.PROTOCOL_VERSION)):
        raise ProtocolError("unknown_version")
    for key, _, is_valid in _HELLO_REQUEST:
        if key not in fields:
            raise ProtocolError("field_missing")
        if not is_valid(fields[key]):
            raise ProtocolError("field_value")
    if len(fields) != len(_HELLO_REQUEST):
        raise ProtocolError("field_unknown")
    nonce: bytes = fields[HELLO_NONCE]
    return nonce
