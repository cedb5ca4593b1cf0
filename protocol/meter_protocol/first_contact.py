"""What a board and its maker say to each other on the provisioning line (SPEC §16): fields, and the one question
that is no message. `first_contact_schema` has the tables.

Kept apart from `fields` and `schema`: a board that measures speaks none of it, and loads the tables when asked.
"""

from meter_protocol import cbor
from meter_protocol import fields as f
from meter_protocol.errors import EncodeError, ProtocolError
from meter_protocol.rules import fits, is_version

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

_NONCE = ("bytes", 16, 16)
_HELLO_REQUEST = ((0, "version", "version"), (10, "nonce", ("bytes", 16, 16)))


def hello_request(nonce: bytes) -> bytes:
    """The one thing that is said without a signature: who asks has no key that a new board could know."""
    if not fits(nonce, _NONCE):
        raise EncodeError("a nonce of a hello request has 16 bytes")
    return cbor.dumps({f.VERSION: f.PROTOCOL_VERSION, HELLO_NONCE: nonce})


def nonce_of_request(payload: bytes) -> bytes:
    fields = cbor.loads(payload, MAX_HELLO_REQUEST)
    if not isinstance(fields, dict):
        raise ProtocolError("field_value")
    if not is_version(fields.get(f.VERSION, f.PROTOCOL_VERSION)):
        raise ProtocolError("unknown_version")
    for key, _, rule in _HELLO_REQUEST:
        if key not in fields:
            raise ProtocolError("field_missing")
        if not fits(fields[key], rule):
            raise ProtocolError("field_value")
    if len(fields) != len(_HELLO_REQUEST):
        raise ProtocolError("field_unknown")
    nonce: bytes = fields[HELLO_NONCE]
    return nonce
