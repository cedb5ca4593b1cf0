"""The running gateway, started as users start it, with meters that seal real chains."""

import asyncio
import json
import random
import signal
import socket
import statistics
import time
from contextlib import suppress
from pathlib import Path

import aiomqtt
import pytest

from meter_gateway import inspection
from meter_gateway.inspection import Contexts, KeyChest, Known
from meter_gateway.parameters import load_public_key
from meter_gateway.store import Store
from meter_protocol import fields as f
from meter_protocol import topics
from meter_protocol import types as t
from meter_tools.simulated_meter import CHANNELS, SimulatedMeter

pytestmark = pytest.mark.long

PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""


async def test_a_stranger_gets_no_answer_is_seen_and_once_enrolled_is_receipted(gateway, connect, until) -> None:
    gateway.start()
    meter, line = SimulatedMeter("SN-1"), await connect(gateway)
    begin = meter.begin()
    line.send(*begin, meter.readings())
    assert await line.silent()
    await until(lambda: meter.thumbprint.hex() in gateway.ask("meters", "list", "--waiting"))
    gateway.ask("meters", "enrol", meter.thumbprint.hex())
    line.send(*begin, meter.readings())
    request = await line.next()
    assert (request.typ, request.fields[f.SEQUENCE]) == (t.RECEIPT, 2)
    request = await line.next()
    assert (request.typ, request.fields[f.SEQUENCE]) == (t.RESEND_REQUEST, 3)


async def test_a_lone_message_is_receipted_at_once(gateway, connect) -> None:
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    line.send(*meter.begin())
    await line.receipt(2)
    delays = []
    for _ in range(40):
        raw = meter.readings()
        sent = time.perf_counter()
        line.send(raw)
        receipt = await line.receipt(meter.sequence)
        delays.append(time.perf_counter() - sent)
        assert receipt.fields[f.HASH] == meter.previous
    print("median ms:", round(statistics.median(delays) * 1000, 2))
    # The goal is a median of 20 ms on an idle machine (make bench). Here others may be running, but not at all
    # moments; a wait for more messages would be in each of them.
    assert min(delays) < 0.2


async def test_the_uplink_carries_original_bytes_and_a_proven_verdict(gateway, connect, broker) -> None:
    gateway.configure(uplink=f'[uplink.mqtt]\nhost = "127.0.0.1"\nport = {broker.port}')
    async with aiomqtt.Client("127.0.0.1", broker.port) as far_end:
        await far_end.subscribe(topics.VERIFIED_FILTER, qos=1)
        gateway.start()
        meter = SimulatedMeter("SN-1")
        gateway.enrol(meter)
        line = await connect(gateway)
        sealed = [*meter.begin(), *(meter.readings() for _ in range(300))]
        for raw in sealed:
            line.send(raw)
        chest = KeyChest(
            [
                Known(meter.sealer.cose_key, "given_key"),
                Known(load_public_key(gateway.folder / "keys" / "verdict.pub.pem"), "given_key"),
            ]
        )
        contexts = Contexts()
        for raw in sealed:
            message = await asyncio.wait_for(anext(aiter(far_end.messages)), PATIENCE_S)
            assert str(message.topic) == topics.verified(meter.kid)
            found = inspection.inspect(message.payload, chest, contexts)
            assert found.is_good
            assert found.messages[0].verified.raw == raw
            assert found.verdict.fields[f.VERDICT_ACCEPTANCE] == f.ACCEPTED


async def test_the_uplink_outlives_its_broker(gateway, connect, broker, until) -> None:
    gateway.configure(uplink=f'[uplink.mqtt]\nhost = "127.0.0.1"\nport = {broker.port}')
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    line.send(*meter.begin())
    await until(lambda: gateway.status()["counts"]["uplinked"] == 3)
    broker.kill()
    line.send(*(meter.readings() for _ in range(20)))
    await line.receipt(22)
    await until(lambda: gateway.status()["counts"]["outbox_pending"] == 20)
    broker.start()
    await until(lambda: gateway.status()["counts"]["outbox_pending"] == 0)
    # Counted after it is marked in the store.
    await until(lambda: gateway.status()["counts"]["uplinked"] >= 23)


async def test_uplink_resend(gateway, connect, broker, until) -> None:
    gateway.configure(uplink=f'[uplink.mqtt]\nhost = "127.0.0.1"\nport = {broker.port}')
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    line.send(*meter.begin(), *(meter.readings() for _ in range(10)))
    await until(lambda: gateway.status()["counts"]["uplinked"] == 13)
    said = gateway.ask("uplink", "resend", "--from", "2026-01-01T00:03:00Z", "--to", "2026-01-01T00:06:00Z")
    assert said.startswith("3 verdicts")
    await until(lambda: gateway.status()["counts"]["uplinked"] == 16)


async def test_a_time_request_is_answered_once(gateway, connect) -> None:
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    request = meter.time_request(b"n" * 16)
    before = time.time_ns() // 1_000_000
    line.send(request)
    reply = await line.next()
    assert reply.typ == t.TIME_REPLY
    assert reply.fields[f.METER] == meter.thumbprint
    assert reply.fields[f.NONCE] == b"n" * 16
    assert reply.fields[f.CLOCK_STATUS] == f.CLOCK_SYNCHRONISED
    assert before <= reply.fields[f.TIME_MS] <= time.time_ns() // 1_000_000
    line.send(request)
    assert await line.silent()


async def test_a_meter_on_another_line_is_answered_there(gateway, connect) -> None:
    gateway.start()
    meters = [SimulatedMeter(name) for name in ("SN-1", "SN-2")]
    lines = [await connect(gateway) for _ in meters]
    for meter, line in zip(meters, lines, strict=True):
        gateway.enrol(meter)
        line.send(*meter.begin())
    for meter, line in zip(meters, lines, strict=True):
        assert (await line.receipt(2)).fields[f.METER] == meter.thumbprint


async def test_a_meter_behind_a_broker(gateway, broker, until) -> None:
    gateway.configure(listeners=f'[[listener]]\ntype = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}')
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    await until(lambda: all(gateway.status()["listeners"].values()))
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe(topics.down(meter.kid), qos=1)
        await client.publish(topics.up(meter.kid), b"".join(meter.begin()), qos=1)
        answer = await asyncio.wait_for(anext(aiter(client.messages)), PATIENCE_S)
    key = Known(load_public_key(gateway.folder / "keys" / "receipt.pub.pem"), "given_key")
    (receipt,) = inspection.inspect(answer.payload, KeyChest([key]), Contexts()).messages
    assert (receipt.verified.typ, receipt.verified.fields[f.SEQUENCE]) == (t.RECEIPT, 2)


async def test_rejected_bytes_are_kept_with_their_reason_and_refused_to_the_meter(gateway, connect) -> None:
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    spoilt = bytearray(meter.identity())
    spoilt[-1] ^= 1
    line.send(bytes(spoilt))
    refusal = await line.next()
    assert (refusal.typ, refusal.fields[f.REASON]) == (t.REFUSAL, "signature_invalid")
    assert "signature_invalid" in gateway.ask("rejected", "list")


async def test_killed_again_and_again_nothing_is_lost_and_nothing_is_twice(gateway, connect) -> None:
    """The meter's part is played simply: it sends from its last receipt on, and seals more each time."""
    moments = random.Random(1)
    meter = SimulatedMeter("SN-1")
    sealed, receipts = meter.begin(), {-1: bytes(32)}
    for round_ in range(8):
        gateway.start()
        if not round_:
            gateway.enrol(meter)
        sealed += [meter.readings() for _ in range(60)]
        line = await connect(gateway)
        line.send(*sealed[max(receipts) + 1 :])
        killed_at = time.monotonic() + moments.uniform(0, 0.08)
        while time.monotonic() < killed_at:
            with suppress(TimeoutError):
                _note(receipts, await line.next(max(0.001, killed_at - time.monotonic())))
        gateway.kill()
        with suppress(ConnectionError, TimeoutError):
            while True:
                _note(receipts, await line.next(1))
        line.close()
    gateway.start()
    sealed.append(meter.readings())
    line = await connect(gateway)
    line.send(*sealed[max(receipts) + 1 :])
    _note(receipts, await line.receipt(len(sealed) - 1))
    gateway.stop()
    store = Store(gateway.state / "gateway.sqlite")
    stored = sorted(store.archive.messages(meter.thumbprint, limit=10_000), key=lambda entry: entry.sequence)
    assert [message.raw for message in stored] == sealed
    del receipts[-1]
    assert {message.sequence: message.hash for message in stored}.items() >= receipts.items()
    (chain,) = store.archive.chains(meter.thumbprint)
    assert (chain.head_sequence, chain.parked) == (len(sealed) - 1, 0)
    store.close()


def _note(receipts: dict[int, bytes], answer) -> None:
    if answer.typ == t.RECEIPT:
        receipts[answer.fields[f.SEQUENCE]] = answer.fields[f.HASH]


def is_all_read(port: int) -> bool:
    """Whether whoever listens at this port has taken what was written to it out of the kernel (Linux)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    at_port = f":{port:04X}"
    waiting = [row[4].split(":")[1] for row in rows if row[1].endswith(at_port)]
    waiting += [row[4].split(":")[0] for row in rows if row[2].endswith(at_port)]
    return not any(int(octets, 16) for octets in waiting)


async def test_sigterm_ends_in_order_with_everything_answered(gateway, connect, until) -> None:
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    line.send(*meter.begin(), *(meter.readings() for _ in range(500)))
    receipt = await line.receipt(2)
    await until(lambda: is_all_read(gateway.port))
    assert gateway.stop() == 0
    status = json.loads((gateway.state / "status.json").read_text())
    assert status["counts"]["stored"] == status["counts"]["judged"] == 503
    if receipt.fields[f.SEQUENCE] < 502:
        receipt = await line.receipt(502)
    assert receipt.fields[f.SEQUENCE] == 502
    assert "Traceback" not in gateway.log.read_text()


async def test_a_second_gateway_on_one_store_is_refused(gateway) -> None:
    gateway.start()
    done = gateway.command("gateway", "run", "--config", gateway.config)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("carbonmeter: store ")
    assert "another gateway uses it" in done.stderr


async def test_sighup_reads_the_scheme_again_and_keeps_the_old_one_if_it_is_wrong(gateway, connect, until) -> None:
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    line.send(*meter.begin())
    await line.receipt(2)
    assert "not accepted" not in gateway.ask("verify", await _saved(gateway.folder, meter.readings(), line))

    def hang_up() -> None:
        assert gateway.process
        gateway.process.send_signal(signal.SIGHUP)

    good = gateway.config.read_text()
    gateway.config.write_text(good.replace('"development"', '"no such scheme"'))
    hang_up()
    await until(lambda: "is not a scheme" in gateway.log.read_text())
    gateway.config.write_text(good.replace('"development"', '"house"'))
    hang_up()
    await until(lambda: "loaded anew" in gateway.log.read_text())
    line.send(meter.readings())
    await line.receipt(meter.sequence)
    await until(lambda: "verdicts revised" in gateway.log.read_text())
    shown = gateway.ask("readings", "--format", "json")
    # What was judged by the old one is judged again, and keeps its first verdict.
    assert [entry["scheme"] for entry in json.loads(shown)[:: len(meter.channels)]] == ["house", "house"]
    first = gateway.ask("history", "SN-1/3")
    assert first.index("under scheme development, revision 0") < first.index("under scheme house, revision 1")


async def test_limits_that_are_reloaded_reach_back_and_go_on_from_what_was_stored(gateway, connect, until) -> None:
    """The frequency stands still from the first reading on; that it may not is said only after four."""
    meter = SimulatedMeter("SN-1", [channel._replace(least=50_000, most=50_000) for channel in CHANNELS[6:7]])
    limit = f'[[limit]]\nmeter = "{meter.thumbprint.hex()}"\nchannel = 1\nunit = "Hz"\nstuck_minutes = 5\n'
    limits = gateway.folder / "plausible.toml"
    limits.write_text("")
    with gateway.config.open("a") as file:
        file.write('\n[traceability]\nplausibility = ["plausible.toml"]\n')
    gateway.enrol(meter)
    gateway.start()
    line = await connect(gateway)
    line.send(*meter.begin(), *(meter.readings() for _ in range(4)))
    await line.receipt(6)
    limits.write_text(limit)
    assert gateway.process
    gateway.process.send_signal(signal.SIGHUP)
    await until(lambda: "messages are judged again" in gateway.log.read_text())
    await until(lambda: "0 verdicts revised" in gateway.log.read_text())
    # One after another: each is judged by what those before it taught, in the running gateway.
    for sequence in (7, 8, 9):
        line.send(meter.readings())
        await line.receipt(sequence)
    shown = json.loads(gateway.ask("readings", "--format", "json"))
    assert ["value_stuck" in entry["findings"] for entry in shown] == [False] * 5 + [True, True]
    assert {entry["revision"] for entry in shown} == {0}


async def _saved(folder: Path, raw: bytes, line) -> Path:
    line.send(raw)
    await line.receipt(3)
    path = folder / "message.cose"
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("name", ["READY=1", "STATUS="])
async def test_systemd_is_told(gateway, tmp_path, monkeypatch, name, until) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        gateway.start()
        told = b""

        def heard() -> bool:
            nonlocal told
            try:
                told += channel.recv(4096) + b"\n"
            except BlockingIOError:
                return False
            return name.encode() in told

        await until(heard)
