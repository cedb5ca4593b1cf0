"""The whole firmware on a board that the test owns: real keys, real flash, a wire that the test holds the end of.

`AppBench.say(raw)` is what the gateway sends; `refused` and `taken` tell what became of it, and `state()` all
that no stranger may change.
"""

import asyncio
import os
import time

import vfs
from meter_bench import MINUTE, NOON, Ticks

from meter_firmware import blockdev
from meter_firmware.app import App
from meter_firmware.factory import FactoryRecord
from meter_firmware.links import LinkError
from meter_firmware.sealing import Sealer
from meter_firmware.signers.software import SoftwareSigner
from meter_firmware.software import GOLDEN
from meter_protocol import chain, cose, events, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.quantities import BY_NAME
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.journal_error import JournalError

METER_KEY = b"\x11" * 32
METER = Sealer(SoftwareSigner(METER_KEY))
AUTHORITY = Sealer(SoftwareSigner(b"\x22" * 32))
RECEIPTS = Sealer(SoftwareSigner(b"\x33" * 32))
CLOCK = Sealer(SoftwareSigner(b"\x44" * 32))
STRANGER = Sealer(SoftwareSigner(b"\x55" * 32))
_counter = [0]


class Wire:
    """The meter's link; `sent` are the frames it handed over, `largest` what it takes."""

    def __init__(self):
        self.connected = True
        self.sent = []
        self.receive = None
        self.largest = 8192
        self.frame_bytes = 4096

    async def send(self, frame):
        if len(frame) > self.largest:
            raise LinkError("frame_too_large")
        if not self.connected:
            return False
        self.sent.append(frame)
        return True

    async def run(self):
        while True:
            await asyncio.sleep_ms(1000)

    def messages(self, typ):
        found = []
        for frame in self.sent:
            for raw in cose.split_sequence(frame):
                sign1 = cose.split(raw)
                if sign1.typ == typ:
                    found.append(messages.decode(sign1.typ, sign1.payload))
        return found


class Energy64Bus:
    """The registers of an energy64 instrument, 60,000 Wh an hour; every address has the same."""

    KIND = "modbus"

    def __init__(self, ticks):
        self._ticks = ticks
        self.fault = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def read_holding(self, unit, address, count):
        await self.answers.wait()
        if self.fault is not None:
            raise InstrumentError(self.fault)
        words = [0] * count
        if address == 0:
            energy = 1000 + self._ticks.now // 60
            words[0:4] = [0, energy >> 32, (energy >> 16) & 0xFFFF, energy & 0xFFFF]
            words[22] = 5000
        else:
            for place, text in ((0, "maker"), (8, "model"), (16, "A1")):
                padded = text.encode() + bytes(16 - len(text))
                words[place : place + 8] = [padded[i] << 8 | padded[i + 1] for i in range(0, 16, 2)]
            words[24] = 1
        return b"".join([word.to_bytes(2, "big") for word in words])


class Clock(Ticks):
    """Virtual time goes no further than `limit`, where the meter waits in real time."""

    def __init__(self):
        super().__init__()
        self.limit = 0
        self.holds = None

    async def sleep_until(self, ticks, wake):
        while not wake.is_set() and (self.now >= self.limit or self.holds()):
            await asyncio.sleep_ms(1)
        await super().sleep_until(min(ticks, self.limit), wake)


class Board:
    maker = "test"
    model = "bench"
    hardware_id = None
    factory = FactoryRecord("T1", [AUTHORITY.cose_key], [])

    def __init__(self, journal_bytes=1 << 18):
        _counter[0] += 1
        self.name = "app" + str(_counter[0])
        self.journal_bytes = journal_bytes
        self.clock = Clock()
        self.wire = Wire()
        self.energy_bus = Energy64Bus(self.clock)
        self.said = []
        self.ended = False
        self.fed = 0
        self.real_ms = 0
        self._began = time.ticks_ms()
        self.mounted = False

    def link_ms(self):
        """Ten times as fast as the test's own time, and as much later as it likes."""
        return self.real_ms + 10 * time.ticks_diff(time.ticks_ms(), self._began)

    def random(self, size):
        return os.urandom(size)

    def say(self, line):
        self.said.append(line)

    def mount(self):
        self.power_off()
        blocks = self.journal_bytes * 5 // 4 // 4096 + 32
        blockdev.mount(blockdev.FileBlockDevice(self.name, blocks, 4096, False), "/" + self.name)
        self.mounted = True
        return "/" + self.name

    def power_off(self):
        if self.mounted:
            vfs.umount("/" + self.name)
            self.mounted = False

    def make_signer(self, memory):
        return SoftwareSigner(METER_KEY)

    update_site = None
    image_region = None

    def software_files(self):
        return []

    def provisioning_line(self):
        return None

    def bus(self, name):
        return {"bus0": self.energy_bus}[name]

    def make_link(self, kid):
        return self.wire

    def feed_watchdog(self):
        self.fed += 1

    def finished(self):
        return self.ended

    def drained_late(self):
        return True


def instrument(**other):
    return {
        f.INSTRUMENT_DRIVER: other.get("driver", "energy64"),
        f.INSTRUMENT_BUS: other.get("bus", "bus0"),
        f.INSTRUMENT_ADDRESS: other.get("address", 1),
        f.INSTRUMENT_SERIAL: other.get("serial", "A1"),
        f.INSTRUMENT_OPTIONS: other.get("options"),
    }


def channel(number=1, **other):
    return {
        f.CHANNEL_ID: number,
        f.CHANNEL_INSTRUMENT: other.get("index", 0),
        f.CHANNEL_INDICATION: other.get("indication", "active_energy_import"),
        f.CHANNEL_QUANTITY: BY_NAME[other.get("quantity", "active_energy_import")].code,
        f.CHANNEL_KIND: other.get("kind", f.CHANNEL_REGISTER),
        f.CHANNEL_EXPONENT: other.get("exponent", 0),
        f.CHANNEL_RATIO: other.get("ratio", 1),
        f.CHANNEL_MODULUS: other.get("modulus", 10**12),
        f.CHANNEL_MAX_STEP: None,
        f.CHANNEL_OPERATING_POINT: None,
        f.CHANNEL_EXTREMES: False,
    }


def set_fields(version=1, **other):
    return {
        f.VERSION: 1,
        f.TIME_MS: 0,
        f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
        f.CLOCK_UNCERTAINTY_MS: None,
        f.METER: METER.thumbprint,
        f.SET_VERSION: version,
        f.INTERVAL_S: 60,
        f.SAMPLE_PERIOD_MS: other.get("period_ms", 60000),
        f.INSTRUMENTS: other.get("instruments", [instrument()]),
        f.CHANNELS: other.get("channels", [channel()]),
        f.RECEIPT_KEYS: [RECEIPTS.cose_key],
        f.CLOCK_KEYS: [CLOCK.cose_key],
    }


def parameter_set(version=1, sealer=AUTHORITY, **other):
    fields = set_fields(version, **other)
    if "meter" in other:
        fields[f.METER] = other["meter"]
    return sealer.seal(t.PARAMETER_SET, fields)[0]


def answer(typ, body, sealer):
    fields = {
        f.VERSION: 1,
        f.TIME_MS: NOON,
        f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
        f.CLOCK_UNCERTAINTY_MS: 10,
        f.METER: METER.thumbprint,
    }
    fields.update(body)
    return sealer.seal(typ, fields)[0]


class AppBench:
    def __init__(self, journal_bytes=1 << 18):
        self.board = Board(journal_bytes)
        self.boot()

    def boot(self, running=GOLDEN):
        self.app = App(self.board, running)
        self.log, self.journal = self.app._log, self.app._log.journal
        self.clock, self.inbox = self.app._clock, self.app._inbox
        return self

    def run(self, until, *actions):
        """Run all tasks until virtual time is there, once in a boot; `actions` come first, each in its turn."""
        assert not self.app._meter._stopping
        asyncio.run(self._run(until, actions))
        return self

    async def _run(self, until, actions):
        task = asyncio.create_task(self.app.run())
        await asyncio.sleep_ms(30)
        for action in actions:
            action()
            await self._settled()
        self.board.clock.limit = until
        while self.board.clock.now < until and not task.done():
            await asyncio.sleep_ms(5)
        await asyncio.sleep_ms(30)
        self.board.ended = True
        try:
            await task
        finally:
            self.board.ended = False

    async def _settled(self):
        """80 ms, and on a busy computer as much more as a meter with parameters needs to ask for the time."""
        await asyncio.sleep_ms(80)
        for _ in range(1000):
            has_asked = self.clock.pending_nonce is not None or not self.app._wants_time()
            if self.app._meter.parameters is None or not self.app._link.connected or has_asked:
                return
            await asyncio.sleep_ms(5)

    # The gateway's side

    def say(self, *raws):
        """Hand payloads in; the reasons of what was refused."""
        before = dict(self.inbox.refused)
        for raw in raws:
            self.inbox.receive(raw)
        return sorted(
            [reason for reason in self.inbox.refused if self.inbox.refused[reason] > before.get(reason, 0)]
        )

    def receipt(self, sequence=None, sealer=RECEIPTS, **other):
        sequence = self.log.sequence if sequence is None else sequence
        sign1 = cose.split(self.journal.read(self.log.epoch, sequence))
        body = {
            f.EPOCH: other.get("epoch", self.log.epoch),
            f.SEQUENCE: sequence,
            f.HASH: other.get("digest", chain.message_hash(sign1.protected, sign1.payload)),
            f.METER: other.get("meter", METER.thumbprint),
        }
        return answer(t.RECEIPT, body, sealer)

    def time_reply(self, sealer=CLOCK, nonce=None, **other):
        body = {
            f.NONCE: nonce or self.clock.pending_nonce,
            f.TIME_MS: other.get("time_ms", NOON),
            f.CLOCK_STATUS: other.get("status", f.CLOCK_SYNCHRONISED),
            f.CLOCK_UNCERTAINTY_MS: other.get("uncertainty_ms", 10),
            f.METER: other.get("meter", METER.thumbprint),
        }
        return answer(t.TIME_REPLY, body, sealer)

    def ask(self):
        asyncio.run(self.app._ask_time())

    # The meter's side

    def state(self):
        """What no stranger may change."""
        return (
            self.log.sequence,
            self.journal.first_unreceipted,
            self.clock.stamp(self.board.clock.now),
            self.app._meter.newest_version,
            self.app._delivery._cursor,
        )

    def events(self, code):
        found = []
        for _, _, raw in self.journal.records():
            sign1 = cose.split(raw)
            if sign1.typ == t.EVENT:
                fields = messages.decode(sign1.typ, sign1.payload)
                if fields[f.EVENT_CODE] == code:
                    found.append(fields[f.DETAILS])
        return found

    def event_names(self):
        names = []
        for _, _, raw in self.journal.records():
            sign1 = cose.split(raw)
            if sign1.typ == t.EVENT:
                names.append(events.NAMES[messages.decode(sign1.typ, sign1.payload)[f.EVENT_CODE]])
        return names

    def readings(self):
        found = []
        for _, _, raw in self.journal.records():
            sign1 = cose.split(raw)
            if sign1.typ == t.READINGS:
                found.append(messages.decode(sign1.typ, sign1.payload))
        return found


def commissioned(minutes=3):
    """A meter with parameters, a clock and some readings, all of them still waiting for a receipt."""
    bench = AppBench()
    bench.run(minutes * MINUTE, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()))
    assert bench.app._meter.parameters[f.SET_VERSION] == 1
    assert bench.clock.is_set
    return bench


def flipped(raw, place):
    changed = bytearray(raw)
    changed[place] ^= 1
    return bytes(changed)


def high_s(raw):
    """The twin of a signature that ECDSA allows and we do not."""
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    return raw[:-32] + (n - int.from_bytes(raw[-32:], "big")).to_bytes(32, "big")


def refused_and_unchanged(bench, raw, reason):
    before = bench.state()
    assert bench.say(raw) == [reason]
    assert bench.state() == before, reason


def fill(bench):
    """No room at all, the reserve included."""
    try:
        while True:
            bench.log.event(events.SELF_TEST_FAILED, {events.REASON: "full"}, 0)
    except JournalError as error:
        if error.reason != "journal_full":
            raise


async def deliver(bench):
    task = asyncio.create_task(bench.app._delivery.run())
    await asyncio.sleep_ms(50)
    task.cancel()
