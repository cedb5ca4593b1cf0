"""A plant of meters whose registers should balance, and a gateway whose upkeep looks when a test says so."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from upkept import Upkept

from meter_gateway.traceability import Trust
from meter_gateway.traceability.plant_balance import CODE
from meter_gateway.traceability.plausibility_file import MeterTerm, PlantBalance, Plausibility
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import START_MS, Channel, SimulatedMeter, trust_in

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


class Plant(Upkept):
    def __init__(self, path: Path, meters: Sequence[SimulatedMeter], *balances: PlantBalance) -> None:
        super().__init__(path, meters, trusting(meters, *balances))

    def reload(self, *balances: PlantBalance) -> None:
        self.renew(trusting(self.meters, *balances))

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
