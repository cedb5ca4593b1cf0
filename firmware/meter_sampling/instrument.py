"""One instrument of the parameter set: does it answer, is it the one that is meant, what does it indicate?

What an instrument does not say has a status and no value. No fault of an instrument, and none of its driver's,
gets out of here: it costs its own indications and nobody else's.

After any failure the instrument has to identify itself before it is read again, and `identify` is where a driver
sets up and starts what it drives: an instrument that was unplugged, or lost its supply, is taken up again.
"""

from meter_protocol import fields as f
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATUS_OF_FAULT = {
    "out_of_range": f.STATUS_IMPLAUSIBLE,
    "under_range": f.STATUS_UNDER_RANGE,
    "over_range": f.STATUS_OVER_RANGE,
    "signal_fault": f.STATUS_SIGNAL_FAULT,
}
"""Of an indication that its driver found faulty; whatever else is the matter is a bad response."""

SILENCE_MS = 10000
"""Nobody rewires a place faster. After longer without an answer whoever answers has to say who it is."""


class Instrument:
    def __init__(self, driver: "Any", serial: "str | None") -> None:
        """`serial` is what the sealed parameters demand; None takes any instrument of the driver's kind."""
        self._driver = driver
        self._serial = serial
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
                await self._identify()
            self._values = await self._driver.read()
            self._faults = self._driver.faults
            self._answered_ms = now_ms
            self._status = f.STATUS_GOOD
        except InstrumentError as error:
            if error.reason == "wrong_identity":
                # What another instrument indicates is nobody's reading here: its certificate is not the channel's.
                self._fail(f.STATUS_WRONG_INSTRUMENT)
            else:
                self._fail(f.STATUS_NO_RESPONSE if error.absent else f.STATUS_BAD_RESPONSE)
        except Exception as fault:  # noqa: BLE001  a driver's bug must not stop the other instruments
            self.last_fault = fault
            self._fail(f.STATUS_BAD_RESPONSE)

    def indication(self, name: str) -> "tuple[int | None, int]":
        """(value, status); no value without a status that says why."""
        value = self._values.get(name)
        if value is not None or self._status != f.STATUS_GOOD:
            return value, self._status
        return None, STATUS_OF_FAULT.get(self._faults.get(name, ""), f.STATUS_BAD_RESPONSE)

    def restore(self, name: str, raw: int) -> bool:
        """Whether this register is one that the board counts itself; it goes on from `raw` then."""
        if name not in self._driver.VOLATILE:
            return False
        self._driver.restore(name, raw)
        return True

    def _fail(self, status: int) -> None:
        self._answered_ms = None
        self._status = status

    async def _identify(self) -> None:
        identity = await self._driver.identify()
        if self._serial is not None and identity["serial"] not in (None, self._serial):
            raise InstrumentError("wrong_identity")
