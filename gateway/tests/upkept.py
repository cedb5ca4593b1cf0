"""A gateway without sockets and clocks whose stored verdicts are kept true when a test says so."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from meter_gateway.config import SCHEMES
from meter_gateway.model import Fields
from meter_gateway.policy import Scheme, load_scheme
from meter_gateway.rejudgement import Rejudgement, Tally
from meter_gateway.traceability import Trust
from meter_gateway.upkeep import Upkeep
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_gateway import SEALERS, SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter

HOUSE = load_scheme(SCHEMES / "house.toml")


class Upkept:
    """`look` is what the running gateway does every few seconds, and when it is woken."""

    def __init__(self, path: Path, meters: Sequence[SimulatedMeter], trust: Trust) -> None:
        self.meters = list(meters)
        self.gateway = SimulatedGateway(path, self.meters)
        self._thread = ThreadPoolExecutor(1)
        self.start(trust)

    def start(self, trust: Trust, scheme: Scheme = HOUSE) -> None:
        self.trust, self.scheme = trust, scheme
        self.upkeep = Upkeep(
            self.gateway.store,
            SEALERS.verdict,
            lambda: self.gateway.now,
            self._thread,
            lambda: None,
            trust,
            scheme,
            self.gateway.ingest.forget,
            self.judge_by,
        )

    def judge_by(self, trust: Trust) -> None:
        self.gateway.ingest.trust = trust

    def restart(self) -> None:
        """Before it has looked."""
        self.gateway.restart()
        self.start(self.trust, self.scheme)

    def renew(self, trust: Trust) -> None:
        """Read the files again, and look."""
        self.trust = trust
        self.upkeep.renew(trust, self.scheme)
        self.look()

    def look(self) -> None:
        is_asked = self.upkeep._renewed.is_set()
        self.upkeep._renewed.clear()
        asyncio.run(self.upkeep.bring_up(is_asked))

    def enrol(self, *meters: SimulatedMeter) -> None:
        for meter in meters:
            begin = meter.begin()
            self.gateway.enrol(begin[0])
            self.gateway.receive(*begin)

    def judge_all_again(self) -> Tally:
        """From the beginning of every chain, as `carbonmeter rejudge` does."""
        work = Rejudgement(self.gateway.store, self.gateway.ingest.trust, HOUSE.judge, "all again")
        while (revisions := work.next_page()) is not None:
            work.record(revisions, SEALERS.verdict, self.gateway.now)
        return work.tally

    def verdicts(self, meter: SimulatedMeter, *types: str) -> dict[tuple[bytes, int], list[Fields]]:
        """Every revision about its readings, or its messages of these types, by chain and sequence."""
        archive = self.gateway.store.archive
        stored = archive.messages(meter.thumbprint, types=types or (t.READINGS,), limit=10_000)
        return {(each.epoch, each.sequence): archive.verdicts(each.id) for each in stored}

    def latest(self) -> dict[tuple[bytes, bytes, int], Any]:
        """Findings, acceptance, budget and uncertainties of every message that is judged."""
        keys = f.VERDICT_FINDINGS, f.VERDICT_ACCEPTANCE, f.VERDICT_BUDGET, f.VERDICT_UNCERTAINTY
        return {
            (each.thumbprint, each.epoch, each.sequence): [each.verdict[key] for key in keys]
            for each in self.gateway.store.archive.messages(limit=10_000)
            if each.verdict is not None
        }

    def close(self) -> None:
        self.gateway.close()
        self._thread.shutdown()
