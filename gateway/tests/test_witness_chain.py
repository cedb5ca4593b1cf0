"""The chain of a witnessed meter without a process: what it goes on from, what waits, what comes back."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meter_gateway.config import SCHEMES, WitnessSection
from meter_gateway.ingest import Ingest
from meter_gateway.model import GatewayTime, Received
from meter_gateway.policy import load_scheme
from meter_gateway.rejudgement import Rejudgement
from meter_gateway.sealing import Sealer, Sealers
from meter_gateway.store import Store
from meter_gateway.traceability import Trust, assess_group
from meter_gateway.traceability.clock import Clocks
from meter_gateway.witness import enrolment
from meter_gateway.witness.chain import MAX_WAITING, RESERVE, Place, Stored, WitnessChain
from meter_gateway.workers import Inline
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import messages
from meter_protocol import types as t
from meter_sampling import read_back
from meter_sampling.clock import MeterClock
from meter_sampling.journal_error import JournalError

NOW = GatewayTime(1_770_000_000_000, f.CLOCK_SYNCHRONISED, 20)


class Bench:
    """A store, ingest, and one witness that is enrolled in it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gateway.sqlite"
        self.sealers = Sealers.generate()
        self.trust = Trust([], [], {}, Clocks(20, 0, 60_000), True)
        self.noted: Place | None = None
        self._random = random.Random(1)
        self.open()
        section = WitnessSection.model_construct(name="W-1", key=folder / "w.pem")
        self.meter = enrolment.add(self.store, section, 0)
        self.sealer = enrolment.load_sealer(section.key, t.ROLE_METER)

    def open(self) -> None:
        self.store = Store(self.path)
        judge = load_scheme(SCHEMES / "development.toml").judge
        self.ingest = Ingest(self.store, self.sealers, Inline(), self.trust, judge)

    def close(self) -> None:
        self.store.close()

    def chain(self) -> WitnessChain:
        """As a process begins with it."""
        identity = enrolment.identity(self.sealer, "W-1")
        stored = Stored(self.store, self.meter)
        return WitnessChain(
            self.sealer, MeterClock(), identity, stored, self.noted, self._learn, self._random.randbytes
        )

    def _learn(self, state: Any, group: Any, received_ms: int) -> None:
        assess_group(state, group, self.trust, received_ms)

    def take(self, chain: WitnessChain, count: int | None = None, first: int = 0) -> None:
        """Ingest so many of those that wait, and hand the receipts back."""
        raws = [waiting.raw for waiting in chain.waiting][first : None if count is None else first + count]
        outcome = self.ingest.process([Received(raw, "witness:W-1", NOW.time_ms) for raw in raws], NOW)
        assert not outcome.rejected
        for answer in outcome.answers:
            typ, fields = read_back.opened(answer.raw)
            if typ == t.RECEIPT:
                chain.take_receipt(answer.raw, fields)
        self.noted = chain.noted


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def event_codes(chain: WitnessChain) -> list[int]:
    """Of what waits; -1 for an identity."""
    found = []
    for waiting in chain.waiting:
        event = read_back.event_in(waiting.raw)
        found.append(-1 if event is None else event[0])
    return found


def some_event(chain: WitnessChain, ticks: int = 5) -> None:
    chain.event(ev.SELF_TEST_FAILED, {ev.REASON: "busy"}, ticks)


def test_what_was_not_stored_was_seen_by_nobody_and_its_number_is_sealed_again(bench: Bench) -> None:
    chain = bench.chain()
    chain.boot(1)
    some_event(chain)
    some_event(chain)
    bench.take(chain, 3)
    assert [waiting.sequence for waiting in chain.waiting] == [3]
    # A kill, and the next process.
    again = bench.chain()
    assert (again.epoch, again.sequence) == (chain.epoch, 2)
    again.boot(1)
    assert event_codes(again) == [ev.BOOT]
    bench.take(again)
    assert bench.store.registry.forks() == []
    (known,) = bench.store.archive.chains(bench.sealer.thumbprint)
    assert (known.next_sequence, known.parked) == (4, 0)


def test_a_process_reads_the_store_once_and_trusts_its_memory_from_then_on(bench: Bench) -> None:
    """A second start of the sampling, while the first one's messages are still on their way."""
    chain = bench.chain()
    chain.boot(1)
    chain.boot(2)
    assert event_codes(chain) == [-1, ev.BOOT, ev.BOOT]
    bench.take(chain)
    assert not chain.waiting
    assert bench.store.registry.forks() == []
    boots = [m.verified().fields[f.BOOT] for m in bench.store.archive.messages(types=(t.EVENT,))]
    assert sorted(boots) == [1, 2]


def test_messages_missing_below_the_newest_begin_a_new_epoch(bench: Bench) -> None:
    chain = bench.chain()
    chain.boot(1)
    some_event(chain)
    some_event(chain)
    bench.take(chain, 2)
    bench.take(chain, 1, first=1)
    again = bench.chain()
    assert again.sequence == -1
    again.boot(1)
    assert event_codes(again) == [-1, ev.EPOCH_OPENED, ev.BOOT, ev.RESEND_UNAVAILABLE]
    details = read_back.event_in(again.waiting[1].raw)[1]
    assert (details[ev.LAST_EPOCH], details[ev.LAST_SEQUENCE]) == (chain.epoch, 1)
    bench.take(again)
    assert bench.store.registry.forks() == []
    assert [known.parked for known in bench.store.archive.chains()] == [0, 0], "what came behind it is judged"


def test_a_new_epoch_that_was_cut_short_says_the_rest_at_the_next_start(bench: Bench) -> None:
    chain = bench.chain()
    chain.boot(1)
    bench.take(chain)
    bench.noted = Place(chain.epoch, 99)
    second = bench.chain()
    second.boot(1)
    assert event_codes(second) == [-1, ev.EPOCH_OPENED, ev.BOOT]
    bench.take(second, 1)
    third = bench.chain()
    assert third.epoch == second.epoch
    third.boot(1)
    assert event_codes(third) == [ev.EPOCH_OPENED, ev.BOOT]


def test_a_state_of_another_version_is_learnt_again_and_the_chain_goes_on(bench: Bench) -> None:
    chain = bench.chain()
    chain.boot(1)
    bench.take(chain)
    with bench.store.database.transaction() as connection:
        connection.execute("UPDATE chain SET state = x'80'")
    again = bench.chain()
    assert (again.epoch, again.sequence) == (chain.epoch, chain.sequence)
    again.boot(1)
    bench.take(again)
    for message in bench.store.archive.messages(bench.sealer.thumbprint):
        found = {code for code, _ in message.verdict[f.VERDICT_FINDINGS]}
        assert "gateway_witnessed" in found
        assert not found & {"chain_broken", "context_mismatch"}


def test_while_nothing_is_receipted_memory_is_bounded_as_a_journal_is(bench: Bench) -> None:
    chain = bench.chain()
    chain.boot(1)
    while len(chain.waiting) < MAX_WAITING:
        chain.event(ev.SELF_TEST_FAILED, {ev.REASON: "busy"}, 1, reserved=False)
    with pytest.raises(JournalError, match="journal_full"):
        chain.event(ev.SELF_TEST_FAILED, {ev.REASON: "busy"}, 1, reserved=False)
    sequence = chain.sequence
    assert not chain.event_if_room(ev.SELF_TEST_FAILED, {ev.REASON: "busy"}, 1)
    for _ in range(RESERVE):
        some_event(chain)
    with pytest.raises(JournalError, match="journal_full"):
        some_event(chain)
    assert chain.sequence == sequence + RESERVE, "what found no room took no number"


def test_only_a_receipt_for_what_waits_frees_it(bench: Bench) -> None:
    chain = bench.chain()
    chain.boot(1)
    genuine = {f.EPOCH: chain.epoch, f.SEQUENCE: 1, f.HASH: chain.waiting[1].hash}
    assert not chain.take_receipt(b"", genuine | {f.HASH: bytes(32)})
    assert not chain.take_receipt(b"", genuine | {f.EPOCH: bytes(8)})
    assert not chain.take_receipt(b"", genuine | {f.SEQUENCE: 9})
    assert len(chain.waiting) == 2
    assert chain.take_receipt(b"", genuine)
    assert not chain.waiting
    assert chain.noted == Place(chain.epoch, 1)


def test_the_finding_follows_the_enrolment_and_judging_again_finds_the_same(bench: Bench) -> None:
    chain = bench.chain()
    chain.boot(1)
    some_event(chain)
    bench.take(chain)
    judge = load_scheme(SCHEMES / "development.toml").judge
    work = Rejudgement(bench.store, bench.trust, judge, "again")
    while work.next_page() is not None:
        pass
    assert (work.tally.looked_at, work.tally.revised) == (3, 0)
    # The same bytes under a key that was enrolled as a field meter's have another finding.
    other = Sealer.generate(t.ROLE_METER)
    identity = {
        f.VERSION: 1, f.EPOCH: bytes(8), f.SEQUENCE: 0, f.BOOT: 0, f.PREVIOUS: bytes(32), f.CONTEXT: bytes(16),
        f.TIME_MS: 0, f.CLOCK_STATUS: f.CLOCK_UNKNOWN, f.CLOCK_UNCERTAINTY_MS: None,
    }  # fmt: skip
    raw = other.seal(t.IDENTITY, identity | enrolment.identity(other, "W-1"))
    bench.store.registry.enrol(raw, "thumbprint", 0)
    bench.ingest.process([Received(raw, "here", NOW.time_ms)], NOW)
    (message,) = bench.store.archive.messages(other.thumbprint)
    codes = {code for code, _ in message.verdict[f.VERDICT_FINDINGS]}
    assert "key_software" in codes
    assert "gateway_witnessed" not in codes


def test_every_message_is_one_that_the_protocol_allows(bench: Bench) -> None:
    chain = bench.chain()
    chain.boot(1)
    for waiting in chain.waiting:
        typ, fields = read_back.opened(waiting.raw)
        assert messages.encode(typ, fields)
