"""Bytes that somebody sent -> an XML tree, in bounded time and memory; DccRefused otherwise.

1. The size is looked at first, and the file is read once by expat without building anything. A document type
   declaration ends it at its first byte, so that no entity is ever declared, expanded or fetched; depth, number
   of elements, attributes and namespaces are counted, because a tree costs many times the bytes that ask for it.
2. Only then does libxml2 build the tree, without network, DTD, entities or its own huge-file mode.

The limits are far above any certificate seen: the samples of PTB have 700 elements, 20 levels, 6 attributes.
"""

from xml.parsers import expat

from lxml import etree

from meter_gateway.traceability.dcc.refused import DccRefused

MAX_BYTES = 8 << 20
"""Certificates may embed a PDF or a photograph; libxml2 refuses a single text of 10 MB."""

MAX_DEPTH = 64
MAX_ELEMENTS = 100_000
MAX_ATTRIBUTES = 32
"""Of one element. Canonicalisation looks at every namespace in scope at every element, so few are allowed."""

MAX_NAMESPACES_IN_SCOPE = 64
MAX_ATTRIBUTE_LENGTH = 1 << 14

_STEP = 1 << 16


def parse(octets: bytes, as_signed: bool = False) -> etree._Element:
    """The root element. Comments and processing instructions are left out, because a reader sees the text before
    one and not the text after it; a signature may be over them, and needs the file as it is."""
    if len(octets) > MAX_BYTES:
        raise DccRefused("too_large", limit=MAX_BYTES)
    _Census().take(octets)
    try:
        return etree.fromstring(octets, _parser(as_signed))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _not_xml(error) from None


def _parser(as_signed: bool) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=not as_signed,
        remove_pis=not as_signed,
    )


class _Census:
    """Counts what a tree would cost while expat reads."""

    def __init__(self) -> None:
        self._elements = 0
        self._namespaces: list[int] = [0]

    def take(self, octets: bytes) -> None:
        reader = expat.ParserCreate()
        reader.StartElementHandler = self._start
        reader.EndElementHandler = self._end
        reader.StartDoctypeDeclHandler = self._doctype
        try:
            for place in range(0, len(octets), _STEP):
                reader.Parse(octets[place : place + _STEP], False)
            reader.Parse(b"", True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise _not_xml(error) from None

    def _start(self, _name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise DccRefused("too_many_elements", limit=MAX_ELEMENTS)
        if len(self._namespaces) > MAX_DEPTH:
            raise DccRefused("too_deep", limit=MAX_DEPTH)
        if len(attributes) > MAX_ATTRIBUTES:
            raise DccRefused("too_many_attributes", limit=MAX_ATTRIBUTES)
        if any(len(value) > MAX_ATTRIBUTE_LENGTH for value in attributes.values()):
            raise DccRefused("long_attribute", limit=MAX_ATTRIBUTE_LENGTH)
        declared = sum(1 for name in attributes if name == "xmlns" or name.startswith("xmlns:"))
        in_scope = self._namespaces[-1] + declared
        if in_scope > MAX_NAMESPACES_IN_SCOPE:
            raise DccRefused("too_many_attributes", limit=MAX_NAMESPACES_IN_SCOPE)
        self._namespaces.append(in_scope)

    def _end(self, _name: str) -> None:
        self._namespaces.pop()

    def _doctype(self, *_declared: object) -> None:
        raise DccRefused("doctype")


def _not_xml(error: Exception) -> DccRefused:
    # libxml2 puts a line of the file into its text only where that is needed to find the place.
    return DccRefused("not_xml", problem=" ".join(str(error).split())[:120])
