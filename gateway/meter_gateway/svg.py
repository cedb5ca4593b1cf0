"""What the drawings share: a document with its style, and text. They are SVG 1.1, of which a browser, a report and
a web page show every letter that the reader's computer has; picture_file.py makes PNG of them."""

from collections.abc import Iterable
from itertools import groupby
from xml.sax.saxutils import escape

_LATIN = "DejaVu Sans, Bitstream Vera Sans"
_CHINESE = (
    "Noto Sans CJK SC, Noto Sans SC, Source Han Sans SC, Source Han Sans CN, WenQuanYi Micro Hei,"
    " WenQuanYi Zen Hei, Droid Sans Fallback, AR PL UMing CN, AR PL UKai CN, Microsoft YaHei, PingFang SC, SimHei"
)

_LETTER, _WIDE_LETTER = 7.2, 13.5
"""Widths of 12 px letters, Latin and Chinese, in px."""

_FIRST_WIDE = 0x2E80
"""Where CJK begins in Unicode; arrows and signs such as a check mark lie before."""


def is_wide(letter: str) -> bool:
    return ord(letter) >= _FIRST_WIDE


def document(width: float, height: float, style: str, parts: Iterable[str]) -> str:
    """White all over; `style` is CSS."""
    size = f'width="{width:.0f}" height="{height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<style>text{{font-family:{_LATIN}, {_CHINESE}, sans-serif;font-size:12px;fill:#1a1a1a}}",
            f".zh{{font-family:{_CHINESE}, sans-serif}}{style}</style>",
            f'<rect {size} style="fill:#fff;stroke:none"/>',
            *parts,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, said: str, attributes: str = "") -> str:
    """Chinese letters have a font of their own: resvg looks for one substitute for all that a line's font lacks,
    and no font has both every sign and Chinese."""
    spans = "".join(
        f"<tspan class='zh'>{escape(''.join(run))}</tspan>" if has_own_font else escape("".join(run))
        for has_own_font, run in groupby(said, key=is_wide)
    )
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{spans}</text>'


def text_width(line: str) -> float:
    """About how wide a line of 12 px letters is."""
    return sum(_WIDE_LETTER if is_wide(letter) else _LETTER for letter in line)
