"""Registers to integers: published vectors, ranges, and the word formats on their own."""

import random

from meter_firmware import sensors
from meter_firmware.modbus import InstrumentError
from meter_firmware.sensors import analyser, energy64, pzem004t, senseair_s8, tuf2000
from meter_firmware.sensors.driver import FAULTS, out_of_limits
from meter_firmware.sensors.words import bcd, real4, signed, text, unsigned

# Registers 1-20 of a real TUF-2000M, read 2017-01-11 (gambit-labs/challenge, README), with registers 33-34.
REAL_TUF = (7579, 48988, 5064, 48142, 37967, 48877, 63814, 17575, 0, 0, 24224, 15965)
REAL_TUF_TEMPERATURE = (15568, 16611)
REAL_TUF_NEGATIVE_ENERGY = (65480, 65535)


def block(*registers):
    return b"".join([bytes((register >> 8, register & 0xFF)) for register in registers])


def test_unsigned_and_signed_words():
    assert unsigned(block(1, 2), 0, 2) == 0x10002
    assert unsigned(block(1, 2), 0, 2, True) == 0x20001
    assert unsigned(block(9, 1, 2, 3, 4), 1, 4) == 0x1000200030004
    assert unsigned(block(9, 1, 2, 3, 4), 1, 4, True) == 0x4000300020001
    assert signed(block(0xFFFF), 0, 1) == -1
    assert signed(block(0x7FFF), 0, 1) == 32767
    assert signed(block(*REAL_TUF_NEGATIVE_ENERGY), 0, 2, True) == -56


def test_text_and_bcd():
    assert text(b"ACME\x00\x00", 0, 3) == "ACME"
    assert text(b"AC\x07E", 0, 2) is None
    assert bcd(bytes.fromhex("12800001"), 0, 2) == "12800001"
    assert bcd(bytes.fromhex("1280000A"), 0, 2) is None


def test_real4_is_exact():
    assert real4(unsigned(block(*REAL_TUF_TEMPERATURE), 0, 2, True), 15) == 7101173400878906
    assert real4(0x43663333, 1) == 2302
    cases = (
        (0x00000000, 3, 0),
        (0x80000000, 3, 0),
        (0x3F800000, 3, 1000),
        (0xBF800000, 3, -1000),
        (0x3F000000, 0, 0),  # 0.5, tie to even
        (0x3FC00000, 0, 2),  # 1.5, tie to even
        (0x40200000, 0, 2),  # 2.5, tie to even
        (0xC0200000, 0, -2),
        (0x3F000001, 0, 1),  # just above the tie
        (0x3A83126F, 3, 1),  # the single nearest to 0.001
        (0x4B800001, 0, 16777218),
        (0x7F7FFFFF, 0, 340282346638528859811704183484516925440),
    )
    for bits, decimals, expected in cases:
        assert real4(bits, decimals) == expected, (hex(bits), decimals)
    assert real4(1, 149) == 5**149, "the smallest single is 2^-149"
    for bits in (0x7F800000, 0xFF800000, 0x7FC00000, 0xFFFFFFFF):
        assert real4(bits, 3) is None


def test_senseair_vectors():
    whole = bytes.fromhex("FE0408000000000000019016E6")
    assert senseair_s8.convert([whole[3:-2]]) == {"co2_fraction": 400}
    assert senseair_s8.state_faults([whole[3:-2]]) == {}
    for bit in range(7):
        faults = senseair_s8.state_faults([block(1 << bit, 0, 0, 400)])
        assert faults == {"co2_fraction": senseair_s8.STATUS_FAULTS[bit]}
    assert senseair_s8.state_faults([block(0x22, 0, 0, 400)]) == {"co2_fraction": "offset_regulation_error"}
    assert out_of_limits({"co2_fraction": 0}, senseair_s8.LIMITS) == {"co2_fraction": "out_of_range"}
    assert out_of_limits({"co2_fraction": 10001}, senseair_s8.LIMITS) == {"co2_fraction": "out_of_range"}


def test_pzem_words():
    values = pzem004t.convert([block(2301, 0x1234, 0x0001, 0x4240, 0x000F, 0x967F, 0x0098, 500, 98, 0)])
    assert values == {
        "voltage": 2301,
        "current": 0x11234,
        "active_power": 1000000,
        "active_energy_import": 9999999,
        "frequency": 500,
        "power_factor": 98,
    }
    assert out_of_limits(values, pzem004t.LIMITS) == {"active_power": "out_of_range"}
    assert pzem004t.INDICATIONS["active_energy_import"][2] == 10000000
    values["active_energy_import"] = 10000000
    assert out_of_limits(values, pzem004t.LIMITS)["active_energy_import"] == "out_of_range"


def test_tuf_registers_of_a_real_meter():
    values = tuf2000.convert([block(*REAL_TUF), block(3606), block(0, 3)])
    # -0.8598267... m3/h; the accumulator stands at 0 m3 and 0.21618... of the unit 10^(3-3) m3
    assert values == {"volume_flow": -860, "volume": 216}
    assert tuf2000.state_faults([block(*REAL_TUF), block(3606), block(0, 3)]) == {
        "volume_flow": "hardware_failure",
        "volume": "hardware_failure",
    }


def test_tuf_multiplier_as_the_manual_defines_it():
    # N = 123456789, Nf = 0.125: (N + Nf) * 10^(n-3) m3, here in litres
    registers = (0, 0, 0, 0, 0, 0, 0, 0, 0xCD15, 0x075B, 0x0000, 0x3E00)
    assert tuf2000.convert([block(*registers), block(0), block(0, 3)])["volume"] == 123456789125
    assert tuf2000.convert([block(*registers), block(0), block(0, 1)])["volume"] == 1234567891
    assert tuf2000.convert([block(*registers), block(0), block(0, 0)])["volume"] == 123456789
    assert tuf2000.convert([block(*registers), block(0), block(0, 4)])["volume"] == 1234567891250
    assert tuf2000.convert([block(*registers), block(0), block(0, 8)])["volume"] is None


def test_tuf_refuses_what_it_cannot_mean():
    fraction_above_one = (0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x0000, 0x4000)
    assert tuf2000.convert([block(*fraction_above_one), block(0), block(0, 3)])["volume"] is None
    not_a_number = (0, 0x7FC0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0)
    values = tuf2000.convert([block(*not_a_number), block(0), block(0, 3)])
    assert values == {"volume_flow": None, "volume": 1000}
    negative = (0, 0, 0, 0, 0, 0, 0, 0, 0xFFFF, 0xFFFF, 0, 0)
    values = tuf2000.convert([block(*negative), block(0), block(0, 3)])
    assert out_of_limits(values, tuf2000.LIMITS) == {"volume": "out_of_range"}
    good = [block(*REAL_TUF), block(0), block(0, 3)]
    assert tuf2000.state_faults(good) == {}
    assert tuf2000.state_faults([good[0], block(1), good[2]]) == {"volume_flow": "no_signal"}
    assert tuf2000.state_faults([good[0], block(8), good[2]]) == {"volume_flow": "pipe_empty"}
    assert tuf2000.state_faults([good[0], block(6), good[2]]) == {}
    assert tuf2000.state_faults([good[0], block(0), block(1, 3)]) == {"volume": "totalizer_unit"}


def test_energy64_words_and_markers():
    registers = (0, 0, 0x0001, 0x0000) + (0, 0, 0, 5) + (0xFFFF,) * 4
    registers += (0xFFFF, 0xFF85) + (0x8000, 0x0000) + (7321, 0xFFFF) + (1, 0x86A0) + (0, 3500) + (5001,)
    values = energy64.convert([block(*registers)])
    assert values == {
        "active_energy_import": 65536,
        "reactive_energy_lagging": 5,
        "reactive_energy_leading": None,
        "active_power": -123,
        "reactive_power": None,
        "power_factor_lagging": 7321,
        "power_factor_leading": None,
        "voltage": 100000,
        "current": 3500,
        "frequency": 5001,
    }
    assert out_of_limits(values, energy64.LIMITS) == {
        "reactive_energy_leading": "not_available",
        "reactive_power": "not_available",
        "power_factor_leading": "not_available",
    }


ROWS = [
    ["ambient", "temperature", 4, 10, "int32", -4, -500000, 1000000],
    ["exhaust", "temperature", 4, 12, "uint16", -1, 0, 12000],
    ["co", "co_concentration", 4, 13, "uint64_low", -8, 0, 10**12],
    ["flow", "volume_flow", 3, 0, "int16_low", 0, -10, 10],
]


def test_analyser_reads_neighbours_together():
    assert analyser.plan(ROWS) == ((3, 0, 1), (4, 10, 7))
    long_map = [["v%d" % i, "temperature", 4, 4 * i, "uint64", 0, 0, 1] for i in range(64)]
    assert analyser.plan(long_map) == ((4, 0, 124), (4, 124, 124), (4, 248, 8))


def test_analyser_converts_by_its_map():
    driver = sensors.make("analyser", None, 1, ROWS)
    values = driver.convert([block(0xFFFF), block(0xFFFF, 0xFFFE, 1200, 4, 3, 2, 1)])
    assert values == {"ambient": -2, "exhaust": 1200, "co": 0x1000200030004, "flow": -1}
    assert driver.INDICATIONS["co"] == ("co_concentration", -8, None, "sample")
    assert driver.LIMITS["flow"] == (-10, 10)


def test_a_bad_register_map_is_refused():
    good = ROWS[0]
    bad_maps = [
        None,
        [],
        [good, good],
        [good[:7]],
        [good[:2] + [5] + good[3:]],
        [good[:3] + [65535] + good[4:]],
        [good[:3] + [-1] + good[4:]],
        [good[:4] + ["float32"] + good[5:]],
        [good[:5] + ["-4"] + good[6:]],
        [good[:6] + [2, 1]],
        [good[:6] + [True, True]],
    ]
    for rows in bad_maps:
        assert sensors.indications("analyser", rows) is None, rows
        try:
            sensors.make("analyser", None, 1, rows)
        except InstrumentError as error:
            assert error.reason == "register_map"
            continue
        raise AssertionError(rows)


def test_registry():
    for name in sensors.DRIVERS:
        table = sensors.indications(name, ROWS if name == "analyser" else None)
        driver = sensors.driver_class(name, ROWS if name == "analyser" else None)
        assert sorted(table) == sorted(driver.LIMITS)
        for indication in table:
            quantity, exponent, modulus, kind = table[indication]
            assert isinstance(quantity, str) and isinstance(exponent, int) and kind in ("register", "sample")
            assert modulus is None or kind == "register"
            if modulus is not None:
                assert driver.LIMITS[indication] == (0, modulus - 1)
    assert sensors.indications("sdm630") is None
    assert sensors.indications("energy64", ROWS) is None
    for fault in senseair_s8.STATUS_FAULTS:
        assert fault in FAULTS


def test_any_registers_give_integers_within_limits_or_a_fault():
    random.seed(20260102)
    for name in sensors.DRIVERS:
        driver = sensors.driver_class(name, ROWS if name == "analyser" else None)
        for _ in range(400):
            blocks = []
            for _, _, count in driver.REGISTERS:
                blocks.append(bytes([random.getrandbits(8) for _ in range(2 * count)]))
            values = driver.convert(blocks)
            faults = out_of_limits(values, driver.LIMITS)
            faults.update(driver.state_faults(blocks))
            assert sorted(values) == sorted(driver.INDICATIONS)
            for indication in values:
                value = values[indication]
                assert indication in faults or isinstance(value, int)
            for fault in faults.values():
                assert fault in FAULTS
