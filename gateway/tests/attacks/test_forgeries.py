"""Every forgery gets its own reason, and nothing of it is kept, judged, sent on or receipted."""

from pathlib import Path

import forged_messages
import forged_payloads
import forged_signatures
import pytest
from forgery import ATTACKS
from scene import Scene

from meter_gateway.model import Outcome, Received
from meter_gateway.reasons import REASONS
from meter_protocol import cose
from meter_protocol import types as t

BUILDERS = (forged_signatures, forged_messages, forged_payloads)
UNREACHABLE = {
    "cbor_too_many_objects",  # only of parameter sets, which no meter may send (type_not_allowed)
    "cose_key",  # an identity without a key is a field_value; enrolment and test_verify meet it
    "merkle_path",  # towards the receiver of an uplink; protocol tests
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The same meters with the same keys, where forgeries are made."""
    return Scene(tmp_path_factory.mktemp("workshop"))


def test_there_is_an_attack_for_every_reason() -> None:
    assert {attack.reason for attack in ATTACKS.values()} == set(REASONS) - UNREACHABLE


def test_every_file_of_forgeries_is_tried() -> None:
    assert {attack.build.__module__ for attack in ATTACKS.values()} == {module.__name__ for module in BUILDERS}


def is_without_effect(outcome: Outcome) -> bool:
    counts = (outcome.stored, outcome.judged, outcome.accepted, outcome.duplicates, len(outcome.time_requests))
    return not any(counts) and all(cose.split(answer.raw).typ == t.REFUSAL for answer in outcome.answers)


@pytest.mark.parametrize("name", sorted(ATTACKS.keys() - {"key_revoked"}))
def test_forgery(name: str, scene: Scene, workshop: Scene) -> None:
    attack = ATTACKS[name]
    before = scene.kept()
    outcome = scene.send(attack.build(workshop))
    assert outcome.rejected[-1].reason == attack.reason
    assert is_without_effect(outcome)
    assert scene.kept() == before
    # And it costs the meter nothing: the next good message is taken as if nothing had happened.
    assert scene.send(scene.meter.readings()).accepted == 1


def test_a_revoked_key_gets_no_answer(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    forged = forged_payloads.key_revoked(scene)
    before = scene.kept()
    outcome = scene.send(forged)
    assert [rejection.reason for rejection in outcome.rejected] == ["revoked_key"]
    assert is_without_effect(outcome)
    assert outcome.answers == []
    assert scene.kept() == before
    assert scene.send(scene.other.readings()).accepted == 1


@pytest.mark.parametrize("message", ["readings", "boot", "time_request"])
def test_every_flipped_bit_is_rejected(message: str, scene: Scene, workshop: Scene) -> None:
    before = scene.kept()
    arguments = (bytes(16),) if message == "time_request" else ()
    raw: bytes = getattr(workshop.meter, message)(*arguments)
    now_ms = scene.gateway.now.time_ms
    group = []
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        group.append(Received(bytes(flipped), "a line", now_ms))
    outcome = scene.gateway.ingest.process(group, scene.gateway.now)
    assert {rejection.raw for rejection in outcome.rejected} >= {received.raw for received in group[:64]}
    assert len(outcome.rejected) >= len(group)
    assert is_without_effect(outcome)
    assert scene.kept() == before
