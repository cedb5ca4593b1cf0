"""What an instrument's answers and failures come to: a value, or a status that says why there is none."""

from meter_protocol import fields as f
from meter_sampling.drivers.driver import FAULTS
from meter_sampling.instrument import SILENCE_MS, Instrument
from meter_sampling.instrument_error import ABSENT_REASONS, REASONS, InstrumentError


class Scripted:
    """A driver that does what it is told and keeps a record."""

    def __init__(self, serial="7"):
        self.serial = serial
        self.faults = {}
        self.value = 5
        self.error = None
        self.calls = []

    async def identify(self):
        self.calls.append("identify")
        return {"serial": self.serial}

    async def read(self):
        self.calls.append("read")
        if self.error is not None:
            raise self.error
        return {"x": None if "x" in self.faults else self.value}


async def test_each_fault_of_a_driver_has_its_status():
    bits = {"out_of_range": f.STATUS_IMPLAUSIBLE, "under_range": f.STATUS_UNDER_RANGE}
    bits.update({"over_range": f.STATUS_OVER_RANGE, "signal_fault": f.STATUS_SIGNAL_FAULT})
    driver = Scripted()
    instrument = Instrument(driver, None)
    for fault in FAULTS:
        driver.faults = {"x": fault}
        await instrument.read(0)
        assert instrument.indication("x") == (None, bits.get(fault, f.STATUS_BAD_RESPONSE)), fault
    driver.faults = {}
    await instrument.read(0)
    assert instrument.indication("x") == (5, f.STATUS_GOOD)
    assert instrument.indication("y") == (None, f.STATUS_BAD_RESPONSE)


async def test_after_any_failure_it_identifies_itself_before_it_is_read():
    for reason in REASONS:
        driver = Scripted()
        instrument = Instrument(driver, None)
        await instrument.read(0)
        await instrument.read(1000)
        assert driver.calls == ["identify", "read", "read"]
        driver.error = InstrumentError(reason)
        await instrument.read(2000)
        status = f.STATUS_NO_RESPONSE if reason in ABSENT_REASONS else f.STATUS_BAD_RESPONSE
        if reason == "wrong_identity":
            status = f.STATUS_WRONG_INSTRUMENT
        assert instrument.indication("x") == (None, status), reason
        driver.error = None
        await instrument.read(3000)
        assert driver.calls[3:] == ["read", "identify", "read"], reason
        assert instrument.indication("x") == (5, f.STATUS_GOOD)


async def test_after_a_long_silence_it_identifies_itself_again():
    driver = Scripted()
    instrument = Instrument(driver, "7")
    await instrument.read(0)
    await instrument.read(SILENCE_MS)
    driver.serial = "8"
    await instrument.read(2 * SILENCE_MS)
    assert instrument.indication("x") == (5, f.STATUS_GOOD)
    await instrument.read(3 * SILENCE_MS + 1)
    assert instrument.indication("x") == (None, f.STATUS_WRONG_INSTRUMENT)


async def test_another_instrument_is_not_read_and_the_right_one_is_as_soon_as_it_is_back():
    driver = Scripted("8")
    instrument = Instrument(driver, "7")
    await instrument.read(0)
    await instrument.read(1)
    assert instrument.indication("x") == (None, f.STATUS_WRONG_INSTRUMENT)
    assert driver.calls == ["identify"] * 2
    # One that does not say who it is cannot be told from another.
    for serial in ("7", None):
        driver.serial = "8"
        await instrument.read(SILENCE_MS + 2)
        driver.serial = serial
        await instrument.read(SILENCE_MS + 3)
        assert instrument.indication("x") == (5, f.STATUS_GOOD)
        instrument = Instrument(driver, "7")


async def test_a_drivers_bug_costs_its_own_indications_only():
    driver = Scripted()
    driver.error = ZeroDivisionError()
    instrument = Instrument(driver, None)
    await instrument.read(0)
    assert instrument.indication("x") == (None, f.STATUS_BAD_RESPONSE)
    assert instrument.last_fault is driver.error
