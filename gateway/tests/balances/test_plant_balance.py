"""Which readings a violated span is held against, and by which name it is known."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_gateway import basis
from meter_gateway.model import Finding, Verified
from meter_gateway.traceability.plant_balance import (
    CODE,
    DAY_MS,
    HOUR_MS,
    MAX_SPANS,
    Violations,
    entry_name,
    judge,
    read_entry_name,
)
from meter_gateway.traceability.plausibility_file import (
    MAX_NAME_BYTES,
    MeterTerm,
    PlantBalance,
    load_plausibility,
)
from meter_gateway.validated_toml import ConfigError
from meter_protocol import fields as f
from meter_protocol import types as t

A, B = b"a" * 32, b"b" * 32
DAY = 20_454
HOUR = DAY * 24
BEGIN_MS = HOUR * HOUR_MS


def plant(name: str = "hall", over: str = "hour") -> PlantBalance:
    a, b = (MeterTerm(meter=meter, channel=1) for meter in (A, B))
    return PlantBalance(name=name, over=over, total=(a,), parts=(b,), tolerance_percent=Decimal(1))


def reading(start_ms: int, end_ms: int, **changes: Any) -> Verified:
    fields = {
        f.TIME_MS: BEGIN_MS + end_ms,
        f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
        f.DURATION_MS: end_ms - start_ms,
        f.READINGS: {1: [0, 5]},
    }
    fields |= {getattr(f, name): value for name, value in changes.items()}
    return Verified(b"", t.READINGS, A, fields, b"")


def found(message: Verified, *hours: int, utc_offset_minutes: int = 0, meter: bytes = A) -> list[Finding]:
    codes: list[list[Finding]] = [[]]
    violations = Violations([plant()], {"hall": hours}, utc_offset_minutes)
    judge(violations.of(meter), [message], codes)
    return codes[0]


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "is_found"),
    [
        (-60_000, 0, False),
        (-60_000, 1, True),
        (0, 60_000, True),
        (HOUR_MS - 1, HOUR_MS, True),
        (HOUR_MS - 1, HOUR_MS + 60_000, True),
        (HOUR_MS, HOUR_MS + 1, False),
        (-HOUR_MS, 2 * HOUR_MS, True),
        (0, 0, False),
        (1, 1, True),
        (HOUR_MS, HOUR_MS, True),
        (HOUR_MS + 1, HOUR_MS + 1, False),
        (-10, MAX_SPANS * HOUR_MS - 10, True),
        (-10, MAX_SPANS * HOUR_MS - 9, False),
    ],
)
def test_an_interval_and_a_span_have_a_moment_in_common(start_ms: int, end_ms: int, is_found: bool) -> None:
    assert found(reading(start_ms, end_ms), HOUR) == ([Finding(CODE, 1)] if is_found else [])


def test_hours_that_follow_each_other_and_hours_that_do_not() -> None:
    hours = HOUR, HOUR + 1, HOUR + 3
    ends = [number * HOUR_MS // 2 for number in range(1, 11)]
    told = [bool(found(reading(end - HOUR_MS // 2, end), *hours)) for end in ends]
    assert told == [True] * 4 + [False] * 2 + [True] * 2 + [False] * 2


def test_spans_are_those_of_the_offset() -> None:
    assert found(reading(-30 * 60_000, -29 * 60_000), HOUR, utc_offset_minutes=30)
    assert not found(reading(31 * 60_000, 32 * 60_000), HOUR, utc_offset_minutes=30)


@pytest.mark.parametrize(
    "changes",
    [
        {"CLOCK_STATUS": f.CLOCK_RELATIVE},
        {"CLOCK_STATUS": f.CLOCK_UNKNOWN},
        {"READINGS": {2: [0, 5]}},
        {"READINGS": {1: [0, 60, 60, 5, 1]}},
    ],
)
def test_a_reading_without_a_time_or_of_no_register_is_not_meant(changes: dict[str, Any]) -> None:
    assert found(reading(0, 60_000), HOUR)
    assert not found(reading(0, 60_000, **changes), HOUR)


def test_a_reading_without_a_total_and_one_of_unknown_duration_are() -> None:
    assert found(reading(0, 60_000, READINGS={1: [f.STATUS_NO_RESPONSE, None, 5, 5]}), HOUR)
    assert found(reading(0, HOUR_MS, DURATION_MS=None), HOUR)
    assert not found(reading(0, HOUR_MS + 1, DURATION_MS=None), HOUR)


def test_events_and_other_meters_are_not() -> None:
    event = Verified(b"", t.EVENT, A, reading(0, 60_000).fields, b"")
    assert not found(event, HOUR)
    assert found(reading(0, 60_000), HOUR, meter=B)
    assert not found(reading(0, 60_000), HOUR, meter=b"c" * 32)


# Names


def test_each_balance_and_day_has_a_name() -> None:
    violations = Violations(
        [plant(), plant("yard", "day")], {"hall": [HOUR, HOUR + 23, HOUR + 24], "yard": [DAY]}, 480
    )
    assert violations.entries() == {
        "balance hall on 2026-01-01": [HOUR, HOUR + 23],
        "balance hall on 2026-01-02": [HOUR + 24],
        "balance yard on 2026-01-01": [DAY],
    }


@given(name=st.text(min_size=1), day=st.integers(-10_000, 100_000))
def test_a_name_is_read_as_it_was_written(name: str, day: int) -> None:
    assert read_entry_name(entry_name(name, day)) == (name, day)


@pytest.mark.parametrize(
    "name",
    [
        "plant balance hall",
        "balance hall of 0011223344556677",
        "balance x on 2026-01-01 of 0011223344556677",
        "balance hall on 2026-13-01",
        "balance hall on 20260101",
        "limit on 2026-01-01",
        "",
    ],
)
def test_no_other_name_is_taken_for_one(name: str) -> None:
    assert read_entry_name(name) is None


def test_the_longest_name_and_its_day_are_a_cause() -> None:
    name = entry_name("衡" * (MAX_NAME_BYTES // 3), date(2026, 1, 1).toordinal() - date(1970, 1, 1).toordinal())
    for before, after in (({}, {name: b"1"}), ({name: b"1"}, {})):
        (told,) = basis.changes(before, after)
        assert basis.cause_of([told]) == told
        assert told.endswith(("on 2026-01-01 violated", "on 2026-01-01 balanced"))
        assert len(told.encode()) <= basis.MAX_CAUSE_BYTES


TOML = """
[[plant_balance]]
name = "{name}"
over = "day"
tolerance_percent = 2
total = [{{ meter = "{a}", channel = 1 }}]
parts = [{{ meter = "{b}", channel = 1 }}]
"""


def loaded(folder: Path, *names: str) -> None:
    text = "".join(TOML.format(name=name, a=A.hex(), b=B.hex()) for name in names)
    (folder / "plausible.toml").write_text(text, encoding="utf-8")
    load_plausibility(folder / "gateway.toml", [folder / "plausible.toml"])


def test_names_are_short_and_each_is_given_once(tmp_path: Path) -> None:
    loaded(tmp_path, "hall", "衡" * (MAX_NAME_BYTES // 3))
    with pytest.raises(ConfigError, match=r"two plant balances are called hall; give one another name"):
        loaded(tmp_path, "hall", "yard", "hall")
    with pytest.raises(ConfigError, match=r"more than 33 bytes; give it a shorter one"):
        loaded(tmp_path, "衡" * 12)


def test_a_day_has_the_hours_of_its_name() -> None:
    (hours,) = Violations([plant()], {"hall": range(HOUR, HOUR + 24)}).entries().values()
    assert {hour * HOUR_MS // DAY_MS for hour in hours} == {DAY}
