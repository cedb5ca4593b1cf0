"""The benchmark's parts on a small load: that they measure what they say, not how fast this machine is."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from meter_gateway import workers
from meter_gateway.store import Store
from meter_protocol import fields as f
from meter_tools.bench import again, broker, gateway, load, machine
from meter_tools.bench.all_rules import trust_with_all_rules


@pytest.fixture
def pool() -> Iterator[workers.Pool]:
    made = workers.Pool(2)
    yield made
    made.close()


def test_a_stream_is_committed_judged_and_receipted(tmp_path: Path, pool: workers.Pool) -> None:
    stream = load.seal_frames(tmp_path, "m", meters=4, messages=480, cores=2)
    run = asyncio.run(gateway.commit_stream(tmp_path, stream, pool))
    assert run.messages == run.accepted == stream.messages == 4 * (3 + 120)
    assert run.rejected == 0
    assert run.receipts >= 4
    assert run.cpu_us > 0
    assert run.cpu_us_around(100, 200) > 0
    assert run.sample_at(0.5).stored >= 246
    judged = again.judge_again(tmp_path / "stream.db", stream.meters[:3])
    assert [each.messages for each in judged] == [3 * 123] * 3
    assert [each.revised for each in judged] == [0, 3 * 120, 3 * 120]


def test_all_rules_are_asked_and_find_next_to_nothing(tmp_path: Path, pool: workers.Pool) -> None:
    stream = load.seal_frames(tmp_path, "m", meters=2, messages=240, cores=2)
    run = asyncio.run(gateway.commit_stream(tmp_path, stream, pool, trust_with_all_rules))
    assert run.accepted > 0.9 * run.messages
    store = Store(tmp_path / "stream.db")
    verdicts = [each.verdict for each in store.archive.messages(stream.meters[0].thumbprint)]
    codes = {code for verdict in verdicts if verdict for code, _ in verdict[f.VERDICT_FINDINGS]}
    assert codes <= {"key_native", "range_by_mean", "uncertainty_above_target"}, (
        "limits fit their channels, and are kept"
    )
    # Entries of channel, random, resolution, certificate and transformer.
    assert {len(entry) for verdict in verdicts if verdict for entry in verdict[f.VERDICT_UNCERTAINTY]} == {6}
    store.close()


def test_lone_messages_are_receipted(tmp_path: Path, pool: workers.Pool) -> None:
    latency = asyncio.run(gateway.lone_messages(tmp_path, pool, 10, 0.001))
    assert latency.messages == 10
    assert 0 < latency.median_ms <= latency.p95_ms


def test_the_same_through_a_broker(tmp_path: Path, pool: workers.Pool, mosquitto: Path) -> None:
    publishes = load.seal_publishes(tmp_path, "m", meters=4, messages=480, cores=2)
    run = asyncio.run(broker.publish_stream(tmp_path, publishes, pool, str(mosquitto)))
    assert run.messages == publishes.messages
    assert run.broker.startswith("mosquitto")
    assert run.seconds > 0


def test_openssl_tells_its_rate() -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing")
    measured = machine.measure_openssl(1)
    assert measured.version.startswith("OpenSSL")
    assert measured.verify_rate > 100


def test_processes_are_weighed() -> None:
    pids = [os.getpid()]
    before = machine.cpu_s(pids)
    sum(range(5_000_000))
    assert before < machine.cpu_s(pids) <= machine.busy_s()
    assert 1 < machine.memory_mib(pids) < 10_000
