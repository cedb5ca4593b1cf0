"""What assessing one message of ten readings costs; run it by hand: python measure_assessment.py

Messages come alone, in groups of ten and in groups of a thousand, each group as ingest would hand it over.
Every channel has a certificate in force, so that all comparisons are made.
"""

import gc
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import scenario

from meter_gateway.config import SCHEMES
from meter_gateway.policy import judge, load_scheme
from meter_gateway.traceability import ChainState, Trust, assess_group
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.plausibility_file import ChannelLimits, Plausibility
from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME

MESSAGES = 5000
REPEATS = 5
REGISTERS = {
    "active_energy_import": "active_power",
    "active_energy_export": "active_power",
    "reactive_energy_lagging": "reactive_power",
    "reactive_energy_leading": "reactive_power",
    "apparent_energy": "apparent_power",
}
UNITS = {"W": "W", "V.A": "var", "V": "V", "A": "A", "Hz": "Hz", "1": "1"}
MEANS = ("active_power", "voltage", "current", "power_factor", "frequency")


def meter_and_trust(is_limited: bool) -> tuple[bytes, Trust]:
    """Five registers judged by their rate, five means with minimum and maximum; maybe all with every limit."""
    named = [(name, f.CHANNEL_REGISTER) for name in REGISTERS] + [(name, f.CHANNEL_MEAN) for name in MEANS]
    channels = [
        scenario.channel(number, name, kind, extremes=kind == f.CHANNEL_MEAN)
        for number, (name, kind) in enumerate(named, 1)
    ]
    results = []
    for name, _ in named:
        axis = BY_NAME[REGISTERS.get(name, name)]
        results.append(scenario.calibration_result(name, c.Axis(axis, axis.ucum, Decimal(0), Decimal(600_000))))
    certificate = scenario.certificate(results=tuple(results), due_on=date(2040, 1, 1))
    bindings = scenario.bindings(channels=range(1, 11))
    if not is_limited:
        return scenario.AUTHORITY.seal(scenario.parameter_set(*channels)), scenario.trust([certificate], bindings)
    limits = tuple(
        ChannelLimits(
            meter=scenario.THUMBPRINT,
            channel=number,
            unit=UNITS[BY_NAME[REGISTERS.get(name, name)].ucum],
            stuck_minutes=525_600,
            max_spike=Decimal(1_000_000),
            max_change_per_minute=Decimal(1_000_000),
        )
        for number, (name, _) in enumerate(named, 1)
    )
    trust = scenario.trust([certificate], bindings, plausible=Plausibility(limits))
    return scenario.AUTHORITY.seal(scenario.parameter_set(*channels)), trust


def row(index: int, status: int) -> dict[int, list[Any]]:
    registers = {number: [0, 25_000 * index] for number in range(1, 6)}
    means = {number: scenario.mean(100_000, status=status if number == 6 else 0) for number in range(6, 11)}
    return {**registers, **means}


def microseconds(step: Callable[[], object], per: int) -> float:
    """The best of some repeats: what is slower was disturbed."""
    best = float("inf")
    for _ in range(REPEATS):
        gc.collect()
        begun = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - begun)
    return best / per * 1e6


def measure(
    title: str, status: int = 0, clock_status: int = f.CLOCK_SYNCHRONISED, is_limited: bool = False
) -> None:
    raw, trust = meter_and_trust(is_limited)
    meter = scenario.Meter()
    started = meter.start(raw)
    meter.status = clock_status
    messages = [meter.readings(row(index, status)) for index in range(MESSAGES)]
    state = ChainState.new(scenario.THUMBPRINT)
    assess_group(state, started, trust, meter.time_ms)
    stored = state.dumps()

    def assess(size: int) -> None:
        resumed = ChainState.loads(stored)
        for first in range(0, MESSAGES, size):
            assess_group(resumed, messages[first : first + size], trust, meter.time_ms)

    sizes = (1, 10, 1000)
    costs = "   ".join(f"{microseconds(lambda size=size: assess(size), MESSAGES):6.2f}" for size in sizes)
    print(f"{title:32} {costs}")


def main() -> None:
    print(f"{'µs a message, in groups of':32} {1:6}   {10:6}   {1000:6}")
    measure("nothing to say")
    measure("limits on every channel", is_limited=True)
    measure("a status in every message", status=f.STATUS_IMPLAUSIBLE)
    measure("an informative clock", clock_status=f.CLOCK_INFORMATIVE)
    scheme = load_scheme(SCHEMES / "house.toml")
    findings = scenario.assess(scenario.Meter().start())[0]
    times = range(1000)
    cost = microseconds(lambda: [judge(findings, scheme) for _ in times], len(times))
    print(f"{'a scheme on the same findings':32} {cost:6.2f}")


if __name__ == "__main__":
    main()
