"""DL/T 645-2007: published frames, every way a reply can be wrong, options, and what a driver makes of a meter.

The frames are those of the shared metrology vectors (block `dlt645_ok`).
"""

from corruption import check_every_beginning, check_every_bit, check_every_single_byte, reason_of

from meter_sampling.drivers import dlt645
from meter_sampling.drivers.bcd import bcd, to_bcd
from meter_sampling.instrument_error import InstrumentError

METER = bytes.fromhex("610100000000")
ENERGY_REPLY = bytes.fromhex("6861010000000068910833333433593333338A16")
VOLTAGE_REPLY = bytes.fromhex("686101000000006891063334343534431016")
PUBLISHED = (
    ("68610100000000681104333334331416", dlt645.request(METER, 0x11, dlt645.identifier_bytes(0x00010000))),
    ("68610100000000681104333434351716", dlt645.request(METER, 0x11, dlt645.identifier_bytes(0x02010100))),
    ("68AAAAAAAAAAAA68110433333433AE16", dlt645.request(dlt645.ANYONE, 0x11, dlt645.identifier_bytes(0x00010000))),
    ("68AAAAAAAAAAAA681300DF16", dlt645.request(dlt645.ANYONE, 0x13)),
)


def energy(received):
    answer = dlt645.reply(received, METER, 0x11)
    return None if answer is None else (dlt645.convert(answer[1], 0x00010000, 4, False),)


def framed(control, content, meter=METER):
    return dlt645.request(meter, control, content)


def with_checksum(frame):
    return frame[:-2] + bytes((sum(frame[:-2]) & 0xFF,)) + frame[-1:]


def test_requests_as_published():
    for text, made in PUBLISHED:
        assert made == bytes.fromhex(text), text


def test_replies_as_published():
    assert energy(ENERGY_REPLY) == (26,)
    address, content = dlt645.reply(VOLTAGE_REPLY, METER, 0x11)
    assert address == METER
    assert dlt645.convert(content, 0x02010100, 2, False) == 1001


def test_the_checksum_may_be_the_stop_byte():
    """python-dlt645 #3: a parser that looks for 16H cuts such a frame, and one whose data holds 16H."""
    found = 0
    for value in range(0, 10**8, 99991):
        frame = framed(0x91, dlt645.identifier_bytes(0x00010000) + to_bcd("%08d" % value))
        found += frame[-2] == 0x16
        assert energy(frame) == (value,)
    assert found
    value = framed(0x91, dlt645.identifier_bytes(0x00010000) + b"\xe3\xe3\xe3\xe3")
    assert value.count(b"\x16") >= 5
    assert energy(value) == (None,)


def test_every_beginning_is_waited_for():
    check_every_beginning(energy, ENERGY_REPLY)
    check_every_beginning(energy, b"\xfe\xfe" + ENERGY_REPLY)
    check_every_beginning(energy, bytes.fromhex(PUBLISHED[0][0]) + b"\x00" + ENERGY_REPLY)


def test_every_single_byte_error_is_refused():
    check_every_single_byte(energy, ENERGY_REPLY)
    check_every_bit(energy, ENERGY_REPLY)


def test_each_wrong_reply_has_its_reason():
    content = dlt645.identifier_bytes(0x00010000) + b"\x26\x00\x00\x00"
    cases = (
        ("bad_checksum", ENERGY_REPLY[:-2] + b"\x8b\x16"),
        ("bad_stop", ENERGY_REPLY[:-1] + b"\x17"),
        ("trailing_bytes", ENERGY_REPLY + b"\x00"),
        ("trailing_bytes", ENERGY_REPLY + ENERGY_REPLY),
        ("wrong_address", framed(0x91, content, bytes.fromhex("620100000000"))),
        ("wrong_function", framed(0x94, content)),
        ("wrong_function", framed(0xB1, content)),
        ("wrong_item", framed(0x91, dlt645.identifier_bytes(0x00020000) + b"\x26\x00\x00\x00")),
        ("wrong_item", framed(0x91, b"")),
        ("wrong_length", framed(0x91, content + b"\x00")),
        ("wrong_length", framed(0x91, content[:-1])),
        ("instrument_refused", framed(0xD1, b"\x02")),
        ("wrong_length", framed(0xD1, b"")),
    )
    for reason, frame in cases:
        assert reason_of(energy, frame) == reason, (reason, frame)


def test_a_refusal_carries_its_code():
    try:
        energy(framed(0xD1, b"\x04"))
    except InstrumentError as error:
        assert (error.reason, error.code, error.absent) == ("instrument_refused", 4, False)
        return
    raise AssertionError("not refused")


def test_signs_and_digits_that_are_none():
    identifier = 0x02030000
    for text, value in (
        ("563412", 123456),
        ("563492", -123456),
        ("000080", 0),
        ("999979", 799999),
        ("ffffff", None),
        ("5634a2", -223456),
        ("5a3412", None),
    ):
        content = dlt645.identifier_bytes(identifier) + bytes.fromhex(text)
        assert dlt645.convert(content, identifier, 3, True) == value, text


def test_bcd_both_ways():
    for number in ("00", "0123456789", "999999999999"):
        assert bcd(to_bcd(number)) == int(number)
    assert bcd(b"\x0a") is None
    assert bcd(b"\xa0") is None
    assert to_bcd("000000000161") == METER


class Meter:
    """A bus on which one meter answers, frame by frame."""

    def __init__(self, replies):
        self.replies = replies
        self.asked = []

    async def exchange(self, frame, parse):
        self.asked.append(frame)
        return parse(self.replies[frame[len(dlt645.WAKE_UP) :]])


def answering(meter, values):
    replies = {}
    for item in dlt645.ITEMS:
        identifier = dlt645.identifier_bytes(item[1])
        content = b"\x02" if item[0] not in values else identifier + values[item[0]]
        frame = dlt645.request(meter, 0x11, identifier)
        replies[frame] = framed(0xD1 if item[0] not in values else 0x91, content, meter)
    replies[dlt645.request(dlt645.ANYONE, 0x13)] = framed(0x93, meter, meter)
    return replies


async def test_a_meter_that_lacks_an_item_says_so_and_gives_the_rest():
    bus = Meter(answering(METER, {"active_energy_import": b"\x26\x00\x00\x00", "voltage_a": b"\x01\x10"}))
    driver = dlt645.define([["indications", "active_energy_import", "voltage_a", "voltage_b"]])(bus, 161)
    assert await driver.read() == {"active_energy_import": 26, "voltage_a": 1001, "voltage_b": None}
    assert driver.faults == {"voltage_b": "not_available"}


async def test_another_refusal_is_no_missing_item():
    frame = dlt645.request(METER, 0x11, dlt645.identifier_bytes(0x00010000))
    driver = dlt645.define([["indications", "active_energy_import"]])(Meter({frame: framed(0xD1, b"\x04")}), 161)
    try:
        await driver.read()
    except InstrumentError as error:
        assert (error.reason, error.code) == ("instrument_refused", 4)
        return
    raise AssertionError("not refused")


async def test_the_address_is_the_options_the_sets_or_is_asked_for():
    meter = to_bcd("123456789012")
    values = {"active_energy_import": b"\x26\x00\x00\x00"}
    only = ["indications", "active_energy_import"]
    for options, address, number in (
        ([["address", "123456789012"], only], 0, meter),
        ([only], 0, meter),
        ([only], 161, METER),
    ):
        bus = Meter(answering(number, values))
        driver = dlt645.define(options)(bus, address)
        assert (await driver.identify())["serial"] == "%012d" % bcd(number)
        assert await driver.read() == {"active_energy_import": 26}
        for frame in bus.asked:
            assert frame[5:11] in (number, dlt645.ANYONE)


async def test_another_meter_is_noticed_when_it_identifies_itself():
    bus = Meter(answering(METER, {"voltage_a": b"\x01\x10"}))
    driver = dlt645.define([["indications", "voltage_a"]])(bus, 0)
    assert (await driver.identify())["serial"] == "000000000161"
    bus.replies = answering(to_bcd("000000000162"), {"voltage_a": b"\x02\x10"})
    assert (await driver.identify())["serial"] == "000000000162"
    assert await driver.read() == {"voltage_a": 1002}


def test_options_that_mean_nothing_are_refused():
    for options in (
        [["address", "12345"]],
        [["address", 161]],
        [["address", "00000000016A"]],
        [["address", "000000000161"], ["address", "000000000161"]],
        [["address"]],
        [["indications", "voltage_a", "voltage_a"]],
        [["indications", "voltage_a"], ["indications", "voltage_a"]],
        [["indications", "voltage_d"]],
        [["indications", 1]],
        [["baud", 2400]],
        [[]],
        [[1]],
    ):
        assert reason_of(dlt645.define, options) == "options", options


def test_what_is_read_is_what_is_indicated():
    assert sorted(dlt645.define(None).INDICATIONS) == sorted(dlt645.DEFAULT_INDICATIONS)
    chosen = dlt645.define([["indications", "reactive_energy_q1", "frequency"], ["address", "000000000161"]])
    assert chosen.INDICATIONS == {
        "reactive_energy_q1": ("reactive_energy_lagging", 1, 10**8, "register"),
        "frequency": ("frequency", -2, None, "sample"),
    }
    assert chosen.ADDRESSES == (0, 0)
