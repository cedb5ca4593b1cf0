"""The errors of a calibration as a picture: each point with its expanded uncertainty, and the limits beside it.

An SVG of our own, for a browser, a report or a web page: no program that draws is needed. Floats are for the eye;
the numbers themselves are printed beside the points as the certificate has them.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from xml.sax.saxutils import escape

from meter_gateway import svg
from meter_gateway.traceability.certificate import CalibrationResult, ErrorLimits

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 20, 50, 60
_TICKS = 5
_STYLE = """
.frame,.grid{fill:none;stroke:#bbb}.grid{stroke-dasharray:2 3}.zero{stroke:#555}
.bar{stroke:#1f5fa8;stroke-width:2}.point{fill:#1f5fa8}.curve{fill:none;stroke:#1f5fa8;stroke-opacity:.4}
.acceptance{stroke:#c0392b;stroke-width:1.5}.tolerance{stroke:#c0392b;stroke-dasharray:6 4}
.title{font-size:15px}
"""


def draw(result: CalibrationResult, title: str, axis_label: str, error_label: str) -> str:
    """`title` and the labels are in the reader's language."""
    points = sorted(result.points, key=lambda point: point.reference)
    xs = [float(point.reference) for point in points]
    ends = [float(point.error + sign * point.expanded_uncertainty) for point in points for sign in (-1, 1)]
    limits = [
        float(side)
        for point in points
        for pair in (point.acceptance, point.tolerance)
        if pair is not None
        for side in (pair.lower, pair.upper)
        if side is not None
    ]
    horizontal, vertical = (
        _Scale(xs, _LEFT, _WIDTH - _RIGHT),
        _Scale([0.0, *ends, *limits], _HEIGHT - _BOTTOM, _TOP),
    )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    turned = f"translate(18 {(_TOP + _HEIGHT - _BOTTOM) / 2:.0f}) rotate(-90)"
    parts = [
        svg.text(_WIDTH / 2, 24, title, "class='title' text-anchor='middle'"),
        *_grid(horizontal, vertical),
        svg.text(middle, _HEIGHT - 16, axis_label, "text-anchor='middle'"),
        svg.text(0, 0, error_label, f"transform='{turned}' text-anchor='middle'"),
    ]
    for name in ("tolerance", "acceptance"):
        parts += _limit_lines(name, xs, [getattr(point, name) for point in points], horizontal, vertical)
    # As verdicts interpolate, whatever the order in which the certificate has its points.
    path = " ".join(f"{horizontal(x):.1f},{vertical(float(p.error)):.1f}" for x, p in zip(xs, points, strict=True))
    parts.append(f"<polyline class='curve' points='{path}'/>")
    for x, point in zip(xs, points, strict=True):
        at, error, width = horizontal(x), float(point.error), float(point.expanded_uncertainty)
        low, high = vertical(error - width), vertical(error + width)
        told = f"{point.reference}: {point.error} ± {point.expanded_uncertainty} (k = {point.k})"
        bar = f"M{at:.1f} {low:.1f}V{high:.1f}M{at - 5:.1f} {low:.1f}h10M{at - 5:.1f} {high:.1f}h10"
        parts.append(
            f"<g><title>{escape(told)}</title><path class='bar' d='{bar}'/>"
            f"<circle class='point' cx='{at:.1f}' cy='{vertical(error):.1f}' r='4'/></g>"
        )
    return svg.document(_WIDTH, _HEIGHT, _STYLE, parts)


class _Scale:
    """Values to a line of pixels, a little wider than they are; `ticks` are round numbers on it."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        self.low, self.high, self._start, self._end = low - margin, high + margin, start, end

    def __call__(self, value: float) -> float:
        return self._start + (value - self.low) / (self.high - self.low) * (self._end - self._start)

    def ticks(self) -> list[float]:
        step = _round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step) + 1)]


def _round_step(rough: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _grid(horizontal: _Scale, vertical: _Scale) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value in horizontal.ticks():
        x = horizontal(value)
        parts.append(f"<path class='grid' d='M{x:.1f} {_TOP}V{bottom}'/>")
        parts.append(f"<text x='{x:.1f}' y='{bottom + 18}' text-anchor='middle'>{value:.6g}</text>")
    for value in vertical.ticks():
        y = vertical(value)
        parts.append(f"<path class='{'zero' if value == 0 else 'grid'}' d='M{_LEFT} {y:.1f}H{right}'/>")
        parts.append(f"<text x='{_LEFT - 8}' y='{y + 4:.1f}' text-anchor='end'>{value:.6g}</text>")
    size = f"width='{right - _LEFT}' height='{bottom - _TOP}'"
    return [*parts, f"<rect class='frame' x='{_LEFT}' y='{_TOP}' {size}/>"]


def _limit_lines(
    name: str, xs: Sequence[float], limits: Sequence[ErrorLimits | None], horizontal: _Scale, vertical: _Scale
) -> list[str]:
    """A piece around each point that has one: between two points nobody has said where the limit changes."""
    halves = [(after - before) / 2 for before, after in pairwise(xs)]
    parts = []
    for index, (x, pair) in enumerate(zip(xs, limits, strict=True)):
        before = halves[index - 1] if index else 0.0
        after = halves[index] if index < len(halves) else 0.0
        start, end = horizontal(x - before) - 6, horizontal(x + after) + 6
        for side in () if pair is None else (pair.lower, pair.upper):
            if isinstance(side, Decimal):
                y = vertical(float(side))
                parts.append(f"<path class='{name}' d='M{start:.1f} {y:.1f}H{end:.1f}'/>")
    return parts
