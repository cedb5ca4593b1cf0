"""Limits that are set later, messages in any order, restarts: in the end the latest verdicts are the same."""

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meter_gateway import basis
from meter_gateway.config import SCHEMES
from meter_gateway.policy import load_scheme
from meter_gateway.rejudgement import Rejudgement
from meter_gateway.traceability import ChainState, Trust
from meter_gateway.traceability.plausibility_file import Balance, ChannelLimits, Plausibility
from meter_gateway.traceability.thresholds import DataValidity, QualityTargets, Thresholds
from meter_protocol import fields as f
from meter_tools.simulated_gateway import SEALERS, SimulatedGateway
from meter_tools.simulated_meter import CHANNELS, SimulatedMeter, trust_in

HOUSE = load_scheme(SCHEMES / "house.toml")
POWER, FREQUENCY, VOLUME = 4, 7, 8
STUCK = [
    channel._replace(least=50_000, most=50_000) if channel.quantity == "frequency" else channel
    for channel in CHANNELS
]
OWN = {"value_stuck", "value_spike", "rate_of_change", "balance_violated", "limits_inapplicable"}


def plausible(meter: SimulatedMeter) -> Plausibility:
    def limit(channel: int, unit: str, **numbers: Any) -> ChannelLimits:
        return ChannelLimits(meter=meter.thumbprint, channel=channel, unit=unit, **numbers)

    return Plausibility(
        limits=(
            limit(POWER, "kW", max_change_per_minute=Decimal(100), max_spike=Decimal(120)),
            limit(FREQUENCY, "Hz", stuck_minutes=8),
            limit(VOLUME, "m3/h", max_spike=Decimal(200)),
        ),
        balances=(
            Balance(name="none", meter=meter.thumbprint, total=(2,), parts=(3,), tolerance_percent=Decimal(70)),
        ),
    )


def limited(meter: SimulatedMeter, thresholds: Thresholds | None = None) -> Trust:
    return trust_in([meter], plausible=plausible(meter), thresholds=thresholds)


def new_meter() -> SimulatedMeter:
    return SimulatedMeter("m1", STUCK)


@pytest.fixture
def meter() -> SimulatedMeter:
    return new_meter()


def gateway_of(path: Path, meter: SimulatedMeter, begin: list[bytes]) -> SimulatedGateway:
    made = SimulatedGateway(path, [meter])
    made.enrol(begin[0])
    made.receive(*begin)
    return made


@pytest.fixture
def begun(tmp_path: Path, meter: SimulatedMeter) -> Iterator[tuple[SimulatedGateway, list[bytes]]]:
    begin = meter.begin()
    made = gateway_of(tmp_path / "one.db", meter, begin)
    yield made, begin
    made.close()


def judge_again(gateway: SimulatedGateway, trust: Trust, is_keeping: bool = True) -> None:
    work = Rejudgement(gateway.store, trust, HOUSE.judge, "limits")
    while (revisions := work.next_page()) is not None:
        if revisions:
            work.record(revisions, SEALERS.verdict, gateway.now)
        if is_keeping and work.keep_states():
            gateway.ingest.forget()


def latest(gateway: SimulatedGateway) -> dict[int, list[tuple[str, int | None]]]:
    stored = gateway.store.archive.messages(limit=10_000)
    return {
        each.sequence: [(code, channel) for code, channel in each.verdict[f.VERDICT_FINDINGS]]
        for each in stored
        if each.verdict is not None
    }


def states(gateway: SimulatedGateway) -> list[bytes]:
    return [state for (state,) in gateway.store.database.query("SELECT state FROM chain")]


def remembered(gateway: SimulatedGateway) -> list[dict[int, list[Any]]]:
    return [ChainState.loads(state).remembered for state in states(gateway)]


def test_limits_that_are_set_later_reach_what_is_stored_and_what_comes_after(
    begun: tuple[SimulatedGateway, list[bytes]], meter: SimulatedMeter, tmp_path: Path
) -> None:
    gateway, begin = begun
    sent = [meter.readings() for _ in range(40)]
    gateway.receive(*sent[:5])
    assert not OWN & {code for codes in latest(gateway).values() for code, _ in codes}
    gateway.ingest.trust = limited(meter)
    gateway.receive(*sent[5:7])
    judge_again(gateway, gateway.ingest.trust)
    for raw in sent[7:]:
        gateway.receive(raw)
    always = gateway_of(tmp_path / "always.db", meter, begin)
    always.ingest.trust = limited(meter)
    always.receive(*sent)
    found = latest(gateway)
    assert found == latest(always)
    assert remembered(gateway) == remembered(always)
    always.close()
    codes = {code for said in found.values() for code, _ in said}
    assert {"value_stuck", "value_spike", "rate_of_change", "balance_violated"} <= codes
    # The eighth minute after the first reading, whose own interval is not counted.
    assert min(n for n, said in found.items() if ("value_stuck", FREQUENCY) in said) == 3 + 8


def test_without_the_replays_state_what_comes_after_would_be_judged_without_its_past(
    begun: tuple[SimulatedGateway, list[bytes]], meter: SimulatedMeter
) -> None:
    """What keep_states is for: the same story without it misses a value that is stuck."""
    gateway, _ = begun
    gateway.receive(*(meter.readings() for _ in range(7)))
    gateway.ingest.trust = limited(meter)
    judge_again(gateway, gateway.ingest.trust, is_keeping=False)
    gateway.receive(*(meter.readings() for _ in range(3)))
    assert ("value_stuck", FREQUENCY) not in latest(gateway)[12]
    judge_again(gateway, gateway.ingest.trust)
    assert ("value_stuck", FREQUENCY) in latest(gateway)[12]


def test_a_replay_that_ingest_has_overtaken_leaves_its_state_alone(
    begun: tuple[SimulatedGateway, list[bytes]], meter: SimulatedMeter
) -> None:
    gateway, _ = begun
    gateway.receive(*(meter.readings() for _ in range(7)))
    gateway.ingest.trust = limited(meter)
    work = Rejudgement(gateway.store, gateway.ingest.trust, HOUSE.judge, "limits")
    while work.next_page() is not None:
        pass
    gateway.receive(meter.readings())
    before = states(gateway)
    assert not work.keep_states()
    assert states(gateway) == before


def test_what_a_restart_learns_again_is_what_was_known(
    begun: tuple[SimulatedGateway, list[bytes]], meter: SimulatedMeter
) -> None:
    gateway, _ = begun
    gateway.ingest.trust = trust = limited(meter)
    gateway.receive(*(meter.readings() for _ in range(9)))
    before = states(gateway)
    with gateway.store.database.transaction() as connection:
        connection.execute("UPDATE chain SET state = x''")
    gateway.restart()
    gateway.ingest.trust = trust
    gateway.receive(meter.readings())
    with_loss = states(gateway)
    assert with_loss != before
    judge_again(gateway, trust)
    assert states(gateway) == with_loss


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), changed_after=st.integers(0, 12))
def test_the_latest_revisions_agree_whatever_the_order_of_arrival(
    tmp_path_factory: pytest.TempPathFactory, seed: int, changed_after: int
) -> None:
    folder = tmp_path_factory.mktemp("order")
    choice = random.Random(seed)
    meter = new_meter()
    begin = meter.begin()
    sent = [meter.readings() for _ in range(16)]
    trust = limited(meter)
    ordered = gateway_of(folder / "ordered.db", meter, begin)
    ordered.ingest.trust = trust
    ordered.receive(*sent)
    shuffled = gateway_of(folder / "shuffled.db", meter, begin)
    arrivals = choice.sample(sent, len(sent))
    place = 0
    while place < len(arrivals):
        if place >= changed_after and shuffled.ingest.trust is not trust:
            shuffled.ingest.trust = trust
            judge_again(shuffled, trust)
        count = choice.randint(1, 4)
        shuffled.receive(*arrivals[place : place + count])
        place += count
    if shuffled.ingest.trust is not trust:
        shuffled.ingest.trust = trust
        judge_again(shuffled, trust)
    assert latest(shuffled) == latest(ordered)
    assert states(shuffled) == states(ordered)
    ordered.close()
    shuffled.close()


# What verdicts rest on


def test_limits_and_thresholds_are_named_in_the_basis(meter: SimulatedMeter) -> None:
    before = basis.basis_of(trust_in([meter]), HOUSE)
    name = meter.thumbprint.hex()[:16]
    assert basis.changes(before, basis.basis_of(limited(meter), HOUSE)) == [
        f"balance none of {name} added",
        *(f"limit of channel {channel} of {name} added" for channel in (POWER, FREQUENCY, VOLUME)),
    ]
    now = basis.basis_of(limited(meter), HOUSE)
    numbers = Thresholds(data_validity=DataValidity(clause="c", tag="M", samples_percent=80))
    assert basis.changes(now, basis.basis_of(limited(meter, numbers), HOUSE)) == ["scheme changed"]


def test_what_only_the_quality_report_asks_is_no_basis_of_verdicts(meter: SimulatedMeter) -> None:
    numbers = Thresholds(quality=QualityTargets(clause="c", tag="M", completeness_percent=90))
    before = basis.basis_of(limited(meter), HOUSE)
    assert basis.changes(before, basis.basis_of(limited(meter, numbers), HOUSE)) == []
