"""Drawings as files: SVG unchanged, PNG rendered, Chinese letters there or said not to be."""

from io import BytesIO
from pathlib import Path

import chinese_font
import pytest
from PIL import Image

from meter_gateway import picture_file, svg
from meter_gateway.texts import Told

ENGLISH = svg.document(120, 40, "", [svg.text(10, 25, "Total & parts", 'class="name"')])
CHINESE = svg.document(120, 40, "", [svg.text(10, 25, "碳计量")])
RED = svg.document(40, 20, ".x{fill:#f00}", ['<rect class="x" x="10" y="5" width="20" height="10"/>'])


def test_svg_is_written_as_it_is(tmp_path: Path) -> None:
    assert picture_file.write(tmp_path / "a.svg", ENGLISH) == (tmp_path / "a.svg", True)
    assert (tmp_path / "a.svg").read_text() == ENGLISH
    assert "Total &amp; parts" in ENGLISH


def test_png_is_the_drawing_in_pixels(tmp_path: Path) -> None:
    path, is_as_asked = picture_file.write(tmp_path / "a.PNG", RED)
    assert (path, is_as_asked) == (tmp_path / "a.PNG", True)
    image = Image.open(path).convert("RGB")
    assert image.size == (80, 40)
    assert (image.getpixel((40, 20)), image.getpixel((4, 4))) == ((255, 0, 0), (255, 255, 255))


def test_latin_letters_come_along_where_no_font_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_file, "_FOLDERS", ())
    assert darkness(ENGLISH) > 100


def darkness(drawing: str) -> int:
    """Dark pixels: letters."""
    image = Image.open(BytesIO(picture_file.png(drawing))).convert("L")
    return sum(image.histogram()[:128])


def test_without_a_chinese_font_svg_is_written_and_the_caller_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_file, "_FOLDERS", (tmp_path,))
    assert picture_file.chinese_fonts() == []
    path, is_as_asked = picture_file.write(tmp_path / "a.png", CHINESE)
    assert (path, is_as_asked) == (tmp_path / "a.svg", False)
    assert path.read_text() == CHINESE
    assert not (tmp_path / "a.png").exists()
    assert picture_file.write(tmp_path / "b.png", ENGLISH)[1]


@pytest.fixture
def chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer on which one font has Chinese letters, and nothing else is installed."""
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    chinese_font.install(fonts, "碳计量")
    monkeypatch.setattr(picture_file, "_FOLDERS", (fonts,))


def test_chinese_letters_are_drawn(tmp_path: Path, chinese: None) -> None:
    assert picture_file.write(tmp_path / "a.png", CHINESE) == (tmp_path / "a.png", True)
    assert (tmp_path / "a.png").read_bytes() == picture_file.png(CHINESE)
    assert darkness(CHINESE) > 150
    # Three letters of which each is another, and not three times the sign for what is missing.
    letters = [svg.document(20, 20, "", [svg.text(4, 15, letter)]) for letter in "碳计量"]
    assert len({picture_file.png(each) for each in letters}) == 3


def test_a_sign_that_the_chinese_font_lacks_takes_no_letter_away(chinese: None) -> None:
    """Seen on a drawing: one such sign in a line, and every letter of the line was a box."""

    def drawn(said: str) -> bytes:
        return Image.open(BytesIO(picture_file.png(svg.document(60, 20, "", [svg.text(4, 15, said)])))).tobytes()

    assert drawn("✗ [x] 碳") != drawn("✗ [x] 量")


def test_fonts_are_found_by_the_names_of_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_file, "_FOLDERS", (tmp_path, tmp_path / "absent"))
    for name in ("NotoSansCJK-Regular.ttc", "deep/wqy-microhei.ttc", "SourceHanSansSC.otf", "DejaVuSans.ttf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in picture_file.chinese_fonts()] == [
        "NotoSansCJK-Regular.ttc",
        "SourceHanSansSC.otf",
        "wqy-microhei.ttc",
    ]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Told) as error:
        picture_file.write(tmp_path / "a.jpg", ENGLISH)
    assert error.value.key == "picture.bad_suffix"
    assert list(tmp_path.iterdir()) == []
