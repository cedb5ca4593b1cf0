"""Lines: a TCP connection and a real pseudo-terminal, frames in, answers out."""

import asyncio
import os
import pty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from meter_gateway.config import SerialListener as Section
from meter_gateway.listener.inbox import Inbox
from meter_gateway.listener.serial import MAX_LINES, SerialListener
from meter_gateway.model import Received
from meter_protocol import framing

PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""

KID = bytes(8)


@asynccontextmanager
async def running(section: Section) -> AsyncIterator[tuple[SerialListener, Inbox]]:
    inbox = Inbox(262_144, 20_000, asyncio.get_running_loop().time)
    listener = SerialListener(section, inbox, lambda: 1234)
    task = asyncio.create_task(listener.run())
    try:
        yield listener, inbox
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.01)


@pytest.fixture
def tcp(free_port: Callable[[], int]) -> Section:
    return Section.model_validate({"type": "serial", "tcp": f"127.0.0.1:{free_port()}"})


async def next_payload(reader: asyncio.StreamReader) -> bytes:
    deframer = framing.Deframer()
    while True:
        payloads = deframer.feed(await asyncio.wait_for(reader.read(4096), PATIENCE_S))
        if payloads:
            return payloads[0]


def next_payload_at(end: int) -> bytes:
    deframer = framing.Deframer()
    payloads: list[bytes] = []
    while not payloads:
        payloads = deframer.feed(os.read(end, 4096))
    return payloads[0]


async def next_received(inbox: Inbox) -> Received:
    (received,) = await asyncio.wait_for(inbox.take(1), PATIENCE_S)
    return received


async def test_each_connection_is_a_line_and_answers_go_back_on_it(tcp: Section) -> None:
    assert tcp.tcp
    async with running(tcp) as (listener, inbox):
        reader, writer = await connect(tcp.tcp[1])
        writer.write(framing.frame(b"one"))
        one = await next_received(inbox)
        assert (one.raw, one.received_ms) == (b"one", 1234)
        assert one.peer.startswith(listener.name)
        other_reader, other = await connect(tcp.tcp[1])
        other.write(framing.frame(b"two"))
        two = await next_received(inbox)
        assert two.peer != one.peer
        assert listener.send(two.peer, KID, b"answer for two")
        assert listener.send(one.peer, KID, b"answer for one")
        assert await next_payload(other_reader) == b"answer for two"
        assert await next_payload(reader) == b"answer for one"
        assert not listener.send("mqtt:elsewhere/00", KID, b"answer")
        writer.close()
        other.close()


async def test_an_answer_for_a_line_that_is_gone_is_counted(tcp: Section, until) -> None:
    assert tcp.tcp
    async with running(tcp) as (listener, inbox):
        _, writer = await connect(tcp.tcp[1])
        writer.write(framing.frame(b"one"))
        peer = (await next_received(inbox)).peer
        writer.close()

        def is_gone() -> bool:
            return listener.send(peer, KID, b"answer") and listener.lost["answer"] > 0

        await until(is_gone)


async def test_noise_costs_one_frame_and_is_counted(tcp: Section, until) -> None:
    assert tcp.tcp
    async with running(tcp) as (listener, inbox):
        _, writer = await connect(tcp.tcp[1])
        spoilt = bytearray(framing.frame(b"spoilt"))
        spoilt[3] ^= 0x10
        for octet in b"noise" + bytes(spoilt) + framing.frame(b"whole"):
            writer.write(bytes([octet]))
        assert (await next_received(inbox)).raw == b"whole"
        await until(lambda: listener.lost["frame"] == 2)
        writer.close()


async def test_lines_are_bounded(tcp: Section) -> None:
    assert tcp.tcp
    async with running(tcp) as (listener, _):
        lines = [await connect(tcp.tcp[1]) for _ in range(MAX_LINES)]
        reader, _ = await connect(tcp.tcp[1])
        assert await asyncio.wait_for(reader.read(1), PATIENCE_S) == b""
        assert listener.lost["line"] == 1
        for _, writer in lines:
            writer.close()


async def test_a_full_inbox_slows_the_line_down(tcp: Section) -> None:
    """Nothing is dropped: what the gateway does not take waits in the sender."""
    assert tcp.tcp
    async with running(tcp) as (_, inbox):
        _, writer = await connect(tcp.tcp[1])
        for number in range(40):
            writer.write(framing.frame(number.to_bytes(2, "big") * 8000))
        got: list[Received] = []
        while len(got) < 40:
            await asyncio.sleep(0.001)
            got += await asyncio.wait_for(inbox.take(1), PATIENCE_S)
        assert [int.from_bytes(item.raw[:2], "big") for item in got] == list(range(40))
        writer.close()


async def test_a_serial_port(tmp_path: Path, until) -> None:
    """A pseudo-terminal stands for the cable; unplugged and plugged in again, the listener is back."""
    master, slave = pty.openpty()
    port = tmp_path / "ttyTEST"
    port.symlink_to(os.ttyname(slave))
    async with running(Section.model_validate({"type": "serial", "port": str(port), "baud": 9600})) as (
        listener,
        inbox,
    ):
        await until(lambda: listener.connected)
        everything = bytes(range(256))
        os.write(master, framing.frame(everything))
        received = await next_received(inbox)
        assert received.raw == everything
        assert listener.send(received.peer, KID, everything)
        assert await asyncio.to_thread(next_payload_at, master) == everything
        os.close(slave)
        os.close(master)
        await until(lambda: not listener.connected)
        master, slave = pty.openpty()
        port.unlink()
        port.symlink_to(os.ttyname(slave))
        await until(lambda: listener.connected)
        os.write(master, framing.frame(b"again"))
        assert (await next_received(inbox)).raw == b"again"
    os.close(slave)
    os.close(master)


async def test_what_is_not_a_serial_port_is_not_opened(tmp_path: Path) -> None:
    port = tmp_path / "file"
    port.write_bytes(b"")
    async with running(Section.model_validate({"type": "serial", "port": str(port)})) as (listener, _):
        await asyncio.sleep(0.05)
        assert not listener.connected
