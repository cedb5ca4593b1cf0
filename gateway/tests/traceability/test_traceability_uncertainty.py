"""The closed form of a reading's uncertainty: by hand, against metrology.budget and GTC, and as a record."""

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from types import ModuleType

import cbor2
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scenario import START_MS, calibration_result, certificate, verification_result

from meter_gateway.metrology.budget import Budget, Distribution
from meter_gateway.metrology.error_curve import OutsideCalibratedRange
from meter_gateway.traceability import budget_record, cbor_rows, channel_budget, units
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.calibration import DAY_MS, Bound
from meter_gateway.traceability.channel_budget import ChannelBudget, Unstated
from meter_gateway.traceability.closed_form import ClosedForm
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.rows import Integers
from meter_gateway.traceability.terms import NO_TERMS, Contribution, KnownError, Target, Terms
from meter_gateway.traceability.uncertainty import Shown, components, shown
from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME

KW = 1000
QUARTER_MS = 900_000
ENERGY_QUANTITY, POWER_QUANTITY = BY_NAME["active_energy_import"], BY_NAME["active_power"]
CALIBRATED_MS = START_MS - 100 * DAY_MS


def points(*given: tuple[str, str, str]) -> tuple[c.Point, ...]:
    return tuple(c.Point(Decimal(r), Decimal(e), Decimal(u), Decimal(2)) for r, e, u in given)


ENERGY_RESULT = replace(
    calibration_result("active_energy_import"), points=points(("100", "0.1", "0.04"), ("300", "0.3", "0.08"))
)
POWER = Channel(
    2, POWER_QUANTITY, f.CHANNEL_MEAN, 2, 1, "s", operating_point=None, extremes=False, scale=(), conversion=()
)


def register(operating_point: int | None = None, ratio: int = 40) -> Channel:
    return Channel(
        1,
        ENERGY_QUANTITY,
        f.CHANNEL_REGISTER,
        0,
        ratio,
        "s",
        operating_point,
        extremes=False,
        scale=(),
        conversion=(),
    )


def bound(result: c.Result, terms: Terms = NO_TERMS) -> Bound:
    due_ms = CALIBRATED_MS + 365 * DAY_MS
    return Bound(certificate(results=(result,)), result, 0, 1 << 50, CALIBRATED_MS, due_ms, (), (), terms)


def budget_of(
    result: c.Result = ENERGY_RESULT,
    terms: Terms = NO_TERMS,
    channel: Channel | None = None,
    source: Channel | None = None,
    end_ms: int = START_MS,
) -> ChannelBudget:
    return channel_budget.of_channel(channel or register(), source, bound(result, terms), end_ms)


def contribution(source: str = "temperature", value: str = "0.3", unit: str = "%", **rest: object) -> Contribution:
    return Contribution(source, Distribution.RECTANGULAR, Decimal(value), unit, "data sheet", **rest)  # type: ignore[arg-type]


def entry(budget: ChannelBudget, value: int, point: float) -> list[int]:
    encoded = ClosedForm(budget).entry(value, point)
    found: list[int] = cbor2.loads(encoded)
    assert cbor2.dumps(found) == encoded
    return found


# By hand


def test_an_increase_between_two_calibrated_points() -> None:
    # 50 kWh in a quarter of an hour: 200 kW, half-way between the points, where u is 0.03 %.
    assert entry(budget_of(), 50_000, 200 * KW) == [1, 0, 0, math.ceil(40_000 / math.sqrt(6)), 15_000]


def test_a_mean_with_an_absolute_error() -> None:
    result = replace(
        calibration_result("active_power"),
        error_unit="kW",
        points=points(("1", "0.002", "0.001"), ("600", "0.08", "0.06")),
    )
    found = budget_of(result, channel=POWER, source=POWER)
    # In thousandths of 100 W: u is 30 W at 600 kW.
    assert entry(found, 6000, 6000) == [2, 0, 0, math.ceil(500 / math.sqrt(3)), 300]
    assert ClosedForm(found).error(6000, 6000) == pytest.approx(800)


def test_a_mean_behind_a_transformer_is_read_in_steps_of_the_ratio() -> None:
    result = replace(calibration_result("active_power"), points=points(("1", "0", "0.1"), ("600", "0", "0.1")))
    behind = replace(POWER, ratio=60)
    # In thousandths of 100 W: a last digit of the instrument is 6 kW, which its mean shows to ±3 kW.
    assert entry(budget_of(result, channel=behind, source=behind), 6000, 6000)[3] == math.ceil(
        30_000 / math.sqrt(3)
    )


def test_a_certificate_s_k_says_how_many_degrees_of_freedom_its_u_has() -> None:
    """U = 0.1 % with k = 2.87 is that of four: t95(4) = 2.7764 times 0.0348 %, and not 1.96 times."""
    few = tuple(c.Point(Decimal(at), Decimal(0), Decimal("0.1"), Decimal(k)) for at, k in ((1, 2), (600, "2.87")))
    found = budget_of(replace(ENERGY_RESULT, points=few))
    record = budget_record.of([found])
    assert record is not None
    assert budget_record.read(record.encoded) == {1: found}
    calibration, _ = components(found, Shown(10**9, 600 * KW))
    assert (calibration.degrees_of_freedom, calibration.distribution) == (4, Distribution.STUDENT)
    assert calibration.contribution == pytest.approx(10**9 * 0.001 / 2.87)
    assert ClosedForm(found).expanded(10**9, 600 * KW) == pytest.approx(10**12 * 0.001 * 2.7764 / 2.87, rel=1e-4)
    assert components(budget_of(), Shown(10**9, 200 * KW))[0].degrees_of_freedom == math.inf


def test_points_of_a_run_up_and_down_are_one_with_their_hysteresis() -> None:
    """At 300: 0.1 % up and 0.4 % down, of U 0.04 and 0.08 %: ē = 0.25 %, u² = 0.04² + (0.15/√3)²."""
    run = points(("100", "0.1", "0.04"), ("300", "0.1", "0.04"), ("600", "0.1", "0.04"), ("300", "0.4", "0.08"))
    found = budget_of(replace(ENERGY_RESULT, points=run))
    assert [point.reference for point in found.points] == [100_000, 300_000, 600_000]
    assert (found.points[1].error, found.points[1].k) == (Decimal("0.25"), 2)
    assert float(found.points[1].standard_uncertainty) == pytest.approx(math.hypot(0.04, 0.15 / math.sqrt(3)))
    assert entry(found, 10**6, 300 * KW)[4] == math.ceil(1e7 * math.hypot(0.04, 0.15 / math.sqrt(3)))
    assert found.points[0] == budget_of(replace(ENERGY_RESULT, points=run[:1])).points[0]


def test_a_class_is_rectangular_common_to_the_channel_and_has_no_error() -> None:
    found = budget_of(verification_result("active_energy_import"))
    assert entry(found, 1000, 1e9) == [
        1,
        math.ceil(1e6 * 0.005 / math.sqrt(3)),
        0,
        math.ceil(4e4 / math.sqrt(6)),
        0,
    ]
    assert ClosedForm(found).error(1000, 1e9) == 0
    assert not ClosedForm(found).needs_point


def test_a_quantity_in_percent_has_errors_in_percentage_points() -> None:
    humidity = BY_NAME["relative_humidity"]
    humid = c.CalibrationResult(
        c.Instrument("x", "y", "z"), humidity, c.Axis(humidity, "%", None, None), "%",
        points(("20", "1", "2"), ("80", "1", "2")), (),
    )  # fmt: skip
    channel = replace(POWER, quantity=humidity, exponent=-1)
    assert entry(budget_of(humid, channel=channel, source=channel), 500, 500)[-1] == 10_000


def test_contributions_go_to_what_they_are_common_to() -> None:
    terms = Terms(
        (
            contribution("temperature", "15", sensitivity=Decimal("0.02")),
            contribution("transformer", "0.2", certificate="CT-1"),
            contribution("repeatability", "0.05", is_random=True),
            contribution("supply", "3", "W.h"),
        )
    )
    found = budget_of(terms=terms)
    assert found.certificates == ("CAL-1", "CT-1")
    root = math.sqrt(3)
    of_channel = math.hypot(100_000 * 1000 * 0.003 / root, 3000 / root)
    assert entry(found, 100_000, 200 * KW)[1:] == [
        math.ceil(of_channel),
        math.ceil(100_000 * 1000 * 0.0005 / root),
        math.ceil(40_000 / math.sqrt(6)),
        math.ceil(100_000 * 1000 * 0.0003),
        math.ceil(100_000 * 1000 * 0.002 / root),
    ]


def test_what_comes_from_the_instrument_s_own_certificate_joins_its_part() -> None:
    terms = Terms((contribution("position", "0.1", certificate="CAL-1"),))
    u = math.hypot(0.0003, 0.001 / math.sqrt(3))
    assert entry(budget_of(terms=terms), 100_000, 200 * KW)[-1] == math.ceil(1e8 * u)
    flat = replace(ENERGY_RESULT, points=points(("100", "0", "0.06"), ("300", "0", "0.06")))
    assert entry(budget_of(flat, terms), 100_000, 200 * KW)[-1] == math.ceil(1e8 * u)


@pytest.mark.parametrize(("days", "taken_days"), [(0, 30), (1, 30), (30, 30), (31, 60), (364, 390)])
def test_drift_is_that_of_the_end_of_its_thirty_days(days: int, taken_days: int) -> None:
    terms = Terms((contribution("drift", "0.3", per_year=True),))
    found = budget_of(terms=terms, end_ms=CALIBRATED_MS + days * DAY_MS)
    assert float(found.sources[0].value) == pytest.approx(0.3 * taken_days / 365.25, rel=1e-15)
    assert found.sources[0].value >= Decimal("0.3") * taken_days / Decimal("365.25")


@pytest.mark.parametrize(("unit", "error_unit"), [("V", "%"), ("%", "V")])
def test_a_unit_that_is_not_the_quantity_s_states_nothing(unit: str, error_unit: str) -> None:
    with pytest.raises(Unstated):
        budget_of(replace(ENERGY_RESULT, error_unit=error_unit), Terms((contribution(unit=unit),)))


def test_parts_that_do_not_fit_an_entry_are_not_stated() -> None:
    found = ClosedForm(budget_of(replace(ENERGY_RESULT, points=points(("100", "0", "1e3"), ("300", "0", "1e3")))))
    assert found.largest < (1 << 63)
    assert max(cbor2.loads(found.entry(int(found.largest), 2e5))) < 1 << 63
    with pytest.raises(Unstated):
        ClosedForm(budget_of(terms=Terms((contribution(value="1e18", unit="GW.h"),))))


# Against the oracle


tiny = st.decimals("0.0001", "9", allow_nan=False, places=4)


@st.composite
def contributions(draw: st.DrawFn) -> tuple[Contribution, ...]:
    found = []
    for number in range(draw(st.integers(0, 5))):
        shape = draw(st.sampled_from([Distribution.NORMAL, Distribution.RECTANGULAR, Distribution.U_SHAPED]))
        is_random = draw(st.booleans())
        found.append(
            Contribution(
                source=f"source {number}",
                distribution=shape,
                value=draw(tiny),
                unit=draw(st.sampled_from(["%", "W.h", "kW.h"])),
                stated_by="drawn",
                sensitivity=draw(tiny),
                degrees_of_freedom=draw(st.none() | st.integers(1, 60).map(Decimal)),
                per_year=not is_random and draw(st.booleans()),
                is_random=is_random,
                certificate=None if is_random else draw(st.sampled_from([None, "CAL-1", "CT-1", "VT-1"])),
            )
        )
    return tuple(found)


results = st.builds(
    lambda us, ks, errors, unit: replace(
        ENERGY_RESULT,
        error_unit=unit,
        points=tuple(
            c.Point(Decimal(100 * (n + 1)), e, u, Decimal(k))
            for n, (u, k, e) in enumerate(zip(us, ks, errors, strict=False))
        ),
    ),
    st.lists(tiny, min_size=4, max_size=4),
    st.lists(st.sampled_from(["2"] * 4 + ["1", "2.05", "2.87", "13.97"]), min_size=4, max_size=4),
    st.lists(tiny, min_size=1, max_size=4),
    st.sampled_from(["%", "W.h", "kW.h"]),
) | st.just(verification_result("active_energy_import"))

values = st.integers(1, 10**12)


@settings(max_examples=150, deadline=None)
@given(result=results, terms=contributions(), value=values, place=st.floats(0, 1))
def test_the_closed_form_is_the_budget_and_gtc(
    gtc: ModuleType, result: c.Result, terms: tuple[Contribution, ...], value: int, place: float
) -> None:
    budget = budget_of(result, Terms(terms))
    form = ClosedForm(budget)
    point = form.low + place * (form.high - form.low) if form.needs_point else 0.0
    point = min(max(point, form.low), form.high)
    parts = [part / 1000 for part in form.parts(value, point)]
    found = components(budget, Shown(value, point))
    u = Budget(found).combined_uncertainty()
    assert math.hypot(*parts) == pytest.approx(u, rel=1e-9)
    total = sum(
        each.sensitivity * gtc.ureal(each.estimate, each.standard_uncertainty, each.degrees_of_freedom)
        for each in found
    )
    assert math.hypot(*parts) == pytest.approx(gtc.uncertainty(total), rel=1e-9)
    assert entry(budget, value, point)[1:] == [math.ceil(part) for part in form.parts(value, point)]


@settings(max_examples=100, deadline=None)
@given(
    result=results, terms=contributions(), drawn=st.lists(values, min_size=2, max_size=6), place=st.floats(0, 1)
)
def test_many_readings_at_once_are_stated_as_each_alone(
    result: c.Result, terms: tuple[Contribution, ...], drawn: Sequence[int], place: float
) -> None:
    form = ClosedForm(budget_of(result, Terms(terms)))
    span = form.high - form.low if form.needs_point else 0.0
    low = form.low if form.needs_point else 0.0
    at = [min(low + span * place * n / len(drawn), form.high) for n in range(len(drawn))]
    alone = [form.entry(value, point) for value, point in zip(drawn, at, strict=True)]
    parts = form.entries(Integers(drawn, min(drawn), max(drawn)), at)
    assert cbor_rows.rows(parts, len(drawn)) == alone


@settings(max_examples=100, deadline=None)
@given(
    result=results,
    terms=contributions(),
    known=st.sampled_from(KnownError),
    target=st.none() | st.builds(Target, tiny, st.sampled_from(["%", "kW.h"])),
)
def test_who_reads_the_record_has_the_same_budget(
    result: c.Result, terms: tuple[Contribution, ...], known: KnownError, target: Target | None
) -> None:
    budget = budget_of(result, Terms(terms, known, target))
    record = budget_record.of([budget])
    assert record is not None
    assert budget_record.read(record.encoded) == {1: budget}
    again = budget_record.of([budget_of(result, Terms(terms, known, target))])
    assert again == record


def test_a_name_that_is_too_long_keeps_apart_from_others() -> None:
    long = ["证" * 100 + letter for letter in "AB"]
    terms = Terms(tuple(contribution(f"s{n}", certificate=name) for n, name in enumerate(long)))
    found = budget_of(terms=terms)
    assert len(set(found.certificates)) == 3
    assert budget_record.of([found]) is not None


# Against the target


@settings(max_examples=200, deadline=None)
@given(
    result=results, terms=contributions(), value=values, target=tiny, widened=st.integers(0, 5),
    by=st.decimals("1", "50", places=2), known=st.sampled_from(KnownError),
)  # fmt: skip
def test_a_wider_uncertainty_never_meets_a_target_that_a_narrower_one_misses(
    result: c.Result,
    terms: tuple[Contribution, ...],
    value: int,
    target: Decimal,
    widened: int,
    by: Decimal,
    known: KnownError,
) -> None:
    wide = tuple(replace(each, value=each.value * by) if n == widened else each for n, each in enumerate(terms))
    if widened == 5 and isinstance(result, c.CalibrationResult):
        more = tuple(
            replace(point, expanded_uncertainty=point.expanded_uncertainty * by) for point in result.points
        )
        wider: c.Result = replace(result, points=more)
    else:
        wider = result
    narrow, broad = (
        ClosedForm(budget_of(of, Terms(each, known, Target(target, "%"))))
        for of, each in ((result, terms), (wider, wide))
    )
    point = narrow.low if narrow.needs_point else 0.0
    if narrow.is_above_target(value, point):
        assert broad.is_above_target(value, point)


@settings(max_examples=300, deadline=None)
@given(
    result=results, terms=contributions(), column=st.lists(values, min_size=1, max_size=5), target=tiny,
    unit=st.sampled_from(["%", "W.h"]), known=st.sampled_from(KnownError), place=st.floats(0, 1),
)  # fmt: skip
def test_a_column_that_meets_its_target_has_no_reading_above_it(
    result: c.Result,
    terms: tuple[Contribution, ...],
    column: list[int],
    target: Decimal,
    unit: str,
    known: KnownError,
    place: float,
) -> None:
    form = ClosedForm(budget_of(result, Terms(terms, known, Target(target * 10, unit))))
    point = form.low + place * (form.high - form.low) if form.needs_point else 0.0
    point = min(max(point, form.low), form.high)
    if form.meets_target(min(column), max(column)):
        assert not any(form.is_above_target(value, point) for value in column)


def test_a_column_is_looked_at_one_by_one_only_where_one_may_be_above_its_target() -> None:
    # Errors up to 0.3 % and U up to 0.08 %, which is 0.04 % and 0.1 % at the other end.
    for target, known, is_met in (
        ("0.39", KnownError.CARRIED, True),
        ("0.37", KnownError.CARRIED, False),
        ("0.09", KnownError.CORRECTED, True),
        ("0.07", KnownError.CORRECTED, False),
    ):
        form = ClosedForm(budget_of(ENERGY_RESULT, Terms((), known, Target(Decimal(target), "%"))))
        assert form.meets_target(1_000_000, 2_000_000) is is_met
        assert not form.meets_target(0, 1_000_000), "of nothing, everything is more than any percentage"
    assert ClosedForm(budget_of(ENERGY_RESULT, Terms())).meets_target(0, 0)
    # In the quantity's unit: U up to 58.8 W beside 56.6 W of the resolution, and an error of 80 W.
    absolute = replace(
        calibration_result("active_power"),
        error_unit="kW",
        points=points(("1", "0.002", "0.001"), ("600", "0.08", "0.06")),
    )
    for target, known, is_met in (
        ("165", KnownError.CARRIED, True),
        ("155", KnownError.CARRIED, False),
        ("85", KnownError.CORRECTED, True),
        ("75", KnownError.CORRECTED, False),
    ):
        terms = Terms((), known, Target(Decimal(target), "W"))
        form = ClosedForm(budget_of(absolute, terms, channel=POWER, source=POWER))
        assert form.meets_target(100, 6000) is is_met


@settings(max_examples=100, deadline=None)
@given(result=results, terms=contributions(), value=values)
def test_what_is_held_against_the_target_is_never_less_than_u(
    result: c.Result, terms: tuple[Contribution, ...], value: int
) -> None:
    budget = budget_of(result, Terms(terms, KnownError.CORRECTED))
    form = ClosedForm(budget)
    point = form.low if form.needs_point else 0.0
    whole = Budget(components(budget, Shown(value, point)))
    assume(whole.combined_uncertainty() > 0)
    expanded = whole.expanded(0.95, truncated=False)
    assert form.expanded(value, point) / 1000 >= expanded.expanded_uncertainty * (1 - 1e-9)
    if all(each.degrees_of_freedom == math.inf for each in whole.components):
        assert form.expanded(value, point) / 1000 == pytest.approx(expanded.expanded_uncertainty, rel=1e-9)


def test_an_error_that_nobody_corrects_counts_against_the_target() -> None:
    result = replace(ENERGY_RESULT, points=points(("100", "-0.4", "0.02"), ("300", "-0.4", "0.02")))
    for known, is_above in ((KnownError.CARRIED, True), (KnownError.CORRECTED, False)):
        form = ClosedForm(budget_of(result, Terms((), known, Target(Decimal("0.3"), "%"))))
        assert form.is_above_target(1_000_000, 200 * KW) is is_above
        assert form.is_above_target(10, 200 * KW), "the resolution alone is more than that of ten watt-hours"


# What a message shows


CHANNELS = {1: register(), 2: POWER}


def test_a_register_works_at_its_own_rate_or_at_the_channel_that_the_parameters_name() -> None:
    row, before = {1: [0, 150_000], 2: [0, 9, 9, 1980, 1]}, {1: [0, 100_000]}
    assert shown(budget_of(), row, before, QUARTER_MS) == Shown(50_000, 200 * KW)
    assert shown(budget_of(source=POWER), row, before, QUARTER_MS) == Shown(50_000, 1980)


@pytest.mark.parametrize(
    ("row", "before", "duration_ms"),
    [
        ({1: [0, 150_000]}, None, QUARTER_MS),
        ({1: [0, 150_000]}, {1: [1, None]}, QUARTER_MS),
        ({1: [1, None]}, {1: [0, 100_000]}, QUARTER_MS),
        ({1: [0, 99_999]}, {1: [0, 100_000]}, QUARTER_MS),
        ({1: [0, 9, 9, 1980, 1]}, {1: [0, 100_000]}, QUARTER_MS),
        ({}, {1: [0, 100_000]}, QUARTER_MS),
        ({1: [0, 150_000]}, {1: [0, 100_000]}, None),
    ],
)
def test_what_shows_nothing_has_no_uncertainty(row, before, duration_ms) -> None:
    assert shown(budget_of(), row, before, duration_ms) is None


@pytest.mark.parametrize("at", [99_900, 300_100])
def test_nothing_is_extrapolated(at: float) -> None:
    with pytest.raises(OutsideCalibratedRange):
        components(budget_of(), Shown(1, at))


def test_units_of_the_drawn_contributions_are_the_quantity_s() -> None:
    assert units.factor("kW.h", ENERGY_QUANTITY) == 1000
