"""One instrument on a bus that no meter's parameter set names, read as a board reads its own: the reference of a
comparison.
"""

from typing import Any, NamedTuple

from meter_gateway.witness.buses import Bus
from meter_sampling.drivers import driver_class
from meter_sampling.instrument import Instrument
from meter_sampling.instrument_error import InstrumentError


class Indication(NamedTuple):
    """value × 10^exponent in the unit of `quantity` (SPEC §12); None with a status (§5.1) that says why."""

    quantity: str
    exponent: int
    value: int | None
    status: int


class InstrumentReader:
    def __init__(
        self,
        bus: Bus,
        driver: str,
        address: int,
        options: list[list[Any]] | None = None,
        serial: str | None = None,
    ) -> None:
        """InstrumentError if there is no such driver, or none for these options or this kind of bus."""
        chosen = driver_class(driver, options)
        if chosen.BUS != bus.KIND:
            raise InstrumentError("unknown_driver")
        self._indications = chosen.INDICATIONS
        self._instrument = Instrument(chosen(bus, address), serial)

    async def read(self, now_ms: int) -> dict[str, Indication]:
        """Every indication by name at this moment of monotonic time.

        An instrument that does not answer, answers nonsense or has another serial number than it should raises
        nothing: each indication's status says so.
        """
        await self._instrument.read(now_ms)
        return {
            name: Indication(quantity, exponent, *self._instrument.indication(name))
            for name, (quantity, exponent, _, _) in self._indications.items()
        }
