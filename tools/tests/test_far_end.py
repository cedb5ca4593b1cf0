"""The demo's far end: a later revision of a verdict is no repetition, and the latest one counts."""

from pathlib import Path

from meter_gateway.config import SCHEMES
from meter_gateway.policy import load_scheme
from meter_gateway.rejudgement import Rejudgement
from meter_tools.demo.far_end import FarEnd
from meter_tools.simulated_gateway import SEALERS, SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter, trust_in


def test_a_revision_takes_the_place_of_the_verdict_before(tmp_path: Path) -> None:
    meter = SimulatedMeter("m1")
    gateway = SimulatedGateway(tmp_path / "store.db", [meter])
    begin = meter.begin()
    gateway.enrol(begin[0])
    gateway.receive(*begin, *(meter.readings() for _ in range(5)))
    far_end = FarEnd(meter.sealer.cose_key, SEALERS.verdict.cose_key)
    first = gateway.store.outbox.pending(100)
    for envelope in first:
        far_end.take(envelope.raw)
    assert (far_end.messages, far_end.accepted, far_end.repeated) == (8, 8, 0)
    assert "certificate_missing" not in far_end.findings

    # Nothing is bound any more.
    gateway.store.outbox.mark_sent(envelope.verdict for envelope in first)
    work = Rejudgement(gateway.store, trust_in([]), load_scheme(SCHEMES / "house.toml").judge, "tried")
    while (revisions := work.next_page()) is not None:
        if revisions:
            work.record(revisions, SEALERS.verdict, gateway.now)
    later = gateway.store.outbox.pending(100)
    for envelope in later:
        far_end.take(envelope.raw)
    assert (far_end.messages, far_end.repeated) == (8, 0)
    assert far_end.findings["certificate_missing"] == 50
    assert not far_end.refused

    for envelope in (first[-1], later[-1]):
        far_end.take(envelope.raw)
    assert (far_end.messages, far_end.repeated) == (8, 2)
    assert far_end.findings["certificate_missing"] == 50
    gateway.close()
