"""What a DCC is written with: elements of PTB's two namespaces, and the forms that come again and again."""

from lxml import etree

DCC = "https://ptb.de/dcc"
SI = "https://ptb.de/si"

Words = tuple[str, str]
"""English, Chinese."""


class _Writer:
    """Elements of one namespace, children in their order."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def __call__(
        self, name: str, *children: "etree._Element | None", text: str | None = None, **attributes: str
    ) -> etree._Element:
        made = etree.Element(f"{{{self._namespace}}}{name}", attributes, nsmap={"dcc": DCC, "si": SI})
        made.text = text
        made.extend([child for child in children if child is not None])
        return made


dcc = _Writer(DCC)
si = _Writer(SI)


def real_list(values: str, unit: str, uncertainty: etree._Element | None = None) -> etree._Element:
    return si("realListXMLList", si("valueXMLList", text=values), si("unitXMLList", text=unit), uncertainty)


def real(value: str, unit: str) -> etree._Element:
    return si("real", si("value", text=value), si("unit", text=unit))


def identification(issuer: str, value: str, name: Words) -> etree._Element:
    return dcc("identification", dcc("issuer", text=issuer), dcc("value", text=value), words("name", name))


def words(element: str, texts: Words) -> etree._Element:
    return dcc(
        element, *(dcc("content", text=text, lang=lang) for text, lang in zip(texts, ("en", "zh"), strict=True))
    )


def named(text: str) -> etree._Element:
    return dcc("name", dcc("content", text=text))
