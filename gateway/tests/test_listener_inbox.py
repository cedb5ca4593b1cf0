"""The bounded queue: sizes, rates, order, and what happens when it is full."""

import asyncio

from meter_gateway.listener.inbox import Inbox, message_count
from meter_gateway.model import Received
from meter_gateway.rate import MAX_PEERS
from meter_protocol import cose

PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


MESSAGE = cose.assemble(cose.protected_header(cose.ES256, bytes(8), "application/x"), b"payload", bytes(64))


def payload(messages: int = 1, peer: str = "peer", size: int = 0) -> Received:
    return Received(MESSAGE * messages + bytes(size), peer, 0)


def make(*, rate: int = 1000, size: int = 262_144, waiting: int = 1 << 20) -> tuple[Inbox, Ticks]:
    ticks = Ticks()
    return Inbox(size, rate, ticks, waiting), ticks


def test_messages_are_counted_without_parsing_them() -> None:
    assert [message_count(MESSAGE * n) for n in (1, 2, 7)] == [1, 2, 7]
    assert message_count(b"noise") == 1


async def test_everything_that_waits_comes_as_one_group_in_order() -> None:
    inbox, _ = make()
    sent = [payload(peer=str(number)) for number in range(5)]
    assert all(inbox.offer(item) for item in sent)
    assert await inbox.take(100) == sent


async def test_a_lone_message_is_taken_the_moment_it_arrives() -> None:
    inbox, _ = make()
    taker = asyncio.create_task(inbox.take(100))
    await asyncio.sleep(0)
    inbox.offer(payload())
    assert await asyncio.wait_for(taker, PATIENCE_S) == [payload()]


async def test_a_group_is_bounded_in_messages_and_never_empty() -> None:
    inbox, _ = make()
    for _ in range(3):
        inbox.offer(payload(4))
    assert len(await inbox.take(8)) == 2
    assert len(await inbox.take(1)) == 1


async def test_too_large_a_payload_is_dropped() -> None:
    inbox, _ = make(size=1000)
    assert not inbox.offer(payload(size=1000))
    assert not await inbox.put(payload(size=1000))
    assert inbox.dropped == {"oversize": 2}


async def test_a_peer_has_its_own_rate() -> None:
    inbox, ticks = make(rate=10)
    assert inbox.offer(payload(10))
    assert not inbox.offer(payload())
    assert inbox.offer(payload(peer="another"))
    ticks.now += 0.1
    assert inbox.offer(payload())
    assert not inbox.offer(payload())
    assert inbox.dropped == {"rate": 2}


async def test_a_payload_above_the_rate_passes_when_the_peer_was_quiet_and_is_paid_for() -> None:
    inbox, ticks = make(rate=10)
    assert inbox.offer(payload(30))
    ticks.now += 1.0
    assert not inbox.offer(payload())
    ticks.now += 2.0
    assert inbox.offer(payload())


async def test_a_full_queue_drops_what_cannot_wait_and_keeps_the_rest_waiting() -> None:
    inbox, _ = make(waiting=len(MESSAGE))
    assert inbox.offer(payload())
    assert not inbox.offer(payload())
    assert inbox.dropped == {"queue_full": 1}
    putter = asyncio.create_task(inbox.put(payload(peer="line")))
    await asyncio.sleep(0)
    assert not putter.done()
    assert await inbox.take(10) == [payload()]
    assert await asyncio.wait_for(putter, PATIENCE_S)
    assert await inbox.take(10) == [payload(peer="line")]


async def test_a_line_waits_for_its_rate() -> None:
    inbox, ticks = make(rate=10)
    assert await inbox.put(payload(10))
    putter = asyncio.create_task(inbox.put(payload()))
    await asyncio.sleep(0)
    assert not putter.done()
    ticks.now += 1.0
    assert await asyncio.wait_for(putter, PATIENCE_S)


async def test_invented_peers_do_not_fill_the_memory() -> None:
    inbox, _ = make(waiting=1 << 30)
    for number in range(MAX_PEERS + 100):
        inbox.offer(payload(peer=str(number)))
    assert inbox.known_peers == MAX_PEERS


async def test_a_closed_inbox_takes_nothing_more_and_gives_what_it_has() -> None:
    inbox, _ = make(waiting=len(MESSAGE))
    assert inbox.offer(payload())
    putter = asyncio.create_task(inbox.put(payload(peer="line")))
    await asyncio.sleep(0)
    inbox.close()
    assert not await asyncio.wait_for(putter, PATIENCE_S)
    assert not inbox.offer(payload())
    assert inbox.dropped == {"stopping": 2}
    assert await inbox.take(10) == [payload()]
