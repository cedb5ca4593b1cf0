r"""Units as D-SI writes them (`\kilo\watt\hour`, `\metre\tothe{3}\hour\tothe{-1}`) and the project's own.

A unit is a factor and the powers of the SI base units that it stands for, as exact fractions, so that two
spellings of one unit are the same value. What a certificate says of a quantity is then written in the unit that
the project knows for it, UCUM with a prefix where that keeps the printed digits. Nothing is rounded: a value
that has no finite decimal in the wanted unit is not converted.
"""

import re
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from fractions import Fraction

from meter_gateway.traceability import units
from meter_protocol.quantities import QUANTITIES, Quantity

_WORD = re.compile(r"\\([a-z]+)(?:\{(-?\d)\})?", re.ASCII)
_MAX_LENGTH = 100

EXACT = Context(prec=150, traps=[Inexact])
"""Far more digits than a printed value has; what would need still more is not converted."""

_PREFIXES = {
    name: Fraction(10) ** exponent
    for name, exponent in {
        "yotta": 24, "zetta": 21, "exa": 18, "peta": 15, "tera": 12, "giga": 9, "mega": 6, "kilo": 3, "hecto": 2,
        "deca": 1, "deci": -1, "centi": -2, "milli": -3, "micro": -6, "nano": -9, "pico": -12, "femto": -15,
        "atto": -18, "zepto": -21, "yocto": -24,
    }.items()
}  # fmt: skip

_ABSOLUTE_ZERO = Decimal("273.15")

Powers = tuple[int, ...]
"""Of m, kg, s, A, K, mol, cd."""

_UNITS: dict[str, tuple[Fraction, Powers]] = {
    name: (Fraction(factor), powers)
    for name, (factor, powers) in {
        "one": ("1", (0, 0, 0, 0, 0, 0, 0)),
        "percent": ("0.01", (0, 0, 0, 0, 0, 0, 0)),
        "ppm": ("0.000001", (0, 0, 0, 0, 0, 0, 0)),
        "radian": ("1", (0, 0, 0, 0, 0, 0, 0)),
        "metre": ("1", (1, 0, 0, 0, 0, 0, 0)),
        "gram": ("0.001", (0, 1, 0, 0, 0, 0, 0)),
        "kilogram": ("1", (0, 1, 0, 0, 0, 0, 0)),
        "tonne": ("1000", (0, 1, 0, 0, 0, 0, 0)),
        "second": ("1", (0, 0, 1, 0, 0, 0, 0)),
        "minute": ("60", (0, 0, 1, 0, 0, 0, 0)),
        "hour": ("3600", (0, 0, 1, 0, 0, 0, 0)),
        "day": ("86400", (0, 0, 1, 0, 0, 0, 0)),
        "ampere": ("1", (0, 0, 0, 1, 0, 0, 0)),
        "kelvin": ("1", (0, 0, 0, 0, 1, 0, 0)),
        "degreecelsius": ("1", (0, 0, 0, 0, 1, 0, 0)),
        "mole": ("1", (0, 0, 0, 0, 0, 1, 0)),
        "candela": ("1", (0, 0, 0, 0, 0, 0, 1)),
        "litre": ("0.001", (3, 0, 0, 0, 0, 0, 0)),
        "hertz": ("1", (0, 0, -1, 0, 0, 0, 0)),
        "newton": ("1", (1, 1, -2, 0, 0, 0, 0)),
        "pascal": ("1", (-1, 1, -2, 0, 0, 0, 0)),
        "bar": ("100000", (-1, 1, -2, 0, 0, 0, 0)),
        "joule": ("1", (2, 1, -2, 0, 0, 0, 0)),
        "watt": ("1", (2, 1, -3, 0, 0, 0, 0)),
        "volt": ("1", (2, 1, -3, -1, 0, 0, 0)),
        "ohm": ("1", (2, 1, -3, -2, 0, 0, 0)),
        "coulomb": ("1", (0, 0, 1, 1, 0, 0, 0)),
    }.items()
}

_NONE: Powers = (0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Unit:
    factor: Fraction
    powers: Powers
    is_celsius: bool
    """A temperature in it begins at 273.15 K; a difference does not."""

    @property
    def is_number(self) -> bool:
        return self.powers == _NONE


def parse(text: str) -> Unit | None:
    r"""None if it is not of these units. `\per` inverts the next unit; it is older than `\tothe{-1}`."""
    if not text or len(text) > _MAX_LENGTH:
        return None
    factor, powers = Fraction(1), list(_NONE)
    prefix, inverse = Fraction(1), 1
    last: tuple[Fraction, Powers] | None = None
    place = 0
    while place < len(text):
        found = _WORD.match(text, place)
        if found is None:
            return None
        word, argument = found[1], found[2]
        place = found.end()
        if word == "tothe":
            if last is None or argument is None:
                return None
            # The unit was taken once already.
            more = int(argument) - 1
            factor *= last[0] ** (more * inverse)
            powers = [have + more * inverse * power for have, power in zip(powers, last[1], strict=True)]
            last, inverse = None, 1
            continue
        if argument is not None:
            return None
        if word == "per":
            last, inverse = None, -1
        elif word in _PREFIXES:
            if prefix != 1:
                return None
            if last is not None:
                inverse = 1
            prefix, last = _PREFIXES[word], None
        elif word in _UNITS:
            if last is not None:
                inverse = 1
            scale, own = _UNITS[word]
            last, prefix = (scale * prefix, own), Fraction(1)
            factor *= last[0] ** inverse
            powers = [have + inverse * power for have, power in zip(powers, own, strict=True)]
        else:
            return None
    if prefix != 1:
        return None
    return Unit(factor, tuple(powers), text == "\\degreecelsius")


def _own(quantity: Quantity) -> Unit:
    found = parse(quantity.dsi)
    if found is None:
        raise ValueError(quantity.dsi)
    return found


OWN = {quantity.code: _own(quantity) for quantity in QUANTITIES}
"""Each quantity's own unit."""


@dataclass(frozen=True, slots=True)
class Writing:
    """How a printed value becomes one in `ucum`: times `scale`, minus `zero` unless it is a difference."""

    ucum: str
    scale: Fraction
    zero: Decimal

    def value(self, printed: Decimal) -> Decimal | None:
        scaled = exactly(printed, self.scale)
        return None if scaled is None else difference(scaled, self.zero)

    def difference(self, printed: Decimal) -> Decimal | None:
        return exactly(printed, self.scale)


def writing(unit: Unit, quantity: Quantity) -> Writing | None:
    """None if it is not a unit of that quantity."""
    own = OWN[quantity.code]
    if unit.powers != own.powers:
        return None
    zero = _ABSOLUTE_ZERO if own.is_celsius and not unit.is_celsius else Decimal(0)
    scale = unit.factor / own.factor
    for ucum in units.allowed(quantity).split(", "):
        if units.factor(ucum, quantity) == scale:
            return Writing(ucum, Fraction(1), zero)
    return Writing(quantity.ucum, scale, zero)


def exactly(printed: Decimal, scale: Fraction) -> Decimal | None:
    """printed·scale with the digits that were printed; None if it has no finite decimal."""
    if scale == 1:
        return printed
    shift = _power_of_ten(scale)
    if shift is not None:
        return _shifted(printed, shift)
    product = Fraction(printed) * scale
    rest, places = product.denominator, 0
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest //= prime
            count += 1
        places = max(places, count)
    if rest != 1:
        return None
    return _shifted(Decimal(product.numerator * 10**places // product.denominator), -places)


def difference(minuend: Decimal, subtrahend: Decimal) -> Decimal | None:
    try:
        return EXACT.subtract(minuend, subtrahend)
    except Inexact:
        return None


def _shifted(number: Decimal, places: int) -> Decimal | None:
    try:
        return EXACT.scaleb(number, Decimal(places))
    except Inexact:
        return None


def _power_of_ten(scale: Fraction) -> int | None:
    for number, sign in ((scale.numerator, 1), (scale.denominator, -1)):
        digits = str(number)
        other = scale.denominator if sign == 1 else scale.numerator
        if other == 1 and digits.rstrip("0") == "1":
            return sign * (len(digits) - 1)
    return None
