"""What the clock does to intervals: none contains a step, none overlaps another, and a slew leaves them alone."""

from meter_bench import HOUR, MINUTE, NOON, channel, check_times, energy_bench, parameter_set, silent

from meter_protocol import events
from meter_protocol import fields as f

REGULAR, OUTAGE, PARTIAL = f.KIND_REGULAR, f.KIND_OUTAGE, f.KIND_PARTIAL
QUARTER = 15 * MINUTE


def _increments(bench, number=1):
    """(kind, end, duration, quantity) of each message that holds the channel."""
    found = []
    before = None
    for kind, end, duration, reading in bench.of(number):
        if reading[1] is None:
            continue
        found.append((kind, end, duration, None if before is None else reading[1] - before))
        before = reading[1]
    return found


def test_the_first_time_closes_the_interval_and_begins_another_scale():
    bench = energy_bench(start_ms=None)
    bench.ticks.at(20 * MINUTE + 10000, lambda: bench.set_clock(NOON + 3 * MINUTE))
    bench.run(20 * MINUTE + 10000 + 12 * MINUTE + QUARTER)
    assert _increments(bench) == [
        (OUTAGE, 0, None, None),
        (REGULAR, QUARTER, QUARTER, 15000),
        (PARTIAL, 20 * MINUTE + 10000, 5 * MINUTE + 10000, 5166),
        (PARTIAL, NOON + QUARTER, 12 * MINUTE, 12000),
        (REGULAR, NOON + 2 * QUARTER, QUARTER, 15000),
    ]
    said = bench.events(events.CLOCK_SET)[0]
    assert (said[f.TIME_MS], said[f.CLOCK_STATUS]) == (NOON + 3 * MINUTE, f.CLOCK_SYNCHRONISED)
    assert said[f.DETAILS] == {
        events.OLD_TIME_MS: 20 * MINUTE + 10000,
        events.NEW_TIME_MS: NOON + 3 * MINUTE,
        events.TIME_REPLY: b"reply",
        events.DRIFT_PPB: None,
    }
    check_times(bench.messages())


def test_a_step_back_measures_the_hour_again_and_no_quantity_twice():
    bench = energy_bench()
    bench.ticks.at(HOUR + 5 * MINUTE, lambda: bench.set_clock(NOON + 5 * MINUTE))
    bench.run(HOUR + QUARTER)
    assert _increments(bench)[-2:] == [
        (PARTIAL, NOON + HOUR + 5 * MINUTE, 5 * MINUTE, 5000),
        (PARTIAL, NOON + QUARTER, 10 * MINUTE, 10000),
    ]
    check_times(bench.messages())


def test_a_step_forward_over_boundaries():
    bench = energy_bench()
    bench.ticks.at(5 * MINUTE, lambda: bench.set_clock(NOON + 4 * HOUR + 3 * MINUTE))
    bench.run(20 * MINUTE)
    assert _increments(bench)[1:3] == [
        (PARTIAL, NOON + 5 * MINUTE, 5 * MINUTE, 5000),
        (PARTIAL, NOON + 4 * HOUR + QUARTER, 12 * MINUTE, 12000),
    ]


def test_a_step_closes_an_interval_that_had_no_sample_yet():
    bench = energy_bench(parameter_set(period_ms=QUARTER))
    bench.ticks.at(QUARTER + 5 * MINUTE, lambda: bench.set_clock(NOON + HOUR))
    bench.run(QUARTER + 5 * MINUTE + QUARTER)
    assert _increments(bench)[2:] == [
        (PARTIAL, NOON + QUARTER + 5 * MINUTE, 5 * MINUTE, 5000),
        (REGULAR, NOON + HOUR + QUARTER, QUARTER, 15000),
    ]


def test_a_step_right_at_a_boundary_makes_no_empty_interval():
    bench = energy_bench()
    # The meter wakes for its boundary, and finds the correction when it comes back.
    bench.instruments[0].delay_ms = 0
    bench.ticks.at(QUARTER, lambda: bench.set_clock(NOON + HOUR))
    bench.run(2 * QUARTER)
    assert all(duration is None or duration > 0 for _, _, duration, _ in bench.of(1))
    check_times(bench.messages())


def test_a_slew_leaves_the_interval_and_its_samples_alone():
    for slew_ms in (999, 1, -1, -999):
        bench = energy_bench()
        set_clock, utc_ms = bench.set_clock, NOON + 7 * MINUTE + 300 + slew_ms
        bench.ticks.at(7 * MINUTE + 300, lambda set_clock=set_clock, utc_ms=utc_ms: set_clock(utc_ms))
        bench.run(2 * QUARTER - slew_ms)
        assert bench.of(1)[1:] == [
            (REGULAR, NOON + QUARTER, QUARTER - slew_ms, [0, 1000 + (QUARTER - slew_ms) // 60]),
            (REGULAR, NOON + 2 * QUARTER, QUARTER, [0, 1000 + (2 * QUARTER - slew_ms) // 60]),
        ], slew_ms
        assert [reading[:3] for _, _, _, reading in bench.of(2)] == [[0, 15, 15]] * 2, slew_ms
        assert len(bench.events(events.CLOCK_SET)) == 1


def test_a_slew_over_a_boundary_does_not_miss_it():
    bench = energy_bench()
    bench.ticks.at(QUARTER - 300, lambda: bench.set_clock(NOON + QUARTER + 500))
    bench.run(2 * QUARTER)
    assert bench.of(1)[1][:3] == (REGULAR, NOON + QUARTER + 500, QUARTER - 300)
    assert bench.of(1)[2][:3] == (REGULAR, NOON + 2 * QUARTER, QUARTER - 500)


def test_a_slew_back_over_a_boundary_makes_no_tiny_interval():
    bench = energy_bench()
    bench.ticks.at(QUARTER + 300, lambda: bench.set_clock(NOON + QUARTER - 500))
    bench.run(3 * QUARTER)
    assert [entry[:3] for entry in bench.of(1)[1:3]] == [
        (REGULAR, NOON + QUARTER, QUARTER),
        (REGULAR, NOON + 2 * QUARTER, QUARTER + 800),
    ]
    assert bench.of(2)[1][3][:3] == [0, 15, 15]


def test_many_slews_in_one_interval_add_up():
    bench = energy_bench()
    for minute in range(1, 10):
        # 900 ms forward each time
        bench.ticks.at(
            minute * MINUTE, lambda minute=minute: bench.set_clock(NOON + minute * MINUTE + minute * 900)
        )
    bench.run(2 * QUARTER)
    assert bench.of(1)[1][:3] == (REGULAR, NOON + QUARTER, QUARTER - 8100)
    check_times(bench.messages())


def test_a_correction_that_comes_while_an_instrument_is_read_waits_its_turn():
    bench = energy_bench()
    meter = bench.instruments[0]
    bench.ticks.at(5 * MINUTE - 1, lambda: setattr(meter, "delay_ms", 4000))
    bench.ticks.at(5 * MINUTE + 2000, lambda: bench.set_clock(NOON + HOUR))
    bench.ticks.at(5 * MINUTE + 4000, lambda: setattr(meter, "delay_ms", 0))
    bench.run(2 * QUARTER)
    partial = bench.of(1)[1]
    assert partial[:3] == (PARTIAL, NOON + 5 * MINUTE + 4000, 5 * MINUTE + 4000)
    assert bench.events(events.CLOCK_SET)[0][f.DETAILS][events.NEW_TIME_MS] == NOON + HOUR + 2000
    check_times(bench.messages())


def test_clock_and_parameters_at_the_same_moment():
    bench = energy_bench()

    def both():
        bench.set_clock(NOON + HOUR)
        bench.apply(parameter_set(2, [channel(1, "energy", ratio=3)]))

    bench.ticks.at(5 * MINUTE, both)
    bench.run(5 * MINUTE + QUARTER)
    assert _increments(bench)[1:] == [
        (PARTIAL, NOON + 5 * MINUTE, 5 * MINUTE, 5000),
        (PARTIAL, NOON + HOUR, 0, 0),
        (OUTAGE, NOON + HOUR, 0, 0),
        (REGULAR, NOON + HOUR + QUARTER, QUARTER, 45000),
    ]
    check_times(bench.messages())


def test_two_corrections_before_the_loop_turns_are_one():
    bench = energy_bench()

    def twice():
        bench.set_clock(NOON + HOUR)
        bench.set_clock(NOON + 2 * HOUR)

    bench.ticks.at(5 * MINUTE, twice)
    bench.run(QUARTER)
    assert len(bench.events(events.CLOCK_SET)) == 1
    assert bench.of(1)[-1][1] == NOON + 2 * HOUR + 10 * MINUTE


def test_a_step_while_the_instrument_is_silent_keeps_the_outage_whole():
    bench = energy_bench()
    meter = bench.instruments[0]
    bench.ticks.at(QUARTER + 1, lambda: setattr(meter, "fault", silent()))
    bench.ticks.at(QUARTER + 5 * MINUTE, lambda: bench.set_clock(NOON + 5 * HOUR))
    bench.ticks.at(QUARTER + 8 * MINUTE - 1, lambda: setattr(meter, "fault", None))
    bench.run(2 * QUARTER)
    outage = [entry for entry in bench.of(1) if entry[0] == OUTAGE][-1]
    # By the monotonic clock, whatever UTC did meanwhile.
    assert outage[1:3] == (NOON + 5 * HOUR + 3 * MINUTE, 8 * MINUTE)
    check_times(bench.messages())


def test_uncertainty_and_status_of_each_message_are_those_of_its_moment():
    bench = energy_bench(start_ms=None)
    bench.ticks.at(QUARTER + 1, lambda: bench.set_clock(NOON, f.CLOCK_INFORMATIVE, 40))
    bench.run(QUARTER + 1 + HOUR)
    assert [fields[f.CLOCK_STATUS] for fields in bench.readings()] == [3, 3, 3, 1, 1, 1, 1]
    assert [fields[f.CLOCK_UNCERTAINTY_MS] for fields in bench.readings()[3:]] == [85, 130, 175, 220]
