"""Runs on MicroPython: reads instruments when told to on standard input, answers in JSON.

`read NAME`, `identify NAME`, one line each. The file named on the command line says what NAME is:
{"buses": {bus: {"port": tty} or {"tcp_port": n, "framing": "rtu" | "tcp"}, or "kind": "serial" for all that is
not Modbus}, "timeout_ms": n,
 "instruments": {NAME: {"bus", "driver", "unit", "options"}}}
"""

import asyncio
import json
import sys

from meter_firmware import sensors
from meter_firmware.modbus import ModbusMaster
from meter_firmware.modbus_line import serial_line, tcp_line
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.serial_bus import SerialBus


def make_bus(bus, timeout_ms):
    if bus.get("kind") == "serial":
        line = serial_line(bus["port"], 2400, "even") if "port" in bus else tcp_line("127.0.0.1", bus["tcp_port"])
        return SerialBus(line, timeout_ms)
    if "port" in bus:
        return ModbusMaster(serial_line(bus["port"], 9600), "rtu", timeout_ms)
    return ModbusMaster(tcp_line("127.0.0.1", bus["tcp_port"]), bus["framing"], timeout_ms)


async def answer(command, driver):
    try:
        if command == "identify":
            return await driver.identify()
        values = await driver.read()
        return {"values": values, "faults": driver.faults}
    except InstrumentError as error:
        return {"error": error.reason, "code": error.code}


def load(path):
    with open(path) as file:  # noqa: PTH123  MicroPython has no pathlib
        return json.load(file)


async def main(spec):
    buses = {name: make_bus(bus, spec["timeout_ms"]) for name, bus in spec["buses"].items()}
    drivers = {}
    for name, entry in spec["instruments"].items():
        drivers[name] = sensors.make(entry["driver"], buses[entry["bus"]], entry["unit"], entry.get("options"))
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        command, name = line.split()
        print(json.dumps(await answer(command, drivers[name])))


asyncio.run(main(load(sys.argv[1])))
