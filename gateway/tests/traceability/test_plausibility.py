"""Stuck, spike, rate of change, balance and data validity: one fact is changed, and exactly its code is found."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import scenario
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario import AUTHORITY, ENERGY, INTERVAL_MS, POWER, THUMBPRINT, Meter, assess, codes, mean

from meter_gateway.model import Verified
from meter_gateway.traceability import ChainState, Trust, assess_group
from meter_gateway.traceability.plausibility import WINDOW
from meter_gateway.traceability.plausibility_file import (
    Balance,
    ChannelLimits,
    Plausibility,
    load_plausibility,
)
from meter_gateway.traceability.thresholds import DataValidity, Thresholds
from meter_gateway.validated_toml import ConfigError
from meter_protocol import fields as f

PLAIN = [("key_native", None)]
FEEDER = 3
MINUTES = INTERVAL_MS // 60_000


def limits(channel: int = POWER, unit: str = "kW", **what: Any) -> Plausibility:
    numbers = {key: Decimal(str(value)) if key != "stuck_minutes" else value for key, value in what.items()}
    return Plausibility(limits=(ChannelLimits(meter=THUMBPRINT, channel=channel, unit=unit, **numbers),))


def balance(**what: Any) -> Plausibility:
    given_ = {"total": (ENERGY,), "parts": (FEEDER,), "tolerance_percent": Decimal(2), **what}
    return Plausibility(balances=(Balance(name="feeders", meter=THUMBPRINT, **given_),))


def found(
    rows: list[dict[int, list[Any]]], trust: Trust, channels: tuple[dict[int, Any], ...] = (), **how: Any
) -> list[list[tuple[str, int | None]]]:
    """Findings of each row, besides those of every message."""
    meter = Meter()
    messages = meter.start(AUTHORITY.seal(scenario.parameter_set(*channels)))
    messages += [meter.readings(row, **how) for row in rows]
    return beyond(assess(messages, trust)[3:])


def beyond(findings: Any) -> list[list[tuple[str, int | None]]]:
    return [[code for code in codes(each) if code not in PLAIN] for each in findings]


def of_power(
    *values: int | tuple[int, int, int], plausible: Plausibility | None = None, **how: Any
) -> list[list[tuple[str, int | None]]]:
    """Power in W, while the register counts on."""
    rows = [
        {ENERGY: [0, 25_000 * place], POWER: mean(*([value] if isinstance(value, int) else value))}
        for place, value in enumerate(values)
    ]
    return found(rows, scenario.trust(plausible=plausible), **how)


# Stuck


def test_a_value_that_does_not_change_for_too_long() -> None:
    plausible = limits(stuck_minutes=3 * MINUTES)
    stuck = of_power(100_000, 100_000, 100_000, 100_000, 100_000, 100_001, 100_001, plausible=plausible)
    assert stuck == [[], [], [], [("value_stuck", POWER)], [("value_stuck", POWER)], [], []]


def test_a_value_may_move_within_its_band_and_is_stuck_all_the_same() -> None:
    plausible = limits(stuck_minutes=2 * MINUTES, stuck_within=0.01)
    assert of_power(100_000, 100_010, 100_005, plausible=plausible)[-1] == [("value_stuck", POWER)]
    assert of_power(100_000, 100_011, 100_005, plausible=plausible)[-1] == []


def test_what_lasted_before_a_run_counts_where_the_value_moves_within_it() -> None:
    trust = scenario.trust(plausible=limits(stuck_minutes=3 * MINUTES))
    meter = Meter()
    watts = [100_000] * 4 + [110_000 + 1000 * place for place in range(8)]
    messages = meter.start()
    messages += [
        meter.readings({ENERGY: [0, 25_000 * place], POWER: mean(value)}) for place, value in enumerate(watts)
    ]
    for cut in range(4, len(messages)):
        state = ChainState.new(THUMBPRINT)
        found = [
            *assess(messages[:cut], trust, state, 1 << 50),
            *assess(messages[cut:], trust, state, 1 << 50),
        ]
        assert [place for place, each in enumerate(found) if ("value_stuck", POWER) in codes(each)] == [6]


def test_minimum_and_maximum_show_that_a_value_lives() -> None:
    plausible = limits(stuck_minutes=MINUTES)
    alive = [(100_000, 99_000, 101_000)] * 4
    assert of_power(*alive, plausible=plausible) == [[]] * 4


def test_a_register_is_stuck_at_a_rate() -> None:
    plausible = limits(ENERGY, stuck_minutes=2 * MINUTES)
    trust = scenario.trust(plausible=plausible)
    totals = [0, 25_000, 50_000, 75_000, 100_000, 125_001, 150_001]
    rows = [{ENERGY: [0, total], POWER: mean(100_000 + total)} for total in totals]
    stuck = [("value_stuck", ENERGY)]
    assert found(rows, trust) == [[], [], [], stuck, stuck, [], []]


# Spikes


def test_a_spike_is_far_from_the_values_before_it() -> None:
    plausible = limits(max_spike=50)
    spike = [("value_spike", POWER)]
    values = of_power(100_000, 101_000, 99_000, 150_000, 151_001, 100_000, plausible=plausible)
    assert values == [[], [], [], [], spike, []]
    assert of_power(100_000, 101_000, 99_000, 49_999, 100_000, plausible=plausible)[3:] == [spike, []]


def test_a_minimum_or_maximum_may_be_the_spike() -> None:
    plausible = limits(max_spike=50)
    before = [100_000] * 3
    for low, high, is_found in ((50_000, 150_000, False), (49_999, 100_000, True), (100_000, 150_001, True)):
        last = of_power(*before, (100_000, low, high), plausible=plausible)[-1]
        assert last == ([("value_spike", POWER)] if is_found else [])


def test_too_few_values_before_and_a_long_gap_say_nothing_of_the_level() -> None:
    plausible = limits(max_spike=50)
    assert of_power(100_000, 100_000, 400_000, plausible=plausible) == [[], [], []]
    for gap_intervals, is_found in ((WINDOW, True), (WINDOW + 1, False)):
        meter = Meter()
        messages = meter.start()
        messages += [meter.readings({ENERGY: [0, n], POWER: mean(100_000)}) for n in range(4)]
        meter.time_ms += gap_intervals * INTERVAL_MS
        messages.append(meter.readings({ENERGY: [0, 9], POWER: mean(300_000)}))
        last = beyond(assess(messages, scenario.trust(plausible=plausible)))[-1]
        assert last == ([("value_spike", POWER)] if is_found else [])


# Rate of change


def test_a_value_that_changes_faster_than_its_process_can() -> None:
    plausible = limits(max_change_per_minute=1)
    step = MINUTES * 1000
    assert of_power(100_000, 100_000 + step, 100_000, plausible=plausible) == [[], [], []]
    fast = [("rate_of_change", POWER)]
    assert of_power(100_000, 100_001 + step, 100_000, plausible=plausible) == [[], fast, fast]


def test_more_time_between_two_values_allows_more_change() -> None:
    plausible = limits(max_change_per_minute=1)
    without = [f.STATUS_NO_RESPONSE, 0, 900, None, None, None, None]
    rows = [
        {ENERGY: [0, 0], POWER: mean(100_000)},
        {ENERGY: [0, 1], POWER: without},
        {ENERGY: [0, 2], POWER: mean(100_000 + 2 * MINUTES * 1000)},
        {ENERGY: [0, 3], POWER: mean(100_000 + 2 * MINUTES * 1000 + MINUTES * 1000 + 1)},
    ]
    said = found(rows, scenario.trust(plausible=plausible))
    assert said[2] == []
    assert said[3] == [("rate_of_change", POWER)]
    assert all("rate_of_change" not in {code for code, _ in each} for each in said[:2])


def test_a_register_changes_by_its_rate_and_whole_steps_are_no_change() -> None:
    """25 kWh in a quarter of an hour are 100 kW; one step of 1 Wh is 4 W."""
    plausible = limits(ENERGY, max_change_per_minute=1)
    trust = scenario.trust(plausible=plausible)
    grown = 25_000 + MINUTES * 250
    for last, is_found in ((grown, False), (grown + 2, False), (grown + 3, True)):
        rows = [{ENERGY: [0, total], POWER: mean(100_000)} for total in (0, 25_000, 25_000 + last)]
        assert found(rows, trust) == [[], [], [("rate_of_change", ENERGY)] if is_found else []]


def test_an_increase_over_an_unknown_time_is_no_rate() -> None:
    plausible = limits(ENERGY, max_change_per_minute=1, max_spike=1)
    rows = [{ENERGY: [0, 25_000 * place], POWER: mean(100_000)} for place in range(4)]
    rows.append({ENERGY: [f.STATUS_GAP_BEFORE, 400_000], POWER: mean(100_000)})
    rows.append({ENERGY: [0, 425_000], POWER: mean(100_000)})
    said = [("gap_before", ENERGY), ("uncertainty_unknown", ENERGY)]
    assert found(rows, scenario.trust(plausible=plausible)) == [[], [], [], [], said, []]


# What limits fit


@pytest.mark.parametrize(("channel", "unit"), [(POWER, "V"), (ENERGY, "kWh"), (9, "kW")])
def test_limits_that_do_not_fit_are_said_and_not_silently_left_out(channel: int, unit: str) -> None:
    plausible = limits(channel, unit, max_spike=1)
    assert of_power(1000, 100_000, plausible=plausible) == [[("limits_inapplicable", channel)]] * 2


def test_without_limits_nothing_is_remembered() -> None:
    state = ChainState.new(THUMBPRINT)
    meter = Meter()
    assess([*meter.start(), *scenario.intervals(meter, 5)], state=state)
    assert state.remembered == {}


def test_what_was_remembered_of_another_scale_is_forgotten() -> None:
    plausible = limits(max_spike=50)
    meter = Meter()
    state = ChainState.new(THUMBPRINT)
    trust = scenario.trust(plausible=plausible)
    assess([*meter.start(), *scenario.intervals(meter, 5)], trust, state)
    assert list(state.remembered) == [POWER]
    renamed = scenario.parameter_set(scenario.energy(operating_point=POWER), scenario.power(exponent=1), version=2)
    assess([meter.apply(AUTHORITY.seal(renamed))], trust, state)
    assert state.remembered == {}


# Balance


def feeders(
    *pairs: tuple[int, int], plausible: Plausibility, **channel: Any
) -> list[list[tuple[str, int | None]]]:
    feeder = scenario.channel(FEEDER, "active_energy_import", f.CHANNEL_REGISTER, **channel)
    channels = (scenario.energy(operating_point=POWER), scenario.power(), feeder)
    rows = [{ENERGY: [0, total], POWER: mean(100_000), FEEDER: [0, part]} for total, part in pairs]
    bound = scenario.bindings("CAL-1", channels=(ENERGY, POWER, FEEDER))
    said = found(rows, scenario.trust(bound=bound, plausible=plausible), channels)
    return [[each for each in codes_ if each[1] != FEEDER or each[0] == "limits_inapplicable"] for codes_ in said]


def test_sub_meters_and_their_total() -> None:
    """2 % of 25 kWh are 500 Wh, and each register may be one step off."""
    violated = [("balance_violated", ENERGY)]
    for part, is_violated in ((24_498, False), (24_497, True), (25_502, False), (25_503, True)):
        said = feeders((0, 1000), (25_000, 1000 + part), plausible=balance())
        assert said == [[], violated if is_violated else []]


def test_a_balance_across_exponents_and_with_a_tolerance_of_its_own() -> None:
    plausible = balance(tolerance_percent=Decimal(0), tolerance=Decimal("0.1"), unit="kWh")
    for part, is_violated in ((2488, True), (2489, False), (2511, False), (2512, True)):
        said = feeders((0, 100), (25_000, 100 + part), plausible=plausible, exponent=1)
        assert said[1] == ([("balance_violated", ENERGY)] if is_violated else [])


def test_two_instruments_of_one_quantity() -> None:
    other = scenario.channel(FEEDER, "active_power", f.CHANNEL_MEAN, extremes=True)
    channels = (scenario.energy(operating_point=POWER), scenario.power(), other)
    trust = scenario.trust(
        bound=scenario.bindings("CAL-1", channels=(ENERGY, POWER, FEEDER)), plausible=balance(total=(POWER,))
    )
    for value, is_violated in ((102_000, False), (102_001, True)):
        row = {ENERGY: [0, 1], POWER: mean(100_000), FEEDER: mean(value)}
        assert found([row], trust, channels) == [[("balance_violated", POWER)] if is_violated else []]


def test_a_balance_with_a_value_unknown_says_nothing() -> None:
    said = feeders((0, 0), (25_000, 9), plausible=balance(parts=(FEEDER, POWER)))
    assert said == [[("limits_inapplicable", ENERGY)]] * 2
    feeder = scenario.channel(FEEDER, "active_energy_import", f.CHANNEL_REGISTER)
    channels = (scenario.energy(operating_point=POWER), scenario.power(), feeder)
    rows = [{ENERGY: [0, 25_000 * n], POWER: mean(1000), FEEDER: [1, None, 7, 7]} for n in range(3)]
    said = found(rows, scenario.trust(plausible=balance()), channels)
    assert not any("balance_violated" in {code for code, _ in each} for each in said)


# Data validity


def numbers(**what: int) -> Thresholds:
    return Thresholds(data_validity=DataValidity(clause="of a test", tag="M", **what))


@pytest.mark.parametrize(
    ("n", "validity", "is_found"),
    [
        (719, {"samples_percent": 80}, True),
        (720, {"samples_percent": 80}, False),
        (179, {"samples_per_minute": 12}, True),
        (180, {"samples_per_minute": 12}, False),
        (1, {"minutes_per_hour": 45}, False),
        (0, {"samples_percent": 80}, False),
    ],
)
def test_samples_of_an_interval(n: int, validity: dict[str, int], is_found: bool) -> None:
    """900 are expected in a quarter of an hour."""
    power = [
        f.STATUS_MISSED_SAMPLES,
        n,
        900,
        *([100_000, 5 if n > 1 else None, 100_000, 100_000] if n else [None] * 4),
    ]
    row = {ENERGY: [0, 1], POWER: power}
    trust = scenario.trust(thresholds=numbers(**validity))
    (said,) = found([row], trust)
    assert (("samples_insufficient", POWER) in said) == is_found
    (without,) = found([row], scenario.trust())
    assert [each for each in said if each[0] != "samples_insufficient"] == without


def test_a_slower_sampling_than_the_scheme_demands_is_found_with_all_samples_there() -> None:
    """150 samples of 150 expected, one in 6 s."""
    row = {ENERGY: [0, 1], POWER: [0, 150, 150, 100_000, 5, 100_000, 100_000]}
    assert found([row], scenario.trust(thresholds=numbers(samples_per_minute=12))) == [
        [("samples_insufficient", POWER)]
    ]
    assert found([row], scenario.trust(thresholds=numbers(samples_percent=80))) == [[]]


# However the messages come


EVERYTHING = Plausibility(
    limits=(
        ChannelLimits(
            meter=THUMBPRINT,
            channel=POWER,
            unit="W",
            stuck_minutes=2 * MINUTES,
            stuck_within=Decimal(2),
            max_spike=Decimal(16),
            max_change_per_minute=Decimal("0.6"),
        ),
        ChannelLimits(
            meter=THUMBPRINT,
            channel=ENERGY,
            unit="W",
            stuck_minutes=2 * MINUTES,
            max_spike=Decimal(40),
            max_change_per_minute=Decimal(2),
        ),
    )
)


def chain_of(steps: list[tuple[int, int, str]]) -> list[Verified]:
    meter = Meter()
    messages = meter.start()
    total = 0
    for value, grown, what in steps:
        total = max(0, total - 9) if what == "back" else total + grown
        power = mean(1000 + value, 1000 + value - 1, 1000 + value + 1)
        energy: list[Any] = [0, total]
        if what == "silent":
            power = [f.STATUS_NO_RESPONSE, 0, 900, None, None, None, None]
            energy = [f.STATUS_NO_RESPONSE, None, total, total]
        elif what == "gap":
            meter.time_ms += 3 * INTERVAL_MS
        elif what == "long gap":
            meter.time_ms += 9 * INTERVAL_MS
        elif what == "outage":
            messages.append(meter.readings({ENERGY: [f.STATUS_GAP_BEFORE, total]}, INTERVAL_MS, f.KIND_OUTAGE))
        elif what == "relative":
            meter.status, meter.uncertainty_ms = f.CLOCK_RELATIVE, None
        elif what == "set":
            messages.append(meter.set_clock(meter.time_ms + 5000))
        messages.append(meter.readings({ENERGY: energy, POWER: power}))
    return messages


steps = st.lists(
    st.tuples(
        st.integers(0, 25),
        st.integers(0, 12),
        st.sampled_from(["", "", "", "", "silent", "gap", "long gap", "outage", "relative", "set", "back"]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps=steps, cuts=st.lists(st.integers(1, 40), max_size=6))
def test_columns_and_single_messages_find_the_same_and_a_state_may_be_stored_in_between(
    steps: list[tuple[int, int, str]], cuts: list[int]
) -> None:
    messages = chain_of(steps)
    trust = scenario.trust(plausible=EVERYTHING)
    received_ms = 1 << 50
    whole_state = ChainState.new(THUMBPRINT)
    whole = assess_group(whole_state, messages, trust, received_ms)
    state = ChainState.new(THUMBPRINT)
    one_by_one = []
    for message in messages:
        one_by_one += assess_group(state, [message], trust, received_ms)
        state = ChainState.loads(state.dumps())
    assert one_by_one == whole
    assert state.dumps() == whole_state.dumps()
    pieces = sorted({0, len(messages), *(cut for cut in cuts if cut < len(messages))})
    grouped_state = ChainState.new(THUMBPRINT)
    grouped = []
    for begin, end in pairwise(pieces):
        grouped += assess_group(grouped_state, messages[begin:end], trust, received_ms)
    assert grouped == whole
    assert grouped_state.dumps() == whole_state.dumps()


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_limits_add_their_own_codes_and_change_nothing_else(steps: list[tuple[int, int, str]]) -> None:
    messages = chain_of(steps)
    own = {"value_stuck", "value_spike", "rate_of_change"}
    without = assess_group(ChainState.new(THUMBPRINT), messages, scenario.trust(), 1 << 50)
    with_limits = assess_group(ChainState.new(THUMBPRINT), messages, scenario.trust(plausible=EVERYTHING), 1 << 50)
    others = [tuple(each for each in of.findings if each.code not in own) for of in with_limits]
    assert others == [of.findings for of in without]
    assert [(of.budget, of.uncertainty) for of in with_limits] == [(of.budget, of.uncertainty) for of in without]


# The file


FILE = f"""
[[limit]]
meter = "{THUMBPRINT.hex()}"
channel = 2
unit = "kW"
stuck_minutes = 60
max_spike = 200
max_change_per_minute = 50

[[balance]]
name = "feeders"
meter = "{THUMBPRINT.hex()}"
total = [1]
parts = [3]
tolerance_percent = 2
"""


def test_a_file_is_its_limits(tmp_path: Path) -> None:
    path = tmp_path / "plausibility.toml"
    path.write_text(FILE)
    loaded = load_plausibility(tmp_path / "gateway.toml", [path])
    assert [(each.channel, each.max_spike) for each in loaded.limits] == [(2, Decimal(200))]
    assert [each.name for each in loaded.balances] == ["feeders"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('unit = "kW"', 'unit = "kv"', "limit[0]: kv is not a unit that is known here; write one of Wh, kWh,"),
        ("channel = 2", "channel = 0", "limit[0].channel: must be 1 or more, not 0; write for example channel ="),
        ("max_spike = 200", "max_spike = -1", "limit[0].max_spike: must be more than 0, not -1; write for"),
        ("max_spike", "max_spkie", "limit[0].max_spkie: is not a known key; did you mean max_spike?"),
        ("stuck_minutes = 60", "stuck_within = 1", "limit[0]: stuck_within without stuck_minutes; add stuck_mi"),
        ("parts = [3]", "parts = [1]", "balance[0]: channel 1 stands in it twice; name each channel once"),
        ("tolerance_percent = 2", "", "balance[0]: has no tolerance; add tolerance_percent, or tolerance with"),
        ("tolerance_percent = 2", "tolerance = 2", "balance[0]: tolerance and unit belong together; write for"),
    ],
)
def test_a_mistake_is_one_line_with_its_remedy(refusal: Any, old: str, new: str, told: str) -> None:
    said = refusal(lambda path: load_plausibility(path.with_name("gateway.toml"), [path]), FILE, old, new)
    assert said.startswith(told)


def test_one_channel_has_one_limit_in_all_files(tmp_path: Path) -> None:
    paths = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for path in paths:
        path.write_text(FILE)
    with pytest.raises(ConfigError) as error:
        load_plausibility(tmp_path / "gateway.toml", paths)
    assert "traceability.plausibility: channel 2 of" in str(error.value)
    paths[0].write_text(FILE + FILE)
    with pytest.raises(ConfigError, match="has two limits; join them into one"):
        load_plausibility(tmp_path / "gateway.toml", paths[:1])
