"""`dcc:measurementResults`: tables of reference value, indication and error, as results of the project's model.

What a table is about (which of the project's quantities, of which instrument) is only sometimes in the file: °C
is a temperature, but W may be electrical or thermal, and an error in % says nothing. Where the file does not say
it, a person does (`Assignment`). A table that cannot be used is left out by number and reason, never in silence.

1. Roles come from refTypes (`basic_referenceValue`, `basic_measuredValue`, `basic_measurementError`), else from
   the assignment. Without an error, it is indication − reference, with the indication's uncertainty.
2. A result without an uncertainty is none.
3. Acceptance limits, conformity and validity range are the nearest that are stated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.dcc import d_si, si_values
from meter_gateway.traceability.dcc.core_data import CoreData, conformity, named_document, serials
from meter_gateway.traceability.dcc.nodes import Node, in_language
from meter_gateway.traceability.dcc.refused import DccRefused
from meter_gateway.traceability.dcc.si_values import Column
from meter_gateway.traceability.dcc.tables import Table, meta_data, role, tables_of
from meter_gateway.traceability.dcc.written import differences, errors_in, unit_refused, values_in, written
from meter_protocol.quantities import BY_NAME, QUANTITIES, Quantity

MAX_POINTS = 100_000


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a person says about one table. `reference`, `indication` and `error` are positions of its quantities,
    from 1, for files without refTypes."""

    table: int
    quantity: Quantity
    axis: Quantity
    serial: str | None = None
    reference: int | None = None
    indication: int | None = None
    error: int | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`reason` is one of DccRefused's; `values` fill its text."""

    table: int
    title: str
    reason: DccRefused


@dataclass(frozen=True, slots=True)
class Results:
    results: tuple[c.CalibrationResult, ...]
    as_found: tuple[c.CalibrationResult, ...]
    left_out: tuple[LeftOut, ...]


def read(root: Node, core: CoreData, assignments: Sequence[Assignment] = ()) -> Results:
    by_table = {assignment.table: assignment for assignment in assignments}
    results: dict[bool, list[c.CalibrationResult]] = {False: [], True: []}
    left_out = []
    count = 0
    for table in tables_of(root.need("dcc:measurementResults")):
        try:
            result = _result(table, core, by_table.get(table.number))
        except DccRefused as refused:
            left_out.append(LeftOut(table.number, table.title, refused))
        else:
            count += len(result.points)
            if count > MAX_POINTS:
                raise DccRefused("too_many", table.node.path(), element="points", limit=MAX_POINTS)
            results[table.is_as_found].append(result)
    return Results(_joined(results[False]), _joined(results[True]), tuple(left_out))


def equipment(root: Node) -> tuple[c.Equipment, ...]:
    found: dict[c.Equipment, None] = {}
    for node in root.need("dcc:measurementResults").below("dcc:measuringEquipment"):
        identifier, digest = named_document(node.child("dcc:certificate"))
        name = in_language(node.need("dcc:name")) or ""
        found[c.Equipment(name, serials(node), identifier, digest)] = None
    return tuple(found)


def _result(table: Table, core: CoreData, said: Assignment | None) -> c.CalibrationResult:
    reference = role(table, "basic_referenceValue", None if said is None else said.reference)
    indication = role(table, "basic_measuredValue", None if said is None else said.indication)
    error = role(table, "basic_measurementError", None if said is None else said.error)
    if reference is None:
        raise DccRefused("no_reference", table.node.path())
    references = si_values.columns(reference)
    quantity, axis = (said.quantity, said.axis) if said is not None else _guess(reference, references, error)
    axis_unit, points_at = written(reference, references, axis)
    # An energy meter's indications may be impulses: they are kept where they are in the reference's unit.
    shown = () if indication is None else values_in(axis_unit, si_values.columns(indication), axis, False) or ()
    if error is not None:
        error_unit, errors = errors_in(error, si_values.columns(error), quantity)
        if error_unit == "%" and _is_shifted(references, quantity):
            raise unit_refused(error, si_values.columns(error), quantity)
    elif indication is not None:
        error_unit, errors = differences(indication, quantity, points_at, axis_unit, axis)
    else:
        raise DccRefused("no_error", table.node.path())
    count = max(len(points_at), len(errors), len(shown))
    points_at = si_values.spread(points_at, count, reference)
    errors = si_values.spread(errors, count, error or reference)
    indications = si_values.spread(shown, count, reference) if shown else (None,) * count
    limits = _limits(table, error or indication or reference, quantity, error_unit, count)
    points = tuple(
        c.Point(at, deviation.value, deviation.expanded, deviation.k, indicated, *limit)
        for at, deviation, indicated, limit in zip(points_at, errors, indications, limits, strict=True)
    )
    minimum, maximum = _validity(table, core, axis, axis_unit)
    return c.CalibrationResult(
        instrument=_instrument(table, core, said),
        quantity=quantity,
        axis=c.Axis(axis, axis_unit, minimum, maximum),
        error_unit=error_unit,
        points=points,
        conditions=table.conditions,
    )


def _guess(reference: Node, columns: Sequence[Column], error: Node | None) -> tuple[Quantity, Quantity]:
    """What the units leave no choice about: the only quantity of that dimension, with errors in its own unit."""
    units = [unit for column in columns if (unit := d_si.parse(column.unit)) is not None]
    if any(unit.is_celsius for unit in units):
        candidates = [BY_NAME["temperature"]]
    else:
        powers = {unit.powers for unit in units}
        candidates = [quantity for quantity in QUANTITIES if d_si.OWN[quantity.code].powers in powers]
    if error is not None:
        of_error = [unit for column in si_values.columns(error) if (unit := d_si.parse(column.unit)) is not None]
        candidates = [q for q in candidates if any(d_si.writing(unit, q) is not None for unit in of_error)]
    if len(candidates) != 1:
        raise DccRefused(
            "quantity_unsaid", reference.path(), units=" ".join(column.unit for column in columns)[:80]
        )
    return candidates[0], candidates[0]


def _is_shifted(references: Sequence[Column], quantity: Quantity) -> bool:
    """Whether % of what is printed is not % of what is written: K becomes °C, which begins elsewhere."""
    units = (d_si.parse(column.unit) for column in references)
    return d_si.OWN[quantity.code].is_celsius and any(unit is None or not unit.is_celsius for unit in units)


_Limit = tuple[c.ErrorLimits | None, c.ErrorLimits | None, c.Conformity | None]


def _limits(table: Table, nearest: Node, quantity: Quantity, error_unit: str, count: int) -> list[_Limit]:
    """Acceptance limits, tolerance limits and conformity of each point."""
    for entry in meta_data((nearest, *table.quantities, table.node, *table.above), "basic_conformity"):
        sides = {
            ref_type: _side(table.marked(entry, ref_type), quantity, error_unit, count)
            for ref_type in (
                "basic_acceptanceLimitLower",
                "basic_acceptanceLimitUpper",
                "basic_toleranceLimitLower",
                "basic_toleranceLimitUpper",
            )
        }
        acceptance = _both(sides["basic_acceptanceLimitLower"], sides["basic_acceptanceLimitUpper"])
        tolerance = _both(sides["basic_toleranceLimitLower"], sides["basic_toleranceLimitUpper"])
        return list(zip(acceptance, tolerance, _conformities(entry, count), strict=True))
    return [(None, None, None)] * count


def _both(lower: Sequence[Decimal | None], upper: Sequence[Decimal | None]) -> list[c.ErrorLimits | None]:
    return [
        None if low is None and high is None else c.ErrorLimits(low, high)
        for low, high in zip(lower, upper, strict=True)
    ]


def _side(node: Node | None, quantity: Quantity, error_unit: str, count: int) -> tuple[Decimal | None, ...]:
    """None for each point where the file has no such limit in a unit that can be written as the error's."""
    if node is None:
        return (None,) * count
    values = values_in(error_unit, si_values.columns(node), quantity, True)
    if values is not None:
        return si_values.spread(values, count, node)
    return (None,) * count


def _conformities(entry: Node, count: int) -> tuple[c.Conformity | None, ...]:
    told = entry.child("dcc:conformityXMLList", "dcc:conformity")
    if told is None:
        return (None,) * count
    return si_values.spread([conformity(told, word) for word in told.words()], count, told)


def _validity(table: Table, core: CoreData, axis: Quantity, unit: str) -> tuple[Decimal | None, Decimal | None]:
    """The stated validity range in the axis' unit; of several statements the nearest that can be written so."""
    nearest = (*table.quantities, table.node, *table.above)
    stated = [entry for entry in core.statements if "basic_validityRange" in entry.ref_types()]
    for entry in (*meta_data(nearest, "basic_validityRange"), *stated):
        ends = [
            _end(table.marked(entry, ref_type), axis, unit)
            for ref_type in ("basic_validityRangeMin", "basic_validityRangeMax")
        ]
        if ends[0] is not None and ends[1] is not None and ends[0] <= ends[1]:
            return ends[0], ends[1]
    return None, None


def _end(node: Node | None, axis: Quantity, unit: str) -> Decimal | None:
    if node is None:
        return None
    values = values_in(unit, si_values.columns(node), axis, False)
    return values[0] if values is not None and len(values) == 1 else None


def _instrument(table: Table, core: CoreData, said: Assignment | None) -> c.Instrument:
    """The item that the table refers to, else the one that a person names, else the only one."""
    referred = frozenset[str]().union(*(node.ref_ids() for node in (table.node, *table.quantities, *table.above)))
    items = [item for item in core.items if item.id is not None and item.id in referred] or list(core.items)
    if said is not None and said.serial is not None:
        items = [item for item in items if item.instrument.serial == said.serial]
    if len(items) != 1:
        known = ", ".join(item.instrument.serial for item in core.items)
        raise DccRefused("item_unsaid", table.node.path(), serials=known[:200])
    return items[0].instrument


def _joined(results: Sequence[c.CalibrationResult]) -> tuple[c.CalibrationResult, ...]:
    """Tables of one point each that differ in nothing but the point are one table that was written in pieces."""
    joined: dict[object, c.CalibrationResult] = {}
    for number, result in enumerate(results):
        bare = replace(result, points=())
        key: object = bare if len(result.points) == 1 else number
        before = joined.get(key)
        joined[key] = result if before is None else replace(before, points=before.points + result.points)
    return tuple(joined.values())
