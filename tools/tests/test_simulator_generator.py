"""The generator: the same everywhere, consistent in its physics, exact in its integrals."""

import math
import random
from itertools import pairwise

import pytest

from meter_tools.simulator.generator import (
    MONDAY_2026_01_05_MS,
    MS_PER_HOUR,
    STEP_MS,
    WEEK_MS,
    Co2Source,
    FlowSource,
    Load,
    SinglePhaseSource,
    ThreePhaseSource,
)
from meter_tools.simulator.instruments import KINDS

START = MONDAY_2026_01_05_MS


@pytest.fixture(scope="module")
def site() -> ThreePhaseSource:
    return ThreePhaseSource(7, START)


def moments(count: int, seed: int = 3) -> list[int]:
    draw = random.Random(seed)
    return [START + draw.randrange(3 * WEEK_MS) for _ in range(count)]


def test_seed_and_time_are_all_that_matters(site: ThreePhaseSource) -> None:
    again, other = ThreePhaseSource(7, START), ThreePhaseSource(8, START)
    for moment in moments(50):
        assert site(moment) == again(moment)
    assert any(site(moment) != other(moment) for moment in moments(5))
    # Pinned: another process, another Python and another year must agree.
    assert site(START + 10 * MS_PER_HOUR + 1234) == {
        "active_energy_import": 235373,
        "reactive_energy_lagging": 104660,
        "reactive_energy_leading": 0,
        "active_power": 53386,
        "reactive_power": 16549,
        "power_factor_lagging": 9552,
        "power_factor_leading": 10000,
        "voltage": 99800,
        "current": 3233,
        "frequency": 4997,
    }


@pytest.mark.parametrize(("phases", "voltage_dv", "rated_w"), [(3, 100_000, 60_000), (1, 2300, 8_000)])
def test_power_factor_voltage_and_current_belong_together(phases: int, voltage_dv: int, rated_w: int) -> None:
    load = Load(11, rated_w, voltage_dv, phases, START)
    for moment in moments(2000):
        state = load(moment)
        squares = state.active_power_w**2 + state.reactive_power_var**2
        assert abs(state.apparent_power_va - math.sqrt(squares)) <= 0.5
        assert abs(state.power_factor_1e4 - 1e4 * state.active_power_w / state.apparent_power_va) <= 0.5
        apparent = math.sqrt(phases) * state.voltage_dv / 10 * state.current_ma / 1000
        assert abs(apparent - state.apparent_power_va) <= math.sqrt(phases) * state.voltage_dv / 10 * 0.00051
        assert 0 < state.active_power_w <= rated_w
        assert abs(state.voltage_dv / voltage_dv - 1) < 0.01


def test_energies_are_the_integrals_of_the_powers() -> None:
    load = Load(11, 60_000, 100_000, 3, START)
    begin = START + WEEK_MS - 600 * STEP_MS
    end = begin + 1200 * STEP_MS
    steps = [load(moment) for moment in range(begin, end, STEP_MS)]
    active = sum(state.active_power_w for state in steps) * STEP_MS
    lagging = sum(max(state.reactive_power_var, 0) for state in steps) * STEP_MS
    leading = sum(max(-state.reactive_power_var, 0) for state in steps) * STEP_MS
    first, last = load(begin), load(end)
    assert leading
    assert lagging
    for counted, integral in (
        (last.active_energy_wh - first.active_energy_wh, active),
        (last.lagging_energy_varh - first.lagging_energy_varh, lagging),
        (last.leading_energy_varh - first.leading_energy_varh, leading),
    ):
        assert abs(counted - integral / MS_PER_HOUR) < 1, (
            "two floors differ from the integral by less than one unit"
        )


def test_registers_never_go_back_and_begin_at_zero(site: ThreePhaseSource) -> None:
    ordered = [site(moment) for moment in sorted(moments(500))]
    for name in ("active_energy_import", "reactive_energy_lagging", "reactive_energy_leading"):
        readings = [shown[name] or 0 for shown in ordered]
        assert readings == sorted(readings)
        assert site(START)[name] == site(START - 10**9)[name] == 0


def test_the_flow_meter_accumulates_its_flow() -> None:
    pipe = FlowSource(5, START)
    begin = START + 8 * MS_PER_HOUR
    flows = [pipe(begin + index * STEP_MS)["volume_flow"] or 0 for index in range(360)]
    counted = (pipe(begin + MS_PER_HOUR)["volume"] or 0) - (pipe(begin)["volume"] or 0)
    assert abs(counted - sum(flows) * STEP_MS / MS_PER_HOUR) < 1
    assert max(flows) <= 42_000


def test_carbon_dioxide_is_smooth_and_in_range() -> None:
    room = Co2Source(5)
    readings = [room(START + second * 1000)["co2_fraction"] or 0 for second in range(0, 86400, 20)]
    assert 400 <= min(readings) < 600 < 1200 < max(readings) <= 1400
    assert max(abs(b - a) for a, b in pairwise(readings)) < 40


def test_every_value_fits_its_instrument() -> None:
    sources = {
        "energy64": ThreePhaseSource(1, START),
        "pzem004t": SinglePhaseSource(1, START),
        "senseair_s8": Co2Source(1),
        "tuf2000": FlowSource(1, START),
    }
    for kind, source in sources.items():
        for moment in moments(200):
            assert set(source(moment)) == set(KINDS[kind].indications)
