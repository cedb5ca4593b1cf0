"""Messages in any order, with gaps that are filled and gaps that the meter attests."""

from pathlib import Path

import pytest
from said import asked_for, details, receipted, said

from meter_gateway import answers as answers_module
from meter_gateway.model import Received
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_gateway import SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter


def unavailable(meter: SimulatedMeter, first: int, last: int | None, epoch: bytes | None = None) -> bytes:
    """The meter's word that these messages will never come."""
    gone = details(LAST_EPOCH=epoch, FIRST_SEQUENCE=first, LAST_SEQUENCE=last, LAST_HASH=None, LAST_RECEIPT=None)
    return meter.event(ev.RESEND_UNAVAILABLE, gone)


# Order


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
@pytest.mark.parametrize("at_once", [True, False])
def test_any_order_gives_the_same_verdicts(
    begun: SimulatedGateway, meter: SimulatedMeter, order: tuple[int, ...], at_once: bool
) -> None:
    sent = [meter.readings() for _ in range(4)]
    now = begun.now
    payloads = [Received(sent[i], "a line", now.time_ms) for i in order]
    groups = [payloads] if at_once else [[payload] for payload in payloads]
    outcomes = [begun.ingest.process(group, now) for group in groups]
    assert sum(outcome.accepted for outcome in outcomes) == 4
    assert receipted(outcomes[-1]) == [6]
    stored = begun.store.archive.messages(types=(t.READINGS,))
    assert [message.raw for message in stored] == sent
    assert begun.store.outbox.count() == 7


def test_what_waits_behind_a_gap_survives_a_restart(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    sent = [meter.readings() for _ in range(5)]
    begun.receive(sent[1], sent[3])
    begun.restart()
    assert asked_for(begun.receive(sent[3])) == [3]
    begun.restart()
    outcome = begun.receive(sent[0])
    assert (receipted(outcome), asked_for(outcome), outcome.accepted) == ([4], [5], 2)
    assert (receipted(begun.receive(sent[2])), begun.store.archive.chains()[0].parked) == ([6], 0)


def test_a_parked_message_is_judged_by_its_own_reception(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    """It came before its time, and the gap was filled when its time had come: still a message of the future."""
    first, second = meter.readings(), meter.readings()
    begun.time_ms = meter.time_ms - 3_600_000
    begun.receive(second)
    begun.time_ms = None
    assert begun.receive(first).accepted == 1
    stored = begun.store.archive.messages(types=(t.READINGS,))[-1]
    assert stored.verdict is not None
    assert ["time_in_future", None] in stored.verdict[f.VERDICT_FINDINGS]


def test_a_resend_request_is_repeated_once_a_second(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    meter.readings()
    begun.time_ms = meter.time_ms + 1000
    assert asked_for(begun.receive(meter.readings())) == [3]
    begun.time_ms += answers_module.RESEND_INTERVAL_MS - 1
    assert asked_for(begun.receive(meter.readings())) == []
    begun.time_ms += 1
    assert asked_for(begun.receive(meter.readings())) == [3]


def test_far_behind_a_gap_nothing_is_kept_and_nothing_is_lost(
    begun: SimulatedGateway, meter: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meter_gateway.chains.MAX_PARKED_AHEAD", 2)
    sent = [meter.readings() for _ in range(6)]
    outcome = begun.receive(*sent[1:])
    assert (outcome.stored, receipted(outcome), asked_for(outcome)) == (2, [], [3])
    outcomes = [begun.receive(raw) for raw in sent]
    assert (sum(outcome.accepted for outcome in outcomes), receipted(outcomes[-1])) == (6, [8])


def test_what_attests_a_gap_is_kept_however_far_behind_it(
    begun: SimulatedGateway, meter: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meter_gateway.chains.MAX_PARKED_AHEAD", 2)
    for _ in range(6):
        meter.readings()
    assert receipted(begun.receive(unavailable(meter, 3, 8))) == [9]


@pytest.mark.parametrize("state", [b"", b"\x80", b"\x81\x18\xff"])
def test_a_state_that_cannot_be_read_is_learnt_again(
    begun: SimulatedGateway, meter: SimulatedMeter, state: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update that gives it another form must not cost a verdict: it is what the messages say, no more."""
    monkeypatch.setattr("meter_gateway.chains._LEARNT_AT_ONCE", 4)
    begun.receive(*(meter.readings() for _ in range(6)))
    meter.readings()
    begun.receive(unavailable(meter, 9, 9), meter.readings(), meter.readings())
    assert_learnt_again(begun, meter, state, tmp_path)


def test_what_came_after_it_was_attested_never_to_come_is_not_learnt_either(
    begun: SimulatedGateway, meter: SimulatedMeter, tmp_path: Path
) -> None:
    begun.receive(*(meter.readings() for _ in range(2)))
    late = meter.readings()
    begun.receive(unavailable(meter, 5, 5))
    begun.receive(late)
    assert_learnt_again(begun, meter, b"", tmp_path)


def assert_learnt_again(gateway: SimulatedGateway, meter: SimulatedMeter, state: bytes, tmp_path: Path) -> None:
    """With `state` in the place of its own the gateway says the same of what comes next, and comes to the same."""
    gateway.store.database.backup(tmp_path / "updated.db")
    updated = SimulatedGateway(tmp_path / "updated.db", [meter])
    with updated.store.database.transaction() as connection:
        connection.execute("UPDATE chain SET state = ?", (state,))
    # An event at first, which leaves every total as it is known.
    for raw in (meter.event(ev.SELF_TEST_FAILED, details(REASON="sensor")), meter.readings()):
        assert updated.receive(raw) == gateway.receive(raw)
        learnt, kept = (each.store.database.query("SELECT state FROM chain") for each in (updated, gateway))
        assert learnt == kept
    updated.close()


# Gaps that the meter attests


def test_a_refused_message_is_skipped_at_the_meter_s_word(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    refused = meter.readings(KIND=9)
    outcome = begun.receive(refused, meter.readings())
    (refusal,) = said(outcome, t.REFUSAL)
    assert refusal[f.REASON] == "field_value"
    assert asked_for(outcome) == [3]
    event = meter.event(
        ev.MESSAGE_REFUSED,
        details(
            LAST_EPOCH=meter.epoch,
            LAST_SEQUENCE=3,
            LAST_HASH=None,
            REASON="field_value",
            DIGEST=refusal[f.DIGEST],
        ),
    )
    outcome = begun.receive(event)
    assert (receipted(outcome), asked_for(outcome), outcome.judged) == ([5], [], 2)
    findings = begun.store.archive.messages(types=(t.READINGS,))[0].verdict
    assert findings is not None
    assert ["sequence_gap", None] in findings[f.VERDICT_FINDINGS]


def test_two_refused_messages_are_attested_in_any_order(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    meter.readings()
    between = meter.readings()
    meter.readings()
    rest = {"LAST_HASH": None, "REASON": "field_value", "DIGEST": bytes(32)}
    events = [
        meter.event(
            ev.MESSAGE_REFUSED,
            details(LAST_EPOCH=None, LAST_SEQUENCE=sequence, **rest),
        )
        for sequence in (3, 5)
    ]
    assert receipted(begun.receive(events[1])) == []
    begun.restart()
    assert receipted(begun.receive(events[0])) == []
    assert receipted(begun.receive(between)) == [7]


def test_an_old_epoch_whose_rest_is_gone_is_closed_by_an_event_of_the_new_one(
    begun: SimulatedGateway, meter: SimulatedMeter
) -> None:
    old = meter.epoch
    meter.readings()
    parked = meter.readings()
    begun.receive(parked)
    meter.open_epoch()
    begin = meter.begin()
    outcome = begun.receive(*begin, unavailable(meter, 3, None, old))
    assert sorted(map(str, receipted(outcome))) == ["3", "4"]
    assert [(chain.epoch, chain.parked) for chain in begun.store.archive.chains()] == [(old, 0), (meter.epoch, 0)]


@pytest.mark.parametrize("at_once", [True, False])
def test_what_came_before_it_was_attested_never_to_come_is_part_of_the_chain(
    begun: SimulatedGateway, meter: SimulatedMeter, at_once: bool
) -> None:
    sent = [meter.readings() for _ in range(5)]
    event = unavailable(meter, 3, 7)
    if at_once:
        outcome = begun.receive(sent[1], sent[3], event)
    else:
        begun.receive(sent[1], sent[3])
        outcome = begun.receive(event)
    assert (receipted(outcome), asked_for(outcome), outcome.judged) == ([8], [], 3)
    found = [message.verdict for message in begun.store.archive.messages(types=(t.READINGS,))]
    assert [["sequence_gap", None] in said[f.VERDICT_FINDINGS] for said in found if said] == [True, True]
    assert begun.store.archive.chains()[0].parked == 0
    late = begun.receive(sent[2])
    assert (receipted(late), late.judged) == ([], 1)


def test_an_event_cannot_take_itself_out_of_its_chain(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    assert receipted(begun.receive(unavailable(meter, 0, 100, meter.epoch))) == [3]
    assert begun.receive(meter.readings()).accepted == 1
