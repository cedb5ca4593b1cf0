"""Sensirion SCD30: CO2, temperature and humidity, I2C address 61h.

Source: Interface Description SCD30 v1.0, §1.4. Values are IEEE 754 singles, two words each, big-endian. Between
a command and its answer the sensor needs 3 ms; it stretches the clock for up to 30 ms, once a day up to 150 ms,
and is rated for 50 kHz (100 kHz at most).

It measures every 2 s by itself: the interval is kept in the sensor, so it is written only where it differs.
Self-calibration is kept there too, and is off unless the option says otherwise: it takes the lowest CO2 of some
days for fresh air, which silently moves a calibrated instrument. Before its first value it says 0 ppm.

Options: ["ambient_pressure_hpa", 700..1400] compensates for that pressure; ["self_calibration", 0 or 1].
"""

from meter_firmware.sensors.sensirion import FreeRunningDriver
from meter_sampling.drivers.bounded import bounded
from meter_sampling.drivers.driver import identity
from meter_sampling.drivers.words import real4

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Driver, Identity, Indications, Limits, Values

START = 0x0010
INTERVAL = 0x4600
DATA_READY = 0x0202
MEASUREMENT = 0x0300
SELF_CALIBRATION = 0x5306
FIRMWARE_VERSION = 0xD100

INTERVAL_S = 2
WAIT_MS = 4

BOUNDS = {"ambient_pressure_hpa": (700, 1400, 0), "self_calibration": (0, 1, 0)}

INDICATIONS: "Indications" = {
    "co2_fraction": ("co2_fraction", -3, None, "sample"),
    "temperature": ("temperature", -3, None, "sample"),
    "relative_humidity": ("relative_humidity", -3, None, "sample"),
}
LIMITS: "Limits" = {
    "co2_fraction": (1, 40000000),
    "temperature": (-40000, 70000),
    "relative_humidity": (0, 100000),
}


def convert(words: "list[int]") -> "Values":
    """Thousandths, rounded to the nearest, ties to even; None for what is no number."""
    return {
        "co2_fraction": real4(words[0] << 16 | words[1], 3),
        "temperature": real4(words[2] << 16 | words[3], 3),
        "relative_humidity": real4(words[4] << 16 | words[5], 3),
    }


class Scd30(FreeRunningDriver):
    ADDRESSES = (0x61, 0x61)
    PERIOD_MS = 1000 * INTERVAL_S
    INDICATIONS = INDICATIONS
    LIMITS = LIMITS
    SETTINGS: "dict[str, int]" = {}

    async def _start(self) -> "Identity":
        version = (await self._ask(FIRMWARE_VERSION, 1, WAIT_MS))[0]
        await self._keep(INTERVAL, INTERVAL_S)
        await self._keep(SELF_CALIBRATION, self.SETTINGS["self_calibration"])
        await self._tell(START, self.SETTINGS["ambient_pressure_hpa"])
        return identity("Sensirion", "SCD30", None, "%d.%d" % (version >> 8, version & 0xFF))

    async def _keep(self, code: int, value: int) -> None:
        """Set what the sensor keeps in its non-volatile memory, which bears few writes."""
        if (await self._ask(code, 1, WAIT_MS))[0] != value:
            await self._tell(code, value)
            await self._bus.ticks.pause_ms(WAIT_MS)

    async def _take(self) -> "Values | None":
        if (await self._ask(DATA_READY, 1, WAIT_MS))[0] != 1:
            return None
        return convert(await self._ask(MEASUREMENT, 6, WAIT_MS))


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    class Configured(Scd30):
        SETTINGS = bounded(options, BOUNDS)

    return Configured
