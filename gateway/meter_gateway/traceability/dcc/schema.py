"""Validation against the XML schemas of PTB, where their owner has put them into a folder.

The schemas are under the LGPL and are not part of this project. The folder has the layout of their publication:
`v3.3.0/dcc.xsd` and what that imports by relative paths. A certificate is held against its own release, else
against the next later one of the same major version, which keeps what was allowed before.

An enveloped signature is taken out first: before 3.2 the schema has no place for it.
"""

import copy
import re
from pathlib import Path

from lxml import etree

from meter_gateway.traceability.dcc.core_data import version_of
from meter_gateway.traceability.dcc.nodes import Node
from meter_gateway.traceability.dcc.refused import DccRefused

_RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"


def validate(element: etree._Element, folder: Path) -> str:
    """The release whose schema the certificate fulfils; DccRefused with the first place where it does not."""
    version = version_of(Node(element))
    release = _release_for(version, folder)
    bare = copy.deepcopy(element)
    for signature in bare.findall(_SIGNATURE):
        bare.remove(signature)
    if bare.get("schemaVersion") is not None:
        bare.set("schemaVersion", release)
    schema = _schema(folder / f"v{release}" / "dcc.xsd")
    try:
        schema.assertValid(bare)
    except etree.DocumentInvalid as error:
        problem, _, line = str(error).rpartition(", line ")
        raise DccRefused("schema", f"line {line}", problem=_told(problem), release=release) from None
    return release


def _release_for(version: str, folder: Path) -> str:
    wanted = tuple(int(part) for part in version.partition("-")[0].split("."))
    found = sorted(
        tuple(int(part) for part in name.groups())
        for path in folder.glob("v*/dcc.xsd")
        if (name := _RELEASE.fullmatch(path.parent.name)) is not None
    )
    for release in found:
        if release >= wanted and release[0] == wanted[0]:
            return ".".join(str(part) for part in release)
    raise DccRefused("no_schema", str(folder), version=version)


def _schema(path: Path) -> etree.XMLSchema:
    parser = etree.XMLParser(no_network=True, resolve_entities=False)
    try:
        return etree.XMLSchema(etree.parse(str(path), parser))
    except (etree.XMLSchemaParseError, etree.XMLSyntaxError, OSError) as error:
        raise DccRefused("bad_schema", str(path), problem=_told(str(error))) from None


def _told(message: str) -> str:
    """libxml2 writes names with their namespaces in braces, which nobody reads."""
    return re.sub(r"\{[^}]*\}", "", " ".join(message.split()))[:200]
