"""Drivers by name: what a board alone can read, chips and contacts, and every instrument on a line."""

from meter_sampling import drivers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Driver

CHIPS = (
    "atm90e32",
    "bme280",
    "current_loop",
    "ds18b20",
    "pulse",
    "scd30",
    "scd41",
    "sdp8xx",
)

DRIVERS = CHIPS + drivers.DRIVERS


def driver_class(name: str, options: "list[list[Any]] | None" = None) -> "type[Driver]":
    """InstrumentError `unknown_driver`, or `options` (`register_map`) where these are none for this driver."""
    if name in CHIPS:
        return drivers.defined("meter_firmware.sensors." + name, options)
    return drivers.driver_class(name, options)


def make(name: str, bus: "Any", address: int, options: "list[list[Any]] | None" = None) -> "Driver":
    return driver_class(name, options)(bus, address)
