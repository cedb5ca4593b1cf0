"""What the I2C drivers put on the bus, and when: a controller keeps a record and says what a test tells it."""

import asyncio

from meter_firmware import sensors
from meter_firmware.buses.i2c import I2cBus
from meter_firmware.sensors.sensirion_words import command, crc8
from meter_sampling.instrument_error import InstrumentError


class Ticks:
    """Time that passes only in pauses."""

    def __init__(self):
        self.ms = 0

    def now(self):
        return self.ms

    def since(self, earlier):
        return self.ms - earlier

    async def pause_ms(self, span_ms):
        self.ms += span_ms
        await asyncio.sleep_ms(0)


class Adc:
    """An ADS1115 whose conversion takes `looks` looks at its settings; until then the last result is in place."""

    def __init__(self, looks):
        self.looks = looks
        self.settings = 0x8583

    def writeto_mem(self, address, register, content):
        assert (address, register) == (0x48, 1)
        self.settings = (content[0] << 8 | content[1]) & 0x7FFF

    def readfrom_mem(self, address, register, count):
        if register == 0:
            return b"\x25\x80" if self.looks < 0 else b"\x40\x00"
        self.looks -= 1
        return (self.settings | (0x8000 if self.looks < 0 else 0)).to_bytes(2, "big")


ROWS = [["flue", "differential_pressure", 0, 100000, -1, 0, 10000]]


async def test_a_conversion_is_waited_for_and_the_last_one_is_not_its_result():
    for looks in range(4):
        driver = sensors.make("current_loop", I2cBus(Adc(looks), Ticks()), 0x48, ROWS)
        assert await driver.read() == {"flue": 5000}, looks
    driver = sensors.make("current_loop", I2cBus(Adc(4), Ticks()), 0x48, ROWS)
    try:
        await driver.read()
        raise AssertionError
    except InstrumentError as error:
        assert error.reason == "not_ready"


class Scd30:
    """Answers the commands of `words`; keeps what it is told."""

    def __init__(self, words):
        self.words = words
        self.told = []

    def writeto(self, address, frame):
        assert address == 0x61
        self.told.append(frame)
        self.asked = frame[0] << 8 | frame[1]
        return len(frame)

    def readfrom(self, address, count):
        said = self.words[self.asked].to_bytes(2, "big")
        return said + bytes((crc8(said),))


async def test_the_scd30s_memory_is_written_only_where_it_differs():
    for interval, calibration, expected in ((2, 0, []), (5, 1, [(0x4600, 2), (0x5306, 0)]), (2, 1, [(0x5306, 0)])):
        chip = Scd30({0xD100: 0x0342, 0x4600: interval, 0x5306: calibration})
        driver = sensors.make("scd30", I2cBus(chip, Ticks()), 0x61)
        await driver.identify()
        written = [frame for frame in chip.told if len(frame) == 5]
        assert written == [command(code, value) for code, value in expected] + [bytes.fromhex("0010000081")]
        await driver.identify()
        assert len([frame for frame in chip.told if len(frame) == 5]) == len(written)


class Deaf(Scd30):
    def writeto(self, address, frame):
        return len(frame) - 1


async def test_a_byte_that_is_not_acknowledged_is_no_answer():
    driver = sensors.make("scd30", I2cBus(Deaf({0xD100: 0}), Ticks()), 0x61)
    try:
        await driver.identify()
        raise AssertionError
    except InstrumentError as error:
        assert error.reason == "no_response"


async def test_nobody_speaks_between_a_command_and_its_answer():
    chip = Scd30({0xD100: 0x0342, 0x4600: 2, 0x5306: 0})
    order = []
    write, read = chip.writeto, chip.readfrom
    chip.writeto = lambda address, frame: order.append("write") or write(address, frame)
    chip.readfrom = lambda address, count: order.append("read") or read(address, count)
    bus = I2cBus(chip, Ticks())
    drivers = [sensors.make("scd30", bus, 0x61) for _ in range(3)]
    await asyncio.gather(*[driver.identify() for driver in drivers])
    for at in range(len(order)):
        # A read always follows its own command; only the three starts have no answer.
        assert order[at] == "write" or order[at - 1] == "write"
    assert order.count("read") == 9
