"""What can be wrong with what this package is asked."""

import math

LARGEST, SMALLEST = 1e100, 1e-100
"""Bounds of what is a measured value, so that squares, ratios and their products stay within floats."""


_ROUNDING = 1e-12
"""Far more than binary fractions make of decimals, and far less than anybody measures."""


class MetrologyError(ValueError):
    """A question that has no answer; the text is one line that says which number is at fault and why."""


class BudgetError(MetrologyError):
    """An uncertainty budget that contradicts itself, or whose degrees of freedom are not defined."""


class TooFewValues(MetrologyError):
    """Fewer observations than the method needs."""


def finite(value: float, name: str) -> float:
    """Of a size that is measured: at most `LARGEST`."""
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise MetrologyError(f"{name} must be a finite number of at most {LARGEST:g}, not {value}")
    return value


def not_negative(value: float, name: str) -> float:
    if finite(value, name) < 0:
        raise MetrologyError(f"{name} must not be negative, not {value}")
    return value


def positive(value: float, name: str) -> float:
    """More than 0, and at least `SMALLEST`."""
    if finite(value, name) < SMALLEST:
        raise MetrologyError(f"{name} must be more than 0, not {value}")
    return value


def probability(value: float, name: str) -> float:
    """Strictly between 0 and 1."""
    if not 0 < value < 1:
        raise MetrologyError(f"{name} must be between 0 and 1, not {value}")
    return value


def at_least(count: int, needed: int, what: str) -> None:
    if count < needed:
        raise TooFewValues(f"{count} {what}, and at least {needed} are needed")


def same_length(first: int, second: int, what: str) -> None:
    if first != second:
        raise MetrologyError(f"{what} must be pairs, not {first} and {second} values")


def exceeds(value: float, limit: float) -> bool:
    """Not where both are printed equal and only rounding parts them: in binary 0.1/0.3 is more than 1/3."""
    return value > limit + abs(limit) * _ROUNDING
