"""What one value must be (SPEC §4–§8): the rules that the tables of `schema` name, and what holds between values.

A rule is a word of RULES, or

    ("bytes", least, most)         a byte string of so many bytes
    ("text", most)                 UTF-8 of 1 to `most` bytes
    ("uint", least, most)          an unsigned integer
    ("list", least, most, rule)    so many items, each by the rule
    ("map", table)                 exactly the table's keys
    ("null", rule)                 null, or by the rule
"""

from meter_protocol import fields as f
from meter_protocol import keys
from meter_protocol.errors import ProtocolError
from meter_protocol.schema import (
    CHANNEL,
    CHUNK_DIGEST_SIZE,
    INSTRUMENT,
    MAX_CERTIFICATES,
    MAX_CHANNELS,
    MAX_OPTION_CELLS,
    MAX_TEXT,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_protocol.schema import Rule, Table


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


def is_parts(value: "Any") -> bool:
    """[channel, common to it, random, resolution, then common to each certificate]: SPEC §8.2."""
    if not isinstance(value, list) or not 4 <= len(value) <= 4 + MAX_CERTIFICATES:
        return False
    return is_channel(value[0]) and all(is_uint(part) for part in value)


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
    "parts": is_parts,
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
