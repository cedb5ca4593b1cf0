"""The demo: one reading after another from a simulated instrument to a far end that checks signatures itself.

1. Broker, instruments, meter and gateway start as processes of their own (world.py).
2. A field engineer's steps: enrol the meter by its label, bind certificates, send the sealed parameters.
3. The meter measures: a trace on driven time, or the generator in real time while its load is switched on.
4. The load is frozen, the meter ends its interval, and everything on the way drains.
5. Only then is compared: messages sealed and verified, and energy at the instrument with energy at the uplink.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.framer import FramerType
from rich.console import Console
from rich.live import Live

from meter_protocol import topics
from meter_tools.demo import view
from meter_tools.demo.far_end import FarEnd
from meter_tools.demo.processes import ProcessFailed, all_stopped
from meter_tools.demo.scene import Channel, Scene
from meter_tools.demo.world import World
from meter_tools.simulator.clock import write_clock_file

DRAIN_S = 60
BEGIN_S = 60
ENERGY64_REGISTERS = {"active_energy_import": 0, "reactive_energy_lagging": 4, "reactive_energy_leading": 8}


@dataclass(frozen=True)
class Comparison:
    """One quantity that must be the same at both ends, in units of its channel."""

    label: str
    channel: Channel
    at_instrument: int
    at_uplink: int

    @property
    def equal(self) -> bool:
        return self.at_instrument == self.at_uplink


@dataclass(frozen=True)
class Outcome:
    sealed: int
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


async def run(scene: Scene, seconds: int, folder: Path, console: Console) -> Outcome:
    """ProcessFailed if something does not start or ends by itself."""
    with all_stopped() as started:
        world = World(folder, scene, started)
        with console.status("starting broker, instruments, meter and gateway"):
            await asyncio.to_thread(world.prepare)
            await asyncio.to_thread(world.start_meter)
            await asyncio.to_thread(world.bind_certificates)
            await asyncio.to_thread(world.start_gateway)
        console.print(f"broker {world.broker.name}, meter {world.thumbprint[:16]}…, files in {folder}")
        envelopes: asyncio.Queue[bytes] = asyncio.Queue()
        async with subscribed(world.broker_port, envelopes):
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
        return outcome(world, far_end, before, after)


@contextlib.asynccontextmanager
async def subscribed(port: int, envelopes: "asyncio.Queue[bytes]") -> AsyncIterator[None]:
    async with aiomqtt.Client("127.0.0.1", port, identifier="far-end") as client:
        await client.subscribe(topics.VERIFIED_FILTER, qos=1)

        async def receive() -> None:
            async for message in client.messages:
                envelopes.put_nowait(bytes(message.payload))

        receiver = asyncio.create_task(receive())
        try:
            yield
        finally:
            receiver.cancel()


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
        world.meter_failed()
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
            world.meter_failed()
            write_clock_file(world.clock_file, time.time_ns() // 1_000_000)
            await asyncio.sleep(0.05)
        (world.folder / "stop").touch()
    while world.meter.exit_code() is None:
        world.gateway.check()
        world.instruments.check()
        await asyncio.sleep(0.1)
    world.meter_failed()
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
        world.gateway.check()
        await asyncio.sleep(0.05)


def outcome(world: World, far_end: FarEnd, before: dict[str, int], after: dict[str, int]) -> Outcome:
    counts = world.counts()
    wrong, checked = 0, 0
    comparisons = []
    by_id = {channel.id: channel for channel in world.scene.channels}
    for channel in world.scene.energies:
        if channel.indication in after:
            counted = (after[channel.indication] - before.get(channel.indication, 0)) * channel.ratio
            comparisons.append(Comparison("instrument", channel, counted, uplinked(far_end, channel)))
    for expected in world.scene.expected:
        channel = by_id[expected.channel]
        if expected.total is not None:
            label = f"CSV {expected.label}"
            comparisons.append(Comparison(label, channel, expected.total, uplinked(far_end, channel)))
        elif expected.values is not None:
            arrived = far_end.means(channel.id)
            checked += len(expected.values)
            wrong += sum(1 for pair in zip(expected.values, arrived, strict=False) if pair[0] != pair[1])
            wrong += abs(len(expected.values) - len(arrived))
    return Outcome(
        sealed=int(world.meter_summary()["sealed"]),
        received=counts.get("received", 0),
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
