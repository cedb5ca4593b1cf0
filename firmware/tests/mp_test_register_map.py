"""Instruments whose register map is data: what a row may say, and what becomes of the registers."""

import asyncio
import random

from register_instrument import Registers, block

from meter_firmware import sensors
from meter_sampling import modbus_frames
from meter_sampling.drivers import register_map
from meter_sampling.drivers.driver import FAULTS, out_of_limits
from meter_sampling.instrument_error import InstrumentError

ROWS = [
    ["ambient", "temperature", 4, 10, "int32", -4, -500000, 1000000],
    ["exhaust", "temperature", 4, 12, "uint16", -1, 0, 12000, "sample", 1],
    ["co", "co_concentration", 4, 13, "uint64_low", -8, 0, 10**12],
    ["flow", "volume_flow", 3, 0, "int16_low", 0, -10, 10],
]


def read(rows, words):
    driver = sensors.make("register_map", Registers(words), 1, rows)
    return asyncio.run(driver.read()), driver.faults


def identify(rows, words):
    return asyncio.run(sensors.make("register_map", Registers(words), 1, rows).identify())


def test_neighbours_are_read_together():
    places = [row[2:5] for row in ROWS]
    assert register_map.plan(places) == ((3, 0, 1), (4, 10, 7))
    assert register_map.plan([[4, 4 * index, "uint64"] for index in range(64)]) == (
        (4, 0, 124),
        (4, 124, 124),
        (4, 248, 8),
    )


def test_values_follow_the_map():
    driver = sensors.make("register_map", None, 1, ROWS)
    values = driver.convert([block(0xFFFF), block(0xFFFF, 0xFFFE, 1200, 4, 3, 2, 1)])
    assert values == {"ambient": -2, "exhaust": 1200, "co": 0x1000200030004, "flow": -1}
    assert driver.INDICATIONS["co"] == ("co_concentration", -8, None, "sample")
    assert driver.LIMITS["flow"] == (-10, 10)


def test_every_number_type():
    cases = (
        ("uint16", (0xFFFE,), 65534),
        ("int16", (0xFFFE,), -2),
        ("bcd16", (0x9876,), 9876),
        ("bcd16", (0x987A,), None),
        ("uint32", (1, 2), 65538),
        ("uint32_low", (2, 1), 65538),
        ("int32", (0xFFFF, 0xFFFE), -2),
        ("int32_low", (0xFFFE, 0xFFFF), -2),
        ("bcd32", (0x0001, 0x2345), 12345),
        ("bcd32_low", (0x2345, 0x0001), 12345),
        ("float32", (0xC020, 0x0000), -2),  # -2.5, ties to even
        ("float32_low", (0xD47A, 0x43E8), 466),
        ("float32", (0x7FC0, 0x0000), None),
        ("float32", (0xFF80, 0x0000), None),
        ("uint64", (0, 1, 0, 2), 2**32 + 2),
        ("int64_low", (0xFFFD, 0xFFFF, 0xFFFF, 0xFFFF), -3),
        ("bcd64", (0x1234, 0x5678, 0x9012, 0x3456), 1234567890123456),
        ("float64", (0x4009, 0x21FB, 0x5444, 0x2D18), 3),
        ("float64_low", (0x2D18, 0x5444, 0x21FB, 0x4009), 3),
        ("float64", (0x7FF8, 0, 0, 0), None),
    )
    for kind, words, expected in cases:
        assert register_map.number(block(*words), 0, kind, 1) == expected, kind
        scaled = register_map.number(block(7, *words), 1, kind, 1000)
        if not kind.startswith("float"):
            assert scaled == (None if expected is None else 1000 * expected), kind


def test_published_frames_of_instruments_with_a_map():
    # Vaisala GMP252 User Guide, A.3: F0 03 00 00 00 02 D1 2A; 465.65997 ppm
    assert modbus_frames.rtu_request(0xF0, 3, 0, 2) == bytes.fromhex("F00300000002D12A")
    payload = modbus_frames.rtu_reply(bytes.fromhex("F00304D47A43E833AB"), 0xF0, 3, 2)
    assert register_map.number(payload, 0, "float32_low", 10**5) == 46565997
    # Longrun LRF-3000S, Modbus chapter: 01 03 00 04 00 02 85 CA; 1.234567 m3/h
    assert modbus_frames.rtu_request(1, 3, 4, 2) == bytes.fromhex("01030004000285CA")
    payload = modbus_frames.rtu_reply(bytes.fromhex("01030406513F9E3B32"), 1, 3, 2)
    assert register_map.number(payload, 0, "float32_low", 10**6) == 1234568
    # Fox FT3, note of table 5.1: the total 0x12345678 is 5678 in 40003 and 1234 in 40004
    assert register_map.number(block(0x5678, 0x1234), 0, "uint32_low", 1) == 0x12345678
    for damaged in ("F00304D47A43E833AC", "F00304D47A43E933AB"):
        try:
            modbus_frames.rtu_reply(bytes.fromhex(damaged), 0xF0, 3, 2)
        except InstrumentError as error:
            assert error.reason == "bad_crc"
            continue
        raise AssertionError(damaged)


def test_a_multiplier_converts_exactly():
    rows = [["flow", "volume_flow", 4, 0, "float32", -4, 0, 10**6, "sample", 600]]
    values, _ = read(rows, {(4, 0): 0x3DCC, (4, 1): 0xCCCD})
    assert values == {"flow": 60}, "0.1 L/min is 0.006 m3/h"


def test_cumulative_registers_with_and_without_an_end():
    rows = [
        ["open", "volume", 4, 0, "uint32", -3, 0, 10**9, "register", 1],
        ["closed", "volume", 4, 2, "uint32", -3, 0, 10**6 - 1, 10**6, 1],
    ]
    driver = sensors.make("register_map", None, 1, rows)
    assert driver.INDICATIONS["open"] == ("volume", -3, None, "register")
    assert driver.INDICATIONS["closed"] == ("volume", -3, 10**6, "register")
    values, faults = read(rows, {(4, 0): 0, (4, 1): 9, (4, 2): 15, (4, 3): 16960})
    assert values == {"open": 9, "closed": None}
    assert faults == {"closed": "out_of_range"}


GUARDED = [
    ["co2", "co2_fraction", 4, 0, "uint16", 0, 0, 5000],
    ["co", "co_fraction", 4, 1, "uint16", 0, 0, 5000],
    ["condition", 4, 2, "uint16", 1, 7],
    ["condition", 3, 40, "uint32_low", 0x50004, 0xFFFFFFFF],
]


def test_nothing_counts_where_a_condition_fails():
    good = {(4, 0): 400, (4, 1): 3, (4, 2): 0xFFF9, (3, 40): 4, (3, 41): 5}
    assert read(GUARDED, good) == ({"co2": 400, "co": 3}, {})
    for place, word in (((4, 2), 0xFFFB), ((4, 2), 0), ((3, 40), 5), ((3, 41), 4)):
        changed = dict(good)
        changed[place] = word
        values, faults = read(GUARDED, changed)
        assert values == {"co2": None, "co": None}
        assert faults == {"co2": "condition_not_met", "co": "condition_not_met"}
    assert "condition_not_met" in FAULTS


def test_identity_and_serial_number():
    plain = [GUARDED[0]]
    words = {(4, 0): 400, (3, 100): 0x4654, (3, 200): 0x1234, (3, 201): 0x5678, (3, 202): 0, (3, 203): 0x12}
    assert identify(plain, words) == {"maker": None, "model": None, "serial": None, "revision": None}
    assert identify(plain + [["identity", 3, 100, "uint16", 0x4654]], words)["serial"] is None
    try:
        identify(plain + [["identity", 3, 100, "uint16", 0x4655]], words)
    except InstrumentError as error:
        assert error.reason == "wrong_identity"
    else:
        raise AssertionError("another instrument was taken for this one")
    for kind, serial in (
        ("uint32", "305419896"),
        ("uint32_low", "1450709556"),
        ("bcd32", "12345678"),
        ("bcd32_low", "56781234"),
        ("bcd16", "1234"),
        ("bcd64", "1234567800000012"),
    ):
        assert identify(plain + [["serial", 3, 200, kind]], words)["serial"] == serial
    assert identify(plain + [["serial", 3, 202, "bcd32"]], words)["serial"] == "00000012", "all its digits"
    text = {(4, 0): 400, (3, 200): 0x4142, (3, 201): 0x3700}
    assert identify(plain + [["serial", 3, 200, "text2"]], text)["serial"] == "AB7"
    for empty, kind in (((0, 0), "uint32"), ((0, 0), "bcd32"), ((0x2020, 0x2000), "text2")):
        words = {(4, 0): 400, (3, 200): empty[0], (3, 201): empty[1]}
        assert identify(plain + [["serial", 3, 200, kind]], words)["serial"] is None
    for unreadable, kind in (((0xABCD, 0), "bcd32"), ((0x0741, 0), "text2")):
        words = {(4, 0): 400, (3, 200): unreadable[0], (3, 201): unreadable[1]}
        try:
            identify(plain + [["serial", 3, 200, kind]], words)
        except InstrumentError as error:
            assert error.reason == "wrong_identity"
            continue
        raise AssertionError(kind)


def with_cell(row, index, cell):
    return row[:index] + [cell] + row[index + 1 :]


def test_a_bad_register_map_is_refused():
    good = ["ambient", "temperature", 4, 10, "int32", -4, -500000, 1000000, "sample", 1]
    counter = ["volume", "volume", 4, 0, "uint32", 0, 0, 99, 100, 1]
    condition, same = ["condition", 4, 2, "uint16", 1, 7], ["identity", 4, 2, "uint16", 1]
    serial = ["serial", 3, 200, "uint32"]
    for rows in ([good], [counter], [good, condition, same, serial]):
        sensors.make("register_map", None, 1, rows)
    bad_maps = [
        None,
        [],
        [[]],
        [condition, same, serial],
        [good, good],
        [good[:7]],
        [good[:9]],
        [good, serial, serial],
        [with_cell(good, 0, 7)],
        [with_cell(good, 1, 7)],
        [with_cell(good, 2, 5)],
        [with_cell(good, 2, "4")],
        [with_cell(good, 3, 65535)],
        [with_cell(good, 3, -1)],
        [with_cell(good, 4, "float16")],
        [with_cell(good, 4, "text4")],
        [with_cell(good, 4, "_low")],
        [with_cell(good, 4, 32)],
        [with_cell(good, 5, "-4")],
        [with_cell(good, 6, 1000001)],
        [with_cell(good, 6, True)],
        [with_cell(good, 7, "x")],
        [with_cell(good, 8, "total")],
        [with_cell(good, 8, "register")],
        [with_cell(good, 8, 10**9)],
        [with_cell(good, 9, 0)],
        [with_cell(good, 9, "1")],
        [with_cell(counter, 8, 99)],
        [with_cell(counter, 8, -1)],
        [with_cell(counter, 8, 0)],
        [good, with_cell(condition, 0, "if")],
        [good, with_cell(condition, 3, "text2")],
        [good, with_cell(condition, 4, "1")],
        [good, with_cell(condition, 5, "7")],
        [good, with_cell(same, 0, "is")],
        [good, with_cell(same, 4, "1")],
        [good, with_cell(serial, 0, "sn")],
        [good, with_cell(serial, 3, "float32")],
        [good, with_cell(serial, 3, "int32")],
        [good, with_cell(serial, 3, "text33")],
    ]
    for rows in bad_maps:
        try:
            sensors.make("register_map", None, 1, rows)
        except InstrumentError as error:
            assert error.reason == "register_map"
            continue
        raise AssertionError(rows)


CELLS = (0, 1, 3, 4, -1, 2**63 - 1, -(2**63), 65535, 65536, "", "a", "sample", "register", "condition", "identity")
CELLS += ("serial", "uint16", "int16", "bcd16", "float32", "float64", "uint32_low", "text8", "text8_low", "_low")
CELLS += ("\u0663", "text\u0663", "temperature")


def test_no_options_raise_anything_but_their_reason():
    random.seed(3)
    good = ["t", "temperature", 4, 10, "int32", -4, -500000, 1000000, "sample", 1]
    templates = (
        good,
        ["condition", 4, 2, "uint16", 1, 7],
        ["identity", 4, 2, "uint16", 1],
        ["serial", 3, 200, "uint32"],
    )
    words = {}
    for address in list(range(260)) + list(range(65530, 65536)):
        words[(3, address)] = words[(4, address)] = random.getrandbits(16)
    taken = 0
    for _ in range(4000):
        rows = []
        for _ in range(random.randrange(4)):
            row = list(templates[random.randrange(4)])
            for _ in range(random.randrange(3)):
                row[random.randrange(len(row))] = CELLS[random.randrange(len(CELLS))]
            rows.append(row[: random.randrange(1, 11)] if random.randrange(9) == 0 else row)
        for name in ("register_map", "djsf1352"):
            try:
                driver = sensors.driver_class(name, rows)
            except InstrumentError as error:
                assert error.reason in ("register_map", "options")
                continue
            taken += 1
            blocks = [bytes([random.getrandbits(8) for _ in range(2 * count)]) for _, _, count in driver.REGISTERS]
            values = driver.convert(blocks)
            assert sorted(values) == sorted(driver.INDICATIONS) == sorted(driver.LIMITS)
            out_of_limits(values, driver.LIMITS)
            driver.state_faults(blocks)
            try:
                asyncio.run(driver(Registers(words), 1).identify())
            except InstrumentError as error:
                assert error.reason in ("wrong_identity", "modbus_exception")
    assert taken > 200
