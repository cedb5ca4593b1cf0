"""Backup while running, restore, and the meters giving back what the backup lacks."""

import sqlite3

import pytest

from meter_gateway import backup
from meter_gateway.archive import StoredChain
from meter_gateway.model import GatewayTime
from meter_gateway.recovery import MOST_REQUESTS, PAUSE_S, Recovery
from meter_gateway.sealing import Sealer
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.verify import Key, KeyRing, verify
from meter_protocol import fields as f
from meter_protocol import keys
from meter_protocol import types as t
from meter_tools.simulated_meter import SimulatedMeter


async def test_a_restored_gateway_gets_from_the_meter_what_it_lacks(gateway, connect, until) -> None:
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    sealed = [*meter.begin(), *(meter.readings() for _ in range(20))]
    line.send(*sealed)
    await line.receipt(22)
    copy = gateway.folder / "backup.sqlite"
    assert "checked" in gateway.ask("gateway", "backup", copy)
    later = [meter.readings() for _ in range(30)]
    line.send(*later)
    await line.receipt(52)

    done = gateway.command("gateway", "restore", copy, "--config", gateway.config)
    assert (done.returncode, "a gateway uses it" in done.stderr) == (2, True)
    gateway.stop()
    said = gateway.ask("gateway", "restore", copy)
    assert "before-" in said
    gateway.start()
    line = await connect(gateway)
    # Nothing new is sealed: being in contact is enough to be asked.
    line.send(meter.time_request(b"n" * 16))
    while True:
        answer = await line.next()
        if answer.typ == t.RESEND_REQUEST:
            break
    assert (answer.fields[f.EPOCH], answer.fields[f.SEQUENCE]) == (meter.epoch, 23)
    line.send(*later)
    assert (await line.receipt(52)).fields[f.HASH] == meter.previous
    await until(lambda: not (gateway.state / "restored").exists())
    gateway.stop()
    store = Store(gateway.state / "gateway.sqlite")
    assert [message.raw for message in store.archive.messages(meter.thumbprint)] == [*sealed, *later]
    store.close()


async def test_backup_never_overwrites_and_its_owner_alone_reads_it(gateway) -> None:
    gateway.start()
    copy = gateway.folder / "backup.sqlite"
    gateway.ask("gateway", "backup", copy)
    assert copy.stat().st_mode & 0o777 == 0o600
    done = gateway.command("gateway", "backup", copy, "--config", gateway.config)
    assert (done.returncode, done.stderr) == (2, f"carbonmeter: {copy} exists already and is not overwritten\n")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "version 0"),
        (b"SQLite format 3\0 and then nothing", "not a backup"),
        (b"text" * 2000, "not a backup"),
    ],
)
def test_what_is_not_a_store_is_not_restored(gateway, content: bytes, told: str) -> None:
    file = gateway.folder / "file"
    file.write_bytes(content)
    done = gateway.command("gateway", "restore", file, "--config", gateway.config)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert not (gateway.state / "gateway.sqlite").exists()
    assert not (gateway.state / "restored").exists()


def test_a_damaged_backup_is_found_out(tmp_path) -> None:
    path = tmp_path / "store"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2 :] = bytes(len(octets) - len(octets) // 2)
    path.write_bytes(octets)
    with pytest.raises(Told, match=r"backup\.(damaged|not_a_store)"):
        backup.check(path)


def test_a_store_whose_index_lies_is_found_out(gateway) -> None:
    """SQLite opens it without complaint; only the integrity check tells."""
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    gateway.fill(*meter.begin(), *(meter.readings() for _ in range(5)))
    path = gateway.state / "gateway.sqlite"
    backup.check(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET rootpage ="
            " (SELECT rootpage FROM sqlite_schema WHERE name = 'verdict_of_message')"
            " WHERE name = 'message_by_time'"
        )
    with pytest.raises(Told, match=r"backup\.damaged"):
        backup.check(path)


def test_a_store_of_a_newer_version_is_not_restored(tmp_path) -> None:
    path = tmp_path / "store"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Told, match=r"backup\.version"):
        backup.check(path)


SEALER = Sealer.generate(t.ROLE_RECEIPT)
RING = KeyRing([Key.of(SEALER.cose_key, t.ROLE_RECEIPT)], [t.RESEND_REQUEST])
KID = keys.kid_of(b"m" * 32)
NOW = GatewayTime(1000, f.CLOCK_INFORMATIVE, 5)


def chain(next_sequence: int) -> StoredChain:
    return StoredChain(b"m" * 32, b"e" * 8, next_sequence, next_sequence - 1, b"h" * 32, next_sequence, 0, None)


class Ticks:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_chain_is_asked_for_what_follows_its_end() -> None:
    recovery = Recovery([chain(7)], SEALER.seal, Ticks())
    assert recovery.kids == {KID}
    (raw,) = recovery.requests(NOW, KID)
    request = verify(raw, RING, 0)
    assert (request.fields[f.METER], request.fields[f.EPOCH], request.fields[f.SEQUENCE]) == (
        b"m" * 32,
        b"e" * 8,
        7,
    )


def test_it_asks_at_distances_and_not_for_ever() -> None:
    ticks = Ticks()
    recovery = Recovery([chain(7)], SEALER.seal, ticks)
    asked = 0
    for _ in range(100):
        asked += len(recovery.requests(NOW, KID))
        assert not recovery.requests(NOW, KID)
        ticks.now += PAUSE_S
    assert asked == MOST_REQUESTS
    assert recovery.is_done


def test_a_chain_that_has_grown_is_asked_no_more_and_others_are() -> None:
    ticks = Ticks()
    recovery = Recovery([chain(7)], SEALER.seal, ticks)
    recovery.note([chain(7)])
    assert not recovery.is_done
    assert recovery.requests(NOW, b"another!") == []
    assert recovery.requests(NOW, KID)
    recovery.note([chain(8)])
    assert recovery.is_done
