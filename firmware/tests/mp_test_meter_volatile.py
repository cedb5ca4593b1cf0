"""Registers that only the board counts: they go on from the last sealed reading, and what nobody saw is said."""

import random

from meter_bench import HOUR, MINUTE, NOON, Bench, channel, check_times, instrument, parameter_set

from meter_firmware.buses.pulse import PulseInputs
from meter_firmware.sensors import pulse
from meter_protocol import events
from meter_protocol import fields as f

REGULAR, OUTAGE, PARTIAL = f.KIND_REGULAR, f.KIND_OUTAGE, f.KIND_PARTIAL
QUARTER = 15 * MINUTE
GAP = f.STATUS_GAP_BEFORE
MISSED = f.STATUS_MISSED_SAMPLES
PERIOD = 3000
ON = 1000
WEIGHT = (7, 3)
ROW = ["energy", "active_energy_import", 0, WEIGHT[0], WEIGHT[1], 10000, 10000, 10**6]
MODULUS = pulse.TURNS * WEIGHT[0]


class Inputs(PulseInputs):
    """A contact that closes every three seconds; whoever reads it hears of what it did since."""

    def __init__(self, ticks):
        self.ticks = ticks
        super().__init__([int(ticks.now % PERIOD < ON)], lambda: ticks.now * 1000, lambda: ticks.now)
        self.began = self.heard = ticks.now

    def count(self, index):
        for number in range(self.heard // PERIOD - 1, self.ticks.now // PERIOD + 1):
            for at, level in ((number * PERIOD, 1), (number * PERIOD + ON, 0)):
                if self.heard < at <= self.ticks.now:
                    self.at = at
                    self.edge(index, level, at * 1000)
        self.heard = self.ticks.now
        return super().count(index)


def pulses(since, until):
    """How often it opened after `since`, until `until`."""
    return (until - ON) // PERIOD - (since - ON) // PERIOD


class PulseBench(Bench):
    """Its inputs forget everything with each boot; drivers are made anew with each set."""

    def boot(self, *arguments):
        self.inputs = Inputs(self.ticks)
        return super().boot(*arguments)

    def _driver_of(self, entry):
        return pulse.define(entry[f.INSTRUMENT_OPTIONS])(self.inputs, 0)


def one_contact(version=1, ratio=1, row=ROW, channels=None, **other):
    if channels is None:
        channels = [channel(1, "energy", ratio=ratio, modulus=pulse.TURNS * row[3])]
    contact = instrument(None)
    contact[f.INSTRUMENT_OPTIONS] = [row]
    return parameter_set(version, channels, [contact], **other)


def _bench(opened=None, **journal):
    bench = PulseBench(**journal)
    bench.boot()
    bench.apply(opened or one_contact())
    return bench


def units(count):
    return count * WEIGHT[0] // WEIGHT[1]


def test_a_register_begins_at_nothing_and_counts():
    bench = _bench().run(2 * QUARTER)
    assert bench.of(1) == [
        (OUTAGE, NOON, None, [GAP, 0]),
        (REGULAR, NOON + QUARTER, QUARTER, [0, units(pulses(0, QUARTER))]),
        (REGULAR, NOON + 2 * QUARTER, QUARTER, [0, units(pulses(0, 2 * QUARTER))]),
    ]


def test_after_a_power_cut_it_goes_on_from_what_was_sealed():
    bench = _bench().run(QUARTER + 7 * MINUTE, False)
    bench.ticks.pass_to(HOUR)
    bench.boot(NOON + HOUR)
    bench.ticks.pass_to(HOUR + 4 * PERIOD)
    bench.run(HOUR + QUARTER)
    sealed = pulses(0, QUARTER)
    seen = pulses(HOUR, HOUR + QUARTER)
    # The seven minutes before the cut, and all that it was off: in no total, and it says that some is missing.
    assert bench.of(1)[2:] == [
        (OUTAGE, NOON + HOUR + 4 * PERIOD, None, [GAP | MISSED, units(sealed + 4)]),
        (PARTIAL, NOON + HOUR + QUARTER, QUARTER - 4 * PERIOD, [0, units(sealed + seen)]),
    ]
    check_times(bench.messages())


def test_an_orderly_end_loses_nothing_of_what_was_seen():
    bench = _bench().run(QUARTER + 7 * MINUTE + 500)
    assert bench.of(1)[-1][3] == [0, units(pulses(0, QUARTER + 7 * MINUTE + 500))]
    bench.boot(NOON + bench.ticks.now)
    bench.run(2 * QUARTER)
    assert bench.of(1)[-1][3][1] == units(pulses(0, 2 * QUARTER))


def test_boots_without_a_reading_keep_what_was_sealed():
    bench = _bench().run(QUARTER + 1, False)
    for _ in range(5):
        bench.boot(None)
        bench.run(bench.ticks.now + 10, False)
    before = bench.of(1)[-1][3][1]
    assert before == units(pulses(0, QUARTER))
    start = bench.ticks.now
    bench.boot(NOON + start)
    bench.run(2 * QUARTER)
    assert bench.of(1)[-1][3][1] == units(pulses(0, QUARTER) + pulses(start, 2 * QUARTER))


def test_a_change_of_parameters_loses_no_pulse():
    bench = _bench()
    for version, at in ((2, QUARTER + 100), (3, QUARTER + MINUTE), (4, 2 * QUARTER), (5, 2 * QUARTER + 1999)):
        bench.ticks.at(at, lambda version=version: bench.apply(one_contact(version)))
    bench.run(4 * QUARTER)
    assert len(bench.events(events.PARAMETERS_APPLIED)) == 5
    assert bench.of(1)[-1][3][1] == units(pulses(0, 4 * QUARTER))
    outages = [reading for kind, _, _, reading in bench.of(1) if kind == OUTAGE]
    assert [reading[0] for reading in outages] == [GAP] * 5


def test_a_new_ratio_counts_what_comes_after_it():
    bench = _bench()
    bench.ticks.at(QUARTER, lambda: bench.apply(one_contact(2, ratio=10)))
    bench.run(2 * QUARTER)
    before, after = units(pulses(0, QUARTER)), units(pulses(0, 2 * QUARTER))
    assert bench.of(1)[-1][3][1] == before + 10 * (after - before)


def test_a_power_cut_right_after_a_change_goes_on_from_before_it():
    bench = _bench()
    bench.ticks.at(QUARTER + MINUTE, lambda: bench.apply(one_contact(2, ratio=10)))
    bench.run(QUARTER + MINUTE, False)
    if bench.meter.parameters[f.SET_VERSION] == 1:
        bench.run(QUARTER + MINUTE + 1, False)
    start = bench.ticks.now
    bench.boot(NOON + start)
    bench.run(2 * QUARTER)
    before = units(pulses(0, QUARTER + MINUTE))
    after = units(pulses(0, QUARTER + MINUTE) + pulses(start, 2 * QUARTER))
    assert bench.of(1)[-1][3][1] == before + 10 * (after - before)


def test_another_weight_is_another_modulus_and_begins_anew():
    bench = _bench()
    row = ROW[:3] + [11, 3] + ROW[5:]
    bench.ticks.at(QUARTER, lambda: bench.apply(one_contact(2, row=row)))
    bench.run(2 * QUARTER)
    assert bench.of(1)[-1][3][1] == pulses(QUARTER, 2 * QUARTER) * 11 // 3


def test_two_channels_of_one_contact_count_alike():
    channels = [channel(1, "energy", modulus=MODULUS), channel(2, "energy", modulus=MODULUS, ratio=5)]
    bench = _bench(one_contact(channels=channels)).run(QUARTER + MINUTE, False)
    start = bench.ticks.now
    bench.boot(NOON + start)
    bench.run(2 * QUARTER)
    total = units(pulses(0, QUARTER) + pulses(start, 2 * QUARTER))
    assert (bench.of(1)[-1][3][1], bench.of(2)[-1][3][1]) == (total, 5 * total)


def test_what_was_not_seen_is_said_also_by_a_meter_whose_journal_is_full():
    segment = 4096
    bench = PulseBench(10 * segment, segment_bytes=segment, reserve_bytes=4 * segment)
    bench.boot()
    bench.apply(one_contact(interval_s=60))
    bench.run(2 * HOUR, False)
    assert len(bench.events(events.JOURNAL_OVERFLOW)) == 1
    sealed = bench.of(1)[-1][3][1]
    start = bench.ticks.now
    bench.boot(NOON + start)
    bench.ticks.at(start + 90000, bench.receipt)
    bench.run(start + 3 * MINUTE)
    after = [reading for _, end, _, reading in bench.of(1) if end > NOON + start]
    assert after[0][0] & MISSED
    assert after[-1] == [0, sealed + units(pulses(start, start + 3 * MINUTE))]


def test_the_register_wraps_and_the_total_does_not():
    turns = pulse.TURNS
    pulse.TURNS = 200
    try:
        bench = _bench(one_contact(channels=[channel(1, "energy", modulus=200 * WEIGHT[0])]))
        bench.run(3 * QUARTER + 1, False)
        start = bench.ticks.now
        bench.boot(NOON + start)
        bench.run(6 * QUARTER)
    finally:
        pulse.TURNS = turns
    # 600 pulses are a turn: it has wrapped between boots, and within them.
    assert bench.of(1)[-1][3][1] == units(pulses(0, 3 * QUARTER) + pulses(start, 6 * QUARTER))
    assert any(reading[0] & f.STATUS_WRAPPED for _, _, _, reading in bench.of(1))


def test_lives_count_what_they_saw_until_they_sealed_last():
    for seed in range(25):
        random.seed(seed)
        bench = PulseBench()
        bench.boot(NOON)
        bench.apply(one_contact(interval_s=300))
        version = 1
        began = {1: bench.ticks.now}
        for _ in range(random.randrange(2, 7)):
            until = bench.ticks.now + random.randrange(1, 40 * MINUTE)
            for _ in range(random.randrange(3)):
                version += 1
                change = one_contact(version, interval_s=random.choice((60, 300)))
                at = random.randrange(bench.ticks.now, until)
                bench.ticks.at(at, lambda bench=bench, change=change: bench.apply(change))
            bench.run(until, random.randrange(3) == 0)
            bench.ticks.clear()
            bench.ticks.pass_to(bench.ticks.now + random.randrange(HOUR))
            bench.boot(NOON + bench.ticks.now)
            began[bench.log.boot] = bench.ticks.now
        bench.run(bench.ticks.now + 10 * MINUTE)
        _check_life(bench, began, seed)


def _check_life(bench, began, seed):
    """The total is what was counted from each boot to its last reading; all of it, and nothing else."""
    boot, sealed, in_boot = 1, 0, 0
    for fields in bench.readings():
        if fields[f.BOOT] != boot:
            boot, sealed, in_boot = fields[f.BOOT], sealed + in_boot, 0
            assert fields[f.KIND] == OUTAGE, seed
            assert fields[f.READINGS][1][0] in (GAP | MISSED, GAP), seed
        in_boot = pulses(began[boot], fields[f.TIME_MS] - NOON)
        assert fields[f.READINGS][1][1] == units(sealed + in_boot), (seed, boot)
    check_times(bench.messages())
