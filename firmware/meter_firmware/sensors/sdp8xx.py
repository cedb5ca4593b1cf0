"""Sensirion SDP800 series: differential pressure of air and gases, I2C address 25h (SDP8x0) or 26h (SDP8x1).

Source: data sheet SDP8xx-Digital v1.0, §5 and §6. Started once with 3615h (differential pressure, averaged until
it is read), the sensor measures every 0.5 ms: each reading is the mean of everything since the last, and no value
is ever older than that. The scale of the pressure comes with every reading: 60 per pascal with a range of
500 Pa, 240 with 125 Pa; that of the temperature is 200 per degC. An idle sensor refuses to be read.
"""

from meter_firmware.sensors.sensirion import SensirionDriver
from meter_firmware.sensors.sensirion_words import command, words
from meter_sampling.drivers.driver import identity, without_options, wrong_identity
from meter_sampling.drivers.rounding import nearest
from meter_sampling.drivers.words import twos_complement
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Driver, Faults, Identity, Indications, Limits, Values

START = 0x3615
STOP = 0x3FF9
PREPARE_PRODUCT_NUMBER = 0x367C
PRODUCT_NUMBER = 0xE102

STOP_MS = 2
WAIT_MS = 2
SETTLING_MS = 20

FAMILY = 0x0302
# By the byte after the family; the last byte of the product number is the revision.
MODELS = {
    0x01: "SDP800-500Pa",
    0x02: "SDP800-125Pa",
    0x04: "SDP801-500Pa",
    0x0A: "SDP810-500Pa",
    0x0B: "SDP810-125Pa",
    0x0D: "SDP811-500Pa",
}

RANGE_PA = {60: 500, 240: 125}
"""By the scale that the sensor states."""

INDICATIONS: "Indications" = {
    "differential_pressure": ("differential_pressure", -3, None, "sample"),
    "temperature": ("temperature", -3, None, "sample"),
}
LIMITS: "Limits" = {
    "differential_pressure": (-500000, 500000),
    "temperature": (-40000, 85000),
}


def convert(words: "list[int]") -> "Values":
    """Millipascal, rounded to the nearest, and millidegrees, exactly."""
    steps, scale = twos_complement(words[0], 16), words[2]
    return {
        "differential_pressure": nearest(1000 * steps, scale) if scale in RANGE_PA else None,
        "temperature": 5 * twos_complement(words[1], 16),
    }


def state_faults(words: "list[int]") -> "Faults":
    """Beyond the range of this sensor's scale its specification ends."""
    range_pa = RANGE_PA.get(words[2])
    if range_pa is not None and abs(twos_complement(words[0], 16)) > range_pa * words[2]:
        return {"differential_pressure": "out_of_range"}
    return {}


class Sdp8xx(SensirionDriver):
    ADDRESSES = (0x25, 0x26)
    INDICATIONS = INDICATIONS
    LIMITS = LIMITS

    def __init__(self, bus: "Any", address: int) -> None:
        super().__init__(bus, address)
        self._identity: "Identity | None" = None

    async def identify(self) -> "Identity":
        """Product and serial number, asked when it is started; it is not interrupted as long as it answers."""
        if self._identity is None:
            self._identity = await self._start()
        return self._identity

    async def _start(self) -> "Identity":
        try:
            await self._tell(STOP)
        except InstrumentError:
            # An idle sensor has nothing to stop; an absent one refuses the next command as well.
            pass
        ticks = self._bus.ticks
        await ticks.pause_ms(STOP_MS)
        async with self._bus:
            self._bus.write(self._address, command(PREPARE_PRODUCT_NUMBER))
            self._bus.write(self._address, command(PRODUCT_NUMBER))
            await ticks.pause_ms(WAIT_MS)
            number = words(self._bus.read(self._address, 18))
        if number[0] != FAMILY:
            raise wrong_identity()
        model = MODELS.get(number[1] >> 8, "SDP8xx %04X%04X" % (number[0], number[1]))
        await self._tell(START)
        await ticks.pause_ms(SETTLING_MS)
        serial = "".join("%04X" % word for word in number[2:])
        return identity("Sensirion", model, serial, "%02X" % (number[1] & 0xFF))

    async def _measure(self) -> "tuple[Values, Faults]":
        try:
            async with self._bus:
                said = words(self._bus.read(self._address, 9))
        except InstrumentError as error:
            if error.absent:
                self._identity = None
            raise
        return convert(said), state_faults(said)


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    return without_options(Sdp8xx, options)
