"""Every driver there is keeps what the meter counts on: one table of examples, one walk over DRIVERS."""

import os
import random

from corruption import noise
from driver_examples import EXAMPLES
from fuzzing import run

from meter_firmware import sensors
from meter_firmware.buses.pulse import PulseInputs
from meter_firmware.sensors import DRIVERS
from meter_protocol.quantities import BY_NAME
from meter_protocol.rules import is_options
from meter_sampling import drivers, parameters
from meter_sampling.drivers.driver import BUSES, FAULTS, REGISTER, SAMPLE
from meter_sampling.instrument_error import ABSENT_REASONS, REASONS, InstrumentError

MAX_NAME = 32
"""Of an indication in a channel (SPEC §8.1)."""

EXPONENTS = (-18, 18)


def classes():
    return [
        (name, address, sensors.driver_class(name, options))
        for name in DRIVERS
        for address, options in EXAMPLES[name]
    ]


def test_every_driver_has_an_example_and_a_file():
    assert sorted(EXAMPLES) == sorted(DRIVERS)
    assert len(DRIVERS) == len(set(DRIVERS))
    for name in DRIVERS:
        for _, options in EXAMPLES[name]:
            assert is_options(options), name


def test_every_file_with_a_driver_is_listed():
    """Drivers are the files of these two folders that define one."""
    for package, listed in ((drivers, drivers.DRIVERS), (sensors, sensors.CHIPS)):
        folder = package.__file__.rsplit("/", 1)[0]
        found = []
        for entry in os.ilistdir(folder):
            if entry[0].endswith(".py"):
                with open(folder + "/" + entry[0]) as file:
                    if "\ndef define(" in file.read():
                        found.append(entry[0][:-3])
        assert sorted(found) == list(listed), folder


def test_indications_and_limits_are_of_the_same_names_and_can_be_sealed():
    for name, _, driver in classes():
        assert driver.INDICATIONS, name
        assert sorted(driver.INDICATIONS) == sorted(driver.LIMITS), name
        for indication in driver.INDICATIONS:
            place = (name, indication)
            quantity, exponent, modulus, kind = driver.INDICATIONS[indication]
            lowest, highest = driver.LIMITS[indication]
            assert 0 < len(indication) <= MAX_NAME, place
            assert quantity in BY_NAME, place
            assert EXPONENTS[0] <= exponent <= EXPONENTS[1], place
            assert kind in (REGISTER, SAMPLE), place
            assert lowest < highest, place
            assert max(-lowest, highest) <= parameters.MAX_VALUE, place
            if kind == SAMPLE:
                assert modulus is None, place
                continue
            assert lowest == 0, place
            assert modulus is None or highest == modulus - 1, place


def test_only_a_register_counts_on_and_only_a_register_is_volatile():
    for name, _, driver in classes():
        for indication in driver.VOLATILE:
            assert driver.INDICATIONS[indication][3] == REGISTER, (name, indication)
            assert driver.INDICATIONS[indication][2] is not None, (name, indication)


def test_buses_and_addresses_are_those_that_a_set_can_name():
    for name, address, driver in classes():
        lowest, highest = driver.ADDRESSES
        assert driver.BUS in BUSES, name
        assert 0 <= lowest <= address <= highest <= 0xFFFFFFFF, (name, address)
    used = [driver.BUS for _, _, driver in classes()]
    for bus in BUSES:
        assert bus in used, bus


def test_every_class_can_be_asked_all_that_a_meter_asks():
    for name, _, driver in classes():
        for method in ("read", "identify", "restore"):
            assert callable(getattr(driver, method)), (name, method)


def _quoted(line):
    """The lower-case words between quotation marks."""
    found = []
    for index, part in enumerate(line.split('"')):
        if index % 2 and part and all(character in "abcdefghijklmnopqrstuvwxyz0123456789_" for character in part):
            found.append(part)
    return found


def _sources():
    firmware = sensors.__file__.rsplit("/", 2)[0]
    sampling = drivers.__file__.rsplit("/", 2)[0]
    for folder in (firmware, firmware + "/sensors", firmware + "/buses", sampling, sampling + "/drivers"):
        for entry in os.ilistdir(folder):
            if entry[0].endswith(".py"):
                with open(folder + "/" + entry[0]) as file:
                    yield entry[0], file.read().split("\n")


def test_every_reason_that_is_raised_is_listed_and_the_other_way_round():
    raised = []
    for name, lines in _sources():
        for line in lines:
            if "InstrumentError(" in line and "class " not in line:
                words = _quoted(line.split("InstrumentError(", 1)[1])
                for word in words:
                    assert word in REASONS, (name, word)
                raised += words
    # frame_68.py raises what it found first.
    raised += ["bad_checksum", "bad_stop"]
    assert sorted(set(raised)) == sorted(REASONS)
    for reason in ABSENT_REASONS:
        assert reason in REASONS


def test_every_fault_is_said_by_somebody():
    said = []
    for name, lines in _sources():
        for line in lines:
            if name != "driver.py" or "faults[name] = " in line:
                said += _quoted(line)
    for fault in FAULTS:
        assert fault in said, fault


def _cell(example):
    kind = random.randrange(8)
    if kind == 0:
        return random.choice((0, 1, -1, 2, 7, 16, 255, 65535, 65536, 2**31, 2**63 - 1, -(2**63)))
    if kind == 1:
        return random.getrandbits(30) - (1 << 29)
    if kind == 2:
        return "".join([chr(97 + byte % 26) for byte in noise(random.choice((0, 1, 8, 64)))])
    if kind == 3:
        return random.choice(("sample", "register", "temperature", "uint16", "text4", "_low", "\u0663", "3p4w"))
    cells = [cell for row in example or [[0]] for cell in row] or [0]
    return random.choice(cells)


def _options(example):
    """Rows as the schema takes them: an example's with some cells changed, repeated, cut, or anything at all."""
    if random.randrange(20) == 0:
        return None
    rows = [list(row) for row in example or []]
    for _ in range(random.randrange(1, 4)):
        kind = random.randrange(6)
        if kind == 0 or not rows:
            rows.append([_cell(example) for _ in range(random.randrange(11))])
        elif kind == 1:
            rows.append(list(random.choice(rows)))
        elif kind == 2:
            rows.pop(random.randrange(len(rows)))
        else:
            row = random.choice(rows)
            if kind == 3 and len(row) < 10:
                row.append(_cell(example))
            elif kind == 4 and row:
                row.pop()
            elif row:
                row[random.randrange(len(row))] = _cell(example)
    return rows


async def _use(driver):
    """Any registers and any contact: what the options chose can be computed with."""
    if driver.BUS == "modbus":
        blocks = [noise(2 * count) for _, _, count in driver.REGISTERS]
        assert sorted(driver.convert(blocks)) == sorted(driver.INDICATIONS)
        driver.state_faults(blocks)
    elif driver.BUS == "pulse":
        contact = driver(PulseInputs([0]), 0)
        contact.restore(driver.VOLATILE[0], random.getrandbits(30))
        await contact.read()


def test_no_options_raise_anything_but_their_reason():
    """What `define` takes, it takes whole: names and limits agree, and a channel can be checked against them."""
    for name in DRIVERS:
        examples = [options for _, options in EXAMPLES[name]]
        taken = [0]

        async def attack(name=name, examples=examples, taken=taken):
            options = _options(random.choice(examples))
            if not is_options(options):
                return 0
            try:
                driver = sensors.driver_class(name, options)
            except InstrumentError as error:
                assert error.reason in ("options", "register_map"), error.reason
                return 1
            taken[0] += 1
            assert driver.BUS in BUSES
            assert 0 <= driver.ADDRESSES[0] <= driver.ADDRESSES[1]
            assert sorted(driver.INDICATIONS) == sorted(driver.LIMITS)
            for indication in driver.INDICATIONS:
                quantity, exponent, modulus, kind = driver.INDICATIONS[indication]
                assert isinstance(quantity, str)
                assert isinstance(exponent, int)
                assert kind in (REGISTER, SAMPLE)
                assert modulus is None or modulus > 0
                assert driver.LIMITS[indication][0] <= driver.LIMITS[indication][1]
            for indication in driver.VOLATILE:
                assert indication in driver.INDICATIONS
            await _use(driver)
            return 1

        run("options", attack, len(DRIVERS), name)
        assert taken[0], name


def test_a_driver_that_is_not_there_has_its_reason():
    for name in ("abacus", "driver", "words", "__init__", ""):
        try:
            sensors.driver_class(name)
        except InstrumentError as error:
            assert error.reason == "unknown_driver"
            continue
        raise AssertionError(name)
