"""The pump keeps what it could not commit, singles out what it fails on, and never stops."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from meter_gateway.listener.inbox import Inbox
from meter_gateway.model import GatewayTime, Outcome, Received
from meter_gateway.pump import Pump
from meter_gateway.store import StoreUnavailable
from meter_protocol import fields as f

PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""

NOW = GatewayTime(0, f.CLOCK_INFORMATIVE, 0)


class ScriptedIngest:
    """Commits groups, except as its faults say; `committed` is what a disk would hold."""

    def __init__(self) -> None:
        self.committed: list[bytes] = []
        self.is_unavailable = False
        self.poison: set[bytes] = set()

    def begin(self, group: Sequence[Received]) -> Sequence[Received]:
        return group

    def finish(self, begun: Sequence[Received], now: GatewayTime) -> Outcome:
        if self.is_unavailable:
            raise StoreUnavailable("disk_full", "the disk is full")
        if any(received.raw in self.poison for received in begun):
            raise RuntimeError("a mistake of ours")
        self.committed += [received.raw for received in begun]
        return Outcome(stored=len(begun))

    def process(self, group: Sequence[Received], now: GatewayTime) -> Outcome:
        return self.finish(self.begin(group), now)


@asynccontextmanager
async def pumping() -> AsyncIterator[tuple[Inbox, ScriptedIngest, Pump, list[Outcome]]]:
    inbox = Inbox(10_000, 10_000, asyncio.get_running_loop().time)
    ingest, outcomes = ScriptedIngest(), []
    with ThreadPoolExecutor(1) as thread:
        pump = Pump(inbox, ingest, lambda: NOW, thread, outcomes.append)
        task = asyncio.create_task(pump.run())
        yield inbox, ingest, pump, outcomes
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def numbered(count: int) -> list[Received]:
    return [Received(bytes([number]), "peer", 0) for number in range(count)]


async def test_everything_comes_through_in_order(until) -> None:
    async with pumping() as (inbox, ingest, pump, outcomes):
        for received in numbered(200):
            inbox.offer(received)
            if received.raw[0] % 50 == 0:
                await asyncio.sleep(0.002)
        # An outcome is delivered after its commit.
        await until(lambda: sum(outcome.stored for outcome in outcomes) == 200)
        assert ingest.committed == [received.raw for received in numbered(200)]
        await asyncio.wait_for(pump.idle.wait(), PATIENCE_S)


async def test_an_unavailable_store_loses_nothing_and_nothing_is_answered_meanwhile(until) -> None:
    async with pumping() as (inbox, ingest, pump, outcomes):
        ingest.is_unavailable = True
        for received in numbered(50):
            inbox.offer(received)
        await until(lambda: pump.trouble == "the disk is full")
        assert not outcomes
        assert not pump.idle.is_set()
        ingest.is_unavailable = False
        await until(lambda: len(ingest.committed) == 50)
        assert ingest.committed == [received.raw for received in numbered(50)]
        await until(lambda: pump.trouble is None)


async def test_a_payload_that_this_program_fails_on_costs_only_itself(until) -> None:
    async with pumping() as (inbox, ingest, pump, _):
        ingest.poison = {bytes([7]), bytes([30])}
        for received in numbered(50):
            inbox.offer(received)
        await until(lambda: len(ingest.committed) == 48)
        assert pump.given_up == 2
        inbox.offer(Received(b"after", "peer", 0))
        await until(lambda: ingest.committed[-1] == b"after")
