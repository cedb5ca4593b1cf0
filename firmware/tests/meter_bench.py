"""A meter on a virtual clock with scripted instruments; its journal is the real one, on real LittleFS.

Nothing here sleeps in real time: `Ticks` moves when the meter would have slept, and runs what the scenario has
set for a moment when it comes. `Bench.messages` are the decoded messages of the journal, each already held
against its schema, its place in the chain and its context.
"""

import asyncio
import gc
import os

import vfs
from chain_check import check_chain

from meter_firmware import blockdev
from meter_firmware.chain_log import ChainLog
from meter_firmware.journal import Journal
from meter_firmware.memory import Memory
from meter_firmware.sealing import SealedMessage, Sealer
from meter_firmware.sensors import driver_class
from meter_protocol import cose, events, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling.clock import MeterClock
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.meter import Meter

NOON = 1700049600000
"""2023-11-15T12:00:00Z: a boundary of every interval used here."""

MINUTE = 60000
HOUR = 60 * MINUTE
SOFTWARE = b"\x01" * 32
_counter = [0]


class PowerCut(BaseException):
    """No driver's and no link's guard may catch this."""


def _cut_power():
    raise PowerCut


class QuickSigner:
    """A signature costs a thousand times more than all else here, and nobody verifies these."""

    protection = f.KEY_SOFTWARE

    def __init__(self, name):
        self._public = name * 64

    def public_key(self):
        return self._public

    def sign(self, digest):
        return digest + digest


METER = Sealer(QuickSigner(b"m"))
AUTHORITY = Sealer(QuickSigner(b"a"))


class Ticks:
    """The board's clock. `at(ticks, action)` sets what happens then, before whoever slept until then wakes."""

    def __init__(self):
        self.now = 0
        self._actions = []

    def ticks_ms(self):
        return self.now

    def at(self, ticks, action):
        self._actions.append((ticks, len(self._actions), action))
        self._actions.sort(key=lambda entry: entry[:2])

    def forget(self, action):
        self._actions = [entry for entry in self._actions if entry[2] != action]

    def clear(self):
        self._actions = []

    def pass_to(self, ticks):
        """Time passes whoever waits, as while a slow instrument is read."""
        self._run_until(ticks)
        self.now = max(self.now, ticks)

    async def sleep_until(self, ticks, wake):
        await asyncio.sleep_ms(0)
        while not wake.is_set() and self._actions and self._actions[0][0] <= ticks:
            self._run_until(self._actions[0][0])
        if not wake.is_set():
            self.now = max(self.now, ticks)

    def _run_until(self, ticks):
        while self._actions and self._actions[0][0] <= ticks:
            due, _, action = self._actions.pop(0)
            self.now = max(self.now, due)
            action()


class Scripted:
    """An instrument: `values` are functions of the ticks; `fault` is None or what to raise or say instead."""

    VOLATILE = ()

    def __init__(self, ticks, values, serial="A1"):
        self._ticks = ticks
        self.values = values
        self.serial = serial
        self.fault = None
        self.delay_ms = 0
        self.faults = {}
        self.identified = 0
        self.reads = 0

    def fail(self, fault):
        self.fault = fault

    async def identify(self):
        self.identified += 1
        self._answer()
        return {"maker": None, "model": None, "serial": self.serial, "revision": None}

    async def read(self):
        self.reads += 1
        self._ticks.pass_to(self._ticks.now + self.delay_ms)
        self._answer()
        self.faults = {}
        values = {}
        for name in self.values:
            values[name] = self.values[name](self._ticks.now)
            if values[name] is None:
                self.faults[name] = "not_available"
        return values

    def _answer(self):
        if isinstance(self.fault, Exception):
            raise self.fault


def silent():
    return InstrumentError("no_response")


def instrument(serial="A1", bus="bus0", address=1, driver="scripted"):
    return {
        f.INSTRUMENT_DRIVER: driver,
        f.INSTRUMENT_BUS: bus,
        f.INSTRUMENT_ADDRESS: address,
        f.INSTRUMENT_SERIAL: serial,
        f.INSTRUMENT_OPTIONS: None,
    }


def channel(number, indication, kind=f.CHANNEL_REGISTER, index=0, **other):
    return {
        f.CHANNEL_ID: number,
        f.CHANNEL_INSTRUMENT: index,
        f.CHANNEL_INDICATION: indication,
        f.CHANNEL_QUANTITY: 1,
        f.CHANNEL_KIND: kind,
        f.CHANNEL_EXPONENT: 0,
        f.CHANNEL_RATIO: other.get("ratio", 1),
        f.CHANNEL_MODULUS: other.get("modulus"),
        f.CHANNEL_MAX_STEP: other.get("max_step"),
        f.CHANNEL_OPERATING_POINT: None,
        f.CHANNEL_EXTREMES: other.get("extremes", False),
    }


def parameter_set(version=1, channels=None, instruments=None, interval_s=900, period_ms=MINUTE):
    """A sealed set; by default one register and one mean of one instrument."""
    if channels is None:
        channels = [channel(1, "energy"), channel(2, "power", f.CHANNEL_MEAN)]
    fields = {
        f.VERSION: 1,
        f.TIME_MS: 0,
        f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
        f.CLOCK_UNCERTAINTY_MS: None,
        f.METER: METER.thumbprint,
        f.SET_VERSION: version,
        f.INTERVAL_S: interval_s,
        f.SAMPLE_PERIOD_MS: period_ms,
        f.INSTRUMENTS: instruments or [instrument()],
        f.CHANNELS: channels,
        f.RECEIPT_KEYS: [METER.cose_key],
        f.CLOCK_KEYS: [],
    }
    raw, digest = AUTHORITY.seal(t.PARAMETER_SET, fields)
    return SealedMessage(raw, fields, digest)


class Bench:
    """Flash and instruments that outlive the meter's boots. Instruments stand in the order of the set."""

    def __init__(self, journal_bytes=1 << 20, **journal):
        _counter[0] += 1
        self.name = "bench" + str(_counter[0])
        self._journal = journal
        self._journal_bytes = journal_bytes
        self._blocks = journal_bytes * 5 // 4 // 4096 + 32
        self.ticks = Ticks()
        self.instruments = []
        self.mounted = False
        self.notified = 0

    def energy_meter(self, per_hour=60000, start=1000, serial="A1"):
        """A register that counts evenly with the time, and the power that it counts."""
        values = {"energy": lambda ticks: start + ticks * per_hour // HOUR, "power": lambda ticks: per_hour}
        return Scripted(self.ticks, values, serial)

    def boot(self, clock_ms=NOON, wrap_device=None):
        """Power on, with the clock set to `clock_ms` at these ticks, or not set at all."""
        self.power_off()
        device = blockdev.FileBlockDevice(self.name, self._blocks, 4096, False)
        blockdev.mount(wrap_device(device) if wrap_device else device, "/" + self.name)
        self.mounted = True
        self.journal = Journal("/" + self.name + "/journal", self._journal_bytes, **self._journal)
        self.clock = MeterClock()
        self.memory = Memory("/" + self.name + "/memory")
        self.log = ChainLog(self.journal, self.memory, METER, self.clock)
        identity = {
            f.PUBLIC_KEY: METER.cose_key,
            f.SERIAL: "T1",
            f.MAKER: "test",
            f.MODEL: "test",
            f.KEY_PROTECTION: f.KEY_SOFTWARE,
            f.SOFTWARE_ID: SOFTWARE,
            f.CERTIFICATE: None,
        }
        if clock_ms is not None:
            self.clock.take((clock_ms - self.ticks.now, f.CLOCK_SYNCHRONISED, 5), self.ticks.now)
        self.log.open(identity, os.urandom, self.ticks.now)
        self._link_ms = 0
        self.meter = Meter(
            self.log, self.clock, self.ticks, self.link_ms, self._driver_of, driver_class, self._notify
        )
        self.meter.start(_fields(self.log.parameters()), self.log.previous_parameters())
        return self

    def power_off(self):
        if self.mounted:
            vfs.umount("/" + self.name)
            self.mounted = False

    def link_ms(self):
        """Whoever waits for the first time reply does not wait long."""
        self._link_ms += 2500
        return self._link_ms

    def _driver_of(self, entry):
        """By its place on the bus, as a real one is found."""
        return self.instruments[entry[f.INSTRUMENT_ADDRESS] - 1]

    def _notify(self):
        self.notified += 1

    # What a scenario does at a moment

    def apply(self, opened):
        self.meter.change_parameters(opened)

    def set_clock(self, utc_ms, status=f.CLOCK_SYNCHRONISED, uncertainty_ms=5):
        self.meter.correct_clock((utc_ms - self.ticks.now, status, uncertainty_ms), b"reply")

    def receipt(self):
        """The gateway has everything."""
        self.journal.free(self.log.epoch, self.log.sequence)

    # Running

    def run(self, until, stop=True):
        """Run the meter until the ticks come; `stop` ends it in good order, else power is cut then."""
        asyncio.run(self._run(until, stop))
        return self

    async def _run(self, until, stop):
        end = self.meter.stop if stop else _cut_power
        self.ticks.at(until, end)
        try:
            await self.meter.run()
        except PowerCut:
            pass
        finally:
            self.ticks.forget(end)

    # What is in the journal

    def messages(self):
        """(typ, fields) of everything there is, each held against the one before it."""
        return list(check_chain(raw for _, _, raw in self.journal.records()))

    def readings(self):
        return [fields for typ, fields in self.messages() if typ == t.READINGS]

    def events(self, code):
        return [fields for typ, fields in self.messages() if typ == t.EVENT and fields[f.EVENT_CODE] == code]

    def of(self, number):
        """One channel's readings: (kind, end, duration, reading)."""
        found = []
        for fields in self.readings():
            reading = fields[f.READINGS].get(number)
            if reading is not None:
                found.append((fields[f.KIND], fields[f.TIME_MS], fields[f.DURATION_MS], reading))
        return found


def energy_bench(opened=None, start_ms=NOON, **journal):
    """A meter with parameters and one instrument, which counts 60,000 an hour, 15,000 a quarter."""
    bench = Bench(**journal)
    bench.instruments = [bench.energy_meter()]
    bench.boot(start_ms)
    bench.apply(opened or parameter_set())
    return bench


def bench_of_two():
    """The same with two such instruments, each the register of one channel."""
    bench = Bench()
    bench.instruments = [bench.energy_meter(), bench.energy_meter(serial="B1")]
    bench.boot()
    bench.apply(
        parameter_set(
            channels=[channel(1, "energy"), channel(2, "energy", index=1)],
            instruments=[instrument(), instrument("B1", address=2)],
        )
    )
    return bench


def _fields(raw):
    return None if raw is None else messages.decode(t.PARAMETER_SET, cose.split(raw).payload)


def check_times(found):
    """Intervals do not overlap, and none contains a step of the clock; outages end inside or before the next."""
    end = None
    for typ, fields in found:
        if typ == t.EVENT and fields[f.EVENT_CODE] in (events.BOOT, events.CLOCK_SET):
            end = None
        if typ != t.READINGS:
            continue
        if fields[f.KIND] == f.KIND_OUTAGE:
            assert end is None or fields[f.TIME_MS] >= end
            continue
        start = fields[f.TIME_MS] - fields[f.DURATION_MS]
        assert end is None or start >= end, (start, end)
        end = fields[f.TIME_MS]


def heap():
    gc.collect()
    return gc.mem_alloc()
