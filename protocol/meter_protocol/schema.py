"""What every message type must hold (SPEC §4–§8), as tables that both interpreters run.

A table lists (key, name, check). A payload has exactly the keys of its type's table: a missing or an
additional key refuses the message, because a field that one verifier reads and another ignores is how two
honest verifiers come to disagree. `meter.cddl` says the same for machines and a test compares the two.
"""

from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import keys
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    Check = Callable[[Any], bool]
    Table = tuple[tuple[int, str, Check], ...]

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


def bytes_of(size: int) -> "Check":
    return lambda value: isinstance(value, bytes) and len(value) == size


def bytes_to(limit: int) -> "Check":
    return lambda value: isinstance(value, bytes) and 0 < len(value) <= limit


def text_to(limit: int) -> "Check":
    """UTF-8 of 1 to `limit` bytes."""

    def is_text(value: "Any") -> bool:
        if not isinstance(value, str):
            return False
        try:
            return 0 < len(value.encode()) <= limit
        except UnicodeError:
            return False

    return is_text


def uint_to(limit: int) -> "Check":
    return lambda value: is_uint(value) and value <= limit


def positive_to(limit: int) -> "Check":
    return lambda value: is_uint(value) and 0 < value <= limit


def or_null(check: "Check") -> "Check":
    return lambda value: value is None or check(value)


def list_to(limit: int, check: "Check") -> "Check":
    def is_list(value: "Any") -> bool:
        return isinstance(value, list) and len(value) <= limit and all(check(item) for item in value)

    return is_list


def map_by(table: "Table") -> "Check":
    """A nested map with exactly the table's keys."""

    def is_map(value: "Any") -> bool:
        if not isinstance(value, dict) or len(value) != len(table):
            return False
        return all(key in value and check(value[key]) for key, _, check in table)

    return is_map


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
    return text_to(MAX_TEXT)(value[0]) and (value[1] is None or is_channel(value[1]))


def is_options(value: "Any") -> bool:
    """Rows of a register map for drivers whose map is data."""
    if value is None:
        return True
    if not isinstance(value, list) or len(value) > MAX_CHANNELS:
        return False
    for row in value:
        if not isinstance(row, list) or len(row) > MAX_OPTION_CELLS:
            return False
        if not all(is_int(cell) or text_to(MAX_TEXT)(cell) for cell in row):
            return False
    return True


_COMMON = (
    (f.VERSION, "version", is_version),
    (f.TIME_MS, "time_ms", is_int),
    (f.CLOCK_STATUS, "clock_status", uint_to(f.CLOCK_RELATIVE)),
    (f.CLOCK_UNCERTAINTY_MS, "clock_uncertainty_ms", or_null(is_uint)),
)
_CHAIN = _COMMON + (
    (f.EPOCH, "epoch", bytes_of(8)),
    (f.SEQUENCE, "sequence", is_uint),
    (f.BOOT, "boot", is_uint),
    (f.PREVIOUS, "previous", bytes_of(32)),
    (f.CONTEXT, "context", bytes_of(16)),
)
ABOUT_METER = _COMMON + ((f.METER, "meter", bytes_of(32)),)

INSTRUMENT = (
    (f.INSTRUMENT_DRIVER, "driver", text_to(32)),
    (f.INSTRUMENT_BUS, "bus", text_to(32)),
    (f.INSTRUMENT_ADDRESS, "address", uint_to(0xFFFFFFFF)),
    (f.INSTRUMENT_SERIAL, "serial", or_null(text_to(MAX_TEXT))),
    (f.INSTRUMENT_OPTIONS, "options", is_options),
)
CHANNEL = (
    (f.CHANNEL_ID, "id", is_channel),
    (f.CHANNEL_INSTRUMENT, "instrument", uint_to(MAX_CHANNELS - 1)),
    (f.CHANNEL_INDICATION, "indication", text_to(32)),
    (f.CHANNEL_QUANTITY, "quantity", positive_to(0xFFFF)),
    (f.CHANNEL_KIND, "kind", uint_to(f.CHANNEL_MEAN)),
    (f.CHANNEL_EXPONENT, "exponent", is_exponent),
    (f.CHANNEL_RATIO, "ratio", positive_to(10**9)),
    (f.CHANNEL_MODULUS, "modulus", or_null(positive_to(2**62))),
    (f.CHANNEL_MAX_STEP, "max_step", or_null(is_uint)),
    (f.CHANNEL_OPERATING_POINT, "operating_point", or_null(is_channel)),
    (f.CHANNEL_EXTREMES, "extremes", is_bool),
)

TABLES = {
    t.READINGS: _CHAIN
    + (
        (f.KIND, "kind", uint_to(f.KIND_PARTIAL)),
        (f.DURATION_MS, "duration_ms", or_null(is_uint)),
        (f.READINGS, "readings", is_readings),
        (f.JITTER_MS, "jitter_ms", is_uint),
    ),
    t.EVENT: _CHAIN
    + (
        (f.EVENT_CODE, "event", positive_to(max(ev.NAMES))),
        (f.DETAILS, "details", lambda value: isinstance(value, dict)),
    ),
    t.IDENTITY: _CHAIN
    + (
        (f.PUBLIC_KEY, "public_key", is_cose_key),
        (f.SERIAL, "serial", text_to(MAX_TEXT)),
        (f.MAKER, "maker", text_to(MAX_TEXT)),
        (f.MODEL, "model", text_to(MAX_TEXT)),
        (f.KEY_PROTECTION, "key_protection", uint_to(f.KEY_SECURE_ELEMENT)),
        (f.SOFTWARE_ID, "software_id", bytes_of(32)),
        (f.CERTIFICATE, "certificate", or_null(bytes_to(2048))),
    ),
    t.RECEIPT: ABOUT_METER
    + (
        (f.EPOCH, "epoch", bytes_of(8)),
        (f.SEQUENCE, "sequence", is_uint),
        (f.HASH, "hash", bytes_of(32)),
    ),
    t.REFUSAL: ABOUT_METER
    + (
        (f.DIGEST, "digest", bytes_of(32)),
        (f.REASON, "reason", text_to(MAX_TEXT)),
    ),
    t.RESEND_REQUEST: ABOUT_METER
    + (
        (f.EPOCH, "epoch", bytes_of(8)),
        (f.SEQUENCE, "sequence", is_uint),
    ),
    t.TIME_REQUEST: ABOUT_METER + ((f.NONCE, "nonce", bytes_of(16)),),
    t.TIME_REPLY: ABOUT_METER + ((f.NONCE, "nonce", bytes_of(16)),),
    t.PARAMETER_SET: ABOUT_METER
    + (
        (f.SET_VERSION, "set_version", is_uint),
        (f.INTERVAL_S, "interval_s", positive_to(86400)),
        (f.SAMPLE_PERIOD_MS, "sample_period_ms", positive_to(86400000)),
        (f.INSTRUMENTS, "instruments", list_to(MAX_CHANNELS, map_by(INSTRUMENT))),
        (f.CHANNELS, "channels", list_to(MAX_CHANNELS, map_by(CHANNEL))),
        (f.RECEIPT_KEYS, "receipt_keys", list_to(MAX_KEYS, is_cose_key)),
        (f.CLOCK_KEYS, "clock_keys", list_to(MAX_KEYS, is_cose_key)),
    ),
    t.UPDATE_MANIFEST: _COMMON
    + (
        (f.MANIFEST_SEQUENCE, "manifest_sequence", positive_to(0xFFFFFFFF)),
        (f.VENDOR_IDENTIFIER, "vendor_identifier", bytes_of(16)),
        (f.CLASS_IDENTIFIER, "class_identifier", bytes_of(16)),
        (f.IMAGE_SIZE, "image_size", positive_to(MAX_CHUNKS * MAX_CHUNK)),
        (f.IMAGE_DIGEST, "image_digest", bytes_of(32)),
        (f.CHUNK_SIZE, "chunk_size", positive_to(MAX_CHUNK)),
        (f.CHUNK_DIGESTS, "chunk_digests", bytes_to(MAX_CHUNKS * CHUNK_DIGEST_SIZE)),
        (f.DOWNGRADE_FROM, "downgrade_from", or_null(positive_to(0xFFFFFFFF))),
        (f.SOFTWARE_VERSION, "software_version", text_to(MAX_TEXT)),
    ),
    t.IMAGE_REQUEST: ABOUT_METER
    + (
        (f.DIGEST, "image_digest", bytes_of(32)),
        (f.CHUNK_INDEX, "chunk_index", uint_to(MAX_CHUNKS - 1)),
    ),
    t.IMAGE_CHUNK: ABOUT_METER
    + (
        (f.DIGEST, "image_digest", bytes_of(32)),
        (f.CHUNK_INDEX, "chunk_index", uint_to(MAX_CHUNKS - 1)),
        (f.CHUNK, "chunk", bytes_to(MAX_CHUNK)),
    ),
    t.COMPARISON: _COMMON,
    t.VERDICT_BATCH: _COMMON
    + (
        (f.ROOT, "root", bytes_of(32)),
        (f.COUNT, "count", positive_to(0xFFFFFFFF)),
    ),
}

_LAST_RECEIPT = (ev.LAST_RECEIPT, "last_receipt", or_null(bytes_to(t.MAX_STANDALONE)))
_REASON = (ev.REASON, "reason", text_to(MAX_TEXT))
_LAST_HEAD = (
    (ev.LAST_EPOCH, "last_epoch", or_null(bytes_of(8))),
    (ev.LAST_SEQUENCE, "last_sequence", or_null(is_uint)),
    (ev.LAST_HASH, "last_hash", or_null(bytes_of(32))),
)

EVENT_TABLES = {
    ev.BOOT: (_LAST_RECEIPT, (ev.SOFTWARE_ID, "software_id", bytes_of(32))),
    ev.CLOCK_SET: (
        (ev.OLD_TIME_MS, "old_time_ms", is_int),
        (ev.NEW_TIME_MS, "new_time_ms", is_int),
        (ev.TIME_REPLY, "time_reply", bytes_to(t.MAX_STANDALONE)),
        (ev.DRIFT_PPB, "drift_ppb", or_null(is_int)),
    ),
    ev.PARAMETERS_APPLIED: ((ev.PARAMETER_SET, "parameter_set", bytes_to(t.MAX_PARAMETER_SET)),),
    ev.PARAMETERS_REFUSED: (_REASON, (ev.DIGEST, "digest", bytes_of(32))),
    ev.JOURNAL_OVERFLOW: (_LAST_RECEIPT, (ev.TOTALS_BEFORE, "totals_before", is_totals)),
    ev.JOURNAL_RESUMED: (
        (ev.SPAN_START_MS, "span_start_ms", is_int),
        (ev.TOTALS_BEFORE, "totals_before", is_totals),
        (ev.TOTALS_AFTER, "totals_after", is_totals),
    ),
    ev.SELF_TEST_FAILED: (_REASON,),
    ev.FIRMWARE_UPDATED: (
        (ev.SOFTWARE_ID, "software_id", bytes_of(32)),
        (ev.SOFTWARE_BEFORE, "software_before", bytes_of(32)),
        (ev.MANIFEST, "manifest", bytes_to(t.MAX_UPDATE_MANIFEST)),
    ),
    ev.EPOCH_OPENED: _LAST_HEAD + (_LAST_RECEIPT, _REASON),
    ev.MESSAGE_REFUSED: _LAST_HEAD + (_REASON, (ev.DIGEST, "digest", bytes_of(32))),
    ev.RESEND_UNAVAILABLE: _LAST_HEAD + (_LAST_RECEIPT, (ev.FIRST_SEQUENCE, "first_sequence", is_uint)),
    ev.REGISTER_DISCONTINUITY: (
        (ev.CHANNEL, "channel", is_channel),
        (ev.TOTAL_BEFORE, "total_before", is_uint),
        (ev.RAW_BEFORE, "raw_before", is_uint),
        (ev.RAW_AFTER, "raw_after", is_uint),
    ),
    ev.JOURNAL_QUARANTINED: ((ev.SEGMENTS, "segments", list_to(64, text_to(MAX_TEXT))),),
    ev.UPDATE_REFUSED: (_REASON, (ev.DIGEST, "digest", bytes_of(32))),
    ev.UPDATE_ROLLED_BACK: (_REASON, (ev.SOFTWARE_ID, "software_id", bytes_of(32))),
}

VERDICT = (
    (f.VERSION, "version", is_version),
    (f.EPOCH, "epoch", bytes_of(8)),
    (f.SEQUENCE, "sequence", is_uint),
    (f.TIME_MS, "time_ms", is_int),
    (f.METER, "meter", bytes_of(32)),
    (f.HASH, "hash", bytes_of(32)),
    (f.VERDICT_REVISION, "revision", is_uint),
    (f.VERDICT_SCHEME, "scheme", text_to(MAX_TEXT)),
    (f.VERDICT_ACCEPTANCE, "acceptance", uint_to(f.ACCEPTED)),
    (f.VERDICT_FINDINGS, "findings", list_to(MAX_FINDINGS, is_finding)),
    (f.VERDICT_CAUSE, "cause", or_null(text_to(MAX_TEXT))),
)

ENVELOPE = (
    (f.VERSION, "version", is_version),
    (f.ENVELOPE_MESSAGE, "message", bytes_to(t.MAX_MESSAGE)),
    (f.ENVELOPE_VERDICT, "verdict", bytes_to(MAX_VERDICT)),
    (f.ENVELOPE_BATCH, "batch", bytes_to(t.MAX_STANDALONE)),
    (f.ENVELOPE_INDEX, "index", is_uint),
    (f.ENVELOPE_PATH, "path", list_to(32, bytes_of(32))),
)
