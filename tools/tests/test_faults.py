"""The whole system under faults: real processes killed with SIGKILL in the middle of a replay of real data.

After each storm the same must hold: every message that the meter sealed is stored once, the chain has no gap,
and the energies at the far end equal the sums of the CSV columns to the last digit.
"""

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meter_tools.demo.far_end import FarEnd
from meter_tools.demo.processes import Process, all_stopped
from meter_tools.demo.run import uplinked
from meter_tools.demo.scene import Scene, trace_scene
from meter_tools.demo.subscription import subscribed
from meter_tools.demo.world import World

pytestmark = pytest.mark.long

DAYS = 7
KILLS = 12
VICTIMS = ["gateway", "meter", "broker"]
PACE_MS = 25
"""Slow enough that a dozen restarts fall inside the replay."""

LIMIT_S = 240


@pytest.fixture
def scene(shared: Path) -> Scene:
    return trace_scene(shared / "data" / "steel" / "steel_2018_h1.csv", None, DAYS)


@contextlib.asynccontextmanager
async def commissioned(folder: Path, scene: Scene, envelopes: list[bytes]) -> AsyncIterator[World]:
    with all_stopped() as started:
        world = World(folder, scene, started, PACE_MS)
        await asyncio.to_thread(world.prepare)
        await asyncio.to_thread(world.start_gateway)
        await asyncio.to_thread(world.start_meter)
        async with subscribed(world.broker_port, envelopes.append):
            await asyncio.to_thread(world.commission)
            yield world


async def finished(world: World) -> None:
    """The meter has measured to the end of the trace and got its last receipt."""
    deadline = time.monotonic() + LIMIT_S
    while world.meter.exit_code() is None:
        assert time.monotonic() < deadline, world.meter.text()
        await asyncio.sleep(0.2)
    assert world.meter.exit_code() == 0, world.meter.text()
    assert world.meter_summary()["drained"] == "yes", world.meter.text()


def check_store(world: World) -> int:
    """Every sequence once, from 0 to the head, each judged; the number of messages."""
    store = world.gateway_folder / "state" / "gateway.sqlite"
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        sequences = [row[0] for row in connection.execute("SELECT sequence FROM message ORDER BY sequence")]
        judged = connection.execute("SELECT count(DISTINCT message) FROM verdict").fetchone()[0]
        forks = connection.execute("SELECT count(*) FROM fork").fetchone()[0]
        chains = connection.execute("SELECT count(*) FROM chain").fetchone()[0]
    assert (chains, forks) == (1, 0)
    assert sequences == list(range(len(sequences)))
    assert judged == len(sequences)
    assert int(world.meter_summary()["sequence"]) == sequences[-1]
    return len(sequences)


async def check_far_end(world: World, envelopes: list[bytes], messages: int) -> FarEnd:
    """A broker that is killed loses what it acknowledged: the outbox is resent, and the far end counts once."""
    await asyncio.to_thread(
        world.command,
        "uplink",
        "resend",
        "--from",
        "2017-12-31",
        "--to",
        "2018-02-01",
        "--config",
        world.gateway_config,
    )
    far_end = FarEnd(world.meter_key(), world.public_key("verdict"))
    deadline = time.monotonic() + LIMIT_S
    while far_end.messages < messages and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        while envelopes:
            far_end.take(envelopes.pop(0))
    assert far_end.refused == []
    assert far_end.messages == messages
    assert far_end.gaps() == 0
    for expected in world.scene.expected:
        if expected.total is not None:
            channel = next(channel for channel in world.scene.channels if channel.id == expected.channel)
            assert uplinked(far_end, channel) == expected.total, expected.label
    return far_end


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("mosquitto")
async def test_a_week_with_kills_loses_and_repeats_nothing(tmp_path: Path, scene: Scene) -> None:
    chance = random.Random(20180101)
    envelopes: list[bytes] = []
    async with commissioned(tmp_path, scene, envelopes) as world:
        killed: list[str] = []
        # Each of them at least once, however few kills a slow computer has the time for.
        for victim in VICTIMS + chance.choices(VICTIMS, k=KILLS - len(VICTIMS)):
            await asyncio.sleep(chance.uniform(0.3, 1.5))
            if world.meter.exit_code() is not None:
                break
            await kill_and_restart(world, victim, chance)
            killed.append(victim)
        assert set(killed) == set(VICTIMS)
        await finished(world)
        await check_far_end(world, envelopes, check_store(world))


async def kill_and_restart(world: World, victim: str, chance: random.Random) -> None:
    process: Process = getattr(world, victim)
    process.kill()
    await asyncio.sleep(chance.uniform(0, 1))
    await asyncio.to_thread(getattr(world, f"start_{victim}"))


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("mosquitto")
async def test_a_gateway_restored_from_an_old_backup_recovers_from_the_meter(tmp_path: Path, scene: Scene) -> None:
    envelopes: list[bytes] = []
    backup = tmp_path / "backup.sqlite"
    async with commissioned(tmp_path / "world", scene, envelopes) as world:
        await reached(world, 40)
        await asyncio.to_thread(world.command, "gateway", "backup", backup, "--config", world.gateway_config)
        before = world.stored_head()
        # Four intervals are the hour that the backup lacks; the commands take longer than that.
        await reached(world, before + 4)
        world.gateway.kill()
        lost = world.stored_head()
        await asyncio.to_thread(world.command, "gateway", "restore", backup, "--config", world.gateway_config)
        assert world.stored_head() <= before < lost
        await asyncio.to_thread(world.start_gateway)
        await finished(world)
        await check_far_end(world, envelopes, check_store(world))


async def reached(world: World, sequence: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while world.stored_head() < sequence:
        assert time.monotonic() < deadline
        world.check()
        await asyncio.sleep(0.05)
