"""M-Bus: the published frames, link layer and records taken apart, options, and the exchange with a meter.

The frames are those of the shared metrology vectors (block `mbus`).
"""

from corruption import check_every_beginning, check_every_bit, check_every_single_byte, reason_of

from meter_sampling.drivers import mbus, mbus_records
from meter_sampling.instrument_error import InstrumentError

LONG = bytes.fromhex("681F1F680802727856341224400107550000000313153100DA023B13018B60043718021816")
HEADER = bytes.fromhex("785634122440010755000000")
ALL = [
    ["record", "volume", "volume", -3, 10**8],
    ["record", "maximum_flow", "volume_flow", -3, 0, 1, 5],
    ["record", "heat", "heat", 3, 0, 0, 0, 2, 1],
]


def telegram(received):
    return mbus.telegram(received, 2)


def framed(records, status=0, ci=0x72, control=0x08, address=2, header=None):
    if header is None:
        header = HEADER[:9] + bytes((status,)) + HEADER[10:] if ci == 0x72 else b""
    return mbus.long_frame(control, address, ci, header + records)


def with_checksum(frame):
    return frame[:-2] + bytes((sum(frame[4:-2]) & 0xFF,)) + frame[-1:]


def records_of(text):
    return mbus_records.parse(0x78, bytes.fromhex(text))[1]


def one(text):
    (record,) = records_of(text)
    return record


def test_requests_as_published():
    assert mbus.short_frame(mbus.SND_NKE, 1) == bytes.fromhex("1040014116")
    assert mbus.short_frame(mbus.REQ_UD2, 1) == bytes.fromhex("105B015C16")
    assert mbus.short_frame(mbus.REQ_UD2 | mbus.FCB, 1) == bytes.fromhex("107B017C16")


def test_the_published_long_frame():
    header, records, more = telegram(LONG)
    assert (header.identification, header.maker, header.version, header.medium, header.status) == (
        "12345678",
        "PAD",
        1,
        7,
        0,
    )
    assert [(r.place, r.dimension, r.exponent, r.value) for r in records] == [
        ((0, 0, 0, 0), "volume", -3, 12565),
        ((1, 5, 0, 0), "flow_per_hour", -3, 113),
        ((0, 0, 2, 1), "energy_wh", 1, 21837),
    ]
    assert not more
    chosen = mbus.define(ALL)
    # 218.37 kWh are 786,132 kJ.
    assert mbus.convert(records, chosen.ROWS) == ({"volume": 12565, "maximum_flow": 113, "heat": 786132}, {})
    assert mbus.acknowledgement(b"\xe5")


def test_every_beginning_is_waited_for():
    check_every_beginning(telegram, LONG)
    assert mbus.acknowledgement(b"") is None


def test_every_single_byte_error_is_refused():
    check_every_single_byte(telegram, LONG)
    check_every_bit(telegram, LONG)


def test_each_wrong_reply_has_its_reason():
    cases = (
        ("bad_header", b"\x10" + LONG[1:]),
        ("bad_header", LONG[:2] + b"\x1e" + LONG[3:]),
        ("bad_header", LONG[:3] + b"\x69" + LONG[4:]),
        ("bad_header", bytes.fromhex("6802026808020a16")),
        ("bad_checksum", LONG[:-2] + b"\x19\x16"),
        ("bad_stop", LONG[:-1] + b"\x17"),
        ("trailing_bytes", LONG + b"\x00"),
        ("wrong_function", framed(b"", control=0x53)),
        ("wrong_address", framed(b"", address=3)),
        ("wrong_function", framed(b"", ci=0x73)),
        ("instrument_refused", framed(b"\x08", ci=0x70)),
        ("instrument_refused", b"\xe5"),
        ("encrypted", framed(b"", header=HEADER[:10] + b"\x10\x05")),
        ("bad_record", framed(b"", header=HEADER[:5])),
        ("bad_record", framed(b"\x0c")),
        ("bad_record", framed(b"\x0c\x13\x00\x00\x00")),
        ("bad_record", framed(b"\x3f")),
        ("bad_record", framed(b"\x8c" + 10 * b"\x80" + b"\x00\x13" + bytes(4))),
        ("bad_record", framed(b"\x0d\x13\xf5")),
        ("bad_record", framed(b"\x0d\x13\xc0")),
        ("bad_record", framed(b"\x04\xfb")),
    )
    for reason, frame in cases:
        assert reason_of(telegram, frame) == reason, (reason, frame)
    for reason, received in (("bad_header", b"\x10"), ("trailing_bytes", b"\xe5\xe5")):
        assert reason_of(mbus.acknowledgement, received) == reason


def test_flow_control_bits_and_any_address_are_taken():
    assert telegram(framed(b"", control=0x28))
    assert telegram(framed(b"", control=0x18))
    assert mbus.telegram(LONG, mbus.SELECTED)
    assert mbus.telegram(LONG, mbus.ANYONE)


def test_values_by_their_data_field():
    for text, value in (
        ("0113ff", -1),
        ("0213ff7f", 32767),
        ("03130000ff", -65536),
        ("0413d2029649", 1234567890),
        ("0613ffffffffff7f", 2**47 - 1),
        ("0713ffffffffffffffff", -1),
        ("011380", None),
        ("02130080", None),
        ("0013", None),
        ("0813", None),
        ("091342", 42),
        ("0a131234", 3412),
        ("0b13563412", 123456),
        ("0c1378563412", 12345678),
        ("0e13129078563412", 123456789012),
        ("0c13785634f2", -2345678),
        ("0c13785634e2", None),
        ("0c13eeeeeeee", None),
        ("0c13ffffffff", None),
        ("0d13c27856", 5678),
        ("0d13d27856", -5678),
        ("0d13e20001", 256),
        ("0d13e0", None),
        ("0d1303414243", None),
    ):
        assert one(text).value == value, text


def test_dimensions_and_powers_of_ten():
    for text, dimension, exponent in (
        ("0100", "energy_wh", -3),
        ("0107", "energy_wh", 4),
        ("0108", "energy_j", 0),
        ("010f", "energy_j", 7),
        ("0110", "volume", -6),
        ("0117", "volume", 1),
        ("0118", "mass", -3),
        ("012b", "power_w", 0),
        ("0130", None, 0),
        ("013e", "flow_per_hour", 0),
        ("0147", "flow_per_minute", 0),
        ("0148", "flow_per_second", -9),
        ("0157", "mass_flow", 4),
        ("015b", "flow_temperature", 0),
        ("015c", "return_temperature", -3),
        ("0160", "temperature_difference", -3),
        ("0167", "external_temperature", 0),
        ("016b", "pressure_bar", 0),
        ("016c", None, 0),
        ("0174", None, 0),
        ("01fb00", "energy_wh", 5),
        ("01fb01", "energy_wh", 6),
        ("01fb09", "energy_j", 9),
        ("01fb10", "volume", 2),
        ("01fb19", "mass", 6),
        ("01fb29", "power_w", 6),
        ("01fb7f", None, 0),
        ("01fd13", None, 0),
        ("01ff13", None, 0),
        ("019370", "volume", -9),
        ("019377", "volume", -2),
        ("01937d", "volume", 0),
    ):
        record = one(text + "05")
        assert (record.dimension, record.exponent, record.modifiers) == (dimension, exponent, record.modifiers), (
            text
        )
    assert one("01933b05").modifiers == (0x3B,)
    assert one("0193f03b05").modifiers == (0x3B,)
    assert one("01ff1305").modifiers == (0x13,)
    assert one("017c0341424305").value == 5


def test_storage_tariff_and_subunit():
    assert one("c1b40213 05".replace(" ", "")).place == (0, 1 | 4 << 1 | 2 << 5, 3, 0)
    assert one("8140 13 05".replace(" ", "")).place == (0, 0, 0, 1)
    assert one("31 13 05".replace(" ", "")).place == (3, 0, 0, 0)


def test_fillers_more_telegrams_and_makers_data():
    assert len(records_of("2f2f0113052f")) == 1
    assert mbus_records.parse(0x78, bytes.fromhex("0113051f99999999"))[2]
    header, records, more = mbus_records.parse(0x78, bytes.fromhex("0113050fff"))
    assert (len(records), more, header.identification) == (1, False, None)
    assert mbus_records.parse(0x7A, bytes.fromhex("55080000011305"))[0].status == 8


def test_what_does_not_fit_is_refused_and_real4_is_rounded():
    rows = mbus.define([["record", "v", "volume", -3]]).ROWS
    assert mbus.convert(records_of("041301000000"), rows) == ({"v": 1}, {})
    assert mbus.convert(records_of("041201000000"), rows) == ({"v": None}, {"v": "resolution"})
    assert mbus.convert(records_of("04120a000000"), rows) == ({"v": 1}, {})
    assert mbus.convert(records_of("041601000000"), rows) == ({"v": 1000}, {})
    # REAL4 1.5, -1.5, 12.345 and not a number, in cubic metres.
    for text, value in (("0000c03f", 1500), ("0000c0bf", -1500), ("1f854541", 12345), ("0000c07f", None)):
        assert mbus.convert(records_of("0516" + text), rows) == ({"v": value}, {}), text
    assert mbus.convert(records_of("05120000c03f"), rows) == ({"v": None}, {"v": "resolution"})
    # 0.123 kWh as REAL4 are 442.8 kJ: it is rounded after it has become joules, not before.
    heat = mbus.define([["record", "h", "heat", 3]]).ROWS
    assert mbus.convert(records_of("05066de7fb3d"), heat) == ({"h": 443}, {})
    # Halves go to the even integer, as everywhere: 0.5, 1.5, 2.5, -0.5 and -2.5 W.
    power = mbus.define([["record", "p", "thermal_power", 0]]).ROWS
    for text, value in (("0000003f", 0), ("0000c03f", 2), ("00002040", 2), ("000000bf", 0), ("000020c0", -2)):
        assert mbus.convert(records_of("052b" + text), power) == ({"p": value}, {}), text


def test_units_of_flow_and_pressure():
    rows = mbus.define([["record", "q", "volume_flow", -3], ["record", "p", "absolute_pressure", 2]]).ROWS
    assert mbus.convert(records_of("014701"), rows)[0] == {"q": 60000, "p": None}
    assert mbus.convert(records_of("014f01"), rows)[0] == {"q": 36000, "p": None}
    assert mbus.convert(records_of("016b03"), rows)[0] == {"q": None, "p": 3000}


def test_the_record_that_is_asked_for():
    rows = mbus.define(
        [["record", "forward", "volume", -3, 0, 0, 0, 0, 0, 0x3B], ["record", "v", "volume", -3]]
    ).ROWS
    values, _ = mbus.convert(records_of("41130911130901933b0701130501130 6".replace(" ", "")), rows)
    assert values == {"forward": 7, "v": 5}


def test_the_meters_own_objections():
    indications = mbus.define(None).INDICATIONS
    samples = {name for name in indications if indications[name][3] == "sample"}
    assert mbus.state_faults(0, indications) == {}
    assert mbus.state_faults(0x07, indications) == {}, "an alarm and a low battery leave the values valid"
    assert mbus.state_faults(0xE0, indications) == {}
    assert mbus.state_faults(0x10, indications) == dict.fromkeys(samples, "temporary_error")
    for status, reason in (
        (1, "meter_busy"),
        (2, "meter_error"),
        (0x08, "permanent_error"),
        (0x19, "permanent_error"),
    ):
        assert mbus.state_faults(status, indications) == dict.fromkeys(indications, reason)


def test_options_that_mean_nothing_are_refused():
    for options in (
        [["secondary", "1234567"]],
        [["secondary", 12345678]],
        [["secondary", "12345678", "PAD"]],
        [["secondary", "12345678", "pad", 1, 7]],
        [["secondary", "12345678", "PAD", 256, 7]],
        [["secondary", "12345678"], ["secondary", "12345678"]],
        [["record", "v", "volume"]],
        [["record", "v", "water", -3]],
        [["record", "v", "volume", -3], ["record", "v", "mass", -3]],
        [["record", 1, "volume", -3]],
        [["record", "v", "volume", -10]],
        [["record", "v", "volume", "-3"]],
        [["record", "t", "flow_temperature", -2, 100]],
        [["record", "v", "volume", -3, 100, 1]],
        [["record", "v", "volume", -3, -1]],
        [["record", "v", "volume", -3, 0, 4]],
        [["record", "v", "volume", -3, 0, 0, -1]],
        [["record", "v", "volume", -3, 0, 0, 0, 0, 0, 128]],
        [["record", "v", "volume", -3, 0, 0, 0, 0, 0, 0, 0]],
        [["baud", 2400]],
    ):
        assert reason_of(mbus.define, options) == "options", options


def test_indications_and_limits_follow_the_options():
    chosen = mbus.define(ALL)
    assert chosen.INDICATIONS == {
        "volume": ("volume", -3, 10**8, "register"),
        "maximum_flow": ("volume_flow", -3, None, "sample"),
        "heat": ("heat", 3, None, "register"),
    }
    assert chosen.LIMITS["volume"] == (0, 10**8 - 1)
    assert chosen.LIMITS["maximum_flow"] == (-(10**9), 10**9)
    assert chosen.ADDRESSES == (0, 254)
    assert mbus.define([["record", "t", "flow_temperature", 1]]).LIMITS == {"t": (-20, 100)}
    assert mbus.define([["secondary", "12345678"]]).ADDRESSES == (253, 253)


class Meter:
    """A bus with one scripted meter: replies in turn, requests kept."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.asked = []

    async def exchange(self, frame, parse):
        self.asked.append(frame)
        reply = self.replies.pop(0)
        if reply is None:
            raise InstrumentError("no_response")
        return parse(reply)


async def test_each_reading_begins_anew_and_asks_with_the_count_bit_set():
    bus = Meter(b"\xe5", LONG, b"\xe5", None, b"\xe5", LONG)
    driver = mbus.define(ALL)(bus, 2)
    assert await driver.read() == {"volume": 12565, "maximum_flow": 113, "heat": 786132}
    try:
        await driver.read()
        raise AssertionError("an answer from nobody")
    except InstrumentError as error:
        assert error.absent
    assert (await driver.read())["volume"] == 12565
    nke, request = bytes.fromhex("1040024216"), bytes.fromhex("107B027D16")
    assert bus.asked == [nke, request] * 3


async def test_further_telegrams_are_asked_for_with_the_count_bit_toggled():
    first, second = framed(bytes.fromhex("0113051f")), framed(bytes.fromhex("0a5a34121f"))
    third = framed(bytes.fromhex("0a5e4321"))
    options = [["record", "v", "volume", -3], ["record", "r", "return_temperature", -1]]
    bus = Meter(b"\xe5", first, second, third)
    assert await mbus.define(options)(bus, 2).read() == {"v": 5, "r": 2143}
    assert [frame[1] for frame in bus.asked] == [0x40, 0x7B, 0x5B, 0x7B]
    bus = Meter(b"\xe5", first)
    assert await mbus.define(options[:1])(bus, 2).read() == {"v": 5}
    bus = Meter(b"\xe5", first, framed(b"", header=b"\x79" + HEADER[1:]))
    try:
        await mbus.define(options)(bus, 2).read()
        raise AssertionError("telegrams of two meters were joined")
    except InstrumentError as error:
        assert error.reason == "wrong_address"


async def test_a_meter_that_never_ends_is_given_up():
    bus = Meter(b"\xe5", *([framed(b"\x1f")] * 20))
    driver = mbus.define(ALL)(bus, 2)
    assert (await driver.read())["volume"] is None
    assert len(bus.asked) == 1 + mbus.MAX_TELEGRAMS


async def test_a_secondary_address_is_selected_first():
    bus = Meter(b"\xe5", LONG, b"\xe5", LONG, b"\xe5", framed(b"", header=b"\x79" + HEADER[1:]))
    driver = mbus.define([["secondary", "12345678", "PAD", 1, 7]] + ALL)(bus, 253)
    assert await driver.identify() == {"maker": "PAD", "model": "medium 7", "serial": "12345678", "revision": "1"}
    assert (await driver.read())["volume"] == 12565
    assert bus.asked[0] == bytes.fromhex("680B0B6853FD5278563412244001072216")
    assert bus.asked[1][1:3] == b"\x7b\xfd"
    try:
        await driver.identify()
        raise AssertionError("another meter than the selected one")
    except InstrumentError as error:
        assert error.reason == "wrong_identity"
    assert bytes.fromhex("78563412ffffffff") == mbus.define([["secondary", "12345678"]]).SELECTION
