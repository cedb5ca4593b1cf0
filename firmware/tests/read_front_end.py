"""Runs on MicroPython: one instrument on one bus of the unix board, told what to do on standard input.

`read`, `identify`, `restore NAME RAW`, `anew` (a new driver on the same bus, as after a change of parameters). The
file named on the command line: {"bus": as in the board's configuration, "driver", "address", "options"}.
"""

import asyncio
import json
import sys

from board import _make_bus

from meter_firmware import sensors
from meter_sampling.instrument_error import InstrumentError


async def answer(words, driver):
    try:
        if words[0] == "identify":
            return await driver.identify()
        values = await driver.read()
        return {"values": values, "faults": driver.faults}
    except InstrumentError as error:
        return {"error": error.reason}


def load(path):
    with open(path) as file:  # noqa: PTH123  MicroPython has no pathlib
        return json.load(file)


async def main(spec):
    bus = _make_bus(spec["bus"])
    driver = sensors.make(spec["driver"], bus, spec["address"], spec["options"])
    while True:
        words = sys.stdin.readline().split()
        if not words:
            return
        said = None
        if words[0] == "anew":
            driver = sensors.make(spec["driver"], bus, spec["address"], spec["options"])
        elif words[0] == "restore":
            driver.restore(words[1], int(words[2]))
        else:
            said = await answer(words, driver)
        print(json.dumps(said))


asyncio.run(main(load(sys.argv[1])))
