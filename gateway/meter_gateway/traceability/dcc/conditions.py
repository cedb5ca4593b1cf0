"""Under which conditions a calibration was made, as spans of a value."""

from collections.abc import Iterator

from meter_gateway.traceability.certificate import Condition
from meter_gateway.traceability.dcc import si_values
from meter_gateway.traceability.dcc.nodes import Node, in_language
from meter_gateway.traceability.dcc.refused import DccRefused
from meter_gateway.traceability.dcc.written import written
from meter_protocol.quantities import BY_NAME

_QUANTITIES = {
    "basic_temperature": "temperature",
    "basic_humidityRelative": "relative_humidity",
    "basic_pressure": "absolute_pressure",
    "basic_pressureAbsolute": "absolute_pressure",
}


def conditions_at(holder: Node) -> Iterator[Condition]:
    for node in holder.listed("dcc:influenceConditions", "dcc:influenceCondition"):
        found = _condition(node)
        if found is not None:
            yield found


def _condition(node: Node) -> Condition | None:
    """A value or a span in one unit; None for what is said in words, and for results before an adjustment."""
    if node.child("dcc:status", "dcc:state") is not None:
        return None
    spans = []
    for quantity in node.need("dcc:data").below("dcc:quantity"):
        names = [_QUANTITIES[ref_type] for ref_type in node.ref_types() if ref_type in _QUANTITIES]
        columns = si_values.columns(quantity)
        if not columns:
            continue
        if names:
            try:
                spans.append(written(quantity, columns, BY_NAME[names[0]]))
                continue
            except DccRefused:
                pass
        spans.append((columns[0].unit, columns[0].values))
    if not spans or len({unit for unit, _ in spans}) > 1:
        return None
    values = [value for _, column in spans for value in column]
    return Condition(in_language(node.need("dcc:name")) or "", spans[0][0], min(values), max(values))
