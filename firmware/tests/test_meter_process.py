"""The real firmware in a process of its own, killed, cut off and replayed (meter_site.py).

Whatever is done to the meter, in the end the chain is whole and the totals are the instrument's.
"""

import asyncio
import random
import re
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from meter_site import Site, now_ms, until

from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulator.clock import write_clock_file

pytestmark = pytest.mark.long

NOON = 1_700_049_600_000
QUARTER = 900_000


@pytest_asyncio.fixture
async def site(tmp_path: Path, micropython: Path) -> AsyncIterator[Site]:
    """A meter in real time, whose instrument counts about a Wh a millisecond."""
    opened = Site(tmp_path, micropython)
    began = now_ms()
    await opened.open(lambda _: 5000 + now_ms() - began)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def replay(tmp_path: Path, micropython: Path) -> AsyncIterator[Site]:
    """A meter that drives its own time over 300 quarters of an hour."""
    clock_file = tmp_path / "clock"
    write_clock_file(clock_file, NOON)
    config = {"clock_file": str(clock_file), "until_ms": NOON + 300 * QUARTER, "pace_ms": 0}
    opened = Site(tmp_path, micropython, config)
    await opened.open(counted)
    yield opened
    await opened.close()


def counted(utc_ms: int) -> int:
    return 1000 + (utc_ms - NOON) // 1000 * 7


async def test_from_the_box_to_receipted_readings(site: Site) -> None:
    gateway = site.gateway
    await site.commission(1, 250)
    await until(lambda: len(gateway.chains) == 1 and len(gateway.readings()) >= 4, "readings")
    summary = await site.stop()
    assert gateway.event_codes() == [events.BOOT, events.PARAMETERS_APPLIED, events.CLOCK_SET]
    assert (gateway.forged, gateway.duplicates, gateway.foreign) == (0, 0, 0)
    # Identity and boot went out for nothing before the meter was enrolled.
    sealed = len(gateway.messages())
    assert f"sealed {sealed} sent {sealed + 2} resent 2 drained yes" in summary
    # Receipts may come before the set that holds their key.
    assert re.search("refused (none|unknown_key=[12])$", summary), summary
    # The first time the instrument was asked who it is.
    assert gateway.totals()[0] == 80 * site.shown[1]
    assert gateway.totals()[-1] == 80 * site.shown[-1]
    kinds = [(fields[f.KIND], fields[f.CLOCK_STATUS]) for fields in gateway.readings()]
    assert kinds[0] == (f.KIND_OUTAGE, f.CLOCK_SYNCHRONISED)
    assert kinds[-1] == (f.KIND_PARTIAL, f.CLOCK_SYNCHRONISED)
    regular = gateway.readings()[2:-1]
    assert {fields[f.KIND] for fields in regular} == {f.KIND_REGULAR}
    # A busy computer may let an interval end late, and does not all of them.
    assert statistics.median_low(fields[f.TIME_MS] % 1000 for fields in regular) < 250


async def test_a_storm_of_sigkills_loses_and_repeats_nothing(site: Site) -> None:
    random.seed(4)
    gateway = site.gateway
    await site.commission(1, 250)
    await until(lambda: len(gateway.chains) == 1 and len(gateway.readings()) >= 2, "readings")
    boots = 1
    for number in range(14):
        site.kill()
        # Some boots end before the link is up, and for some the gateway is away or the line full of noise.
        gateway.answers = number % 4 != 3
        site.start()
        boots += 1
        await asyncio.sleep(random.choice((0.05, 0.2, 0.6, 1.7)) * random.uniform(0.5, 1.5))
        gateway.noise(random.randbytes(200))
        if number % 3 == 0:
            gateway.hang_up()
            await asyncio.sleep(random.uniform(0, 0.7))
    gateway.answers = True
    gateway.hang_up()
    summary = await site.stop()
    assert "drained yes" in summary, summary
    assert gateway.totals()[0] == 80 * site.shown[1]
    assert gateway.totals()[-1] == 80 * site.shown[-1]
    assert {total // 80 for total in gateway.totals()} <= set(site.shown)
    # A boot that was killed at once said nothing; none said anything twice.
    said = [fields[f.BOOT] for typ, fields in gateway.messages() if typ == t.EVENT]
    assert said[-1] <= boots
    assert gateway.event_codes().count(events.BOOT) == said[-1]
    assert gateway.forged == 0


async def test_a_replay_is_exact_to_the_last_interval(replay: Site) -> None:
    gateway = replay.gateway
    await replay.commission(900, QUARTER)
    summary = await replay.ended()
    assert "drained yes" in summary
    readings = gateway.readings()
    assert readings[0][f.READINGS] == {1: [f.STATUS_GAP_BEFORE, 80 * 1000]}
    intervals = [
        (fields[f.KIND], fields[f.TIME_MS], fields[f.DURATION_MS], fields[f.READINGS]) for fields in readings[1:]
    ]
    assert intervals == [
        (f.KIND_REGULAR, end, QUARTER, {1: [0, 80 * counted(end)], 2: [0, 1, 1, 7200, None]})
        for end in range(NOON + QUARTER, NOON + 301 * QUARTER, QUARTER)
    ]
    assert (gateway.duplicates, gateway.forged) == (0, 0)


async def test_a_replay_that_is_killed_again_and_again_keeps_every_unit(replay: Site) -> None:
    random.seed(9)
    gateway = replay.gateway
    await replay.commission(900, QUARTER)
    await until(lambda: len(gateway.chains) == 1 and len(gateway.readings()) >= 10, "readings")
    kills = 0
    while replay.is_running() and kills < 8:
        replay.kill()
        kills += 1
        replay.start()
        await asyncio.sleep(random.uniform(0.1, 0.9))
    await replay.ended()
    totals = gateway.totals()
    assert (totals[0], totals[-1]) == (80 * 1000, 80 * counted(NOON + 300 * QUARTER))
    end = NOON
    # A boot after the trace's end has no time any more; all it can seal is that nothing was counted since.
    for fields in [fields for fields in gateway.readings() if fields[f.CLOCK_STATUS] == f.CLOCK_SYNCHRONISED]:
        # What a cut took out of its interval is an outage; nothing else covers the time twice or not at all.
        if fields[f.KIND] == f.KIND_REGULAR:
            assert fields[f.TIME_MS] - fields[f.DURATION_MS] >= end
            assert fields[f.READINGS][1][1] == 80 * counted(fields[f.TIME_MS])
        end = fields[f.TIME_MS]
    assert end == NOON + 300 * QUARTER


async def test_a_gateway_that_was_away_gets_everything_at_once(site: Site) -> None:
    gateway = site.gateway
    await site.commission(1, 250)
    await until(lambda: len(gateway.chains) == 1 and len(gateway.readings()) >= 2, "readings")
    gateway.answers = False
    before = len(gateway.messages())
    await asyncio.sleep(4)
    assert len(gateway.messages()) == before
    gateway.answers = True
    gateway.hang_up()
    await until(lambda: len(gateway.messages()) >= before + 4, "what was kept")
    # At once, and not at its next retry: then something newer would have come first, and this been asked for.
    assert gateway.requests == 0
    assert "drained yes" in await site.stop()


async def test_a_meter_with_nothing_to_do_costs_next_to_nothing(site: Site) -> None:
    gateway = site.gateway
    await site.commission(900, 60_000)
    await until(lambda: len(gateway.chains) == 1 and len(gateway.messages()) >= 4, "the first messages")
    await asyncio.sleep(1)
    busy_s, began = site.cpu_s(), time.monotonic()
    await asyncio.sleep(4)
    share = (site.cpu_s() - busy_s) / (time.monotonic() - began)
    print(f"share of a CPU: {share:.3f}")
    assert share < 0.1
