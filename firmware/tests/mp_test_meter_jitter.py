"""How late the samples of an interval were, and what a mean channel says of jumps between them."""

from meter_bench import MINUTE, bench_of_two, channel, energy_bench, parameter_set, silent

from meter_protocol import fields as f

REGULAR, OUTAGE, PARTIAL = f.KIND_REGULAR, f.KIND_OUTAGE, f.KIND_PARTIAL
QUARTER = 15 * MINUTE
MISSED = f.STATUS_MISSED_SAMPLES


def _jitters(bench):
    return [(fields[f.KIND], fields[f.JITTER_MS]) for fields in bench.readings()]


def test_samples_on_time_have_no_jitter():
    assert _jitters(energy_bench().run(2 * QUARTER)) == [(OUTAGE, 0), (REGULAR, 0), (REGULAR, 0)]


def test_an_interval_says_by_how_much_its_latest_sample_was_late():
    bench = energy_bench()
    punctual = bench.ticks.sleep_until
    late_ms = {2 * MINUTE: 40, 7 * MINUTE: 250, 9 * MINUTE: 90, QUARTER + MINUTE: 3}

    async def sleep_until(ticks, wake):
        await punctual(ticks + late_ms.get(ticks, 0), wake)

    bench.ticks.sleep_until = sleep_until
    bench.run(3 * QUARTER)
    assert _jitters(bench) == [(OUTAGE, 0), (REGULAR, 250), (REGULAR, 3), (REGULAR, 0)]
    # Late is not missed.
    assert [reading[:3] for _, _, _, reading in bench.of(2)] == [[0, 15, 15]] * 3


def test_the_last_of_several_slow_instruments_is_the_latest():
    bench = bench_of_two()
    for slow in bench.instruments:
        slow.delay_ms = 300
    bench.run(QUARTER + MINUTE)
    assert _jitters(bench) == [(OUTAGE, 0), (REGULAR, 600), (PARTIAL, 600)]


def test_an_outage_inside_an_interval_has_no_jitter_and_takes_none_away():
    bench = energy_bench()
    meter = bench.instruments[0]
    bench.ticks.at(MINUTE + 1, lambda: setattr(meter, "fault", silent()))
    bench.ticks.at(QUARTER + MINUTE + 1, lambda: setattr(meter, "delay_ms", 700))
    bench.ticks.at(QUARTER + 5 * MINUTE - 1, lambda: setattr(meter, "fault", None))
    bench.ticks.at(QUARTER + 5 * MINUTE + 1, lambda: setattr(meter, "delay_ms", 0))
    bench.run(2 * QUARTER)
    assert _jitters(bench) == [(OUTAGE, 0), (REGULAR, 0), (OUTAGE, 0), (REGULAR, 700)]


def test_a_missed_slot_is_missed_and_the_next_sample_is_on_time():
    bench = energy_bench()
    meter = bench.instruments[0]
    bench.ticks.at(5 * MINUTE, lambda: setattr(meter, "delay_ms", 90000))
    bench.ticks.at(6 * MINUTE, lambda: setattr(meter, "delay_ms", 0))
    bench.run(2 * QUARTER)
    assert _jitters(bench) == [(OUTAGE, 0), (REGULAR, 90000), (REGULAR, 0)]
    assert bench.of(2)[0][3][:3] == [MISSED, 14, 15]


def test_a_jump_of_a_mean_channel_is_what_its_parameters_say():
    bench = energy_bench(
        parameter_set(channels=[channel(2, "power", f.CHANNEL_MEAN, max_step=5000, extremes=True)])
    )
    values = bench.instruments[0].values
    bench.ticks.at(QUARTER + MINUTE, lambda: values.__setitem__("power", lambda ticks: 65000))
    bench.ticks.at(2 * QUARTER + MINUTE, lambda: values.__setitem__("power", lambda ticks: 59999))
    bench.run(3 * QUARTER)
    assert [(reading[0], reading[5:]) for _, _, _, reading in bench.of(2)] == [
        (0, [60000, 60000]),
        (0, [65000, 65000]),
        (f.STATUS_IMPLAUSIBLE, [59999, 59999]),
    ]
