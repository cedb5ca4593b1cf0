"""Contacts that close once for each unit counted, and bounce: `python -m meter_tools.simulator.pulse FILE.json`.

`{"contacts": [{"period_us": ..., "on_us": ..., ...}], "clock_file": ...}`, fields as in `Contact`. The contacts
live on the clock's time. Who listens gets every edge once, in order, when it asks (boards/unix/remote_pulses.py
says the bytes); edges wait for it as long as it does not ask, and none is sent twice to one that says what it has.

No oracle: a bounce here is what data sheets of reed relays draw, a burst of shorter and shorter openings. What a
count must be does not hang on it: `pulses_until` counts periods.
"""

import asyncio
import contextlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from meter_tools.simulator.clock import Clock, FileClock, real_clock
from meter_tools.simulator.stand_alone import serve_until_ended

FROM_NOW_ON = 0xFFFFFFFFFFFFFFFF
Edge = tuple[int, int, int]
"""(microseconds, input, level)"""


class Contact(BaseModel):
    """Closes for `on_us` at the beginning of each period, `first_us` after the simulation began.

    At each closing and opening it bounces `bounces` times within `bounce_us`; between two pulses it closes
    `glitches` times for `glitch_us`, as by a disturbance on a long wire.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    period_us: int = Field(gt=0)
    on_us: int = Field(gt=0)
    first_us: int = 0
    bounces: int = 0
    bounce_us: int = 5000
    glitches: int = 0
    glitch_us: int = 1000
    seed: int = 1

    def pulse(self, number: int) -> Iterator[tuple[int, int]]:
        """(microseconds, level) of one pulse's edges and of the pause after it."""
        begin = self.first_us + number * self.period_us
        noise = random.Random(f"{self.seed} {number}")  # noqa: S311
        yield from self._bounce(begin, 1, noise)
        yield from self._bounce(begin + self.on_us, 0, noise)
        quiet = begin + self.on_us + self.bounce_us
        room = (begin + self.period_us - quiet) // (self.glitches + 1)
        for glitch in range(self.glitches):
            at = quiet + glitch * room + room // 2
            yield at, 1
            yield at + self.glitch_us, 0

    def _bounce(self, at: int, level: int, noise: random.Random) -> Iterator[tuple[int, int]]:
        yield at, level
        for moment in sorted(noise.sample(range(1, self.bounce_us), 2 * self.bounces)):
            level = 1 - level
            yield at + moment, level

    def pulses_until(self, now_us: int) -> int:
        """How often it has opened for good."""
        return max(0, (now_us - self.first_us - self.on_us - self.bounce_us) // self.period_us + 1)


class PulseSimulator:
    def __init__(self, contacts: list[Contact], clock: Clock) -> None:
        self.contacts = contacts
        self.silent = False
        self.edges: list[Edge] = []
        self._clock = clock
        self._began_ms = clock()
        self._until_us = 0
        self._numbers = [0] * len(contacts)
        self._ahead: list[Edge] = []

    def now_us(self) -> int:
        return (self._clock() - self._began_ms) * 1000

    def advance(self, now_us: int) -> None:
        """Everything that happens until then has happened."""
        for index, contact in enumerate(self.contacts):
            while contact.first_us + self._numbers[index] * contact.period_us <= now_us:
                self._ahead += [(at, index, level) for at, level in contact.pulse(self._numbers[index])]
                self._numbers[index] += 1
        self._ahead.sort()
        happened = [edge for edge in self._ahead if edge[0] <= now_us]
        self._ahead = self._ahead[len(happened) :]
        self.edges += happened
        self._until_us = max(self._until_us, now_us)

    def answer(self, wanted: int) -> bytes:
        self.advance(self.now_us())
        first = len(self.edges) if wanted == FROM_NOW_ON else wanted
        edges = self.edges[first:]
        content = b"".join(bytes((index, level)) + at.to_bytes(8, "big") for at, index, level in edges)
        head = first.to_bytes(8, "big") + len(edges).to_bytes(4, "big")
        return head + content + self._until_us.to_bytes(8, "big")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                wanted = int.from_bytes(await reader.readexactly(8), "big")
                if not self.silent:
                    writer.write(self.answer(wanted))
                    await writer.drain()
        writer.close()


class _Configuration(BaseModel):
    model_config = ConfigDict(extra="forbid")

    contacts: list[Contact] = Field(min_length=1, max_length=32)
    clock_file: Path | None = None
    port: int = 0


async def run(configuration: _Configuration) -> None:
    clock = FileClock(configuration.clock_file) if configuration.clock_file else real_clock
    simulator = PulseSimulator(configuration.contacts, clock)
    await serve_until_ended(simulator.serve, configuration.port)


if __name__ == "__main__":
    asyncio.run(run(_Configuration.model_validate_json(Path(sys.argv[1]).read_bytes())))
