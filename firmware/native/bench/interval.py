"""One interval of ten channels from its close to the flash: the shipping Meter's own code, as its loop runs it.

Only the instrument's answers and the clock, which leaps from sample to sample, are made here. The loop closes so
many intervals as one piece; then so many with the calls inside of it gauged; then so many without what follows the
close of the channels, which leaves their close.
"""

import asyncio

from gauge import Cost, unswept

from meter_firmware import blockdev
from meter_firmware.chain_log import ChainLog
from meter_firmware.journal import Journal
from meter_firmware.memory import Memory
from meter_firmware.sealing import Sealer
from meter_firmware.sensors import driver_class
from meter_protocol import chain, messages
from meter_protocol import fields as f
from meter_sampling.clock import MeterClock
from meter_sampling.meter import Meter

try:
    import chip
except ImportError:  # the host's MicroPython
    chip = None

FLASH_FILE, FLASH_BYTES = "flash.bin", 4 << 20
JOURNAL_BYTES = 1 << 20
NOON = 1700000000000
DIGEST = b"an image's digest, of 32 bytes.."

INTERVAL_S, PERIOD_MS = 900, 60000
REGISTERS, MEANS = 3, 7
WARM = 3
"""The first intervals begin between two boundaries, and import what waits for its first use."""

INTERVALS = 25
"""Of which the median is told: LittleFS's work differs from one append to the next. They fill two blocks."""


class Ticks:
    def __init__(self):
        self.now = 0

    def ticks_ms(self):
        return self.now

    async def sleep_until(self, ticks, wake):
        await asyncio.sleep_ms(0)
        self.now = max(self.now, ticks)


class Instrument:
    VOLATILE = ()

    def __init__(self, ticks):
        self._ticks = ticks
        self.faults = {}

    async def identify(self):
        return {"serial": None}

    async def read(self):
        return {str(number): 100000 + self._ticks.now // 1000 + number for number in range(REGISTERS + MEANS)}


class Turns:
    """Stands in the place of the meter's `_close_interval`, and decides what of each interval is gauged."""

    def __init__(self, meter, log, signer):
        self.whole, self.close = Cost(), Cost()
        self.steps = {name: Cost() for name in ("encode", "hash", "sign", "append")}
        self._meter = meter
        self._owners = {
            "encode": (messages, "encode"),
            "hash": (chain, "message_hash"),
            "sign": (signer, "sign"),
            "append": (log.journal, "append"),
        }
        self._warm = 0
        self._close_interval = meter._close_interval
        meter._close_interval = self

    def __call__(self, kind, now, explicit=False):
        if self._warm < WARM:
            self._warm += 1
            return self._close_interval(kind, now, explicit)
        if self.whole.calls < INTERVALS:
            return unswept(self.whole.of, self._close_interval, kind, now, explicit)
        if self.steps["append"].calls < INTERVALS:
            self._gauge_steps()
            return unswept(self._close_interval, kind, now, explicit)
        self._meter._seal = sealed
        if self.close.calls == INTERVALS:
            self._meter.stop()
        return unswept(self.close.of, self._close_interval, kind, now, explicit)

    def _gauge_steps(self):
        while self._owners:
            name, (owner, attribute) = self._owners.popitem()
            setattr(owner, attribute, gauged(self.steps[name], getattr(owner, attribute)))

    def costs(self):
        found = {"interval_" + name: self.steps[name] for name in self.steps}
        found.update({"interval": self.whole, "interval_close": self.close})
        return found


def gauged(cost, call):
    return lambda *arguments: cost.of(call, *arguments)


def sealed(*interval):  # noqa: ARG001
    return True


def parameters():
    """Of a sealed set what the meter reads."""
    channels = [
        {
            f.CHANNEL_ID: number + 1,
            f.CHANNEL_INSTRUMENT: 0,
            f.CHANNEL_INDICATION: str(number),
            f.CHANNEL_KIND: f.CHANNEL_REGISTER if number < REGISTERS else f.CHANNEL_MEAN,
            f.CHANNEL_RATIO: 1,
            f.CHANNEL_MODULUS: None,
            f.CHANNEL_MAX_STEP: None,
            f.CHANNEL_EXTREMES: False,
        }
        for number in range(REGISTERS + MEANS)
    ]
    return {
        f.INTERVAL_S: INTERVAL_S,
        f.SAMPLE_PERIOD_MS: PERIOD_MS,
        f.INSTRUMENTS: [{f.INSTRUMENT_SERIAL: None}],
        f.CHANNELS: channels,
    }


def flash():
    if chip is not None:
        return chip.Flash(FLASH_FILE, blockdev.BLOCK_SIZE)
    return blockdev.FileBlockDevice(FLASH_FILE, FLASH_BYTES // blockdev.BLOCK_SIZE, fsync=False)


def measure_interval(signer):
    """Costs by name."""
    blockdev.mount(flash(), "/meter")
    clock, ticks, sealer = MeterClock(), Ticks(), Sealer(signer)
    clock.take((NOON, f.CLOCK_SYNCHRONISED, 5), 0)
    log = ChainLog(Journal("/meter/journal", JOURNAL_BYTES), Memory("/meter/memory"), sealer, clock)
    identity = {
        f.PUBLIC_KEY: sealer.cose_key,
        f.SERIAL: "B1",
        f.MAKER: "carbonmeter",
        f.MODEL: "bench",
        f.KEY_PROTECTION: sealer.protection,
        f.SOFTWARE_ID: DIGEST,
        f.CERTIFICATE: None,
    }
    log.open(identity, bytes, 0)
    meter = Meter(log, clock, ticks, ticks.ticks_ms, lambda _: Instrument(ticks), driver_class, lambda: None)
    meter.start(parameters())
    turns = Turns(meter, log, signer)
    asyncio.run(meter.run())
    return turns.costs()
