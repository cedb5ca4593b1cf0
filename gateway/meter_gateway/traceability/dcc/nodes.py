"""Elements of a DCC by name, and what is asked of them: each absence and each wrong value names its XPath.

Names are written with the prefixes of the schema, `dcc:` and `si:`, whatever prefixes the file uses. The
namespaces of the first releases are the same names to us: 2.0 and 2.1.0 lay in PTB's own network, and D-SI was
at another address until DCC 2.2 (schemas of xsd-dcc v2.0.0 to v3.3.0).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TypeVar

from lxml import etree

from meter_gateway.traceability.dcc.refused import DccRefused

_INTRANET = (
    "https://intranet.ptb.de/fileadmin/dokumente/intranet/abteilungen/abteilung_1/Digitaler_Kalibrierschein/"
)
PREFIX_OF = {
    "https://ptb.de/dcc": "dcc",
    _INTRANET + "DCC": "dcc",
    "https://ptb.de/si": "si",
    "https://ptb.de/si/smartcom/d-si/v1_0_1": "si",
    _INTRANET + "SI": "si",
    "http://www.w3.org/2000/09/xmldsig#": "ds",
}

_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(Z|[+-]\d\d:\d\d)?", re.ASCII)
_MAX_DIGITS = 34
"""Of decimal128; printed results have far fewer, computed ones have those of a double."""

_MAX_EXPONENT = 30
_MAX_TEXT = 500
"""What is kept of a name; the file keeps it whole."""

_MAX_LIST = 1 << 18
"""Characters of a list of values: twenty thousand printed numbers."""

MAX_ALIKE = 1000
"""Items, statements, conditions, metaData of one place: each is looked at for each table."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Node:
    element: etree._Element

    def name(self) -> str:
        return _name(self.element)

    def path(self) -> str:
        """The XPath, with a position where siblings share the name."""
        steps = []
        element: etree._Element | None = self.element
        while element is not None:
            name, parent = _name(element), element.getparent()
            alike = [] if parent is None else [other for other in parent if _name(other) == name]
            steps.append(f"{name}[{alike.index(element) + 1}]" if len(alike) > 1 else name)
            element = parent
        return "/" + "/".join(reversed(steps))

    def children(self, *names: str) -> "Iterator[Node]":
        for child in self.element:
            if _name(child) in names:
                yield Node(child)

    def child(self, *names: str) -> "Node | None":
        return next(self.children(*names), None)

    def need(self, *names: str) -> "Node":
        found = self.child(*names)
        if found is None:
            raise DccRefused("missing", self.path(), element=" or ".join(names))
        return found

    def at(self, *steps: str) -> "Node | None":
        """The first child of the first child …, None as soon as one is absent."""
        node: Node | None = self
        for step in steps:
            if node is None:
                return None
            node = node.child(step)
        return node

    def listed(self, container: str, name: str) -> "Iterator[Node]":
        """What a list element such as dcc:statements holds; nothing if it is absent."""
        holder = self.child(container)
        for count, node in enumerate(() if holder is None else holder.children(name)):
            if count == MAX_ALIKE:
                raise DccRefused("too_many", self.path(), element=name, limit=MAX_ALIKE)
            yield node

    def below(self, name: str) -> "Iterator[Node]":
        for element in self.element.iter():
            if element is not self.element and _name(element) == name:
                yield Node(element)

    def text(self) -> str:
        """White space as one blank; DccRefused if there is none."""
        told = " ".join((self.element.text or "").split())
        if not told:
            raise DccRefused("empty", self.path())
        return told[:_MAX_TEXT]

    def words(self) -> list[str]:
        return self._text().split()

    def ref_types(self) -> frozenset[str]:
        return frozenset((self.element.get("refType") or "").split())

    def ref_ids(self) -> frozenset[str]:
        return frozenset((self.element.get("refId") or "").split())

    def id(self) -> str | None:
        return self.element.get("id")

    def day(self) -> date:
        return self._value(_day, "a date such as 2026-01-31")

    def decimal(self) -> Decimal:
        return self._value(_decimal, "a decimal number such as 0.061")

    def decimals(self) -> tuple[Decimal, ...]:
        return self._value(
            lambda text: tuple(map(_decimal, text.split())), "decimal numbers such as 306.248 373.1"
        )

    def _text(self) -> str:
        text = self.element.text or ""
        if len(text) > _MAX_LIST:
            raise DccRefused("too_many", self.path(), element="characters", limit=_MAX_LIST)
        return text

    def _value(self, convert: Callable[[str], Value], expected: str) -> Value:
        told = " ".join(self._text().split())
        if not told:
            raise DccRefused("empty", self.path())
        try:
            return convert(told)
        except (ValueError, ArithmeticError):
            shown = told if len(told) <= 40 else told[:39] + "…"
            raise DccRefused("wrong_value", self.path(), found=shown, expected=expected) from None


def in_language(node: Node | None, languages: tuple[str, ...] = ("zh", "en")) -> str | None:
    """A text element in the first of `languages` that it has, else as it is written first."""
    if node is None:
        return None
    contents = list(node.children("dcc:content"))
    if not contents:
        return " ".join((node.element.text or "").split())[:_MAX_TEXT] or None
    by_language = {content.element.get("lang"): content for content in reversed(contents)}
    chosen = next((by_language[language] for language in languages if language in by_language), contents[0])
    return " ".join((chosen.element.text or "").split())[:_MAX_TEXT] or None


def _name(element: etree._Element) -> str:
    # They have a function for a tag.
    if isinstance(element, etree._Comment | etree._ProcessingInstruction):
        return ""
    qualified = etree.QName(element)
    prefix = PREFIX_OF.get(qualified.namespace or "")
    return f"{prefix}:{qualified.localname}" if prefix else qualified.localname


def _decimal(text: str) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(text)
    number = Decimal(text)
    if len(number.as_tuple().digits) > _MAX_DIGITS or abs(number.adjusted()) > _MAX_EXPONENT:
        raise ValueError(text)
    return number


def _day(text: str) -> date:
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return date.fromisoformat(found[1])
