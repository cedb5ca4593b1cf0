"""Contacts that bounce: what the interrupt handler counts, on which clock, and what it may not do."""

import asyncio
import random
import time

import micropython
from app_bench import channel, instrument, set_fields

from meter_firmware.buses.pulse import COUNT_MASK, SHORTEST_US, PulseInputs
from meter_firmware.sensors import driver_class, pulse
from meter_sampling import parameters
from meter_sampling.instrument_error import InstrumentError

ON, OFF = 1, 0
ROW = ["active_energy_import", "active_energy_import", -3, 1250, 1, 30000, 30000, 36000]


class Bench:
    """One input on a clock that starts wherever the test likes, also right before it begins anew."""

    def __init__(self, start_us=0, min_on_us=1000, min_off_us=2000):
        self.now = start_us
        self.inputs = PulseInputs([OFF], self.us, self.ms)
        self.inputs.configure(0, min_on_us, min_off_us)

    def us(self):
        return time.ticks_add(self.now, 0)

    def ms(self):
        return time.ticks_add(self.now // 1000, 0)

    def edges(self, *steps):
        """(microseconds since the edge before, level)"""
        for step_us, level in steps:
            self.now += step_us
            self.inputs.edge(0, level, self.us())
        return self

    @property
    def count(self):
        return self.inputs.count(0)


def test_a_pulse_counts_when_the_contact_opens():
    bench = Bench().edges((10000, ON))
    bench.now += 10**6
    assert bench.count == 0
    assert bench.edges((5000, OFF)).count == 1
    assert bench.edges((5000, ON), (5000, OFF)).count == 2


def test_bounces_at_both_ends_are_no_pulses():
    bench = Bench().edges((10000, ON), (200, OFF), (300, ON), (100, OFF), (50, ON))
    bench.edges((5000, OFF), (400, ON), (100, OFF), (900, ON), (50, OFF))
    assert bench.count == 1
    bench.edges((5000, ON), (5000, OFF))
    assert bench.count == 2


def test_pulse_and_pause_have_their_shortest():
    assert Bench().edges((9000, ON), (1000, OFF)).count == 1
    assert Bench().edges((9000, ON), (999, OFF)).count == 0
    assert Bench().edges((9000, ON), (1000, OFF), (2000, ON), (1000, OFF)).count == 2
    assert Bench().edges((9000, ON), (1000, OFF), (1999, ON), (1000, OFF)).count == 1


def test_an_edge_whose_level_was_gone_already_is_a_bounce():
    # The handler comes late and reads the pin as it was before.
    bench = Bench().edges((9000, ON), (500, ON), (999, OFF))
    assert bench.count == 0
    bench = Bench().edges((9000, ON), (1000, ON), (10, OFF))
    assert bench.count == 1


def test_microseconds_that_begin_anew_lose_no_pulse():
    turn = 1 << 30
    for before in (1, 500, 1000, 5000, 10000):
        bench = Bench(turn - before)
        bench.edges((4000, ON), (2000, OFF), (4000, ON), (500, OFF), (4000, ON), (2000, OFF))
        assert bench.count == 2, before


def test_a_level_as_long_as_the_microseconds_turn_is_not_short():
    """On a board they turn after 2^30 us, and a difference is only good for half of that."""
    for length_us in ((1 << 30) + 100, (1 << 29) + 100, 3 << 30, 86400 * 10**6):
        bench = Bench()
        bench.us = lambda bench=bench: bench.now & COUNT_MASK
        bench.edges((10000, ON), (length_us, OFF), (length_us, ON), (1500, OFF))
        assert bench.count == 2, length_us


def test_a_level_that_outlasts_every_clock_is_settled_by_reading():
    bench = Bench().edges((10000, ON))
    bench.now += 70 * 10**6
    assert bench.count == 0
    # Milliseconds turn too, after days: what was read meanwhile is known to have lasted.
    bench.inputs._since_ms[0] = bench.ms()
    bench.inputs._since_us[0] = bench.us()
    assert bench.edges((1, OFF)).count == 1


def test_a_reading_settles_no_bounce():
    bench = Bench().edges((10000, ON))
    bench.now += 900
    assert bench.count == 0
    bench.edges((50, OFF))
    assert bench.count == 0


def test_until_a_driver_says_otherwise_pulses_are_those_of_s0():
    bench = Bench()
    bench.inputs = PulseInputs([OFF], bench.us, bench.ms)
    bench.edges((40000, ON), (SHORTEST_US - 1, OFF), (SHORTEST_US, ON), (SHORTEST_US, OFF))
    assert bench.count == 1


def test_the_handler_takes_no_memory():
    bench = Bench()
    inputs = bench.inputs
    inputs._pulses[0] = COUNT_MASK - 3
    inputs._seen[0] = COUNT_MASK - 3
    inputs._edges[0] = COUNT_MASK - 5
    moments = [time.ticks_add(0, 5000 * step) for step in range(12)]
    level = 0
    micropython.heap_lock()
    try:
        for moment in moments:
            level = 1 - level
            inputs.edge(0, level, moment)
    finally:
        micropython.heap_unlock()
    assert inputs._pulses[0] <= COUNT_MASK and inputs._edges[0] <= COUNT_MASK
    assert inputs.count(0) == 6
    # Nor on a board: a small integer of 32 bits has 31 and its sign, and the sum is there before it is masked.
    assert COUNT_MASK + 1 < 1 << 30


def test_a_count_goes_on_where_the_handler_begins_anew():
    bench = Bench()
    bench.inputs._pulses[0] = bench.inputs._seen[0] = COUNT_MASK - 1
    for number in range(1, 5):
        assert bench.edges((5000, ON), (5000, OFF)).count == number


def test_an_interrupt_may_come_anywhere_in_a_reading():
    """Edges between any two steps of `count`: each list that it looks into is where one may strike."""
    for strike in range(1, 12):
        bench = Bench()
        inputs = bench.inputs
        bench.edges((10000, ON))
        bench.now += 70 * 10**6
        left = [strike]

        class Struck:
            def __init__(self, content, left=left, bench=bench):
                self.content, self.left, self.bench = content, left, bench

            def __getitem__(self, index):
                self.left[0] -= 1
                if self.left[0] == 0:
                    self.bench.edges((1, OFF), (5000, ON), (5000, OFF))
                return self.content[index]

            def __setitem__(self, index, value):
                self.content[index] = value

        for name in ("_edges", "_since_ms", "_pulses", "_seen", "_counts"):
            setattr(inputs, name, Struck(getattr(inputs, name)))
        inputs.count(0)
        struck = left[0] <= 0
        left[0] = 0
        if not struck:
            bench.edges((1, OFF), (5000, ON), (5000, OFF))
        assert inputs.count(0) == 2, strike


def test_any_bounce_on_any_schedule_counts_what_was_pulsed():
    for seed in range(60):
        random.seed(seed)
        bench = Bench(random.randrange(1 << 30), 1000, 2000)
        pulses = 0
        level = OFF
        for _ in range(random.randrange(1, 40)):
            span_us = random.choice((2000, 2500, 50000, 10**6, 120 * 10**6))
            level = 1 - level
            pulses += level == OFF
            _bounce(bench, level, span_us)
            if random.randrange(3) == 0:
                bench.inputs.count(0)
        assert bench.count == pulses, seed


def _bounce(bench, level, pause_us):
    """To `level`, which comes after a pause and lasts until the next call."""
    bench.edges((pause_us, level))
    for _ in range(random.randrange(4)):
        bench.edges((random.randrange(1, 900), 1 - level), (random.randrange(1, 900), level))


# The driver


def test_a_new_driver_shows_what_nobody_has_read():
    bench = Bench()
    contact = pulse.define([ROW[:5] + [1000, 2000, 36000]])
    pulses = [(5000, ON), (5000, OFF)]
    old = contact(bench.inputs, 0)
    bench.edges(*pulses * 3)
    assert asyncio.run(old.read()) == {"active_energy_import": 3750}
    bench.edges(*pulses)
    new = contact(bench.inputs, 0)
    new.restore("active_energy_import", 3750)
    bench.edges(*pulses)
    assert asyncio.run(new.read()) == {"active_energy_import": 6250}


def test_options_that_are_none_are_refused():
    wrong = [
        None,
        [],
        [ROW, ROW],
        [ROW[:7]],
        [ROW + [0]],
        [[1] + ROW[1:]],
        [ROW[:1] + [1] + ROW[2:]],
    ]
    for place, value in (
        (2, 19),
        (3, 0),
        (3, 10**9 + 1),
        (4, 0),
        (4, 1251),
        (5, -1),
        (6, 10**7 + 1),
        (7, 0),
        (3, "1"),
    ):
        row = list(ROW)
        row[place] = value
        wrong.append([row])
    for options in wrong:
        try:
            pulse.define(options)
        except InstrumentError as error:
            assert error.reason == "options"
            continue
        raise AssertionError(options)


def test_the_published_weight():
    """E = n / (imp/kWh): 800 imp/kWh are 1.25 W.h a pulse."""
    driver = pulse.define([ROW])
    assert driver.INDICATIONS == {"active_energy_import": ("active_energy_import", -3, 1250 * 10**9, "register")}
    assert pulse.convert(0, 0, 800, 1250, 1) == 1000000
    assert pulse.convert(0, 0, 3000, 1000, 3) == 1000000


def test_a_set_with_a_contact_is_one():
    contact = instrument(driver="pulse", address=0, serial=None, options=[ROW])
    # 800 imp/kWh behind transformers of 5000/5 A
    counted = channel(exponent=-3, modulus=1250 * 10**9, ratio=1000)
    parameters.check_content(set_fields(instruments=[contact], channels=[counted]), driver_class)


def test_what_a_register_shows_tells_how_many_pulses_it_has_counted():
    for numerator, denominator in ((1250, 1), (1000, 3), (7, 6), (5, 5), (10**9, 999999937)):
        turn = pulse.TURNS * denominator
        for pulses in (0, 1, 2, 3, 10, 12345, 999999999, turn - 1, turn // 2):
            shown = pulse.convert(0, 0, pulses, numerator, denominator)
            rest = pulse.rest_of(shown, numerator, denominator)
            for more in (0, 1, 2, 1000):
                expected = pulse.convert(0, 0, pulses + more, numerator, denominator)
                assert pulse.convert(shown, rest, more, numerator, denominator) == expected, (numerator, pulses)


def test_no_part_of_a_pulse_is_lost_in_more_than_two_to_the_31_of_them():
    random.seed(31)
    for numerator, denominator in ((1000, 3), (7, 6), (10**9, 999999937)):
        raw = rest = pulses = boots = 0
        while pulses <= 3 << 31:
            more = random.randrange(1, 1 << 27)
            pulses += more
            raw = pulse.convert(raw, rest, more, numerator, denominator)
            assert raw == pulses * numerator // denominator % (pulse.TURNS * numerator), (numerator, pulses)
            # Nothing but the sealed register outlives a boot.
            rest = pulse.rest_of(raw, numerator, denominator)
            boots += 1
        assert boots > 48


def test_a_weight_that_was_another_adds_no_part_of_a_pulse():
    # 1500 of 1 unit each, from now on of 1000: the first pulse makes 2500.
    assert pulse.rest_of(1500, 1000, 1) == 0
    assert pulse.convert(1500, 0, 1, 1000, 1) == 2500


def test_the_register_wraps_at_its_modulus():
    assert pulse.convert(1250 * 10**9 - 1250, 0, 1, 1250, 1) == 0
    assert pulse.convert(10**12 - 334, 0, 1, 1000, 3) == 10**12 - 1
