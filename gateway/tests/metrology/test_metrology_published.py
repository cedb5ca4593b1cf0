"""Every published number, computed and compared as it is printed, and the page that lists them."""

import re
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest
from metrology_page import PAGE, TABLES, shown
from published import PUBLISHED, Published
from published_monte_carlo import MONTE_CARLO, MonteCarlo
from worked_examples import mass_budget, mass_second_order

from meter_gateway import metrology
from meter_gateway.metrology import monte_carlo

NUMBER = re.compile(r"-?\d+(?:\.(\d+))?(?:e(-?\d+))?")


def as_printed(value: float, printed: re.Match[str]) -> str:
    """To the decimals, and the power of ten, of the printed number; a tie goes to the even digit."""
    power = int(printed[2] or 0)
    # Twelve digits, so that the tie of decimal inputs is still one.
    number = Decimal(f"{value / 10.0**power:.12g}")
    rounded = number.quantize(Decimal(1).scaleb(-len(printed[1] or "")), ROUND_HALF_EVEN)
    return f"{rounded:f}" + (f"e{printed[2]}" if printed[2] else "")


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: f"{case.source}: {case.what}")
def test_published_number(case: Published, request: pytest.FixtureRequest) -> None:
    vectors: dict[str, Any] = request.getfixturevalue("vectors") if case.inputs else {}
    found = case.computed(vectors)
    numbers = found if isinstance(found, tuple) else (found,)
    printed = list(NUMBER.finditer(case.printed))
    assert [as_printed(value, match) for value, match in zip(numbers, printed, strict=True)] == [
        match[0] for match in printed
    ]


@pytest.mark.parametrize("case", MONTE_CARLO, ids=lambda case: f"{case.where}: {case.what}")
def test_published_monte_carlo_result(case: MonteCarlo) -> None:
    found = case.computed()
    assert found.stabilised
    reached = (found.estimate, found.standard_uncertainty, found.interval.low, found.interval.high)
    off = [abs(value - printed) for value, printed in zip(reached, case.printed, strict=True)]
    assert all(distance <= allowed for distance, allowed in zip(off, case.tolerances, strict=True)), reached
    if case.where == "Table 6":
        verdicts = [
            monte_carlo.validate(1.234, 1.95996 * u, found, 0.005)
            for u in (mass_budget().combined_uncertainty(), mass_second_order())
        ]
        assert [verdict.validated for verdict in verdicts] == [False, True]
        assert (verdicts[0].d_low, verdicts[0].d_high) == pytest.approx((0.0451, 0.0430), abs=0.002)


@pytest.mark.parametrize("name", TABLES)
def test_the_page_shows_the_table(name: str) -> None:
    assert shown(PAGE.read_text(encoding="utf-8"), name) == TABLES[name]()


def test_the_page_names_every_module() -> None:
    page = PAGE.read_text(encoding="utf-8")
    modules = [path.stem for path in Path(metrology.__file__).parent.glob("[a-z]*.py")]
    assert [name for name in modules if f"`{name}.py`" not in page] == []
