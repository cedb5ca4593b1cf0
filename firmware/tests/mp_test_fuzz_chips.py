"""Replies of chips on I2C, 1-Wire and SPI, and edges on pulse inputs, through the real bus objects."""

import asyncio
import errno
import random
import struct

from corruption import hostile, noise
from driver_examples import EXAMPLES
from fuzzing import campaign
from instrument_attack import Attack, Liar

from meter_firmware import sensors
from meter_firmware.buses.i2c import I2cBus
from meter_firmware.buses.onewire import OneWireBus, crc8
from meter_firmware.buses.pulse import PulseInputs
from meter_firmware.buses.spi import SpiBus
from meter_firmware.sensors import atm90e32, sensirion_words

atm90e32.RESET_MS = 0

TURNS = 4
"""Of the event loop, in which a background conversion has gone on."""


class Ticks:
    """Time that passes only in pauses."""

    def __init__(self):
        self.ms = 0
        self._resumed = 0

    def now(self):
        return self.ms

    def since(self, earlier):
        return self.ms - earlier

    async def pause_ms(self, span_ms):
        self.ms += span_ms
        await asyncio.sleep_ms(0)

    async def pass_on(self):
        assert self.ms - self._resumed < 10000, self.ms - self._resumed
        for _ in range(TURNS):
            await asyncio.sleep_ms(0)
        self.ms += 700
        self._resumed = self.ms


def of_size(frame, size):
    """A controller gives as many bytes as it is asked for, whatever the chip does."""
    return (frame + noise(size))[:size]


# I2C


def said(*words):
    return b"".join(
        [word.to_bytes(2, "big") + bytes((sensirion_words.crc8(word.to_bytes(2, "big")),)) for word in words]
    )


def with_word_crcs(frame):
    return b"".join(
        [frame[at : at + 2] + bytes((sensirion_words.crc8(frame[at : at + 2]),)) for at in range(0, len(frame), 3)]
    )


SENSIRION = {
    "scd30": {
        0xD100: said(0x0342),
        0x4600: said(2),
        0x5306: said(0),
        0x0202: said(1),
        0x0300: bytes.fromhex("43DBCB8C2E8F41D970E7FFF54243BF3A1B74"),
    },
    "scd41": {
        0x3682: bytes.fromhex("F896319F07C23BBE89"),
        0x2313: said(0),
        0xE4B8: said(0x8006),
        0xEC05: bytes.fromhex("01F4336667A25EB93C"),
    },
    "sdp8xx": {0xE102: said(0x0302, 0x0A01, 0, 0x0A1B, 0x2C3D, 0x4E5F), 0x3615: said(0x1CDE, 0x10CC, 60)},
}


class Controller:
    """Like machine.I2C, with one chip that answers honestly or not."""

    def __init__(self, liar):
        self._liar = liar

    def _hand_over(self, honest, size, repair=None, others=()):
        if not self._liar.lies():
            return of_size(honest, size)
        if random.randrange(6) == 0:
            raise OSError(errno.ENODEV)
        return of_size(hostile(honest, others, repair), size)

    def _accepts(self, frame):
        """What a writeto gives: the number of bytes that were acknowledged."""
        if not self._liar.lies():
            return len(frame)
        if random.getrandbits(1):
            raise OSError(errno.EIO)
        return random.randrange(len(frame) + 1)


class SensirionChip(Controller):
    def __init__(self, liar, replies):
        super().__init__(liar)
        self._replies = replies
        self._code = 0

    def writeto(self, address, frame):
        accepted = self._accepts(frame)
        self._code = frame[0] << 8 | frame[1]
        return accepted

    def readfrom(self, address, count):
        others = tuple(self._replies[code] for code in sorted(self._replies))
        return self._hand_over(self._replies.get(self._code, b""), count, with_word_crcs, others)


class RegisterChip(Controller):
    """Registers of one byte or more, by their address."""

    def __init__(self, liar, registers):
        super().__init__(liar)
        self._registers = registers

    def writeto_mem(self, address, register, content):
        self._accepts(content)
        self._registers[register] = bytes(content)

    def readfrom_mem(self, address, register, count):
        content = b""
        while len(content) < count:
            content += self._registers.get(register + len(content), b"\x00")
        return self._hand_over(content, count)


def bme280(liar):
    trimming = struct.pack(
        "<HhhHhhhhhhhh", 27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000
    )
    registers = {
        0xD0: b"\x60",
        0x88: trimming + bytes((0, 75)),
        0xE1: struct.pack("<h", 361) + bytes((0, 323 >> 4, 323 & 15 | (50 & 15) << 4, 50 >> 4, 30)),
        0xF7: (415148 << 4).to_bytes(3, "big") + (519888 << 4).to_bytes(3, "big") + (27000).to_bytes(2, "big"),
    }
    return RegisterChip(liar, registers)


class Ads1115(RegisterChip):
    def __init__(self, liar):
        super().__init__(liar, {0: b"\x25\x80", 1: b"\x85\x83", 2: b"\x80\x00", 3: b"\x7f\xff"})

    def readfrom_mem(self, address, register, count):
        return self._hand_over(self._registers[register], count)


CHIPS = {
    "bme280": bme280,
    "current_loop": Ads1115,
    "scd30": lambda liar: SensirionChip(liar, SENSIRION["scd30"]),
    "scd41": lambda liar: SensirionChip(liar, SENSIRION["scd41"]),
    "sdp8xx": lambda liar: SensirionChip(liar, SENSIRION["sdp8xx"]),
}


async def test_i2c_replies_end_in_values_within_limits_or_a_listed_reason():
    for name in sorted(CHIPS):
        liar, ticks = Liar(), Ticks()
        bus = I2cBus(CHIPS[name](liar), ticks)
        attacked = await Attack(name, EXAMPLES[name][-1], bus, liar, ticks.pass_on).run("i2c chips", len(CHIPS))
        assert len(attacked.reasons) >= 4, (name, attacked.reasons)


# 1-Wire

ROM = bytes.fromhex("280000075A1BFF73")
SCRATCHPAD = bytes.fromhex("50054B467FFF0C10")


def with_crc8(frame):
    body = frame[:8]
    return body + bytes((crc8(body),))


class Thermometer:
    """Like onewire.OneWire, with one DS18B20 or what passes for it."""

    def __init__(self, liar):
        self._liar = liar
        self._heard = b""
        self._saying = b""

    def reset(self):
        self._heard = b""
        if self._liar.lies():
            if random.getrandbits(1):
                raise OSError(errno.EIO)
            return False
        return True

    def writebyte(self, value):
        self._heard += bytes((value,))
        if value == 0xBE:
            self._saying = with_crc8(SCRATCHPAD)
            if self._liar.lies():
                self._saying = of_size(hostile(self._saying, (ROM,), with_crc8), 9)

    def readbyte(self):
        first, self._saying = self._saying[:1], self._saying[1:]
        return first[0] if first else 0xFF

    def scan(self):
        if not self._liar.lies():
            return [ROM]
        return [bytearray(with_crc8(hostile(ROM) + bytes(8))) for _ in range(random.randrange(4))]


async def test_1_wire_replies_end_in_values_within_limits_or_a_listed_reason():
    for example in EXAMPLES["ds18b20"]:
        liar, ticks = Liar(), Ticks()
        bus = OneWireBus(Thermometer(liar), ticks)
        attacked = Attack("ds18b20", example, bus, liar, ticks.pass_on)
        await attacked.run("1-wire", len(EXAMPLES["ds18b20"]), "" if example[1] is None else " rom")
        assert len(attacked.reasons) >= 3, attacked.reasons
        # Its background conversions end when nobody reads any more.
        ticks.ms += 10**9
        for _ in range(5 * TURNS):
            await asyncio.sleep_ms(0)
        assert attacked.driver._task is None


# SPI


class Select:
    def value(self, level):
        pass


class FrontEnd:
    """The registers of an ATM90E32 behind machine.SPI."""

    def __init__(self, liar):
        self._liar = liar
        self._words = {0xD9: 23000, 0xF8: 5000, 0xBC: 1000}
        self._last = 0

    def write_readinto(self, out, into):
        register = out[1]
        if out[0] & 0x80:
            if register != 0x78:
                self._last = self._words.get(register, 0)
        else:
            self._last = out[2] << 8 | out[3]
            self._words[register] = self._last
        reply = b"\x00\x00" + self._last.to_bytes(2, "big")
        if random.randrange(30) == 0 and self._liar.lies():
            kind = random.randrange(4)
            if kind == 0:
                raise OSError(errno.EIO)
            if kind == 1:
                # A chip that is wrong and consistent: what it repeats is what it said.
                self._last = random.getrandbits(16)
            reply = of_size(hostile(reply), 4)
        into[:] = reply


async def test_a_front_ends_replies_end_in_values_within_limits_or_a_listed_reason():
    for example in EXAMPLES["atm90e32"]:
        liar, ticks = Liar(), Ticks()
        bus = SpiBus(FrontEnd(liar), [Select(), Select()])
        attacked = Attack("atm90e32", example, bus, liar, ticks.pass_on)
        await attacked.run("spi front end", len(EXAMPLES["atm90e32"]), " " + str(example[0]))
        assert len(attacked.reasons) >= 3, attacked.reasons


# Pulses


async def test_no_edges_make_a_count_go_back_or_ahead_of_the_contact():
    example = EXAMPLES["pulse"][0]
    now = [0]
    bus = PulseInputs([0, 1], lambda: now[0] & 0x3FFFFFFF, lambda: now[0] // 1000 & 0x3FFFFFFF)
    driver = sensors.make("pulse", bus, *example)
    edges = [0]
    shown = [0]
    flagged = [0]

    async def attack():
        for _ in range(random.randrange(12)):
            now[0] += random.choice((0, 1, 50, 29999, 30000, 200000, 5000000, 1 << 29))
            early = random.choice((0, 0, 0, 1, 1000000))
            bus.edge(random.randrange(2), random.getrandbits(1), (now[0] - early) & 0x3FFFFFFF)
            edges[0] += 1
        values = await driver.read()
        count = bus.counted(0)
        assert shown[0] <= count <= edges[0], (shown, count, edges)
        shown[0] = count
        flagged[0] += values["energy"] is None
        assert values["energy"] is not None or driver.faults == {"energy": "out_of_range"}
        return 1

    await campaign("pulse inputs", attack)
    assert shown[0]
    # Three clean pulses are three.
    before = bus.count(0)
    for _ in range(3):
        for level in (0, 1, 0):
            now[0] += 100000
            bus.edge(0, level, now[0] & 0x3FFFFFFF)
    assert before + 3 <= bus.count(0) <= before + 4
