"""The gateway under test: inbox, pump, ingest, store and workers as the service has them, fed from memory.

Only the sockets are left out: bytes come from files of frames through the listener's deframer.
"""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from meter_gateway import workers
from meter_gateway.listener.inbox import Inbox
from meter_gateway.memory import calm_collector
from meter_gateway.model import Outcome, Received
from meter_gateway.pump import Pump
from meter_gateway.traceability import Trust
from meter_protocol import framing
from meter_tools.bench.load import Load
from meter_tools.bench.machine import CORES, busy_s, cpu_s, memory_mib
from meter_tools.simulated_gateway import SimulatedGateway
from meter_tools.simulated_meter import START_MS, SimulatedMeter, trust_in

READ_SIZE = 65536
WAITING_BYTES = 4 * 1024 * 1024
"""What may gather in the inbox: more would only measure how fast bytes can be kept."""

Trusting = Callable[[Sequence[SimulatedMeter]], Trust]

_UNLIMITED = 10**9
_YEAR_MS = 365 * 86_400_000


class Sample(NamedTuple):
    """The state of a run when so many messages were stored."""

    stored: int
    wall_s: float
    cpu_s: float
    others_s: float
    """Processor time of everything else on the machine."""
    memory_mib: float


class Run(NamedTuple):
    samples: list[Sample]
    accepted: int
    receipts: int
    rejected: int

    @property
    def messages(self) -> int:
        return self.samples[-1].stored

    @property
    def rate(self) -> float:
        return self.messages / self.samples[-1].wall_s

    @property
    def cpu_us(self) -> float:
        """Processor time for one message, on all cores together."""
        return 1e6 * self.samples[-1].cpu_s / self.messages

    @property
    def others_share(self) -> float:
        """What part of the machine was busy with something else."""
        return self.samples[-1].others_s / (self.samples[-1].wall_s * CORES)

    def sample_at(self, part: float) -> Sample:
        return next(sample for sample in self.samples if sample.stored >= part * self.messages)

    def cpu_us_around(self, stored: int, width: int) -> float:
        """Processor time for one message over the samples that enclose the next `width` from there on."""
        last = next((sample for sample in self.samples if sample.stored >= stored + width), self.samples[-1])
        first = max(sample for sample in self.samples if sample.stored <= min(stored, last.stored - 1))
        return 1e6 * (last.cpu_s - first.cpu_s) / (last.stored - first.stored)


class Gateway:
    """Everything from the inbox to the signed answers. Its workers are given; it is closed by `running`."""

    def __init__(
        self, path: Path, meters: list[SimulatedMeter], pool: workers.Pool, trusting: Trusting = trust_in
    ) -> None:
        self._simulated = SimulatedGateway(path, meters, pool, trusting=trusting)
        self._simulated.time_ms = START_MS + _YEAR_MS
        self.now_ms = self._simulated.time_ms
        self.pids = [os.getpid(), *pool.pids]
        self.inbox = Inbox(_UNLIMITED, _UNLIMITED, time.monotonic, WAITING_BYTES)
        for meter in meters:
            # The same name gives the same key and the same identity as in the process that sealed the load.
            self._simulated.enrol(SimulatedMeter(meter.name).identity())

    @asynccontextmanager
    async def running(self, deliver: Callable[[Outcome], None]) -> AsyncIterator[None]:
        with ThreadPoolExecutor(1) as thread:
            pump = Pump(self.inbox, self._simulated.ingest, lambda: self._simulated.now, thread, deliver)
            task = asyncio.create_task(pump.run())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def close(self) -> None:
        self._simulated.close()

    async def feed(self, path: Path, peer: str) -> None:
        """The bytes of a line, as fast as they are taken; what comes later is received later."""
        deframer = framing.Deframer()
        begun_s = time.monotonic()
        with path.open("rb") as line:
            while octets := line.read(READ_SIZE):
                for payload in deframer.feed(octets):
                    received_ms = self.now_ms + int(1000 * (time.monotonic() - begun_s))
                    await self.inbox.put(Received(payload, peer, received_ms))
                await asyncio.sleep(0)  # a socket would let others run between two reads


class Recorder:
    """Counts what is delivered and takes samples, until so many messages are stored."""

    def __init__(self, pids: list[int], messages: int) -> None:
        self._pids = pids
        self._messages = messages
        self._step = max(1, messages // 100)
        self._started_s = time.perf_counter()
        self._cpu_s = cpu_s(pids)
        self._busy_s = busy_s()
        self._stored = self._accepted = self._receipts = self._rejected = 0
        self._samples = [Sample(0, 0.0, 0.0, 0.0, memory_mib(pids))]
        self.done = asyncio.Event()

    def take(self, outcome: Outcome) -> None:
        self._stored += outcome.stored
        self._accepted += outcome.accepted
        self._receipts += len(outcome.answers)
        self._rejected += len(outcome.rejected)
        is_last = self._stored >= self._messages
        if is_last or self._stored - self._samples[-1].stored >= self._step:
            elapsed_s = time.perf_counter() - self._started_s
            used_s = cpu_s(self._pids) - self._cpu_s
            others_s = busy_s() - self._busy_s - used_s
            self._samples.append(Sample(self._stored, elapsed_s, used_s, others_s, memory_mib(self._pids)))
        if is_last:
            self.done.set()

    def run(self) -> Run:
        return Run(self._samples, self._accepted, self._receipts, self._rejected)


async def commit_stream(folder: Path, load: Load, pool: workers.Pool, trusting: Trusting = trust_in) -> Run:
    """From framed bytes to commit and signed receipts; the load's files are lines of their own."""
    gateway = Gateway(folder / "stream.db", load.meters, pool, trusting)
    calm_collector()
    recorder = Recorder(gateway.pids, load.messages)
    async with gateway.running(recorder.take):
        lines = [gateway.feed(path, f"line {number}") for number, path in enumerate(load.paths)]
        await asyncio.gather(*lines, recorder.done.wait())
    gateway.close()
    return recorder.run()


class Latency(NamedTuple):
    median_ms: float
    p95_ms: float
    messages: int


async def lone_messages(folder: Path, pool: workers.Pool, count: int, pause_s: float) -> Latency:
    """One message at a time on an idle gateway, from its arrival in the inbox to its signed receipt."""
    meter = SimulatedMeter("lone")
    gateway = Gateway(folder / "lone.db", [meter], pool)
    messages = [*meter.begin(), *(meter.readings() for _ in range(count))]
    waits_ms: list[float] = []
    answered = asyncio.Event()

    def deliver(outcome: Outcome) -> None:
        if outcome.answers:
            answered.set()

    async with gateway.running(deliver):
        for message in messages:
            await asyncio.sleep(pause_s)
            answered.clear()
            started_s = time.perf_counter()
            gateway.inbox.offer(Received(message, "a line", gateway.now_ms))
            await answered.wait()
            waits_ms.append(1000 * (time.perf_counter() - started_s))
    gateway.close()
    waits_ms = waits_ms[len(messages) - count :]
    return Latency(statistics.median(waits_ms), statistics.quantiles(waits_ms, n=20)[-1], count)
