"""A font with a few Chinese letters, so that no test depends on what is installed on this computer.

Each letter is a box of its own size: letters can be told apart, and from the sign for what a font lacks.
"""

from collections.abc import Iterable
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

UNITS = 1000


def install(folder: Path, letters: Iterable[str]) -> Path:
    """The font's file; it has the name and the family of one that picture_file and svg know."""
    known = sorted(set(letters))
    names = {ord(letter): f"uni{ord(letter):04X}" for letter in known}
    glyphs = {names[ord(letter)]: _box(UNITS * (place + 1) // len(known)) for place, letter in enumerate(known)}
    glyphs[".notdef"] = _box(10)
    order = [".notdef", *names.values()]
    made = FontBuilder(UNITS)
    made.setupGlyphOrder(order)
    made.setupCharacterMap(names)
    made.setupGlyf(glyphs)
    made.setupHorizontalMetrics(dict.fromkeys(order, (UNITS, 0)))
    made.setupHorizontalHeader(ascent=UNITS, descent=0)
    made.setupNameTable({"familyName": "WenQuanYi Micro Hei", "styleName": "Regular"})
    made.setupOS2()
    made.setupPost()
    path = folder / "wqy-of-a-test.ttf"
    made.save(path)
    return path


def _box(height: int) -> object:
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, height), (900, height), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()
