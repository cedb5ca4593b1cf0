"""Drivers by name, as the sealed parameter set names them. A driver's file is loaded when it is first used."""

from meter_firmware.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.sensors.driver import Driver

DRIVERS = (
    "atm90e32",
    "bme280",
    "cjt188",
    "current_loop",
    "djsf1352",
    "dlt645",
    "ds18b20",
    "energy64",
    "k30",
    "mbus",
    "mhz19",
    "pulse",
    "pzem004t",
    "register_map",
    "scd30",
    "scd41",
    "sdm630",
    "sdp8xx",
    "senseair_s8",
    "tuf2000",
)


def driver_class(name: str, options: "list[list[Any]] | None" = None) -> "type[Driver]":
    """InstrumentError `unknown_driver`, or `options` (`register_map`) where these are none for this driver."""
    if name not in DRIVERS:
        raise InstrumentError("unknown_driver")
    module = __import__("meter_firmware.sensors." + name, None, None, ("define",))
    found: "type[Driver]" = module.define(options)
    return found


def make(name: str, bus: "Any", address: int, options: "list[list[Any]] | None" = None) -> "Driver":
    return driver_class(name, options)(bus, address)
