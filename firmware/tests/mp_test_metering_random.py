"""Register channels against a model, over seeded sequences of what a register can do and a board can suffer.

The register counts up, wraps, is replaced and is set back; samples are missed; intervals end; parameters change
the ratio; power is cut, and the channel starts anew from the reading that was sealed last. The model is what one
would do by hand: a list of steps, each taken if it is one. METERING_SEEDS=5000 takes longer than usual.
"""

import os
import random

from meter_protocol import fields as f
from meter_protocol.rules import is_reading
from meter_sampling.metering import RegisterChannel

SEEDS = int(os.getenv("METERING_SEEDS") or 400)
SLOT_MS = 60000
STEP_BITS = f.STATUS_WRAPPED | f.STATUS_DISCONTINUITY | f.STATUS_IMPLAUSIBLE


class Model:
    """Total and last raw value, by the rules of DESIGN alone."""

    def __init__(self, modulus, per_slot):
        self.modulus, self.per_slot = modulus, per_slot
        self.total = self.raw = None

    def see(self, raw, ratio, slots):
        """The status bits of the step."""
        bits = 0
        if self.total is None:
            self.total = raw * ratio
        else:
            step = raw - self.raw
            if step < 0 and self.modulus is not None:
                wrapped = step + self.modulus
                # With a rate, what it allows; without, a quarter of the range.
                limit = self._limit(slots)
                if wrapped <= (self.modulus // 4 if limit is None else limit):
                    step, bits = wrapped, f.STATUS_WRAPPED
            if step < 0:
                step, bits = 0, f.STATUS_DISCONTINUITY
            limit = self._limit(slots)
            if limit is not None and step > limit:
                bits |= f.STATUS_IMPLAUSIBLE
            self.total += step * ratio
        self.raw = raw
        return bits

    def _limit(self, slots):
        """`slots` since the sample before, None after a boot: then no time has a meaning."""
        if self.per_slot is None or slots is None:
            return None
        return self.per_slot * (slots + 1) + 1


class Life:
    def __init__(self, seed):
        # Neighbouring seeds begin alike.
        random.seed(seed * 2654435761 & 0xFFFFFFFF)
        self.modulus = random.choice((None, 1000, 100000))
        self.per_slot = random.choice((None, 40))
        self.ratio = random.choice((1, 7, 100))
        self.raw = random.randrange(self.modulus or 5000)
        self.model = Model(self.modulus, self.per_slot)
        self.channel = self.fresh()
        self.slot = 0
        self.seen_slot = None
        self.bits = 0
        self.missed = False
        self.sealed = None
        self.at_seal = (None, None)
        self.wraps = self.cuts = self.replacements = 0

    def fresh(self):
        return RegisterChannel(self.ratio, self.modulus, None if self.per_slot is None else self.per_slot * 60)

    def count(self):
        self.raw += random.randrange(45)
        if self.modulus is not None and self.raw >= self.modulus:
            self.raw -= self.modulus
            self.wraps += 1

    def replace(self):
        self.raw = random.randrange(self.modulus or 5000)
        self.replacements += 1

    def sample(self):
        self.slot += 1
        if random.randrange(6) == 0:
            self.channel.miss(f.STATUS_NO_RESPONSE)
            self.missed = True
            self.read = False
            return
        slots = None if self.seen_slot is None else self.slot - self.seen_slot
        before = (self.model.total, self.model.raw)
        bits = self.model.see(self.raw, self.ratio, slots)
        jump = self.channel.add(self.raw, self.slot * SLOT_MS)
        first = bits & f.STATUS_DISCONTINUITY and not self.bits & f.STATUS_DISCONTINUITY
        assert jump == ((before[1], self.raw) if first else None)
        self.bits |= bits
        self.seen_slot = self.slot
        self.read = True
        if self.channel.in_gap:
            self.check(self.channel.end_gap(), True)

    read = False

    def close(self, explicit=False):
        self.check(self.channel.close(explicit), False)
        self.missed = False

    def check(self, reading, is_outage):
        assert is_reading(reading), reading
        status = reading[0]
        assert status & STEP_BITS == self.bits, (status, self.bits)
        assert bool(status & f.STATUS_GAP_BEFORE) == is_outage
        assert bool(status & f.STATUS_MISSED_SAMPLES) == (self.missed or not self.read)
        if self.read:
            assert reading[1] == self.model.total
        else:
            assert reading[1:] == (
                [None] if self.model.total is None else [None, self.model.total, self.model.raw]
            )
        self.bits = 0
        assert self.sealed is None or self.at_seal[0] is None or self.model.total >= self.at_seal[0]
        self.sealed, self.at_seal = reading, (self.model.total, self.model.raw)

    def start_anew(self):
        """Nothing but the sealed reading is left of what the channel knew."""
        self.channel = self.fresh()
        if self.sealed is not None:
            self.channel.restore(self.sealed)
        self.model.total, self.model.raw = self.at_seal
        self.seen_slot, self.bits, self.missed, self.read = None, 0, False, False

    def cut(self):
        self.cuts += 1
        self.start_anew()

    def change_ratio(self):
        self.close(True)
        self.ratio = random.choice((1, 7, 100))
        self.start_anew()

    def live(self):
        for _ in range(120):
            self.count()
            happens = random.randrange(40)
            if happens == 0:
                self.replace()
            elif happens == 1:
                self.cut()
            elif happens == 2:
                self.change_ratio()
            elif happens == 3:
                # A long silence, in which the register counts on.
                for _ in range(random.randrange(60)):
                    self.slot += 1
                    self.count()
            self.sample()
            if random.randrange(5) == 0:
                self.close()
        return self


def test_lives():
    wraps = cuts = replacements = 0
    for seed in range(SEEDS):
        try:
            life = Life(seed).live()
        except BaseException:
            print("seed", seed)
            raise
        wraps += life.wraps
        cuts += life.cuts
        replacements += life.replacements
    print("wraps", wraps, "cuts", cuts, "replacements", replacements)
    assert min(wraps, cuts, replacements) > SEEDS
