"""Seeded lives of a meter: whatever happens to it, its chain holds what the registers counted, once.

Instruments fall silent, talk nonsense, dawdle and come back; the clock is put right and wrong; sets come; power
fails anywhere, also inside a flash operation; the journal fills and receipts come late. METER_SEEDS=500 lives
longer than usual.
"""

import os
import random
import time

from chain_check import check_chain
from meter_bench import (
    HOUR,
    MINUTE,
    NOON,
    Bench,
    Scripted,
    channel,
    check_times,
    heap,
    instrument,
    parameter_set,
    silent,
)

from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling.instrument_error import InstrumentError

SEEDS = int(os.getenv("METER_SEEDS") or 60)
MODULUS = 10000000
RATIO = 7
SEGMENT = 4096


class Register:
    """Counts at a rate that changes now and then; keeps every value that was ever read."""

    def __init__(self, ticks, start, modulus):
        self.ticks = ticks
        self.modulus = modulus
        self.count = start
        self.rate = 60000
        self.since = 0
        self.read = []

    def set_rate(self, per_hour):
        self._advance(self.ticks.now)
        self.rate = per_hour

    def _advance(self, now):
        # Whole minutes' worth, so that no rounding gets lost at a change of rate.
        minutes = now // MINUTE - self.since // MINUTE
        self.count += minutes * (self.rate // 60)
        self.since = now

    def show(self, now):
        self._advance(now)
        self.read.append(self.count)
        return self.count if self.modulus is None else self.count % self.modulus


class DyingFlash:
    """Works until its operations are used up, and then not at all."""

    def __init__(self, device, operations):
        self.device = device
        self.left = operations

    def readblocks(self, block, buffer, offset=0):
        return self.device.readblocks(block, buffer, offset) if self.left else -5

    def writeblocks(self, block, buffer, offset=0):
        if self.left:
            self.left -= 1
        return self.device.writeblocks(block, buffer, offset) if self.left else -5

    def ioctl(self, operation, argument):
        if operation == 6:
            if self.left:
                self.left -= 1
            return self.device.ioctl(operation, argument) if self.left else -5
        return self.device.ioctl(operation, argument)


class Life:
    def __init__(self, seed):
        random.seed(seed)
        small = seed % 3 == 0
        self.bench = Bench(10 * SEGMENT, segment_bytes=SEGMENT, reserve_bytes=4 * SEGMENT) if small else Bench()
        ticks = self.bench.ticks
        self.registers = [Register(ticks, 9960000, MODULUS), Register(ticks, 500, None)]
        self.bench.instruments = [
            Scripted(ticks, {"energy": register.show, "power": lambda ticks: 0}, serial)
            for register, serial in zip(self.registers, ("A1", "B1"))
        ]
        self.kept = {}
        self.order = []
        self.version = 0
        self.utc_ms = NOON

    # What may happen at a moment

    def silence(self):
        random.choice(self.bench.instruments).fault = silent()

    def nonsense(self):
        random.choice(self.bench.instruments).fault = InstrumentError("bad_crc")

    def bug(self):
        random.choice(self.bench.instruments).fault = TypeError("a driver's bug")

    def heal(self):
        for scripted in self.bench.instruments:
            scripted.fault = None
            scripted.delay_ms = 0

    def dawdle(self):
        random.choice(self.bench.instruments).delay_ms = random.choice((10, 700, 9000, 45000, 130000))

    def load(self):
        random.choice(self.registers).set_rate(random.randrange(0, 100) * 1200)

    def step(self):
        self.utc_ms += random.choice((-3, -1, 1, 5)) * random.randrange(1000, 5 * HOUR)
        self.bench.set_clock(self.utc_ms + self.bench.ticks.now)

    def slew(self):
        self.utc_ms += random.randrange(-999, 1000)
        self.bench.set_clock(self.utc_ms + self.bench.ticks.now)

    def new_set(self):
        self.version += 1
        interval_s, period_ms = random.choice(((60, 10000), (60, 60000), (300, 60000), (900, 900000)))
        channels = [
            channel(1, "energy", ratio=RATIO, modulus=MODULUS),
            channel(2, "power", f.CHANNEL_MEAN, extremes=True),
            channel(3, "energy", index=1),
        ]
        if random.randrange(2):
            channels.append(channel(4, "power", f.CHANNEL_MEAN, 1))
        instruments = [instrument("A1"), instrument("B1", address=2)]
        self.bench.apply(parameter_set(self.version, channels, instruments, interval_s, period_ms))

    def receipt(self):
        self.keep()
        self.bench.receipt()

    def keep(self):
        """The gateway gets everything before anything is freed."""
        for epoch, sequence, raw in self.bench.journal.records(self.order[-1] if self.order else None):
            if (epoch, sequence) not in self.kept:
                self.order.append((epoch, sequence))
                self.kept[(epoch, sequence)] = raw
            assert self.kept[(epoch, sequence)] == raw, "a sequence was sealed twice"

    # Life

    def live(self):
        happenings = (
            self.silence,
            self.nonsense,
            self.bug,
            self.heal,
            self.heal,
            self.dawdle,
            self.load,
            self.step,
            self.slew,
            self.slew,
            self.new_set,
            self.receipt,
        )
        bench = self.bench
        bench.boot(None)
        self.new_set()
        for _ in range(random.randrange(2, 6)):
            start = bench.ticks.now
            end = start + random.randrange(MINUTE, random.choice((HOUR, 3 * HOUR)))
            for _ in range(random.randrange(0, 12)):
                bench.ticks.at(random.randrange(start, end), random.choice(happenings))
            try:
                bench.run(end, random.randrange(4) == 0)
            except Exception as fault:
                # The flash died under it; nothing else may end it.
                if not self.has_died():
                    raise fault
            bench.ticks.clear()
            bench.ticks.pass_to(bench.ticks.now + random.randrange(0, 2 * HOUR))
            self.dying = None
            bench.boot(random.choice((None, self.utc_ms + bench.ticks.now)), random.choice((None, self.die)))
            self.keep()
        bench.boot(self.utc_ms + bench.ticks.now)
        self.heal()
        self.receipt()
        for minute in (1, 10, 20, 30):
            bench.ticks.at(bench.ticks.now + minute * MINUTE, self.receipt)
        bench.run(bench.ticks.now + 31 * MINUTE)
        self.keep()
        return self

    dying = None

    def die(self, device):
        # A boot takes some ten operations: those that must not fail here, so that the scenario goes on.
        self.dying = DyingFlash(device, random.randrange(200, 3000))
        return self.dying

    def has_died(self):
        return self.dying is not None and not self.dying.left

    def messages(self):
        return check_chain(self.kept[place] for place in self.order)

    def check(self):
        check_times(self.messages())
        self.check_totals(1, self.registers[0], RATIO)
        self.check_totals(3, self.registers[1], 1)
        is_open = False
        for typ, fields in self.messages():
            code = fields[f.EVENT_CODE] if typ == t.EVENT else None
            assert not is_open or code != events.JOURNAL_OVERFLOW, "an overflow was said twice"
            if code in (events.JOURNAL_OVERFLOW, events.JOURNAL_RESUMED):
                is_open = code == events.JOURNAL_OVERFLOW

    def check_totals(self, number, register, ratio):
        read = set(register.read)
        first = last = quantity = None
        for typ, fields in self.messages():
            if typ != t.READINGS or number not in fields[f.READINGS]:
                continue
            total = fields[f.READINGS][number][1]
            if total is None:
                continue
            assert total % ratio == 0 and total // ratio in read, "a total that no register ever showed"
            if last is None:
                first, quantity = total, 0
            else:
                assert total >= last, "a total fell"
                quantity += total - last
            last = total
        assert last == ratio * register.read[-1], (first, last, ratio * register.read[-1])
        assert quantity == last - first


def test_lives():
    for seed in range(SEEDS):
        try:
            Life(seed).live().check()
        except BaseException:
            print("seed", seed)
            raise


def test_ten_thousand_intervals_take_no_more_memory_and_no_more_time():
    bench = Bench(1 << 18)
    bench.instruments = [bench.energy_meter(per_hour=3600000)]
    bench.boot()
    bench.apply(parameter_set(interval_s=1, period_ms=500))
    marks = []

    def mark():
        bench.receipt()
        marks.append((heap(), time.ticks_ms()))

    for second in range(100, 10001, 100):
        bench.ticks.at(second * 1000, mark)
    bench.run(10000 * 1000)
    assert bench.log.last_sealed().readings[1] == [0, 1000 + 10000 * 1000]
    # The journal's segments come and go in the first thousand.
    settled = max([used for used, _ in marks[10:20]])
    late = max([used for used, _ in marks[90:]])
    assert late - settled < 2048, (settled, late)

    def spent(first, last):
        return time.ticks_diff(marks[last][1], marks[first][1])

    print("interval_us", spent(10, 99) * 1000 // 8900, "heap", settled, late)
    assert spent(79, 99) < 3 * spent(10, 30)
