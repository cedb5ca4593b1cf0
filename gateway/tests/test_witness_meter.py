"""One witnessed meter on its lines, in this process: what it seals, and how it gets its messages through."""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from meter_gateway.clock import SystemClock, TimeServer
from meter_gateway.config import SCHEMES, BusSection, WitnessSection
from meter_gateway.ingest import Ingest
from meter_gateway.listener.inbox import Inbox
from meter_gateway.model import GatewayTime
from meter_gateway.policy import load_scheme
from meter_gateway.sealing import Sealers
from meter_gateway.store import Store
from meter_gateway.traceability import Trust
from meter_gateway.traceability.clock import Clocks
from meter_gateway.witness import enrolment, witnessed_meter
from meter_gateway.witness.buses import Bus, make_bus
from meter_gateway.witness.chain import Stored, WitnessChain
from meter_gateway.witness.witnessed_meter import Surroundings, WitnessedMeter
from meter_gateway.workers import Inline
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.quantities import BY_NAME
from meter_sampling import read_back
from meter_sampling.clock import MeterClock
from meter_tools.simulated_meter import AUTHORITY
from meter_tools.simulator import Configuration, Simulation, serve

PATIENCE_S = 60


def entry(driver: str, bus: str, address: int = 1) -> dict[int, Any]:
    return {
        f.INSTRUMENT_DRIVER: driver,
        f.INSTRUMENT_BUS: bus,
        f.INSTRUMENT_ADDRESS: address,
        f.INSTRUMENT_SERIAL: None,
        f.INSTRUMENT_OPTIONS: None,
    }


def channel(number: int, indication: str, exponent: int, modulus: int | None, kind: int) -> dict[int, Any]:
    return {
        f.CHANNEL_ID: number,
        f.CHANNEL_INSTRUMENT: 0,
        f.CHANNEL_INDICATION: indication,
        f.CHANNEL_QUANTITY: BY_NAME[indication.removesuffix("_a")].code,
        f.CHANNEL_KIND: kind,
        f.CHANNEL_EXPONENT: exponent,
        f.CHANNEL_RATIO: 1,
        f.CHANNEL_MODULUS: modulus,
        f.CHANNEL_MAX_STEP: None,
        f.CHANNEL_OPERATING_POINT: None,
        f.CHANNEL_EXTREMES: False,
    }


ENERGY64 = (
    channel(1, "active_energy_import", 0, 10**12, f.CHANNEL_REGISTER),
    channel(2, "voltage", -1, None, f.CHANNEL_MEAN),
)
DLT645 = (
    channel(1, "active_energy_import", 1, 10**8, f.CHANNEL_REGISTER),
    channel(2, "voltage_a", -1, None, f.CHANNEL_MEAN),
)


class House:
    """What a witnessed meter has around it, with an ingest that works when the test says so."""

    def __init__(self, folder: Path, messages_per_second: int = 1000) -> None:
        self.store = Store(folder / "gateway.sqlite")
        self.sealers = Sealers.generate()
        self.clock = SystemClock(True, 20, lambda: True)
        self.trust = Trust([], [], {AUTHORITY.kid: AUTHORITY.public_key}, Clocks(20, 0, 60_000), True)
        judge = load_scheme(SCHEMES / "development.toml").judge
        self.ingest = Ingest(self.store, self.sealers, Inline(), self.trust, judge)
        self.inbox = Inbox(1 << 18, messages_per_second, time.monotonic)
        section = WitnessSection.model_construct(name="W-1", key=folder / "w.pem")
        meter = enrolment.add(self.store, section, 0)
        sealer = enrolment.load_sealer(section.key, t.ROLE_METER)
        self.meter_clock = MeterClock()
        identity = enrolment.identity(sealer, "W-1")
        stored = Stored(self.store, meter)
        self.chain = WitnessChain(
            sealer, self.meter_clock, identity, stored, None, lambda *_: None, random.Random(2).randbytes
        )
        time_server = TimeServer(self.clock, self.sealers.clock.seal)
        around = Surroundings(self.inbox, time_server, self.now, lambda: self.trust.authorities)
        self.witnessed = WitnessedMeter("W-1", "witness:W-1", self.chain, self.meter_clock, around)
        self.buses: list[Bus] = []
        self.tasks: list[asyncio.Task[None]] = []

    def now(self) -> GatewayTime:
        return self.clock.now()

    def run(self, *sections: BusSection) -> None:
        made = {section.name: make_bus(section) for section in sections}
        self.buses += made.values()
        self.tasks.append(asyncio.create_task(self.witnessed.run(made)))

    def sealed_set(self, channels: Any, *instruments: dict[int, Any], version: int = 1) -> bytes:
        return AUTHORITY.seal(
            t.PARAMETER_SET,
            {
                f.VERSION: f.PROTOCOL_VERSION,
                f.TIME_MS: 0,
                f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
                f.CLOCK_UNCERTAINTY_MS: None,
                f.METER: self.chain.sealer.thumbprint,
                f.SET_VERSION: version,
                f.INTERVAL_S: 1,
                f.SAMPLE_PERIOD_MS: 250,
                f.INSTRUMENTS: list(instruments),
                f.CHANNELS: list(channels),
                f.RECEIPT_KEYS: [],
                f.CLOCK_KEYS: [],
            },
        )

    def work(self) -> None:
        """One group through ingest, and its answers back."""
        group = self.inbox.take_waiting(1000)
        if group:
            outcome = self.ingest.process(group, self.now())
            assert not outcome.rejected
            for answer in outcome.answers:
                self.witnessed.take(answer.raw)

    async def until(self, condition: Callable[[], Any], is_working: bool = True) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.02)
                if is_working:
                    self.work()

    def readings(self, kind: int | None = None) -> list[dict[int, Any]]:
        found = self.store.archive.messages(types=(t.READINGS,), limit=10_000)
        fields = [message.verified().fields for message in sorted(found, key=lambda message: message.id)]
        return [each for each in fields if kind in (None, each[f.KIND])]

    def events(self, code: int) -> list[dict[int, Any]]:
        found = self.store.archive.messages(types=(t.EVENT,), limit=10_000)
        fields = [message.verified().fields for message in found]
        return [each[f.DETAILS] for each in fields if each[f.EVENT_CODE] == code]


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    yield made
    for task in made.tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    for bus in made.buses:
        bus.close()
    made.store.close()


@pytest_asyncio.fixture
async def simulated() -> AsyncIterator[Callable[..., Any]]:
    running: list[Simulation] = []

    async def start(kind: str, **values: int) -> BusSection:
        """The instrument at a pseudo-terminal."""
        instrument = {"name": kind, "kind": kind, "unit": 1, "source": {"kind": "fixed", "values": values}}
        more = {"kind": "serial"} if kind == "dlt645" else {"framing": "rtu"}
        table = {"name": "bus", "pty": True, "instruments": [instrument], **more}
        simulation = await serve(Configuration.model_validate({"bus": [table]}))
        running.append(simulation)
        bus_kind = "serial" if kind == "dlt645" else "modbus"
        place = {"port": simulation.buses["bus"].pty, "name": "bus0", "kind": bus_kind}
        # A pseudo-terminal knows no parity, and pyserial takes that for an error.
        parity = "even" if kind == "dlt645" else "none"
        return BusSection.model_validate(place | {"timeout_ms": 300, "baud": 2400, "parity": parity})

    yield start
    for simulation in running:
        await simulation.close()


@pytest.mark.parametrize(
    ("driver", "channels", "values"),
    [
        ("energy64", ENERGY64, {"active_energy_import": 999_999_999_999, "voltage": 2301}),
        ("dlt645", DLT645, {"active_energy_import": 99_999_999, "voltage_a": 2301}),
    ],
)
async def test_over_a_serial_line_to_the_last_digit(
    house: House, simulated: Callable[..., Any], driver: str, channels: Any, values: dict[str, int]
) -> None:
    house.run(await simulated(driver, **values))
    await house.until(lambda: house.events(ev.BOOT))
    assert house.witnessed.state == "no_parameters"
    address = 1 if driver == "energy64" else 0
    house.witnessed.take(house.sealed_set(channels, entry(driver, "bus0", address)))
    # On a busy computer an interval may lack a sample; one that does not is not long in coming.
    whole = {1: [0, values["active_energy_import"]], 2: [0, 4, 4, 2301, 0]}
    await house.until(lambda: whole in [fields[f.READINGS] for fields in house.readings(f.KIND_REGULAR)])
    await house.until(lambda: house.witnessed.state == "measures")
    house.witnessed.stop()
    await house.tasks[0]
    await house.until(lambda: not house.chain.waiting)
    assert house.readings()[-1][f.KIND] == f.KIND_PARTIAL


async def test_what_a_board_would_refuse_is_refused(house: House, simulated: Callable[..., Any]) -> None:
    bus0 = await simulated("energy64", active_energy_import=1)
    house.run(bus0, bus0.model_copy(update={"name": "bus1"}))
    await house.until(lambda: house.events(ev.BOOT))
    other = house.sealed_set(ENERGY64, entry("energy64", "bus9"))
    count = 0
    for raw, reason in (
        (other, "parameters_bus"),
        (house.sealed_set(ENERGY64, entry("energy64", "bus0"), entry("energy64", "bus1")), "parameters_bus"),
        (house.sealed_set(DLT645, entry("dlt645", "bus0")), "parameters_bus"),
        (house.sealed_set(ENERGY64, entry("bme280", "bus0")), "parameters_driver"),
        (house.sealed_set(DLT645, entry("energy64", "bus0")), "parameters_scale"),
    ):
        count += 1
        house.witnessed._refused_s = None
        house.witnessed.take(raw)
        await house.until(lambda count=count: len(house.events(ev.PARAMETERS_REFUSED)) == count)
        assert house.events(ev.PARAMETERS_REFUSED)[-1][ev.REASON] == reason
    house.witnessed.take(other)
    await asyncio.sleep(0.1)
    house.work()
    assert len(house.events(ev.PARAMETERS_REFUSED)) == count, "repeated offers grow no chain"
    house.trust.authorities = {}
    house.witnessed._refused_s = None
    house.witnessed.take(house.sealed_set(ENERGY64, entry("energy64", "bus0")))
    await house.until(lambda: len(house.events(ev.PARAMETERS_REFUSED)) > count)
    assert house.events(ev.PARAMETERS_REFUSED)[-1][ev.REASON] == "unknown_key"


async def test_a_step_of_the_gateway_s_clock_closes_the_interval_first(
    house: House, simulated: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnessed_meter, "PAUSE_MS", 200)
    monkeypatch.setattr(witnessed_meter, "LOOK_S", 0.1)
    house.run(await simulated("energy64", active_energy_import=7, voltage=1))
    await house.until(lambda: house.events(ev.CLOCK_SET))
    house.witnessed.take(house.sealed_set(ENERGY64, entry("energy64", "bus0")))
    await house.until(lambda: len(house.readings(f.KIND_REGULAR)) > 1)
    (first,) = house.events(ev.CLOCK_SET)
    assert read_back.opened(first[ev.TIME_REPLY])[0] == t.TIME_REPLY
    real = house.clock.now
    monkeypatch.setattr(
        house.clock, "now", lambda: GatewayTime(real().time_ms + 3_600_000, f.CLOCK_SYNCHRONISED, 20)
    )
    await house.until(lambda: len(house.events(ev.CLOCK_SET)) == 2)
    await house.until(lambda: house.readings(f.KIND_REGULAR)[-1][f.TIME_MS] > time.time_ns() // 10**6 + 3_000_000)
    # None holds the hour; on a busy computer one may end late.
    durations_ms = [fields[f.DURATION_MS] for fields in house.readings() if fields[f.DURATION_MS] is not None]
    assert max(durations_ms) < 60_000
    assert statistics.median_low(durations_ms) < 1500
    for message in house.store.archive.messages(limit=1000):
        assert not {"interval_overlap", "chain_broken"} & {code for code, _ in message.verdict[f.VERDICT_FINDINGS]}


async def test_what_the_inbox_drops_or_loses_is_offered_again_in_order(
    house: House, simulated: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnessed_meter, "RETRY_S", 0.5)
    monkeypatch.setattr(witnessed_meter, "LOOK_S", 0.1)
    taken = house.inbox.offer
    refuses = True
    monkeypatch.setattr(house.inbox, "offer", lambda received: not refuses and taken(received))
    house.run(await simulated("energy64", active_energy_import=7, voltage=1))
    await house.until(lambda: len(house.chain.waiting) == 3, is_working=False)
    assert house.inbox.is_empty
    refuses = False
    # Identity, boot and clock go missing between inbox and store, and nothing comes that would show it.
    await house.until(lambda: not house.inbox.is_empty, is_working=False)
    house.inbox.take_waiting(1000)
    await house.until(lambda: not house.chain.waiting)
    house.witnessed.take(house.sealed_set(ENERGY64, entry("energy64", "bus0")))
    await house.until(lambda: len(house.chain.waiting) > 3, is_working=False)
    house.inbox.take_waiting(1)
    await house.until(lambda: len(house.readings(f.KIND_REGULAR)) > 3)
    (known,) = house.store.archive.chains()
    assert known.parked == 0
    assert house.store.registry.forks() == []
