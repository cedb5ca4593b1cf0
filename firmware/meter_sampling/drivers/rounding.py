"""Rounding of exact quotients, the same on every board (ISO 80000-1 B.3 rule A)."""


def nearest(numerator: int, denominator: int) -> int:
    """numerator / denominator (> 0) to the nearest integer, ties to even."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient & 1):
        quotient += 1
    return quotient
