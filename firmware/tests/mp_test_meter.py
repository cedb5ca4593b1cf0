"""The sampling loop: intervals, what instruments do to them, and what the chain says of it."""

import asyncio

from meter_bench import (
    HOUR,
    MINUTE,
    NOON,
    Bench,
    bench_of_two,
    channel,
    check_times,
    energy_bench,
    parameter_set,
    silent,
)

from meter_protocol import events
from meter_protocol import fields as f
from meter_sampling.instrument_error import InstrumentError

REGULAR, OUTAGE, PARTIAL = f.KIND_REGULAR, f.KIND_OUTAGE, f.KIND_PARTIAL
QUARTER = 15 * MINUTE
MISSED = f.STATUS_MISSED_SAMPLES
GAP = f.STATUS_GAP_BEFORE


def test_intervals_end_at_multiples_of_the_interval():
    bench = energy_bench().run(HOUR)
    assert [(fields[f.KIND], fields[f.TIME_MS] - NOON, fields[f.DURATION_MS]) for fields in bench.readings()] == [
        (OUTAGE, 0, None),
        (REGULAR, QUARTER, QUARTER),
        (REGULAR, 2 * QUARTER, QUARTER),
        (REGULAR, 3 * QUARTER, QUARTER),
        (REGULAR, 4 * QUARTER, QUARTER),
    ]
    check_times(bench.messages())


def test_totals_telescope_from_where_the_register_began():
    bench = energy_bench().run(HOUR)
    assert [reading for _, _, _, reading in bench.of(1)] == [
        [GAP, 1000],
        [0, 16000],
        [0, 31000],
        [0, 46000],
        [0, 61000],
    ]
    assert [reading for _, _, _, reading in bench.of(2)] == [[0, 15, 15, 60000, 0]] * 4


def test_an_interval_that_began_between_boundaries_is_partial():
    bench = energy_bench(start_ms=NOON + 7 * MINUTE + 1234).run(30 * MINUTE, False)
    first, second = bench.of(1)[1:3]
    assert first == (PARTIAL, NOON + QUARTER, 8 * MINUTE - 1234, [0, 1000 + 7979])
    assert second[:3] == (REGULAR, NOON + 2 * QUARTER, QUARTER)
    # 7:58.766 take eight slots, the first of which came before a whole period had passed.
    assert bench.of(2)[0][3] == [0, 8, 8, 60000, 0]


def test_an_orderly_end_seals_every_register_as_it_is():
    bench = energy_bench().run(QUARTER + 5 * MINUTE + 30000)
    kind, end, duration, reading = bench.of(1)[-1]
    assert (kind, end - NOON, duration, reading) == (PARTIAL, QUARTER + 330000, 330000, [0, 21500])


def test_an_orderly_end_at_a_boundary_seals_no_empty_interval():
    bench = energy_bench().run(QUARTER)
    assert [entry[0] for entry in bench.of(1)] == [OUTAGE, REGULAR]


def test_without_a_clock_intervals_count_from_boot():
    bench = Bench()
    bench.instruments = [bench.energy_meter()]
    bench.boot(None)
    bench.apply(parameter_set())
    bench.run(2 * QUARTER)
    assert [(fields[f.CLOCK_STATUS], fields[f.TIME_MS]) for fields in bench.readings()] == [
        (f.CLOCK_RELATIVE, 0),
        (f.CLOCK_RELATIVE, QUARTER),
        (f.CLOCK_RELATIVE, 2 * QUARTER),
    ]


# Instruments that fail


def test_a_silent_instrument_gives_null_readings_and_then_one_outage():
    bench = energy_bench()
    meter = bench.instruments[0]
    bench.ticks.at(QUARTER + MINUTE + 1, lambda: setattr(meter, "fault", silent()))
    bench.ticks.at(3 * QUARTER + 4 * MINUTE + 1, lambda: setattr(meter, "fault", None))
    bench.run(5 * QUARTER)
    missed = MISSED | f.STATUS_NO_RESPONSE
    # It was read at 15 and 16 minutes, then not before 50.
    assert bench.of(1)[1:] == [
        (REGULAR, NOON + QUARTER, QUARTER, [0, 16000]),
        (REGULAR, NOON + 2 * QUARTER, QUARTER, [missed, None, 17000, 17000]),
        (REGULAR, NOON + 3 * QUARTER, QUARTER, [missed, None, 17000, 17000]),
        (OUTAGE, NOON + 50 * MINUTE, 35 * MINUTE, [GAP | missed, 51000]),
        (REGULAR, NOON + 4 * QUARTER, QUARTER, [missed, 61000]),
        (REGULAR, NOON + 5 * QUARTER, QUARTER, [0, 76000]),
    ]
    assert bench.of(2)[2][3] == [missed, 0, 15, None, None]
    assert bench.of(2)[3][3] == [missed, 11, 15, 60000, 0]
    check_times(bench.messages())


def test_an_instrument_that_returns_at_a_boundary_leaves_no_good_zero_behind():
    bench = energy_bench()
    meter = bench.instruments[0]
    bench.ticks.at(QUARTER + 1, lambda: setattr(meter, "fault", silent()))
    bench.ticks.at(3 * QUARTER - 1, lambda: setattr(meter, "fault", None))
    bench.run(3 * QUARTER)
    outage, regular = bench.of(1)[-2:]
    assert outage[:3] == (OUTAGE, NOON + 3 * QUARTER, 2 * QUARTER)
    assert regular[3] == [MISSED | f.STATUS_NO_RESPONSE, 46000]


def test_an_outage_lasts_as_long_as_its_own_register_was_missing():
    bench = bench_of_two()
    first, second = bench.instruments
    bench.ticks.at(MINUTE, lambda: setattr(first, "fault", silent()))
    bench.ticks.at(QUARTER + MINUTE, lambda: setattr(second, "fault", silent()))
    bench.ticks.at(2 * QUARTER + MINUTE - 1, lambda: setattr(second, "fault", None))
    bench.ticks.at(3 * QUARTER + MINUTE - 1, lambda: setattr(first, "fault", None))
    bench.run(4 * QUARTER)
    outages = [fields for fields in bench.readings() if fields[f.KIND] == OUTAGE][1:]
    assert [(sorted(fields[f.READINGS]), fields[f.DURATION_MS]) for fields in outages] == [
        ([2], QUARTER + MINUTE),
        ([1], 3 * QUARTER + MINUTE),
    ]


def test_registers_that_went_missing_at_different_times_come_back_in_different_outages():
    bench = bench_of_two()
    first, second = bench.instruments
    bench.ticks.at(MINUTE, lambda: setattr(first, "fault", silent()))
    bench.ticks.at(QUARTER + MINUTE, lambda: setattr(second, "fault", silent()))

    def both():
        first.fault = second.fault = None

    bench.ticks.at(2 * QUARTER + MINUTE - 1, both)
    bench.run(3 * QUARTER)
    outages = [fields for fields in bench.readings() if fields[f.KIND] == OUTAGE][1:]
    assert [(sorted(fields[f.READINGS]), fields[f.DURATION_MS]) for fields in outages] == [
        ([1], 2 * QUARTER + MINUTE),
        ([2], QUARTER + MINUTE),
    ]


def test_an_instrument_that_is_silent_from_boot_has_an_outage_of_unknown_length():
    bench = energy_bench().run(QUARTER, False)
    bench.ticks.pass_to(HOUR)
    bench.instruments[0].fault = silent()
    bench.boot(NOON + HOUR)
    meter = bench.instruments[0]
    bench.ticks.at(HOUR + QUARTER + MINUTE - 1, lambda: setattr(meter, "fault", None))
    bench.run(HOUR + 2 * QUARTER)
    kind, _, duration, reading = bench.of(1)[-2]
    assert (kind, duration) == (OUTAGE, None)
    assert reading[1] - 16000 == HOUR // MINUTE * 1000 + 1000


def test_a_register_that_was_never_read_has_no_total():
    bench = Bench()
    bench.instruments = [bench.energy_meter()]
    bench.instruments[0].fault = silent()
    bench.boot()
    bench.apply(parameter_set())
    bench.run(QUARTER)
    assert [reading for _, _, _, reading in bench.of(1)] == [[MISSED | f.STATUS_NO_RESPONSE, None]]


def test_nonsense_is_a_bad_response():
    for reason in ("bad_crc", "wrong_length", "modbus_exception", "trailing_bytes"):
        bench = energy_bench()
        fail = bench.instruments[0].fail
        bench.ticks.at(1, lambda fail=fail, reason=reason: fail(InstrumentError(reason)))
        bench.run(QUARTER)
        assert bench.of(1)[-1][3][0] == MISSED | f.STATUS_BAD_RESPONSE, reason


def test_a_bug_in_a_driver_costs_its_own_readings_only():
    bench = bench_of_two()
    broken = bench.instruments[0]
    bench.ticks.at(1, lambda: setattr(broken, "fault", IndexError("bytes index out of range")))
    bench.run(QUARTER)
    assert bench.of(1)[-1][3] == [MISSED | f.STATUS_BAD_RESPONSE, None, 1000, 1000]
    assert bench.of(2)[-1][3] == [0, 16000]


def test_what_an_instrument_does_not_have_is_told_from_what_it_cannot_have():
    bench = energy_bench(parameter_set(channels=[channel(1, "energy"), channel(2, "power", f.CHANNEL_MEAN)]))
    meter = bench.instruments[0]
    read = meter.read

    async def read_with_faults():
        values = await read()
        values["power"] = None
        meter.faults = {"power": "not_available", "frequency": "out_of_range"}
        return values

    meter.read = read_with_faults
    bench.run(QUARTER)
    assert bench.of(2)[-1][3] == [MISSED | f.STATUS_BAD_RESPONSE, 0, 15, None, None]
    assert bench.of(1)[-1][3] == [0, 16000]


def test_another_instrument_in_its_place_adds_nothing():
    bench = energy_bench(parameter_set(period_ms=5000))
    other = bench.energy_meter(start=999000, serial="Z9")

    def swap():
        # The set was made before: the meter reads whatever answers at the address.
        meter = bench.instruments[0]
        meter.values, meter.serial, meter.fault = other.values, "Z9", None

        meter.values["power"] = lambda ticks: 7

    meter = bench.instruments[0]
    bench.ticks.at(QUARTER + MINUTE + 1, lambda: setattr(meter, "fault", silent()))
    # After one missed sample, well before it would be asked anyway.
    bench.ticks.at(QUARTER + MINUTE + 6000, swap)
    bench.run(3 * QUARTER)
    wrong = MISSED | f.STATUS_WRONG_INSTRUMENT
    assert bench.of(1)[-1][3] == [wrong, None, 17000, 17000]
    # Nor is any of its samples in a mean.
    assert bench.of(2)[-2][3] == [wrong | f.STATUS_NO_RESPONSE, 12, 180, 60000, 0]
    assert bench.of(2)[-1][3] == [wrong, 0, 180, None, None]


def test_an_instrument_is_asked_who_it_is_whenever_it_could_have_been_exchanged():
    # Sampled once in a quarter: an exchange takes less, and nobody would see a silence.
    bench = energy_bench(parameter_set(period_ms=QUARTER))
    meter = bench.instruments[0]
    other = bench.energy_meter(start=999000)

    def swap():
        meter.values, meter.serial = other.values, "Z9"

    bench.ticks.at(QUARTER + MINUTE, swap)
    bench.run(3 * QUARTER)
    assert bench.of(1)[2][3] == [MISSED | f.STATUS_WRONG_INSTRUMENT, None, 16000, 16000]
    # Sampled every second it cannot have been, and is asked once.
    bench = energy_bench(parameter_set(interval_s=60, period_ms=1000)).run(5 * MINUTE)
    assert bench.instruments[0].identified == 1


# Registers that do not simply rise


def test_a_register_that_wraps_goes_on():
    bench = Bench()
    bench.instruments = [bench.energy_meter()]
    bench.instruments[0].values["energy"] = lambda ticks: (9980000 + ticks * 60000 // HOUR) % 10000000
    bench.boot()
    bench.apply(parameter_set(channels=[channel(1, "energy", modulus=10000000)]))
    bench.run(3 * QUARTER)
    assert [reading for _, _, _, reading in bench.of(1)] == [
        [GAP, 9980000],
        [0, 9995000],
        [f.STATUS_WRAPPED, 10010000],
        [0, 10025000],
    ]


def test_a_register_that_is_set_back_adds_nothing_and_is_said_once():
    bench = energy_bench()
    meter = bench.instruments[0]
    back = 20 * MINUTE

    def reset():
        meter.values["energy"] = lambda ticks: (ticks - back) * 60000 // HOUR

    bench.ticks.at(back, reset)
    bench.run(3 * QUARTER)
    said = bench.events(events.REGISTER_DISCONTINUITY)
    assert [fields[f.DETAILS] for fields in said] == [
        {events.CHANNEL: 1, events.TOTAL_BEFORE: 20000, events.RAW_BEFORE: 20000, events.RAW_AFTER: 0}
    ]
    assert said[0][f.TIME_MS] == NOON + back
    # 1,000 of the minute before are known to nobody; then it counts on, its raw value beside the total.
    assert [reading for _, _, _, reading in bench.of(1)][2:] == [
        [f.STATUS_DISCONTINUITY, 30000, 10000],
        [0, 45000, 25000],
    ]


def test_an_instrument_whose_register_jumps_about_fills_no_journal():
    bench = energy_bench()
    meter = bench.instruments[0]
    state = [1]

    def anything(ticks):
        state[0] = (state[0] * 1103515245 + 12345) & 0x7FFFFFFF
        return state[0]

    bench.ticks.at(1, lambda: meter.values.__setitem__("energy", anything))
    bench.run(4 * QUARTER)
    assert len(bench.events(events.REGISTER_DISCONTINUITY)) == 4
    assert bench.of(1)[-1][3][0] & f.STATUS_DISCONTINUITY


def test_a_total_that_no_message_could_hold_is_none():
    bench = Bench()
    bench.instruments = [bench.energy_meter()]
    bench.instruments[0].values["energy"] = lambda ticks: 0 if ticks // MINUTE % 2 else 10**11
    bench.boot()
    bench.apply(parameter_set(channels=[channel(1, "energy", ratio=10**7, modulus=10**11 + 1)]))
    bench.run(8 * QUARTER)
    totals = [reading[1] for _, _, _, reading in bench.of(1)]
    assert totals == sorted(totals)
    assert 2**62 < totals[-1] < 2**63


# Slow instruments


def test_samples_that_a_slow_instrument_cost_are_expected_all_the_same():
    bench = energy_bench()
    bench.instruments[0].delay_ms = 150000
    bench.run(QUARTER + 1)
    kind, _, _, reading = bench.of(2)[0]
    assert (kind, reading[:3]) == (REGULAR, [MISSED, 5, 15])


def test_a_loop_that_is_always_late_leaves_the_others_their_turn():
    bench = energy_bench(parameter_set(interval_s=60, period_ms=1))
    bench.instruments[0].delay_ms = 5
    bench.ticks.sleep_until = _late_clock(bench.ticks)
    turns = []

    async def other():
        while len(turns) < 50:
            turns.append(bench.ticks.now)
            await asyncio.sleep_ms(0)
        bench.meter.stop()

    async def both():
        task = asyncio.create_task(other())
        await bench.meter.run()
        await task

    bench.ticks.at(HOUR, bench.meter.stop)
    asyncio.run(both())
    assert turns[-1] < MINUTE


def _late_clock(ticks):
    """As a board's clock may: what is due already does not wait at all."""

    async def sleep_until(until, wake):
        if ticks.now < until:
            ticks.pass_to(until)

    return sleep_until


def test_an_instrument_slower_than_the_interval_makes_long_intervals_that_say_so():
    bench = energy_bench(parameter_set(interval_s=60, period_ms=10000))
    meter = bench.instruments[0]
    bench.ticks.at(MINUTE + 1, lambda: setattr(meter, "delay_ms", 150000))
    bench.ticks.at(3 * MINUTE, lambda: setattr(meter, "delay_ms", 0))
    bench.run(6 * MINUTE)
    entries = bench.of(2)
    assert [entry[:3] for entry in entries] == [
        (REGULAR, NOON + 60000, 60000),
        (PARTIAL, NOON + 220000, 160000),
        (PARTIAL, NOON + 240000, 20000),
        (REGULAR, NOON + 300000, 60000),
        (REGULAR, NOON + 360000, 60000),
    ]
    assert entries[1][3][:3] == [MISSED, 2, 16]
    check_times(bench.messages())
