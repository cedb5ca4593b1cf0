"""Register bytes become integers: the word formats that instruments use, as pure integer arithmetic.

Most take one block of register bytes (two a register, high byte first, as Modbus sends them) and the index of the
first register; the others take the bits themselves. No float appears, not even for IEEE 754 registers: boards
compute with single precision, and a value that is signed must be the same integer everywhere.
"""

from meter_sampling.drivers.rounding import nearest

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
    return twos_complement(unsigned(block, index, words, low_word_first), 16 * words)


def twos_complement(value: int, bits: int) -> int:
    """The signed number that so many bits write."""
    return value - (1 << bits) if value >> (bits - 1) else value


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


def bcd(block: bytes, index: int, words: int, low_word_first: bool = False) -> "str | None":
    """Packed decimal digits, high digit first; None if a nibble is no digit."""
    value = unsigned(block, index, words, low_word_first)
    digits = ""
    for place in range(4 * words - 1, -1, -1):
        digit = value >> 4 * place & 15
        if digit > 9:
            return None
        digits += str(digit)
    return digits


def decimal(block: bytes, index: int, words: int, low_word_first: bool = False) -> "int | None":
    """The number that packed decimal digits write; None if a nibble is no digit."""
    digits = bcd(block, index, words, low_word_first)
    return None if digits is None else int(digits)


def real4(bits: int, decimals: int) -> "int | None":
    """IEEE 754 binary32 times 10^decimals."""
    return binary32(bits, 10**decimals)


def binary32(bits: int, multiplier: int) -> "int | None":
    """IEEE 754 binary32 times an integer, rounded to the nearest integer, ties to even.

    None for infinities and NaN. The exact value is significand * 2^shift, so the scaling is exact and only
    the last step rounds (ISO 80000-1 B.3 rule A).
    """
    return _binary(bits, multiplier, 8, 23)


def binary64(bits: int, multiplier: int) -> "int | None":
    """The same of an IEEE 754 binary64."""
    return _binary(bits, multiplier, 11, 52)


def _binary(bits: int, multiplier: int, exponent_bits: int, fraction_bits: int) -> "int | None":
    all_ones = (1 << exponent_bits) - 1
    exponent = bits >> fraction_bits & all_ones
    significand = bits & ((1 << fraction_bits) - 1)
    if exponent == all_ones:
        return None
    if exponent:
        significand |= 1 << fraction_bits
    else:
        exponent = 1
    shift = exponent - (all_ones >> 1) - fraction_bits
    scaled: int = significand * multiplier
    if shift >= 0:
        scaled <<= shift
    else:
        scaled = nearest(scaled, 1 << -shift)
    return -scaled if bits >> (exponent_bits + fraction_bits) else scaled
