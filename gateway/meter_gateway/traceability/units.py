"""The units that a certificate may print for a quantity: its UCUM unit with or without an SI prefix."""

from decimal import Decimal

from meter_protocol.quantities import Quantity

_PREFIXES = {"G": Decimal("1e9"), "M": Decimal("1e6"), "k": Decimal(1000), "m": Decimal("1e-3")}

# A prefix says nothing about a ratio, and a scale with an offset has no prefixes.
_NEVER_PREFIXED = ("1", "%", "Cel", "[ppm]", "kg", "kg/h", "m3", "m3/h", "m/s", "mg/m3")


def factor(unit: str, quantity: Quantity) -> Decimal | None:
    """How many of the quantity's own unit one `unit` is; None if it is not a unit of this quantity."""
    if unit == quantity.ucum:
        return Decimal(1)
    if quantity.ucum in _NEVER_PREFIXED or unit[1:] != quantity.ucum:
        return None
    return _PREFIXES.get(unit[0])


def allowed(quantity: Quantity) -> str:
    if quantity.ucum in _NEVER_PREFIXED:
        return quantity.ucum
    return ", ".join([quantity.ucum, *(prefix + quantity.ucum for prefix in _PREFIXES)])
