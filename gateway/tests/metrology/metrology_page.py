"""The tables of docs/metrology.md; run as a program, it writes them there."""

from pathlib import Path

from published import PUBLISHED
from published_monte_carlo import MONTE_CARLO

from meter_gateway.metrology import conformity, constants

PAGE = Path(__file__).parents[3] / "docs" / "metrology.md"


def published_table() -> str:
    lines = ["| source | what | printed | function | tag |", "|---|---|---|---|---|"]
    lines += [f"| {p.source} | {p.what} | {p.printed} | `{p.function}` | {p.tag} |" for p in PUBLISHED]
    return "\n".join(lines)


def monte_carlo_table() -> str:
    lines = ["| JCGM 101:2008 | what | y | u(y) | interval | δ |", "|---|---|---|---|---|---|"]
    for case in MONTE_CARLO:
        y, u, low, high = case.printed
        lines.append(f"| {case.where} | {case.what} | {y:g} | {u:g} | [{low:g}, {high:g}] | {case.tolerance:g} |")
    return "\n".join(lines)


def guard_band_table() -> str:
    lines = ["| name | acceptance limit | tag |", "|---|---|---|"]
    lines += [f"| `{name}` | {band.source} | {band.tag} |" for name, band in conformity.GUARD_BANDS.items()]
    return "\n".join(lines)


def constants_table() -> str:
    lines = ["| constant | value | tag | source |", "|---|---|---|---|"]
    for name, constant in vars(constants).items():
        if isinstance(constant, constants.Sourced):
            lines.append(f"| `{name}` | {constant.value:.4g} | {constant.tag} | {constant.source} |")
    return "\n".join(lines)


TABLES = {
    "published": published_table,
    "monte carlo": monte_carlo_table,
    "guard bands": guard_band_table,
    "constants": constants_table,
}
"""What docs/metrology.md shows between `<!-- NAME: made -->` and `<!-- NAME: end -->`."""


def shown(page: str, name: str) -> str:
    return page.partition(f"<!-- {name}: made -->")[2].partition(f"<!-- {name}: end -->")[0].strip()


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, made in TABLES.items():
        before, mark, rest = page.partition(f"<!-- {name}: made -->")
        _, end, after = rest.partition(f"<!-- {name}: end -->")
        page = f"{before}{mark}\n{made()}\n{end}{after}"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
