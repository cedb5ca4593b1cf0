"""Sensirion SCD40 and SCD41: CO2, temperature and humidity, I2C address 62h.

Source: data sheet SCD4x v1.4, §3. CO2 in ppm; T = -45 + 175 x / 65535 degC; RH = 100 x / 65535 %; answers 1 ms
after the command. In periodic measurement there is a new value every 5 s, and other commands than reading it
are refused, so that the serial number is asked before it is started; a sensor that runs already needs 500 ms to
stop. Nothing waits for that: `identify` says not_ready until it has.

Self-calibration is on in a sensor fresh from power-up and is switched off here, unless the option says
otherwise: it takes the lowest CO2 of some days for fresh air, which silently moves a calibrated instrument.
Nothing is written to the sensor's non-volatile memory.

Options: ["ambient_pressure_hpa", 700..1200] compensates for that pressure; ["self_calibration", 0 or 1].
"""

from meter_firmware.sensors.sensirion import FreeRunningDriver
from meter_sampling.drivers.bounded import bounded
from meter_sampling.drivers.driver import identity
from meter_sampling.drivers.rounding import nearest
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Driver, Identity, Indications, Limits, Values

START = 0x21B1
STOP = 0x3F86
DATA_READY = 0xE4B8
MEASUREMENT = 0xEC05
SERIAL_NUMBER = 0x3682
GET_SELF_CALIBRATION = 0x2313
SET_SELF_CALIBRATION = 0x2416
AMBIENT_PRESSURE = 0xE000

DATA_READY_BITS = 0x07FF
STOP_MS = 500
WAIT_MS = 2

BOUNDS = {"ambient_pressure_hpa": (700, 1200, 0), "self_calibration": (0, 1, 0)}

INDICATIONS: "Indications" = {
    "co2_fraction": ("co2_fraction", 0, None, "sample"),
    "temperature": ("temperature", -3, None, "sample"),
    "relative_humidity": ("relative_humidity", -3, None, "sample"),
}
LIMITS: "Limits" = {
    "co2_fraction": (1, 40000),
    "temperature": (-10000, 60000),
    "relative_humidity": (0, 100000),
}


def convert(words: "list[int]") -> "Values":
    return {
        "co2_fraction": words[0],
        "temperature": nearest(175000 * words[1], 65535) - 45000,
        "relative_humidity": nearest(100000 * words[2], 65535),
    }


class Scd41(FreeRunningDriver):
    ADDRESSES = (0x62, 0x62)
    PERIOD_MS = 5000
    INDICATIONS = INDICATIONS
    LIMITS = LIMITS
    SETTINGS: "dict[str, int]" = {}

    def __init__(self, bus: "Any", address: int) -> None:
        super().__init__(bus, address)
        self._stopped_at: "Any" = None

    async def _start(self) -> "Identity":
        if self._stopped_at is None:
            await self._tell(STOP)
            self._stopped_at = self._bus.ticks.now()
        if self._bus.ticks.since(self._stopped_at) < STOP_MS:
            raise InstrumentError("not_ready")
        self._stopped_at = None
        serial = await self._ask(SERIAL_NUMBER, 3, WAIT_MS)
        wanted = self.SETTINGS["self_calibration"]
        if (await self._ask(GET_SELF_CALIBRATION, 1, WAIT_MS))[0] != wanted:
            await self._tell(SET_SELF_CALIBRATION, wanted)
            await self._bus.ticks.pause_ms(WAIT_MS)
        if self.SETTINGS["ambient_pressure_hpa"]:
            await self._tell(AMBIENT_PRESSURE, self.SETTINGS["ambient_pressure_hpa"])
            await self._bus.ticks.pause_ms(WAIT_MS)
        await self._tell(START)
        return identity("Sensirion", "SCD4x", "%04X%04X%04X" % (serial[0], serial[1], serial[2]), None)

    async def _take(self) -> "Values | None":
        if not (await self._ask(DATA_READY, 1, WAIT_MS))[0] & DATA_READY_BITS:
            return None
        return convert(await self._ask(MEASUREMENT, 3, WAIT_MS))


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    class Configured(Scd41):
        SETTINGS = bounded(options, BOUNDS)

    return Configured
