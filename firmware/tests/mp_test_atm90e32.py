"""The ATM90E32's words: options to configuration, registers to indications, and the bytes on the bus."""

from app_bench import channel, instrument, set_fields

from meter_firmware.buses.spi import SpiBus
from meter_firmware.sensors import atm90e32, driver_class
from meter_firmware.sensors.atm90e32_setup import Setup, pl_constant
from meter_sampling import parameters
from meter_sampling.instrument_error import InstrumentError

MAX_POWER = ["max_power", 20000]


class Pin:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def value(self, level):
        self.log.append((self.name, level))


class Wire:
    """Answers each transfer from a list, or raises what it finds there."""

    def __init__(self, log, answers):
        self.log, self.answers = log, answers

    def write_readinto(self, out, into):
        self.log.append(bytes(out))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        into[:] = answer


def _bus(answers, chips=2):
    log = []
    bus = SpiBus(Wire(log, answers), [Pin(log, "cs%d" % chip) for chip in range(chips)])
    assert log == [("cs%d" % chip, 1) for chip in range(chips)]
    log.clear()
    return bus, log


def _refused(options, reason="options"):
    try:
        atm90e32.define(options)
    except InstrumentError as error:
        return error.reason == reason
    return False


# The bus


def test_a_transfer_selects_its_chip_and_no_other():
    bus, log = _bus([b"\x00\x00\x59\xd9"])
    assert bus.transfer(1, b"\x80\xd9\x00\x00") == b"\x00\x00\x59\xd9"
    assert log == [("cs1", 0), b"\x80\xd9\x00\x00", ("cs1", 1)]


def test_a_bus_that_fails_lets_go_of_its_chip():
    bus, log = _bus([OSError(5)])
    try:
        bus.transfer(0, b"\x80\x00\x00\x00")
    except InstrumentError as error:
        assert (error.reason, error.absent) == ("no_response", True)
    assert log[-1] == ("cs0", 1)


def test_a_chip_without_a_pin_is_not_there():
    bus, log = _bus([])
    for address in (-1, 2):
        try:
            bus.transfer(address, b"\x80\x00\x00\x00")
        except InstrumentError as error:
            assert error.reason == "not_connected"
            continue
        raise AssertionError(address)
    assert log == []


def _driver(answers):
    bus, log = _bus([b"\x00\x00" + word.to_bytes(2, "big") for word in answers])
    return atm90e32.define([MAX_POWER])(bus, 0), log


def _frames(log):
    return [entry for entry in log if isinstance(entry, bytes)]


def test_published_frames():
    """jethub-iot/atm90e32-async, tests/proto.rs: read 05H is 80 05 00 00; 55AAH to 7FH is 00 7F 55 AA."""
    driver, log = _driver([0xDEAD, 0xDEAD, 0, 0x55AA])
    assert driver._read(0x05) == 0xDEAD
    driver._write(0x7F, 0x55AA)
    assert _frames(log) == [b"\x80\x05\x00\x00", b"\x80\x78\x00\x00", b"\x00\x7f\x55\xaa", b"\x80\x78\x00\x00"]


def test_a_word_that_the_chip_does_not_confirm_is_asked_for_again():
    for answers, word in (((1, 2, 2), 2), ((1, 2, 1), 1)):
        driver, _ = _driver(answers)
        assert driver._read(0x80) == word
    driver, _ = _driver((1, 2, 3))
    try:
        driver._read(0x80)
    except InstrumentError as error:
        assert (error.reason, error.absent) == ("bad_readback", False)
        return
    raise AssertionError


def test_a_write_that_is_not_confirmed_is_none():
    for echo, reason in ((0xFFFF, "no_response"), (0, "no_response"), (0x55AB, "bad_readback")):
        driver, _ = _driver((0, echo))
        try:
            driver._write(0x7F, 0x55AA)
        except InstrumentError as error:
            assert error.reason == reason
            continue
        raise AssertionError(echo)


def test_a_power_that_changes_between_its_words_is_read_again():
    # high, low, high: each with its confirmation
    torn = [0, 0, 0xFFF0, 0xFFF0, 1, 1]
    whole = [1, 1, 0x0010, 0x0010, 1, 1]
    driver, _ = _driver(torn + whole)
    assert driver._read_both(0xB0, 0xC0) == (1, 0x0010)
    driver, _ = _driver(torn * 3)
    try:
        driver._read_both(0xB0, 0xC0)
    except InstrumentError as error:
        assert error.reason == "bad_readback"
        return
    raise AssertionError


# Registers to indications


def _words(changes):
    words = {register: 0 for _, register, _ in atm90e32.WORDS}
    for _, high, low in atm90e32.POWERS:
        words[high] = words[low] = 0
    words.update(changes)
    return words


def test_published_values():
    """jethub-iot/atm90e32-async, tests/proto.rs, in integers."""
    values = atm90e32.convert(
        _words({0xD9: 23000, 0xDD: 5500, 0xF8: 4998, 0xBC: 0xFC18, 0xB1: 1, 0xC1: 0, 0xB2: 0xFFFE, 0xC2: 0})
    )
    assert (values["voltage_a"], values["current_a"], values["frequency"]) == (23000, 5500, 4998)
    assert values["power_factor"] == -1000
    # 65536 x 0.00032 W = 20.97152 W
    assert (values["active_power_a"], values["active_power_b"]) == (2097152, -4194304)


def test_powers_are_twos_complement_of_both_words():
    for high, low, value in (
        (0xFFFF, 0xFFFF, -1),
        (0x7FFF, 0xFFFF, 2**31 - 1),
        (0x8000, 0, -(2**31)),
        (0, 0xFFFF, 65535),
    ):
        assert atm90e32.convert(_words({0xB4: high, 0xC4: low}))["reactive_power"] == 32 * value


def test_every_indication_has_its_limits_and_a_quantity():
    driver = atm90e32.define([MAX_POWER])
    assert sorted(driver.INDICATIONS) == sorted(driver.LIMITS)
    for name in driver.VOLATILE:
        quantity, exponent, modulus, kind = driver.INDICATIONS[name]
        # 0.01 CF at 3200 imp/kWh is 3125 uW.h
        assert (quantity, exponent, modulus, kind) == (name, -6, 10**13, "register")


def test_a_set_with_a_front_end_is_one():
    chip = instrument(driver="atm90e32", address=0, serial=None, options=[MAX_POWER])
    # 5000/5 A and 10,000/100 V
    counted = channel(exponent=-6, modulus=10**13, ratio=100000)
    power = channel(2, indication="active_power", quantity="active_power", kind=1, exponent=-5, modulus=None)
    parameters.check_content(set_fields(instruments=[chip], channels=[counted, power]), driver_class)


# Options to configuration


def test_the_published_pl_constant():
    """AN46103: PL_Constant = 450e9 / MC; 3200 imp/kWh: 0861H C468H."""
    assert pl_constant(3200) == 0x0861C468
    words = dict(Setup([MAX_POWER]).words)
    assert (words[0x31], words[0x32], words[0x33], words[0x34]) == (0x0861, 0xC468, 0x0087, 0x00)
    assert (words[0x00], words[0x61], words[0x6A], words[0x35], words[0x3A]) == (1, 0x8000, 0x8000, 0x1D4C, 0x02EE)


def test_a_count_is_an_exact_part_of_a_watt_hour():
    for meter_constant, exponent, weight in ((3200, -6, 3125), (1000, -2, 1), (6400, -7, 15625), (400, -3, 25)):
        setup = Setup([MAX_POWER, ["meter_constant", meter_constant]])
        assert (setup.exponent, setup.weight) == (exponent, weight)
        assert setup.weight * meter_constant == 10 ** (1 - exponent)


def test_modes_of_the_mains():
    # The published words of 50 and 60 Hz, 3P4W and 3P3W, and of the amplifier
    for options, mode0, mode1 in (
        ([["mains_hz", 60]], 0x1087, 0x00),
        ([["wiring", "3p3w"]], 0x0185, 0x00),
        ([["amplifier", 2]], 0x0087, 0x15),
        ([["amplifier", 4]], 0x0087, 0x2A),
    ):
        words = dict(Setup([MAX_POWER] + options).words)
        assert (words[0x33], words[0x34]) == (mode0, mode1)


def test_calibration_goes_to_the_registers_of_its_phase():
    rows = [["power_gain", -1, 0x7FFF, -0x8000], ["phase_angle", 1, 2, 3], ["current_offset", 4, 5, -6]]
    words = dict(Setup([MAX_POWER] + rows).words)
    assert [words[at] for at in (0x47, 0x49, 0x4B)] == [0xFFFF, 0x7FFF, 0x8000]
    assert [words[at] for at in (0x48, 0x4A, 0x4C)] == [1, 2, 3]
    assert [words[at] for at in (0x64, 0x68, 0x6C)] == [4, 5, 0xFFFA]


def test_options_that_are_none_are_refused():
    assert not _refused([MAX_POWER])
    for rows in (
        None,
        [],
        [["max_power"]],
        [["max_power", 0]],
        [["max_power", "1"]],
        [["max_power", True]],
        [MAX_POWER, MAX_POWER],
        [MAX_POWER, []],
        [MAX_POWER, ["max"]],
        [MAX_POWER, ["meter_constant", 3000]],
        [MAX_POWER, ["meter_constant", 7]],
        [MAX_POWER, ["meter_constant", 100]],
        [MAX_POWER, ["mains_hz", 55]],
        [MAX_POWER, ["mains_hz", 50, 60]],
        [MAX_POWER, ["wiring", 3]],
        [MAX_POWER, ["amplifier", 3]],
        [MAX_POWER, ["voltage_gain", 1, 2]],
        [MAX_POWER, ["voltage_gain", 1, 2, 0x10000]],
        [MAX_POWER, ["voltage_gain", 1, 2, -1]],
        [MAX_POWER, ["power_gain", 0x8000, 0, 0]],
        [MAX_POWER, ["power_gain", "0", 0, 0]],
    ):
        assert _refused(rows), rows
