"""The demo: one reading after another from a simulated instrument to a far end that checks signatures itself.

1. Broker, instruments, meter and gateway start as processes of their own (world.py).
2. A field engineer's steps: enrol the meter by its label, bind certificates, send the sealed parameters.
3. The meter measures: a trace on driven time, or the generator in real time while its load is switched on.
4. The load is frozen, the meter ends its interval, and everything on the way drains.
5. Only then is compared: messages sealed and verified, and energy at the instrument with energy at the uplink.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.framer import FramerType
from rich.console import Console
from rich.live import Live

from meter_tools.demo import view
from meter_tools.demo.far_end import FarEnd
from meter_tools.demo.processes import Process, ProcessFailed, all_stopped
from meter_tools.demo.scene import Channel, Scene
from meter_tools.demo.subscription import subscribed
from meter_tools.demo.world import World
from meter_tools.simulator.clock import write_clock_file

MakeWorld = Callable[[Path, Scene, list[Process]], World]

DRAIN_S = 60
BEGIN_S = 60
ENERGY64_REGISTERS = {"active_energy_import": 0, "reactive_energy_lagging": 4, "reactive_energy_leading": 8}


@dataclass(frozen=True)
class Comparison:
    """One quantity that must be the same wherever it is known, in units of its channel."""

    channel: Channel
    at_instrument: int | None
    in_trace: int | None
    at_uplink: int

    @property
    def values(self) -> tuple[int | None, int | None, int]:
        return self.at_instrument, self.in_trace, self.at_uplink

    @property
    def equal(self) -> bool:
        known = [value for value in self.values if value is not None]
        return len(known) > 1 and len(set(known)) == 1


@dataclass(frozen=True)
class Outcome:
    sealed: int
    before_enrolment: int
    received: int
    verified: int
    rejected: int
    repeated: int
    values_checked: int
    values_wrong: int
    comparisons: list[Comparison]

    @property
    def lost(self) -> int:
        return self.sealed - self.verified

    @property
    def good(self) -> bool:
        return (
            self.sealed > 0
            and not self.lost
            and not self.rejected
            and not self.values_wrong
            and bool(self.comparisons or self.values_checked)
            and all(comparison.equal for comparison in self.comparisons)
        )


async def run(
    scene: Scene, seconds: int, folder: Path, console: Console, make_world: MakeWorld = World
) -> Outcome:
    """ProcessFailed if something does not start or ends by itself."""
    with all_stopped() as started:
        world = make_world(folder, scene, started)
        with console.status("starting broker, instruments, meter and gateway"):
            await asyncio.to_thread(world.prepare)
            await asyncio.to_thread(world.start_gateway)
            await asyncio.to_thread(world.start_meter)
        console.print(f"broker {world.broker.name}, meter {world.thumbprint[:16]}…, files in {folder}")
        envelopes: asyncio.Queue[bytes] = asyncio.Queue()
        async with subscribed(world.broker_port, envelopes.put_nowait):
            with console.status("commissioning: enrol, bind certificates, send parameters"):
                await asyncio.to_thread(world.commission)
            far_end = FarEnd(world.meter_key(), world.public_key("verdict"))
            with Live(view.live(scene, far_end, {}), console=console, refresh_per_second=4) as live:
                taker = asyncio.create_task(take_all(envelopes, far_end))
                painter = asyncio.create_task(paint(live, world, far_end))
                try:
                    before = await begin(world, far_end)
                    after = await measure(world, seconds)
                    await drain(world, far_end)
                finally:
                    for task in (taker, painter):
                        task.cancel()
                    live.update(view.live(scene, far_end, world.counts()))
        console.print()
        # Its last status is written when it ends.
        await asyncio.to_thread(world.gateway.stop)
        return outcome(world, far_end, before, after)


async def take_all(envelopes: "asyncio.Queue[bytes]", far_end: FarEnd) -> None:
    while True:
        far_end.take(await envelopes.get())


async def paint(live: Live, world: World, far_end: FarEnd) -> None:
    while True:
        live.update(view.live(world.scene, far_end, world.counts()))
        await asyncio.sleep(0.25)


async def begin(world: World, far_end: FarEnd) -> dict[str, int]:
    """The instrument's registers before the load is switched on, once the far end knows where they begin."""
    deadline = time.monotonic() + BEGIN_S
    waiting = {channel.id for channel in world.scene.energies}
    while waiting and time.monotonic() < deadline:
        world.check()
        waiting = {channel for channel in waiting if not far_end.totals(channel)}
        await asyncio.sleep(0.05)
    if waiting:
        raise ProcessFailed(f"no first reading arrived in {BEGIN_S} s (logs in {world.folder})")
    return {} if world.scene.trace else await instrument_registers(world)


async def measure(world: World, seconds: int) -> dict[str, int]:
    """Let the meter measure to the end; the instrument's registers then."""
    if world.scene.trace is None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            world.check()
            write_clock_file(world.clock_file, time.time_ns() // 1_000_000)
            await asyncio.sleep(0.05)
        (world.folder / "stop").touch()
    while world.meter.exit_code() is None:
        world.check()
        await asyncio.sleep(0.1)
    return await instrument_registers(world)


async def instrument_registers(world: World) -> dict[str, int]:
    """What the energy meter shows, read over Modbus by somebody other than the meter under test."""
    if world.scene.instruments[0].kind != "energy64":
        return {}
    client = AsyncModbusTcpClient("127.0.0.1", port=world.instrument_port, framer=FramerType.RTU)
    await client.connect()
    try:
        reply = await client.read_holding_registers(0, count=12, device_id=world.scene.instruments[0].unit)
    finally:
        client.close()
    if reply.isError():
        raise ProcessFailed("the instrument does not answer")
    words = reply.registers
    return {
        name: int.from_bytes(b"".join(word.to_bytes(2, "big") for word in words[at : at + 4]), "big")
        for name, at in ENERGY64_REGISTERS.items()
    }


async def drain(world: World, far_end: FarEnd) -> None:
    """Until the far end has everything that the meter sealed; what is missing then is lost."""
    sealed = int(world.meter_summary()["sealed"])
    deadline = time.monotonic() + DRAIN_S
    while far_end.messages < sealed and time.monotonic() < deadline:
        world.check()
        await asyncio.sleep(0.05)


def outcome(world: World, far_end: FarEnd, before: dict[str, int], after: dict[str, int]) -> Outcome:
    counts = world.counts()
    expected = {entry.channel: entry for entry in world.scene.expected}
    comparisons = []
    checked = wrong = 0
    for channel in world.scene.channels:
        entry = expected.get(channel.id)
        if channel.is_register:
            counted = None
            if channel.indication in after:
                counted = (after[channel.indication] - before.get(channel.indication, 0)) * channel.ratio
            in_trace = None if entry is None else entry.total
            if counted is not None or in_trace is not None:
                comparisons.append(Comparison(channel, counted, in_trace, uplinked(far_end, channel)))
        elif entry is not None and entry.values is not None:
            arrived = far_end.means(channel.id)
            checked += len(entry.values)
            wrong += sum(1 for sent, got in zip(entry.values, arrived, strict=False) if sent != got)
            wrong += abs(len(entry.values) - len(arrived))
    return Outcome(
        sealed=int(world.meter_summary()["sealed"]),
        before_enrolment=counts.get("before_enrolment", 0),
        received=counts.get("stored", 0),
        verified=far_end.messages,
        rejected=counts.get("rejected", 0) + len(far_end.refused),
        repeated=counts.get("duplicates", 0) + far_end.repeated,
        values_checked=checked,
        values_wrong=wrong,
        comparisons=comparisons,
    )


def uplinked(far_end: FarEnd, channel: Channel) -> int:
    totals = far_end.totals(channel.id)
    return totals[-1] - totals[0] if totals else 0
