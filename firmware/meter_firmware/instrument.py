"""One instrument of the parameter set: does it answer, is it the one that is meant, what does it indicate?

What an instrument does not say has a status and no value. No fault of an instrument, and none of its driver's,
gets out of here: it costs its own indications and nobody else's.
"""

from meter_firmware.modbus import InstrumentError
from meter_protocol import fields as f

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SILENCE_MS = 10000
"""Nobody rewires a place faster. After longer without an answer whoever answers has to say who it is."""


class Instrument:
    def __init__(self, driver: "Any", serial: "str | None") -> None:
        """`serial` is what the sealed parameters demand; None takes any instrument of the driver's kind."""
        self._driver = driver
        self._serial = serial
        self._is_expected = False
        self._answered_ms: "int | None" = None
        self._status = f.STATUS_NO_RESPONSE
        self._values: "dict[str, int | None]" = {}
        self._faults: "dict[str, str]" = {}
        self.last_fault: "Exception | None" = None

    async def read(self, now_ms: int) -> None:
        """Take every indication of this moment, of which `now_ms` is the monotonic time."""
        self._values = {}
        try:
            if self._answered_ms is None or now_ms - self._answered_ms > SILENCE_MS:
                self._is_expected = await self._identify()
            self._values = await self._driver.read()
            self._faults = self._driver.faults
            self._answered_ms = now_ms
            self._status = f.STATUS_GOOD if self._is_expected else f.STATUS_WRONG_INSTRUMENT
        except InstrumentError as error:
            self._fail(f.STATUS_NO_RESPONSE if error.absent else f.STATUS_BAD_RESPONSE)
        except Exception as fault:  # noqa: BLE001  a driver's bug must not stop the other instruments
            self.last_fault = fault
            self._fail(f.STATUS_BAD_RESPONSE)

    def indication(self, name: str) -> "tuple[int | None, int]":
        """(value, status); no value without a status that says why."""
        value = self._values.get(name)
        if value is not None or self._status != f.STATUS_GOOD:
            return value, self._status
        is_outside = self._faults.get(name) == "out_of_range"
        return None, f.STATUS_IMPLAUSIBLE if is_outside else f.STATUS_BAD_RESPONSE

    def _fail(self, status: int) -> None:
        self._answered_ms = None
        self._status = status

    async def _identify(self) -> bool:
        try:
            identity = await self._driver.identify()
        except InstrumentError as error:
            if error.reason == "wrong_identity":
                return False
            raise
        return self._serial is None or identity["serial"] in (None, self._serial)
