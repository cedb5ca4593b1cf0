"""Register bytes become integers: the word formats that instruments use, as pure integer arithmetic.

Each function takes one block of register bytes (two a register, high byte first, as Modbus sends them) and the
index of the first register. No float appears, not even for IEEE 754 registers: boards compute with single
precision, and a value that is signed must be the same integer everywhere.
"""

NOT_AVAILABLE_U16 = 0xFFFF
NOT_AVAILABLE_U32 = 0xFFFFFFFF
NOT_AVAILABLE_U64 = 0xFFFFFFFFFFFFFFFF
NOT_AVAILABLE_I32 = -0x80000000


def unsigned(block: bytes, index: int, words: int, low_word_first: bool = False) -> int:
    value = 0
    for step in range(words):
        word = index + (words - 1 - step if low_word_first else step)
        value = value << 16 | block[2 * word] << 8 | block[2 * word + 1]
    return value


def signed(block: bytes, index: int, words: int, low_word_first: bool = False) -> int:
    """Two's complement."""
    value = unsigned(block, index, words, low_word_first)
    return value - (1 << 16 * words) if value >> (16 * words - 1) else value


def available(value: int, marker: int) -> "int | None":
    """None where the instrument says by its marker that it has no value."""
    return None if value == marker else value


def text(block: bytes, index: int, words: int) -> "str | None":
    """ASCII, two characters a register, padded with NUL or blanks; None if it is not printable ASCII."""
    characters = bytes(block[2 * index : 2 * (index + words)]).rstrip(b"\x00 ")
    for character in characters:
        if not 0x20 <= character < 0x7F:
            return None
    return characters.decode()


def bcd(block: bytes, index: int, words: int) -> "str | None":
    """Packed decimal digits, high digit first; None if a nibble is no digit."""
    digits = ""
    for byte in block[2 * index : 2 * (index + words)]:
        if byte >> 4 > 9 or byte & 15 > 9:
            return None
        digits += "%02x" % byte
    return digits


def real4(bits: int, decimals: int) -> "int | None":
    """IEEE 754 binary32 times 10^decimals, rounded to the nearest integer, ties to even.

    None for infinities and NaN. The exact value is significand * 2^shift, so the scaling is exact and only
    the last step rounds (ISO 80000-1 B.3 rule A).
    """
    exponent = bits >> 23 & 0xFF
    significand = bits & 0x7FFFFF
    if exponent == 0xFF:
        return None
    if exponent:
        significand |= 0x800000
    else:
        exponent = 1
    shift = exponent - 150
    scaled: int = significand * 10**decimals
    if shift >= 0:
        scaled <<= shift
    else:
        scaled = _shift_to_nearest(scaled, -shift)
    return -scaled if bits >> 31 else scaled


def _shift_to_nearest(value: int, bits: int) -> int:
    quotient = value >> bits
    rest = value - (quotient << bits)
    half = 1 << (bits - 1)
    if rest > half or (rest == half and quotient & 1):
        quotient += 1
    return quotient
