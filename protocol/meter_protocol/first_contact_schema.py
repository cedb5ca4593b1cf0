"""What each message of first contact must hold (SPEC §16), as tables like those of `schema`."""

from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_protocol.schema import (
    ABOUT_METER,
    MAX_TEXT,
    bytes_of,
    bytes_to,
    is_cose_key,
    is_int,
    is_uint,
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
"""As in the identity: the device's certificate and those of the CAs above it below the root."""

MAX_CA_CERTIFICATE = 2048
MAX_REQUEST = 1024
MAX_AUTHORITIES = 4


def is_authorities(value: "Any") -> bool:
    """A board that obeys nobody could never be given parameters."""
    return list_to(MAX_AUTHORITIES, is_cose_key)(value) and len(value) > 0


LINK = (
    (fc.LINK_WIFI_SSID, "wifi_ssid", or_null(text_to(32))),
    (fc.LINK_WIFI_PASSWORD, "wifi_password", or_null(text_to(MAX_TEXT))),
    (fc.LINK_HOST, "host", text_to(MAX_TEXT)),
    (fc.LINK_PORT, "port", positive_to(0xFFFF)),
    (fc.LINK_USERNAME, "username", or_null(text_to(MAX_TEXT))),
    (fc.LINK_PASSWORD, "password", or_null(text_to(MAX_TEXT))),
    (fc.LINK_SERVER_NAME, "server_name", or_null(text_to(MAX_TEXT))),
    (fc.LINK_CA_CERTIFICATE, "ca_certificate", or_null(bytes_to(MAX_CA_CERTIFICATE))),
)

TABLES = {
    t.HELLO: ABOUT_METER
    + (
        (fc.HELLO_NONCE, "nonce", bytes_of(fc.NONCE_SIZE)),
        (fc.HELLO_PUBLIC_KEY, "public_key", is_cose_key),
        (fc.HELLO_MAKER, "maker", text_to(MAX_TEXT)),
        (fc.HELLO_MODEL, "model", text_to(MAX_TEXT)),
        (fc.HELLO_HARDWARE_ID, "hardware_id", or_null(bytes_to(32))),
        (fc.HELLO_SOFTWARE_ID, "software_id", bytes_of(32)),
        (fc.HELLO_KEY_PROTECTION, "key_protection", uint_to(f.KEY_SECURE_ELEMENT)),
        (fc.HELLO_BOARD_NONCE, "board_nonce", bytes_of(fc.NONCE_SIZE)),
        (fc.HELLO_REQUEST, "request", bytes_to(MAX_REQUEST)),
        (fc.HELLO_RECORD, "record", or_null(bytes_of(32))),
        (fc.HELLO_SERIAL, "serial", or_null(text_to(MAX_TEXT))),
        (fc.HELLO_EPOCH, "epoch", or_null(bytes_of(8))),
        (fc.HELLO_SEQUENCE, "sequence", or_null(is_uint)),
        (fc.HELLO_HASH, "hash", or_null(bytes_of(32))),
        (fc.HELLO_PROVISIONED_MS, "provisioned_ms", or_null(is_int)),
    ),
    t.FACTORY_RECORD: ABOUT_METER
    + (
        (fc.RECORD_SERIAL, "serial", text_to(MAX_TEXT)),
        (fc.RECORD_AUTHORITY_KEYS, "authority_keys", is_authorities),
        (fc.RECORD_UPDATE_KEYS, "update_keys", list_to(MAX_AUTHORITIES, is_cose_key)),
        (fc.RECORD_CERTIFICATE, "certificate", or_null(bytes_to(MAX_CERTIFICATES))),
        (fc.RECORD_LINK, "link", or_null(map_by(LINK))),
        (fc.RECORD_PARAMETER_SET, "parameter_set", or_null(bytes_of(32))),
    ),
    t.FACTORY_COMMAND: ABOUT_METER
    + (
        (fc.COMMAND_NONCE, "nonce", bytes_of(fc.NONCE_SIZE)),
        (fc.COMMAND, "command", uint_to(fc.DROP)),
        (fc.COMMAND_EPOCH, "epoch", or_null(bytes_of(8))),
        (fc.COMMAND_SEQUENCE, "sequence", or_null(is_uint)),
        (fc.COMMAND_HASH, "hash", or_null(bytes_of(32))),
    ),
    t.FACTORY_ANSWER: ABOUT_METER
    + (
        (fc.ANSWER_DIGEST, "digest", bytes_of(32)),
        (fc.ANSWER_REASON, "reason", or_null(text_to(MAX_TEXT))),
    ),
}
