"""All witnessed meters as one listener: what they seal comes in here, what the gateway answers goes back here.

Which of them run follows from the configuration and the registry, and is looked at every few seconds: one whose
key is enrolled, or revoked, starts or ends without a restart of the gateway. None stops another: what goes wrong
in one ends that one. It is started again a while later, so that a mistake that comes back at once does not fill
its chain with boots; until then it has failed, for everybody to see.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meter_gateway.chains import Learn
from meter_gateway.config import BusSection, GatewayConfig, WitnessSection
from meter_gateway.registry import Meter
from meter_gateway.sealing import KeyFileError, Sealer, load_sealer
from meter_gateway.store import Store, StoreUnavailable
from meter_gateway.witness import enrolment
from meter_gateway.witness.buses import Bus, make_bus
from meter_gateway.witness.chain import Place, Stored, WitnessChain
from meter_gateway.witness.witnessed_meter import State, Surroundings, WitnessedMeter
from meter_protocol import types as t
from meter_sampling.clock import MeterClock

NAME = "witness:"
LOOK_S = 2.0
GOODBYE_S = 5.0
AGAIN_S = 30.0
"""After what was no fault of an instrument, a line or a parameter set."""

MAX_FAULT = 200

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Running:
    witnessed: WitnessedMeter
    task: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a witness is not read, in one line, and since when."""

    told: str
    since_s: float


class Witnesses:
    """`notes` is the folder of the notes that tell a store which is older than it was."""

    name = NAME

    def __init__(
        self, config: GatewayConfig, store: Store, gateway: Surroundings, learn: Learn, notes: Path
    ) -> None:
        self.lost: Counter[str] = Counter()
        self.states: dict[str, State] = {}
        """Of each witness of the configuration, by name."""

        self.faults: dict[str, str] = {}
        """Of those that have failed, why."""

        self._config = config
        self._store = store
        self._gateway = gateway
        self._learn = learn
        self._notes = notes
        self._buses: dict[str, tuple[BusSection, Bus]] = {}
        self._meters: dict[bytes, WitnessedMeter] = {}
        """By thumbprint, as long as this process: what they sealed last is in memory alone for a moment."""

        self._running: dict[str, Running] = {}
        self._failed: dict[str, Fault] = {}
        self._noted: dict[bytes, Place] = {}
        self._look_now = asyncio.Event()
        self._is_ending = False

    @property
    def connected(self) -> bool:
        return len(self._running) == len(self._config.witness)

    async def run(self) -> None:
        try:
            while True:
                self._look_now.clear()
                if not self._is_ending:
                    await self._adjust()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._look_now.wait()
        finally:
            for running in self._running.values():
                running.task.cancel()
            self._close_buses(())

    def reload(self, config: GatewayConfig) -> None:
        self._config = config
        self._failed.clear()
        self._look_now.set()

    async def finish(self) -> None:
        """An orderly end: every register is sealed as it is now."""
        self._is_ending = True
        await self._stop(list(self._running))

    def bus(self, name: str) -> Bus | None:
        """The configuration's, as it is now: another one after a reload that changed it."""
        found = self._buses.get(name)
        return None if found is None else found[1]

    def keep_notes(self) -> None:
        """In a thread that may wait for the disk: how far each chain is receipted."""
        for thumbprint, witnessed in list(self._meters.items()):
            place = witnessed.chain.noted
            if place is not None and self._noted.get(thumbprint) != place:
                _write_note(self._notes / thumbprint.hex(), place)
                self._noted[thumbprint] = place

    # Answers

    def send(self, peer: str, kid: bytes, raw: bytes) -> bool:
        if not peer.startswith(NAME):
            return False
        for witnessed in self._meters.values():
            if witnessed.kid == kid:
                witnessed.take(raw)
        return True

    def peers_for(self, kid: bytes) -> list[str]:
        return [witnessed.peer for witnessed in self._meters.values() if witnessed.kid == kid]

    async def flush(self) -> None:
        """What is sent is taken at once."""

    # Which of them run

    async def _adjust(self) -> None:
        for name, running in list(self._running.items()):
            if running.task.done():
                del self._running[name]
                error = running.task.exception()
                if error is not None:
                    self._fail(name, error)
        try:
            wanted, states = await asyncio.to_thread(self._look)
        except (StoreUnavailable, OSError) as error:
            _log.debug("witnesses: %s", error)
            stopped = [each.name for each in self._config.witness if each.name not in self._running]
            self.states = {**self.states, **dict.fromkeys(stopped, "failed")}
            self.faults = dict.fromkeys(stopped, _told(error))
            return
        for witnessed in wanted.values():
            self._meters[witnessed.chain.sealer.thumbprint] = witnessed
        changed = self._changed_buses()
        ended = [name for name, run in self._running.items() if changed or run.witnessed is not wanted.get(name)]
        await self._stop(ended)
        if self._is_ending:
            return
        if changed:
            self._close_buses(self._config.bus)
        for section in self._config.bus:
            if section.name not in self._buses:
                self._buses[section.name] = (section, make_bus(section))
        for name, witnessed in wanted.items():
            if name not in self._running:
                buses = {bus_name: bus for bus_name, (_, bus) in self._buses.items()}
                self._running[name] = Running(witnessed, asyncio.create_task(witnessed.run(buses)))
            states[name] = witnessed.state
        self.states = states
        self.faults = {name: self._failed[name].told for name, state in states.items() if state == "failed"}

    def _look(self) -> tuple[dict[str, WitnessedMeter], dict[str, State]]:
        """In a thread: those whose key is there and enrolled as the gateway's own; why the others are not read."""
        wanted: dict[str, WitnessedMeter] = {}
        states: dict[str, State] = {}
        taken: set[bytes] = set()
        for section in self._config.witness:
            try:
                sealer = load_sealer(section.key, t.ROLE_METER)
            except KeyFileError as error:
                states[section.name] = "no_key"
                if self.states.get(section.name) != "no_key":
                    _log.error("witness %s: %s; carbonmeter witness add makes one", section.name, error)
                continue
            meter = self._store.registry.meter(sealer.thumbprint)
            if sealer.thumbprint in taken:
                # A copy of another's key: one chain has one meter, also while that one has failed.
                states[section.name] = "no_key"
                continue
            taken.add(sealer.thumbprint)
            if meter is None or not meter.is_witnessed:
                states[section.name] = "not_enrolled"
            elif meter.key.revoked_ms is not None:
                states[section.name] = "revoked"
            elif self._has_failed(section.name):
                states[section.name] = "failed"
            else:
                try:
                    found = self._meters.get(sealer.thumbprint) or self._make(section, sealer, meter)
                except (StoreUnavailable, OSError):
                    raise
                except Exception as error:  # noqa: BLE001 - logged
                    # A mistake of ours costs the witness that shows it, and no other.
                    self._fail(section.name, error)
                    states[section.name] = "failed"
                    continue
                wanted[section.name] = found
        return wanted, states

    def _fail(self, name: str, error: BaseException) -> None:
        _log.error("witness %s failed and is started again in %d s", name, AGAIN_S, exc_info=error)
        self._failed[name] = Fault(_told(error), time.monotonic())

    def _has_failed(self, name: str) -> bool:
        """And is not to be tried again yet."""
        fault = self._failed.get(name)
        return fault is not None and time.monotonic() < fault.since_s + AGAIN_S

    def _make(self, section: WitnessSection, sealer: Sealer, meter: Meter) -> WitnessedMeter:
        clock = MeterClock()
        noted = _read_note(self._notes / sealer.thumbprint.hex())
        identity = enrolment.identity(sealer, meter.serial)
        stored = Stored(self._store, meter)
        chain = WitnessChain(sealer, clock, identity, stored, noted, self._learn, os.urandom)
        return WitnessedMeter(section.name, NAME + section.name, chain, clock, self._gateway)

    def _changed_buses(self) -> bool:
        sections = {section.name: section for section in self._config.bus}
        return any(sections.get(name) != section for name, (section, _) in self._buses.items())

    async def _stop(self, names: Sequence[str]) -> None:
        ending = {name: self._running.pop(name) for name in names}
        for running in ending.values():
            running.witnessed.stop()
        if ending:
            await asyncio.wait([running.task for running in ending.values()], timeout=GOODBYE_S)
        for name, running in ending.items():
            running.task.cancel()
            (result,) = await asyncio.gather(running.task, return_exceptions=True)
            if isinstance(result, Exception):
                _log.error("witness %s", name, exc_info=result)

    def _close_buses(self, kept: Sequence[BusSection]) -> None:
        for name, (section, bus) in list(self._buses.items()):
            if section not in kept:
                bus.close()
                del self._buses[name]


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())[:MAX_FAULT]


def _write_note(path: Path, place: Place) -> None:
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(f"{place.epoch.hex()} {place.sequence}\n")
    temporary.replace(path)


def _read_note(path: Path) -> Place | None:
    try:
        epoch, sequence = path.read_text().split()
        return Place(bytes.fromhex(epoch), int(sequence))
    except (OSError, ValueError):
        return None
