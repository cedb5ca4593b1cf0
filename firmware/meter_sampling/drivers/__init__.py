"""Drivers by name, as the sealed parameter set names them: instruments on a line, which anybody there can ask.

A driver's file is loaded when it is first used.
"""

from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Driver

DRIVERS = (
    "cjt188",
    "djsf1352",
    "dlt645",
    "energy64",
    "k30",
    "mbus",
    "mhz19",
    "pzem004t",
    "register_map",
    "sdm630",
    "senseair_s8",
    "tuf2000",
)


def driver_class(name: str, options: "list[list[Any]] | None" = None) -> "type[Driver]":
    """InstrumentError `unknown_driver`, or `options` (`register_map`) where these are none for this driver."""
    if name not in DRIVERS:
        raise InstrumentError("unknown_driver")
    return defined("meter_sampling.drivers." + name, options)


def defined(module_name: str, options: "list[list[Any]] | None") -> "type[Driver]":
    module = __import__(module_name, None, None, ("define",))
    found: "type[Driver]" = module.define(options)
    return found
