"""The running gateway, wired: listeners → inbox → pump → courier and uplink, and once a second the chores.

Nothing blocks the event loop: ingest, uplink and chores each have one thread for what waits on the disk.
SIGTERM and SIGINT end it in order: no new payloads, what is under way committed and answered. SIGHUP reads
certificates, bindings, authorities and the scheme again; if they are wrong, the old ones stay.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from meter_gateway import backoff, memory, policy, state_dir, status, systemd, workers
from meter_gateway.clock import Clock, FileClock, SystemClock, TimeServer, kernel_is_disciplined
from meter_gateway.config import GatewayConfig, load_config
from meter_gateway.config import MqttListener as MqttSection
from meter_gateway.config import SerialListener as SerialSection
from meter_gateway.courier import Courier
from meter_gateway.delivery import Delivery
from meter_gateway.in_situ.modbus_reference import References
from meter_gateway.ingest import Ingest
from meter_gateway.listener import Listener
from meter_gateway.listener.inbox import Inbox
from meter_gateway.listener.mqtt import MqttListener
from meter_gateway.listener.serial import SerialListener
from meter_gateway.model import Outcome, Verified
from meter_gateway.offers import Offers
from meter_gateway.policy import Scheme
from meter_gateway.pump import Pump
from meter_gateway.recovery import Recovery
from meter_gateway.sealing import Sealers, load_sealers
from meter_gateway.store import Limits, Store, StoreUnavailable
from meter_gateway.traceability import ChainState, Trust, assess_group, load_trust
from meter_gateway.update_server import UpdateServer
from meter_gateway.upkeep import Upkeep
from meter_gateway.uplink.mqtt import MqttUplink
from meter_gateway.validated_toml import ConfigError
from meter_gateway.witness.witnessed_meter import Surroundings
from meter_gateway.witness.witnesses import Witnesses
from meter_protocol import fields as f

CHORES_S = 1.0
IDLE_LOOK_S = 0.01
GOODBYE_S = 5.0
"""How long a stop waits for what is under way; whatever is not receipted then comes again."""

LOG_REJECTED_S = 10.0

_CLOCKS = {
    f.CLOCK_UNKNOWN: "unknown",
    f.CLOCK_INFORMATIVE: "informative",
    f.CLOCK_SYNCHRONISED: "synchronised",
    f.CLOCK_RELATIVE: "relative",
}

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


def make_clock(config: GatewayConfig) -> Clock:
    settings = config.clock
    if settings.source is not None:
        return FileClock(settings.source, settings.trusted, settings.uncertainty_ms)
    return SystemClock(settings.trusted, settings.uncertainty_ms, kernel_is_disciplined)


def limits_of(config: GatewayConfig) -> Limits:
    return Limits(
        rejected_count=config.limits.rejected_ring,
        unknown_identities=config.limits.unknown_identities,
        unknown_identities_per_peer=config.limits.unknown_identities_per_peer,
    )


def make_listener(section: MqttSection | SerialSection, inbox: Inbox, now_ms: Callable[[], int]) -> Listener:
    if isinstance(section, MqttSection):
        return MqttListener(section, inbox, now_ms)
    return SerialListener(section, inbox, now_ms)


async def open_store(config: GatewayConfig, status_path: Path) -> Store:
    """The store, as soon as the disk lets it be opened; until then the status says why not."""
    waits = backoff.delays(random.uniform)
    while True:
        try:
            config.gateway.state_dir.mkdir(parents=True, exist_ok=True)
            state_dir.parameters_dir(config).mkdir(exist_ok=True)
            return await asyncio.to_thread(Store, state_dir.store_path(config), limits_of(config))
        except (StoreUnavailable, OSError) as error:
            _log.error("%s", error)
            # Waiting for the disk is this service's work too: systemd should neither end nor restart it.
            systemd.notify(f"READY=1\nWATCHDOG=1\nSTATUS={error}")
            with contextlib.suppress(OSError):
                status.write(status_path, status.dumps(status.Status(host_time_ms=_host_ms(), store=str(error))))
            await asyncio.sleep(next(waits))


@dataclass(frozen=True, slots=True)
class Threads:
    ingest: ThreadPoolExecutor
    uplink: ThreadPoolExecutor
    chores: ThreadPoolExecutor


@contextlib.contextmanager
def make_threads() -> Iterator[Threads]:
    with (
        ThreadPoolExecutor(1, "ingest") as ingest,
        ThreadPoolExecutor(1, "uplink") as uplink,
        ThreadPoolExecutor(1, "chores") as chores,
    ):
        yield Threads(ingest, uplink, chores)


class Service:
    """One run of the gateway, from an open store to its end."""

    def __init__(
        self,
        config: GatewayConfig,
        store: Store,
        ingest: Ingest,
        scheme: Scheme,
        sealers: Sealers,
        status_path: Path,
        threads: Threads,
    ) -> None:
        self._config = config
        self._store = store
        self._ingest = ingest
        self._status_path = status_path
        self._chores_thread = threads.chores
        self._clock = clock = make_clock(config)
        self._inbox = Inbox(config.limits.max_payload_bytes, config.limits.messages_per_second, time.monotonic)
        time_server = TimeServer(clock, sealers.clock.seal)
        self._witnesses = Witnesses(
            config,
            store,
            Surroundings(self._inbox, time_server, clock.now, lambda: ingest.trust.authorities),
            self._learn,
            state_dir.witness_dir(config),
        )
        self._listeners: list[Listener] = [
            make_listener(section, self._inbox, self._now_ms) for section in config.listener
        ]
        self._listeners.append(self._witnesses)
        self._uplink = (
            None if config.uplink.mqtt is None else MqttUplink(config.uplink.mqtt, store.outbox, threads.uplink)
        )
        self._delivery = Delivery(state_dir.parameters_dir(config), store, time.monotonic)
        self._updates = UpdateServer(Offers(store.database), sealers.receipt.seal, time.monotonic)
        self._restored = state_dir.restored_path(config)
        chains = store.archive.chains() if self._restored.exists() else ()
        self._recovery = Recovery(chains, sealers.receipt.seal, time.monotonic)
        self._courier = Courier(
            self._listeners, time_server, self._delivery, self._updates, self._recovery, clock.now
        )
        self._pump = Pump(self._inbox, ingest, clock.now, threads.ingest, self._take)
        self._upkeep = Upkeep(
            store,
            sealers.verdict,
            clock.now,
            threads.ingest,
            self._wake_uplink,
            ingest.trust,
            scheme,
            ingest.forget,
            self._judge_by,
        )
        self._references = References(
            state_dir.comparisons_dir(config), self._witnesses.bus, self._call, self._now_ms
        )
        self._comparisons = config.comparisons.folder
        self._comparisons_ns = _changed_ns(self._comparisons)
        self._status = status.Status(started_ms=_host_ms())
        self._reload = asyncio.Event()

    def _now_ms(self) -> int:
        return self._clock.now().time_ms

    def _judge_by(self, trust: Trust) -> None:
        self._ingest.trust = trust

    def _learn(self, state: ChainState, group: Sequence[Verified], received_ms: int) -> None:
        assess_group(state, group, self._ingest.trust, received_ms)

    async def run(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        jobs = [listener.run() for listener in self._listeners]
        jobs += [self._pump.run(), self._do_chores(), self._reload_when_asked(), self._upkeep.run()]
        jobs.append(self._references.run())
        if self._uplink is not None:
            jobs.append(self._uplink.run())
        tasks = [asyncio.create_task(job) for job in jobs]
        stopped = asyncio.create_task(stop.wait())
        systemd.notify("READY=1")
        _log.info("gateway %s runs", self._config.gateway.name)
        try:
            await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                systemd.notify("STOPPING=1")
                await self._finish()
                await self._call(self._witnesses.keep_notes)
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            for task in (stopped, *tasks):
                task.cancel()
            results = await asyncio.gather(stopped, *tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        await self._write_status()
        _log.info("gateway %s ended", self._config.gateway.name)

    async def _finish(self) -> None:
        """Take nothing more in, and let what is under way end and be answered."""
        await self._witnesses.finish()
        self._inbox.close()
        if self._pump.trouble is not None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                # The pump may not have noticed yet what came in last.
                while not (self._inbox.is_empty and self._pump.idle.is_set()):  # noqa: ASYNC110 - once, at the end
                    await asyncio.sleep(IDLE_LOOK_S)
                await asyncio.gather(*(listener.flush() for listener in self._listeners))

    def _take(self, outcome: Outcome) -> None:
        self._courier.take(outcome)
        counts = self._status.counts
        requests = len(outcome.time_requests) + len(outcome.image_requests)
        verified = outcome.stored + outcome.duplicates + requests
        counts.verified += verified
        counts.received += verified + len(outcome.rejected)
        counts.rejected += len(outcome.rejected)
        counts.duplicates += outcome.duplicates
        counts.stored += outcome.stored
        counts.judged += outcome.judged
        counts.accepted += outcome.accepted
        self._status.rejected_by_reason.update(rejection.reason for rejection in outcome.rejected)
        if outcome.judged:
            self._wake_uplink()
        if outcome.has_update:
            self._upkeep.wake()

    def _wake_uplink(self) -> None:
        if self._uplink is not None:
            self._uplink.notify()

    async def _do_chores(self) -> None:
        said = time.monotonic()
        told: Counter[str] = Counter()
        while True:
            try:
                await self._call(self._look)
                self._courier.push()
                self._reload_for_comparisons()
            except (StoreUnavailable, OSError) as error:
                _log.debug("chores: %s", error)
            await self._write_status()
            if time.monotonic() - said > LOG_REJECTED_S:
                said = time.monotonic()
                news = self._status.rejected_by_reason - told
                told = self._status.rejected_by_reason.copy()
                if news:
                    _log.warning("refused: %s", ", ".join(f"{count} {reason}" for reason, count in news.items()))
            await asyncio.sleep(CHORES_S)

    def _reload_for_comparisons(self) -> None:
        """A comparison that another process has sealed counts from now on, without anybody's asking."""
        changed_ns = _changed_ns(self._comparisons)
        if changed_ns != self._comparisons_ns:
            self._comparisons_ns = changed_ns
            self._reload.set()

    def _look(self) -> None:
        """In the chores thread: what other processes left, and how far restored chains are."""
        for news in [*self._delivery.look(self._now_ms()), *self._updates.look()]:
            _log.info("%s", news)
        if not self._recovery.is_done:
            self._recovery.note(self._store.archive.chains())
        elif self._restored.exists():
            self._restored.unlink()
        self._witnesses.keep_notes()
        self._status.counts.outbox_pending = self._store.outbox.count()

    async def _write_status(self) -> None:
        now = self._clock.now()
        current = self._status
        current.time_ms, current.clock = now.time_ms, _CLOCKS[now.clock_status]
        current.host_time_ms = _host_ms()
        current.store = self._pump.trouble or "ok"
        current.listeners = {
            listener.name: listener.connected for listener in self._listeners if listener is not self._witnesses
        }
        current.witnesses, current.witness_faults = dict(self._witnesses.states), dict(self._witnesses.faults)
        current.uplink = None if self._uplink is None else self._uplink.connected
        current.counts.dropped_payloads = self._inbox.dropped.total() + self._pump.given_up
        current.counts.answers = self._courier.answers
        current.counts.revised = self._upkeep.revisions
        current.counts.uplinked = 0 if self._uplink is None else self._uplink.sent
        current.image_requests = self._updates.requests.copy()
        current.lost = sum((listener.lost for listener in self._listeners), self._inbox.dropped.copy())
        systemd.notify("WATCHDOG=1\nSTATUS=" + (self._pump.trouble or f"{current.counts.stored} messages stored"))
        # A full disk takes the status file too; the log and systemd have said so.
        with contextlib.suppress(OSError):
            await self._call(status.write, self._status_path, status.dumps(current))

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            try:
                config = await self._call(load_config, self._config.path)
                trust = await self._call(load_trust, config)
                scheme = await self._call(policy.load_scheme, config.gateway.scheme)
            except ConfigError as error:
                _log.error("%s; going on with what was loaded before", error)
                continue
            self._ingest.judge = scheme.judge
            self._upkeep.renew(trust, scheme)
            self._witnesses.reload(config)
            self._comparisons = config.comparisons.folder
            _log.info("certificates, bindings, authorities and scheme are loaded anew")

    async def _call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._chores_thread, function, *arguments)


def _changed_ns(folder: Path | None) -> int | None:
    return None if folder is None else folder.stat().st_mtime_ns


def _host_ms() -> int:
    return time.time_ns() // 1_000_000


async def serve(config: GatewayConfig, status_path: Path) -> None:
    """Run until SIGTERM or SIGINT. What the operator has to correct is raised before anything starts."""
    sealers = load_sealers(config.keys.receipt, config.keys.verdict, config.keys.clock)
    trust, scheme = load_trust(config), policy.load_scheme(config.gateway.scheme)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = await _unless_stopped(open_store(config, status_path), stop)
    if store is None:
        return
    cores = len(os.sched_getaffinity(0))
    checker = workers.Pool(cores) if cores > 1 else workers.Inline()
    try:
        ingest = Ingest(store, sealers, checker, trust, scheme.judge)
        memory.calm_collector()
        with make_threads() as threads:
            await Service(config, store, ingest, scheme, sealers, status_path, threads).run(stop)
    finally:
        checker.close()
        store.close()


async def _unless_stopped(work: Coroutine[Any, Any, Result], stop: asyncio.Event) -> Result | None:
    task, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
        return None
    return task.result()
