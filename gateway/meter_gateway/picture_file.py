"""A drawing as a file: SVG as it is, or PNG, made by resvg without a browser or a library of the system.

The letters of a PNG are those of the fonts on this computer, besides a Latin one that always comes along. Where
none has Chinese letters, a PNG would show gaps: the drawing is written as SVG then, and whoever asked is told.
"""

from pathlib import Path

import reportlab
import resvg_py

from meter_gateway.certificate_folder import replace_file
from meter_gateway.svg import is_wide
from meter_gateway.texts import Told

SUFFIXES = (".svg", ".png")

_SCALE = 2.0
"""Pixels for each unit of the drawing: sharp on a page."""

_LATIN = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
_FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".fonts",
    Path.home() / ".local/share/fonts",
)
_CHINESE_NAMES = ("cjk", "notosanssc", "notoserifsc", "sourcehan", "wqy", "droidsansfallback", "uming", "ukai")


def check_suffix(path: Path) -> None:
    """Before any work is done for the picture; Told if it is neither."""
    if path.suffix.lower() not in SUFFIXES:
        raise Told("picture.bad_suffix", path=path)


def write(path: Path, svg: str) -> tuple[Path, bool]:
    """The file that was written, and whether it is what was asked for."""
    check_suffix(path)
    if path.suffix.lower() == ".svg":
        replace_file(path, svg.encode())
        return path, True
    if any(map(is_wide, svg)) and not chinese_fonts():
        instead = path.with_suffix(".svg")
        replace_file(instead, svg.encode())
        return instead, False
    replace_file(path, png(svg))
    return path, True


def png(svg: str) -> bytes:
    return resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=_SCALE,
        font_files=[str(_LATIN), *map(str, chinese_fonts())],
        sans_serif_family="Bitstream Vera Sans",
    )


def chinese_fonts() -> list[Path]:
    """Fonts of this computer that are known to have Chinese letters, by the names of their files."""
    return sorted(
        path
        for folder in _FOLDERS
        for path in folder.rglob("*.[to]t[cf]")
        if any(name in path.name.lower().replace("-", "").replace("_", "") for name in _CHINESE_NAMES)
    )
