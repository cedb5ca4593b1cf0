"""Runs on MicroPython: reads I2C and 1-Wire instruments when told to on standard input, answers in JSON.

`read NAME`, `identify NAME`, `instrument NAME` (the way the meter reads it: values and statuses), `wait MS`; one
line each. The file named on the command line says what NAME is:
{"clock_file": path, "buses": {bus: {"kind", "tcp_port"}}, "instruments": {NAME: {"bus", "driver", "address",
 "options", "serial"}}}

Time is virtual and ours: it passes only while everybody waits, and the simulated chips read it from the file.
"""

import asyncio
import json
import sys

from remote_buses import RemoteI2c, RemoteOneWire, Wire

from meter_firmware import sensors
from meter_firmware.buses.i2c import I2cBus
from meter_firmware.buses.onewire import OneWireBus
from meter_sampling.instrument import Instrument
from meter_sampling.instrument_error import InstrumentError

ROUNDS = 12
"""Turns of the event loop in which every task that can go on has gone on."""


class VirtualTicks:
    def __init__(self, path):
        self._path = path
        with open(path, "rb") as file:  # noqa: PTH123  MicroPython has no pathlib
            self.ms = int.from_bytes(file.read(8), "big")
        self._deadlines = []

    def now(self):
        return self.ms

    def since(self, earlier):
        return self.ms - earlier

    async def pause_ms(self, span_ms):
        deadline = self.ms + span_ms
        self._deadlines.append(deadline)
        while self.ms < deadline:
            await asyncio.sleep_ms(0)
        self._deadlines.remove(deadline)

    def _advance(self, ms):
        self.ms = max(self.ms, ms)
        with open(self._path, "r+b") as file:  # noqa: PTH123
            file.write(self.ms.to_bytes(8, "big"))

    async def settle(self):
        for _ in range(ROUNDS):
            await asyncio.sleep_ms(0)

    async def wait(self, span_ms):
        end = self.ms + span_ms
        await self.settle()
        while self._deadlines and min(self._deadlines) <= end:
            self._advance(min(self._deadlines))
            await self.settle()
        self._advance(end)
        await self.settle()

    async def finish(self, task):
        await self.settle()
        while not task.done():
            if self._deadlines:
                self._advance(min(self._deadlines))
            await self.settle()
        return await task


async def answer(command, driver, instrument, now_ms):
    try:
        if command == "identify":
            return await driver.identify()
        if command == "read":
            values = await driver.read()
            return {"values": values, "faults": driver.faults}
    except InstrumentError as error:
        return {"error": error.reason}
    await instrument.read(now_ms)
    if instrument.last_fault is not None:
        raise instrument.last_fault
    return {name: instrument.indication(name) for name in driver.INDICATIONS}


def make_bus(bus, ticks):
    wire = Wire("127.0.0.1", bus["tcp_port"])
    if bus["kind"] == "i2c":
        return I2cBus(RemoteI2c(wire), ticks)
    return OneWireBus(RemoteOneWire(wire), ticks)


async def main(spec):
    ticks = VirtualTicks(spec["clock_file"])
    buses = {name: make_bus(bus, ticks) for name, bus in spec["buses"].items()}
    drivers = {}
    for name, entry in spec["instruments"].items():
        driver = sensors.make(entry["driver"], buses[entry["bus"]], entry["address"], entry.get("options"))
        drivers[name] = (driver, Instrument(driver, entry.get("serial")))
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        command, argument = line.split()
        if command == "wait":
            await ticks.wait(int(argument))
            print(json.dumps(None))
        else:
            driver, instrument = drivers[argument]
            task = asyncio.create_task(answer(command, driver, instrument, ticks.ms))
            print(json.dumps(await ticks.finish(task)))


def load(path):
    with open(path) as file:  # noqa: PTH123
        return json.load(file)


asyncio.run(main(load(sys.argv[1])))
