"""The bytes of a DCC, without or after its signature, as the project's Certificate. No input or output here."""

from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from meter_gateway.traceability.certificate import Certificate
from meter_gateway.traceability.dcc import core_data, results, safe_xml
from meter_gateway.traceability.dcc.core_data import Item
from meter_gateway.traceability.dcc.nodes import Node
from meter_gateway.traceability.dcc.results import Assignment, LeftOut


@dataclass(frozen=True, slots=True)
class Reading:
    """`left_out` are the tables that are not among the certificate's results, each with its reason."""

    certificate: Certificate
    version: str
    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...]


def read(octets: bytes, assignments: Sequence[Assignment] = ()) -> Reading:
    """Raises DccRefused. Whether anyone has signed the bytes is signature.py's; give it what that returns."""
    return read_tree(safe_xml.parse(octets), assignments)


def read_tree(element: etree._Element, assignments: Sequence[Assignment] = ()) -> Reading:
    root = Node(element)
    core = core_data.read(root)
    found = results.read(root, core, assignments)
    certificate = Certificate(
        identifier=core.identifier,
        laboratory=core.laboratory,
        calibrated_on=core.ended_on,
        issued_on=core.issued_on,
        due_on=core.due_on,
        due_source=core.due_source,
        results=found.results,
        replaces=core.replaces,
        previous=core.previous,
        scan_sha256=None,
        ends=(),
        begun_on=core.begun_on,
        items=tuple(item.instrument for item in core.items),
        as_found=found.as_found,
        conformity=core.conformity,
        equipment=results.equipment(root),
        previous_digest=core.previous_digest,
    )
    return Reading(certificate, core.version, core.items, found.left_out)
