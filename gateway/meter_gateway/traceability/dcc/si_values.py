"""The values of one `dcc:quantity` (D-SI): numbers, unit and uncertainties, in each unit in which it is given.

A quantity is one `si:real`, a list (`si:realListXMLList`, or `si:list` and `si:realList` of the older releases),
or an `si:hybrid` that says the same in several units. Uncertainties have two encodings: `expandedUnc` and
`coverageInterval` of D-SI 1 and 2.1, `measurementUncertaintyUnivariate` since 2.2. A list of one element holds
for all values (D-SI 2). A standard uncertainty is an expanded one with k = 1; of a coverage interval it is the
standard uncertainty that is stated beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from meter_gateway.traceability.dcc.nodes import Node
from meter_gateway.traceability.dcc.refused import DccRefused

_XML_LIST = "XMLList"
_ENCODINGS = {
    # container: (the value of the uncertainty, its coverage factor or None for a standard uncertainty)
    "expandedUnc": ("uncertainty", "coverageFactor"),
    "expandedMU": ("valueExpandedMU", "coverageFactor"),
    "standardMU": ("valueStandardMU", None),
    "coverageIntervalMU": ("valueStandardMU", None),
    "coverageInterval": ("standardUnc", None),
}
_WRAPPERS = (
    "measurementUncertaintyUnivariate",
    "measurementUncertaintyUnivaraite",  # so it is spelt inside a list of D-SI 2.2.1
    "listMeasurementUncertaintyUnivariate",
    "listUnivariateUnc",
)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Uncertainty:
    expanded: Decimal
    k: Decimal


@dataclass(frozen=True, slots=True)
class Column:
    """`unit` as printed; `uncertainties` is empty where none is stated, else one for each value."""

    values: tuple[Decimal, ...]
    unit: str
    uncertainties: tuple[Uncertainty, ...]


def columns(quantity: Node) -> tuple[Column, ...]:
    """One for each unit; none if the quantity is a text, a complex number or another thing that is not read."""
    hybrid = quantity.child("si:hybrid")
    holders = [hybrid] if hybrid is not None else [quantity]
    holders += list(quantity.children("si:list")) + (
        list(hybrid.children("si:list")) if hybrid is not None else []
    )
    found: list[Column] = []
    for holder in holders:
        if holder.name() == "si:list" and holder.child("si:real") is not None:
            found.append(_list_of_reals(holder))
            continue
        for node in holder.children("si:real", "si:constant", "si:realListXMLList", "si:realList"):
            match node.name():
                case "si:realListXMLList":
                    found.append(_xml_list(node))
                case "si:realList":
                    found.append(_list_of_reals(node))
                case _:
                    found.append(_real(node))
    return tuple(found)


def spread(items: Sequence[Item], count: int, where: Node) -> tuple[Item, ...]:
    """`items` for `count` values: one each, or one for all."""
    if len(items) == count:
        return tuple(items)
    if len(items) == 1:
        return tuple(items) * count
    raise DccRefused("list_length", where.path(), found=len(items), expected=count)


def _real(node: Node, unit: str | None = None, common: tuple[Uncertainty, ...] = ()) -> Column:
    values = (node.need("si:value").decimal(),)
    told = node.child("si:unit")
    written = unit if told is None and unit is not None else node.need("si:unit").text()
    return Column(values, written, _uncertainties(node, "", 1) or common)


def _list_of_reals(node: Node) -> Column:
    listed = node.child("si:listUnit")
    unit = None if listed is None else listed.text()
    common = _uncertainties(node, "", 1)
    reals = [_real(real, unit, common) for real in node.children("si:real")]
    if not reals:
        raise DccRefused("missing", node.path(), element="si:real")
    if len({real.unit for real in reals}) > 1:
        raise DccRefused("units_differ", node.path())
    uncertainties = tuple(one for real in reals for one in real.uncertainties)
    if uncertainties and len(uncertainties) != len(reals):
        raise DccRefused("list_length", node.path(), found=len(uncertainties), expected=len(reals))
    return Column(tuple(real.values[0] for real in reals), reals[0].unit, uncertainties)


def _xml_list(node: Node) -> Column:
    place = node.need("si:valueXMLList")
    values = place.decimals()
    units = node.need("si:unitXMLList")
    if len(set(units.words())) != 1:
        raise DccRefused("units_differ" if units.words() else "empty", units.path())
    uncertainties = _uncertainties(node, _XML_LIST, len(values))
    return Column(spread(values, max(len(values), len(uncertainties)), place), units.words()[0], uncertainties)


def _uncertainties(node: Node, suffix: str, count: int) -> tuple[Uncertainty, ...]:
    for wrapper in _WRAPPERS:
        inner = node.child(f"si:{wrapper}{suffix}")
        if inner is not None:
            return _uncertainties(inner, suffix, count)
    for container, (value, factor) in _ENCODINGS.items():
        stated = node.child(f"si:{container}{suffix}")
        if stated is None:
            continue
        expanded = stated.need(f"si:{value}{suffix}").decimals()
        ks = (Decimal(1),) if factor is None else stated.need(f"si:{factor}{suffix}").decimals()
        count = max(count, len(expanded), len(ks))
        return tuple(
            _uncertainty(u, k, stated)
            for u, k in zip(spread(expanded, count, stated), spread(ks, count, stated), strict=True)
        )
    return ()


def _uncertainty(expanded: Decimal, k: Decimal, where: Node) -> Uncertainty:
    if expanded < 0 or k <= 0:
        raise DccRefused("wrong_value", where.path(), found=f"U {expanded}, k {k}", expected="U ≥ 0 and k > 0")
    return Uncertainty(expanded, k)
