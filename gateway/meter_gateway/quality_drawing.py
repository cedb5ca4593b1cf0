"""Data quality as a heat map: for each aspect a field of channels by days, its number in each cell that has room.

Colours go from red over yellow to blue, which those who confuse red and green can tell apart; what is not known is
hatched. A day that misses a target has a dark edge.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from meter_gateway import svg

MAX_DAYS = 366
_LEFT_PAD, _TOP, _ROW, _GAP = 12, 46, 18, 40
_WIDEST, _NARROWEST, _ROOM = 30.0, 2.0, 900.0
_LEGEND = 46
_NUMBERED = 22.0
"""Cells from this width on show their number."""

_STYLE = (
    ".cell{stroke:#fff;stroke-width:1}.missed{stroke:#222;stroke-width:1.5}.unknown{fill:url(#hatch)}"
    ".title{font-size:15px}.aspect{font-weight:bold}.number{font-size:9px;text-anchor:middle}"
    ".light{fill:#fff}.day{font-size:9px;text-anchor:middle;fill:#555}"
)
_HATCH = (
    '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" style="fill:#f2f2f2"/><path d="M0 5L5 0" style="stroke:#bbb"/></pattern></defs>'
)
_STOPS = ((0.0, (178, 24, 43)), (0.75, (253, 174, 97)), (0.95, (240, 235, 190)), (1.0, (33, 102, 172)))
"""Share -> colour, between which it is mixed: what falls short of the last percents is already told apart."""


class Cell(NamedTuple):
    share: Fraction | None
    is_missed: bool


class Panel(NamedTuple):
    """One aspect: its name, and a row of cells for each channel."""

    name: str
    rows: Sequence[Sequence[Cell]]


def draw(
    title: str, channels: Sequence[str], days: Sequence[date], panels: Sequence[Panel], words: Mapping[str, str]
) -> str:
    """`channels` name the rows; `words` has "unknown" and "missed" in the reader's language. At most MAX_DAYS."""
    cell = min(_WIDEST, max(_NARROWEST, _ROOM / len(days)))
    left = _LEFT_PAD + max(map(svg.text_width, channels)) + 8
    width = max(left + cell * len(days), left + _LEGEND_WIDTH, svg.text_width(title) * 1.25) + _LEFT_PAD
    parts = [_HATCH, svg.text(_LEFT_PAD, 24, title, 'class="title"')]
    top = float(_TOP)
    for panel in panels:
        parts.append(svg.text(_LEFT_PAD, top + 4, panel.name, 'class="aspect"'))
        top += 12
        for name, row in zip(channels, panel.rows, strict=True):
            parts.append(svg.text(left - 8, top + 13, name, 'text-anchor="end"'))
            parts += [_cell(left + cell * place, top, cell, entry) for place, entry in enumerate(row)]
            top += _ROW
        parts += _days(left, top + 11, cell, days)
        top += _GAP
    parts += _legend(left, top - 12, words)
    return svg.document(width, top + _LEGEND - 12, _STYLE, parts)


def _cell(x: float, y: float, width: float, cell: Cell) -> str:
    edge = " missed" if cell.is_missed else ""
    size = f'x="{x + 0.5:.1f}" y="{y + 0.5:.1f}" width="{width - 1:.1f}" height="{_ROW - 1}"'
    if cell.share is None:
        return f'<rect class="cell unknown{edge}" {size}/>'
    red, green, blue = _colour(cell.share)
    drawn = f'<rect class="cell{edge}" {size} style="fill:rgb({red},{green},{blue})"/>'
    if width < _NUMBERED:
        return drawn
    # Luma of Rec. 601: white letters on what is darker than the middle.
    light = " light" if 299 * red + 587 * green + 114 * blue < 128_000 else ""
    return drawn + svg.text(x + width / 2, y + 12.5, percent_text(cell.share), f'class="number{light}"')


def percent_text(share: Fraction) -> str:
    """Whole percents, never rounded up to a hundred nor down to nothing."""
    rounded = round(share * 100)
    return str(99 if rounded == 100 and share < 1 else 1 if rounded == 0 and share > 0 else rounded)


def _colour(share: Fraction) -> tuple[int, int, int]:
    at = float(share)
    for (low, dark), (high, bright) in pairwise(_STOPS):
        if at <= high:
            part = (at - low) / (high - low)
            red, green, blue = (round(a + (b - a) * part) for a, b in zip(dark, bright, strict=True))
            return red, green, blue
    raise ValueError("a share is at most 1")


def _days(left: float, y: float, cell: float, days: Sequence[date]) -> list[str]:
    """As many dates as there is room for, the first always."""
    step = max(1, -(-34 // int(cell)))
    return [
        svg.text(left + cell * (place + 0.5), y, f"{days[place]:%m-%d}", 'class="day"')
        for place in range(0, len(days), step)
    ]


_LEGEND_WIDTH = 430


def _legend(left: float, y: float, words: Mapping[str, str]) -> list[str]:
    parts = []
    for place, percent in enumerate((0, 25, 50, 75, 90, 95, 99, 100)):
        x = left + 28 * place
        fill = "fill:rgb({},{},{})".format(*_colour(Fraction(percent, 100)))
        parts.append(f'<rect class="cell" x="{x:.1f}" y="{y:.1f}" width="27" height="12" style="{fill}"/>')
        parts.append(svg.text(x + 13.5, y + 24, f"{percent} %", 'class="day"'))
    x = left + 28 * 8 + 14
    for name in ("unknown", "missed"):
        style = "" if name == "unknown" else ' style="fill:none"'
        parts.append(f'<rect class="cell {name}" x="{x:.1f}" y="{y:.1f}" width="14" height="12"{style}/>')
        parts.append(svg.text(x + 20, y + 10, words[name]))
        x += 36 + svg.text_width(words[name])
    return parts
