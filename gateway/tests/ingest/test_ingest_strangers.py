"""Strangers, garbage and what is refused: little is kept of it, and it is answered with care."""

from collections import Counter
from pathlib import Path

from said import said

from meter_gateway import answers as answers_module
from meter_gateway import ingest as ingest_module
from meter_gateway.store import Limits
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_gateway import SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter

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
