"""Changes of parameters and boots: registers go on from where they were sealed, by the set that sealed them."""

from meter_bench import (
    HOUR,
    MINUTE,
    NOON,
    Bench,
    channel,
    check_times,
    energy_bench,
    instrument,
    parameter_set,
    silent,
)

from meter_protocol import events
from meter_protocol import fields as f
from meter_sampling.journal_error import JournalError

REGULAR, OUTAGE, PARTIAL = f.KIND_REGULAR, f.KIND_OUTAGE, f.KIND_PARTIAL
QUARTER = 15 * MINUTE
GAP = f.STATUS_GAP_BEFORE


# Change of parameters


def test_a_new_ratio_counts_from_the_moment_of_the_change():
    bench = energy_bench()
    bench.ticks.at(20 * MINUTE + 30000, lambda: bench.apply(parameter_set(2, [channel(1, "energy", ratio=80)])))
    bench.run(2 * QUARTER)
    entries = bench.of(1)
    assert entries[2] == (PARTIAL, NOON + 1230000, 330000, [0, 21500, 21500])
    assert entries[3] == (OUTAGE, NOON + 1230000, 0, [GAP, 21500, 21500])
    assert entries[4] == (PARTIAL, NOON + 2 * QUARTER, 570000, [0, 21500 + 80 * 9500, 31000])
    applied = bench.events(events.PARAMETERS_APPLIED)
    assert [fields[f.TIME_MS] for fields in applied] == [NOON, NOON + 1230000]
    check_times(bench.messages())


def test_after_a_power_cut_the_state_is_read_under_the_ratio_it_was_sealed_with():
    """What the register counted is never scaled by the wrong ratio."""
    for delay_ms in (0, 1, MINUTE, QUARTER):
        bench = energy_bench(parameter_set(1, [channel(1, "energy", ratio=10)]))
        # Right at a boundary: the newest reading was sealed without its raw value.
        bench.ticks.at(
            QUARTER, lambda apply=bench.apply: apply(parameter_set(2, [channel(1, "energy", ratio=80)]))
        )
        bench.run(QUARTER + delay_ms, False)
        bench.boot(NOON + QUARTER + delay_ms)
        ratio = bench.meter.parameters[f.CHANNELS][0][f.CHANNEL_RATIO]
        assert ratio == (80 if delay_ms else 10), delay_ms
        bench.run(2 * QUARTER)
        assert bench.of(1)[-1][3][1] == 160000 + ratio * 15000, delay_ms
        bench.messages()


def test_a_change_at_a_boundary_seals_the_state_although_the_interval_is_empty():
    bench = energy_bench(parameter_set(1, [channel(1, "energy", ratio=10)]))
    meter = bench.instruments[0]
    read = meter.read

    async def last_read():
        # It answers for the old set, and nobody hears of it before the power is cut.
        values = await read()
        if meter.reads == 3:
            meter.fault = silent()
        return values

    meter.read = last_read
    bench.apply(parameter_set(1, [channel(1, "energy", ratio=10)], period_ms=QUARTER))
    bench.ticks.at(QUARTER, lambda: bench.apply(parameter_set(2, [channel(1, "energy", ratio=80)])))
    bench.run(QUARTER + 1, False)
    meter.fault, meter.read = None, read
    assert bench.of(1)[-1] == (PARTIAL, NOON + QUARTER, 0, [0, 160000, 16000])
    bench.boot(NOON + QUARTER + 1)
    bench.run(2 * QUARTER)
    assert bench.of(1)[-1][3][1] == 160000 + 80 * 15000


def test_a_set_that_comes_during_a_change_is_the_next():
    bench = energy_bench()
    meter = bench.instruments[0]

    def first():
        meter.delay_ms = 4000
        bench.apply(parameter_set(2, [channel(1, "energy", ratio=2)]))

    def second():
        bench.apply(parameter_set(3, [channel(1, "energy", ratio=3)]))
        meter.delay_ms = 0

    bench.ticks.at(5 * MINUTE + 10000, first)
    bench.ticks.at(5 * MINUTE + 12000, second)
    bench.run(QUARTER)
    assert bench.meter.parameters[f.SET_VERSION] == 3
    assert len(bench.events(events.PARAMETERS_APPLIED)) == 3
    check_times(bench.messages())


def test_a_set_that_finds_no_room_after_the_interval_was_closed_begins_another():
    bench = energy_bench()

    def full(opened, ticks):
        raise JournalError("journal_full")

    def refuse():
        bench.log.apply_parameters = full
        bench.apply(parameter_set(2, [channel(1, "energy", ratio=2)]))

    bench.ticks.at(5 * MINUTE, refuse)
    bench.run(2 * QUARTER)
    assert [entry[:3] for entry in bench.of(1)[1:]] == [
        (PARTIAL, NOON + 5 * MINUTE, 5 * MINUTE),
        (PARTIAL, NOON + QUARTER, 10 * MINUTE),
        (REGULAR, NOON + 2 * QUARTER, QUARTER),
    ]
    assert bench.meter.newest_version == 1
    check_times(bench.messages())


def test_registers_outlive_a_lost_head():
    bench = Bench()
    bench.instruments = [bench.energy_meter()]
    bench.instruments[0].values["energy"] = lambda ticks: (990000 + ticks * 60000 // HOUR) % 1000000
    bench.boot()
    bench.apply(parameter_set(channels=[channel(1, "energy", modulus=1000000, ratio=7)]))
    bench.run(QUARTER, False)
    bench.memory.remove("epoch")
    bench.boot(NOON + QUARTER)
    bench.run(2 * QUARTER)
    assert bench.of(1)[-1][3][1] == 7 * (990000 + 30000)
    bench.messages()


def test_power_fails_inside_a_change_of_parameters():
    """The device dies at each of its operations around the change; either set is in force, and nothing is lost."""
    operations = _operations_of_a_change(None)
    assert operations > 10
    for cut in range(operations):
        _operations_of_a_change(cut)


class Dying:
    """A block device that works for so many operations once it is armed."""

    def __init__(self, device):
        self.device = device
        self.left = None
        self.count = 0

    def readblocks(self, block, buffer, offset=0):
        return self.device.readblocks(block, buffer, offset) if self.left != 0 else -5

    def writeblocks(self, block, buffer, offset=0):
        return self.device.writeblocks(block, buffer, offset) if self._is_alive() else -5

    def ioctl(self, operation, argument):
        if operation == 6 and not self._is_alive():
            return -5
        return self.device.ioctl(operation, argument)

    def _is_alive(self):
        self.count += 1
        if self.left:
            self.left -= 1
        return self.left != 0


def _operations_of_a_change(cut):
    dying = []

    def wrap(device):
        dying.append(Dying(device))
        return dying[0]

    bench = Bench()
    bench.instruments = [bench.energy_meter()]
    bench.boot(NOON, wrap)
    bench.apply(parameter_set(1, [channel(1, "energy", ratio=10)]))

    def change():
        dying[0].count = 0
        dying[0].left = None if cut is None else cut + 1
        bench.apply(parameter_set(2, [channel(1, "energy", ratio=80)]))

    bench.ticks.at(QUARTER + MINUTE, change)
    try:
        bench.run(QUARTER + 90000, False)
    except Exception as error:  # noqa: BLE001  the flash died under it
        assert cut is not None, error
    bench.boot(NOON + 2 * QUARTER)
    bench.run(3 * QUARTER)
    ratio = bench.meter.parameters[f.CHANNELS][0][f.CHANNEL_RATIO]
    # The register stood at 16,000 at the boundary, 17,000 at the change and 46,000 at the end.
    expected = 460000 if ratio == 10 else 170000 + 80 * 29000
    assert bench.of(1)[-1][3][1] == expected, (cut, ratio)
    check_times(bench.messages())
    return dying[0].count


def test_an_exchanged_instrument_under_a_new_set_begins_its_own_total():
    bench = energy_bench()
    other = bench.energy_meter(start=100, serial="Z9")

    def exchange():
        bench.instruments[0] = other
        bench.apply(parameter_set(2, instruments=[instrument("Z9")]))

    bench.ticks.at(QUARTER + MINUTE, exchange)
    bench.run(2 * QUARTER)
    assert [entry[3] for entry in bench.of(1)][3:] == [[GAP, 16100], [0, 30100]]
    assert bench.events(events.REGISTER_DISCONTINUITY) == []
    assert bench.of(1)[3][:3] == (OUTAGE, NOON + QUARTER + MINUTE, None)


def test_an_exchange_is_not_forgotten_over_a_power_cut():
    bench = energy_bench()
    other = bench.energy_meter(start=100, serial="Z9")
    other.fault = silent()

    def exchange():
        bench.instruments[0] = other
        bench.apply(parameter_set(2, instruments=[instrument("Z9")]))

    bench.ticks.at(QUARTER + MINUTE, exchange)
    bench.run(QUARTER + MINUTE + 1, False)
    other.fault = None
    bench.boot(NOON + QUARTER + MINUTE)
    bench.run(2 * QUARTER)
    assert [entry[3] for entry in bench.of(1)][-2:] == [[GAP, 16100], [0, 30100]]


def test_a_channel_that_vanishes_leaves_the_others_alone():
    channels = [channel(1, "energy"), channel(2, "power", f.CHANNEL_MEAN), channel(3, "energy", ratio=2)]
    bench = energy_bench(parameter_set(1, channels))
    bench.ticks.at(QUARTER + MINUTE, lambda: bench.apply(parameter_set(2, channels[2:])))
    bench.run(2 * QUARTER)
    assert sorted(bench.readings()[-1][f.READINGS]) == [3]
    assert bench.of(3)[-1][3] == [0, 62000]


def test_the_same_id_may_be_a_mean_now():
    bench = energy_bench(parameter_set(1, [channel(1, "energy")]))
    bench.ticks.at(QUARTER + MINUTE, lambda: bench.apply(parameter_set(2, [channel(1, "power", f.CHANNEL_MEAN)])))
    bench.run(QUARTER + 2 * MINUTE, False)
    bench.boot(NOON + QUARTER + 2 * MINUTE)
    bench.run(2 * QUARTER)
    assert bench.of(1)[-1][3][1:3] == [13, 13]


def test_a_change_while_a_gap_is_open_keeps_its_beginning():
    bench = energy_bench()
    meter = bench.instruments[0]
    bench.ticks.at(MINUTE, lambda: setattr(meter, "fault", silent()))
    bench.ticks.at(QUARTER + MINUTE, lambda: bench.apply(parameter_set(2, [channel(1, "energy", ratio=2)])))
    bench.ticks.at(QUARTER + 5 * MINUTE - 1, lambda: setattr(meter, "fault", None))
    bench.run(2 * QUARTER)
    _, end, duration, reading = [entry for entry in bench.of(1) if entry[0] == OUTAGE][-1]
    assert (end, duration) == (NOON + QUARTER + 5 * MINUTE, QUARTER + 5 * MINUTE)
    # Nobody knows when in the gap it was counted: it counts by the ratio that is in force at its end.
    assert reading[1] == 1000 + 2 * (21000 - 1000)


# Boots


def test_a_power_cut_inside_an_interval_loses_no_quantity():
    bench = energy_bench().run(QUARTER + 7 * MINUTE, False)
    bench.ticks.pass_to(HOUR + 3 * MINUTE)
    bench.boot(NOON + HOUR + 3 * MINUTE)
    bench.run(HOUR + QUARTER)
    assert bench.of(1)[1:] == [
        (REGULAR, NOON + QUARTER, QUARTER, [0, 16000]),
        (OUTAGE, NOON + HOUR + 3 * MINUTE, None, [GAP, 64000]),
        (PARTIAL, NOON + HOUR + QUARTER, 12 * MINUTE, [0, 76000]),
    ]
    assert [fields[f.BOOT] for fields in bench.readings()] == [1, 1, 2, 2]


def test_boots_in_a_row_without_a_reading_keep_the_registers():
    bench = energy_bench().run(QUARTER, False)
    bench.instruments[0].fault = silent()
    for boot in range(5):
        bench.boot(NOON + QUARTER + boot * MINUTE)
        bench.run(bench.ticks.now + 30000, False)
    bench.instruments[0].fault = None
    bench.boot(NOON + QUARTER + 5 * MINUTE)
    bench.run(2 * QUARTER)
    assert bench.of(1)[-1][3][1] == 31000


def test_wraps_are_remembered_over_boots():
    bench = Bench()
    bench.instruments = [bench.energy_meter()]
    bench.instruments[0].values["energy"] = lambda ticks: (990000 + ticks * 60000 // HOUR) % 1000000
    bench.boot()
    bench.apply(parameter_set(channels=[channel(1, "energy", modulus=1000000, ratio=7)]))
    bench.run(QUARTER + 1, False)
    for boot in range(20):
        bench.ticks.pass_to((boot + 2) * 90 * MINUTE)
        bench.boot(NOON + bench.ticks.now)
        bench.run(bench.ticks.now + 20 * MINUTE, False)
    assert bench.of(1)[-1][3][1] == 7 * (990000 + bench.of(1)[-1][1] // 60 - NOON // 60)
    bench.messages()
