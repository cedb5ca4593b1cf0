"""Which witnesses run, by configuration and registry; there are no instruments here, and no parameter sets."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from meter_gateway.clock import SystemClock, TimeServer
from meter_gateway.config import BusSection, GatewayConfig, WitnessSection
from meter_gateway.listener.inbox import Inbox
from meter_gateway.sealing import Sealers
from meter_gateway.store import Store, StoreUnavailable
from meter_gateway.witness import enrolment, witnesses
from meter_gateway.witness.witnessed_meter import Surroundings, WitnessedMeter
from meter_gateway.witness.witnesses import Witnesses

BUS = BusSection.model_validate({"name": "bus0", "kind": "modbus", "tcp": "127.0.0.1:1"})


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "gateway.sqlite")
        clock = SystemClock(True, 20, lambda: True)
        time_server = TimeServer(clock, Sealers.generate().clock.seal)
        around = Surroundings(Inbox(1 << 18, 1000, time.monotonic), time_server, clock.now, dict)
        self.witnesses = Witnesses(self.config(), self.store, around, lambda *_: None, folder / "notes")

    def witness(self, name: str, key: str) -> WitnessSection:
        """Its key, enrolled."""
        section = WitnessSection.model_construct(name=name, key=self.folder / key)
        if enrolment.meter_of(self.store, section) is None:
            enrolment.add(self.store, section, 0)
        return section

    def config(self, *witness: WitnessSection) -> GatewayConfig:
        return GatewayConfig.model_construct(bus=(BUS,), witness=witness)

    async def look(self, *witness: WitnessSection) -> None:
        self.witnesses.reload(self.config(*witness))
        await self.witnesses._adjust()
        await asyncio.sleep(0)

    def running(self) -> dict[str, bytes]:
        """Key identifiers by name."""
        return {name: run.witnessed.kid for name, run in self.witnesses._running.items()}


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    yield made
    await made.witnesses.finish()
    made.store.close()


async def test_another_key_is_another_meter(house: House) -> None:
    before, after = house.witness("W-1", "before.pem"), house.witness("W-1", "after.pem")
    await house.look(before)
    (first,) = house.running().values()
    (run,) = house.witnesses._running.values()
    await house.look(before)
    assert not run.task.done(), "what did not change goes on"
    await house.look(after)
    assert run.task.done()
    assert set(house.running()) == {"W-1"}
    assert house.running()["W-1"] != first


async def test_a_mistake_costs_the_witness_that_shows_it_and_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = enrolment.identity

    def identity(sealer, name):
        if name == "W-1":
            raise ZeroDivisionError
        return real(sealer, name)

    sections = house.witness("W-1", "1.pem"), house.witness("W-2", "2.pem")
    monkeypatch.setattr(enrolment, "identity", identity)
    await house.look(*sections)
    assert set(house.running()) == {"W-2"}
    assert house.witnesses.states == {"W-1": "failed", "W-2": "no_parameters"}
    assert house.witnesses.faults == {"W-1": "ZeroDivisionError:"}
    assert not house.witnesses.connected
    monkeypatch.undo()
    await house.look(*sections)
    assert set(house.running()) == {"W-1", "W-2"}
    assert house.witnesses.faults == {}


async def test_a_witness_that_ends_by_a_mistake_is_told_and_tried_again_a_while_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    section, starts = house.witness("W-1", "1.pem"), []

    async def run(self, _buses):
        starts.append(self.name)
        async with asyncio.TaskGroup():
            raise ValueError("what nobody\nthought of" + 300 * "x")

    monkeypatch.setattr(WitnessedMeter, "run", run)
    await house.look(section)
    await asyncio.sleep(0.01)
    for _ in range(3):
        await house.witnesses._adjust()
    assert starts == ["W-1"]
    assert house.witnesses.states == {"W-1": "failed"}
    assert house.witnesses.faults["W-1"].startswith("ValueError: what nobody thought ofxxx")
    assert len(house.witnesses.faults["W-1"]) == witnesses.MAX_FAULT
    monkeypatch.undo()
    monkeypatch.setattr(witnesses, "AGAIN_S", 0.0)
    await house.witnesses._adjust()
    assert house.witnesses.states == {"W-1": "no_parameters"}
    assert house.witnesses.faults == {}


async def test_a_copy_of_its_key_does_not_take_the_place_of_a_witness_that_has_failed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = house.witness("W-1", "1.pem"), house.witness("W-2", "1.pem")

    async def run(self, _buses):
        raise ValueError

    monkeypatch.setattr(WitnessedMeter, "run", run)
    await house.look(*sections)
    await asyncio.sleep(0.01)
    await house.witnesses._adjust()
    assert house.witnesses.states == {"W-1": "failed", "W-2": "no_key"}
    assert house.running() == {}


async def test_a_store_that_cannot_be_read_is_told_of_those_that_it_stops(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, stopped = house.witness("W-1", "1.pem"), house.witness("W-2", "2.pem")
    await house.look(running)

    def unavailable(*_):
        raise StoreUnavailable("io_error", "store: the disk reports an error")

    monkeypatch.setattr(witnesses, "Stored", unavailable)
    await house.look(running, stopped)
    assert house.witnesses.states == {"W-1": "no_parameters", "W-2": "failed"}
    assert house.witnesses.faults == {"W-2": "StoreUnavailable: store: the disk reports an error"}


async def test_every_witness_has_a_state_while_others_end(house: House) -> None:
    first, second = house.witness("W-1", "1.pem"), house.witness("W-2", "2.pem")
    await house.look(first, second)
    assert house.witnesses.states == {"W-1": "no_parameters", "W-2": "no_parameters"}
    # The last that a meter does takes its time, and the status is written meanwhile.
    ending = asyncio.create_task(house.look(second))
    while not ending.done():
        assert "W-2" in house.witnesses.states
        await asyncio.sleep(0)
    assert house.witnesses.states == {"W-2": "no_parameters"}


async def test_nothing_starts_any_more_after_the_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    section = house.witness("W-1", "1.pem")
    looking, ended = threading.Event(), threading.Event()
    look = house.witnesses._look

    def slowly():
        looking.set()
        ended.wait(60)
        return look()

    monkeypatch.setattr(house.witnesses, "_look", slowly)
    last = asyncio.create_task(house.look(section))
    await asyncio.to_thread(looking.wait, 60)
    await house.witnesses.finish()
    ended.set()
    await last
    assert house.running() == {}
