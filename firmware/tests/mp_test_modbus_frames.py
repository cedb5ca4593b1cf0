"""Modbus frames: published vectors, every way a reply can be wrong, and a bounded fuzz of the decoders.

The frames are those of the shared metrology vectors (block `modbus_ok`): makers' examples, CRC recomputed.
"""

import random

from meter_sampling import modbus_frames
from meter_sampling.instrument_error import ABSENT_REASONS, REASONS, InstrumentError

PUBLISHED_RTU_FRAMES = (
    "1103006B00037687",
    "110306AE415652434049AD",
    "01040000000271CB",
    "010404436633341B38",
    "FE0400030001D5C5",
    "FE04020190ACD8",
    "FE0400000004E5C6",
    "FE0408000000000000019016E6",
    "FE440008029F25",
    "F8040000000A6464",
    "F842C241",
    "F8413721B778",
    "6106003600006064",
    "6103002700013DA1",
    "6103002800064C60",
)


def reason_of(call, *arguments):
    try:
        call(*arguments)
    except InstrumentError as error:
        return error.reason
    return None


def with_crc(body):
    crc = modbus_frames.crc16(body)
    return body + bytes((crc & 0xFF, crc >> 8))


def test_crc_of_published_frames():
    for text in PUBLISHED_RTU_FRAMES:
        frame = bytes.fromhex(text)
        assert with_crc(frame[:-2]) == frame, text


def test_every_single_bit_error_breaks_the_crc():
    frame = bytes.fromhex("110306AE415652434049AD")
    for bit in range(8 * len(frame)):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        assert reason_of(modbus_frames.rtu_reply, bytes(damaged), 0x11, 3, 3) is not None, bit


def test_requests_as_published():
    assert modbus_frames.rtu_request(0x11, 3, 0x6B, 3) == bytes.fromhex("1103006B00037687")
    assert modbus_frames.rtu_request(0x01, 4, 0, 2) == bytes.fromhex("01040000000271CB")
    assert modbus_frames.rtu_request(0xFE, 4, 3, 1) == bytes.fromhex("FE0400030001D5C5")
    assert modbus_frames.rtu_request(0xF8, 4, 0, 10) == bytes.fromhex("F8040000000A6464")
    assert modbus_frames.rtu_request(0x61, 3, 0x28, 6) == bytes.fromhex("6103002800064C60")
    assert modbus_frames.tcp_request(0x1501, 0xFF, 3, 4, 1) == bytes.fromhex(
        "15010000 0006 FF 03 0004 0001".replace(" ", "")
    )


def test_replies_as_published():
    assert modbus_frames.rtu_reply(bytes.fromhex("110306AE415652434049AD"), 0x11, 3, 3) == bytes.fromhex(
        "AE4156524340"
    )
    assert modbus_frames.rtu_reply(bytes.fromhex("010404436633341B38"), 1, 4, 2) == bytes.fromhex("43663334")
    assert modbus_frames.rtu_reply(bytes.fromhex("FE04020190ACD8"), 0xFE, 4, 1) == bytes.fromhex("0190")


def test_requests_outside_the_protocol_are_our_error():
    for arguments in (
        (0, 3, 0, 1),
        (256, 3, 0, 1),
        (1, 6, 0, 1),
        (1, 3, -1, 1),
        (1, 3, 70000, 1),
        (1, 3, 0, 0),
        (1, 3, 0, 126),
        (1, 3, 65535, 2),
    ):
        try:
            modbus_frames.rtu_request(*arguments)
        except ValueError:
            continue
        raise AssertionError(arguments)


def test_each_wrong_rtu_reply_has_its_reason():
    good = bytes.fromhex("110306AE415652434049AD")
    cases = (
        ("bad_crc", good[:-1] + b"\x00"),
        ("short_reply", good[:-1]),
        ("short_reply", good[:2]),
        ("trailing_bytes", good + b"\x00"),
        ("wrong_unit", with_crc(b"\x12" + good[1:-2])),
        ("wrong_function", with_crc(b"\x11\x04" + good[2:-2])),
        ("wrong_function", with_crc(b"\x11\x06" + good[2:-2])),
        ("wrong_length", with_crc(b"\x11\x03\x04" + good[3:7])),
        ("wrong_length", with_crc(b"\x11\x03\x05" + good[3:8])),
        ("wrong_function", with_crc(b"\x11\x84\x02")),
    )
    for reason, frame in cases:
        assert reason_of(modbus_frames.rtu_reply, frame, 0x11, 3, 3) == reason, (reason, frame)


def test_an_exception_reply_carries_its_code():
    try:
        modbus_frames.rtu_reply(with_crc(b"\x11\x83\x02"), 0x11, 3, 3)
    except InstrumentError as error:
        assert (error.reason, error.code, error.absent) == ("modbus_exception", 2, False)
        return
    raise AssertionError("no exception")


def test_each_wrong_tcp_reply_has_its_reason():
    good = bytes.fromhex("15010000 0005 FF 03 02 0190".replace(" ", ""))
    assert modbus_frames.tcp_reply(good, 0x1501, 0xFF, 3, 1) == b"\x01\x90"
    cases = (
        ("wrong_transaction", b"\x15\x02" + good[2:]),
        ("bad_header", good[:3] + b"\x01" + good[4:]),
        ("bad_header", good[:4] + b"\x01\x05" + good[6:]),
        ("bad_header", good[:4] + b"\x00\x02" + good[6:]),
        ("short_reply", good[:-1]),
        ("short_reply", good[:4]),
        ("trailing_bytes", good + b"\x00"),
        ("wrong_unit", good[:6] + b"\x01" + good[7:]),
        ("wrong_function", good[:7] + b"\x04" + good[8:]),
        ("wrong_length", good[:8] + b"\x03" + good[9:]),
        ("modbus_exception", good[:4] + b"\x00\x03" + b"\xff\x83\x0b"),
    )
    for reason, frame in cases:
        assert reason_of(modbus_frames.tcp_reply, frame, 0x1501, 0xFF, 3, 1) == reason, (reason, frame)


def test_every_reason_given_is_listed():
    for reason in ABSENT_REASONS:
        assert reason in REASONS


def test_fuzzed_replies_end_in_a_listed_reason_or_a_payload():
    random.seed(20260101)
    good_rtu = bytes.fromhex("110306AE415652434049AD")
    good_tcp = bytes.fromhex("1501000000 09 11 03 06 AE4156524340".replace(" ", ""))
    accepted = 0
    for round_number in range(20000):
        rtu = round_number & 1
        frame = bytearray(good_rtu if rtu else good_tcp)
        for _ in range(random.getrandbits(2)):
            frame[random.randrange(len(frame))] = random.getrandbits(8)
        kind = random.getrandbits(2)
        if kind == 1:
            frame = frame[: random.randrange(len(frame) + 1)]
        elif kind == 2:
            frame = bytearray(random.getrandbits(8) for _ in range(random.randrange(300)))
        elif kind == 3 and rtu:
            frame = bytearray(with_crc(bytes(frame[:-2])))
        try:
            if rtu:
                payload = modbus_frames.rtu_reply(bytes(frame), 0x11, 3, 3)
            else:
                payload = modbus_frames.tcp_reply(bytes(frame), 0x1501, 0x11, 3, 3)
        except InstrumentError as error:
            assert error.reason in REASONS
            continue
        accepted += 1
        assert len(payload) == 6
        original = good_rtu if rtu else good_tcp
        # Only the register bytes (and with them the CRC) can differ in what is accepted.
        assert bytes(frame[:3] if rtu else frame[:9]) == (original[:3] if rtu else original[:9])
    assert accepted
