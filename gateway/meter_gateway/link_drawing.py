"""A traceability chain as a drawing: boxes from the instrument at the bottom up to the national institutes."""

from collections.abc import Callable

from meter_gateway import svg
from meter_gateway.traceability.hierarchy import Link

LINE = 18
PAD = 10
GAP = 36

_STYLE = (
    ".name{font-weight:bold}rect{fill:#fff;stroke:#356;stroke-width:1.5}"
    ".faulty rect{stroke:#b00020;stroke-width:2.5;fill:#fff4f4}.weakest rect{stroke-dasharray:6 3}"
    "path{stroke:#356;stroke-width:1.5;fill:none}"
)


def draw(instrument: Link, weakest: Link | None, lines_of: Callable[[Link], list[str]]) -> str:
    """SVG 1.1; the weakest link has a broken outline, faulty ones are red."""
    box = _Box(instrument, lines_of)
    parts: list[str] = []
    box.draw(parts, PAD, PAD + box.rise, weakest)
    width, height = box.span + 2 * PAD, box.rise + box.height + 2 * PAD
    return svg.document(width, height, _STYLE, parts)


class _Box:
    """One link with all above it: `span` is their width, `rise` how high they stand over it."""

    def __init__(self, link: Link, lines_of: Callable[[Link], list[str]]) -> None:
        self.link = link
        self.lines = lines_of(link)
        self.above: list[_Box] = [_Box(standard, lines_of) for standard in link.standards]
        self.width: float = max(map(svg.text_width, self.lines)) + 2 * PAD
        self.height: float = LINE * len(self.lines) + PAD
        self.span: float = max(self.width, sum(box.span for box in self.above) + PAD * max(0, len(self.above) - 1))
        self.rise: float = max((box.rise + box.height + GAP for box in self.above), default=0)

    def draw(self, parts: list[str], left: float, top: float, weakest: Link | None) -> float:
        """The box with its upper edge at `top`; the middle of that edge."""
        x = left + (self.span - self.width) / 2
        middle = x + self.width / 2
        at = left + (self.span - sum(box.span for box in self.above) - PAD * max(0, len(self.above) - 1)) / 2
        for box in self.above:
            foot = top - GAP
            centre = box.draw(parts, at, foot - box.height, weakest)
            parts.append(f'<path d="M{middle:.1f} {top:.1f} C{middle:.1f} {top - GAP / 2:.1f} ')
            parts.append(f'{centre:.1f} {top - GAP / 2:.1f} {centre:.1f} {foot:.1f}"/>')
            at += box.span + PAD
        classes = " ".join(
            name for name, holds in (("faulty", self.link.faults), ("weakest", self.link is weakest)) if holds
        )
        parts.append(f'<g class="{classes}"><rect x="{x:.1f}" y="{top:.1f}" ')
        parts.append(f'width="{self.width:.1f}" height="{self.height:.1f}" rx="4"/>')
        for number, line in enumerate(self.lines, start=1):
            parts.append(svg.text(x + PAD, top + LINE * number, line, 'class="name"' if number == 1 else ""))
        parts.append("</g>")
        return middle
