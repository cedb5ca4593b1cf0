"""The campaign against every byte that enters the board: how many inputs each way in gets, and what all withstand.

Seeded, so that what fails fails again. By default a sample runs; EXHAUSTIVE=1 runs all, more than a million.
"""

import asyncio
import random
import time

from corruption import EXHAUSTIVE
from meter_bench import heap

INPUTS = {
    # way in: inputs of the whole campaign
    "serial frames": 150000,
    "mqtt packets": 150000,
    "live serial link": 20000,
    "live mqtt link": 20000,
    "gateway, forged": 150000,
    "gateway, authentic": 30000,
    "parameter sets, authentic": 20000,
    "modbus rtu": 70000,
    "modbus tcp": 70000,
    "serial instruments": 90000,
    "i2c chips": 90000,
    "1-wire": 30000,
    "spi front end": 30000,
    "pulse inputs": 30000,
    "options": 200000,
    "secure element": 30000,
    "memory": 20000,
    "boot state": 20000,
    "staged image": 40000,
    "installation": 2000,
    "boot": 2000,
}

SAMPLE = 50
"""Of so many inputs one is tried by default."""

MAX_GROWTH = 4096
"""Bytes of heap by which the end of a campaign may differ from its first fifth: caches of this interpreter."""

MAX_INPUT_MS = 5000
"""Any real time that is bounded will do: this machine may be busy with other tests."""


def share(way, of=1):
    """How many inputs one of so many equal parts of a way in gets now."""
    count = INPUTS[way] if EXHAUSTIVE else INPUTS[way] // SAMPLE
    return -(-count // of)


async def _at_rest():
    pass


async def campaign(way, attack, of=1, about="", rest=_at_rest):
    """Call the coroutine `attack` until it has handed in its share; it says how many inputs each call were.

    `rest` brings whoever is attacked to where nothing is half done: there the heap is measured.
    """
    total = share(way, of)
    random.seed(sum((way + about).encode()) * 2654435761 & 0xFFFFFFFF)
    done = 0
    slowest_ms = 0
    used = None
    began = time.ticks_ms()
    while done < total:
        attack_began = time.ticks_ms()
        done += await attack()
        slowest_ms = max(slowest_ms, time.ticks_diff(time.ticks_ms(), attack_began))
        if used is None and done >= total // 5:
            await rest()
            used = heap()
    spent_ms = time.ticks_diff(time.ticks_ms(), began)
    await rest()
    growth = heap() - used
    print(f"fuzzed {way:26s} {about:16s} {done:7d} inputs {spent_ms / 1000:7.1f} s", end="")
    print(f"  slowest {slowest_ms:4d} ms  heap {growth:+d} bytes")
    assert growth < MAX_GROWTH, growth
    assert slowest_ms < MAX_INPUT_MS, slowest_ms


def run(way, attack, of=1, about=""):
    asyncio.run(campaign(way, attack, of, about))
