"""What a group leaves in the store, in the outbox and in the answers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from said import receipted, said

from meter_gateway import workers
from meter_gateway.model import GatewayTime
from meter_gateway.store import StoreUnavailable
from meter_gateway.verify import Key, KeyRing, verify
from meter_protocol import fields as f
from meter_protocol import merkle, messages
from meter_protocol import types as t
from meter_tools.simulated_gateway import SEALERS, SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter

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
