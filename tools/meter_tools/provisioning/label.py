"""The label of a meter, 62 × 40 mm: QR code, maker, model, serial number, and the whole thumbprint in groups.

As PDF for a printer, in vectors, and as PNG at 300 dpi for whatever prints pictures. The QR code has error
correction level Q: a label on a wall gets scratched.
"""

import io
from pathlib import Path

import segno
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

from meter_gateway.label import text_of
from meter_gateway.texts import Told

WIDTH_MM, HEIGHT_MM = 62, 40
DPI = 300
MARGIN_MM = 3.0
QR_MM = 27.0
QUIET_MODULES = 4
"""ISO/IEC 18004 §9.1."""

_LARGE_MM, _SMALL_MM = 4.2, 2.9
_OWN_FONT = "label"
_LATIN_FONT = "Helvetica"


def lines_of(maker: str, model: str, serial: str, thumbprint: bytes) -> tuple[list[str], list[str]]:
    """(beside the code, below it): the thumbprint is 16 groups of four digits in two rows."""
    digits = thumbprint.hex()
    groups = [digits[start : start + 4] for start in range(0, len(digits), 4)]
    return [serial, model, maker], [" ".join(groups[:8]), " ".join(groups[8:])]


def check_font(font: Path | None, *texts: str) -> None:
    """Told if a text would be printed as empty boxes, or the font cannot be used."""
    if font is None:
        if not all(text.isascii() for text in texts):
            raise Told("provision.font", text=next(text for text in texts if not text.isascii()))
        return
    _face(font, _px(_LARGE_MM))
    known = _pdf_font(font).face.charToGlyph
    lacking = dict.fromkeys(character for character in "".join(texts) if ord(character) not in known)
    if lacking:
        raise Told("provision.font_lacks", path=font, characters="".join(lacking))


def pdf(maker: str, model: str, serial: str, thumbprint: bytes, font: Path | None = None) -> bytes:
    beside, below = lines_of(maker, model, serial, thumbprint)
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(WIDTH_MM * mm, HEIGHT_MM * mm), invariant=True)
    canvas.setTitle(serial)
    name = _LATIN_FONT
    if font is not None:
        pdfmetrics.registerFont(_pdf_font(font))
        name = _OWN_FONT
    code = _code(serial, thumbprint)
    size = len(code)
    module = QR_MM * mm / (size + 2 * QUIET_MODULES)
    left, top = MARGIN_MM * mm, (HEIGHT_MM - MARGIN_MM) * mm
    for row, cells in enumerate(code):
        for column, dark in enumerate(cells):
            if dark:
                x = left + (column + QUIET_MODULES) * module
                canvas.rect(x, top - (row + QUIET_MODULES + 1) * module, module, module, stroke=0, fill=1)
    room = (WIDTH_MM - QR_MM - 2 * MARGIN_MM) * mm
    for number, text in enumerate(beside):
        size_mm = _LARGE_MM if number == 0 else _SMALL_MM
        points = _fitted(text, name, size_mm * mm, room)
        canvas.setFont(name, points)
        canvas.drawString(left + QR_MM * mm, top - (6 + 6 * number) * mm, text)
    for number, text in enumerate(below):
        points = _fitted(text, _LATIN_FONT, _SMALL_MM * mm, (WIDTH_MM - 2 * MARGIN_MM) * mm)
        canvas.setFont(_LATIN_FONT, points)
        canvas.drawString(left, (MARGIN_MM + 4 - 4 * number) * mm, text)
    canvas.save()
    return out.getvalue()


def png(maker: str, model: str, serial: str, thumbprint: bytes, font: Path | None = None) -> bytes:
    beside, below = lines_of(maker, model, serial, thumbprint)
    picture = Image.new("L", (_px(WIDTH_MM), _px(HEIGHT_MM)), 255)
    draw = ImageDraw.Draw(picture)
    code = _code(serial, thumbprint)
    # Whole pixels a module: a blurred edge is what a scanner stumbles over.
    module = _px(QR_MM) // (len(code) + 2 * QUIET_MODULES)
    left = top = _px(MARGIN_MM)
    for row, cells in enumerate(code):
        for column, dark in enumerate(cells):
            if dark:
                x, y = left + (column + QUIET_MODULES) * module, top + (row + QUIET_MODULES) * module
                draw.rectangle((x, y, x + module - 1, y + module - 1), fill=0)
    room = _px(WIDTH_MM - QR_MM - 2 * MARGIN_MM)
    for number, text in enumerate(beside):
        size_mm = _LARGE_MM if number == 0 else _SMALL_MM
        draw.text((left + _px(QR_MM), top + _px(2 + 6 * number)), text, 0, _typeface(font, text, size_mm, room))
    for number, text in enumerate(below):
        face = _typeface(None, text, _SMALL_MM, _px(WIDTH_MM - 2 * MARGIN_MM))
        draw.text((left, _px(HEIGHT_MM - MARGIN_MM - 7 + 4 * number)), text, 0, face)
    out = io.BytesIO()
    picture.save(out, "PNG", dpi=(DPI, DPI))
    return out.getvalue()


def _pdf_font(font: Path) -> TTFont:
    try:
        return TTFont(_OWN_FONT, str(font))
    except TTFError as error:
        raise Told("provision.no_font", path=font) from error


def _code(serial: str, thumbprint: bytes) -> tuple[bytearray, ...]:
    return tuple(segno.make_qr(text_of(serial, thumbprint), error="q", boost_error=False).matrix)


def _fitted(text: str, font: str, points: float, room: float) -> float:
    width = pdfmetrics.stringWidth(text, font, points)
    return points if width <= room else points * room / width


def _typeface(font: Path | None, text: str, size_mm: float, room_px: int) -> ImageFont.FreeTypeFont:
    size = _px(size_mm)
    face = _face(font, size)
    width = face.getlength(text)
    return face if width <= room_px else _face(font, int(size * room_px / width))


def _face(font: Path | None, size: int) -> ImageFont.FreeTypeFont:
    try:
        face = ImageFont.load_default(size) if font is None else ImageFont.truetype(font, size)
    except OSError as error:
        raise Told("provision.no_font", path=font) from error
    if not isinstance(face, ImageFont.FreeTypeFont):
        # Pillow was built without FreeType.
        raise Told("provision.no_font", path="FreeType")
    return face


def _px(millimetres: float) -> int:
    return round(millimetres / 25.4 * DPI)
