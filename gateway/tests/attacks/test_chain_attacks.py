"""Authentic messages in wrong places: replayed, reordered, withheld, forked, cut from another chain.

Here the signature is good, so bytes are kept; what must not happen is that anything counts twice or is
accepted where it does not belong.
"""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from scene import Scene

from meter_gateway import signatures
from meter_gateway.model import Outcome
from meter_protocol import cose, messages
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t

FIRST = 8
"""The sequence of the first message after the scene's beginning: identity, parameters, boot, five readings."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def answers(outcome: Outcome, typ: str) -> list[int]:
    """The sequences that the answers of one type name."""
    split = [cose.split(answer.raw) for answer in outcome.answers]
    return [messages.decode(typ, parts.payload)[f.SEQUENCE] for parts in split if parts.typ == typ]


def counts(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.stored, outcome.accepted, outcome.duplicates


def test_replay_is_receipted_and_changes_nothing(scene: Scene) -> None:
    recorded = scene.meter.readings()
    first = scene.send(recorded)
    before = scene.kept()
    for _ in range(3):
        again = scene.send(recorded)
        assert counts(again) == (0, 0, 1)
        assert again.answers == first.answers
        assert scene.kept() == before
    assert counts(scene.send(recorded, recorded)) == (0, 0, 2)


def test_replay_within_one_frame(scene: Scene) -> None:
    recorded = scene.meter.readings()
    assert counts(scene.send(recorded, recorded, recorded)) == (1, 1, 2)


def test_replay_under_another_signature_is_the_same_message(scene: Scene) -> None:
    """A secure element draws its own nonce, so a message signed twice has two signatures and one identity."""
    recorded = scene.meter.readings()
    scene.send(recorded)
    parts = cose.split(recorded)
    der = scene.meter.sealer._private_key.sign(
        cose.to_be_signed(parts.protected, parts.payload), ec.ECDSA(SHA256())
    )
    r, s = decode_dss_signature(der)
    low = min(s, signatures.P256_ORDER - s)
    again = cose.assemble(parts.protected, parts.payload, r.to_bytes(32, "big") + low.to_bytes(32, "big"))
    assert again != recorded
    before = scene.kept()
    assert counts(scene.send(again)) == (0, 0, 1)
    assert scene.kept() == before


def test_reordering_delays_the_verdict_and_alters_nothing(scene: Scene) -> None:
    one, two, three = (scene.meter.readings() for _ in range(3))
    late = scene.send(three)
    assert (late.stored, late.judged) == (1, 0)
    assert answers(late, t.RECEIPT) == []
    assert answers(late, t.RESEND_REQUEST) == [FIRST]
    assert scene.gateway.store.outbox.count() == 16
    middle = scene.send(one)
    assert answers(middle, t.RECEIPT) == [FIRST]
    last = scene.send(two)
    assert (last.stored, last.accepted) == (1, 2)
    assert answers(last, t.RECEIPT) == [FIRST + 2]
    assert all(accepted for _, accepted, _ in scene.findings_of(scene.meter))


def test_withheld_messages_are_asked_for_and_nothing_behind_them_counts(scene: Scene) -> None:
    withheld = scene.meter.readings()
    for _ in range(3):
        outcome = scene.send(scene.meter.readings())
        assert outcome.judged == 0
        assert answers(outcome, t.RECEIPT) == []
        assert answers(outcome, t.RESEND_REQUEST) == [FIRST]
    assert scene.send(withheld).accepted == 4


def test_chain_broken(scene: Scene) -> None:
    """A message that was taken out and its successors renumbered: the hash of the one before gives it away."""
    forged = scene.meter.readings(PREVIOUS=bytes(32))
    outcome = scene.send(forged)
    assert counts(outcome) == (1, 0, 0)
    assert answers(outcome, t.RECEIPT) == [FIRST]
    assert scene.findings_of(scene.meter)[-1] == (FIRST, False, {"chain_broken", "key_native", "range_by_mean"})


def test_message_of_another_chain(scene: Scene) -> None:
    """Signed by the meter itself for another epoch: its context and its predecessor are not this chain's."""
    epoch = scene.meter.epoch
    scene.meter.open_epoch()
    scene.meter.begin()
    scene.meter.epoch = epoch
    outcome = scene.send(scene.meter.readings(SEQUENCE=FIRST))
    assert counts(outcome) == (1, 0, 0)
    assert {"chain_broken", "context_mismatch"} <= scene.findings_of(scene.meter)[-1][2]


def fork(scene: Scene) -> tuple[bytes, bytes]:
    """Two messages with one sequence number: a copied key, or a meter that was set back."""
    place = scene.meter.sequence, scene.meter.previous, scene.meter.time_ms
    one = scene.meter.readings()
    scene.meter.sequence, scene.meter.previous, scene.meter.time_ms = place
    return one, scene.meter.readings()


@pytest.mark.parametrize("together", [True, False])
def test_chain_fork_keeps_both_and_bars_the_meter(scene: Scene, together: bool) -> None:
    one, two = fork(scene)
    first, second = (one,), (two,)
    if together:
        outcome = scene.send(one, two)
        assert outcome.accepted == 0
    else:
        assert scene.send(*first).accepted == 1
        outcome = scene.send(*second)
    assert outcome.duplicates == 0
    registry, archive = scene.gateway.store.registry, scene.gateway.store.archive
    (found,) = registry.forks()
    assert (found.raw, found.sequence, found.resolved_ms) == (two, FIRST, None)
    kept = archive.message(scene.meter.thumbprint, scene.meter.epoch, FIRST)
    assert kept is not None
    assert kept.raw == one
    assert registry.meters()[0].barred
    # Barred from acceptance, not from being heard: bytes are stored and receipted, in every chain of the meter.
    scene.meter.previous = kept.hash
    outcome = scene.send(scene.meter.readings())
    assert counts(outcome) == (1, 0, 0)
    assert answers(outcome, t.RECEIPT) == [FIRST + 1]
    assert "chain_fork" in scene.findings_of(scene.meter)[-1][2]
    assert scene.send(scene.other.readings()).accepted == 1


def test_a_fork_bars_across_a_restart_until_somebody_resolves_it(scene: Scene) -> None:
    one, two = fork(scene)
    scene.send(one)
    scene.send(two)
    scene.gateway.restart()
    registry, archive = scene.gateway.store.registry, scene.gateway.store.archive
    kept = archive.message(scene.meter.thumbprint, scene.meter.epoch, FIRST)
    assert kept is not None
    scene.meter.previous = kept.hash
    scene.send(scene.meter.readings())
    assert "chain_fork" in scene.findings_of(scene.meter)[-1][2]
    registry.resolve_fork(registry.forks()[0].id, "board replaced", scene.gateway.now.time_ms)
    assert scene.send(scene.meter.readings()).accepted == 1
    # The same second message again is known, and bars nobody anew.
    assert counts(scene.send(two)) == (0, 0, 1)
    assert scene.send(scene.meter.readings()).accepted == 1


def test_a_new_epoch_does_not_wash_a_fork_off(scene: Scene) -> None:
    one, two = fork(scene)
    scene.send(one, two)
    scene.meter.open_epoch()
    outcome = scene.send(*scene.meter.begin(), scene.meter.readings())
    assert (outcome.stored, outcome.accepted) == (4, 0)


def test_a_second_identity_is_a_fork(scene: Scene) -> None:
    """Whoever could choose between two identities could choose the software that the readings claim."""
    place = scene.meter.sequence, scene.meter.previous, scene.meter.context
    scene.meter.sequence, scene.meter.previous, scene.meter.context = -1, bytes(32), bytes(16)
    other = scene.meter.identity(SOFTWARE_ID=bytes(32))
    scene.meter.sequence, scene.meter.previous, scene.meter.context = place
    scene.send(other)
    assert [found.sequence for found in scene.gateway.store.registry.forks()] == [0]
    assert scene.send(scene.meter.readings()).accepted == 0


def test_a_reading_of_the_future(scene: Scene) -> None:
    time_ms = scene.gateway.now.time_ms + 3_600_000
    scene.gateway.time_ms = scene.gateway.now.time_ms
    assert scene.send(scene.meter.readings(TIME_MS=time_ms)).accepted == 0
    assert "time_in_future" in scene.findings_of(scene.meter)[-1][2]


def test_a_lie_about_lost_messages_shows(scene: Scene) -> None:
    """The meter says that it no longer has what it was asked for. It is believed, and the gap is a finding."""
    scene.meter.readings()
    scene.meter.readings()
    attested = scene.meter.event(
        ev.RESEND_UNAVAILABLE,
        {
            ev.LAST_EPOCH: scene.meter.epoch,
            ev.FIRST_SEQUENCE: FIRST,
            ev.LAST_SEQUENCE: FIRST + 1,
            ev.LAST_HASH: None,
            ev.LAST_RECEIPT: None,
        },
    )
    outcome = scene.send(attested)
    assert outcome.judged == 1
    assert answers(outcome, t.RECEIPT) == [FIRST + 2]
    assert "sequence_gap" in scene.findings_of(scene.meter)[-1][2]
    assert scene.send(scene.meter.readings()).judged == 1


def test_a_message_that_was_attested_lost_and_turns_up_is_no_part_of_the_chain(scene: Scene) -> None:
    lost = scene.meter.readings()
    attested = scene.meter.event(
        ev.RESEND_UNAVAILABLE,
        {
            ev.LAST_EPOCH: None,
            ev.FIRST_SEQUENCE: FIRST,
            ev.LAST_SEQUENCE: None,
            ev.LAST_HASH: None,
            ev.LAST_RECEIPT: None,
        },
    )
    scene.send(attested)
    outcome = scene.send(lost)
    assert counts(outcome) == (1, 0, 0)
    assert {"chain_broken"} in [
        codes for sequence, _, codes in scene.findings_of(scene.meter) if sequence == FIRST
    ]
    assert counts(scene.send(lost)) == (0, 0, 1)
    # The first interval behind a gap holds what was counted in it; the one after is as good as ever.
    scene.send(scene.meter.readings())
    assert scene.send(scene.meter.readings()).accepted == 1
