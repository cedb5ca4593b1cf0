"""Packed decimal digits as meters on serial lines send them: two a byte, the lowest pair first."""


def bcd(digits: bytes) -> "int | None":
    """None if a nibble is no digit; makers send FF or EE for what they do not have."""
    value = 0
    for index in range(len(digits) - 1, -1, -1):
        byte = digits[index]
        if byte >> 4 > 9 or byte & 15 > 9:
            return None
        value = 100 * value + 10 * (byte >> 4) + (byte & 15)
    return value


def to_bcd(number: str) -> bytes:
    """The bytes of a number written in an even count of decimal digits."""
    return bytes(int(number[index : index + 2], 16) for index in range(len(number) - 2, -1, -2))


def is_number(text: "object", digits: int) -> bool:
    """Whether it is a text of exactly so many decimal digits."""
    if not isinstance(text, str) or len(text) != digits:
        return False
    return all("0" <= character <= "9" for character in text)
