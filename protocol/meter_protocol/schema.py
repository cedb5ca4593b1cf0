"""What every message type must hold (SPEC §4–§8), as tables that both interpreters run.

A table lists (key, name, rule). A payload has exactly the keys of its type's table: a missing or an
additional key refuses the message, because a field that one verifier reads and another ignores is how two
honest verifiers come to disagree. `meter.cddl` says the same for machines and a test compares the two.

A rule is a word of RULES, or

    ("bytes", least, most)         a byte string of so many bytes
    ("text", most)                 UTF-8 of 1 to `most` bytes
    ("uint", least, most)          an unsigned integer
    ("list", least, most, rule)    so many items, each by the rule
    ("map", table)                 exactly the table's keys
    ("null", rule)                 null, or by the rule

Tables are literals throughout, keys, limits and types too: so they are constants in a board's flash, and no
objects of its heap. `fields`, `events` and `types` have the names; tests hold them against each other.
"""

from meter_protocol import fields as f
from meter_protocol import keys
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    Rule = Any
    Table = tuple[tuple[int, str, Rule], ...]

MAX_CHANNELS = 64
MAX_KEYS = 8
MAX_TEXT = 64
MAX_OPTION_CELLS = 10
MAX_FINDINGS = 448
"""Seven for each of 64 channels; with codes of 64 bytes they still fit MAX_VERDICT."""

MAX_VERDICT = 32768

MAX_CHUNK = 4096
"""Bytes of an update's image in one message: a block of flash, and little beside a board's heap."""

MAX_CHUNKS = 128
CHUNK_DIGEST_SIZE = 16


def is_int(value: "Any") -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_uint(value: "Any") -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_bool(value: "Any") -> bool:
    return value is True or value is False


def _is_text(value: "Any", limit: int) -> bool:
    """UTF-8 of 1 to `limit` bytes."""
    if not isinstance(value, str):
        return False
    try:
        return 0 < len(value.encode()) <= limit
    except UnicodeError:
        return False


def is_version(value: "Any") -> bool:
    """Not `== 1` alone, which CBOR's true would pass."""
    return is_int(value) and value == f.PROTOCOL_VERSION


def is_cose_key(value: "Any") -> bool:
    if not isinstance(value, bytes):
        return False
    try:
        keys.decode(value)
    except ProtocolError:
        return False
    return True


def is_channel(value: "Any") -> bool:
    return is_uint(value) and 0 < value <= 0xFFFF


def channels_agree(fields: "dict[int, Any]") -> bool:
    """Of a parameter set: each channel has an id of its own, and its instrument is one of the set."""
    ids = []
    for channel in fields[f.CHANNELS]:
        if channel[f.CHANNEL_ID] in ids or channel[f.CHANNEL_INSTRUMENT] >= len(fields[f.INSTRUMENTS]):
            return False
        ids.append(channel[f.CHANNEL_ID])
    return True


def chunks_agree(fields: "dict[int, Any]") -> bool:
    """Of an update manifest: one digest for each chunk that the image takes."""
    chunks = (fields[f.IMAGE_SIZE] + fields[f.CHUNK_SIZE] - 1) // fields[f.CHUNK_SIZE]
    return bool(len(fields[f.CHUNK_DIGESTS]) == chunks * CHUNK_DIGEST_SIZE)


def is_exponent(value: "Any") -> bool:
    return is_int(value) and -18 <= value <= 18


def is_totals(value: "Any") -> bool:
    """Register totals by channel; null where a total was not known."""
    if not isinstance(value, dict) or len(value) > MAX_CHANNELS:
        return False
    return all(is_channel(channel) and (value[channel] is None or is_uint(value[channel])) for channel in value)


def is_readings(value: "Any") -> bool:
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_CHANNELS:
        return False
    return all(is_channel(channel) and is_reading(value[channel]) for channel in value)


def is_reading(reading: "Any") -> bool:
    """One channel's reading: SPEC §5.1 lists the six shapes."""
    if not isinstance(reading, list) or not 2 <= len(reading) <= 7:
        return False
    status = reading[0]
    if not is_uint(status) or status > f.STATUS_ALL:
        return False
    if len(reading) <= 4:
        return _is_register(reading, status)
    return _is_mean(reading, status)


def _is_register(reading: "list[Any]", status: int) -> bool:
    total = reading[1]
    if len(reading) == 2:
        return status != 0 if total is None else is_uint(total)
    if len(reading) == 3:
        return is_uint(total) and is_uint(reading[2])
    return status != 0 and total is None and is_uint(reading[2]) and is_uint(reading[3])


def _is_mean(reading: "list[Any]", status: int) -> bool:
    n, expected, mean, s = reading[1:5]
    if len(reading) == 6 or not is_uint(n) or not is_uint(expected):
        return False
    for value in reading[3:4] + reading[5:]:
        if (value is not None) if n == 0 else not is_int(value):
            return False
    if (s is not None) if n < 2 else not is_uint(s):
        return False
    if len(reading) == 7 and n and not reading[5] <= mean <= reading[6]:
        return False
    return n > 0 or status != 0


def is_finding(value: "Any") -> bool:
    """[code, channel or null]: the stable reason code and the channel it is about."""
    if not isinstance(value, list) or len(value) != 2:
        return False
    return _is_text(value[0], MAX_TEXT) and (value[1] is None or is_channel(value[1]))


def is_options(value: "Any") -> bool:
    """Rows of a register map for drivers whose map is data."""
    if value is None:
        return True
    if not isinstance(value, list) or len(value) > MAX_CHANNELS:
        return False
    for row in value:
        if not isinstance(row, list) or len(row) > MAX_OPTION_CELLS:
            return False
        if not all(is_int(cell) or _is_text(cell, MAX_TEXT) for cell in row):
            return False
    return True


RULES: "dict[str, Callable[[Any], bool]]" = {
    "int": is_int,
    "uint": is_uint,
    "bool": is_bool,
    "map": lambda value: isinstance(value, dict),
    "version": is_version,
    "cose_key": is_cose_key,
    "channel": is_channel,
    "exponent": is_exponent,
    "totals": is_totals,
    "readings": is_readings,
    "finding": is_finding,
    "options": is_options,
    "instrument": lambda value: _is_map(value, INSTRUMENT),
    "channel_entry": lambda value: _is_map(value, CHANNEL),
}


def fits(value: "Any", rule: "Rule") -> bool:
    if isinstance(rule, str):
        return RULES[rule](value)
    kind = rule[0]
    if kind == "null":
        return value is None or fits(value, rule[1])
    if kind == "uint":
        return is_uint(value) and bool(rule[1] <= value <= rule[2])
    if kind == "bytes":
        return isinstance(value, bytes) and bool(rule[1] <= len(value) <= rule[2])
    if kind == "text":
        return _is_text(value, rule[1])
    if kind == "list":
        if not isinstance(value, list) or not rule[1] <= len(value) <= rule[2]:
            return False
        return all(fits(item, rule[3]) for item in value)
    return _is_map(value, rule[1])


def _is_map(value: "Any", table: "Table") -> bool:
    if not isinstance(value, dict) or len(value) != len(table):
        return False
    return all(key in value and fits(value[key], rule) for key, _, rule in table)


_COMMON = (
    (0, "version", "version"),
    (6, "time_ms", "int"),
    (7, "clock_status", ("uint", 0, 3)),
    (8, "clock_uncertainty_ms", ("null", "uint")),
)
_CHAIN = (
    (1, "epoch", ("bytes", 8, 8)),
    (2, "sequence", "uint"),
    (3, "boot", "uint"),
    (4, "previous", ("bytes", 32, 32)),
    (5, "context", ("bytes", 16, 16)),
)
_ABOUT_METER = ((9, "meter", ("bytes", 32, 32)),)

INSTRUMENT: "Table" = (
    (0, "driver", ("text", 32)),
    (1, "bus", ("text", 32)),
    (2, "address", ("uint", 0, 0xFFFFFFFF)),
    (3, "serial", ("null", ("text", 64))),
    (4, "options", "options"),
)
CHANNEL: "Table" = (
    (0, "id", "channel"),
    (1, "instrument", ("uint", 0, 63)),
    (2, "indication", ("text", 32)),
    (3, "quantity", ("uint", 1, 0xFFFF)),
    (4, "kind", ("uint", 0, 1)),
    (5, "exponent", "exponent"),
    (6, "ratio", ("uint", 1, 1000000000)),
    (7, "modulus", ("null", ("uint", 1, 4611686018427387904))),
    (8, "max_step", ("null", "uint")),
    (9, "operating_point", ("null", "channel")),
    (10, "extremes", "bool"),
)

_TYPES: "tuple[tuple[str, str, Table], ...]" = (
    (
        "application/vnd.carbonmeter.readings",
        "chain",
        (
            (10, "kind", ("uint", 0, 2)),
            (11, "duration_ms", ("null", "uint")),
            (12, "readings", "readings"),
            (13, "jitter_ms", "uint"),
        ),
    ),
    (
        "application/vnd.carbonmeter.event",
        "chain",
        (
            (10, "event", ("uint", 1, 15)),
            (11, "details", "map"),
        ),
    ),
    (
        "application/vnd.carbonmeter.identity",
        "chain",
        (
            (10, "public_key", "cose_key"),
            (11, "serial", ("text", 64)),
            (12, "maker", ("text", 64)),
            (13, "model", ("text", 64)),
            (14, "key_protection", ("uint", 0, 2)),
            (15, "software_id", ("bytes", 32, 32)),
            (16, "certificate", ("null", ("bytes", 1, 2048))),
        ),
    ),
    (
        "application/vnd.carbonmeter.receipt",
        "about_meter",
        (
            (1, "epoch", ("bytes", 8, 8)),
            (2, "sequence", "uint"),
            (10, "hash", ("bytes", 32, 32)),
        ),
    ),
    (
        "application/vnd.carbonmeter.refusal",
        "about_meter",
        (
            (10, "digest", ("bytes", 32, 32)),
            (11, "reason", ("text", 64)),
        ),
    ),
    (
        "application/vnd.carbonmeter.resend-request",
        "about_meter",
        (
            (1, "epoch", ("bytes", 8, 8)),
            (2, "sequence", "uint"),
        ),
    ),
    ("application/vnd.carbonmeter.time-request", "about_meter", ((10, "nonce", ("bytes", 16, 16)),)),
    ("application/vnd.carbonmeter.time-reply", "about_meter", ((10, "nonce", ("bytes", 16, 16)),)),
    (
        "application/vnd.carbonmeter.parameter-set",
        "about_meter",
        (
            (10, "set_version", "uint"),
            (11, "interval_s", ("uint", 1, 86400)),
            (12, "sample_period_ms", ("uint", 1, 86400000)),
            (13, "instruments", ("list", 0, 64, "instrument")),
            (14, "channels", ("list", 0, 64, "channel_entry")),
            (15, "receipt_keys", ("list", 0, 8, "cose_key")),
            (16, "clock_keys", ("list", 0, 8, "cose_key")),
        ),
    ),
    (
        "application/vnd.carbonmeter.update-manifest",
        "common",
        (
            (10, "manifest_sequence", ("uint", 1, 0xFFFFFFFF)),
            (11, "vendor_identifier", ("bytes", 16, 16)),
            (12, "class_identifier", ("bytes", 16, 16)),
            (13, "image_size", ("uint", 1, 524288)),
            (14, "image_digest", ("bytes", 32, 32)),
            (15, "chunk_size", ("uint", 1, 4096)),
            (16, "chunk_digests", ("bytes", 1, 2048)),
            (17, "downgrade_from", ("null", ("uint", 1, 0xFFFFFFFF))),
            (18, "software_version", ("text", 64)),
        ),
    ),
    (
        "application/vnd.carbonmeter.image-request",
        "about_meter",
        (
            (10, "image_digest", ("bytes", 32, 32)),
            (11, "chunk_index", ("uint", 0, 127)),
        ),
    ),
    (
        "application/vnd.carbonmeter.image-chunk",
        "about_meter",
        (
            (10, "image_digest", ("bytes", 32, 32)),
            (11, "chunk_index", ("uint", 0, 127)),
            (12, "chunk", ("bytes", 1, 4096)),
        ),
    ),
    ("application/vnd.carbonmeter.comparison", "common", ()),
    (
        "application/vnd.carbonmeter.verdict-batch",
        "common",
        (
            (10, "root", ("bytes", 32, 32)),
            (11, "count", ("uint", 1, 0xFFFFFFFF)),
        ),
    ),
)
"""Each with the header that it has; one literal, names too: `types` has them, and a test holds them against it."""

_EVENTS: "tuple[Table, ...]" = (
    # boot
    ((0, "last_receipt", ("null", ("bytes", 1, 512))), (1, "software_id", ("bytes", 32, 32))),
    # clock_set
    (
        (4, "old_time_ms", "int"),
        (5, "new_time_ms", "int"),
        (6, "time_reply", ("bytes", 1, 512)),
        (20, "drift_ppb", ("null", "int")),
    ),
    # parameters_applied
    ((2, "parameter_set", ("bytes", 1, 7680)),),
    # parameters_refused
    ((3, "reason", ("text", 64)), (15, "digest", ("bytes", 32, 32))),
    # journal_overflow
    ((0, "last_receipt", ("null", ("bytes", 1, 512))), (18, "totals_before", "totals")),
    # journal_resumed
    (
        (16, "span_start_ms", "int"),
        (18, "totals_before", "totals"),
        (19, "totals_after", "totals"),
    ),
    # self_test_failed
    ((3, "reason", ("text", 64)),),
    # firmware_updated
    (
        (1, "software_id", ("bytes", 32, 32)),
        (22, "software_before", ("bytes", 32, 32)),
        (21, "manifest", ("bytes", 1, 2560)),
    ),
    # epoch_opened
    (
        (7, "last_epoch", ("null", ("bytes", 8, 8))),
        (8, "last_sequence", ("null", "uint")),
        (9, "last_hash", ("null", ("bytes", 32, 32))),
        (0, "last_receipt", ("null", ("bytes", 1, 512))),
        (3, "reason", ("text", 64)),
    ),
    # message_refused
    (
        (7, "last_epoch", ("null", ("bytes", 8, 8))),
        (8, "last_sequence", ("null", "uint")),
        (9, "last_hash", ("null", ("bytes", 32, 32))),
        (3, "reason", ("text", 64)),
        (15, "digest", ("bytes", 32, 32)),
    ),
    # resend_unavailable
    (
        (7, "last_epoch", ("null", ("bytes", 8, 8))),
        (8, "last_sequence", ("null", "uint")),
        (9, "last_hash", ("null", ("bytes", 32, 32))),
        (0, "last_receipt", ("null", ("bytes", 1, 512))),
        (10, "first_sequence", "uint"),
    ),
    # register_discontinuity
    (
        (11, "channel", "channel"),
        (12, "total_before", "uint"),
        (13, "raw_before", "uint"),
        (14, "raw_after", "uint"),
    ),
    # journal_quarantined
    ((17, "segments", ("list", 0, 64, ("text", 64))),),
    # update_refused
    ((3, "reason", ("text", 64)), (15, "digest", ("bytes", 32, 32))),
    # update_rolled_back
    ((3, "reason", ("text", 64)), (1, "software_id", ("bytes", 32, 32))),
)
"""What the details of each event hold, in the order of the codes, which begin with 1."""

VERDICT = (
    (0, "version", "version"),
    (1, "epoch", ("bytes", 8, 8)),
    (2, "sequence", "uint"),
    (6, "time_ms", "int"),
    (9, "meter", ("bytes", 32, 32)),
    (10, "hash", ("bytes", 32, 32)),
    (11, "revision", "uint"),
    (12, "scheme", ("text", 64)),
    (13, "acceptance", ("uint", 0, 1)),
    (14, "findings", ("list", 0, 448, "finding")),
    (15, "cause", ("null", ("text", 64))),
)

ENVELOPE = (
    (0, "version", "version"),
    (1, "message", ("bytes", 1, 8192)),
    (2, "verdict", ("bytes", 1, 32768)),
    (3, "batch", ("bytes", 1, 512)),
    (4, "index", "uint"),
    (5, "path", ("list", 0, 32, ("bytes", 32, 32))),
)


def types() -> "tuple[str, ...]":
    """Those that have a table here."""
    return tuple([row[0] for row in _TYPES])


def type_table(typ: str) -> "Table | None":
    """Put together when it is asked for: all of them, put together for good, take kilobytes of a board's heap."""
    for name, header, rows in _TYPES:
        if name == typ:
            return with_header(header, rows)
    return None


def with_header(header: str, rows: "Table") -> "Table":
    if header == "chain":
        return _COMMON + _CHAIN + rows
    return _COMMON + _ABOUT_METER + rows if header == "about_meter" else _COMMON + rows


def event_table(code: int) -> "Table":
    """Of the details of an event whose code has been checked."""
    return _EVENTS[code - 1]
