"""What every message type must hold (SPEC §4–§8), as tables that both interpreters run.

A table lists (key, name, rule). A payload has exactly the keys of its type's table: a missing or an
additional key refuses the message, because a field that one verifier reads and another ignores is how two
honest verifiers come to disagree. `meter.cddl` says the same for machines and a test compares the two.
`rules` says what the rules are.

Tables are literals throughout, keys, limits and types too: so they are constants in a board's flash, and no
objects of its heap. `fields`, `events` and `types` have the names; tests hold them against each other.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Rule = Any
    Table = tuple[tuple[int, str, Rule], ...]

MAX_CHANNELS = 64
MAX_KEYS = 8
MAX_TEXT = 64
MAX_OPTION_CELLS = 10
MAX_FINDINGS = 448
"""Seven for each of 64 channels; with codes of 64 bytes they still fit MAX_VERDICT."""

MAX_VERDICT = 40960

MAX_CERTIFICATES = 8
"""Of one channel's budget: its instrument's, and those of what stands before it, such as a transformer."""

MAX_CHUNK = 4096
"""Bytes of an update's image in one message: a block of flash, and little beside a board's heap."""

MAX_CHUNKS = 128
CHUNK_DIGEST_SIZE = 16

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
    (16, "budget", ("null", ("bytes", 32, 32))),
    (17, "uncertainty", ("list", 0, 64, "parts")),
)

ENVELOPE = (
    (0, "version", "version"),
    (1, "message", ("bytes", 1, 8192)),
    (2, "verdict", ("bytes", 1, 40960)),
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
