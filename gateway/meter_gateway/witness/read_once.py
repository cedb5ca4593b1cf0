"""What one instrument indicates now: a reference for a comparison, or a look at a line.

A serial port is one program's alone, so not one that a running gateway reads for a witness.
"""

from contextlib import closing
from typing import Any, NamedTuple

from meter_gateway.config import BusSection
from meter_gateway.witness.buses import Bus, make_bus
from meter_sampling.drivers import driver_class
from meter_sampling.instrument import Instrument
from meter_sampling.instrument_error import InstrumentError


class Indication(NamedTuple):
    """value × 10^exponent in the unit of `quantity` (SPEC §12); None with a status (§5.1) that says why."""

    quantity: str
    exponent: int
    value: int | None
    status: int


async def read_instrument(
    section: BusSection,
    driver: str,
    address: int,
    options: list[list[Any]] | None = None,
    serial: str | None = None,
) -> dict[str, Indication]:
    """Every indication by name, read once.

    InstrumentError if there is no such driver, or none for these options or this kind of bus. An instrument that
    does not answer, answers nonsense or has another serial number than `serial` raises nothing: each indication's
    status says so.
    """
    with closing(make_bus(section)) as bus:
        return await indications(bus, driver, address, options, serial)


async def indications(
    bus: Bus, driver: str, address: int, options: list[list[Any]] | None, serial: str | None
) -> dict[str, Indication]:
    """The same over a bus that is there already."""
    chosen = driver_class(driver, options)
    if chosen.BUS != bus.KIND:
        raise InstrumentError("unknown_driver")
    instrument = Instrument(chosen(bus, address), serial)
    await instrument.read(0)
    found = {}
    for name, (quantity, exponent, _, _) in chosen.INDICATIONS.items():
        value, status = instrument.indication(name)
        found[name] = Indication(quantity, exponent, value, status)
    return found
