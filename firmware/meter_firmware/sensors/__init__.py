"""Drivers by name, as the sealed parameter set names them. A driver's file is loaded when it is first used."""

from meter_firmware.modbus import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.modbus import ModbusMaster
    from meter_firmware.sensors.driver import Indications, ModbusDriver

DRIVERS = ("analyser", "energy64", "pzem004t", "senseair_s8", "tuf2000")


def driver_class(name: str, options: "list[list[Any]] | None" = None) -> "type[ModbusDriver]":
    """InstrumentError `unknown_driver`, or `register_map` where the options are no map for this driver."""
    if name == "analyser":
        from meter_firmware.sensors.analyser import define

        return define(options)
    if options is not None:
        raise InstrumentError("register_map")
    if name == "energy64":
        from meter_firmware.sensors.energy64 import Energy64

        return Energy64
    if name == "pzem004t":
        from meter_firmware.sensors.pzem004t import Pzem004t

        return Pzem004t
    if name == "senseair_s8":
        from meter_firmware.sensors.senseair_s8 import SenseairS8

        return SenseairS8
    if name == "tuf2000":
        from meter_firmware.sensors.tuf2000 import Tuf2000

        return Tuf2000
    raise InstrumentError("unknown_driver")


def make(name: str, master: "ModbusMaster", unit: int, options: "list[list[Any]] | None" = None) -> "ModbusDriver":
    return driver_class(name, options)(master, unit)


def indications(name: str, options: "list[list[Any]] | None" = None) -> "Indications | None":
    """What a driver can indicate: name -> (quantity, exponent, modulus or None, kind); None if there is none."""
    try:
        return driver_class(name, options).INDICATIONS
    except InstrumentError:
        return None
