"""`dcc:administrativeData`: which certificate this is, whose it is, what it is about and until when it holds.

The releases differ in little that is read here: an identification's `name` was a `description` in 2.x, the
`referralID` of a named document a `referenceID`, and a statement had neither conformity nor data before 3.0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.dcc.nodes import Node, in_language
from meter_gateway.traceability.dcc.refused import DccRefused

_VERSION = re.compile(r"(2\.\d{1,2}|3\.[0-3])\.\d{1,2}(-rc\.\d{1,2})?", re.ASCII)
_LOCATION = re.compile(r"/dcc/v(\d[^/\s]{0,15})/dcc\.xsd")
_SCHEMA_LOCATION = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
_SERIAL_REF_TYPES = frozenset(("basic_serialNumber", "basic_serialNo"))
_ISSUERS = ("manufacturer", "owner", "customer", "calibrationLaboratory", "other")


@dataclass(frozen=True, slots=True)
class Item:
    """`id` is what results refer to."""

    id: str | None
    instrument: c.Instrument
    identifications: tuple[tuple[str, str], ...]
    """(issuer, value), all of them: a customer's tag helps to find the instrument."""


@dataclass(frozen=True, slots=True)
class CoreData:
    version: str
    identifier: str
    laboratory: c.Laboratory
    begun_on: date
    ended_on: date
    issued_on: date | None
    replaces: tuple[str, ...]
    previous: str | None
    previous_digest: c.Digest | None
    items: tuple[Item, ...]
    due_on: date | None
    due_source: str | None
    conformity: c.Conformity | None
    statements: tuple[Node, ...]


def version_of(root: Node) -> str:
    """From the attribute, or before 2.3.0 from the schema's address; DccRefused if it is not one of 2.0–3.3."""
    if root.name() != "dcc:digitalCalibrationCertificate":
        raise DccRefused("not_a_dcc", root.path())
    stated = root.element.get("schemaVersion")
    if stated is None:
        located = _LOCATION.search(root.element.get(_SCHEMA_LOCATION, ""))
        stated = located[1] if located else "2.0.0"
    if not _VERSION.fullmatch(stated):
        raise DccRefused("version_unknown", root.path(), found=stated[:20])
    return stated


def read(root: Node) -> CoreData:
    version = version_of(root)
    administrative = root.need("dcc:administrativeData")
    core = administrative.need("dcc:coreData")
    begun_on = core.need("dcc:beginPerformanceDate").day()
    end = core.need("dcc:endPerformanceDate")
    ended_on = end.day()
    if ended_on < begun_on:
        raise DccRefused("wrong_value", end.path(), found=ended_on, expected=f"a date not before {begun_on}")
    issued = core.child("dcc:issueDate")
    replaced = core.at("dcc:reportAmendedSubstituted", "dcc:replacedUniqueIdentifier")
    previous, previous_digest = named_document(core.child("dcc:previousReport"))
    statements = tuple(administrative.listed("dcc:statements", "dcc:statement"))
    due_on, due_source = _due(statements)
    return CoreData(
        version=version,
        identifier=core.need("dcc:uniqueIdentifier").text(),
        laboratory=_laboratory(administrative.need("dcc:calibrationLaboratory")),
        begun_on=begun_on,
        ended_on=ended_on,
        issued_on=None if issued is None else issued.day(),
        replaces=() if replaced is None else (replaced.text(),),
        previous=previous,
        previous_digest=previous_digest,
        items=tuple(_items(administrative)),
        due_on=due_on,
        due_source=due_source,
        conformity=_conformity_of_all(statements),
        statements=statements,
    )


def _laboratory(node: Node) -> c.Laboratory:
    name = in_language(node.need("dcc:contact").need("dcc:name"))
    if name is None:
        raise DccRefused("empty", node.need("dcc:contact").need("dcc:name").path())
    code = node.child("dcc:calibrationLaboratoryCode")
    return c.Laboratory(name, None if code is None else code.text())


def _items(administrative: Node) -> Iterator[Item]:
    items = administrative.need("dcc:items")
    items.need("dcc:item")
    for node in administrative.listed("dcc:items", "dcc:item"):
        manufacturer = in_language(node.at("dcc:manufacturer", "dcc:name"))
        if manufacturer is None:
            manufacturer = in_language(items.at("dcc:manufacturer", "dcc:name"))
        model = node.child("dcc:model")
        told = list(_identifications(node))
        instrument = c.Instrument(manufacturer or "", "" if model is None else model.text(), _serial(node, told))
        yield Item(node.id(), instrument, tuple((issuer, value) for issuer, value, _ in told))


def _identifications(node: Node) -> Iterator[tuple[str, str, frozenset[str]]]:
    for entry in node.listed("dcc:identifications", "dcc:identification"):
        issuer = entry.need("dcc:issuer").text()
        if issuer not in _ISSUERS:
            where = entry.need("dcc:issuer").path()
            raise DccRefused("wrong_value", where, found=issuer[:40], expected=" or ".join(_ISSUERS))
        yield issuer, entry.need("dcc:value").text(), entry.ref_types()


def _serial(node: Node, told: list[tuple[str, str, frozenset[str]]]) -> str:
    """What is marked as the serial number, else what the manufacturer has given, else the next one's."""
    if not told:
        raise DccRefused("missing", node.path(), element="dcc:identifications/dcc:identification")
    marked = [value for _, value, ref_types in told if ref_types & _SERIAL_REF_TYPES]
    if marked:
        return marked[0]
    return min(told, key=lambda entry: _ISSUERS.index(entry[0]))[1]


def serials(node: Node) -> tuple[str, ...]:
    """Of measuring equipment, which may have none."""
    return tuple(value for _, value, _ in _identifications(node))


def named_document(node: Node | None) -> tuple[str | None, c.Digest | None]:
    """A `hashType`: the document's identifier, and its digest unless it exists on paper only."""
    if node is None:
        return None, None
    identifier = node.need("dcc:referralID", "dcc:referenceID").text()
    procedure, value = node.need("dcc:procedure").text(), node.need("dcc:value").text()
    if "analog" in procedure.lower():
        return identifier, None
    return identifier, c.Digest(procedure, value)


def conformity(node: Node, told: str) -> c.Conformity:
    try:
        return c.Conformity(told)
    except ValueError:
        known = " or ".join(entry.value for entry in c.Conformity)
        raise DccRefused("wrong_value", node.path(), found=told[:40], expected=known) from None


def _conformity_of_all(statements: tuple[Node, ...]) -> c.Conformity | None:
    for statement in statements:
        told = statement.child("dcc:conformity")
        if told is not None and "basic_conformity" in statement.ref_types():
            return conformity(told, told.text())
    return None


def _due(statements: tuple[Node, ...]) -> tuple[date | None, str | None]:
    for statement in statements:
        told = statement.child("dcc:date")
        if told is not None and "basic_recalibration" in statement.ref_types():
            by = in_language(statement.at("dcc:respAuthority", "dcc:name"))
            return told.day(), f"DCC basic_recalibration ({by})" if by else "DCC basic_recalibration"
    return None, None
