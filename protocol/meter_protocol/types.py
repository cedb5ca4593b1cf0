"""The message types of v1: the `typ` header (RFC 9596) of each and the role of the key that signs it.

`typ` separates the domains: a receipt can never be taken for a reading, whoever signed it, because every
consumer asks for one type and one role. The list is closed.
"""

PREFIX = "application/vnd.carbonmeter."
"""Of all of them; written out in each, so that they are constants in a board's flash."""

READINGS = "application/vnd.carbonmeter.readings"
EVENT = "application/vnd.carbonmeter.event"
IDENTITY = "application/vnd.carbonmeter.identity"
RECEIPT = "application/vnd.carbonmeter.receipt"
REFUSAL = "application/vnd.carbonmeter.refusal"
RESEND_REQUEST = "application/vnd.carbonmeter.resend-request"
TIME_REQUEST = "application/vnd.carbonmeter.time-request"
TIME_REPLY = "application/vnd.carbonmeter.time-reply"
PARAMETER_SET = "application/vnd.carbonmeter.parameter-set"
UPDATE_MANIFEST = "application/vnd.carbonmeter.update-manifest"
IMAGE_REQUEST = "application/vnd.carbonmeter.image-request"
IMAGE_CHUNK = "application/vnd.carbonmeter.image-chunk"
COMPARISON = "application/vnd.carbonmeter.comparison"
VERDICT_BATCH = "application/vnd.carbonmeter.verdict-batch"
HELLO = "application/vnd.carbonmeter.hello"
FACTORY_RECORD = "application/vnd.carbonmeter.factory-record"
FACTORY_COMMAND = "application/vnd.carbonmeter.factory-command"
FACTORY_ANSWER = "application/vnd.carbonmeter.factory-answer"

ROLE_METER = "meter"
ROLE_RECEIPT = "gateway receipt"
ROLE_CLOCK = "gateway clock"
ROLE_VERDICT = "gateway verdict"
ROLE_PARAMETERS = "parameter authority"
ROLE_UPDATES = "update authority"

ROLE_OF_TYPE = {
    READINGS: ROLE_METER,
    EVENT: ROLE_METER,
    IDENTITY: ROLE_METER,
    TIME_REQUEST: ROLE_METER,
    RECEIPT: ROLE_RECEIPT,
    REFUSAL: ROLE_RECEIPT,
    RESEND_REQUEST: ROLE_RECEIPT,
    TIME_REPLY: ROLE_CLOCK,
    PARAMETER_SET: ROLE_PARAMETERS,
    UPDATE_MANIFEST: ROLE_UPDATES,
    IMAGE_REQUEST: ROLE_METER,
    IMAGE_CHUNK: ROLE_RECEIPT,
    COMPARISON: ROLE_VERDICT,
    VERDICT_BATCH: ROLE_VERDICT,
    HELLO: ROLE_METER,
    FACTORY_RECORD: ROLE_PARAMETERS,
    FACTORY_COMMAND: ROLE_PARAMETERS,
    FACTORY_ANSWER: ROLE_METER,
}

CHAIN_TYPES = (READINGS, EVENT, IDENTITY)
"""Types that have a place in a meter's chain; every other message stands alone."""

MAX_MESSAGE = 8192
MAX_STANDALONE = 512
MAX_UPDATE_MANIFEST = 2560
MAX_IMAGE_CHUNK = 4608
MAX_PARAMETER_SET = 7680
"""Leaves room for the parameters_applied event that seals the whole signed set, which is itself a message."""

MAX_HELLO = 2048
MAX_FACTORY_RECORD = 7680
"""As a parameter set: a board takes either in one frame."""

_MAX_SIZES = (
    ("application/vnd.carbonmeter.receipt", 512),
    ("application/vnd.carbonmeter.refusal", 512),
    ("application/vnd.carbonmeter.resend-request", 512),
    ("application/vnd.carbonmeter.time-request", 512),
    ("application/vnd.carbonmeter.time-reply", 512),
    ("application/vnd.carbonmeter.verdict-batch", 512),
    ("application/vnd.carbonmeter.parameter-set", 7680),
    ("application/vnd.carbonmeter.update-manifest", 2560),
    ("application/vnd.carbonmeter.image-request", 512),
    ("application/vnd.carbonmeter.image-chunk", 4608),
    ("application/vnd.carbonmeter.hello", 2048),
    ("application/vnd.carbonmeter.factory-record", 7680),
    ("application/vnd.carbonmeter.factory-command", 512),
    ("application/vnd.carbonmeter.factory-answer", 512),
)
"""Constants above, written out as the tables of `schema` are."""


def max_size(typ: str) -> int:
    """Bytes of the largest whole message; small where a gateway writes and a board decodes."""
    for name, size in _MAX_SIZES:
        if name == typ:
            return size
    return MAX_MESSAGE


FIRST_CONTACT_TYPES = (HELLO, FACTORY_RECORD, FACTORY_COMMAND, FACTORY_ANSWER)
"""Spoken on the provisioning line only; `first_contact_schema` has their tables."""
