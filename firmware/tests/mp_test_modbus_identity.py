"""Who answers at the address: what identify() compares, and what it leaves to others."""

import asyncio

from register_instrument import Broken, Registers

from meter_firmware import sensors
from meter_sampling.instrument_error import InstrumentError

ONE, TWO, THREE, FIVE = 0x3F80, 0x4000, 0x4040, 0x40A0
"""High words of these numbers as singles."""

# System type 3p4w and node address 1; serial number 0x01020304 and code of the later firmware.
SDM630 = {(3, 0x0A): THREE, (3, 0x0B): 0, (3, 0x14): ONE, (3, 0x15): 0}
SDM630_LATER = {(3, 0xFC00): 0x0102, (3, 0xFC01): 0x0304, (3, 0xFC02): 0x0070}
DJSF1352 = {(3, 16): 1, (3, 17): 250, (3, 35): 0x0103}


def identify(name, words, unit=1):
    return asyncio.run(sensors.make(name, Registers(words), unit).identify())


def refusal(name, bus, unit=1):
    try:
        asyncio.run(sensors.make(name, bus, unit).identify())
    except InstrumentError as error:
        return error.reason
    return None


def changed(words, **changes):
    result = dict(words)
    for address, word in changes.items():
        result[(3, int(address[1:], 16))] = word
    return result


def test_an_sdm630_is_told_by_system_type_and_its_own_address():
    for system in (ONE, TWO, THREE):
        assert refusal("sdm630", Registers(changed(SDM630, x0A=system))) is None
    assert refusal("sdm630", Registers(changed(SDM630, x0A=FIVE))) == "wrong_identity"
    assert refusal("sdm630", Registers(changed(SDM630, x0A=0))) == "wrong_identity"
    assert refusal("sdm630", Registers(changed(SDM630, x0A=0x7FC0))) == "wrong_identity"
    assert refusal("sdm630", Registers(SDM630), 2) == "wrong_identity"
    assert refusal("sdm630", Registers({})) == "modbus_exception"


def test_an_sdm630_gives_its_serial_number_where_its_firmware_has_one():
    without = {"maker": "Eastron", "model": "SDM630", "serial": None, "revision": None}
    assert identify("sdm630", SDM630) == without
    later = dict(SDM630)
    later.update(SDM630_LATER)
    assert identify("sdm630", later) == {
        "maker": "Eastron",
        "model": "SDM630 code 0070",
        "serial": "16909060",
        "revision": None,
    }
    later[(3, 0xFC00)] = later[(3, 0xFC01)] = 0
    assert identify("sdm630", later)["serial"] is None


class SilentAbove(Registers):
    """Its line goes dead before the serial number is asked for."""

    def _read(self, function, address, count):
        if address >= 0xFC00:
            raise InstrumentError("no_response")
        return super()._read(function, address, count)


def test_a_silent_line_is_not_taken_for_an_instrument_without_serial_number():
    assert refusal("sdm630", SilentAbove(SDM630)) == "no_response"


def test_a_djsf1352_is_told_by_what_no_such_meter_is_without():
    assert identify("djsf1352", DJSF1352) == {
        "maker": "Acrel",
        "model": "DJSF1352-RN 250 A",
        "serial": None,
        "revision": "software 0103",
    }
    assert refusal("djsf1352", Registers(changed(DJSF1352, x10=0))) == "wrong_identity"
    assert refusal("djsf1352", Registers(changed(DJSF1352, x11=0))) == "wrong_identity"


def test_no_modbus_instrument_is_believed_when_its_line_fails():
    rows = [["t", "temperature", 4, 0, "int16", 0, 0, 1]]
    names = ("djsf1352", "energy64", "pzem004t", "register_map", "sdm630", "senseair_s8", "tuf2000")
    for name in names:
        for reason in ("no_response", "bad_crc", "wrong_unit", "short_reply", "wrong_length"):
            driver = sensors.make(name, Broken(reason), 1, rows if name == "register_map" else None)
            for ask in (driver.identify, driver.read):
                try:
                    asyncio.run(ask())
                except InstrumentError as error:
                    assert error.reason == reason
                    continue
                raise AssertionError((name, reason))
