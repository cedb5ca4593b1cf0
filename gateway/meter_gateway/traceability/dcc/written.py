"""A quantity of a DCC in the units of the project: values, errors and their uncertainties.

Of several units in which a quantity is given, the one that the project writes is taken; else it is converted,
exactly or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from meter_gateway.traceability import units
from meter_gateway.traceability.dcc import d_si, si_values
from meter_gateway.traceability.dcc.nodes import Node
from meter_gateway.traceability.dcc.refused import DccRefused
from meter_gateway.traceability.dcc.si_values import Column
from meter_protocol.quantities import Quantity

_PERCENT = Fraction(1, 100)


def written(node: Node, columns: Sequence[Column], quantity: Quantity) -> tuple[str, tuple[Decimal, ...]]:
    """The unit and the values in it, of the column that needs the least conversion."""
    ways = [
        (way, column)
        for column in columns
        if (unit := d_si.parse(column.unit)) is not None and (way := d_si.writing(unit, quantity)) is not None
    ]
    for way, column in sorted(ways, key=lambda found: (found[0].scale != 1, found[0].zero != 0)):
        values = tuple(value for printed in column.values if (value := way.value(printed)) is not None)
        if len(values) == len(column.values):
            return way.ucum, values
    raise unit_refused(node, columns, quantity)


def unit_refused(node: Node, columns: Sequence[Column], quantity: Quantity) -> DccRefused:
    printed = " ".join(column.unit for column in columns)[:80]
    return DccRefused("unit", node.path(), units=printed or "-", quantity=quantity.name)


def values_in(
    unit: str, columns: Sequence[Column], quantity: Quantity, is_difference: bool
) -> tuple[Decimal, ...] | None:
    """The values in a unit that is given; None if no column can be written so. % may be of the reading."""
    wanted = units.factor(unit, quantity)
    for column in columns:
        parsed = d_si.parse(column.unit)
        if parsed is None:
            continue
        way = d_si.writing(parsed, quantity)
        if way is not None and wanted is not None:
            own = units.factor(way.ucum, quantity) or Decimal(1)
            way = d_si.Writing(unit, way.scale * Fraction(own) / Fraction(wanted), way.zero)
        elif way is None and wanted is None and parsed.is_number and unit == "%":
            way = d_si.Writing(unit, parsed.factor / _PERCENT, Decimal(0))
        else:
            continue
        convert = way.difference if is_difference else way.value
        values = tuple(value for printed in column.values if (value := convert(printed)) is not None)
        if len(values) == len(column.values):
            return values
    return None


@dataclass(frozen=True, slots=True)
class Deviation:
    value: Decimal
    expanded: Decimal
    k: Decimal


def error_ways(columns: Sequence[Column], quantity: Quantity) -> list[tuple[d_si.Writing, Column]]:
    """How each column's differences are written: in the quantity's unit, or as % of the reading."""
    ways = []
    for column in columns:
        unit = d_si.parse(column.unit)
        if unit is None:
            continue
        way = d_si.writing(unit, quantity)
        if way is None and unit.is_number:
            way = d_si.Writing("%", unit.factor / _PERCENT, Decimal(0))
        if way is not None:
            ways.append((way, column))
    return ways


def errors_in(node: Node, columns: Sequence[Column], quantity: Quantity) -> tuple[str, tuple[Deviation, ...]]:
    ways = error_ways(columns, quantity)
    if not ways:
        raise unit_refused(node, columns, quantity)
    stated = [(way, column) for way, column in ways if column.uncertainties]
    if not stated:
        raise DccRefused("no_uncertainty", node.path())
    for way, column in sorted(stated, key=lambda found: found[0].scale != 1):
        deviations = [
            _deviation(way, value, uncertainty)
            for value, uncertainty in zip(column.values, column.uncertainties, strict=True)
        ]
        found = tuple(deviation for deviation in deviations if deviation is not None)
        if len(found) == len(deviations):
            if any(deviation.expanded == 0 for deviation in found):
                raise DccRefused("no_uncertainty", node.path())
            return way.ucum, found
    raise unit_refused(node, columns, quantity)


def _deviation(way: d_si.Writing, value: Decimal, uncertainty: si_values.Uncertainty) -> Deviation | None:
    error, expanded = way.difference(value), way.difference(uncertainty.expanded)
    return None if error is None or expanded is None else Deviation(error, expanded, uncertainty.k)


def differences(
    indication: Node, quantity: Quantity, references: tuple[Decimal, ...], unit: str, axis: Quantity
) -> tuple[str, tuple[Deviation, ...]]:
    """indication − reference, which needs one quantity in one unit; the uncertainty is the indication's."""
    if quantity is not axis:
        raise DccRefused("no_error", indication.path())
    error_unit, shown = errors_in(indication, si_values.columns(indication), quantity)
    values_unit, values = written(indication, si_values.columns(indication), quantity)
    if not error_unit == values_unit == unit:
        raise DccRefused("no_error", indication.path())
    count = max(len(values), len(references))
    pairs = zip(
        si_values.spread(values, count, indication), si_values.spread(references, count, indication), strict=True
    )
    errors = [d_si.difference(value, reference) for value, reference in pairs]
    return error_unit, tuple(
        Deviation(error, one.expanded, one.k)
        for error, one in zip(errors, si_values.spread(shown, count, indication), strict=True)
        if error is not None
    )
