"""What each message of first contact must hold (SPEC §16), as tables like those of `schema`.

`first_contact` has the names of the keys, and tests hold them against each other. A board that obeys nobody could
never be given parameters: a record names an authority at least.
"""

from meter_protocol import types as t
from meter_protocol.schema import with_header

ABOUT_METER = with_header("about_meter", ())

LINK = (
    (0, "wifi_ssid", ("null", ("text", 32))),
    (1, "wifi_password", ("null", ("text", 64))),
    (2, "host", ("text", 64)),
    (3, "port", ("uint", 1, 0xFFFF)),
    (4, "username", ("null", ("text", 64))),
    (5, "password", ("null", ("text", 64))),
    (6, "server_name", ("null", ("text", 64))),
    (7, "ca_certificate", ("null", ("bytes", 1, 2048))),
)

TABLES = {
    t.HELLO: ABOUT_METER
    + (
        (10, "nonce", ("bytes", 16, 16)),
        (11, "public_key", "cose_key"),
        (12, "maker", ("text", 64)),
        (13, "model", ("text", 64)),
        (14, "hardware_id", ("null", ("bytes", 1, 32))),
        (15, "software_id", ("bytes", 32, 32)),
        (16, "key_protection", ("uint", 0, 2)),
        (17, "board_nonce", ("bytes", 16, 16)),
        (18, "request", ("bytes", 1, 1024)),
        (19, "record", ("null", ("bytes", 32, 32))),
        (20, "serial", ("null", ("text", 64))),
        (21, "epoch", ("null", ("bytes", 8, 8))),
        (22, "sequence", ("null", "uint")),
        (23, "hash", ("null", ("bytes", 32, 32))),
        (24, "provisioned_ms", ("null", "int")),
    ),
    t.FACTORY_RECORD: ABOUT_METER
    + (
        (10, "serial", ("text", 64)),
        (11, "authority_keys", ("list", 1, 4, "cose_key")),
        (12, "update_keys", ("list", 0, 4, "cose_key")),
        (13, "certificate", ("null", ("bytes", 1, 2048))),
        (14, "link", ("null", ("map", LINK))),
        (15, "parameter_set", ("null", ("bytes", 32, 32))),
    ),
    t.FACTORY_COMMAND: ABOUT_METER
    + (
        (10, "nonce", ("bytes", 16, 16)),
        (11, "command", ("uint", 0, 1)),
        (12, "epoch", ("null", ("bytes", 8, 8))),
        (13, "sequence", ("null", "uint")),
        (14, "hash", ("null", ("bytes", 32, 32))),
    ),
    t.FACTORY_ANSWER: ABOUT_METER
    + (
        (11, "digest", ("bytes", 32, 32)),
        (12, "reason", ("null", ("text", 64))),
    ),
}
