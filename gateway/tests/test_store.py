"""The store by itself: what it refuses to open, who may write, and that what it acknowledged is there."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import cbor2
import pytest

from meter_gateway import records
from meter_gateway.database import VERSION, Database
from meter_gateway.model import Finding, Rejected, Verdict
from meter_gateway.registry import BY_THUMBPRINT
from meter_gateway.store import Store, StoreError, StoreUnavailable
from meter_protocol import fields as f
from meter_protocol import messages
from meter_protocol import types as t
from meter_tools.simulated_gateway import SimulatedGateway
from meter_tools.simulated_meter import INTERVAL_MS, START_MS, SimulatedMeter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def meter() -> SimulatedMeter:
    return SimulatedMeter("m1")


@pytest.fixture
def filled(path: Path, meter: SimulatedMeter) -> SimulatedGateway:
    """Twenty readings, one a minute from a minute after START_MS on, behind identity, parameters and boot."""
    gateway = SimulatedGateway(path, [meter])
    begin = meter.begin()
    gateway.enrol(begin[0])
    gateway.receive(*begin)
    for _ in range(4):
        gateway.receive(*(meter.readings() for _ in range(5)))
    return gateway


# Opening


def test_settings_that_durability_rests_on(path: Path) -> None:
    with Database(path).transaction() as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2}


def test_a_newer_database_is_refused_and_left_alone(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(StoreError) as caught:
        Store(path)
    assert caught.value.reason == "newer_database"
    assert not isinstance(caught.value, StoreUnavailable)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)


def test_a_schema_that_fails_half_way_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meter_gateway.database.VERSION", VERSION + 1)
    with pytest.raises(FileNotFoundError):
        Database(path)
    monkeypatch.undo()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    Store(path).close()


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreUnavailable) as caught:
        Store(path)
    assert caught.value.reason == "corrupt"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        Store(tmp_path / "nowhere" / "store.db")
    assert caught.value.reason == "cannot_open"


def test_one_gateway_at_a_time(filled: SimulatedGateway) -> None:
    second = Store(filled.path)
    with pytest.raises(StoreError) as caught:
        second.claim()
    assert caught.value.reason == "store_in_use"
    # Looking is free, and so is what an engineer does at the command line meanwhile.
    assert len(second.archive.messages()) == 23
    filled.close()
    second.claim()
    second.close()


def test_committing_needs_the_claim(path: Path) -> None:
    store = Store(path)
    with pytest.raises(RuntimeError, match="claim"):
        store.commit(store.new_commit())


def test_a_store_that_another_process_holds(filled: SimulatedGateway, meter: SimulatedMeter) -> None:
    other = sqlite3.connect(filled.path, isolation_level=None)
    filled.store.database._writing().execute("PRAGMA busy_timeout = 20")
    other.execute("BEGIN IMMEDIATE")
    raw = meter.readings()
    with pytest.raises(StoreUnavailable) as caught:
        filled.receive(raw)
    assert caught.value.reason == "locked"
    other.execute("ROLLBACK")
    assert filled.receive(raw).accepted == 1


def test_a_file_size_limit_is_a_disk_that_is_full(path: Path) -> None:
    """The same by the operating system: a process that may write no more than 400 kB."""
    script = f"""
import resource, signal
from pathlib import Path
from meter_gateway.store import StoreUnavailable
from meter_tools.simulated_gateway import SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
meter = SimulatedMeter("m1")
gateway = SimulatedGateway(Path({str(path)!r}), [meter])
begin = meter.begin()
gateway.enrol(begin[0])
gateway.receive(*begin)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
stored, pending = 3, None
while pending is None:
    group = [meter.readings() for _ in range(50)]
    try:
        stored += gateway.receive(*group).stored
    except StoreUnavailable as error:
        pending = group
        print(error.reason)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
stored += gateway.receive(*pending).stored
print(stored == gateway.store.archive.chains()[0].messages == meter.sequence + 1)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() in (["disk_full", "True"], ["io_error", "True"])


# Durability


WRITER = """
import sys
from pathlib import Path
from meter_tools.simulated_gateway import SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter
meter = SimulatedMeter("m1")
gateway = SimulatedGateway(Path(sys.argv[1]), [meter])
begin = meter.begin()
if not gateway.store.registry.meters():
    gateway.enrol(begin[0])
gateway.receive(*begin)
while True:
    outcome = gateway.receive(*(meter.readings() for _ in range(7)))
    print(meter.sequence, flush=True)
"""


def test_kill_at_any_moment_loses_nothing_that_was_acknowledged(path: Path) -> None:
    """The same meter sends its chain from the beginning again after each kill, as its journal would."""
    for kill in range(6):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert process.stdout
        acknowledged = [int(process.stdout.readline()) for _ in range(8 + 5 * kill)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().split(b"\n")[:-1]]
        process.wait()
        process.stdout.close()
        store = Store(path)
        (chain,) = store.archive.chains()
        assert chain.head_sequence is not None
        assert chain.head_sequence >= acknowledged[-1]
        assert (chain.messages, chain.parked) == (chain.head_sequence + 1, 0)
        # One verdict and one outbox row for each message: nothing was judged or queued twice.
        assert store.outbox.count() == chain.messages
        (integrity,) = store.database.query("PRAGMA integrity_check")
        assert integrity == ("ok",)
        store.close()


def test_a_backup_is_a_whole_store(filled: SimulatedGateway, meter: SimulatedMeter, tmp_path: Path) -> None:
    filled.store.database.backup(tmp_path / "backup.db")
    filled.receive(meter.readings())
    restored = Store(tmp_path / "backup.db")
    assert [stored.raw for stored in restored.archive.messages()] == [
        stored.raw for stored in filled.store.archive.messages()[:-1]
    ]
    assert restored.outbox.pending(100) == filled.store.outbox.pending(100)[:-1]


# Questions


def test_messages_by_time_meter_and_type(filled: SimulatedGateway, meter: SimulatedMeter) -> None:
    archive = filled.store.archive
    at = [START_MS + i * INTERVAL_MS for i in range(22)]
    assert [m.time_ms for m in archive.messages(types=(t.READINGS,))] == at[1:21]
    assert [m.time_ms for m in archive.messages(from_ms=at[3], to_ms=at[5])] == at[3:5]
    assert [m.sequence for m in archive.messages(limit=3, newest_first=True)] == [22, 21, 20]
    assert archive.messages(bytes(32)) == []
    assert len(archive.messages(meter.thumbprint, types=(t.IDENTITY, t.EVENT))) == 3
    (identity,) = archive.messages(types=(t.IDENTITY,))
    assert archive.message(meter.thumbprint, meter.epoch, 0) == identity
    assert archive.message(meter.thumbprint, meter.epoch, 99) is None
    assert identity.verified().fields[f.SERIAL] == "m1"
    assert archive.verdicts(identity.id) == [identity.verdict]


def test_a_message_without_time_is_found_by_its_reception(filled: SimulatedGateway, meter: SimulatedMeter) -> None:
    filled.receive(meter.readings(CLOCK_STATUS=f.CLOCK_RELATIVE, CLOCK_UNCERTAINTY_MS=None, TIME_MS=5))
    received_ms = filled.now.time_ms
    assert filled.store.archive.messages(from_ms=received_ms)[0].sequence == 23


def test_what_was_sent_is_gone_and_can_be_put_back(filled: SimulatedGateway) -> None:
    outbox = filled.store.outbox
    all_ids = [envelope.verdict for envelope in outbox.pending(100)]
    outbox.mark_sent(all_ids[:20])
    assert [envelope.verdict for envelope in outbox.pending(100)] == all_ids[20:]
    start, end = START_MS + 17 * INTERVAL_MS, START_MS + 19 * INTERVAL_MS
    assert outbox.resend(start, end) == 1  # the other of the two still waits
    assert [envelope.verdict for envelope in outbox.pending(100)] == all_ids[19:]
    times = [messages.decode_envelope(envelope.raw)[f.ENVELOPE_MESSAGE] for envelope in outbox.pending(2)]
    assert times == [stored.raw for stored in filled.store.archive.messages(from_ms=start, to_ms=end)]


def test_a_later_revision_speaks_and_the_earlier_one_stays(filled: SimulatedGateway) -> None:
    """As a certificate's withdrawal will make it: another verdict on the same message, in a batch of its own."""
    store = filled.store
    message = store.archive.messages(types=(t.READINGS,))[0]
    again = Verdict("house", False, (Finding("certificate_withdrawn", 1),), revision=1, cause="withdrawn")
    opinion = records.opinion_of(again, b"\x07" * 32)
    commit = store.new_commit()
    number = store.opinion_id(commit, again.accepted, opinion)
    uncertainty = cbor2.dumps([[1, 0, 0, 409, 5000]])
    commit.verdicts.append((commit.first_verdict, message.id, again.revision, number, uncertainty))
    commit.batch = commit.first_verdict, 1, 77, b"the signed batch"
    store.commit(commit)
    before = message.verdict
    latest = store.archive.messages(types=(t.READINGS,))[0].verdict
    assert latest is not None
    assert (latest[f.VERDICT_REVISION], latest[f.TIME_MS], latest[f.VERDICT_CAUSE]) == (1, 77, "withdrawn")
    assert store.archive.verdicts(message.id) == [before, latest]
    envelope = messages.decode_envelope(store.outbox.pending(100)[-1].raw)
    assert messages.decode_verdict(envelope[f.ENVELOPE_VERDICT]) == latest
    assert envelope[f.ENVELOPE_MESSAGE] == message.raw
    assert (latest[f.VERDICT_BUDGET], latest[f.VERDICT_UNCERTAINTY]) == (b"\x07" * 32, [[1, 0, 0, 409, 5000]])


def test_a_verdict_from_before_there_was_uncertainty_keeps_its_signed_bytes(filled: SimulatedGateway) -> None:
    """Its record has eleven keys, which is what its batch proves; what is read of it has today's form."""
    store = filled.store
    message = store.archive.messages(types=(t.READINGS,))[0]
    whole = records.opinion_of(Verdict("house", True, ()), None)
    earlier = whole[: -len(b"\x10\xf6\x11")]
    commit = store.new_commit()
    number = store.opinion_id(commit, True, earlier)
    commit.verdicts.append((commit.first_verdict, message.id, 1, number, None))
    commit.batch = commit.first_verdict, 1, 77, b"the signed batch"
    store.commit(commit)
    leaf = messages.decode_envelope(store.outbox.pending(100)[-1].raw)[f.ENVELOPE_VERDICT]
    fields = cbor2.loads(leaf)
    assert set(fields) == {0, 1, 2, 6, 9, 10, 11, 12, 13, 14, 15}
    assert cbor2.dumps(fields) == leaf
    latest = store.archive.verdicts(message.id)[-1]
    assert latest == {**fields, f.VERDICT_BUDGET: None, f.VERDICT_UNCERTAINTY: []}


# Enrolment and revocation


def test_enrolment_refuses_what_is_enrolled_and_what_is_no_identity(
    filled: SimulatedGateway, meter: SimulatedMeter
) -> None:
    registry = filled.store.registry
    identity = filled.store.archive.messages(types=(t.IDENTITY,))[0].raw
    with pytest.raises(StoreError) as caught:
        registry.enrol(identity, BY_THUMBPRINT, 0)
    assert caught.value.reason == "already_enrolled"
    with pytest.raises(Rejected):
        registry.enrol(meter.readings(), BY_THUMBPRINT, 0)
    (enrolled,) = registry.meters()
    assert (enrolled.serial, enrolled.maker, enrolled.model, enrolled.barred) == (
        "m1",
        "simulated",
        "in memory",
        False,
    )
    assert registry.meter(meter.thumbprint) == enrolled
    assert registry.meter(bytes(32)) is None


def test_a_colliding_kid_is_refused(filled: SimulatedGateway, meter: SimulatedMeter) -> None:
    """A real collision costs 2^32 keys; here the enrolled meter's row is given the newcomer's kid."""
    newcomer = SimulatedMeter("m2")
    with filled.store.database.transaction() as connection:
        connection.execute("UPDATE meter SET kid = ?", (newcomer.kid,))
    with pytest.raises(StoreError) as caught:
        filled.store.registry.enrol(newcomer.identity(), BY_THUMBPRINT, 0)
    assert caught.value.reason == "kid_collision"
    assert meter.thumbprint.hex() in str(caught.value)


def test_revocation_is_once_and_keeps_its_reason(filled: SimulatedGateway, meter: SimulatedMeter) -> None:
    registry = filled.store.registry
    registry.revoke(meter.thumbprint, "stolen", 5)
    with pytest.raises(StoreError) as caught:
        registry.revoke(meter.thumbprint, "again", 6)
    assert caught.value.reason == "not_enrolled"
    (revoked,) = registry.meters()
    assert (revoked.key.revoked_ms, revoked.revocation_reason) == (5, "stolen")


def test_a_fork_is_resolved_once(filled: SimulatedGateway) -> None:
    with pytest.raises(StoreError) as caught:
        filled.store.registry.resolve_fork(1, "nothing", 0)
    assert caught.value.reason == "no_such_fork"
