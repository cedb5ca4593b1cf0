"""Registers to integers: published vectors, ranges, and the word formats on their own."""

import random

from meter_firmware import sensors
from meter_sampling import modbus_frames
from meter_sampling.drivers import djsf1352, energy64, pzem004t, sdm630, senseair_s8, tuf2000
from meter_sampling.drivers.driver import FAULTS, out_of_limits
from meter_sampling.drivers.words import bcd, binary32, binary64, decimal, real4, signed, text, unsigned
from meter_sampling.instrument_error import InstrumentError

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
    assert decimal(bytes.fromhex("00012345"), 0, 2) == 12345
    assert decimal(bytes.fromhex("23450001"), 0, 2, True) == 12345
    assert decimal(bytes.fromhex("0001234A"), 0, 2) is None
    assert decimal(bytes.fromhex("F001"), 0, 1) is None


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


def test_doubles_and_multipliers_are_exact():
    # pi as a double, from IEEE 754 by hand: 0x400921FB54442D18 = 3.141592653589793115997963...
    assert binary64(0x400921FB54442D18, 10**24) == 3141592653589793115997963
    assert binary64(0xBFF8000000000000, 1) == -2
    assert binary64(0x4340000000000001, 1) == 2**53 + 2
    assert binary64(1, 1) == 0
    assert binary64(0x000FFFFFFFFFFFFF, 2**1074) == 2**52 - 1
    # One litre a minute is 0.06 m3/h: 600 units of 0.0001 m3/h, rounded once
    assert binary32(0x3F800000, 600) == 600
    assert binary32(0x3DCCCCCD, 600) == 60
    assert binary32(0x3A83126F, 500) == 1, "0.001 as a single is a little more than it: 0.5000000237"
    for bits in (0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0xFFFFFFFFFFFFFFFF):
        assert binary64(bits, 1) is None


def sdm630_blocks(changes):
    """Two blocks of singles; `changes` is address -> bits."""
    blocks = [bytearray(2 * count) for _, _, count in sdm630.REGISTERS]
    for address in changes:
        index = 0 if address < 0x30 else 1
        place = 2 * (address - sdm630.REGISTERS[index][1])
        blocks[index][place : place + 4] = changes[address].to_bytes(4, "big")
    return [bytes(part) for part in blocks]


def test_sdm630_published_reply():
    # 01 04 00 00 00 02 71 CB -> 01 04 04 43 66 33 34 1B 38: 230.2 V
    assert modbus_frames.rtu_request(1, 4, 0, 2) == bytes.fromhex("01040000000271CB")
    payload = modbus_frames.rtu_reply(bytes.fromhex("010404436633341B38"), 1, 4, 2)
    assert binary32(unsigned(payload, 0, 2), 100) == 23020
    assert sdm630.convert(sdm630_blocks({0: 0x43663334}))["voltage_l1"] == 23020
    try:
        modbus_frames.rtu_reply(bytes.fromhex("010404436633341B39"), 1, 4, 2)
    except InstrumentError as error:
        assert error.reason == "bad_crc"
    else:
        raise AssertionError("a damaged reply was believed")


def test_sdm630_reads_each_single_where_the_maker_puts_it():
    for row in sdm630.TABLE:
        values = sdm630.convert(sdm630_blocks({row[1]: 0x42C80000}))  # 100.0
        assert [name for name in values if values[name]] == [row[0]]
        assert values[row[0]] == 100 * row[4]
    values = sdm630.convert(sdm630_blocks({0x34: 0xC4BB8000, 0x3E: 0xBF800000}))
    assert (values["active_power"], values["power_factor"]) == (-15000, -10000)


def test_sdm630_energy_is_as_fine_as_its_single():
    # 131072.00 kWh and the next single above it: 0.015625 kWh, 15.6 Wh
    values = sdm630.convert(sdm630_blocks({0x48: 0x48000000, 0x4A: 0x48000001}))
    assert values["active_energy_import"] == 131072000
    assert values["active_energy_export"] == 131072016
    # 999999.99 kWh is shown; 1000000 is the nearest single
    assert sdm630.convert(sdm630_blocks({0x48: 0x49742400}))["active_energy_import"] == 1000000000
    last = -1
    for bits in range(0x47C34F00, 0x47C34F00 + 300):
        energy = sdm630.convert(sdm630_blocks({0x48: bits}))["active_energy_import"]
        assert energy > last
        last = energy


def test_sdm630_refuses_what_it_cannot_mean():
    not_a_number, infinite = 0x7FC00000, 0x7F800000
    values = sdm630.convert(
        sdm630_blocks({0x00: not_a_number, 0x48: infinite, 0x4A: 0xFF800000, 0x46: 0x42480000})
    )
    faults = out_of_limits(values, sdm630.LIMITS)
    assert faults == {
        "voltage_l1": "not_available",
        "active_energy_import": "not_available",
        "active_energy_export": "not_available",
    }
    for address, bits, name in ((0x00, 0xBF800000, "voltage_l1"), (0x48, 0x4CBEBC20, "active_energy_import")):
        values = sdm630.convert(sdm630_blocks({address: bits, 0x46: 0x42480000}))
        assert out_of_limits(values, sdm630.LIMITS) == {name: "out_of_range"}


# Replies of a real DJSF1352-RN, as a charging pile's firmware records them (meter_drv_djsf1352).
DJSF_VOLTAGE = ("010300000006C5C8", "01030C0000000300000002000001 4D3FE5", 0, 6)
DJSF_POWER = ("01030008000245C9", "01030400000005 3A30", 8, 2)
DJSF_ENERGY = ("0103000C0008840F", "0103100000521A00000000000100FA000000005985", 12, 8)


def test_djsf1352_frames_of_a_real_meter():
    registers = bytearray(2 * 20)
    for request, reply, address, count in (DJSF_VOLTAGE, DJSF_POWER, DJSF_ENERGY):
        assert modbus_frames.rtu_request(1, 3, address, count) == bytes.fromhex(request)
        payload = modbus_frames.rtu_reply(bytes.fromhex(reply.replace(" ", "")), 1, 3, count)
        registers[2 * address : 2 * (address + count)] = payload
    values = djsf1352.convert([bytes(registers[:32])])
    assert values == {
        "voltage": 0,
        "current": 0,
        "active_power": 0,
        "active_energy_import": 21018,
        "active_energy_export": 0,
    }
    # Its broken-wire register is 0, and the temperature behind it 33.3 degrees.
    assert djsf1352.state_faults([bytes(registers[:32])]) == {}
    assert (unsigned(registers, 16, 1), unsigned(registers, 17, 1)) == (1, 250)


def test_djsf1352_moves_the_decimal_point_exactly():
    values = djsf1352.convert([block(7502, 2, 0xFF38, 2, 0, 253, 0, 0, 0xFFFA, 5, 0, 0, 1, 2, 0xFFFF, 0xFFFF)])
    assert values == {
        "voltage": 750200,
        "current": -20000,
        "active_power": -600000,
        "active_energy_import": 65538,
        "active_energy_export": 4294967295,
    }
    assert out_of_limits(values, djsf1352.LIMITS) == {}
    values = djsf1352.convert([block(1, 8, 32767, 7, 0, 0, 0, 0, 1, 0xFFFF, 0, 0, 0, 0, 0, 0)])
    assert (values["voltage"], values["active_power"]) == (None, None)
    assert out_of_limits(values, djsf1352.LIMITS) == {
        "voltage": "not_available",
        "current": "out_of_range",
        "active_power": "not_available",
    }
    for name in ("voltage", "current", "active_power"):
        assert djsf1352.state_faults([block(0, 0, 0, 0, 1)])[name] == "signal_fault"
    assert len(djsf1352.state_faults([block(0, 0, 0, 0, 1)])) == 3, "the energies stay what they are"


def test_djsf1352_options_say_how_fine_its_energies_are():
    for options, exponent in ((None, 0), ([["energy_exponent", 0]], 0), ([["energy_exponent", -1]], -1)):
        table = sensors.driver_class("djsf1352", options).INDICATIONS
        assert table["active_energy_import"][1] == table["active_energy_export"][1] == exponent
    for options in (
        [],
        [[]],
        [["energy_exponent"]],
        [["energy_exponent", "0"]],
        [["energy_exponent", 1]],
        [["x", 0]],
    ):
        try:
            sensors.driver_class("djsf1352", options)
        except InstrumentError as error:
            assert error.reason == "options"
            continue
        raise AssertionError(options)


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


def modbus_drivers():
    for name in ("djsf1352", "energy64", "pzem004t", "sdm630", "senseair_s8", "tuf2000"):
        yield sensors.driver_class(name)


def test_each_states_its_indications_and_their_limits():
    for driver in modbus_drivers():
        table = driver.INDICATIONS
        assert driver.BUS == "modbus"
        assert sorted(table) == sorted(driver.LIMITS)
        for indication in table:
            quantity, exponent, modulus, kind = table[indication]
            assert isinstance(quantity, str) and isinstance(exponent, int) and kind in ("register", "sample")
            assert modulus is None or kind == "register"
            if modulus is not None:
                assert driver.LIMITS[indication] == (0, modulus - 1)
    for fault in senseair_s8.STATUS_FAULTS:
        assert fault in FAULTS


def test_unknown_drivers_and_options_for_none_are_refused():
    rows = [["t", "temperature", 4, 0, "int16", 0, 0, 1]]
    for name, options, reason in (
        ("none_such", None, "unknown_driver"),
        ("energy64", rows, "options"),
        ("sdm630", rows, "options"),
    ):
        try:
            sensors.driver_class(name, options)
        except InstrumentError as error:
            assert error.reason == reason
            continue
        raise AssertionError(name)


def test_any_registers_give_integers_within_limits_or_a_fault():
    random.seed(20260102)
    for driver in modbus_drivers():
        for _ in range(200):
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
