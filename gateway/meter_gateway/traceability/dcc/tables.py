"""Where the tables of a DCC are: each with its quantities, and with what is said above it and holds for it.

A table is a `dcc:list` with quantities of its own, or the quantities that lie in a `dcc:data` directly. Tables are
numbered in the order of the file: first those of the results, then those that were found before an adjustment.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lxml import etree

from meter_gateway.traceability.certificate import Condition
from meter_gateway.traceability.dcc.conditions import conditions_at
from meter_gateway.traceability.dcc.nodes import Node, in_language
from meter_gateway.traceability.dcc.refused import DccRefused

MAX_TABLES = 500

_BEFORE = ("beforeAdjustment", "beforeRepair")


class Marked:
    """The quantities below a statement or metaData by refType, each looked for once: it holds for many tables."""

    def __init__(self) -> None:
        self._found: dict[etree._Element, dict[str, Node]] = {}

    def __call__(self, entry: Node, ref_type: str) -> Node | None:
        found = self._found.get(entry.element)
        if found is None:
            found = self._found[entry.element] = {}
            for quantity in entry.below("dcc:quantity"):
                for each in quantity.ref_types():
                    found.setdefault(each, quantity)
        return found.get(ref_type)


@dataclass(frozen=True, slots=True)
class Table:
    number: int
    title: str
    node: Node
    quantities: tuple[Node, ...]
    above: tuple[Node, ...]
    """The result, the measurementResult and measurementResults: what is said there holds here as well."""

    is_as_found: bool
    marked: Marked
    conditions: tuple[Condition, ...]


def tables_of(measurements: Node) -> Iterator[Table]:
    number = 0
    marked = Marked()
    measurements.need("dcc:measurementResult")
    for as_found in (False, True):
        for measurement in measurements.children("dcc:measurementResult"):
            common = tuple(conditions_at(measurement)) + tuple(conditions_at(measurements))
            for holder in _as_found(measurement) if as_found else _final(measurement):
                above = (holder, measurement, measurements)
                for node in _lists(holder.need("dcc:data")):
                    quantities = tuple(node.children("dcc:quantity"))
                    number += 1
                    if number > MAX_TABLES:
                        raise DccRefused("too_many", node.path(), element="dcc:list", limit=MAX_TABLES)
                    title = in_language(node.child("dcc:name")) or in_language(holder.child("dcc:name")) or ""
                    conditions = tuple(conditions_at(node)) + common
                    yield Table(number, title, node, quantities, above, as_found, marked, conditions)


def _final(measurement: Node) -> Iterator[Node]:
    measurement.need("dcc:results").need("dcc:result")
    yield from measurement.need("dcc:results").children("dcc:result")


def _as_found(measurement: Node) -> Iterator[Node]:
    for condition in measurement.listed("dcc:influenceConditions", "dcc:influenceCondition"):
        status = condition.child("dcc:status", "dcc:state")
        if status is not None and status.text() in _BEFORE:
            yield condition


def _lists(node: Node) -> Iterator[Node]:
    if node.child("dcc:quantity") is not None:
        yield node
    for below in node.children("dcc:list", "dcc:dccList"):
        yield from _lists(below)


def role(table: Table, ref_type: str, position: int | None) -> Node | None:
    if position is not None:
        if not 1 <= position <= len(table.quantities):
            count = len(table.quantities)
            raise DccRefused("no_position", table.node.path(), position=position, count=count)
        return table.quantities[position - 1]
    found = [quantity for quantity in table.quantities if ref_type in quantity.ref_types()]
    if len(found) > 1:
        raise DccRefused("several_roles", table.node.path(), role=ref_type)
    return found[0] if found else None


def meta_data(nodes: Iterable[Node], ref_type: str) -> Iterator[Node]:
    """The metaData of that refType, nearest first."""
    for node in nodes:
        for entry in node.listed("dcc:measurementMetaData", "dcc:metaData"):
            if ref_type in entry.ref_types():
                yield entry
