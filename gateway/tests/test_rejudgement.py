"""Judging again: exactly the affected messages get a revision, once, and nothing is overwritten."""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meter_gateway import basis, records
from meter_gateway.config import SCHEMES
from meter_gateway.metrology import sums
from meter_gateway.metrology.budget import Distribution
from meter_gateway.metrology.conformity import DecisionRule
from meter_gateway.policy import load_scheme
from meter_gateway.rejudgement import PAGE, Rejudgement, Tally
from meter_gateway.store import StoreUnavailable
from meter_gateway.traceability import Trust, budget_record
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.hierarchy import NO_INSTITUTES, Rules
from meter_gateway.traceability.software import Approvals
from meter_gateway.traceability.terms import Contribution, Target, Terms
from meter_gateway.verify import Key, KeyRing, verify
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import merkle, messages
from meter_protocol import types as t
from meter_tools.simulated_gateway import SEALERS, SimulatedGateway
from meter_tools.simulated_meter import START_MS, SimulatedMeter, trust_in

HOUSE = load_scheme(SCHEMES / "house.toml")
DEVELOPMENT = load_scheme(SCHEMES / "development.toml")


@pytest.fixture
def meters() -> list[SimulatedMeter]:
    return [SimulatedMeter("m1"), SimulatedMeter("m2")]


@pytest.fixture
def gateway(tmp_path: Path, meters: list[SimulatedMeter]) -> Iterator[SimulatedGateway]:
    """Two meters, each with identity, parameters, boot and forty readings of ten channels."""
    made = SimulatedGateway(tmp_path / "store.db", meters)
    for meter in meters:
        begin = meter.begin()
        made.enrol(begin[0])
        made.receive(*begin)
    for _ in range(8):
        for meter in meters:
            made.receive(*(meter.readings() for _ in range(5)))
    yield made
    made.close()


def judge_again(
    gateway: SimulatedGateway, trust: Trust, scheme=HOUSE, cause: str = "tried", most: int | None = None
) -> Tally:
    """`most` pages, or all."""
    work = Rejudgement(gateway.store, trust, scheme.judge, cause)
    pages = 0
    while (most is None or pages < most) and (revisions := work.next_page()) is not None:
        pages += 1
        if revisions:
            work.record(revisions, SEALERS.verdict, gateway.now)
    return work.tally


def but(trust: Trust, **change: Any) -> Trust:
    """The same in all but what is given."""
    same = {
        "certificates": trust.register,
        "bindings": trust.bindings,
        "authorities": trust.authorities,
        "clocks": trust.clocks,
        "clock_trusted": trust.clock_trusted,
        "makers": trust.makers,
        "software": trust.software,
    }
    return Trust(**{**same, **change})


def changed(trust: Trust, change: Callable[[c.Certificate], c.Certificate]) -> Trust:
    return but(trust, certificates=[change(each) for each in trust.register])


def withdrawn(identifier: str) -> Callable[[c.Certificate], c.Certificate]:
    end = c.End(c.EndKind.WITHDRAWN, START_MS, "found wrong", None)

    def change(certificate: c.Certificate) -> c.Certificate:
        return replace(certificate, ends=(end,)) if certificate.identifier == identifier else certificate

    return change


def certificates_of(trust: Trust, meter: SimulatedMeter) -> list[str]:
    return [
        each
        for binding in trust.bindings
        if binding.thumbprint == meter.thumbprint
        for each in binding.certificates
    ]


def verdicts(gateway: SimulatedGateway, meter: SimulatedMeter) -> dict[int, list]:
    """All revisions of each message of the meter's chain, by sequence."""
    archive = gateway.store.archive
    return {
        message.sequence: archive.verdicts(message.id)
        for message in archive.messages(meter.thumbprint, limit=10_000)
    }


def test_nothing_changed_nothing_revised(gateway, meters) -> None:
    before = verdicts(gateway, meters[0])
    tally = judge_again(gateway, trust_in(meters))
    assert (tally.looked_at, tally.revised) == (2 * 43, 0)
    assert verdicts(gateway, meters[0]) == before


def test_a_withdrawn_certificate_reaches_every_reading_that_it_spoke_for_and_no_other(gateway, meters) -> None:
    one, other = meters
    before = verdicts(gateway, one), verdicts(gateway, other)
    trust = trust_in(meters)
    identifier = certificates_of(trust, one)[0]
    tally = judge_again(gateway, changed(trust, withdrawn(identifier)), cause=f"certificate {identifier} changed")
    assert (tally.revised, tally.no_longer_accepted, tally.now_accepted) == (40, 40, 0)
    assert set(tally.found) == {"certificate_withdrawn"}
    assert verdicts(gateway, other) == before[1]
    for sequence, revisions in verdicts(gateway, one).items():
        # What was said first stays as it was said.
        assert revisions[0] == before[0][sequence][0]
        if sequence < 3:
            assert len(revisions) == 1
            continue
        first, second = revisions
        assert (second[f.VERDICT_REVISION], second[f.VERDICT_ACCEPTANCE]) == (1, f.NOT_ACCEPTED)
        assert second[f.VERDICT_CAUSE] == f"certificate {identifier} changed"
        assert first[f.HASH] == second[f.HASH]
        assert "certificate_withdrawn" in {code for code, _ in second[f.VERDICT_FINDINGS]}


def test_what_is_taken_back_is_a_third_revision_and_the_first_opinion_again(gateway, meters) -> None:
    trust = trust_in(meters)
    judge_again(gateway, changed(trust, withdrawn(certificates_of(trust, meters[0])[0])))
    tally = judge_again(gateway, trust, cause="an error was corrected")
    assert (tally.revised, tally.now_accepted) == (40, 40)
    first, second, third = verdicts(gateway, meters[0])[10]
    assert first[f.VERDICT_FINDINGS] == third[f.VERDICT_FINDINGS] != second[f.VERDICT_FINDINGS]
    assert (third[f.VERDICT_REVISION], third[f.VERDICT_CAUSE]) == (2, "an error was corrected")


def test_whatever_interrupts_it_the_next_run_revises_the_rest_once(tmp_path, gateway, meters) -> None:
    for meter in meters:
        gateway.receive(*(meter.readings() for _ in range(PAGE)))
    trust = changed(trust_in(meters), lambda each: withdrawn(each.identifier)(each))
    stopped = judge_again(gateway, trust, most=2)
    rest = judge_again(gateway, trust)
    readings = 2 * (40 + PAGE)
    assert 0 < stopped.revised < readings
    assert stopped.revised + rest.revised == readings
    assert {len(found) for meter in meters for n, found in verdicts(gateway, meter).items() if n >= 3} == {2}


def test_a_store_that_fails_leaves_nothing_half_revised(gateway, meters, monkeypatch) -> None:
    trust = changed(trust_in(meters), lambda each: withdrawn(each.identifier)(each))
    before = verdicts(gateway, meters[0])

    def fails(commit) -> None:
        raise StoreUnavailable("disk_full", "the disk is full")

    monkeypatch.setattr(gateway.store, "commit", fails)
    with pytest.raises(StoreUnavailable):
        judge_again(gateway, trust)
    monkeypatch.undo()
    assert verdicts(gateway, meters[0]) == before
    assert judge_again(gateway, trust).revised == 80


def test_every_revision_goes_up_with_its_proof(gateway, meters) -> None:
    outbox = gateway.store.outbox
    outbox.mark_sent(envelope.verdict for envelope in outbox.pending(1000))
    trust = changed(trust_in(meters), lambda each: withdrawn(each.identifier)(each))
    judge_again(gateway, trust)
    pending = outbox.pending(1000)
    assert len(pending) == 80
    ring = KeyRing([Key.of(SEALERS.verdict.cose_key, t.ROLE_VERDICT)], (t.VERDICT_BATCH,))
    for envelope in pending:
        fields = messages.decode_envelope(envelope.raw)
        batch = verify(fields[f.ENVELOPE_BATCH], ring, 0).fields
        record = fields[f.ENVELOPE_VERDICT]
        merkle.verify_path(
            record, fields[f.ENVELOPE_INDEX], batch[f.COUNT], fields[f.ENVELOPE_PATH], batch[f.ROOT]
        )
        assert messages.decode_verdict(record)[f.VERDICT_REVISION] == 1


def wider(identifier: str) -> Callable[[c.Certificate], c.Certificate]:
    """The laboratory corrects its uncertainty, and nothing else."""

    def change(certificate: c.Certificate) -> c.Certificate:
        if certificate.identifier != identifier:
            return certificate
        results = tuple(
            replace(each, points=tuple(replace(point, expanded_uncertainty=Decimal(2)) for point in each.points))
            for each in certificate.results
        )
        return replace(certificate, results=results)

    return change


def test_another_uncertainty_alone_is_a_revision(gateway, meters) -> None:
    one, other = meters
    trust = trust_in(meters)
    corrected = changed(trust, wider(certificates_of(trust, one)[0]))
    untouched = verdicts(gateway, other)
    tally = judge_again(gateway, corrected, cause="U corrected")
    assert (tally.revised, tally.now_accepted, tally.no_longer_accepted) == (40, 0, 0)
    assert not tally.found
    assert not tally.gone
    assert verdicts(gateway, other) == untouched
    first, second = verdicts(gateway, one)[10]
    assert first[f.VERDICT_FINDINGS] == second[f.VERDICT_FINDINGS]
    assert second[f.VERDICT_CAUSE] == "U corrected"
    before, after = ({entry[0]: entry[1:] for entry in each[f.VERDICT_UNCERTAINTY]} for each in (first, second))
    assert before.keys() == after.keys()
    # The first instrument's channels, whose U is twice what it was; rounded up either time.
    assert all(2 * before[n][3] - 1 <= after[n][3] <= 2 * before[n][3] for n in range(1, 8))
    assert all(before[n] == after[n] for n in range(8, 11))
    assert first[f.VERDICT_BUDGET] != second[f.VERDICT_BUDGET]
    assert gateway.store.archive.budget(second[f.VERDICT_BUDGET]) is not None
    assert judge_again(gateway, corrected).revised == 0


def test_another_budget_with_the_same_parts_is_a_revision(gateway, meters) -> None:
    """A target that every reading meets is stated too."""
    trust = trust_in(meters)
    first, *others = trust.bindings
    met = replace(first, terms=Terms(target=Target(Decimal(90), "%")))
    said = but(trust, bindings=[met, *others])
    assert judge_again(gateway, said).revised == 40
    before, after = verdicts(gateway, meters[0])[10]
    assert before[f.VERDICT_UNCERTAINTY] == after[f.VERDICT_UNCERTAINTY]
    assert before[f.VERDICT_BUDGET] != after[f.VERDICT_BUDGET]


def test_verdicts_from_before_there_was_uncertainty_are_revised_where_there_is_something_to_state(
    tmp_path,
) -> None:
    meter = SimulatedMeter("m1")
    gateway = SimulatedGateway(tmp_path / "store.db", [meter])
    begin = meter.begin()
    gateway.enrol(begin[0])
    gateway.receive(*begin, *(meter.readings() for _ in range(10)))
    with gateway.store.database.transaction() as connection:
        for number, encoded in connection.execute("SELECT id, encoded FROM opinion").fetchall():
            fields = records.opinion_fields(encoded, b"\x80")
            size = len(b"\x10\xf6\x11") if fields[f.VERDICT_BUDGET] is None else len(b"\x10\x58\x20\x11") + 32
            connection.execute("UPDATE opinion SET encoded = ? WHERE id = ?", (encoded[:-size], number))
        connection.execute("UPDATE verdict SET uncertainty = NULL")
    gateway.restart()
    assert judge_again(gateway, trust_in([meter])).revised == 10
    found = verdicts(gateway, meter)
    assert [len(found[n]) for n in range(4)] == [1, 1, 1, 2]
    assert [len(each[f.VERDICT_UNCERTAINTY]) for each in found[5]] == [0, 10]
    gateway.close()


def test_what_ingest_states_under_it_is_what_judging_again_states(tmp_path, gateway, meters) -> None:
    """Terms, drift and a target, known from the first message on or only afterwards."""
    trust = trust_in(meters)
    terms = Terms(
        (
            Contribution("drift", Distribution.RECTANGULAR, Decimal("0.4"), "%", "data sheet", per_year=True),
            Contribution("transformer", Distribution.NORMAL, Decimal("0.1"), "%", "CT-1", certificate="CT-1"),
        ),
        target=Target(Decimal("0.99"), "%"),
    )
    said = but(trust, bindings=[replace(each, terms=terms) for each in trust.bindings])
    assert judge_again(gateway, said).revised == 80
    fresh = SimulatedGateway(tmp_path / "fresh.db", meters)
    fresh.ingest.trust = said
    for meter in meters:
        again = SimulatedMeter(meter.name)
        begin = again.begin()
        fresh.enrol(begin[0])
        fresh.receive(*begin, *(again.readings() for _ in range(40)))
    keys = (f.VERDICT_FINDINGS, f.VERDICT_BUDGET, f.VERDICT_UNCERTAINTY, f.VERDICT_ACCEPTANCE)
    for meter in meters:
        ours, theirs = (
            [[each[-1][key] for key in keys] for _, each in sorted(verdicts(where, meter).items())]
            for where in (gateway, fresh)
        )
        assert ours == theirs
    fresh.close()


def test_a_day_s_total_from_stored_parts_is_the_total_from_the_budget(gateway, meters) -> None:
    """Of one energy register, and of its balance with another under the same certificate."""
    archive = gateway.store.archive
    stored = archive.messages(meters[0].thumbprint, types=(t.READINGS,), limit=1000)
    totals, direct, sums_of = {}, {}, {}
    for channel, sign in ((1, 1), (2, -1)):
        entries = [
            next(each for each in message.verdict[f.VERDICT_UNCERTAINTY] if each[0] == channel)
            for message in stored[1:]
        ]
        record = archive.budget(stored[1].verdict[f.VERDICT_BUDGET])
        known = budget_record.read(record)[channel]
        totals[sign] = sums.over_intervals(
            [[sums.stated(entry, known.certificates, 1e-3) for entry in entries]], telescopes=True
        )
        first, last = (message.verified().fields[f.READINGS][channel][1] for message in (stored[0], stored[-1]))
        sums_of[sign] = last - first
        # U = 1 % with k = 2 at every point, so that 0.5 % of the whole increase is what is common.
        direct[sign] = 0.005 * (last - first)
        resolution = 1 / math.sqrt(6)
        assert totals[sign].combined_uncertainty == pytest.approx(math.hypot(direct[sign], resolution), abs=0.05)
    balance = sums.over_channels([totals[1], totals[-1]], signs=[1, -1])
    common = 0.005 * abs(sums_of[1] - sums_of[-1])
    assert balance.combined_uncertainty == pytest.approx(math.hypot(common, math.sqrt(2 / 6)), abs=0.05)


def test_another_scheme_is_another_opinion_of_the_same_facts(gateway, meters) -> None:
    tally = judge_again(gateway, trust_in(meters), scheme=DEVELOPMENT, cause="scheme changed")
    assert tally.revised == tally.looked_at == 86
    assert not tally.found
    assert not tally.gone
    first, second = verdicts(gateway, meters[0])[5]
    assert (first[f.VERDICT_SCHEME], second[f.VERDICT_SCHEME]) == ("house", "development")
    assert first[f.VERDICT_FINDINGS] == second[f.VERDICT_FINDINGS]


# The standards behind a certificate


def on_standard(trust: Trust, identifier: str, rules: Rules = NO_INSTITUTES, **change: Any) -> Trust:
    """That certificate was made with a standard whose own is held too, changed as given."""
    (own,) = (each for each in trust.register if each.identifier == identifier)
    result, *_ = own.results
    finer = tuple(replace(point, expanded_uncertainty=Decimal("0.1")) for point in result.points)
    above = replace(result, instrument=replace(result.instrument, serial="W-7"), points=finer)
    standard = replace(own, identifier="W-CERT", results=(above,), **change)
    named = replace(own, equipment=(c.Equipment("working standard", ("W-7",), "W-CERT", None),))
    others = [each for each in trust.register if each is not own]
    return but(trust, certificates=[named, standard, *others], standards=rules)


def test_a_standard_s_certificate_that_is_withdrawn_reaches_the_readings_far_below_and_no_other(
    gateway, meters
) -> None:
    one, other = meters
    trust = trust_in(meters)
    identifier = certificates_of(trust, one)[0]
    held = on_standard(trust, identifier)
    assert judge_again(gateway, held).revised == 0
    untouched = verdicts(gateway, other)
    gone = on_standard(trust, identifier, ends=(c.End(c.EndKind.WITHDRAWN, START_MS, "found wrong", None),))
    told = basis.changes(basis.basis_of(held, HOUSE), basis.basis_of(gone, HOUSE))
    assert told == ["certificate W-CERT changed"]
    tally = judge_again(gateway, gone, cause=basis.cause_of(told))
    assert (tally.revised, tally.no_longer_accepted, set(tally.gone)) == (40, 40, set())
    assert set(tally.found) == {"standards_link_invalid"}
    assert verdicts(gateway, other) == untouched
    assert verdicts(gateway, one)[10][-1][f.VERDICT_CAUSE] == "certificate W-CERT changed"
    assert judge_again(gateway, held).now_accepted == 40


def test_other_rules_of_standards_are_another_basis(gateway, meters) -> None:
    trust = trust_in(meters)
    identifier = certificates_of(trust, meters[0])[0]
    held = on_standard(trust, identifier)
    before = basis.basis_of(held, HOUSE)
    finer = on_standard(trust, identifier, Rules(frozenset(), 30))
    assert basis.changes(before, basis.basis_of(finer, HOUSE)) == ["rules of standards changed"]
    tally = judge_again(gateway, finer)
    assert (tally.revised, set(tally.found), tally.no_longer_accepted) == (40, {"standards_ratio_exceeded"}, 0)
    ends = on_standard(trust, identifier, Rules(frozenset({"nowhere"}), 3))
    assert basis.changes(before, basis.basis_of(ends, HOUSE)) == ["rules of standards changed"]
    tally = judge_again(gateway, ends)
    assert (tally.revised, set(tally.found), tally.no_longer_accepted) == (80, {"standards_chain_incomplete"}, 0)


# What is in no signed byte is kept.


def test_the_gateways_clock_at_reception_is_remembered(gateway, meters) -> None:
    gateway.clock_status = f.CLOCK_INFORMATIVE
    gateway.receive(*(meters[0].readings() for _ in range(3)))
    gateway.clock_status = f.CLOCK_SYNCHRONISED
    gateway.receive(*(meters[0].readings() for _ in range(3)))
    assert judge_again(gateway, trust_in(meters)).revised == 0


def test_a_bar_holds_from_the_fork_on_and_not_before(gateway, meters) -> None:
    meter = meters[0]
    twin = SimulatedMeter("m1")
    twin.begin()
    twin.epoch, twin.sequence = meter.epoch, meter.sequence - 1
    gateway.receive(twin.readings())
    gateway.receive(*(meter.readings() for _ in range(4)))
    found = {n: {code for code, _ in said[-1][f.VERDICT_FINDINGS]} for n, said in verdicts(gateway, meter).items()}
    assert "chain_fork" not in found[10]
    assert "chain_fork" in found[46]
    assert judge_again(gateway, trust_in(meters)).revised == 0


def test_a_gap_that_was_attested_and_what_came_after_it(gateway, meters) -> None:
    meter = meters[0]
    lost = [meter.readings() for _ in range(3)]
    gone = {ev.LAST_EPOCH: None, ev.FIRST_SEQUENCE: 43, ev.LAST_SEQUENCE: 45}
    gone |= {ev.LAST_HASH: None, ev.LAST_RECEIPT: None}
    gateway.receive(meter.event(ev.RESEND_UNAVAILABLE, gone))
    gateway.receive(*(meter.readings() for _ in range(2)))
    gateway.receive(lost[1])
    found = verdicts(gateway, meter)
    assert [code for code, _ in found[44][0][f.VERDICT_FINDINGS]] == ["chain_broken"]
    assert judge_again(gateway, trust_in(meters)).revised == 0


# What verdicts rest on


def test_software_that_is_no_longer_approved_reaches_exactly_the_meters_that_run_it(gateway, meters) -> None:
    flashed = SimulatedMeter("flashed")
    flashed.software = flashed.software_before = hashlib.sha256(b"flashed on the bench").digest()
    trust = trust_in([*meters, flashed])
    both = but(trust, software=Approvals({**trust.software.listed, flashed.software: True}))
    gateway.ingest.trust = both
    begin = flashed.begin()
    gateway.enrol(begin[0])
    gateway.receive(*begin, *(flashed.readings() for _ in range(10)))
    untouched = verdicts(gateway, meters[0])
    told = basis.changes(basis.basis_of(both, HOUSE), basis.basis_of(trust, HOUSE))
    assert told == [f"approval of software {flashed.software.hex()[:16]} removed"]
    tally = judge_again(gateway, trust, cause=basis.cause_of(told))
    assert (tally.revised, tally.no_longer_accepted) == (13, 13)
    assert (set(tally.found), set(tally.gone)) == ({"software_unapproved"}, set())
    assert verdicts(gateway, meters[0]) == untouched
    assert judge_again(gateway, both).now_accepted == 13


def test_the_basis_names_what_is_another(meters) -> None:
    trust = trust_in(meters)
    identifier = certificates_of(trust, meters[0])[0]
    before = basis.basis_of(trust, HOUSE)
    assert basis.basis_of(trust_in(meters), HOUSE) == before
    now = basis.basis_of(changed(trust, withdrawn(identifier)), HOUSE)
    assert basis.changes(before, now) == [f"certificate {identifier} changed"]
    assert basis.changes(before, basis.basis_of(trust, DEVELOPMENT)) == ["scheme changed"]
    fewer = basis.basis_of(trust_in(meters[:1]), HOUSE)
    told = basis.changes(before, fewer)
    assert told == [*sorted(told)]
    assert {each.rpartition(" ")[2] for each in told} == {"removed"}
    assert set(basis.changes(fewer, before)) == {each.replace("removed", "added") for each in told}


def test_what_an_owner_says_of_uncertainty_is_part_of_the_basis(meters) -> None:
    trust = trust_in(meters)
    before = basis.basis_of(trust, HOUSE)
    first, *others = trust.bindings

    def with_(terms: Terms, rule: DecisionRule = trust.rule) -> Trust:
        return but(trust, bindings=[replace(first, terms=terms), *others], rule=rule)

    named = f"binding of channel {first.channel} of {first.thumbprint.hex()[:16]} changed"
    target = Terms(target=Target(Decimal("0.5"), "%"))
    assert basis.changes(before, basis.basis_of(with_(target), HOUSE)) == [named]
    guarded = basis.basis_of(with_(Terms(), DecisionRule("guarded")), HOUSE)
    assert basis.changes(before, guarded) == ["decision rule changed"]
    earlier = {name: digest for name, digest in before.items() if name != "rules of judgement"}
    assert basis.changes(earlier, before) == ["rules of judgement added"]


@pytest.mark.parametrize("count", [1, 2, 1000])
@pytest.mark.parametrize("name", ["short", "长" * 40, "x" * 63 + "长"])
def test_a_cause_fits_into_a_verdict(name: str, count: int) -> None:
    cause = basis.cause_of([name] * count)
    assert len(cause.encode()) <= basis.MAX_CAUSE_BYTES
    assert cause[:5] == name[:5]


def test_the_basis_is_kept(gateway, meters) -> None:
    database = gateway.store.database
    assert basis.load(database) == {}
    after = basis.basis_of(trust_in(meters), HOUSE)
    basis.keep(database, after)
    basis.keep(database, after)
    assert basis.load(database) == after
