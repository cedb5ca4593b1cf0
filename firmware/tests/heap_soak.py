"""Run by test_heap.py in an interpreter of its own: a meter seals so many intervals, and its heap is watched.

Arguments: intervals, and "import" to load the code and stop. Prints lines of `name value`. What stays on a host
(flash and gateway) is kept as small as it can be, and what a board has beside it (the buffers of its MQTT link) is
there, though nothing is sent through them.
"""

import asyncio
import gc
import os
import sys

import vfs

from meter_firmware import blockdev
from meter_firmware.app import App
from meter_firmware.factory import FactoryRecord
from meter_firmware.links.backoff import Backoff
from meter_firmware.links.mqtt import MqttLink
from meter_firmware.sealing import Sealer
from meter_firmware.sensors import driver_class
from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import chain, cose, messages, topics
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.quantities import BY_NAME

REGISTERS = ("active_energy_import", "reactive_energy_lagging", "reactive_energy_leading")
MEANS = (
    "active_power",
    "reactive_power",
    "voltage",
    "current",
    "frequency",
    "power_factor_lagging",
    "power_factor_leading",
)
INTERVAL_S = 900
PERIOD_MS = 300000
NOON = 1700000000000
SETTLED = 500
"""Intervals after which a meter has everything that it needs: the journal has been round its flash."""

WATCH = 50

driver_class("energy64")


def alive():
    gc.collect()
    return gc.mem_alloc()


CODE = alive()


class Instrument:
    """An energy64 meter whose registers follow from the time."""

    KIND = "modbus"

    def __init__(self, clock):
        self._clock = clock
        self._identity = b"".join(text + bytes(16 - len(text)) for text in (b"maker", b"model", b"A1")) + b"\0\1"

    async def read_holding(self, unit, address, count):
        if address:
            return self._identity
        energy = 1000 + self._clock.now // 1000
        values = bytearray(46)
        for place in (0, 8, 16):
            values[place : place + 8] = energy.to_bytes(8, "big")
        values[44:46] = b"\x13\x88"
        return bytes(values)


class Clock:
    """Virtual time, as fast as it goes; the other tasks have their turn at each step."""

    def __init__(self):
        self.now = 0
        self.holds = None

    def ticks_ms(self):
        return self.now

    async def sleep_until(self, ticks, wake):
        await asyncio.sleep_ms(0)
        while self.holds() and not wake.is_set():
            await asyncio.sleep_ms(1)
        if not wake.is_set():
            self.now = max(self.now, ticks)


class Gateway:
    """The other end: it takes what is sent and answers with receipts, and with the time when asked."""

    def __init__(self):
        self.connected = True
        self.receive = None
        self.readings = 0
        self.meter = None
        self._answering = None
        self.frame_bytes = 4096
        self._receipts = Sealer(SoftwareSigner(b"\x33" * 32))
        self._clock = Sealer(SoftwareSigner(b"\x44" * 32))
        self._authority = Sealer(SoftwareSigner(b"\x22" * 32))

    async def run(self):
        while True:
            await asyncio.sleep_ms(1000)

    async def send(self, frame):
        self._answering = asyncio.create_task(self._answer(cose.split_sequence(frame)))
        return True

    async def _answer(self, raws):
        newest = None
        for raw in raws:
            sign1 = cose.split(raw)
            fields = messages.decode(sign1.typ, sign1.payload)
            if sign1.typ == t.TIME_REQUEST:
                self._say(self._clock, t.TIME_REPLY, {f.NONCE: fields[f.NONCE]})
                continue
            self.readings += sign1.typ == t.READINGS
            newest = fields, chain.message_hash(sign1.protected, sign1.payload)
        if newest is not None:
            fields, digest = newest
            place = {f.EPOCH: fields[f.EPOCH], f.SEQUENCE: fields[f.SEQUENCE], f.HASH: digest}
            self._say(self._receipts, t.RECEIPT, place)

    def _say(self, sealer, typ, body):
        fields = {
            f.VERSION: 1,
            f.TIME_MS: NOON + self.clock.now,
            f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
            f.CLOCK_UNCERTAINTY_MS: 10,
            f.METER: self.meter,
        }
        fields.update(body)
        self.receive(sealer.seal(typ, fields)[0])

    def parameters(self):
        channels = []
        for name in REGISTERS + MEANS:
            quantity, exponent, modulus, _ = driver_class("energy64").INDICATIONS[name]
            channels.append(
                {
                    f.CHANNEL_ID: len(channels) + 1,
                    f.CHANNEL_INSTRUMENT: 0,
                    f.CHANNEL_INDICATION: name,
                    f.CHANNEL_QUANTITY: BY_NAME[quantity].code,
                    f.CHANNEL_KIND: f.CHANNEL_REGISTER if name in REGISTERS else f.CHANNEL_MEAN,
                    f.CHANNEL_EXPONENT: exponent,
                    f.CHANNEL_RATIO: 1,
                    f.CHANNEL_MODULUS: modulus,
                    f.CHANNEL_MAX_STEP: None,
                    f.CHANNEL_OPERATING_POINT: None,
                    f.CHANNEL_EXTREMES: False,
                }
            )
        instrument = {
            f.INSTRUMENT_DRIVER: "energy64",
            f.INSTRUMENT_BUS: "bus",
            f.INSTRUMENT_ADDRESS: 1,
            f.INSTRUMENT_SERIAL: "A1",
            f.INSTRUMENT_OPTIONS: None,
        }
        self._say(
            self._authority,
            t.PARAMETER_SET,
            {
                f.SET_VERSION: 1,
                f.INTERVAL_S: INTERVAL_S,
                f.SAMPLE_PERIOD_MS: PERIOD_MS,
                f.INSTRUMENTS: [instrument],
                f.CHANNELS: channels,
                f.RECEIPT_KEYS: [self._receipts.cose_key],
                f.CLOCK_KEYS: [self._clock.cose_key],
            },
        )


class Board:
    maker = "test"
    model = "soak"
    hardware_id = None
    journal_bytes = 1 << 17

    def __init__(self, intervals):
        self.clock = Clock()
        self.gateway = Gateway()
        self.gateway.clock = self.clock
        self.factory = FactoryRecord("T1", [self.gateway._authority.cose_key], [])
        self._intervals = intervals
        self._instrument = Instrument(self.clock)
        self._buffers = MqttLink(
            None, Backoff(lambda limit: 0), "meter", topics.up(bytes(8)), topics.down(bytes(8))
        )
        self._watched = 0
        self.settled = 0
        self.highest = 0

    def link_ms(self):
        return self.clock.now

    def random(self, size):
        return os.urandom(size)

    def say(self, line):
        pass

    def mount(self):
        blocks = self.journal_bytes * 5 // 4 // 4096 + 32
        blockdev.mount(blockdev.FileBlockDevice("flash", blocks, 4096, False), "/soak")
        return "/soak"

    def make_signer(self, memory):
        return SoftwareSigner(b"\x11" * 32)

    update_site = None
    image_region = None

    def software_files(self):
        return []

    def provisioning_line(self):
        return None

    def bus(self, name):
        return {"bus": self._instrument}[name]

    def make_link(self, kid):
        self._buffers = MqttLink(None, Backoff(lambda limit: 0), "meter", topics.up(kid), topics.down(kid))
        return self.gateway

    def feed_watchdog(self):
        pass

    def finished(self):
        self._watch(self.gateway.readings)
        return self.gateway.readings >= self._intervals

    def drained_late(self):
        return True

    def _watch(self, readings):
        if readings < self._watched + WATCH:
            return
        self._watched = readings
        used = alive()
        if readings < SETTLED:
            return
        # What is in flight differs between moments: the highest of the first ones is held against that of all.
        if readings < 2 * SETTLED:
            self.settled = max(self.settled, used)
        self.highest = max(self.highest, used)
        if readings % 5000 < WATCH:
            print("at", readings, used - CODE)


async def soak(board):
    app = App(board)
    board.gateway.meter = app._sealer.thumbprint
    running = asyncio.create_task(app.run())
    await asyncio.sleep_ms(50)
    board.gateway.parameters()
    await running


def main():
    print("code", CODE)
    if sys.argv[2:] == ["import"]:
        return
    board = Board(int(sys.argv[1]))
    asyncio.run(soak(board))
    print("intervals", board.gateway.readings)
    print("settled", board.settled - CODE)
    print("highest", board.highest - CODE)
    vfs.umount("/soak")


main()
