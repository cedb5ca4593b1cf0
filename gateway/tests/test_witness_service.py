"""Witnessed meters in a gateway that runs as users run it, over simulated instruments."""

import asyncio
import functools
import itertools
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from meter_gateway.archive import StoredMessage
from meter_gateway.inspection import Contexts, KeyChest, Known, inspect
from meter_gateway.sealing import load_sealer
from meter_gateway.store import Store
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.quantities import BY_NAME
from meter_tools.simulated_meter import AUTHORITY, SimulatedMeter
from meter_tools.simulator import Configuration, Fault, Simulation, serve

pytestmark = pytest.mark.long

MODULUS = 1_000_000_000_000
INTERVAL_S = 1
PERIOD_MS = 250
PATIENCE_S = 60


def channel(number: int, indication: str, *, mean: bool = False, modulus: int | None = MODULUS) -> dict[int, Any]:
    return {
        f.CHANNEL_ID: number,
        f.CHANNEL_INSTRUMENT: 0,
        f.CHANNEL_INDICATION: indication,
        f.CHANNEL_QUANTITY: BY_NAME[indication].code,
        f.CHANNEL_KIND: f.CHANNEL_MEAN if mean else f.CHANNEL_REGISTER,
        f.CHANNEL_EXPONENT: 0,
        f.CHANNEL_RATIO: 1 if mean else 80,
        f.CHANNEL_MODULUS: None if mean else modulus,
        f.CHANNEL_MAX_STEP: None,
        f.CHANNEL_OPERATING_POINT: None,
        f.CHANNEL_EXTREMES: mean,
    }


def sealed_set(thumbprint: bytes, version: int = 1, **more: Any) -> bytes:
    instrument = {
        f.INSTRUMENT_DRIVER: more.get("driver", "energy64"),
        f.INSTRUMENT_BUS: more.get("bus", "bus0"),
        f.INSTRUMENT_ADDRESS: 1,
        f.INSTRUMENT_SERIAL: more.get("serial", "SIM-0001"),
        f.INSTRUMENT_OPTIONS: None,
    }
    return AUTHORITY.seal(
        t.PARAMETER_SET,
        {
            f.VERSION: f.PROTOCOL_VERSION,
            f.TIME_MS: 0,
            f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
            f.CLOCK_UNCERTAINTY_MS: None,
            f.METER: thumbprint,
            f.SET_VERSION: version,
            f.INTERVAL_S: INTERVAL_S,
            f.SAMPLE_PERIOD_MS: PERIOD_MS,
            f.INSTRUMENTS: [instrument],
            f.CHANNELS: more.get(
                "channels", [channel(1, "active_energy_import"), channel(2, "active_power", mean=True)]
            ),
            f.RECEIPT_KEYS: [],
            f.CLOCK_KEYS: [],
        },
    )


class Site:
    """A bus with one simulated meter, and what it shows."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self.shown: dict[str, int | None] = {"active_energy_import": 1000, "active_power": 4711}
        self.faults: dict[str, Fault] = {}
        self.simulation: Simulation | None = None

    async def start(self) -> None:
        instrument = {"name": self.name, "kind": "energy64", "unit": 1, "serial": "SIM-0001"}
        instrument["source"] = {"kind": "fixed", "values": {}}
        bus = {"name": "bus", "framing": "tcp", "port": self.port, "instruments": [instrument]}
        self.simulation = await serve(Configuration.model_validate({"bus": [bus]}), lambda: self.faults)
        self.simulation.instruments[self.name].source = lambda _: dict(self.shown)

    async def stop(self) -> None:
        if self.simulation is not None:
            await self.simulation.close()
            self.simulation = None

    def table(self, bus: str = "bus0") -> str:
        return f'[[bus]]\nname = "{bus}"\nkind = "modbus"\ntcp = "127.0.0.1:{self.port}"\ntimeout_ms = 300\n'


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits until a condition holds, and leaves this process to the simulated instruments meanwhile."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - it knows of no events
                await asyncio.sleep(0.1)

    return wait


@pytest_asyncio.fixture
async def sites(free_port: Callable[[], int]) -> AsyncIterator[Callable[[str], Any]]:
    made: list[Site] = []

    async def make(name: str) -> Site:
        site = Site(name, free_port())
        await site.start()
        made.append(site)
        return site

    yield make
    for site in made:
        await site.stop()


def witness(name: str = "W-1") -> str:
    return f'[[witness]]\nname = "{name}"\nkey = "keys/{name}.pem"\n'


async def said(gateway: Any, *arguments: Any) -> str:
    """A command, while the simulator in this process goes on answering."""
    return await asyncio.to_thread(gateway.ask, *arguments)


async def doctor(gateway: Any) -> str:
    """What it finds, whatever its exit code."""
    done = await asyncio.to_thread(gateway.command, "doctor", "--config", gateway.config)
    return str(done.stdout)


def total(gateway: Any, thumbprint: bytes) -> int | None:
    """The newest one of channel 1; None while it is not known."""
    found = [fields[f.READINGS][1] for fields in readings(gateway, thumbprint) if 1 in fields[f.READINGS]]
    return found[-1][1] if found else None


async def begin(gateway: Any, site: Site, until: Any, name: str = "W-1") -> bytes:
    """A running gateway whose witness measures; the witness's thumbprint."""
    gateway.configure(uplink=site.table() + witness(name))
    gateway.start()
    await said(gateway, "witness", "add", name)
    thumbprint = load_sealer(gateway.folder / "keys" / f"{name}.pem", t.ROLE_METER).thumbprint
    await send_set(gateway, name, sealed_set(thumbprint), until)
    await until(lambda: len(readings(gateway, thumbprint, f.KIND_REGULAR)) > 1)
    return thumbprint


async def send_set(gateway: Any, name: str, raw: bytes, until: Any) -> None:
    path = gateway.folder / "set.cose"
    path.write_bytes(raw)
    thumbprint = load_sealer(gateway.folder / "keys" / f"{name}.pem", t.ROLE_METER).thumbprint
    await until(lambda: bool(stored(gateway, thumbprint)))
    await said(gateway, "parameters", "send", thumbprint.hex(), path)


def stored(gateway: Any, thumbprint: bytes) -> list[StoredMessage]:
    path = gateway.state / "gateway.sqlite"
    if not path.exists():
        return []
    found = store_of(path, path.stat().st_ino).archive.messages(thumbprint, limit=100_000)
    return sorted(found, key=lambda message: message.id)


@functools.lru_cache(2)
def store_of(path: Path, inode: int) -> Store:
    """Opened once: opening it takes the writer's place for a moment."""
    return Store(path)


def fields_of(message: StoredMessage) -> dict[int, Any]:
    return message.verified().fields


def readings(gateway: Any, thumbprint: bytes, kind: int | None = None) -> list[dict[int, Any]]:
    found = [fields_of(message) for message in stored(gateway, thumbprint) if message.typ == t.READINGS]
    return [fields for fields in found if kind in (None, fields[f.KIND])]


def events(gateway: Any, thumbprint: bytes, code: int) -> list[dict[int, Any]]:
    found = [fields_of(message) for message in stored(gateway, thumbprint) if message.typ == t.EVENT]
    return [fields[f.DETAILS] for fields in found if fields[f.EVENT_CODE] == code]


def codes(message: StoredMessage) -> set[str]:
    assert message.verdict is not None
    return {code for code, _ in message.verdict[f.VERDICT_FINDINGS]}


def assert_one_whole_chain(gateway: Any, thumbprint: bytes) -> None:
    """Numbers without a gap, each message's hash in the next, no fork, nothing refused, nothing broken."""
    messages = stored(gateway, thumbprint)
    assert len({message.epoch for message in messages}) == 1
    assert [message.sequence for message in messages] == list(range(len(messages)))
    for before, after in itertools.pairwise(messages):
        assert fields_of(after)[f.PREVIOUS] == before.hash
    for message in messages:
        assert not codes(message) & {"chain_broken", "chain_fork", "context_mismatch", "sequence_gap"}
        assert "gateway_witnessed" in codes(message)
    store = Store(gateway.state / "gateway.sqlite")
    try:
        assert store.registry.forks() == []
        assert store.archive.rejected() == []
    finally:
        store.close()


async def test_an_instrument_is_read_sealed_judged_and_provable_offline(gateway, sites, until, connect) -> None:
    site = await sites("meter")
    signed, line = SimulatedMeter("SN-1"), None
    thumbprint = await begin(gateway, site, until)
    gateway.enrol(signed)
    line = await connect(gateway)
    line.send(*signed.begin(), signed.readings())
    await line.receipt(3)
    site.shown = {"active_energy_import": 1007, "active_power": -2_000_000}
    await until(lambda: total(gateway, thumbprint) == 80 * 1007)
    # On a busy computer an interval may lack a sample or end late; one that does not is not long in coming.
    whole = {1: [0, 80 * 1007], 2: [0, 4, 4, -2_000_000, 0, -2_000_000, -2_000_000]}

    def undisturbed() -> list[dict[int, Any]]:
        found = [r for r in readings(gateway, thumbprint, f.KIND_REGULAR) if r[f.READINGS] == whole]
        return [r for r in found if abs(r[f.DURATION_MS] - 1000) < 300]

    await until(lambda: bool(undisturbed()))
    assert undisturbed()[0][f.CLOCK_STATUS] == f.CLOCK_SYNCHRONISED
    await until(lambda: gateway.status()["witnesses"] == {"W-1": "measures"})
    assert "measures" in await said(gateway, "witness", "list")
    assert "read and sealed by this gateway" in await said(gateway, "meters", "list")
    assert "W-1 is measured by this gateway" in await doctor(gateway)
    assert gateway.stop() == 0
    assert_one_whole_chain(gateway, thumbprint)
    messages = stored(gateway, thumbprint)
    assert fields_of(messages[-1])[f.KIND] == f.KIND_PARTIAL, "an orderly end seals what was counted until then"
    regular = next(m for m in messages if fields_of(m).get(f.READINGS) == whole)
    assert regular.verdict is not None
    assert regular.verdict[f.VERDICT_ACCEPTANCE] == f.ACCEPTED
    assert codes(regular) == {"gateway_witnessed", "certificate_missing"}
    assert "gateway_witnessed" not in {c for m in stored(gateway, signed.thumbprint) for c in codes(m)}
    # Whoever has the bytes and the thumbprint needs no gateway.
    public = load_sealer(gateway.folder / "keys" / "W-1.pem", t.ROLE_METER).cose_key
    found = inspect(b"".join(m.raw for m in messages), KeyChest([Known(public, "given_key")]), Contexts())
    assert found.is_good
    assert len(found.messages) == len(messages)


async def test_a_kill_at_any_moment_loses_nothing_stored_and_forks_no_chain(gateway, sites, until) -> None:
    """The register counts on all the time: what it counted is in the total, each step once."""
    site = await sites("meter")
    thumbprint = await begin(gateway, site, until)
    moments = random.Random(29)
    for _ in range(6):
        site.shown["active_energy_import"] += 13
        await asyncio.sleep(moments.uniform(0.0, 1.3))
        before = {message.hash for message in stored(gateway, thumbprint)}
        gateway.kill()
        assert before <= {message.hash for message in stored(gateway, thumbprint)}
        site.shown["active_energy_import"] += 29
        boots = len(events(gateway, thumbprint, ev.BOOT))
        gateway.start()
        await until(lambda boots=boots: len(events(gateway, thumbprint, ev.BOOT)) > boots)
        await until(
            lambda: (
                readings(gateway, thumbprint)[-1][f.READINGS][1][1:2] == [80 * site.shown["active_energy_import"]]
            )
        )
    gateway.stop()
    assert_one_whole_chain(gateway, thumbprint)
    totals = [r[f.READINGS][1][1] for r in readings(gateway, thumbprint) if 1 in r[f.READINGS]]
    totals = [total for total in totals if total is not None]
    assert totals == sorted(totals)
    assert totals[-1] - totals[0] == 80 * 6 * 42
    outages = readings(gateway, thumbprint, f.KIND_OUTAGE)
    assert len(outages) >= 6, "what was counted meanwhile is in no regular interval"
    regular = readings(gateway, thumbprint, f.KIND_REGULAR)
    assert all(fields[f.READINGS][1][0] == 0 for fields in regular)


async def test_a_store_that_is_older_than_it_was_begins_a_new_epoch(gateway, sites, until) -> None:
    """As after the restore of a backup: what was sealed since went out, and no number is used twice."""
    site = await sites("meter")
    thumbprint = await begin(gateway, site, until)
    await said(gateway, "gateway", "backup", gateway.folder / "backup.sqlite")
    count = len(stored(gateway, thumbprint))
    await until(lambda: len(stored(gateway, thumbprint)) > count + 2)
    gateway.stop()
    lost = stored(gateway, thumbprint)[-1]
    await said(gateway, "gateway", "restore", gateway.folder / "backup.sqlite")
    site.shown["active_energy_import"] += 50
    gateway.start()
    await until(lambda: len({m.epoch for m in stored(gateway, thumbprint)}) == 2)
    await until(lambda: bool(events(gateway, thumbprint, ev.RESEND_UNAVAILABLE)))
    await until(lambda: total(gateway, thumbprint) == 80 * site.shown["active_energy_import"])
    gateway.stop()
    (opened,) = events(gateway, thumbprint, ev.EPOCH_OPENED)
    assert (opened[ev.LAST_EPOCH], opened[ev.LAST_SEQUENCE]) == (lost.epoch, lost.sequence)
    messages = stored(gateway, thumbprint)
    # The set in force is told again, and the register goes on from its last known total.
    assert len(events(gateway, thumbprint, ev.PARAMETERS_APPLIED)) == 2
    assert not {"chain_fork", "chain_broken", "parameters_missing"} & {c for m in messages for c in codes(m)}


async def test_what_an_instrument_does_is_said_and_nothing_is_invented(gateway, sites, until) -> None:
    site = await sites("meter")
    thumbprint = await begin(gateway, site, until)

    def newest() -> dict[int, Any]:
        return readings(gateway, thumbprint)[-1]

    # Unplugged, and back: null readings with their reason, then one outage.
    outages = len(readings(gateway, thumbprint, f.KIND_OUTAGE))
    await site.stop()
    await until(lambda: newest()[f.READINGS][1][1] is None)
    absent = newest()[f.READINGS]
    assert absent[1][0] & f.STATUS_NO_RESPONSE
    assert absent[2][3] is None
    await until(lambda: gateway.status()["witnesses"] == {"W-1": "silent"})
    site.shown["active_energy_import"] += 5
    await site.start()
    await until(lambda: len(readings(gateway, thumbprint, f.KIND_OUTAGE)) > outages)
    outage = readings(gateway, thumbprint, f.KIND_OUTAGE)[-1]
    assert outage[f.READINGS][1][0] & f.STATUS_GAP_BEFORE
    assert outage[f.READINGS][1][1] == 80 * 1005
    # Nonsense, and another instrument.
    site.faults["meter"] = Fault(kind="nonsense")
    await until(lambda: bool(newest()[f.READINGS].get(1, [0])[0] & f.STATUS_BAD_RESPONSE))
    site.faults.clear()
    # Past its modulus, and then back to nothing.
    site.shown["active_energy_import"] = MODULUS - 3
    await until(lambda: total(gateway, thumbprint) == 80 * (MODULUS - 3))
    site.shown["active_energy_import"] = 4
    await until(lambda: total(gateway, thumbprint) == 80 * (MODULUS + 4))
    statuses = [r[f.READINGS][1][0] for r in readings(gateway, thumbprint) if 1 in r[f.READINGS]]
    assert any(status & f.STATUS_WRAPPED for status in statuses)
    site.shown["active_energy_import"] = 1
    await until(lambda: bool(events(gateway, thumbprint, ev.REGISTER_DISCONTINUITY)))
    (jump,) = events(gateway, thumbprint, ev.REGISTER_DISCONTINUITY)
    assert (jump[ev.RAW_BEFORE], jump[ev.RAW_AFTER]) == (4, 1)
    site.shown["active_energy_import"] = 2
    await until(lambda: total(gateway, thumbprint) == 80 * (MODULUS + 5))
    gateway.stop()
    assert_one_whole_chain(gateway, thumbprint)


async def test_a_dead_instrument_delays_no_other_bus(gateway, sites, until) -> None:
    dead, alive = await sites("dead"), await sites("alive")
    thumbprint = await begin(gateway, alive, until, "W-alive")
    gateway.stop()
    gateway.configure(uplink=alive.table() + dead.table("bus1") + witness("W-alive") + witness("W-dead"))
    gateway.start()
    await said(gateway, "witness", "add", "W-dead")
    other = load_sealer(gateway.folder / "keys" / "W-dead.pem", t.ROLE_METER).thumbprint
    await send_set(gateway, "W-dead", sealed_set(other, bus="bus1"), until)
    await until(lambda: bool(readings(gateway, other, f.KIND_REGULAR)))
    dead.faults["dead"] = Fault(kind="silent")
    await until(lambda: readings(gateway, other)[-1][f.READINGS][1][1] is None)
    first = len(readings(gateway, thumbprint))

    def most_are_whole() -> bool:
        during = readings(gateway, thumbprint)[first:][-7:]
        return len(during) == 7 and sum(fields[f.READINGS][2][1] == 4 for fields in during) > 3

    # Each of the other's samples waits 0.3 s for nothing: in one queue with it, this one would miss some of four.
    await until(most_are_whole)
    gateway.stop()


async def test_parameters_change_and_others_are_refused(gateway, sites, until) -> None:
    site = await sites("meter")
    thumbprint = await begin(gateway, site, until)
    wrong = {"bus": "bus9"}
    await send_set(gateway, "W-1", sealed_set(thumbprint, 2, **wrong), until)
    await until(lambda: bool(events(gateway, thumbprint, ev.PARAMETERS_REFUSED)))
    assert events(gateway, thumbprint, ev.PARAMETERS_REFUSED)[0][ev.REASON] == "parameters_bus"
    # The gateway notes the answer after it has stored the message.
    await until(lambda: "refused" in gateway.ask("parameters", "list"))
    channels = [channel(1, "active_energy_import"), channel(3, "reactive_power", mean=True)]
    site.shown["reactive_power"] = 12
    await send_set(gateway, "W-1", sealed_set(thumbprint, 2, channels=channels), until)
    await until(lambda: readings(gateway, thumbprint)[-1][f.READINGS].get(3, [1, 0, 0, 0])[3] == 12)
    await until(lambda: readings(gateway, thumbprint)[-1][f.READINGS][1] == [0, 80_000])  # the register goes on
    gateway.kill()
    gateway.start()
    await until(lambda: len(events(gateway, thumbprint, ev.BOOT)) == 2)
    await until(lambda: 3 in readings(gateway, thumbprint)[-1][f.READINGS])
    gateway.stop()
    assert_one_whole_chain(gateway, thumbprint)


async def test_only_a_key_enrolled_as_a_witness_s_is_read_and_revocation_ends_it(gateway, sites, until) -> None:
    site = await sites("meter")
    gateway.configure(uplink=site.table() + witness("W-1"))
    gateway.start()
    await until(lambda: gateway.status()["witnesses"] == {"W-1": "no_key"})
    assert "carbonmeter witness add" in await doctor(gateway)
    await said(gateway, "witness", "add", "W-1")
    await until(lambda: gateway.status()["witnesses"] == {"W-1": "no_parameters"})
    thumbprint = load_sealer(gateway.folder / "keys" / "W-1.pem", t.ROLE_METER).thumbprint
    again = await asyncio.to_thread(gateway.command, "witness", "add", "W-1", "--config", gateway.config)
    assert again.returncode == 2
    assert "enrolled already" in again.stderr
    await send_set(gateway, "W-1", sealed_set(thumbprint), until)
    await until(lambda: bool(readings(gateway, thumbprint, f.KIND_REGULAR)))
    await said(gateway, "meters", "revoke", thumbprint.hex(), "--reason", "instrument taken down")
    await until(lambda: gateway.status()["witnesses"] == {"W-1": "revoked"})

    async def is_over() -> bool:
        count = len(stored(gateway, thumbprint))
        await asyncio.sleep(2.5)
        return len(stored(gateway, thumbprint)) == count

    # What was under way may still come, and then nothing more.
    async with asyncio.timeout(PATIENCE_S):
        while not await is_over():
            pass


async def test_witnesses_are_added_and_taken_out_by_a_reload(gateway, sites, until) -> None:
    site = await sites("meter")
    thumbprint = await begin(gateway, site, until)
    gateway.configure(uplink=site.table() + witness("W-1") + witness("W-2"))
    await said(gateway, "witness", "add", "W-2")
    gateway.process.send_signal(signal.SIGHUP)
    await until(lambda: gateway.status()["witnesses"].get("W-2") == "no_parameters")
    assert len(events(gateway, thumbprint, ev.BOOT)) == 1, "what did not change goes on"
    gateway.configure(uplink=site.table() + witness("W-2"))
    gateway.process.send_signal(signal.SIGHUP)
    await until(lambda: list(gateway.status()["witnesses"]) == ["W-2"])
    await until(lambda: readings(gateway, thumbprint)[-1][f.KIND] == f.KIND_PARTIAL)
    gateway.configure(uplink=site.table() + witness("W-2") + witness("W-1"))
    gateway.process.send_signal(signal.SIGHUP)
    await until(lambda: len(events(gateway, thumbprint, ev.BOOT)) == 2)
    await until(lambda: readings(gateway, thumbprint)[-1][f.KIND] == f.KIND_REGULAR)
    gateway.stop()
    assert_one_whole_chain(gateway, thumbprint)


async def test_the_gateway_s_trust_in_its_clock_is_the_witness_s(gateway, sites, until) -> None:
    site = await sites("meter")
    thumbprint = await begin(gateway, site, until)
    gateway.stop()
    gateway.config.write_text(gateway.config.read_text().replace("trusted = true", "trusted = false"))
    gateway.start()
    count = len(readings(gateway, thumbprint))
    await until(lambda: len(readings(gateway, thumbprint)) > count + 1)
    newest = stored(gateway, thumbprint)[-1]
    assert fields_of(newest)[f.CLOCK_STATUS] == f.CLOCK_INFORMATIVE
    assert fields_of(newest)[f.CLOCK_UNCERTAINTY_MS] >= 20
    assert {"clock_informative", "gateway_clock_untrusted"} <= codes(newest)
    gateway.stop()


def test_a_field_meter_that_calls_itself_a_witness_is_none(gateway) -> None:
    meter = SimulatedMeter("gateway witness")
    gateway.enrol(meter)
    gateway.fill(*meter.begin(), meter.readings())
    for message in stored(gateway, meter.thumbprint):
        assert "gateway_witnessed" not in codes(message)
