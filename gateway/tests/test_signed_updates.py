"""Software that a signed update installed is approved for all that its meter sealed with it, whenever the gateway
hears of it; nothing else becomes another."""

import hashlib
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upkept import Upkept

from meter_gateway import image, signed_updates
from meter_gateway.model import Fields
from meter_gateway.traceability import Trust
from meter_gateway.traceability.software import Approvals
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import SOFTWARE_ID, START_MS, SimulatedMeter, named_sealer, trust_in
from meter_tools.simulated_update import UPDATE_AUTHORITY

IMAGE = image.build({"app.mpy": b"better than before"})
FIELDS = image.manifest_fields(IMAGE, 7, "1.4.0", UUID(int=1), "M1", None, START_MS)
MANIFEST = UPDATE_AUTHORITY.seal(t.UPDATE_MANIFEST, FIELDS)
NEW = hashlib.sha256(IMAGE + b"and what the chip holds").digest()
"""A board's id covers its flash too, so that it is in no manifest."""

CODE = "software_unapproved"


def trusting(meters: list[SimulatedMeter], listed: dict[bytes, bool] | None = None, authorities: int = 1) -> Trust:
    known = [(UPDATE_AUTHORITY.kid, UPDATE_AUTHORITY.public_key)]
    software = Approvals({SOFTWARE_ID: True} if listed is None else listed)
    return trust_in(meters, update_authorities=dict(known[:authorities]), software=software)


def proven(meter: SimulatedMeter, manifest: bytes = MANIFEST) -> bytes:
    details = {ev.SOFTWARE_ID: meter.software, ev.SOFTWARE_BEFORE: SOFTWARE_ID, ev.MANIFEST: manifest}
    return meter.event(ev.FIRMWARE_UPDATED, details)


@pytest.fixture
def meters() -> list[SimulatedMeter]:
    return [SimulatedMeter("updated"), SimulatedMeter("bystander")]


@pytest.fixture
def place(tmp_path: Path, meters: list[SimulatedMeter]) -> Iterator[Upkept]:
    """Both have sealed two intervals, and the first two more with new software that has not proven itself yet."""
    made = Upkept(tmp_path / "store.db", meters, trusting(meters))
    made.look()
    made.enrol(*meters)
    made.gateway.receive(*(meter.readings() for meter in meters for _ in range(2)))
    updated, bystander = meters
    made.gateway.receive(updated.boot(NEW), updated.readings(), updated.readings(), bystander.boot())
    yield made
    made.close()


def found(place: Upkept, meter: SimulatedMeter) -> list[list[bool]]:
    """Of each reading whether it has the finding, revision by revision."""
    verdicts = place.verdicts(meter)
    return [[_has(each) for each in verdicts[key]] for key in sorted(verdicts, key=lambda key: key[1])]


def _has(verdict: Fields) -> bool:
    return CODE in {code for code, _ in verdict[f.VERDICT_FINDINGS]}


def test_readings_between_the_boot_and_the_proof_are_approved_by_the_proof(place: Upkept, meters, caplog) -> None:
    caplog.set_level(logging.INFO)
    updated, bystander = meters
    assert found(place, updated) == [[False], [False], [True], [True]]
    assert place.gateway.receive(proven(updated)).has_update
    place.look()
    # That meter's messages, and nobody else's.
    assert "added: 9 messages are judged again" in caplog.text
    place.gateway.receive(updated.readings(), bystander.readings())
    assert found(place, updated) == [[False], [False], [True, False], [True, False], [False]]
    assert found(place, bystander) == [[False], [False], [False]]
    verdicts = place.verdicts(updated)
    revised = [said for said in verdicts.values() if len(said) > 1]
    cause = f"signed updates of {updated.thumbprint.hex()[:16]} added"
    assert [(said[1][f.VERDICT_CAUSE], said[1][f.VERDICT_ACCEPTANCE]) for said in revised] == [
        (cause, f.ACCEPTED)
    ] * 2
    assert place.upkeep.revisions == 4  # with the boot event and that of the update itself
    assert place.judge_all_again().revised == 0
    place.look()
    assert place.upkeep.revisions == 4


def test_what_ends_before_it_is_revised_is_revised_after_the_next_start(place: Upkept, meters) -> None:
    place.gateway.receive(proven(meters[0]))
    place.restart()
    place.gateway.receive(meters[0].readings())
    assert found(place, meters[0]) == [[False], [False], [True], [True], [False]]
    place.look()
    assert found(place, meters[0]) == [[False], [False], [True, False], [True, False], [False]]
    assert place.judge_all_again().revised == 0


def test_a_new_chain_knows_what_an_update_of_the_one_before_installed(place: Upkept, meters) -> None:
    meter = meters[0]
    place.gateway.receive(proven(meter))
    place.look()
    meter.open_epoch()
    place.gateway.receive(*meter.begin(), meter.readings())
    assert found(place, meter)[0] == [False]  # by sequence: of the new chain
    assert not any(said[-1] for said in found(place, meter))


def test_a_proof_that_waits_for_a_gap_counts(place: Upkept, meters) -> None:
    meter = meters[0]
    lost, proof = meter.readings(), proven(meter)
    place.gateway.receive(proof)
    place.look()
    assert [said[-1] for said in found(place, meter)] == [False] * 4
    place.gateway.receive(lost)
    assert [said[-1] for said in found(place, meter)] == [False] * 5


def test_software_that_was_rolled_back_stays_unapproved(place: Upkept, meters) -> None:
    meter = meters[0]
    rolled_back = meter.event(ev.UPDATE_ROLLED_BACK, {ev.SOFTWARE_ID: NEW, ev.REASON: "update_health"})
    place.gateway.receive(rolled_back, meter.boot(SOFTWARE_ID), meter.readings())
    place.look()
    assert found(place, meter) == [[False], [False], [True], [True], [False]]


STRANGER = named_sealer("stranger", t.ROLE_UPDATES)


def test_a_manifest_of_nobody_we_know_approves_nothing(place: Upkept, meters) -> None:
    place.gateway.receive(proven(meters[0], STRANGER.seal(t.UPDATE_MANIFEST, FIELDS)), proven(meters[0], b"none"))
    place.look()
    assert found(place, meters[0]) == [[False], [False], [True], [True]]


def test_an_authority_that_is_taken_out_approves_nothing_any_more_and_comes_back(place: Upkept, meters) -> None:
    place.gateway.receive(proven(meters[0]))
    place.look()
    place.renew(trusting(meters, authorities=0))
    assert found(place, meters[0]) == [[False], [False], [True, False, True], [True, False, True]]
    place.renew(trusting(meters))
    assert [said[-1] for said in found(place, meters[0])] == [False] * 4
    assert [len(said) for said in found(place, meters[1])] == [1, 1]


def test_what_the_owner_refuses_no_update_approves(place: Upkept, meters) -> None:
    place.gateway.receive(proven(meters[0]))
    place.look()
    place.renew(trusting(meters, {SOFTWARE_ID: True, NEW: False}))
    assert found(place, meters[0]) == [[False], [False], [True, False, True], [True, False, True]]
    last = list(place.verdicts(meters[0]).values())[-1][-1]
    assert last[f.VERDICT_CAUSE] == f"refusal of software {NEW.hex()[:16]} added"
    assert [len(said) for said in found(place, meters[1])] == [1, 1]


def test_only_events_that_hold_a_manifest_are_read_and_the_index_finds_them(place: Upkept, meters) -> None:
    plan = place.gateway.store.database.query("EXPLAIN QUERY PLAN " + signed_updates._EVENTS, (0, b"", 1))
    assert any("INDEX event" in row[3] for row in plan)
    place.gateway.receive(proven(meters[0]), proven(meters[1]))
    updates = signed_updates.SignedUpdates(place.gateway.store.database, trusting(meters).update_authorities)
    found = updates.look()
    assert found == {meters[0].thumbprint: {NEW}, meters[1].thumbprint: {SOFTWARE_ID}}
    assert updates.look() == found


# Whatever the order of arrival


def a_story() -> tuple[list[SimulatedMeter], list[bytes], list[bytes]]:
    """An update, a lost chain, and the way back; beside a meter that nothing happens to."""
    meters = [SimulatedMeter("updated"), SimulatedMeter("bystander")]
    updated, bystander = meters
    identities = [SimulatedMeter(meter.name).identity() for meter in meters]
    sent = [*updated.begin(), *bystander.begin(), updated.readings(), bystander.readings()]
    sent += [updated.boot(NEW), updated.readings(), updated.readings(), proven(updated), updated.readings()]
    updated.open_epoch()
    sent += [*updated.begin(), updated.readings(), bystander.readings()]
    sent += [updated.boot(SOFTWARE_ID), updated.readings()]
    return meters, identities, sent


METERS, IDENTITIES, SENT = a_story()


def arrived(path: Path) -> Upkept:
    place = Upkept(path, METERS, trusting(METERS))
    place.look()
    for identity in IDENTITIES:
        place.gateway.enrol(identity)
    return place


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[bytes, bytes, int], object]:
    place = arrived(tmp_path_factory.mktemp("order") / "ordered.db")
    for raw in SENT:
        place.gateway.receive(raw)
    place.look()
    latest = place.latest()
    place.close()
    assert len(latest) == len(SENT)
    assert CODE not in str(latest)
    return latest


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_the_latest_verdicts_agree_whatever_the_order_of_arrival(
    tmp_path_factory: pytest.TempPathFactory, in_order: dict[tuple[bytes, bytes, int], object], seed: int
) -> None:
    choice = random.Random(seed)
    place = arrived(tmp_path_factory.mktemp("any") / "any.db")
    arrivals = choice.sample(SENT, len(SENT))
    while arrivals:
        count = choice.randint(1, 4)
        place.gateway.receive(*arrivals[:count])
        del arrivals[:count]
        what_else = choice.randint(0, 4)
        if what_else == 0:
            place.restart()
        elif what_else <= 2:
            place.look()
    place.look()
    assert place.latest() == in_order
    assert place.judge_all_again().revised == 0
    place.close()
