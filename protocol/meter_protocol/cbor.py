"""Deterministic CBOR (RFC 8949 §4.2.1) restricted to what carbonmeter signs.

The subset: integers that fit int64, byte strings, text strings, arrays, maps with integer keys, false, true
and null. There is exactly one encoding of each value, and the decoder refuses every other one with its
reason, so two verifiers can never disagree about what was signed. Floats, tags, bignums, undefined and
indefinite lengths do not exist here.

Keys sort by their encoded bytes (RFC 8949 §4.2.1): 0, 1, 2, … and then -1, -2, ….
"""

from meter_protocol.errors import EncodeError, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_SIZE = 8192
"""The largest message: one sealed parameter set of 64 channels inside an event needs about 6 KiB."""

MAX_DEPTH = 8

INT64_MIN = -(1 << 63)
INT64_MAX = (1 << 63) - 1

_UINT = 0x00
_NEGATIVE = 0x20
_BYTES = 0x40
_TEXT = 0x60
_ARRAY = 0x80
_MAP = 0xA0
_TAG = 0xC0
_FALSE = 0xF4
_TRUE = 0xF5
_NULL = 0xF6


def dumps(value: "Any") -> bytes:
    """Encode `value`; EncodeError if it is outside the subset."""
    out = bytearray()
    _encode(out, value, 0)
    return bytes(out)


def loads(data: bytes, max_size: int = MAX_SIZE) -> "Any":
    """Decode the one item that `data` is; ProtocolError with a `cbor_…` reason otherwise.

    Arrays become lists. Never allocates more than the input's own size announces.
    """
    if len(data) > max_size:
        raise ProtocolError("cbor_too_large")
    value, end = _decode(data, 0, 0)
    if end != len(data):
        raise ProtocolError("cbor_trailing_bytes")
    return value


def limit_objects(data: bytes, limit: int) -> None:
    """Refuse data with more than `limit` strings, arrays and maps, in constant memory and before `loads`.

    Each of them takes a board some fifty bytes of heap and an attacker one byte or two, so that 8 KiB of empty
    arrays would take all there is. The heads of well-formed CBOR follow each other, so one loop counts them;
    `loads` gets no further than it does in what is not, and says why.
    """
    start = 0
    objects = 0
    while start < len(data):
        if data[start] in (_FALSE, _TRUE, _NULL):
            start += 1
            continue
        try:
            major, argument, start = decode_head(data, start)
        except ProtocolError:
            return
        if major in (_BYTES, _TEXT):
            start += argument
        if major in (_BYTES, _TEXT, _ARRAY, _MAP):
            objects += 1
            if objects > limit:
                raise ProtocolError("cbor_too_many_objects")


def encode_head(out: bytearray, major: int, argument: int) -> None:
    """Append the shortest head (RFC 8949 §3) of a major type, given as its three top bits in place."""
    if argument < 24:
        out.append(major | argument)
    elif argument < 0x100:
        out.append(major | 24)
        out.append(argument)
    elif argument < 0x10000:
        out.append(major | 25)
        out.extend(argument.to_bytes(2, "big"))
    elif argument < 0x100000000:
        out.append(major | 26)
        out.extend(argument.to_bytes(4, "big"))
    else:
        out.append(major | 27)
        out.extend(argument.to_bytes(8, "big"))


def decode_head(data: bytes, start: int) -> "tuple[int, int, int]":
    """(major type bits, argument, index after the head); refuses non-shortest and indefinite heads."""
    if start >= len(data):
        raise ProtocolError("cbor_truncated")
    initial = data[start]
    major = initial & 0xE0
    info = initial & 0x1F
    start += 1
    if info < 24:
        return major, info, start
    if info == 31:
        raise ProtocolError("cbor_indefinite_length")
    if info > 27:
        raise ProtocolError("cbor_reserved")
    length = 1 << (info - 24)
    end = start + length
    if end > len(data):
        raise ProtocolError("cbor_truncated")
    argument = int.from_bytes(data[start:end], "big")
    if argument < (24, 0x100, 0x10000, 0x100000000)[info - 24]:
        raise ProtocolError("cbor_non_shortest")
    return major, argument, end


def key_order(key: int) -> int:
    """Sort key that orders integer map keys as their encodings sort."""
    return key if key >= 0 else (1 << 64) - key


def _encode(out: bytearray, value: "Any", depth: int) -> None:
    if depth > MAX_DEPTH:
        raise EncodeError("deeper than MAX_DEPTH")
    # bool before int: isinstance(True, int) differs between the two interpreters.
    if value is False:
        out.append(_FALSE)
    elif value is True:
        out.append(_TRUE)
    elif value is None:
        out.append(_NULL)
    elif isinstance(value, int):
        if not INT64_MIN <= value <= INT64_MAX:
            raise EncodeError("integer outside int64")
        if value >= 0:
            encode_head(out, _UINT, value)
        else:
            encode_head(out, _NEGATIVE, -1 - value)
    elif isinstance(value, (bytes, bytearray)):
        encode_head(out, _BYTES, len(value))
        out.extend(value)
    elif isinstance(value, str):
        text = _utf8(value)
        encode_head(out, _TEXT, len(text))
        out.extend(text)
    elif isinstance(value, (list, tuple)):
        encode_head(out, _ARRAY, len(value))
        for item in value:
            _encode(out, item, depth + 1)
    elif isinstance(value, dict):
        for key in value:
            if isinstance(key, bool) or not isinstance(key, int):
                raise EncodeError("map key is not an integer")
        encode_head(out, _MAP, len(value))
        for key in sorted(value, key=key_order):
            _encode(out, key, depth + 1)
            _encode(out, value[key], depth + 1)
    else:
        raise EncodeError("type outside the subset")


def _decode(data: bytes, start: int, depth: int) -> "tuple[Any, int]":
    if depth > MAX_DEPTH:
        raise ProtocolError("cbor_too_deep")
    if start < len(data) and data[start] >= 0xE0:
        return _decode_simple(data, start)
    major, argument, start = decode_head(data, start)
    if major == _UINT:
        if argument > INT64_MAX:
            raise ProtocolError("cbor_integer_range")
        return argument, start
    if major == _NEGATIVE:
        if argument > INT64_MAX:
            raise ProtocolError("cbor_integer_range")
        return -1 - argument, start
    if major == _TAG:
        raise ProtocolError("cbor_tag")
    # Every item takes a byte at least, so a count larger than the rest is refused before anything is built.
    if argument > len(data) - start:
        raise ProtocolError("cbor_truncated")
    if major == _BYTES:
        return bytes(data[start : start + argument]), start + argument
    if major == _TEXT:
        text = bytes(data[start : start + argument])
        if not _is_utf8(text):
            raise ProtocolError("cbor_invalid_utf8")
        return text.decode(), start + argument
    if major == _ARRAY:
        items = []
        for _ in range(argument):
            item, start = _decode(data, start, depth + 1)
            items.append(item)
        return items, start
    return _decode_map(data, start, argument, depth)


def _decode_map(data: bytes, start: int, count: int, depth: int) -> "tuple[dict[int, Any], int]":
    result = {}
    previous = -1
    for _ in range(count):
        if start < len(data) and data[start] & 0xE0 not in (_UINT, _NEGATIVE):
            raise ProtocolError("cbor_key_type")
        key, start = _decode(data, start, depth + 1)
        order = key_order(key)
        if order == previous:
            raise ProtocolError("cbor_duplicate_key")
        if order < previous:
            raise ProtocolError("cbor_unsorted_keys")
        previous = order
        result[key], start = _decode(data, start, depth + 1)
    return result, start


def _decode_simple(data: bytes, start: int) -> "tuple[Any, int]":
    """Major type 7, whose arguments are not integers: only false, true and null are ours."""
    initial = data[start]
    start += 1
    if initial == _FALSE:
        return False, start
    if initial == _TRUE:
        return True, start
    if initial == _NULL:
        return None, start
    if initial == 0xFF:
        raise ProtocolError("cbor_indefinite_length")
    if initial in (0xF9, 0xFA, 0xFB):
        raise ProtocolError("cbor_float")
    if initial in (0xFC, 0xFD, 0xFE):
        raise ProtocolError("cbor_reserved")
    raise ProtocolError("cbor_simple_value")


def _utf8(value: str) -> bytes:
    """CPython refuses to encode a lone surrogate, MicroPython lets it pass: here both refuse."""
    try:
        text = value.encode()
    except UnicodeError:
        raise EncodeError("text with a surrogate") from None
    if not _is_utf8(text):
        raise EncodeError("text with a surrogate")
    return text


def _is_utf8(text: bytes) -> bool:
    """RFC 3629 exactly: MicroPython's own decoder lets surrogates and overlong forms pass."""
    i = 0
    end = len(text)
    while i < end:
        lead = text[i]
        i += 1
        if lead < 0x80:
            continue
        if 0xC2 <= lead <= 0xDF:
            tail, low, high = 1, 0x80, 0xBF
        elif 0xE0 <= lead <= 0xEF:
            tail = 2
            low = 0xA0 if lead == 0xE0 else 0x80
            high = 0x9F if lead == 0xED else 0xBF
        elif 0xF0 <= lead <= 0xF4:
            tail = 3
            low = 0x90 if lead == 0xF0 else 0x80
            high = 0x8F if lead == 0xF4 else 0xBF
        else:
            return False
        if i + tail > end:
            return False
        for offset in range(tail):
            if not low <= text[i + offset] <= high:
                return False
            low, high = 0x80, 0xBF
        i += tail
    return True
