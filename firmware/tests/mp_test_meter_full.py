"""The journal is full: readings stop, registers count on, and what is said afterwards lets nobody miss a unit.

The meter can always be restarted meanwhile, and it goes on as soon as receipts come.
"""

from meter_bench import HOUR, MINUTE, NOON, channel, check_times, energy_bench, parameter_set, silent

from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling.journal_error import JournalError

REGULAR, OUTAGE, PARTIAL = f.KIND_REGULAR, f.KIND_OUTAGE, f.KIND_PARTIAL
SEGMENT = 4096
CAPACITY = 10 * SEGMENT
RESERVE = 4 * SEGMENT


def _bench(opened=None):
    """Counts 1,000 a minute, and has an interval of a minute. About 60 messages fit."""
    journal = {"journal_bytes": CAPACITY, "segment_bytes": SEGMENT, "reserve_bytes": RESERVE}
    return energy_bench(opened or parameter_set(interval_s=60), **journal)


def _full(bench=None):
    """Two hours on: full since about one."""
    bench = (bench or _bench()).run(2 * HOUR, False)
    assert len(bench.events(events.JOURNAL_OVERFLOW)) == 1
    return bench


def _fill_reserve(bench):
    try:
        while True:
            bench.log.event(events.SELF_TEST_FAILED, {events.REASON: "x" * 60}, bench.ticks.now)
    except JournalError as error:
        assert error.reason == "journal_full"


def _codes(bench):
    return [fields[f.EVENT_CODE] for typ, fields in bench.messages() if typ == t.EVENT]


def test_readings_stop_and_the_chain_says_so_once():
    bench = _full()
    last = bench.readings()[-1]
    overflow = bench.events(events.JOURNAL_OVERFLOW)[0]
    assert overflow[f.DETAILS][events.TOTALS_BEFORE] == {1: last[f.READINGS][1][1]}
    assert overflow[f.SEQUENCE] == last[f.SEQUENCE] + 1 == bench.log.sequence
    assert overflow[f.TIME_MS] == last[f.TIME_MS] + MINUTE


def test_after_a_receipt_the_span_is_told_and_intervals_go_on():
    bench = _bench()
    bench.ticks.at(2 * HOUR - 1, bench.receipt)
    bench.run(2 * HOUR + 2 * MINUTE)
    messages = bench.messages()
    resumed = bench.events(events.JOURNAL_RESUMED)[0]
    at = [fields for _, fields in messages].index(resumed)
    overflow, first, second = messages[at - 1][1], messages[at + 1][1], messages[at + 2][1]
    details = resumed[f.DETAILS]
    assert overflow[f.EVENT_CODE] == events.JOURNAL_OVERFLOW
    # The span ends where the first interval that found room began: its quantity is its own.
    assert resumed[f.TIME_MS] == NOON + 2 * HOUR - MINUTE == first[f.TIME_MS] - first[f.DURATION_MS]
    assert details[events.SPAN_START_MS] == overflow[f.TIME_MS] - MINUTE
    assert details[events.TOTALS_BEFORE] == overflow[f.DETAILS][events.TOTALS_BEFORE]
    assert details[events.TOTALS_AFTER] == {1: 1000 + 119 * 1000}
    assert (first[f.KIND], first[f.READINGS][1]) == (REGULAR, [0, 1000 + 120 * 1000])
    assert (second[f.KIND], second[f.READINGS][1]) == (REGULAR, [0, 1000 + 121 * 1000])
    check_times(messages)


def test_it_may_be_full_again_and_again():
    bench = _bench()
    for hours in (2, 4, 6, 8):
        bench.ticks.at(hours * HOUR - 1, bench.receipt)
    bench.run(9 * HOUR)
    kinds = [code for code in _codes(bench) if code in (events.JOURNAL_OVERFLOW, events.JOURNAL_RESUMED)]
    assert kinds[-2:] == [events.JOURNAL_OVERFLOW, events.JOURNAL_RESUMED] or kinds[-1] == events.JOURNAL_OVERFLOW
    bench.receipt()
    bench.boot(NOON + bench.ticks.now)
    bench.run(9 * HOUR + MINUTE)
    assert bench.of(1)[-1][3][1] == 1000 + 541 * 1000


def test_boots_while_full_coalesce_and_never_fail():
    bench = _full()
    sequence = bench.log.sequence
    for _ in range(100):
        bench.boot(NOON + bench.ticks.now)
        bench.run(bench.ticks.now + 90000, False)
    # One boot event; the overflow was said before and goes on.
    assert bench.log.sequence == sequence + 1
    bench.receipt()
    end = bench.ticks.now // MINUTE * MINUTE + 2 * MINUTE
    bench.run(end)
    codes = _codes(bench)
    assert codes.count(events.JOURNAL_OVERFLOW) <= 1
    resumed = bench.events(events.JOURNAL_RESUMED)[0]
    assert resumed[f.BOOT] == bench.readings()[-1][f.BOOT] == bench.log.boot
    assert bench.of(1)[-1][3][1] == 1000 + end // 60
    check_times(bench.messages())


def test_the_span_of_an_overflow_that_outlived_a_boot_begins_where_readings_ended():
    bench = _full()
    last = bench.readings()[-1]
    bench.boot(NOON + bench.ticks.now)
    bench.run(bench.ticks.now + 5 * MINUTE, False)
    bench.ticks.at(bench.ticks.now + 1, bench.receipt)
    bench.boot(NOON + bench.ticks.now)
    bench.run(bench.ticks.now + 2 * MINUTE)
    details = bench.events(events.JOURNAL_RESUMED)[0][f.DETAILS]
    assert details[events.SPAN_START_MS] == last[f.TIME_MS]
    assert details[events.TOTALS_BEFORE] == {1: last[f.READINGS][1][1]}


def test_a_meter_whose_reserve_is_full_starts_and_delivers_and_goes_on():
    bench = _full()
    _fill_reserve(bench)
    full_at = bench.log.sequence
    for _ in range(3):
        bench.boot(NOON + bench.ticks.now)
        bench.run(bench.ticks.now + 3 * MINUTE, False)
    assert bench.log.sequence == full_at
    assert bench.journal.first_unreceipted == (bench.log.epoch, 0)
    bench.receipt()
    end = bench.ticks.now + 2 * MINUTE
    bench.run(end)
    found = [fields for _, fields in bench.messages() if fields[f.SEQUENCE] > full_at]
    assert (found[0][f.EVENT_CODE], found[0][f.BOOT]) == (events.BOOT, 2)
    assert bench.of(1)[-1][3][1] == 1000 + end // 60


def test_a_lost_head_while_everything_is_full_waits_for_room():
    bench = _full()
    _fill_reserve(bench)
    epoch, sequence = bench.log.epoch, bench.log.sequence
    bench.memory.remove("epoch")
    bench.boot(NOON + bench.ticks.now)
    bench.run(bench.ticks.now + 3 * MINUTE, False)
    bench.journal.free(epoch, sequence)
    end = bench.ticks.now + 2 * MINUTE
    bench.run(end)
    opened = [fields for typ, fields in bench.messages() if fields[f.EPOCH] != epoch]
    assert [fields[f.EVENT_CODE] for fields in opened[1:4]] == [
        events.EPOCH_OPENED,
        events.PARAMETERS_APPLIED,
        events.BOOT,
    ]
    assert opened[1][f.DETAILS][events.LAST_SEQUENCE] == sequence
    assert bench.of(1)[-1][3][1] == 1000 + end // 60


def test_a_resume_event_counts_although_power_was_cut_after_it():
    bench = _full()
    bench.receipt()
    bench.meter._overflow.end(bench.ticks.now, False)
    bench.boot(NOON + bench.ticks.now)
    bench.run(bench.ticks.now + MINUTE)
    assert len(bench.events(events.JOURNAL_RESUMED)) == 1
    assert bench.of(1)[-1][3][1] == 1000 + 121 * 1000


def test_a_clock_that_was_set_meanwhile_is_proven_before_anything_is_recorded_by_it():
    bench = _bench()
    # Hours of a gateway that gives the time and cannot store: none of it may eat the reserve.
    for step in range(200):
        ticks = 90 * MINUTE + step * MINUTE
        bench.ticks.at(ticks, lambda ticks=ticks: bench.set_clock(NOON + ticks + (ticks // MINUTE % 2) * HOUR))
    bench.ticks.at(300 * MINUTE + 1, bench.receipt)
    bench.run(302 * MINUTE)
    codes = _codes(bench)
    assert codes.count(events.CLOCK_SET) == 1
    place = codes.index(events.CLOCK_SET)
    assert codes[place - 1 : place + 2] == [events.JOURNAL_OVERFLOW, events.CLOCK_SET, events.JOURNAL_RESUMED]
    details = bench.events(events.CLOCK_SET)[0][f.DETAILS]
    assert details[events.OLD_TIME_MS] == NOON + 90 * MINUTE
    assert details[events.NEW_TIME_MS] == NOON + 289 * MINUTE + HOUR
    check_times(bench.messages())


def test_a_new_set_can_be_applied_while_the_journal_is_full():
    """It may hold the keys of the gateway that replaces a lost one: without it nothing would ever be freed."""
    bench = _full()
    bench.ticks.at(
        2 * HOUR + 30000, lambda: bench.apply(parameter_set(2, [channel(1, "energy", ratio=2)], interval_s=60))
    )
    bench.run(2 * HOUR + 10 * MINUTE, False)
    assert bench.meter.parameters[f.SET_VERSION] == 2
    # The state stands in the chain as it was at the change, and a boot goes on from there.
    bench.boot(NOON + 2 * HOUR + 10 * MINUTE)
    bench.receipt()
    bench.run(2 * HOUR + 12 * MINUTE)
    assert bench.of(1)[-1][3][1] == 121500 + 2 * 11500
    check_times(bench.messages())


def test_totals_before_are_those_of_the_set_in_force():
    bench = _bench(parameter_set(1, [channel(1, "energy"), channel(3, "energy", ratio=2)], interval_s=60))
    bench.ticks.at(
        10 * MINUTE, lambda: bench.apply(parameter_set(2, [channel(3, "energy", ratio=2)], interval_s=60))
    )
    bench.run(3 * HOUR, False)
    assert sorted(bench.events(events.JOURNAL_OVERFLOW)[0][f.DETAILS][events.TOTALS_BEFORE]) == [3]


def test_a_set_that_finds_no_room_leaves_everything_as_it_is():
    bench = _full()
    _fill_reserve(bench)
    bench.ticks.at(2 * HOUR + 30000, lambda: bench.apply(parameter_set(2, [channel(1, "energy", ratio=2)])))
    bench.ticks.at(2 * HOUR + 5 * MINUTE - 1, bench.receipt)
    bench.run(2 * HOUR + 6 * MINUTE)
    assert bench.meter.parameters[f.SET_VERSION] == 1
    assert bench.meter.newest_version == 1
    assert bench.of(1)[-1][3][1] == 127000
    assert bench.of(1)[-2][:3] == (REGULAR, NOON + 2 * HOUR + 5 * MINUTE, MINUTE)
    check_times(bench.messages())


def test_what_registers_did_while_full_is_in_the_next_status():
    bench = _bench(parameter_set(1, [channel(1, "energy", modulus=100000)], interval_s=60))
    bench.instruments[0].values["energy"] = lambda ticks: (1000 + ticks // 60) % 100000
    # It wraps after 99 minutes, when nothing can be sealed.
    bench.ticks.at(2 * HOUR - 1, bench.receipt)
    bench.run(2 * HOUR + MINUTE)
    assert [entry[3] for entry in bench.of(1)][-2:] == [[f.STATUS_WRAPPED, 121000], [0, 122000]]


def test_a_jumping_register_does_not_eat_the_reserve():
    bench = _full()
    meter = bench.instruments[0]
    meter.values["energy"] = lambda ticks: 1 if ticks // MINUTE % 2 else 0
    sequence = bench.log.sequence
    bench.boot(NOON + bench.ticks.now)
    bench.run(4 * HOUR, False)
    assert bench.log.sequence == sequence + 1


def test_an_outage_that_ends_while_full_is_in_the_totals():
    bench = _full()
    meter = bench.instruments[0]
    meter.fault = silent()
    bench.ticks.at(3 * HOUR, lambda: setattr(meter, "fault", None))
    bench.ticks.at(3 * HOUR + 30 * MINUTE - 1, bench.receipt)
    bench.boot(NOON + bench.ticks.now)
    bench.run(3 * HOUR + 31 * MINUTE)
    details = bench.events(events.JOURNAL_RESUMED)[0][f.DETAILS]
    assert details[events.TOTALS_AFTER] == {1: 1000 + 209 * 1000}
    assert [entry[3] for entry in bench.of(1)][-2:] == [[0, 211000], [0, 212000]]
