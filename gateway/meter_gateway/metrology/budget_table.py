"""A budget as the table that an auditor reads (JCGM 101 Annex B; GUM Table H.1), in English or Chinese.

Uncertainties have two significant digits and values as many decimals as their uncertainty (GUM 7.2.6).
"""

import math
import unicodedata
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from typing import Literal, NamedTuple

from meter_gateway.metrology.budget import Budget, Component, Distribution, Expanded

_EXACT = Context(prec=700)
"""Wide enough for any two floats in one plain number."""


class Row(NamedTuple):
    source: str
    value: str
    distribution: str
    standard_uncertainty: str
    sensitivity: str
    contribution: str
    share: str
    degrees_of_freedom: str


HEADINGS: dict[Literal["en", "zh"], Row] = {
    "en": Row("source", "value", "distribution", "u", "sensitivity", "contribution", "share", "ν"),
    "zh": Row("来源", "估计值", "分布", "标准不确定度", "灵敏系数", "不确定度分量", "占比", "自由度"),
}

_DISTRIBUTIONS_ZH = {
    Distribution.NORMAL: "正态",
    Distribution.STUDENT: "t 分布",
    Distribution.RECTANGULAR: "均匀",
    Distribution.TRIANGULAR: "三角",
    Distribution.U_SHAPED: "反正弦",
}

_SIGNIFICANT = 2


def rows(budget: Budget, language: Literal["en", "zh"] = "en") -> list[Row]:
    """One row per component, the largest contribution first, without the heading.

    `share` is the component's own part of u_c², which correlations keep from adding up to 100 %.
    """
    total = budget.combined_uncertainty() ** 2
    ordered = sorted(budget.components, key=lambda component: (-component.contribution, component.source))
    return [_row(component, total, language) for component in ordered]


def text(budget: Budget, expanded: Expanded, language: Literal["en", "zh"] = "en") -> str:
    """The table in columns, and under it the result."""
    table = [HEADINGS[language], *rows(budget, language)]
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(_padded(cell, width) for cell, width in zip(row, widths, strict=True)) for row in table]
    result = (
        f"u_c = {significant(expanded.combined_uncertainty)}  "
        f"ν_eff = {_nu(expanded.effective_degrees_of_freedom)}  "
        f"k = {expanded.k:.2f} (p = {100 * expanded.probability:g} %)  "
        f"U = {significant(expanded.expanded_uncertainty)}"
    )
    return "\n".join([*(line.rstrip() for line in lines), result])


def significant(value: float, digits: int = _SIGNIFICANT) -> str:
    """Rounded to so many significant digits, a tie upwards so that no uncertainty is understated by it."""
    return _plain(_rounded(value, digits))


def with_uncertainty(value: float, u: float) -> str:
    """The value to the last digit that its standard uncertainty's two digits mean (GUM 7.2.6)."""
    if u == 0:
        return f"{value:.12g}"
    last = _rounded(u, _SIGNIFICANT).adjusted() - _SIGNIFICANT + 1
    return _plain(Decimal(repr(value)).quantize(Decimal(1).scaleb(last), ROUND_HALF_EVEN, _EXACT))


def _row(component: Component, total: float, language: Literal["en", "zh"]) -> Row:
    share = component.contribution**2 / total if total else 0.0
    name = component.distribution.value if language == "en" else _DISTRIBUTIONS_ZH[component.distribution]
    return Row(
        component.source,
        with_uncertainty(component.estimate, component.standard_uncertainty),
        name,
        significant(component.standard_uncertainty),
        f"{component.sensitivity:.4g}",
        significant(component.contribution),
        f"{100 * share:.1f} %",
        _nu(component.degrees_of_freedom),
    )


def _nu(degrees_of_freedom: float) -> str:
    return "∞" if degrees_of_freedom == math.inf else f"{degrees_of_freedom:.4g}"


def _rounded(value: float, digits: int) -> Decimal:
    number = Decimal(repr(value))
    if number == 0:
        return Decimal(0)
    rounded = number.quantize(Decimal(1).scaleb(number.adjusted() - digits + 1), ROUND_HALF_UP, _EXACT)
    # 0.0996 to two digits is 0.10, with one decimal less.
    return rounded.quantize(Decimal(1).scaleb(rounded.adjusted() - digits + 1), ROUND_HALF_UP, _EXACT)


def _plain(number: Decimal) -> str:
    return f"{number:f}" if -7 < number.adjusted() < 16 else f"{number:e}"


def _width(cell: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in cell)


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - _width(cell))
