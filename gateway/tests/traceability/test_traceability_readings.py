"""What the readings themselves say: status, registers, operating points, and the parameter set's channels."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import scenario
from scenario import ENERGY, INTERVAL_MS, POWER, Meter, assess, codes, intervals, mean

from meter_gateway.traceability import ChainState, Trust
from meter_gateway.traceability import certificate as c
from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME

PLAIN = [("key_native", None)]
STATUS = {
    f.STATUS_NO_RESPONSE: "no_response",
    f.STATUS_BAD_RESPONSE: "bad_response",
    f.STATUS_IMPLAUSIBLE: "implausible",
    f.STATUS_MISSED_SAMPLES: "missed_samples",
    f.STATUS_WRAPPED: "wrapped",
    f.STATUS_WRONG_INSTRUMENT: "wrong_instrument",
    f.STATUS_UNDER_RANGE: "under_range",
    f.STATUS_OVER_RANGE: "over_range",
    f.STATUS_SIGNAL_FAULT: "signal_fault",
}


def after_two(
    *channels: dict[int, Any], readings: dict[int, list[Any]], trust: Trust | None = None
) -> list[tuple[str, int | None]]:
    """Findings of `readings` after two intervals without any."""
    meter = Meter()
    messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(*channels))) + intervals(meter, 2)
    messages.append(meter.readings(readings))
    found = [codes(each) for each in assess(messages, trust)]
    assert not channels or found[3:-1] == [PLAIN, PLAIN] or trust is not None
    return found[-1]


@pytest.mark.parametrize(("bit", "code"), list(STATUS.items()))
@pytest.mark.parametrize("channel", [ENERGY, POWER])
def test_each_status_bit_is_a_finding_of_its_channel(bit: int, code: str, channel: int) -> None:
    readings = {ENERGY: [0, 51_000], POWER: mean(100_000)}
    readings[channel][0] = bit
    assert after_two(readings=readings) == [*PLAIN, (code, channel)]


def test_all_status_bits_at_once() -> None:
    found = after_two(readings={ENERGY: [0, 51_000], POWER: mean(100_000, status=f.STATUS_ALL)})
    assert {code for code, channel in found if channel == POWER} == {
        *STATUS.values(),
        "gap_before",
        "discontinuity",
    }


def test_missing_samples_without_their_bit() -> None:
    reading = [0, 899, 900, 100_000, 5, 100_000, 100_000]
    assert after_two(readings={ENERGY: [0, 51_000], POWER: reading}) == [*PLAIN, ("missed_samples", POWER)]


def test_more_samples_than_expected_are_no_finding() -> None:
    reading = [0, 901, 900, 100_000, 5, 100_000, 100_000]
    assert after_two(readings={ENERGY: [0, 51_000], POWER: reading}) == PLAIN


@pytest.mark.parametrize(
    ("jitter_ms", "max_jitter_ms", "is_found"),
    [
        (1000, None, False),
        (1001, None, True),
        (100, 100, False),
        (101, 100, True),
        (1001, 5000, True),
        (0, 0, False),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_a_sample_later_than_its_period_or_the_limit(
    jitter_ms: int, max_jitter_ms: int | None, is_found: bool, count: int
) -> None:
    """In the middle of a run and as a message of its own; the sample period is 1 s."""
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    messages.append(meter.readings({ENERGY: [0, 51_000], POWER: mean(100_000)}, jitter_ms=jitter_ms))
    messages += [meter.readings({ENERGY: [0, 52_000], POWER: mean(100_000)}) for _ in range(count - 1)]
    found = [codes(each) for each in assess(messages, scenario.trust(max_jitter_ms=max_jitter_ms))]
    assert found[5] == [*PLAIN, *([("sampling_jitter", None)] if is_found else [])]
    assert found[6:] == [PLAIN] * (count - 1)


def test_jitter_at_the_limit_in_a_message_that_is_looked_at_closely() -> None:
    meter = Meter()
    reading = {ENERGY: [0, 1000], POWER: mean(100_000)}
    partial = meter.start(), meter.readings(reading, kind=f.KIND_PARTIAL, jitter_ms=1000)
    assert codes(assess([*partial[0], partial[1]])[-1]) == [("interval_partial", None), *PLAIN]


def test_jitter_without_parameters_is_nobody_s_to_judge() -> None:
    meter = Meter()
    messages = [meter.identity(), meter.boot(), meter.readings({ENERGY: [0, 51_000]}, jitter_ms=1 << 62)]
    assert ("sampling_jitter", None) not in codes(assess(messages)[-1])


# Registers


def test_a_total_that_falls() -> None:
    assert after_two(readings={ENERGY: [0, 25_999], POWER: mean(100_000)}) == [
        *PLAIN,
        ("register_backwards", ENERGY),
    ]


def test_a_total_that_stands_still() -> None:
    assert after_two(readings={ENERGY: [0, 26_000], POWER: mean(100_000)}) == PLAIN


def test_a_carried_total_that_falls() -> None:
    reading = [f.STATUS_NO_RESPONSE, None, 25_999, 25_999]
    found = after_two(readings={ENERGY: reading, POWER: mean(100_000)})
    assert found == [*PLAIN, ("no_response", ENERGY), ("register_backwards", ENERGY)]


def test_a_total_with_its_raw_register() -> None:
    assert after_two(readings={ENERGY: [0, 51_000, 7], POWER: mean(100_000)}) == PLAIN
    found = after_two(readings={ENERGY: [0, 25_000, 7], POWER: mean(100_000)})
    assert found == [*PLAIN, ("register_backwards", ENERGY)]


def test_a_register_that_was_never_read() -> None:
    meter = Meter()
    never = {ENERGY: [f.STATUS_NO_RESPONSE, None], POWER: mean(100_000)}
    messages = [*meter.start(), meter.readings(never), meter.readings(never), *intervals(meter, 1)]
    expected = [*PLAIN, ("no_response", ENERGY)]
    assert [codes(each) for each in assess(messages)[3:]] == [expected, expected, PLAIN]


# The parameter set's channels


def test_an_unknown_channel() -> None:
    readings = {ENERGY: [0, 51_000], POWER: mean(100_000), 9: [0, 1]}
    assert after_two(readings=readings) == [*PLAIN, ("reading_not_in_parameters", 9)]


def test_a_missing_channel() -> None:
    assert after_two(readings={ENERGY: [0, 51_000]}) == [
        *PLAIN,
        ("operating_point_unknown", ENERGY),
        ("reading_missing", POWER),
    ]


def test_one_channel_in_place_of_another() -> None:
    found = after_two(readings={ENERGY: [0, 51_000], 9: mean(100_000)})
    assert ("reading_missing", POWER) in found
    assert ("reading_not_in_parameters", 9) in found


def test_a_reading_of_the_wrong_kind() -> None:
    found = after_two(readings={ENERGY: mean(1), POWER: mean(100_000)})
    assert found == [*PLAIN, ("reading_not_in_parameters", ENERGY)]
    found = after_two(readings={ENERGY: [0, 51_000], POWER: [0, 100_000]})
    assert ("reading_not_in_parameters", POWER) in found


def test_extremes_that_the_set_does_not_declare() -> None:
    found = after_two(readings={ENERGY: [0, 51_000], POWER: [0, 900, 900, 100_000, 5]})
    assert found == [*PLAIN, ("reading_not_in_parameters", POWER)]


def test_an_outage_is_only_about_the_channels_that_it_names() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 1)
    outage = meter.readings({ENERGY: [f.STATUS_GAP_BEFORE, 90_000]}, INTERVAL_MS, f.KIND_OUTAGE)
    unknown = meter.readings({9: [f.STATUS_GAP_BEFORE, 1]}, INTERVAL_MS, f.KIND_OUTAGE)
    found = [codes(each) for each in assess([*messages, outage, unknown])[-2:]]
    outage_of_energy = [("gap_before", ENERGY), ("range_by_mean", ENERGY)]
    assert found[0] == [("interval_outage", None), *PLAIN, *outage_of_energy]
    assert found[1] == [("interval_outage", None), *PLAIN, ("reading_not_in_parameters", 9)]


# Operating points by a channel of their own, of which the range is 0.5 kW to 600 kW


def both(code: str) -> list[tuple[str, int | None]]:
    return [*PLAIN, (code, ENERGY), (code, POWER)]


@pytest.mark.parametrize(
    ("low", "high", "is_inside"),
    [(500, 600_000, True), (499, 600_000, False), (500, 600_001, False), (0, 0, False)],
)
def test_minimum_and_maximum_are_inside_the_range(low: int, high: int, is_inside: bool) -> None:
    found = after_two(readings={ENERGY: [0, 51_000], POWER: mean((low + high) // 2, low, high)})
    assert found == (PLAIN if is_inside else both("outside_calibrated_range"))


def test_only_a_mean_is_known() -> None:
    channels = (scenario.energy(operating_point=POWER), scenario.power(extremes=False))
    meter = Meter()
    messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(*channels)))
    messages += [meter.readings({ENERGY: [0, 1], POWER: [0, 900, 900, value, 5]}) for value in (600_000, 600_001)]
    found = [codes(each) for each in assess(messages)[-2:]]
    by_mean = both("range_by_mean")
    assert found[0] == by_mean
    assert found[1] == sorted(
        [*by_mean, *both("outside_calibrated_range")[1:]], key=lambda each: (each[1] or 0, each[0])
    )


def test_limits_are_rounded_inwards_to_the_channel_s_exponent() -> None:
    """At 10^4 W a step, 0.5 kW and 604 kW leave 10 kW and 600 kW as the outermost steps inside."""
    channels = (scenario.energy(operating_point=POWER), scenario.power(exponent=4))
    results = tuple(
        scenario.calibration_result(name, replace(scenario.AXIS, maximum=Decimal(604)))
        for name in ("active_energy_import", "active_power")
    )
    trust = scenario.trust([scenario.certificate(results=results)])
    for value, is_inside in ((0, False), (1, True), (60, True), (61, False)):
        meter = Meter()
        messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(*channels)))
        messages.append(meter.readings({ENERGY: [0, 1], POWER: mean(value)}))
        assert codes(assess(messages, trust)[-1]) == (PLAIN if is_inside else both("outside_calibrated_range"))


def test_the_range_is_the_span_of_the_points_where_none_is_stated() -> None:
    axis = replace(scenario.AXIS, minimum=None, maximum=None)
    results = tuple(scenario.calibration_result(name, axis) for name in ("active_energy_import", "active_power"))
    trust = scenario.trust([scenario.certificate(results=results)])
    for value, is_inside in ((1_000, True), (999, False), (600_000, True), (600_001, False)):
        found = after_two(readings={ENERGY: [0, 51_000], POWER: mean(value)}, trust=trust)
        assert found == (PLAIN if is_inside else both("outside_calibrated_range"))


def test_a_verification_without_a_range() -> None:
    axis = replace(scenario.AXIS, minimum=None, maximum=None)
    results = tuple(
        replace(scenario.verification_result(name), axis=axis) for name in ("active_energy_import", "active_power")
    )
    trust = scenario.trust([scenario.certificate(results=results)])
    found = after_two(readings={ENERGY: [0, 51_000], POWER: mean(1)}, trust=trust)
    assert {code for code, _ in found} == {"key_native", "from_class", "range_unknown"}


def test_an_axis_that_the_meter_does_not_report() -> None:
    current = c.Axis(BY_NAME["current"], "A", Decimal(1), Decimal(100))
    results = tuple(
        scenario.calibration_result(name, current) for name in ("active_energy_import", "active_power")
    )
    trust = scenario.trust([scenario.certificate(results=results)])
    assert after_two(readings={ENERGY: [0, 51_000], POWER: mean(1)}, trust=trust) == both("range_unknown")


@pytest.mark.parametrize("operating_point", [9, ENERGY])
def test_an_operating_point_that_is_no_mean_channel(operating_point: int) -> None:
    channels = (scenario.energy(operating_point=operating_point), scenario.power())
    meter = Meter()
    messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(*channels))) + intervals(meter, 1)
    assert codes(assess(messages)[-1]) == [*PLAIN, ("range_unknown", ENERGY)]


def test_without_a_value_the_operating_point_is_unknown_and_nothing_is_claimed_of_it() -> None:
    silent = [f.STATUS_NO_RESPONSE, 0, 900, None, None, None, None]
    assert after_two(readings={ENERGY: [0, 51_000], POWER: silent}) == [
        *PLAIN,
        ("operating_point_unknown", ENERGY),
        ("missed_samples", POWER),
        ("no_response", POWER),
    ]


# Registers whose operating point is their own mean rate; 600 kW are 150 kWh in a quarter of an hour


def by_rate(*readings: list[Any], ratio: int = 1, duration_ms: int = INTERVAL_MS) -> list[list[str]]:
    meter = Meter()
    messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(scenario.energy(ratio=ratio))))
    messages += [meter.readings({ENERGY: reading}, duration_ms) for reading in readings]
    found = [codes(each) for each in assess(messages)[3:]]
    for each in found:
        assert ("range_by_mean", ENERGY) in each
    return [[code for code, channel in each if channel == ENERGY and code != "range_by_mean"] for each in found]


@pytest.mark.parametrize(
    ("increase_wh", "expected"),
    [
        (150_001, []),
        (150_002, ["outside_calibrated_range"]),
        # The stated range begins at 0.5 kW, the calibrated points at 1 kW.
        (124, ["uncertainty_unknown"]),
        (123, ["outside_calibrated_range"]),
    ],
)
def test_mean_rate_within_one_step_of_the_limits(increase_wh: int, expected: list[str]) -> None:
    assert by_rate([0, 10], [0, 10 + increase_wh]) == [[], expected]


def test_each_rate_is_judged_over_its_own_duration() -> None:
    meter = Meter()
    messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(scenario.energy())))
    durations_ms = (INTERVAL_MS, INTERVAL_MS, 60_000, INTERVAL_MS)
    for index, duration_ms in enumerate(durations_ms):
        messages.append(meter.readings({ENERGY: [0, 25_000 * index]}, duration_ms))
    state = ChainState.new(scenario.THUMBPRINT)
    assess(messages[:4], state=state)
    outside = [("outside_calibrated_range", ENERGY) in codes(each) for each in assess(messages[4:], state=state)]
    assert outside == [False, True, False]


def test_a_step_is_the_ratio() -> None:
    assert by_rate([0, 0], [0, 150_100], ratio=100) == [[], []]
    assert by_rate([0, 0], [0, 150_200], ratio=100) == [[], ["outside_calibrated_range"]]


def test_a_short_interval_is_not_judged_by_one_step() -> None:
    """One watt hour in one second looks like 3600 kW and may be nothing."""
    assert by_rate([0, 10], [0, 11], [0, 11], duration_ms=1000) == [[], [], []]


def test_a_total_after_none_covers_a_longer_time() -> None:
    null = [f.STATUS_NO_RESPONSE, None, 10, 10]
    silent, outside = ["no_response"], ["outside_calibrated_range"]
    assert by_rate([0, 10], null, null, [0, 450_011], [0, 600_012]) == [[], silent, silent, [], []]
    assert by_rate([0, 10], null, null, [0, 450_012], [0, 900_000]) == [[], silent, silent, outside, outside]


def test_a_gap_that_the_chain_does_not_show() -> None:
    assert by_rate([0, 10], [f.STATUS_GAP_BEFORE, 25_010]) == [[], ["gap_before", "operating_point_unknown"]]


def test_no_rate_is_derived_across_a_discontinuity() -> None:
    found = by_rate([0, 10], [f.STATUS_DISCONTINUITY, 25_010, 3], [0, 50_010, 25_003])
    assert found == [[], ["discontinuity", "operating_point_unknown"], []]


def test_a_reading_of_another_kind_settles_nothing() -> None:
    found = by_rate([0, 10], mean(5), [0, 50_010])
    assert found == [[], ["reading_not_in_parameters"], []]


OUTSIDE = ("outside_calibrated_range", ENERGY)


def around_an_outage(*totals: int, duration_ms: int | None = 600_000) -> list[bool]:
    """Which of these left the range of 600 kW (10 kWh a minute): an outage of ten minutes inside an interval of
    fifteen, whose register's rate counts over the last five, and the interval after it."""
    meter = Meter()
    messages = meter.start() + intervals(meter, 1, start_wh=0)
    meter.time_ms += 600_000 - (duration_ms or 0)
    messages.append(meter.readings({ENERGY: [f.STATUS_GAP_BEFORE, totals[0]]}, duration_ms, f.KIND_OUTAGE))
    meter.time_ms -= 600_000
    messages += [meter.readings({ENERGY: [0, total], POWER: mean(100_000)}) for total in totals[1:]]
    found = [codes(each) for each in assess(messages)[4:]]
    assert all(("operating_point_unknown", ENERGY) not in each for each in found)
    return [OUTSIDE in each for each in found]


def test_the_rate_over_an_outage_and_after_it() -> None:
    assert around_an_outage(100_001, 150_000, 300_000) == [False, False, False]
    assert around_an_outage(100_002, 150_000, 300_000) == [True, False, False]
    assert around_an_outage(100_002, 150_000, duration_ms=None) == [True, False]


def test_a_register_by_its_own_rate_counts_from_the_outage_on() -> None:
    for total, is_outside in ((60_011, False), (60_012, True)):
        meter = Meter()
        messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(scenario.energy())))
        messages.append(meter.readings({ENERGY: [0, 10]}))
        meter.time_ms += 300_000
        messages.append(meter.readings({ENERGY: [f.STATUS_GAP_BEFORE, 10_010]}, 240_000, f.KIND_OUTAGE))
        meter.time_ms += 300_000 - INTERVAL_MS
        messages.append(meter.readings({ENERGY: [0, total]}))
        assert (OUTSIDE in codes(assess(messages)[-1])) is is_outside


def test_no_rate_is_derived_across_a_change_of_the_time_scale() -> None:
    meter = Meter()
    messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(scenario.energy())))
    messages.append(meter.readings({ENERGY: [0, 10]}))
    meter.status, meter.uncertainty_ms, meter.time_ms = f.CLOCK_RELATIVE, None, 1000
    messages.append(meter.readings({ENERGY: [f.STATUS_GAP_BEFORE, 20]}, None, f.KIND_OUTAGE))
    messages.append(meter.readings({ENERGY: [0, 30]}))
    messages.append(meter.readings({ENERGY: [0, 40_000]}))
    unknown = ("operating_point_unknown", ENERGY)
    found = assess(messages, received_ms=scenario.START_MS + scenario.HOUR_MS)[3:]
    assert [unknown in codes(each) for each in found] == [False, True, True, False]
    messages.append(meter.set_clock(scenario.START_MS + scenario.HOUR_MS))
    messages.append(meter.readings({ENERGY: [f.STATUS_GAP_BEFORE, 50_000]}, None, f.KIND_OUTAGE))
    assert unknown in codes(assess(messages, received_ms=scenario.START_MS + scenario.HOUR_MS)[-1])


def test_no_rate_is_derived_across_a_clock_that_was_put_back() -> None:
    meter = Meter()
    messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(scenario.energy())))
    messages.append(meter.readings({ENERGY: [0, 10]}))
    messages.append(meter.readings({ENERGY: [f.STATUS_NO_RESPONSE, None, 10, 10]}))
    messages.append(meter.set_clock(scenario.START_MS - scenario.HOUR_MS))
    messages.append(meter.readings({ENERGY: [0, 20]}))
    assert ("operating_point_unknown", ENERGY) in codes(assess(messages)[-1])


def test_a_register_without_a_rate_of_the_axis() -> None:
    meter = Meter()
    heat = scenario.channel(ENERGY, "heat", f.CHANNEL_REGISTER)
    results = (scenario.calibration_result("heat"),)
    trust = scenario.trust([scenario.certificate(results=results)], scenario.bindings(channels=[ENERGY]))
    messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(heat)))
    messages.append(meter.readings({ENERGY: [0, 1]}))
    assert codes(assess(messages, trust)[-1]) == [*PLAIN, ("range_unknown", ENERGY)]


def test_a_quantity_that_this_gateway_does_not_know() -> None:
    meter = Meter()
    unknown = {**scenario.energy(), f.CHANNEL_QUANTITY: 60_000}
    messages = meter.start(scenario.AUTHORITY.seal(scenario.parameter_set(unknown)))
    messages.append(meter.readings({ENERGY: [0, 1]}))
    assert codes(assess(messages)[-1]) == [*PLAIN, ("certificate_missing", ENERGY)]
