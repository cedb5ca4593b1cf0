"""A driver on its real bus before an instrument that lies now and then: what it makes of lies and of the truth."""

import random

from fuzzing import campaign

from meter_firmware import sensors
from meter_sampling.drivers.driver import FAULTS
from meter_sampling.instrument_error import REASONS, InstrumentError

IDENTITY = ["maker", "model", "revision", "serial"]
RECOVERIES = 12
"""Attempts in which a driver must be back: quarantines, back-offs and sensors that start anew take some."""


class Liar:
    """Whoever simulates an instrument asks `lies` before each reply; `told` is how many lies there were."""

    def __init__(self):
        self.is_honest = True
        self.told = 0

    def lies(self):
        if self.is_honest or random.randrange(3):
            return False
        self.told += 1
        return True


class Attack:
    def __init__(self, name, example, bus, liar, pause=None):
        self.name = name
        self.driver = sensors.make(name, bus, *example)
        self.liar = liar
        self._pause = pause
        self._is_identified = False
        self.reasons = {}

    async def run(self, way, of, about=""):
        """The driver's share of a way in: honest, then lied to, then honest again."""
        expected = await self._honest()
        assert expected is not None, (self.name, self.reasons)
        self.liar.is_honest = False
        await campaign(way, self._once, of, self.name + about)
        self.liar.is_honest = True
        assert await self._honest(expected) == expected, (self.name, expected, self.reasons)
        for reason in self.reasons:
            assert reason in REASONS or reason in FAULTS, reason
        return self

    async def _honest(self, expected=None):
        """What it indicates before an honest instrument; what this board counts itself aside."""
        volatile = self.driver.VOLATILE
        found = None
        for _ in range(RECOVERIES):
            values = await self._ask()
            if values is not None and (found is None or values != expected):
                found = {name: values[name] for name in values if name not in volatile}
            if found is not None and (found == expected or (expected is None and None not in found.values())):
                break
        return found

    async def _once(self):
        told = self.liar.told
        await self._ask()
        return self.liar.told - told

    async def _ask(self):
        driver = self.driver
        values = None
        try:
            if not self._is_identified or random.randrange(10) == 0:
                identity = await driver.identify()
                assert sorted(identity) == IDENTITY, identity
                for text in identity.values():
                    assert text is None or isinstance(text, str)
                self._is_identified = True
            values = await driver.read()
            self._check(values)
        except InstrumentError as error:
            self.reasons[error.reason] = True
            self._is_identified = False
        if self._pause is not None:
            await self._pause()
        return values

    def _check(self, values):
        driver = self.driver
        assert sorted(values) == sorted(driver.INDICATIONS)
        for name in values:
            value = values[name]
            if value is None:
                self.reasons[driver.faults[name]] = True
            else:
                assert isinstance(value, int)
                assert not isinstance(value, bool)
                assert driver.LIMITS[name][0] <= value <= driver.LIMITS[name][1], (name, value)
