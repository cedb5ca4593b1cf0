"""Traces: exact over whole files, refused where they cannot be, and what a map may say."""

import csv
import tempfile
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_tools.simulator.expected import expected_totals, expected_values
from meter_tools.simulator.instruments import KINDS
from meter_tools.simulator.trace import Trace, load_trace
from meter_tools.simulator.trace_map import PROJECT_MAPS, TraceError, find_map, load_map

STEEL_MAP = PROJECT_MAPS / "steel.toml"
GAS_TURBINE_MAP = PROJECT_MAPS / "gas_turbine.toml"

MAP = """
title = "t"
source = "s"
licence = "l"
[csv]
file = "t.csv"
timestamp = "end"
[interval]
seconds = 900
[instrument]
kind = "energy64"
[ratio]
primary = 50
secondary = 5
[[column]]
name = "kwh"
use = "energy_per_interval"
indication = "active_energy_import"
unit = "kWh"
through_ratio = true
[[column]]
name = "pf"
use = "value"
indication = "power_factor_lagging"
unit = "%"
"""
ROWS = "end,kwh,pf\n2018-01-01T00:15,1.01,99.5\n2018-01-01T00:30,0,50\n2018-01-01T00:45,2.5,0.01\n"

Write = Callable[..., Trace]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """The trace of a map and rows, each with one thing changed."""

    def write(rows: str = ROWS, trace_map: str = MAP, days: int | None = None) -> Trace:
        csv_path, map_path = tmp_path / "t.csv", tmp_path / "t.toml"
        csv_path.write_text(rows)
        map_path.write_text(trace_map)
        assert find_map(csv_path) == map_path
        return load_trace(csv_path, map_path, days)

    return write


@pytest.fixture(scope="module")
def steel(shared: Path) -> tuple[Path, Trace]:
    path = shared / "data" / "steel" / "steel_2018_h1.csv"
    return path, load_trace(path, STEEL_MAP)


@pytest.fixture(scope="module")
def gas_turbine(shared: Path) -> tuple[Path, Trace]:
    path = shared / "data" / "gas_turbine" / "gas_turbine_2011.csv"
    return path, load_trace(path, GAS_TURBINE_MAP)


def test_the_project_knows_its_traces(steel: tuple[Path, Trace], gas_turbine: tuple[Path, Trace]) -> None:
    assert find_map(steel[0]) == STEEL_MAP
    assert find_map(gas_turbine[0]) == GAS_TURBINE_MAP
    assert (steel[1].intervals, gas_turbine[1].intervals) == (17376, 7411)


def test_every_row_of_the_steel_trace_is_in_the_registers_at_its_end(steel: tuple[Path, Trace]) -> None:
    path, trace = steel
    columns = {
        "active_energy_import": "active_energy_kwh",
        "reactive_energy_lagging": "lagging_reactive_energy_kvarh",
        "reactive_energy_leading": "leading_reactive_energy_kvarh",
    }
    before = trace(trace.start_utc_ms)
    with path.open() as file:
        for index, row in enumerate(csv.DictReader(file), 1):
            now = trace(trace.start_utc_ms + index * 900_000)
            for indication, column in columns.items():
                # Primary energy: secondary Wh times the ratio 10.
                assert (now[indication] - before[indication]) * 10 == Decimal(row[column]) * 1000  # type: ignore[operator]
            assert Decimal(now["power_factor_lagging"]).scaleb(-2) == Decimal(row["lagging_power_factor_pct"])  # type: ignore[arg-type]
            assert Decimal(now["power_factor_leading"]).scaleb(-2) == Decimal(row["leading_power_factor_pct"])  # type: ignore[arg-type]
            assert now["active_power"] * 10 == Decimal(row["active_energy_kwh"]) * 4000  # type: ignore[operator]
            before = now


@pytest.mark.parametrize("days", [1, 7, 181])
def test_expected_totals_are_the_registers_at_the_end(steel: tuple[Path, Trace], days: int) -> None:
    path, _ = steel
    trace = load_trace(path, STEEL_MAP, days)
    at_end = trace(trace.end_utc_ms)
    totals = expected_totals(path, STEEL_MAP, days)
    assert [total.indication for total in totals] == [
        "active_energy_import",
        "reactive_energy_lagging",
        "reactive_energy_leading",
    ]
    for total in totals:
        assert total.base_total == total.total * 1000
        assert at_end[total.indication] * 10 == total.base_total  # type: ignore[operator]
    assert totals[0].total == {1: Decimal("351.86"), 7: Decimal("18246.34"), 181: Decimal("521199.76")}[days]


def test_every_value_of_the_gas_turbine_is_exact(gas_turbine: tuple[Path, Trace]) -> None:
    path, trace = gas_turbine
    trace_map = load_map(GAS_TURBINE_MAP)
    exponents = {register.name: register.exponent for register in trace_map.registers}
    limits = {row[0]: (row[6], row[7]) for row in trace_map.register_rows() or []}
    rows = expected_values(path, GAS_TURBINE_MAP)
    assert len(rows) == trace.intervals
    assert expected_totals(path, GAS_TURBINE_MAP) == [], "no sum is claimed of sampled values"
    finest = dict.fromkeys(exponents, 10**30)
    for index, row in enumerate(rows, 1):
        shown = trace(trace.start_utc_ms + index * 3_600_000)
        assert set(shown) == set(exponents)
        for name, exponent in exponents.items():
            units = shown[name]
            assert units is not None
            assert Decimal(units).scaleb(exponent) == row[name]
            assert limits[name][0] <= units <= limits[name][1]  # type: ignore[operator]
            finest[name] = min(finest[name], _trailing_zeros(units))
    assert set(finest.values()) == {0}, "each exponent is the coarsest that is exact"


def _trailing_zeros(number: int) -> int:
    text = str(number)
    return len(text) - len(text.rstrip("0")) if number else 30


def test_time_inside_and_outside_the_intervals(write: Write) -> None:
    trace = write()
    assert trace.start_utc_ms == 1514764800000
    moments = {
        -1: (0, None),
        0: (0, 9950),
        1: (0, 9950),
        450_000: (50, 9950),
        900_000: (101, 9950),
        900_001: (101, 5000),
        1_800_000: (101, 5000),
        1_800_001: (101, 1),
        2_699_999: (350, 1),
        2_700_000: (351, 1),
        2_700_001: (351, None),
        10**12: (351, None),
    }
    for elapsed, (energy, power_factor) in moments.items():
        shown = trace(trace.start_utc_ms + elapsed)
        assert (shown["active_energy_import"], shown["power_factor_lagging"]) == (energy, power_factor), elapsed


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=20),
    st.lists(st.integers(-(10**6), 2 * 10**7), max_size=30),
)
def test_a_register_never_goes_back(steps_wh: list[int], moments: list[int]) -> None:
    trace_map = MAP.replace('timestamp = "end"\n', "").replace("= 900", "= 900\nstart = 2020-01-01T00:00:00Z")
    with tempfile.TemporaryDirectory() as folder:
        rows = "".join(f"{step * 10}e-3,100\n" for step in steps_wh)
        csv_path, map_path = Path(folder, "t.csv"), Path(folder, "t.toml")
        csv_path.write_text("kwh,pf\n" + rows)
        map_path.write_text(trace_map)
        trace = load_trace(csv_path, map_path)
    readings = [trace(trace.start_utc_ms + moment)["active_energy_import"] or 0 for moment in sorted(moments)]
    assert readings == sorted(readings)
    assert trace(trace.end_utc_ms)["active_energy_import"] == sum(steps_wh)


@pytest.mark.parametrize(
    ("reason", "row", "column", "old", "new"),
    [
        ("not_representable", 2, "kwh", "1.01,", "1.015,"),
        ("not_representable", 4, "pf", "0.01\n", "0.001\n"),
        ("not_a_number", 3, "kwh", ",0,50", ",,50"),
        ("not_a_number", 3, "pf", ",0,50", ",0,nan"),
        ("negative_energy", 4, "kwh", "2.5,", "-2.5,"),
        ("timestamp_gap", 4, "end", "00:45", "01:00"),
        ("timestamp_gap", 3, "end", "00:30", "00:15"),
        ("bad_timestamp", 2, "end", "2018-01-01T00:15", "1 January"),
        ("missing_column", 2, "kwh", "end,kwh", "end,kWh"),
        ("missing_column", 4, "pf", "2.5,0.01", "2.5"),
    ],
)
def test_a_row_that_cannot_be_exact_is_refused(
    write: Write, reason: str, row: int, column: str, old: str, new: str
) -> None:
    assert old in ROWS
    with pytest.raises(TraceError) as refused:
        write(ROWS.replace(old, new, 1))
    assert (refused.value.reason, refused.value.row, refused.value.column) == (reason, row, column)
    assert str(refused.value).startswith(f"row {row}, column {column}: ")


@pytest.mark.parametrize(
    ("reason", "old", "new"),
    [
        ("map_toml", "[csv]", "[csv"),
        ("map_key", 'licence = "l"', ""),
        ("map_key", 'use = "value"', 'use = "sum"'),
        ("map_key", "seconds = 900", "seconds = 0"),
        ("map_key", "seconds = 900", "seconds = 900\ntypo = 1"),
        ("unknown_instrument", '"energy64"', '"energy65"'),
        ("unknown_indication", "active_energy_import", "active_energy"),
        ("unknown_unit", '"kWh"', '"kWH"'),
        ("unit_mismatch", '"kWh"', '"kvarh"'),
        ("no_ratio", "[ratio]\nprimary = 50\nsecondary = 5\n", ""),
        ("no_rate", 'use = "value"', 'use = "mean_rate"'),
        ("map_start", "seconds = 900", "seconds = 900\nstart = 2018-01-01T00:15:00Z"),
        ("map_start", "seconds = 900", "seconds = 900\nstart = 2018-01-01T00:00:00"),
        ("no_start", 'timestamp = "end"\n', ""),
    ],
)
def test_a_map_that_cannot_mean_anything_is_refused(write: Write, reason: str, old: str, new: str) -> None:
    assert old in MAP
    with pytest.raises(TraceError) as refused:
        write(trace_map=MAP.replace(old, new, 1))
    assert refused.value.reason == reason


def test_a_trace_that_is_too_short_is_refused(write: Write) -> None:
    with pytest.raises(TraceError) as refused:
        write(days=1)
    assert refused.value.reason == "too_short"
    with pytest.raises(TraceError) as refused:
        write("end,kwh,pf\n")
    assert refused.value.reason == "too_short"


def test_a_csv_without_a_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError) as refused:
        find_map(tmp_path / "mine.csv")
    assert refused.value.reason == "no_map"
    assert "mine.toml" in str(refused.value)


def test_a_zone_is_taken_from_the_map_or_the_row(write: Write) -> None:
    utc = write().start_utc_ms
    zone = MAP.replace('timestamp = "end"', 'timestamp = "end"\nutc_offset = "+08:00"')
    assert write(trace_map=zone).start_utc_ms == utc - 8 * 3_600_000
    assert (
        write(
            ROWS.replace(":15,", ":15-01:30,").replace("00:30,", "00:30-01:30,").replace("45,", "45-01:30,"), zone
        ).start_utc_ms
        == utc + 5_400_000
    )


def test_a_ratio_that_does_not_divide_is_refused(write: Write) -> None:
    with pytest.raises(TraceError) as refused:
        write(trace_map=MAP.replace("primary = 50", "primary = 35"))
    assert refused.value.reason == "not_representable"


def test_a_pzem_fed_by_a_trace_wraps(write: Write) -> None:
    trace_map = MAP.replace("energy64", "pzem004t").partition('[[column]]\nname = "pf"')[0]
    trace = write("end,kwh\n2018-01-01T00:15,99999.99\n2018-01-01T00:30,0.1\n", trace_map)
    at_end = trace(trace.end_utc_ms)
    assert at_end["active_energy_import"] == 10_000_009
    modulus = KINDS["pzem004t"].indications["active_energy_import"].modulus
    assert modulus is not None
    assert at_end["active_energy_import"] % modulus == 9


def test_mean_rate_is_the_energy_over_the_interval() -> None:
    steel = load_map(STEEL_MAP)
    column = next(column for column in steel.column if column.use == "mean_rate")
    # 1 kWh in a quarter of an hour is 4 kW; behind 50/5 A the meter shows 400 W.
    assert steel.register_units(column) == Fraction(400)
