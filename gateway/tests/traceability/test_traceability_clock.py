"""Clock findings, and the span of time over which an interval is judged."""

from dataclasses import replace
from datetime import date

import pytest
import scenario
from scenario import ENERGY, HOUR_MS, INTERVAL_MS, POWER, START_MS, Meter, assess, codes, intervals, mean

from meter_gateway.model import Verified
from meter_gateway.traceability import ChainState, assess_group
from meter_gateway.traceability.clock import Interval, overlaps
from meter_protocol import fields as f

PLAIN = [("key_native", None)]
DAY_MS = 24 * HOUR_MS


def last(messages: list[Verified], **options: object) -> list[tuple[str, int | None]]:
    return codes(assess(messages, **options)[-1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (f.CLOCK_SYNCHRONISED, []),
        (f.CLOCK_INFORMATIVE, [("clock_informative", None)]),
        (f.CLOCK_RELATIVE, [("clock_relative", None), ("time_unresolved", None)]),
        (f.CLOCK_UNKNOWN, [("clock_unknown", None), ("time_unresolved", None)]),
    ],
)
def test_status(status: int, expected: list[tuple[str, int | None]]) -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    meter.status = status
    if status in (f.CLOCK_RELATIVE, f.CLOCK_UNKNOWN):
        meter.uncertainty_ms, meter.time_ms = None, 5_000
    messages += intervals(meter, 1, start_wh=51_000)
    assert last(messages, received_ms=START_MS + HOUR_MS) == sorted([*expected, *PLAIN], key=lambda each: each[0])


@pytest.mark.parametrize(("uncertainty_ms", "is_large"), [(60_000, False), (60_001, True)])
def test_uncertainty(uncertainty_ms: int, is_large: bool) -> None:
    meter = Meter()
    messages = meter.start()
    meter.uncertainty_ms = uncertainty_ms
    messages += intervals(meter, 2)
    assert (("clock_uncertainty_large", None) in last(messages)) is is_large


@pytest.mark.parametrize(("early_ms", "is_future"), [(1500, False), (1501, True)])
def test_later_than_its_reception(early_ms: int, is_future: bool) -> None:
    """500 ms are the meter's uncertainty and 1000 ms the gateway's."""
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    found = last(messages, received_ms=meter.time_ms - early_ms)
    assert (("time_in_future", None) in found) is is_future


def test_tolerated_skew() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 1)
    trust = scenario.trust(clocks=scenario.CLOCKS._replace(max_skew_ms=1))
    assert last(messages, received_ms=meter.time_ms - 1501, trusted=trust) == PLAIN


def test_an_event_can_be_from_the_future_too() -> None:
    meter = Meter()
    messages = meter.start()
    meter.time_ms += 10_000
    messages.append(meter.boot())
    assert ("time_in_future", None) in last(messages, received_ms=START_MS)


def test_a_gateway_without_trusted_time_recognises_no_future() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 1)
    expected = [("gateway_clock_untrusted", None), *PLAIN]
    assert last(messages, trusted=scenario.trust(clock_trusted=False), received_ms=0) == expected
    state = ChainState.new(scenario.THUMBPRINT)
    found = [each.findings for each in assess_group(state, messages, scenario.trust(), 0, clock_trusted=False)]
    assert codes(found[-1]) == expected


def relative_interval(meter: Meter, boot_ms: int = 10_000) -> Verified:
    """After a restart: the first interval of a clock that nobody has set yet."""
    meter.status, meter.uncertainty_ms, meter.time_ms = f.CLOCK_RELATIVE, None, boot_ms
    return intervals(meter, 1, start_wh=500_000)[0]


def test_relative_time_is_judged_from_the_previous_message_to_the_reception() -> None:
    """The certificate's last day is 2026-01-01: in force over the span if it was received on that day."""
    expiring = [scenario.certificate(due_on=date(2026, 1, 1))]
    expired = [("certificate_expired", ENERGY), ("certificate_expired", POWER)]
    for received_ms, more in ((START_MS + DAY_MS - 1000, []), (START_MS + DAY_MS, expired)):
        meter = Meter()
        messages = meter.start() + intervals(meter, 2)
        messages.append(relative_interval(meter))
        found = last(messages, trusted=scenario.trust(expiring), received_ms=received_ms)
        assert found == [("clock_relative", None), *PLAIN, ("time_unresolved", None), *more]


def test_relative_time_begins_no_earlier_than_the_previous_message() -> None:
    """A certificate that began after the previous message was not in force over the whole span."""
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    messages.append(relative_interval(meter))
    late = [scenario.certificate(calibrated_on=date(2026, 1, 2))]
    found = last(messages, trusted=scenario.trust(late), received_ms=START_MS + 3 * DAY_MS)
    assert ("certificate_not_yet_valid", ENERGY) in found


def test_every_message_moves_the_bound() -> None:
    """The certificate began after the first message, and before the last one with a time."""
    meter = Meter()
    messages = meter.start()
    meter.time_ms = START_MS + DAY_MS
    messages += intervals(meter, 3)
    messages.append(relative_interval(meter))
    late = [scenario.certificate(calibrated_on=date(2026, 1, 2))]
    found = last(messages, trusted=scenario.trust(late), received_ms=START_MS + 3 * DAY_MS)
    assert found == [("clock_relative", None), *PLAIN, ("time_unresolved", None)]


def test_time_that_nothing_bounds() -> None:
    meter = Meter()
    meter.status, meter.uncertainty_ms = f.CLOCK_RELATIVE, None
    messages = meter.start()
    messages.append(relative_interval(meter))
    assert last(messages) == [("clock_relative", None), *PLAIN, ("time_unbounded", None)]


def test_an_outage_of_unknown_duration_began_after_the_previous_message() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 1)
    meter.time_ms = START_MS + 3 * DAY_MS
    messages.append(meter.readings({ENERGY: [f.STATUS_GAP_BEFORE, 90_000]}, None, f.KIND_OUTAGE))
    found = last(messages, trusted=scenario.trust([scenario.certificate(calibrated_on=date(2026, 1, 2))]))
    assert ("interval_outage", None) in found
    assert ("certificate_not_yet_valid", ENERGY) in found


def test_an_outage_of_unknown_duration_without_any_time_before() -> None:
    meter = Meter()
    meter.status, meter.uncertainty_ms = f.CLOCK_RELATIVE, None
    messages = meter.start()
    meter.status, meter.uncertainty_ms = f.CLOCK_SYNCHRONISED, 500
    messages.append(meter.readings({ENERGY: [f.STATUS_GAP_BEFORE, 90_000]}, None, f.KIND_OUTAGE))
    assert ("time_unbounded", None) in last(messages)


def test_a_partial_interval() -> None:
    meter = Meter()
    messages = meter.start()
    readings = {ENERGY: [0, 1000], POWER: mean(100_000)}
    messages.append(meter.readings(readings, 60_000, f.KIND_PARTIAL))
    assert last(messages) == [("interval_partial", None), *PLAIN]


# Overlaps


def test_an_interval_that_begins_before_the_last_one_ended() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    meter.time_ms -= 1
    messages += intervals(meter, 2, start_wh=51_000)
    found = [codes(each) for each in assess(messages)]
    assert found[-2] == [("interval_overlap", None), *PLAIN]
    assert found[-1] == PLAIN


@pytest.mark.parametrize(("step_ms", "is_overlap"), [(1000, False), (1001, True)])
def test_a_clock_step_is_excused_by_both_uncertainties(step_ms: int, is_overlap: bool) -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    messages.append(meter.set_clock(meter.time_ms - step_ms))
    messages += intervals(meter, 1, start_wh=51_000)
    assert (("interval_overlap", None) in last(messages)) is is_overlap


def test_an_outage_may_overlap_the_intervals_of_other_channels() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    meter.time_ms += 60_000
    end_ms = meter.time_ms
    meter.time_ms -= INTERVAL_MS
    messages.append(meter.readings({ENERGY: [f.STATUS_GAP_BEFORE, 27_000]}, INTERVAL_MS, f.KIND_OUTAGE))
    meter.time_ms = end_ms - 60_000
    messages += intervals(meter, 1, start_wh=70_000)
    assert [codes(each) for each in assess(messages)[-2:]] == [
        [("interval_outage", None), *PLAIN, ("gap_before", ENERGY), ("range_by_mean", ENERGY)],
        PLAIN,
    ]


def test_scales_that_cannot_be_compared_do_not_overlap() -> None:
    before = Interval(0, 1000, 10, is_relative=True)
    early = Interval(0, 500, 10, is_relative=True)
    assert overlaps(early, before, is_rescaled=False)
    assert not overlaps(early, before, is_rescaled=True)
    assert not overlaps(replace_relative(early), before, is_rescaled=False)
    assert not overlaps(early, None, is_rescaled=False)


def replace_relative(interval: Interval) -> Interval:
    return interval._replace(is_relative=False)


def test_a_restart_begins_a_new_scale_of_relative_time() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 1)
    messages.append(relative_interval(meter, boot_ms=5_000_000))
    meter.boot_count = 2
    meter.time_ms = 1_000
    messages.append(meter.boot())
    messages.append(meter.readings({ENERGY: [0, 600_000], POWER: mean(100_000)}))
    assert ("interval_overlap", None) not in last(messages)


def test_overlaps_are_found_again_once_the_clock_is_set() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 1)
    messages += [relative_interval(meter), meter.set_clock(START_MS + HOUR_MS)]
    messages += intervals(meter, 2, start_wh=600_000)
    meter.time_ms -= 1
    messages += intervals(meter, 1, start_wh=700_000)
    assert last(messages) == [("interval_overlap", None), *PLAIN]


def test_the_interval_is_widened_by_its_clock_s_uncertainty() -> None:
    """It ends 500 ms before the certificate does, which its uncertainty of 500 ms just allows."""
    for earlier_ms, expected in ((500, []), (499, ["certificate_expired", "certificate_expired"])):
        meter = Meter()
        messages = meter.start()
        meter.time_ms = START_MS + DAY_MS - INTERVAL_MS - earlier_ms
        messages += intervals(meter, 1)
        trust = scenario.trust([replace(scenario.certificate(), due_on=date(2026, 1, 1))])
        assert [code for code, _ in last(messages, trusted=trust) if code.startswith("cert")] == expected
