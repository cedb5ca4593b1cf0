"""`python -m meter_tools.wiring`: draws what is connected to each board, and writes the same into its README.

`boards/<board>/wiring.toml` says it once: the parts outside of the processor, and for each wire the pin, what the
board's own files call it, and where it ends. From that come wiring.svg and the table between the two marks in
README.md; a test holds both against it, and it against the pins that the board's files name.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal
from xml.sax.saxutils import escape

from pydantic import BeforeValidator, Field

from meter_gateway.texts import Texts
from meter_gateway.validated_toml import ConfigError, Table, as_tuple, read
from meter_tools.mpycross import PROJECT

FILE = "wiring.toml"
PICTURE = "wiring.svg"
BEGIN = "<!-- wiring: made of wiring.toml by python -m meter_tools.wiring -->"
END = "<!-- /wiring -->"

Text = Annotated[str, Field(min_length=1, max_length=30)]
"""What fits the picture's boxes in the fonts that readers have, DejaVu Sans being the widest."""


class Wire(Table):
    pin: Text = Field(examples=['"PD5"'])
    """Of the processor, as its data sheet names it; a peripheral where the board has no pins."""

    signal: Annotated[str, Field(min_length=1, max_length=16)] | None = Field(
        default=None, examples=['"RS485_TX"']
    )
    """What the board's files call the pin; none where the port decides it."""

    macro: Text | None = Field(default=None, examples=['"UART2_TX"'])
    """The MICROPY_HW_… of mpconfigboard.h that says the same."""

    at: Text | None = Field(default=None, examples=['"CN9-4"'])
    """Where a person finds it on the board."""

    to: Annotated[str, Field(min_length=1, max_length=42)] = Field(examples=['"DI"'])
    """The part's terminal."""

    to_zh: Annotated[str, Field(min_length=1, max_length=42)] | None = Field(default=None, examples=['"触点 0"'])
    """In Chinese, where that is another."""

    way: Literal["out", "in", "both"] = Field(examples=['"out"'])


class Part(Table):
    name: Annotated[str, Field(min_length=1, max_length=34)] = Field(examples=['"RS-485 transceiver"'])
    name_zh: Annotated[str, Field(min_length=1, max_length=34)] = Field(examples=['"RS-485 收发器"'])
    detail: Annotated[str, Field(min_length=1, max_length=46)] = Field(examples=['"MAX3485, 3.3 V"'])
    wire: Annotated[tuple[Wire, ...], BeforeValidator(as_tuple), Field(min_length=1)] = Field(
        examples=['[{pin = "PD5", to = "DI", way = "out"}]']
    )


class Wiring(Table):
    processor: Text = Field(examples=['"STM32F429ZI"'])
    part: Annotated[tuple[Part, ...], BeforeValidator(as_tuple), Field(min_length=1)] = Field(
        examples=['[{name = "…"}]']
    )

    def wires(self) -> list[tuple[Part, Wire]]:
        return [(part, wire) for part in self.part for wire in part.wire]


def wiring_of(board: Path) -> Wiring:
    return read(board / FILE, Wiring)


def rows(wiring: Wiring, say: Texts) -> list[list[str]]:
    """The head and a row for each wire; a column that would be empty is left out."""

    def end(part: Part, wire: Wire) -> str:
        if say.language == "zh":
            return say("layout.line", label=part.name_zh, value=wire.to_zh or wire.to)
        return say("layout.line", label=part.name, value=wire.to)

    found = [(wire.pin, wire.at or "", wire.signal or "", end(part, wire)) for part, wire in wiring.wires()]
    heads = [say(f"wiring.{name}") for name in ("pin", "at", "signal", "to")]
    wanted = [column for column in range(len(heads)) if any(row[column] for row in found)]
    return [[line[column] for column in wanted] for line in (heads, *found)]


def table(wiring: Wiring) -> str:
    """For a README, which is English; what the files say is marked as code."""
    say = Texts("en")
    head, *found = rows(wiring, say)
    if say("wiring.signal") in head:
        column = head.index(say("wiring.signal"))
        for row in found:
            row[column] = row[column] and f"`{row[column]}`"
    lines = [head, ["---"] * len(head), *found]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_table(readme: str, wiring: Wiring) -> str:
    """The README with the table of today; ValueError where it has no place for one."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{table(wiring)}\n\n{END}{after}"


# The picture

ROW = 22
HEAD = 46
GAP = 18
TOP = 64
PART_WIDTH = 310
CHIP_WIDTH = 270
WIRE_LENGTH = 150
MARGIN = 20


def picture(name: str, wiring: Wiring) -> str:
    left, right = _columns(wiring.part)
    height = TOP + max(_height(left), _height(right)) + MARGIN
    chip_x = MARGIN + PART_WIDTH + WIRE_LENGTH
    width = chip_x + CHIP_WIDTH + WIRE_LENGTH + PART_WIDTH + MARGIN
    shapes = [
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(MARGIN, 30, f"{name}: {wiring.processor} and what it is connected to", "title"),
        _box(chip_x, TOP - 14, CHIP_WIDTH, height - TOP - MARGIN + 14, "chip"),
        _text(chip_x + CHIP_WIDTH // 2, TOP + 6, wiring.processor, "name middle"),
    ]
    for parts, x, side in ((left, MARGIN, "left"), (right, chip_x + CHIP_WIDTH + WIRE_LENGTH, "right")):
        y = TOP
        for part in parts:
            shapes += _part(part, x, y, chip_x, side)
            y += _part_height(part) + GAP
    body = "\n".join(f"  {shape}" for shape in shapes)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{FONTS}">
  <title>{escape(name)}: wiring</title>
  <style>{STYLE}</style>
  <defs>
    <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
      orient="auto-start-reverse">
      <path d="M0 0 L8 4 L0 8 z" fill="#334155"/>
    </marker>
  </defs>
{body}
</svg>
"""


FONTS = "Helvetica, Arial, 'Noto Sans CJK SC', sans-serif"
STYLE = (
    "text{font-size:13px;fill:#0f172a} .title{font-size:17px} .name{font-weight:bold} "
    ".detail,.signal{fill:#475569;font-size:12px} .middle{text-anchor:middle} .end{text-anchor:end} "
    ".chip{fill:#f1f5f9;stroke:#334155} .part{fill:#ffffff;stroke:#334155} "
    "line{stroke:#334155;stroke-width:1.4}"
)


def _columns(parts: tuple[Part, ...]) -> tuple[list[Part], list[Part]]:
    """In the order of the file, the next part on the side that is shorter."""
    left: list[Part] = []
    right: list[Part] = []
    for part in parts:
        (left if _height(left) <= _height(right) else right).append(part)
    return left, right


def _part_height(part: Part) -> int:
    return HEAD + ROW * len(part.wire)


def _height(parts: list[Part]) -> int:
    return sum(_part_height(part) + GAP for part in parts)


def _part(part: Part, x: int, y: int, chip_x: int, side: str) -> list[str]:
    shapes = [
        _box(x, y, PART_WIDTH, _part_height(part), "part"),
        _text(x + 12, y + 18, part.name, "name"),
        _text(x + 12, y + 35, part.detail, "detail"),
    ]
    for row, wire in enumerate(part.wire):
        place = y + HEAD + ROW * row + ROW // 2
        pin = f"{wire.pin} ({wire.at})" if wire.at else wire.pin
        if side == "left":
            ends = (x + PART_WIDTH, chip_x)
            shapes.append(_text(x + PART_WIDTH - 10, place + 4, wire.to, "end"))
            shapes.append(_text(chip_x + 10, place + 4, pin))
        else:
            ends = (chip_x + CHIP_WIDTH, x)
            shapes.append(_text(x + 12, place + 4, wire.to))
            shapes.append(_text(chip_x + CHIP_WIDTH - 10, place + 4, pin, "end"))
        shapes.append(_line(*ends, place, wire.way, side))
        if wire.signal:
            shapes.append(_text(sum(ends) // 2, place - 4, wire.signal, "signal middle"))
    return shapes


def _line(start: int, end: int, y: int, way: str, side: str) -> str:
    """From left to right; `out` is away from the processor, which is on the left of what is on the right."""
    at_end = way == "both" or (way == "out") == (side == "right")
    at_start = way == "both" or not at_end
    tips = (' marker-start="url(#tip)"' if at_start else "") + (' marker-end="url(#tip)"' if at_end else "")
    return f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}"{tips}/>'


def _box(x: int, y: int, width: int, height: int, kind: str) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    role = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{role}>{escape(text)}</text>'


def main() -> int:
    try:
        for path in sorted((PROJECT / "boards").glob(f"*/{FILE}")):
            board, wiring = path.parent, wiring_of(path.parent)
            (board / PICTURE).write_text(picture(board.name, wiring), encoding="utf-8")
            readme = board / "README.md"
            readme.write_text(with_table(readme.read_text(encoding="utf-8"), wiring), encoding="utf-8")
    except (ConfigError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
