"""Balances between meters: in the end the latest verdicts are the same, whatever the order in which messages came,
whenever it was looked, and however often the gateway was started anew."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plant_of import DRIFTED, QUARTER_MS, STEADY, Plant, balance, quarter, quarters, registers

from meter_tools.simulated_meter import SimulatedMeter

Sent = list[tuple[SimulatedMeter, bytes]]


def a_story() -> tuple[list[SimulatedMeter], Callable[[Path], Plant], Sent]:
    """Three hours, the second out of balance by the one meter, the third by two chains of the other."""
    meters = [SimulatedMeter(name, registers(STEADY)) for name in ("total", "one", "two", "bystander")]
    sent: Sent = [(meter, raw) for meter in meters for raw in meter.begin()]
    identities = [raw for meter in meters for raw in [SimulatedMeter(meter.name, registers(STEADY)).identity()]]
    for hour in range(3):
        for _ in range(4):
            of_two = DRIFTED if hour else STEADY
            sent += zip(meters, quarters(meters, of_two), strict=True)
    two = meters[2]
    end_ms = two.time_ms
    two.open_epoch()
    two.time_ms = end_ms - 4 * QUARTER_MS
    sent += [(two, raw) for raw in (*two.begin(), quarter(two), quarter(two))]
    two.time_ms = end_ms

    def made(path: Path) -> Plant:
        plant = Plant(path, meters, balance(*meters[:3]))
        for identity in identities:
            plant.gateway.enrol(identity)
        return plant

    return meters, made, sent


METERS, MADE, SENT = a_story()


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[bytes, bytes, int], object]:
    plant = MADE(tmp_path_factory.mktemp("order") / "ordered.db")
    for _, raw in SENT:
        plant.gateway.receive(raw)
    plant.look()
    assert [plant.found(meter) for meter in METERS] == [[75, 90, 105, 120]] * 3 + [[]]
    latest = plant.latest()
    plant.close()
    return latest


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_the_latest_verdicts_agree_whatever_the_order_of_arrival(
    tmp_path_factory: pytest.TempPathFactory, in_order: dict[tuple[bytes, bytes, int], object], seed: int
) -> None:
    choice = random.Random(seed)
    plant = MADE(tmp_path_factory.mktemp("any") / "any.db")
    arrivals = choice.sample(SENT, len(SENT))
    while arrivals:
        count = choice.randint(1, 12)
        plant.gateway.receive(*(raw for _, raw in arrivals[:count]))
        del arrivals[:count]
        what_else = choice.randint(0, 6)
        if what_else == 0:
            plant.restart()
        elif what_else <= 3:
            plant.look()
    plant.look()
    assert plant.latest() == in_order
    assert plant.judge_all_again().revised == 0
    plant.close()
