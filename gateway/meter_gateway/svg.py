"""What the drawings share: a document with its style, and text. They are SVG 1.1, of which a browser, a report and
a web page show every letter that the reader's computer has; picture_file.py makes PNG of them."""

from collections.abc import Iterable
from xml.sax.saxutils import escape

FONTS = "DejaVu Sans, Bitstream Vera Sans, Noto Sans CJK SC, WenQuanYi Micro Hei, sans-serif"
"""Latin first, then those that have Chinese; a program falls back letter by letter."""

_LETTER, _WIDE_LETTER = 7.2, 13.5
"""Widths of 12 px letters, Latin and Chinese, in px."""

_FIRST_WIDE = 0x1100


def document(width: float, height: float, style: str, parts: Iterable[str]) -> str:
    """White all over; `style` is CSS."""
    size = f'width="{width:.0f}" height="{height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<style>text{{font-family:{FONTS};font-size:12px;fill:#1a1a1a}}{style}</style>",
            f'<rect {size} style="fill:#fff;stroke:none"/>',
            *parts,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, said: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(said)}</text>'


def text_width(line: str) -> float:
    """About how wide a line of 12 px letters is."""
    return sum(_LETTER if ord(letter) < _FIRST_WIDE else _WIDE_LETTER for letter in line)
