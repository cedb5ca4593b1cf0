"""What the drivers of Sensirion's I2C sensors share: asking for words, and a sensor that measures by itself.

A free-running sensor has a new value once a period. What it said last is what it indicates until a period
and a quarter after it was fetched (its clock is not ours); from then on the value is not available, and is never
repeated. A sensor without a new value for STALL_PERIODS has stopped measuring, as one
does that lost its supply for a moment: it is an error, and whoever asks next begins with `identify`, which
starts it again.
"""

from meter_firmware.sensors.sensirion_words import command, words
from meter_sampling.drivers.driver import Driver
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Values

STALL_PERIODS = 4


class SensirionDriver(Driver):
    BUS = "i2c"

    async def _tell(self, code: int, argument: "int | None" = None) -> None:
        async with self._bus:
            self._bus.write(self._address, command(code, argument))

    async def _ask(self, code: int, count: int, wait_ms: int) -> "list[int]":
        """The `count` words that the sensor has to say `wait_ms` after the command."""
        async with self._bus:
            self._bus.write(self._address, command(code))
            await self._bus.ticks.pause_ms(wait_ms)
            return words(self._bus.read(self._address, 3 * count))


class FreeRunningDriver(SensirionDriver):
    def __init__(self, bus: "Any", address: int) -> None:
        super().__init__(bus, address)
        self._identity: "Identity | None" = None
        self._latest: "Values" = {}
        # When the sensor last showed that it measures: it was started, or had a new value.
        self._alive_at: "Any" = None

    async def _start(self) -> "Identity":
        """Make it measure."""
        raise NotImplementedError

    async def _take(self) -> "Values | None":
        """Its newest value, None if it has had none since the last."""
        raise NotImplementedError

    async def identify(self) -> "Identity":
        """Who it is, asked when it is started; it is not interrupted as long as it answers and measures."""
        if self._identity is None:
            self._latest = {}
            self._identity = await self._start()
            self._alive_at = self._bus.ticks.now()
        return self._identity

    async def _measure(self) -> "tuple[Values, Faults]":
        if self._identity is None:
            raise InstrumentError("not_ready")
        try:
            values = await self._take()
        except InstrumentError as error:
            if error.absent:
                self._identity = None
            raise
        ticks = self._bus.ticks
        if values is not None:
            self._latest = values
            self._alive_at = ticks.now()
        elif ticks.since(self._alive_at) > STALL_PERIODS * self.PERIOD_MS:
            self._identity = None
            raise InstrumentError("not_measuring")
        elif ticks.since(self._alive_at) > self.PERIOD_MS + self.PERIOD_MS // 4:
            self._latest = {}
        return {name: self._latest.get(name) for name in self.INDICATIONS}, {}
