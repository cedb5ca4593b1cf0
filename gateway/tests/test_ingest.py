"""Ingest as a whole: what a group leaves in the store, in the outbox and in the answers."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meter_gateway import answers as answers_module
from meter_gateway import ingest as ingest_module
from meter_gateway import workers
from meter_gateway.model import GatewayTime, Outcome, Received
from meter_gateway.store import Limits, StoreUnavailable
from meter_gateway.verify import Key, KeyRing, verify
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import merkle, messages
from meter_protocol import types as t
from meter_tools.simulated_gateway import SEALERS, SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter


@pytest.fixture
def meter() -> SimulatedMeter:
    return SimulatedMeter("m1")


@pytest.fixture
def gateway(tmp_path: Path, meter: SimulatedMeter) -> Iterator[SimulatedGateway]:
    made = SimulatedGateway(tmp_path / "store.db", [meter])
    yield made
    made.close()


@pytest.fixture
def begun(gateway: SimulatedGateway, meter: SimulatedMeter) -> SimulatedGateway:
    """The gateway after the meter's identity, parameters and boot: the next sequence is 3."""
    begin = meter.begin()
    gateway.enrol(begin[0])
    gateway.receive(*begin)
    return gateway


def said(outcome: Outcome, typ: str) -> list[dict[int, object]]:
    """The answers of one type, verified as the meter verifies them."""
    sealer = SEALERS.receipt
    ring = KeyRing([Key.of(sealer.cose_key, sealer.role)], (t.RECEIPT, t.REFUSAL, t.RESEND_REQUEST))
    verified = [verify(answer.raw, ring, 0) for answer in outcome.answers]
    return [message.fields for message in verified if message.typ == typ]


def receipted(outcome: Outcome) -> list[object]:
    return [fields[f.SEQUENCE] for fields in said(outcome, t.RECEIPT)]


def asked_for(outcome: Outcome) -> list[object]:
    return [fields[f.SEQUENCE] for fields in said(outcome, t.RESEND_REQUEST)]


def details(**values: object) -> dict[int, object]:
    """An event's details by their names in meter_protocol.events."""
    return {getattr(ev, name): value for name, value in values.items()}


# Receipts


def test_a_receipt_names_the_last_message_of_the_group(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    outcome = begun.receive(*(meter.readings() for _ in range(5)))
    (receipt,) = said(outcome, t.RECEIPT)
    assert receipt == {
        f.VERSION: 1,
        f.EPOCH: meter.epoch,
        f.SEQUENCE: 7,
        f.TIME_MS: begun.now.time_ms,
        f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
        f.CLOCK_UNCERTAINTY_MS: 1000,
        f.METER: meter.thumbprint,
        f.HASH: meter.previous,
    }
    assert [(answer.kid, answer.peer) for answer in outcome.answers] == [(meter.kid, "a line")]


def test_a_gateway_without_time_says_so(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    now = GatewayTime(0, f.CLOCK_UNKNOWN, None)
    outcome = begun.ingest.process([begun.received(meter.readings())], now)
    (receipt,) = said(outcome, t.RECEIPT)
    assert (receipt[f.CLOCK_STATUS], receipt[f.CLOCK_UNCERTAINTY_MS]) == (f.CLOCK_UNKNOWN, None)
    (stored,) = begun.store.archive.messages(types=(t.READINGS,))
    assert stored.verdict is not None
    assert ["gateway_clock_untrusted", None] in stored.verdict[f.VERDICT_FINDINGS]


def test_one_receipt_for_each_chain_and_group(tmp_path: Path) -> None:
    meters = [SimulatedMeter(f"m{i}") for i in range(5)]
    gateway = SimulatedGateway(tmp_path / "store.db", meters)
    begins = [meter.begin() for meter in meters]
    for begin in begins:
        gateway.enrol(begin[0])
    interleaved = [raw for raws in zip(*begins, strict=True) for raw in raws]
    outcome = gateway.ingest.process([gateway.received(raw) for raw in interleaved], gateway.now)
    assert receipted(outcome) == [2] * 5
    assert {answer.kid for answer in outcome.answers} == {meter.kid for meter in meters}
    assert outcome.accepted == 15


def test_a_duplicate_is_answered_with_the_receipt_that_was_signed(
    begun: SimulatedGateway, meter: SimulatedMeter
) -> None:
    """Whoever replays old messages does not make the gateway sign."""
    raw = meter.readings()
    first = begun.receive(raw)
    begun.time_ms = begun.now.time_ms + 5
    assert begun.receive(raw).answers == first.answers
    begun.restart()
    assert begun.receive(raw).answers == first.answers


def test_unfit_content_is_stored_and_receipted(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    outcome = begun.receive(meter.readings(READINGS={1: [f.STATUS_NO_RESPONSE, None]}))
    assert (outcome.stored, outcome.accepted) == (1, 0)
    assert receipted(outcome) == [3]


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
    event = meter.event(
        ev.RESEND_UNAVAILABLE,
        details(LAST_EPOCH=None, FIRST_SEQUENCE=3, LAST_SEQUENCE=8, LAST_HASH=None, LAST_RECEIPT=None),
    )
    assert receipted(begun.receive(event)) == [9]


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
    gone = meter.event(
        ev.RESEND_UNAVAILABLE,
        details(LAST_EPOCH=old, FIRST_SEQUENCE=3, LAST_SEQUENCE=None, LAST_HASH=None, LAST_RECEIPT=None),
    )
    outcome = begun.receive(*begin, gone)
    assert sorted(map(str, receipted(outcome))) == ["3", "4"]
    assert [(chain.epoch, chain.parked) for chain in begun.store.archive.chains()] == [(old, 0), (meter.epoch, 0)]


def test_an_event_cannot_take_itself_out_of_its_chain(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    event = meter.event(
        ev.RESEND_UNAVAILABLE,
        details(LAST_EPOCH=meter.epoch, FIRST_SEQUENCE=0, LAST_SEQUENCE=100, LAST_HASH=None, LAST_RECEIPT=None),
    )
    assert receipted(begun.receive(event)) == [3]
    assert begun.receive(meter.readings()).accepted == 1


# What is uplinked


def test_every_verdict_travels_with_bytes_and_proof(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    sent = [meter.readings() for _ in range(6)] + [meter.readings(KIND=f.KIND_PARTIAL, PREVIOUS=bytes(32))]
    begun.receive(*sent)
    envelopes = begun.store.outbox.pending(100)
    assert [envelope.kid for envelope in envelopes] == [meter.kid] * 10
    meter_ring = KeyRing([Key.of(meter.sealer.cose_key)])
    verdict_ring = KeyRing([Key.of(SEALERS.verdict.cose_key, t.ROLE_VERDICT)], (t.VERDICT_BATCH,))
    accepted = []
    for envelope in envelopes:
        fields = messages.decode_envelope(envelope.raw)
        message = verify(fields[f.ENVELOPE_MESSAGE], meter_ring, 0)
        batch = verify(fields[f.ENVELOPE_BATCH], verdict_ring, 0).fields
        record = fields[f.ENVELOPE_VERDICT]
        place = fields[f.ENVELOPE_INDEX], batch[f.COUNT], fields[f.ENVELOPE_PATH], batch[f.ROOT]
        merkle.verify_path(record, *place)
        verdict = messages.decode_verdict(record)
        assert messages.encode_verdict(verdict) == record
        assert verdict[f.METER] == message.thumbprint
        assert verdict[f.HASH] == message.hash
        assert (verdict[f.EPOCH], verdict[f.SEQUENCE]) == (message.fields[f.EPOCH], message.fields[f.SEQUENCE])
        accepted.append(verdict[f.VERDICT_ACCEPTANCE])
    assert accepted == [f.ACCEPTED] * 9 + [f.NOT_ACCEPTED]
    assert [messages.decode_envelope(e.raw)[f.ENVELOPE_MESSAGE] for e in envelopes[3:]] == sent


def test_an_envelope_is_the_same_whenever_it_is_made(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    begun.receive(*(meter.readings() for _ in range(6)))
    envelopes = begun.store.outbox.pending(100)
    begun.restart()
    assert begun.store.outbox.pending(100) == envelopes
    assert begun.store.outbox.pending(2, after=envelopes[3].verdict) == envelopes[4:6]


# Strangers and garbage


def test_a_stranger_gets_no_answer_and_leaves_an_identity(
    gateway: SimulatedGateway, meter: SimulatedMeter
) -> None:
    begin = meter.begin()
    for _ in range(3):
        outcome = gateway.receive(*begin, meter.readings(SEQUENCE=9))
        assert (outcome.stored, outcome.answers) == (0, [])
        assert [rejection.reason for rejection in outcome.rejected] == ["unknown_key"] * 4
    (known,) = gateway.store.registry.unknown_identities()
    assert (known.thumbprint, known.peer, known.messages, known.raw) == (meter.thumbprint, "a line", 12, begin[0])
    assert gateway.store.archive.rejected() == []
    assert gateway.store.archive.counters()["rejected.unknown_key"] == 12
    # Enrolled, the same bytes are taken: the running gateway notices by itself.
    gateway.enrol(known.raw)
    assert gateway.receive(*begin).accepted == 3
    assert gateway.store.registry.unknown_identities() == []


def test_forged_identities_leave_nothing(gateway: SimulatedGateway, meter: SimulatedMeter) -> None:
    raw = bytearray(meter.identity())
    raw[-1] ^= 1
    gateway.receive(bytes(raw))
    assert gateway.store.registry.unknown_identities() == []


def flood(gateway: SimulatedGateway, count: int, *peers: str) -> dict[str, int]:
    """Identities by peer that are kept when each peer in turn has sent one, one millisecond after another."""
    gateway.time_ms = gateway.now.time_ms
    for number in range(count):
        gateway.time_ms += 1
        gateway.peer = peers[number % len(peers)]
        gateway.receive(SimulatedMeter(f"{gateway.peer} {number}").identity())
    return Counter(identity.peer for identity in gateway.store.registry.unknown_identities())


def test_identities_are_bounded_for_each_peer(tmp_path: Path, meter: SimulatedMeter) -> None:
    limits = Limits(unknown_identities=100, unknown_identities_per_peer=4)
    gateway = SimulatedGateway(tmp_path / "store.db", [meter], limits=limits)
    assert flood(gateway, 14, "line 1", "line 2") == {"line 1": 4, "line 2": 4}
    kept = [identity.last_ms for identity in gateway.store.registry.unknown_identities()]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == gateway.time_ms


def test_identities_are_bounded_in_all_and_nobody_hides_another(tmp_path: Path, meter: SimulatedMeter) -> None:
    limits = Limits(unknown_identities=6, unknown_identities_per_peer=4)
    gateway = SimulatedGateway(tmp_path / "store.db", [meter], limits=limits)
    flood(gateway, 1, "honest line")
    assert flood(gateway, 12, "line 1", "line 2", "line 3") == {
        "honest line": 1,
        "line 1": 1,
        "line 2": 2,
        "line 3": 2,
    }


def test_one_group_s_identities_are_bounded(tmp_path: Path, meter: SimulatedMeter) -> None:
    limits = Limits(unknown_identities=100, unknown_identities_per_peer=100)
    gateway = SimulatedGateway(tmp_path / "store.db", [meter], limits=limits)
    gateway.receive(*(SimulatedMeter(f"flood {number}").identity() for number in range(20)))
    assert len(gateway.store.registry.unknown_identities()) == ingest_module.MAX_IDENTITIES


def test_the_same_bytes_are_refused_once(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    forged = meter.readings(KIND=9)
    assert len(said(begun.receive(forged, forged), t.REFUSAL)) == 1


def test_refusals_are_bounded_and_name_each_bytes_once(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    forged = [meter.readings(KIND=9, SEQUENCE=3 + i) for i in range(100)]
    outcome = begun.receive(*forged, *forged)
    assert len(outcome.rejected) == 200
    refusals = said(outcome, t.REFUSAL)
    assert len(refusals) == answers_module.MAX_REFUSALS
    assert len({fields[f.DIGEST] for fields in refusals}) == len(refusals)


def test_the_ring_of_refused_bytes_is_bounded(tmp_path: Path, meter: SimulatedMeter) -> None:
    limits = Limits(rejected_count=5, rejected_bytes=300)
    gateway = SimulatedGateway(tmp_path / "store.db", [meter], limits=limits)
    for number in range(12):
        gateway.receive(bytes((number,)) * 10)
    kept = gateway.store.archive.rejected()
    assert [rejection.raw[0] for rejection in kept] == [11, 10, 9, 8, 7]
    assert {rejection.reason for rejection in kept} == {"cose_not_sign1"}
    gateway.receive(b"x" * 200)
    gateway.receive(b"y" * 150)
    assert [rejection.raw[:1] for rejection in gateway.store.archive.rejected()] == [b"y"]
    assert gateway.store.archive.counters() == {"rejected.cose_not_sign1": 14}


def test_of_a_large_piece_of_garbage_the_beginning_is_kept(gateway: SimulatedGateway) -> None:
    gateway.receive(b"x" * 100_000)
    ((raw, size),) = gateway.store.database.query("SELECT raw, size FROM rejected")
    assert (len(raw), size) == (t.MAX_MESSAGE, 100_000)


def test_good_messages_before_a_break_are_taken(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    outcome = begun.receive(meter.readings(), b"\xd2\x85", meter.readings())
    assert (outcome.accepted, [rejection.reason for rejection in outcome.rejected]) == (1, ["cose_structure"])


# Changes while the gateway runs


def test_a_revoked_meter_is_refused_from_the_moment_of_reception(
    begun: SimulatedGateway, meter: SimulatedMeter
) -> None:
    before, after = meter.readings(), meter.readings()
    in_time = begun.received(before)
    begun.store.registry.revoke(meter.thumbprint, "stolen", begun.now.time_ms + 1)
    assert begun.ingest.process([in_time], begun.now).accepted == 1
    begun.time_ms = begun.now.time_ms + 1
    outcome = begun.receive(after)
    assert [rejection.reason for rejection in outcome.rejected] == ["revoked_key"]
    assert outcome.answers == []


def test_time_requests_are_the_service_s_to_answer(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    outcome = begun.receive(meter.time_request(b"n" * 16))
    (request,) = outcome.time_requests
    assert (request.thumbprint, request.kid, request.nonce) == (meter.thumbprint, meter.kid, b"n" * 16)
    assert (request.peer, request.received_ms, outcome.stored) == ("a line", begun.now.time_ms, 0)


# Groups


def test_one_group_may_begin_before_the_one_before_it_ends(begun: SimulatedGateway, meter: SimulatedMeter) -> None:
    groups = [[begun.received(*(meter.readings() for _ in range(3)))] for _ in range(4)]
    now = begun.now
    under_way = begun.ingest.begin(groups[0])
    for group in groups[1:]:
        following = begun.ingest.begin(group)
        assert begun.ingest.finish(under_way, now).accepted == 3
        under_way = following
    assert receipted(begun.ingest.finish(under_way, now)) == [14]


def test_the_next_group_s_duplicates_are_seen_although_it_began_before(
    begun: SimulatedGateway, meter: SimulatedMeter
) -> None:
    group = [begun.received(meter.readings())]
    one, two = begun.ingest.begin(group), begun.ingest.begin(group)
    assert begun.ingest.finish(one, begun.now).duplicates == 0
    assert begun.ingest.finish(two, begun.now).duplicates == 1


def test_other_cores_make_no_difference(tmp_path: Path) -> None:
    pool = workers.Pool(2)
    kept = []
    for name, checker in (("inline", workers.Inline()), ("pool", pool)):
        meter = SimulatedMeter("m1")
        gateway = SimulatedGateway(tmp_path / f"{name}.db", [meter], checker)
        begin = meter.begin()
        gateway.enrol(begin[0])
        sent = [*begin, *(meter.readings() for _ in range(60))]
        sent[20] = sent[20][:-1] + bytes((sent[20][-1] ^ 1,))
        outcome = gateway.receive(*sent)
        kept.append((outcome, gateway.store.archive.messages(), gateway.store.outbox.pending(100)))
    pool.close()
    assert kept[0] == kept[1]
    assert (kept[0][0].stored, kept[0][0].judged) == (62, 20)


# The store fails


def fill_disk(gateway: SimulatedGateway) -> Callable[[], object]:
    """SQLite's own limit on the file gives what a full disk gives: SQLITE_FULL."""
    with gateway.store.database.transaction() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    return lambda: gateway.store.database._writing().execute("PRAGMA max_page_count = 1000000")


def make_read_only(gateway: SimulatedGateway) -> Callable[[], object]:
    writer = gateway.store.database._writing()
    writer.execute("PRAGMA query_only = ON")
    return lambda: None


@pytest.mark.parametrize(("spoil", "reason"), [(fill_disk, "disk_full"), (make_read_only, "read_only")])
def test_without_a_store_nothing_is_receipted_and_then_everything_goes_on(
    begun: SimulatedGateway,
    meter: SimulatedMeter,
    spoil: Callable[[SimulatedGateway], Callable[[], object]],
    reason: str,
) -> None:
    before = begun.store.archive.chains(), begun.store.outbox.count()
    repair = spoil(begun)
    payloads = [begun.received(*(meter.readings() for _ in range(40))) for _ in range(4)]
    with pytest.raises(StoreUnavailable) as caught:
        begun.ingest.process(payloads, begun.now)
    assert caught.value.reason == reason
    assert str(begun.path) in str(caught.value)
    assert (begun.store.archive.chains(), begun.store.outbox.count()) == before
    repair()
    outcome = begun.ingest.process(payloads, begun.now)
    assert (outcome.accepted, outcome.duplicates, receipted(outcome)) == (160, 0, [162])
