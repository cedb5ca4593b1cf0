"""CJ/T 188: published frames, every way a reply can be wrong, units and options.

The request is that of the shared metrology vectors (block `cjt188_req`). The replies circulate with the wrong
checksums 08 and 91: as printed they are refused, and their values are those that are printed with them.
"""

from corruption import check_every_beginning, check_every_bit, check_every_single_byte, reason_of

from meter_sampling.drivers import cjt188
from meter_sampling.drivers.bcd import to_bcd

METER = bytes.fromhex("44332211003378")
WATER_CONTENT = bytes.fromhex("1F9000007766552C007766552C310122110515202184")
HEAT_CONTENT = bytes.fromhex(
    "1F9000785634120578563412057856341217785634123578563412 2C563412563412563412201403181256590000".replace(
        " ", ""
    )
)


def framed(content, control=0x81, meter=METER, meter_type=0x10):
    frame = bytes((0x68, meter_type)) + meter + bytes((control, len(content))) + content
    return frame + bytes((sum(frame) & 0xFF, 0x16))


def with_checksum(frame):
    return frame[:-2] + bytes((sum(frame[:-2]) & 0xFF,)) + frame[-1:]


WATER = framed(WATER_CONTENT)


def volume(received):
    answer = cjt188.reply(received, 0x10, METER)
    return None if answer is None else cjt188.convert(answer[1], 0x10, "kWh")


def test_the_request_as_published():
    assert cjt188.request(0x10, METER) == bytes.fromhex("68104433221100337801031F90008016")


def test_the_reply_that_circulates_has_a_wrong_checksum():
    assert reason_of(volume, WATER[:-2] + b"\x08\x16") == "bad_checksum"
    assert WATER[-2] == 0x13
    assert volume(WATER) == ({"volume": 55667700}, {})
    assert volume(b"\xfe\xfe\xfe\xfe" + WATER) == ({"volume": 55667700}, {})


def test_the_heat_meter_that_circulates():
    """123456.78 kWh, kW and m3, 1234.56 degrees; the flow has the norm's four decimals."""
    frame = framed(HEAT_CONTENT, meter_type=0x20)
    address, content = cjt188.reply(frame, 0x20, cjt188.ANYONE)
    assert address == METER
    assert cjt188.convert(content, 0x20, "kWh") == (
        {
            "heat": 12345678 * 36,
            "thermal_power": 12345678 * 1000,
            "volume_flow": 12345678 * 1000,
            "volume": 12345678,
            "flow_temperature": 123456,
            "return_temperature": 123456,
        },
        {},
    )
    assert reason_of(cjt188.reply, frame[:-2] + b"\x91\x16", 0x20, METER) == "bad_checksum"


def test_every_beginning_is_waited_for():
    check_every_beginning(volume, WATER)
    check_every_beginning(volume, b"\xfe\xfe\x68\x00" + WATER)
    check_every_beginning(volume, cjt188.request(0x10, METER) + WATER)


def test_every_single_byte_error_is_refused():
    check_every_single_byte(volume, WATER)
    check_every_bit(volume, WATER)


def test_the_checksum_may_be_the_stop_byte():
    found = 0
    for number in range(0, 10**8, 99991):
        content = WATER_CONTENT[:3] + to_bcd("%08d" % number) + WATER_CONTENT[7:]
        frame = framed(content)
        found += frame[-2] == 0x16
        assert volume(frame) == ({"volume": number}, {})
    assert found


def test_each_wrong_reply_has_its_reason():
    other = bytes.fromhex("45332211003378")
    cases = (
        ("bad_checksum", WATER[:-2] + b"\x14\x16"),
        ("bad_stop", WATER[:-1] + b"\x17"),
        ("trailing_bytes", WATER + b"\x00"),
        ("trailing_bytes", WATER + WATER),
        ("wrong_address", framed(WATER_CONTENT, meter=other)),
        ("wrong_function", framed(WATER_CONTENT, 0x83)),
        ("instrument_refused", framed(b"\x01\x00\x00", 0xC1)),
        ("instrument_refused", framed(b"", 0xC1)),
        ("wrong_item", framed(b"\x90\x1f" + WATER_CONTENT[2:])),
        ("wrong_item", framed(b"\x1f\x90\x01" + WATER_CONTENT[3:])),
        ("wrong_item", framed(b"")),
        ("wrong_length", framed(WATER_CONTENT[:-1])),
        ("wrong_length", framed(WATER_CONTENT + b"\x00")),
    )
    for reason, frame in cases:
        assert reason_of(volume, frame) == reason, (reason, frame)


def test_a_meter_of_another_type_is_not_heard():
    assert volume(framed(WATER_CONTENT, meter_type=0x11)) is None


def test_units():
    water = bytearray(WATER_CONTENT)
    water[7] = 0x29
    assert volume(framed(bytes(water))) == ({"volume": None}, {"volume": "unit"})
    water[7], water[6] = 0x2C, 0xFF
    assert volume(framed(bytes(water))) == ({"volume": None}, {})
    for place, unit, name, value in (
        (12, 0x08, "heat", None),
        (17, 0x14, "thermal_power", 12345678),
        (17, 0x1A, "thermal_power", 12345678 * 10**6),
        (17, 0x05, "thermal_power", None),
        (22, 0x32, "volume_flow", 12345678),
        (22, 0x2C, "volume_flow", None),
        (27, 0x29, "volume", None),
    ):
        heat = bytearray(HEAT_CONTENT)
        heat[place] = unit
        values, faults = cjt188.convert(bytes(heat), 0x20, "kWh")
        assert values[name] == value, (place, unit)
        assert faults == ({name: "unit"} if value is None else {})
    for name, code, factor in (("MWh", 0x08, 36), ("MJ", 0x0E, 1), ("GJ", 0x11, 1)):
        heat = bytearray(HEAT_CONTENT)
        heat[12] = code
        assert cjt188.convert(bytes(heat), 0x20, name)[0]["heat"] == 12345678 * factor


def test_the_register_of_heat_is_in_joules_whatever_the_unit():
    for name, exponent, modulus in (
        ("kWh", 3, 36 * 10**8),
        ("MWh", 6, 36 * 10**8),
        ("MJ", 4, 10**8),
        ("GJ", 7, 10**8),
    ):
        driver = cjt188.define([["type", 0x20], ["heat_unit", name]])
        assert driver.INDICATIONS["heat"] == ("heat", exponent, modulus, "register")
    assert cjt188.define([["type", 0x21], ["flow_decimals", 2]]).INDICATIONS["volume_flow"][1] == -5
    assert sorted(cjt188.define([["type", 0x30]]).INDICATIONS) == ["volume"]


def test_options_that_mean_nothing_are_refused():
    for options in (
        [["address", "7833001122334"]],
        [["address", 78330011223344]],
        [["type", 0x40]],
        [["type", "16"]],
        [["type", 0x10, 1]],
        [["heat_unit", "kWh"]],
        [["type", 0x20], ["heat_unit", "J"]],
        [["type", 0x20], ["flow_decimals", 7]],
        [["flow_decimals", 4]],
        [["baud", 2400]],
    ):
        assert reason_of(cjt188.define, options) == "options", options


class Meter:
    def __init__(self, replies):
        self.replies = replies

    async def exchange(self, frame, parse):
        return parse(self.replies[frame[5:12]])


async def test_the_only_meter_is_found_and_kept_to():
    bus = Meter({cjt188.ANYONE: WATER, METER: WATER})
    driver = cjt188.define(None)(bus, 0)
    assert await driver.identify() == {
        "maker": "7833",
        "model": "CJ/T 188 type 10",
        "serial": "78330011223344",
        "revision": None,
    }
    del bus.replies[cjt188.ANYONE]
    assert await driver.read() == {"volume": 55667700}
    driver = cjt188.define([["address", "78330011223344"]])(bus, 0)
    assert (await driver.identify())["serial"] == "78330011223344"
