"""A plant of meters whose registers should balance, and a gateway whose upkeep looks when a test says so."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

from meter_gateway.config import SCHEMES
from meter_gateway.model import Fields
from meter_gateway.policy import Scheme, load_scheme
from meter_gateway.rejudgement import Rejudgement, Tally
from meter_gateway.traceability import Trust
from meter_gateway.traceability.plant_balance import CODE
from meter_gateway.traceability.plausibility_file import MeterTerm, PlantBalance, Plausibility
from meter_gateway.upkeep import Upkeep
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_gateway import SEALERS, SimulatedGateway
from meter_tools.simulated_meter import START_MS, Channel, SimulatedMeter, trust_in

HOUSE = load_scheme(SCHEMES / "house.toml")
MINUTE_MS = 60_000
QUARTER_MS = 15 * MINUTE_MS
ENERGY, OTHER = 1, 2
STEADY = 100_000
"""Wh in a quarter of an hour."""

DRIFTED = STEADY * 106 // 100
"""So that the two parts together are 3 % more than the total."""


def registers(counted: int) -> list[Channel]:
    """The register of the balance, and another one beside it."""
    return [
        Channel("active_energy_import", 0, counted, counted, "active_power", 700_000, 0),
        Channel("reactive_energy_lagging", 0, 500, 500, "reactive_power", 700_000, 0),
    ]


def quarter(meter: SimulatedMeter, counted: int = STEADY, **changes: Any) -> bytes:
    """The next quarter of an hour of this meter."""
    meter.channels = registers(counted)
    meter.time_ms += QUARTER_MS - MINUTE_MS
    return meter.readings(**({"DURATION_MS": QUARTER_MS} | changes))


def quarters(meters: list[SimulatedMeter], of_two: int = STEADY) -> list[bytes]:
    total, one, two, bystander = meters
    return [quarter(total, 2 * STEADY), quarter(one), quarter(two, of_two), quarter(bystander)]


def term(meter: SimulatedMeter, channel: int = ENERGY) -> MeterTerm:
    return MeterTerm(meter=meter.thumbprint, channel=channel)


def balance(total: SimulatedMeter, *parts: SimulatedMeter, **changes: Any) -> PlantBalance:
    said = {"name": "hall", "over": "hour", "tolerance_percent": Decimal(2)} | changes
    return PlantBalance(total=(term(total),), parts=tuple(map(term, parts)), **said)


def trusting(meters: Sequence[SimulatedMeter], *balances: PlantBalance) -> Trust:
    return trust_in(meters, plausible=Plausibility(plant_balances=balances))


class Plant:
    """`look` is what the running gateway does every few seconds."""

    def __init__(self, path: Path, meters: Sequence[SimulatedMeter], *balances: PlantBalance) -> None:
        self.meters = list(meters)
        self.gateway = SimulatedGateway(path, self.meters)
        self._thread = ThreadPoolExecutor(1)
        self.start(trusting(self.meters, *balances))

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

    def reload(self, *balances: PlantBalance) -> None:
        self.trust = trusting(self.meters, *balances)
        self.upkeep.renew(self.trust, self.scheme)
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

    def verdicts(self, meter: SimulatedMeter) -> dict[tuple[bytes, int], list[Fields]]:
        """Every revision about its readings, by chain and sequence."""
        archive = self.gateway.store.archive
        stored = archive.messages(meter.thumbprint, types=(t.READINGS,), limit=10_000)
        return {(each.epoch, each.sequence): archive.verdicts(each.id) for each in stored}

    def latest(self) -> dict[tuple[bytes, bytes, int], Any]:
        """Findings, acceptance, budget and uncertainties of every message that is judged."""
        keys = f.VERDICT_FINDINGS, f.VERDICT_ACCEPTANCE, f.VERDICT_BUDGET, f.VERDICT_UNCERTAINTY
        return {
            (each.thumbprint, each.epoch, each.sequence): [each.verdict[key] for key in keys]
            for each in self.gateway.store.archive.messages(limit=10_000)
            if each.verdict is not None
        }

    def found(self, meter: SimulatedMeter) -> list[int]:
        """Ends of the intervals, in minutes since the beginning, whose latest verdict has the finding; the
        channel is that of the balance."""
        ends = []
        for message in self.gateway.store.archive.messages(meter.thumbprint, types=(t.READINGS,), limit=10_000):
            findings = [] if message.verdict is None else message.verdict[f.VERDICT_FINDINGS]
            if CODE in {code for code, _ in findings}:
                assert [channel for code, channel in findings if code == CODE] == [ENERGY]
                ends.append((message.time_ms - START_MS) // MINUTE_MS)
        return ends

    def close(self) -> None:
        self.gateway.close()
        self._thread.shutdown()
