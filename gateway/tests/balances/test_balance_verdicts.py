"""Meters that should balance, through the real ingest: exactly the readings of the spans that do not are found,
once, with the cause, and it is taken back when it no longer holds."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from plant_of import (
    DRIFTED,
    ENERGY,
    OTHER,
    QUARTER_MS,
    START_MS,
    STEADY,
    Plant,
    balance,
    quarter,
    quarters,
    registers,
    term,
    trusting,
)

from meter_gateway import basis, upkeep
from meter_gateway.balances import ledger
from meter_gateway.config import SCHEMES
from meter_gateway.policy import load_scheme
from meter_gateway.store import StoreUnavailable
from meter_gateway.traceability.plant_balance import CODE
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_tools.simulated_meter import SimulatedMeter

Until = Callable[[Callable[[], bool]], Awaitable[None]]

DAY = "2026-01-01"
HOURS = 4


@pytest.fixture
def meters() -> list[SimulatedMeter]:
    """The total, its two parts, and one that no balance names."""
    return [SimulatedMeter(name, registers(STEADY)) for name in ("total", "one", "two", "bystander")]


@pytest.fixture
def plant(tmp_path: Path, meters: list[SimulatedMeter]) -> Iterator[Plant]:
    made = Plant(tmp_path / "store.db", meters, balance(*meters[:3]))
    made.enrol(*meters)
    made.look()
    yield made
    made.close()


def an_hour(plant: Plant, of_two: int = STEADY) -> None:
    for _ in range(4):
        plant.gateway.receive(*quarters(plant.meters, of_two))


def revisions(plant: Plant, meter: SimulatedMeter) -> list[int]:
    """How many verdicts there are about each reading."""
    return [len(found) for _, found in sorted(plant.verdicts(meter).items())]


def test_what_balances_is_never_revised(plant: Plant) -> None:
    for _ in range(HOURS):
        an_hour(plant)
        plant.look()
    assert all(set(revisions(plant, meter)) == {1} for meter in plant.meters)
    assert not any(plant.found(meter) for meter in plant.meters)


def test_a_meter_that_drifts_is_found_at_exactly_the_readings_of_those_hours(plant: Plant) -> None:
    an_hour(plant)
    an_hour(plant, DRIFTED)
    an_hour(plant)
    before = [plant.verdicts(meter) for meter in plant.meters]
    plant.look()
    # The second hour: the interval that ends where it begins is not in it, the one that ends with it is.
    assert [plant.found(meter) for meter in plant.meters] == [[75, 90, 105, 120]] * 3 + [[]]
    for meter, was in zip(plant.meters[:3], before, strict=False):
        for place, found in plant.verdicts(meter).items():
            first, *later = found
            assert first == was[place][0]
            if not later:
                continue
            (second,) = later
            assert second[f.VERDICT_CAUSE] == f"balance hall on {DAY} violated"
            assert second[f.VERDICT_ACCEPTANCE] == f.NOT_ACCEPTED
            same = [f.VERDICT_BUDGET, f.VERDICT_UNCERTAINTY, f.VERDICT_SCHEME, f.HASH]
            assert [first[key] for key in same] == [second[key] for key in same]
            others = [each for each in second[f.VERDICT_FINDINGS] if each != [CODE, ENERGY]]
            assert others == first[f.VERDICT_FINDINGS]
            assert len(second[f.VERDICT_FINDINGS]) == len(others) + 1
        assert revisions(plant, meter) == [1] * 4 + [2] * 4 + [1] * 4
    assert plant.verdicts(plant.meters[3]) == before[3]


def test_judging_everything_again_finds_nothing_else(plant: Plant) -> None:
    an_hour(plant)
    an_hour(plant, DRIFTED)
    plant.look()
    assert plant.judge_all_again().revised == 0
    plant.look()
    assert set(revisions(plant, plant.meters[2])) == {1, 2}


def test_a_meter_whose_messages_come_late_makes_it_known_only_then(plant: Plant) -> None:
    an_hour(plant)
    kept_back: list[bytes] = []
    for _ in range(8):
        total, one, two, bystander = quarters(plant.meters, DRIFTED)
        plant.gateway.receive(total, one, bystander)
        kept_back.append(two)
    plant.look()
    assert not any(plant.found(meter) for meter in plant.meters)
    # All but one: what is parked behind the gap counts no more than what has not come.
    plant.gateway.receive(*kept_back[1:])
    plant.look()
    assert not any(plant.found(meter) for meter in plant.meters)
    plant.gateway.receive(kept_back[0])
    plant.look()
    assert [plant.found(meter) for meter in plant.meters[:3]] == [[75, 90, 105, 120, 135, 150, 165, 180]] * 3


def test_a_late_chain_that_speaks_about_the_same_time_takes_it_back(plant: Plant) -> None:
    """What the register counted in that hour is not known any more: nothing is said about it."""
    two = plant.meters[2]
    an_hour(plant)
    an_hour(plant, DRIFTED)
    an_hour(plant)
    plant.look()
    assert plant.found(two) == [75, 90, 105, 120]
    end_ms = two.time_ms
    two.open_epoch()
    two.time_ms = end_ms - 8 * QUARTER_MS
    late = [*two.begin(), quarter(two), quarter(two), quarter(two)]
    two.time_ms = end_ms
    plant.gateway.receive(*late)
    plant.look()
    assert not any(plant.found(meter) for meter in plant.meters)
    for meter in plant.meters[:3]:
        changed = [found for found in plant.verdicts(meter).values() if len(found) > 1]
        # One of the late ones came while the hour was held to be violated.
        assert {len(found) for found in changed} <= {2, 3}
        causes = [found[-1][f.VERDICT_CAUSE] for found in changed]
        assert causes == [f"balance hall on {DAY} balanced"] * len(changed)
        thirds = [found for found in changed if len(found) == 3]
        assert len(thirds) == 4
        assert all(first[f.VERDICT_FINDINGS] == third[f.VERDICT_FINDINGS] for first, _, third in thirds)
    assert plant.judge_all_again().revised == 0


def test_what_comes_after_it_was_attested_never_to_come_does_not_count(plant: Plant) -> None:
    an_hour(plant)
    two = plant.meters[2]
    lost = []
    for _ in range(3):
        total, one, of_two, bystander = quarters(plant.meters, DRIFTED)
        plant.gateway.receive(total, one, bystander)
        lost.append((two.sequence, of_two))
    details = {ev.LAST_EPOCH: None, ev.FIRST_SEQUENCE: lost[0][0], ev.LAST_SEQUENCE: lost[-1][0]}
    plant.gateway.receive(two.event(ev.RESEND_UNAVAILABLE, details | {ev.LAST_HASH: None, ev.LAST_RECEIPT: None}))
    plant.gateway.receive(*(raw for _, raw in lost))
    plant.look()
    assert not any(plant.found(meter) for meter in plant.meters)
    # The next total speaks for the time of those that were lost: registers count on.
    plant.gateway.receive(*quarters(plant.meters, DRIFTED))
    plant.look()
    assert [plant.found(meter) for meter in plant.meters[:3]] == [[75, 90, 105, 120]] * 2 + [[120]]
    late = [found for (_, sequence), found in plant.verdicts(two).items() if sequence in dict(lost)]
    assert [found[-1][f.VERDICT_FINDINGS] for found in late] == [[["chain_broken", None]]] * 3
    assert [len(found) for found in late] == [1] * 3
    # Counted anew from the beginning, it is the same.
    with plant.gateway.store.database.transaction() as connection:
        connection.execute("DELETE FROM followed_chain")
    plant.restart()
    plant.look()
    assert [plant.found(meter) for meter in plant.meters[:3]] == [[75, 90, 105, 120]] * 2 + [[120]]
    assert plant.judge_all_again().revised == 0


def test_counted_anew_what_came_too_late_counts_no_more_than_before(plant: Plant) -> None:
    """The total at the end of the hour is among it: without that one it is not known what the hour's was."""
    an_hour(plant)
    two = plant.meters[2]
    sent = []
    for number in range(8):
        total, one, of_two, bystander = quarters(plant.meters, DRIFTED)
        plant.gateway.receive(total, one, bystander, *(() if number in (2, 3, 4) else (of_two,)))
        sent.append((two.sequence, of_two))
    lost = sent[2:5]
    details = {ev.LAST_EPOCH: None, ev.FIRST_SEQUENCE: lost[0][0], ev.LAST_SEQUENCE: lost[-1][0]}
    plant.gateway.receive(two.event(ev.RESEND_UNAVAILABLE, details | {ev.LAST_HASH: None, ev.LAST_RECEIPT: None}))
    plant.gateway.receive(*(raw for _, raw in lost))
    plant.look()
    assert not any(plant.found(meter) for meter in plant.meters)
    with plant.gateway.store.database.transaction() as connection:
        connection.execute("DELETE FROM followed_chain")
    plant.restart()
    plant.look()
    assert not any(plant.found(meter) for meter in plant.meters)


def test_a_barred_meter_counts_on(plant: Plant) -> None:
    an_hour(plant)
    two = plant.meters[2]
    sequence, previous, random_state = two.sequence, two.previous, two.totals.copy()
    forked = quarter(two)
    two.time_ms -= QUARTER_MS
    two.sequence, two.previous, two.totals = sequence, previous, random_state
    plant.gateway.receive(*quarters(plant.meters, DRIFTED))
    plant.gateway.receive(forked)
    for _ in range(3):
        plant.gateway.receive(*quarters(plant.meters, DRIFTED))
    plant.look()
    assert plant.found(two) == plant.found(plant.meters[0]) == [75, 90, 105, 120]
    codes = {code for found in plant.verdicts(two).values() for code, _ in found[-1][f.VERDICT_FINDINGS]}
    assert "chain_fork" in codes
    assert plant.judge_all_again().revised == 0


def test_an_outage_across_the_hour_is_given_the_benefit_and_one_inside_a_day_is_not(
    tmp_path: Path, meters: list[SimulatedMeter]
) -> None:
    """What was counted while a board was off is known, and when it was counted is not."""
    total, part = meters[:2]
    daily = balance(total, part, name="daily", over="day")
    plant = Plant(tmp_path / "outage.db", meters, balance(total, part), daily)
    plant.enrol(total, part)
    # The first totals are those of midnight.
    plant.gateway.receive(*(quarter(meter, 0, TIME_MS=START_MS) for meter in (total, part)))
    for meter in (total, part):
        meter.time_ms = START_MS
    for number in range(96):
        of_total = [quarter(total)]
        is_off = 8 <= number < 16
        if number == 16:
            # Four of eight quarters' energy, in one reading, while the total went on counting.
            part.totals[ENERGY] += 4 * STEADY
            values = {ENERGY: [0, part.totals[ENERGY]]}
            outage = {"KIND": f.KIND_OUTAGE, "DURATION_MS": 8 * QUARTER_MS, "READINGS": values}
            part.time_ms -= QUARTER_MS
            of_total.append(quarter(part, 0, **outage))
        if is_off:
            part.time_ms += QUARTER_MS
        else:
            of_total.append(quarter(part))
        plant.gateway.receive(*of_total)
    plant.look()
    violated = dict(plant.gateway.ingest.trust.violations.entries())
    assert set(violated) == {f"balance daily on {DAY}"}
    # All of the day, and the outage with it; not the reading that ends where the day begins.
    assert plant.found(total) == list(range(15, 1441, 15))
    assert plant.found(part) == [*range(15, 121, 15), 240, *range(255, 1441, 15)]
    assert plant.judge_all_again().revised == 0
    plant.close()


def test_a_restart_before_the_look_and_one_after_it(plant: Plant) -> None:
    an_hour(plant)
    plant.look()
    plant.restart()
    an_hour(plant, DRIFTED)
    plant.restart()
    assert not any(plant.found(meter) for meter in plant.meters)
    plant.look()
    expected = [plant.found(meter) for meter in plant.meters]
    assert expected == [[75, 90, 105, 120]] * 3 + [[]]
    plant.restart()
    # Known from the first message on, without a look.
    assert list(plant.gateway.ingest.trust.violations.entries()) == [f"balance hall on {DAY}"]
    plant.look()
    assert [plant.found(meter) for meter in plant.meters] == expected
    assert set(revisions(plant, plant.meters[0])) == {1, 2}


def test_a_store_that_fails_on_the_way_is_brought_up_later(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    an_hour(plant)
    an_hour(plant, DRIFTED)

    def fails(commit: object) -> None:
        raise StoreUnavailable("disk_full", "the disk is full")

    monkeypatch.setattr(plant.gateway.store, "commit", fails)
    with pytest.raises(StoreUnavailable):
        plant.look()
    monkeypatch.undo()
    # What is violated is known and not yet said; the stored basis is in doubt.
    assert not plant.found(plant.meters[0])
    plant.restart()
    plant.look()
    assert [plant.found(meter) for meter in plant.meters] == [[75, 90, 105, 120]] * 3 + [[]]


@pytest.mark.parametrize(
    ("asked", "failing"),
    [(name, range(1, 100, 2)) for name in ("_page", "_judged", "_look", "_follow")] + [("_state_of", (1, 4))],
)
def test_a_store_that_cannot_be_asked_is_asked_again(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, asked: str, failing: Collection[int]
) -> None:
    """What was followed and not evaluated is not forgotten, and half a look is none."""
    an_hour(plant)
    an_hour(plant, DRIFTED)
    plant.reload(balance(*plant.meters[:3], tolerance_percent=Decimal(50)))
    assert not plant.found(plant.meters[0])
    an_hour(plant)
    an_hour(plant, DRIFTED)
    answer = getattr(ledger.Ledger, asked)
    times = iter(range(100))

    def fails_now_and_then(self: ledger.Ledger, *arguments: object) -> object:
        if next(times) in failing:
            raise StoreUnavailable("io_error", "the disk reports an error")
        return answer(self, *arguments)

    monkeypatch.setattr(ledger.Ledger, asked, fails_now_and_then)
    failed = 0
    plant.trust = trusting(plant.meters, balance(*plant.meters[:3]))
    plant.upkeep.renew(plant.trust, plant.scheme)
    for _ in range(20):
        try:
            plant.look()
            break
        except StoreUnavailable:
            failed += 1
            plant.upkeep._renewed.set()
    assert failed
    ends = [75, 90, 105, 120, 195, 210, 225, 240]
    assert [plant.found(meter) for meter in plant.meters] == [ends] * 3 + [[]]


def test_what_was_judged_by_an_outcome_that_did_not_last_is_judged_again(plant: Plant) -> None:
    """The look is interrupted, the outcome is undone, and a reading came in between."""
    an_hour(plant)
    an_hour(plant, DRIFTED)
    before = basis.load(plant.gateway.store.database)
    # As if it had ended right after ingest was told.
    found = asyncio.run(plant.upkeep._look())
    assert found
    two = plant.meters[2]
    end_ms = two.time_ms
    two.open_epoch()
    two.time_ms = end_ms - 5 * QUARTER_MS
    plant.gateway.receive(*two.begin(), quarter(two), quarter(two), quarter(two))
    two.time_ms = end_ms
    assert plant.found(two) == [75, 90]
    basis_now = basis.load(plant.gateway.store.database)
    assert basis_now.keys() - before.keys() == {f"balance hall on {DAY}"}
    plant.restart()
    plant.look()
    assert not any(plant.found(meter) for meter in plant.meters)
    assert plant.judge_all_again().revised == 0
    assert basis.load(plant.gateway.store.database).keys() == before.keys()


def test_a_balance_that_is_set_changed_and_taken_out(plant: Plant) -> None:
    an_hour(plant)
    an_hour(plant, DRIFTED)
    plant.look()
    meters = plant.meters
    plant.reload(balance(*meters[:3], tolerance_percent=Decimal(5)))
    assert not any(plant.found(meter) for meter in meters)
    causes = [found[-1][f.VERDICT_CAUSE] for found in plant.verdicts(meters[0]).values() if len(found) == 3]
    assert causes == [f"balance hall on {DAY} balanced and 1 more"] * 4
    plant.reload(balance(*meters[:3]))
    assert plant.found(meters[0]) == [75, 90, 105, 120]
    plant.reload()
    assert not any(plant.found(meter) for meter in meters)
    database = plant.gateway.store.database
    assert database.query("SELECT count(*) FROM counted") == [(0,)]
    assert not [name for name in basis.load(database) if "balance" in name]


def test_another_register_of_the_same_meters_is_counted_from_the_beginning(plant: Plant) -> None:
    an_hour(plant)
    an_hour(plant)
    plant.look()
    total, one, two, _ = plant.meters
    # 500 against twice 500.
    other = {"total": (term(total, OTHER),), "parts": (term(one, OTHER), term(two, OTHER))}
    plant.reload(balance(total, one, two).model_copy(update=other))
    assert list(plant.gateway.ingest.trust.violations.entries()) == [f"balance hall on {DAY}"]
    codes = [found[-1][f.VERDICT_FINDINGS] for found in plant.verdicts(one).values()]
    assert [[CODE, OTHER] in each for each in codes] == [False] * 4 + [True] * 4
    # And by another offset from UTC.
    plant.trust = trusting(plant.meters, balance(total, one, two).model_copy(update=other))
    plant.trust.utc_offset_minutes = 15
    plant.upkeep.renew(plant.trust, plant.scheme)
    plant.look()
    codes = [found[-1][f.VERDICT_FINDINGS] for found in plant.verdicts(one).values()]
    assert [[CODE, OTHER] in each for each in codes] == [False] * 3 + [True] * 4 + [False]


def test_a_reload_that_changes_nothing_of_balances_keeps_what_was_found(plant: Plant) -> None:
    an_hour(plant)
    an_hour(plant, DRIFTED)
    plant.look()
    plant.upkeep.renew(trusting(plant.meters, balance(*plant.meters[:3])), plant.scheme)
    # Between the reload and the next look ingest judges by what is known.
    assert plant.gateway.ingest.trust.violations.entries()
    plant.look()
    assert plant.found(plant.meters[0]) == [75, 90, 105, 120]
    assert set(revisions(plant, plant.meters[0])) == {1, 2}


def test_a_reload_before_the_first_look_changes_what_was_judged_since_the_start(
    tmp_path: Path, meters: list[SimulatedMeter]
) -> None:
    """The store keeps no basis yet, and is not taken for one that was filled by what the reload brought."""
    plant = Plant(tmp_path / "store.db", meters, balance(*meters[:3]))
    plant.enrol(*meters)
    an_hour(plant)
    plant.scheme = load_scheme(SCHEMES / "development.toml")
    plant.upkeep.renew(plant.trust, plant.scheme)
    for _ in range(2):
        plant.look()
        for meter in meters:
            assert set(revisions(plant, meter)) == {2}
    plant.close()


async def test_the_look_repeats_itself(plant: Plant, monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
    monkeypatch.setattr(upkeep, "LOOK_S", 0.01)
    an_hour(plant)
    running = asyncio.create_task(plant.upkeep.run())
    await asyncio.sleep(0.1)
    # In the thread of ingest, as whatever reads or writes beside the upkeep.
    await asyncio.get_running_loop().run_in_executor(plant._thread, an_hour, plant, DRIFTED)
    await until(lambda: plant.upkeep.revisions == 12)
    running.cancel()
    assert plant.found(plant.meters[0]) == [75, 90, 105, 120]


def test_no_message_is_read_twice(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    take = ledger.ChainCount.take

    def noted(self: ledger.ChainCount, message: object, span_of: object) -> None:
        read.append(1)
        take(self, message, span_of)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger.ChainCount, "take", noted)
    for _ in range(3):
        an_hour(plant)
        plant.restart()
        plant.look()
    # Twelve readings of each of the three; what came before the first look was read by it.
    assert len(read) == 3 * 12


def test_a_verdict_that_could_not_hold_all_its_findings_is_judged_from_the_beginning(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meter_gateway.balances.revising.MAX_FINDINGS", 1)
    an_hour(plant)
    an_hour(plant, DRIFTED)
    plant.look()
    assert plant.found(plant.meters[0]) == [75, 90, 105, 120]
    assert plant.judge_all_again().revised == 0


# Which readings


def test_a_channel_beside_the_balance_and_a_reading_without_the_register_are_not_meant(plant: Plant) -> None:
    an_hour(plant)
    total, one, two, bystander = plant.meters
    for number in range(4):
        raws = [quarter(total, 2 * STEADY), quarter(two, DRIFTED), quarter(bystander)]
        # The first part says nothing of its register twice, and its next total speaks for the time.
        one.totals[ENERGY] += STEADY
        beside = {OTHER: [0, one.totals[OTHER]]}
        raws.append(quarter(one, 0, **({"READINGS": beside} if number in (1, 2) else {})))
        plant.gateway.receive(*raws)
    plant.look()
    assert plant.found(one) == [75, 120]
    assert plant.found(two) == [75, 90, 105, 120]


def test_the_page_size_changes_nothing(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ledger", "revising"):
        monkeypatch.setattr(f"meter_gateway.balances.{module}.PAGE", 1)
    monkeypatch.setattr("meter_gateway.balances.ledger._SPANS", 1)
    for of_two in (STEADY, DRIFTED, STEADY, DRIFTED):
        an_hour(plant, of_two)
    plant.look()
    assert plant.found(plant.meters[1]) == [75, 90, 105, 120, 195, 210, 225, 240]
    plant.restart()
    assert plant.gateway.ingest.trust.violations.entries()[f"balance hall on {DAY}"] == [490_897, 490_899]
