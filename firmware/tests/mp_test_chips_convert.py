"""I2C and 1-Wire instruments: bytes to integers, to the last digit; damage refused; limits where they are."""

import os
import random

from meter_firmware import sensors
from meter_firmware.buses import onewire
from meter_firmware.sensors import bme280, current_loop, ds18b20, scd30, scd41, sdp8xx
from meter_firmware.sensors.sensirion_words import command, crc8, words
from meter_sampling.drivers import bounded
from meter_sampling.drivers.rounding import nearest
from meter_sampling.instrument_error import REASONS, InstrumentError

INPUTS = 200000 if os.getenv("EXHAUSTIVE") else 3000

SCD30_FRAME = bytes.fromhex("43DBCB8C2E8F41D970E7FFF54243BF3A1B74")
SCD41_FRAME = bytes.fromhex("01F4336667A25EB93C")
SCD41_SERIAL = bytes.fromhex("F896319F07C23BBE89")

# BMP280 data sheet 3.12, the same formulas; humidity parameters of a common chip.
DIG = dict(
    zip(
        (
            "T1",
            "T2",
            "T3",
            "P1",
            "P2",
            "P3",
            "P4",
            "P5",
            "P6",
            "P7",
            "P8",
            "P9",
            "H1",
            "H2",
            "H3",
            "H4",
            "H5",
            "H6",
        ),
        (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000, 75, 361, 0, 323, 50, 30),
    )
)


def refused(action, *arguments):
    try:
        action(*arguments)
    except InstrumentError as error:
        assert error.reason in REASONS, error.reason
        return error.reason
    return None


def test_sensirions_crc_is_the_published_one():
    assert crc8(b"\xbe\xef") == 0x92
    assert crc8(b"\x00\x00") == 0x81
    assert command(0x0010, 0) == bytes.fromhex("0010000081")
    assert command(0x3615) == bytes.fromhex("3615")


def test_the_scd30_shows_its_published_values():
    values = scd30.convert(words(SCD30_FRAME))
    assert values == {"co2_fraction": 439095, "temperature": 27238, "relative_humidity": 48807}


def test_the_scd41_shows_its_published_values():
    values = scd41.convert(words(SCD41_FRAME))
    assert values == {"co2_fraction": 500, "temperature": 25003, "relative_humidity": 37002}
    assert words(SCD41_SERIAL) == [0xF896, 0x9F07, 0x3BBE]


def test_what_is_no_number_is_no_value():
    for high, low in ((0x7FC0, 0), (0x7F80, 0), (0xFF80, 0)):
        assert scd30.convert([high, low] * 3) == {
            "co2_fraction": None,
            "temperature": None,
            "relative_humidity": None,
        }


def test_every_wrong_bit_of_a_word_is_refused():
    for frame in (SCD30_FRAME, SCD41_FRAME, SCD41_SERIAL):
        for bit in range(8 * len(frame)):
            wrong = bytearray(frame)
            wrong[bit // 8] ^= 1 << bit % 8
            assert refused(words, bytes(wrong)) == "bad_crc", bit
        assert refused(words, frame[:-1]) == "short_reply"


def test_the_sdp8xx_by_the_scale_that_it_states():
    assert sdp8xx.convert([0xE570, 4300, 60]) == {"differential_pressure": -113333, "temperature": 21500}
    assert sdp8xx.convert([0x0001, 0xFFFF, 240]) == {"differential_pressure": 4, "temperature": -5}
    assert sdp8xx.convert([100, 0, 61])["differential_pressure"] is None
    assert sdp8xx.convert([100, 0, 0])["differential_pressure"] is None
    for scale, full in ((60, 30000), (240, 30000)):
        assert sdp8xx.state_faults([full, 0, scale]) == {}
        assert sdp8xx.state_faults([full + 1, 0, scale]) == {"differential_pressure": "out_of_range"}
        assert sdp8xx.state_faults([0x10000 - full - 1, 0, scale]) == {"differential_pressure": "out_of_range"}


def test_the_bme280_as_its_maker_computes():
    t_fine = bme280.fine_temperature(519888, DIG)
    assert t_fine == 128422
    assert bme280.temperature(t_fine) == 2508
    # What the data sheet's 64-bit formula gives, 100,653.25 Pa; its figure prints 25767236 (100,653.27 Pa).
    assert bme280.pressure(415148, t_fine, DIG) == 25767233


def test_the_bme280_knows_its_trimming_from_its_registers():
    low = bytearray(26)
    for at, value in enumerate([27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000]):
        low[2 * at : 2 * at + 2] = (value & 0xFFFF).to_bytes(2, "little")
    low[25] = 75
    assert bme280.trimming(bytes(low), bytes.fromhex("690100142303") + b"\x1e") == DIG
    negative = bme280.trimming(bytes(low), bytes.fromhex("69010080F5801E"))
    assert (negative["H4"], negative["H5"], negative["H6"]) == (-2048 + 5, -2048 + 15, 30)


def test_the_bme280_without_a_measurement_says_so():
    nothing = bytes.fromhex("8000008000008000")
    assert set(bme280.convert(nothing, DIG).values()) == {None}
    only_temperature = bytes.fromhex("8000007EED008000")
    values = bme280.convert(only_temperature, DIG)
    assert values == {"absolute_pressure": None, "temperature": 2508, "relative_humidity": None}
    no_chip = dict(DIG)
    no_chip["P1"] = 0
    assert bme280.convert(bytes.fromhex("655AC07EED006A00"), no_chip)["absolute_pressure"] is None


def test_the_bme280_rounds_its_pressure_and_humidity_once():
    values = bme280.convert(bytes.fromhex("655AC07EED006A00"), DIG)
    assert values["absolute_pressure"] == nearest(100 * bme280.pressure(415148, 128422, DIG), 256)
    assert abs(values["absolute_pressure"] - 10065327) <= 2
    assert values["relative_humidity"] == nearest(1000 * bme280.humidity(0x6A00, 128422, DIG), 1024)


def test_rounding_is_to_the_nearest_ties_to_even():
    assert [nearest(n, 2) for n in (-5, -3, -1, 1, 3, 5)] == [-2, -2, 0, 0, 2, 2]
    assert [nearest(n, 3) for n in (-5, -4, 4, 5)] == [-2, -1, 1, 2]


SHUNTS = (50000, 100000, 120000, 249900, 10)


def test_namur_ne_43_at_its_limits_to_the_picovolt():
    for shunt in SHUNTS:
        expected = (
            (3600000 * shunt, "signal_fault"),
            (3600000 * shunt + 1, "under_range"),
            (3800000 * shunt - 1, "under_range"),
            (3800000 * shunt, None),
            (20500000 * shunt, None),
            (20500000 * shunt + 1, "over_range"),
            (21000000 * shunt - 1, "over_range"),
            (21000000 * shunt, "signal_fault"),
            (0, "signal_fault"),
            (-1, "signal_fault"),
        )
        for picovolt, reason in expected:
            assert current_loop.fault(picovolt, shunt) == reason, (picovolt, shunt)


def test_the_value_of_a_current_is_exact():
    at = lambda milliampere_e2, low, high: current_loop.value(10000 * milliampere_e2 * 250000, 250000, low, high)  # noqa: E731
    assert at(400, -500, 1500) == -500
    assert at(2000, -500, 1500) == 1500
    assert at(1200, -500, 1500) == 500
    assert at(1200, 1500, -500) == 500
    assert at(380, 0, 16000) == -200
    assert at(2050, 0, 16000) == 16500
    # Half a step: to even, on both sides of zero.
    assert [at(400 + 100 * n, 0, 8) for n in (1, 3, 5)] == [0, 2, 2]
    assert [at(400 + 100 * n, 0, -8) for n in (1, 3, 5)] == [0, -2, -2]
    assert current_loop.limits(0, 16000) == (-200, 16500)
    assert current_loop.limits(16000, 0) == (-500, 16200)


def test_the_amplifier_holds_more_than_a_fault_and_no_more_than_it_must():
    for shunt in range(1000, 279000, 997):
        code = current_loop.amplifier(shunt)
        full_scale = 1000 * current_loop.RANGES[code][0]
        assert full_scale >= 22000000 * shunt
        assert code == 5 or full_scale < 2 * 22000000 * shunt or code == 0
    assert current_loop.amplifier(279272) == 0
    assert current_loop.amplifier(279273) is None


def test_the_setting_of_the_published_example():
    assert current_loop.setting(0, 1) == 0xC383
    assert current_loop.setting(3, 5) == 0xFB83
    # Fresh from a reset the chip has the same settings, but for AIN0 against AIN1: 8583h.
    assert current_loop.setting(0, 2) == 0x8583 | current_loop.INPUT_TO_GROUND


def test_the_published_steps_of_the_converter():
    assert [step for _, step in current_loop.RANGES] == [
        187500000,
        125000000,
        62500000,
        31250000,
        15625000,
        7812500,
    ]
    assert [1000 * full_scale for full_scale, _ in current_loop.RANGES] == [
        32768 * step for _, step in current_loop.RANGES
    ]


ROW = ["flue_pressure", "differential_pressure", 0, 100000, -1, 0, 10000]


def test_transmitters_are_described_by_their_rows():
    rows = [ROW, ["steam", "temperature", 3, 249000, -2, -5000, 40000]]
    driver = sensors.driver_class("current_loop", rows)
    assert driver.INDICATIONS == {
        "flue_pressure": ("differential_pressure", -1, None, "sample"),
        "steam": ("temperature", -2, None, "sample"),
    }
    assert driver.LIMITS["flue_pressure"] == (-125, 10312)


def changed(cell, value):
    row = list(ROW)
    row[cell] = value
    return row


def test_rows_that_are_no_transmitters_are_refused():
    wrong = [None, [], [[]], [ROW[:-1]], [ROW + [1]], [ROW, ROW], [ROW, ["other"] + ROW[1:]]]
    wrong += [[changed(0, 5)], [changed(1, 5)], [changed(2, 4)], [changed(2, -1)], [changed(2, "0")]]
    wrong += [[changed(3, 0)], [changed(3, 279273)], [changed(4, "x")], [changed(5, True)], [changed(6, 0)]]
    for rows in wrong:
        assert refused(sensors.driver_class, "current_loop", rows) == "options", rows


def test_settings_have_bounds():
    driver = sensors.driver_class("scd30", [["ambient_pressure_hpa", 700]])
    assert driver.SETTINGS == {"ambient_pressure_hpa": 700, "self_calibration": 0}
    assert sensors.driver_class("scd41").SETTINGS == {"ambient_pressure_hpa": 0, "self_calibration": 0}
    wrong = [["ambient_pressure_hpa", 699]], [["self_calibration", 2]], [["x", 1]], [["self_calibration"]], [[]]
    wrong += [["self_calibration", True]], [["self_calibration", 1], ["self_calibration", 1]]
    for rows in wrong:
        for name in ("scd30", "scd41"):
            assert refused(sensors.driver_class, name, rows) == "options", rows
    assert bounded.bounded(None, {"a": (1, 2, 9)}) == {"a": 9}
    for name in ("sdp8xx", "bme280"):
        assert refused(sensors.driver_class, name, [["x", 1]]) == "options"


ROM = "28FF4C60921603"


def rom():
    number = bytes.fromhex(ROM)
    return ROM + "%02X" % onewire.crc8(number)


def scratchpad(steps, config=0x7F, byte_6=None):
    content = (steps & 0xFFFF).to_bytes(2, "little") + bytes((0x4B, 0x46, config, 0xFF))
    content += bytes((0x10 - (steps & 15) if byte_6 is None else byte_6, 0x10))
    return content + bytes((onewire.crc8(content),))


def test_maxims_crc_is_that_of_application_note_27():
    assert onewire.crc8(bytes.fromhex("021CB801000000")) == 0xA2
    assert onewire.crc8(bytes.fromhex("021CB801000000A2")) == 0


def test_the_ds18b20_shows_its_data_sheets_table():
    table = ((0x07D0, 1250000), (0x0550, 850000), (0x0191, 250625), (0x00A2, 101250), (0x0008, 5000), (0, 0))
    table += ((0xFFF8, -5000), (0xFF5E, -101250), (0xFE6F, -250625), (0xFC90, -550000))
    for steps, value in table:
        assert ds18b20.convert(ds18b20.check(scratchpad(steps))) == value


def test_the_ds18b20_after_power_up_has_no_value():
    assert ds18b20.convert(scratchpad(0x0550, 0x7F, 0x0C)) is None
    assert ds18b20.convert(scratchpad(0x0550, 0x7F, 0x10)) == 850000
    assert ds18b20.convert(scratchpad(0x0551, 0x7F, 0x0C)) == 850625


def test_the_ds18b20_says_no_more_than_its_resolution():
    for config, value in ((0x7F, 9375), (0x5F, 8750), (0x3F, 7500), (0x1F, 5000)):
        assert ds18b20.convert(ds18b20.check(scratchpad(15, config))) == value
    assert ds18b20.convert(scratchpad(-1, 0x1F)) == -5000


def test_every_wrong_bit_of_a_scratchpad_is_refused():
    right = scratchpad(0x0191)
    for bit in range(8 * len(right)):
        wrong = bytearray(right)
        wrong[bit // 8] ^= 1 << bit % 8
        assert refused(ds18b20.check, bytes(wrong)) == "bad_crc", bit
    assert refused(ds18b20.check, scratchpad(0, 0x00)) == "bad_crc"
    assert refused(ds18b20.check, right[:8]) == "short_reply"


def test_rom_codes_are_checked():
    driver = sensors.driver_class("ds18b20", [["rom", rom()]])
    assert bytes.fromhex(rom()) == driver.ROM
    assert sensors.driver_class("ds18b20").ROM is None
    assert sensors.driver_class("ds18b20", [["rom", rom().lower()]]).ROM == driver.ROM
    other_family = "10" + ROM[2:]
    other_family += "%02X" % onewire.crc8(bytes.fromhex(other_family))
    for text in (
        rom()[:-1] + "0",
        rom()[:-2],
        rom() + "00",
        "0" * 16,
        other_family,
        "28 " * 5 + "2",
        "",
        28,
        "zz",
    ):
        assert refused(sensors.driver_class, "ds18b20", [["rom", text]]) == "options", text
    for rows in ([["rom"]], [["x", rom()]], [[]], [["rom", rom()], ["rom", rom()]]):
        assert refused(sensors.driver_class, "ds18b20", rows) == "options", rows


def test_whatever_bytes_come_give_values_or_a_reason():
    random.seed(20261122)
    accepted = 0
    for _ in range(INPUTS):
        said = bytes([random.getrandbits(8) for _ in range(random.getrandbits(5))])
        if refused(words, said) is None:
            accepted += len(said) > 0
        refused(ds18b20.check, said)
        eighteen = [random.getrandbits(16) for _ in range(6)]
        for values in (scd30.convert(eighteen), scd41.convert(eighteen), sdp8xx.convert(eighteen)):
            for value in values.values():
                assert value is None or isinstance(value, int)
        sdp8xx.state_faults(eighteen)
        ds18b20.convert(bytes([random.getrandbits(8) for _ in range(9)]))
    # One word in 256 has the right CRC by chance, two in 65,536.
    assert accepted < INPUTS // 200 + 10


def test_whatever_trimming_a_bme280_claims_it_gives_values_or_none():
    random.seed(280)
    for _ in range(INPUTS // 10):
        low = bytes([random.getrandbits(8) for _ in range(26)])
        high = bytes([random.getrandbits(8) for _ in range(7)])
        values = bme280.convert(bytes([random.getrandbits(8) for _ in range(8)]), bme280.trimming(low, high))
        for value in values.values():
            assert value is None or isinstance(value, int)
        humidity = values["relative_humidity"]
        assert humidity is None or 0 <= humidity <= 100000
