"""MH-Z19 and K30: published exchanges (shared metrology vectors, `mhz19` and `modbus_ok`) and their ruin."""

from corruption import check_every_beginning, check_every_bit, check_every_single_byte, reason_of

from meter_sampling.drivers import k30, mhz19
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.modbus_frames import crc16

MHZ19_REPLY = bytes.fromhex("FF86026047000000D1")


def with_crc(body):
    crc = crc16(body)
    return body + bytes((crc & 0xFF, crc >> 8))


K30_REPLY = with_crc(bytes.fromhex("FE44020190"))


def k30_co2(received):
    return k30.reply(received, 2)


def test_the_published_exchange_of_the_mhz19():
    assert bytes.fromhex("FF0186000000000079") == mhz19.REQUEST
    assert mhz19.checksum(mhz19.REQUEST) == 0x79
    assert mhz19.convert(MHZ19_REPLY) == 608


def test_the_published_request_of_the_k30():
    assert k30.request(k30.CO2) == bytes.fromhex("FE440008029F25")
    assert k30.convert(k30_co2(K30_REPLY)) == 400


def test_every_beginning_is_waited_for():
    check_every_beginning(mhz19.convert, MHZ19_REPLY)
    check_every_beginning(k30_co2, K30_REPLY)


def test_every_single_byte_error_is_refused():
    for parse, good in ((mhz19.convert, MHZ19_REPLY), (k30_co2, K30_REPLY)):
        check_every_single_byte(parse, good)
        check_every_bit(parse, good)


def test_each_wrong_reply_has_its_reason():
    for parse, reason, received in (
        (mhz19.convert, "bad_header", b"\xfe" + MHZ19_REPLY[1:]),
        (mhz19.convert, "bad_header", b"\xff\x87"),
        (mhz19.convert, "bad_checksum", MHZ19_REPLY[:-1] + b"\xd2"),
        (mhz19.convert, "trailing_bytes", MHZ19_REPLY + b"\x00"),
        (k30_co2, "bad_header", b"\xfe\x04"),
        (k30_co2, "bad_header", with_crc(bytes.fromhex("FE440100"))),
        (k30_co2, "bad_crc", K30_REPLY[:-1] + bytes((K30_REPLY[-1] ^ 1,))),
        (k30_co2, "trailing_bytes", K30_REPLY + b"\x00"),
    ):
        assert reason_of(parse, received) == reason, (reason, received)


class Sensor:
    def __init__(self, *replies):
        self.replies = list(replies)

    async def exchange(self, frame, parse):
        return parse(self.replies.pop(0))


async def test_a_status_bit_makes_the_value_unusable():
    driver = k30.define(None)(Sensor(with_crc(b"\xfe\x44\x01\x00"), K30_REPLY), 0xFE)
    assert await driver.read() == {"co2_fraction": 400}
    driver = k30.define(None)(Sensor(with_crc(b"\xfe\x44\x01\x24"), K30_REPLY), 0xFE)
    assert await driver.read() == {"co2_fraction": None}
    assert driver.faults == {"co2_fraction": "algorithm_error"}


async def test_what_lies_outside_the_range_is_no_value():
    driver = mhz19.define([["range", 2000]])(Sensor(MHZ19_REPLY), 1)
    assert await driver.read() == {"co2_fraction": 608}
    for co2 in (b"\x07\xd1", b"\x00\x00"):
        body = b"\xff\x86" + co2 + bytes(4)
        driver = mhz19.define([["range", 2000]])(Sensor(body + bytes((mhz19.checksum(body),))), 1)
        assert await driver.read() == {"co2_fraction": None}
        assert driver.faults == {"co2_fraction": "out_of_range"}


def test_options_that_mean_nothing_are_refused():
    for define, options in (
        (mhz19.define, [["range", 3000]]),
        (mhz19.define, [["range"]]),
        (mhz19.define, [["span", 2000]]),
        (k30.define, []),
    ):
        try:
            define(options)
            raise AssertionError(options)
        except InstrumentError as error:
            assert error.reason == "options"
