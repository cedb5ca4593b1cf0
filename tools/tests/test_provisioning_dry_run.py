"""What a dry run checks, and that it leaves everything as it was; what is checked before anything is written."""

import datetime as dt
import getpass
import hashlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
import reportlab
from provisioning_bench import Bench
from test_provisioning_attacks import KEY, NOW, Peer, hello

from meter_protocol import first_contact as fc
from meter_tools.provisioning import ca, ca_files, command, host_clock
from meter_tools.provisioning.board import open_hello
from meter_tools.provisioning.factory_db import FactoryDb, Happening


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "maker")


@pytest.fixture
def peer() -> Peer:
    """A board without a record, as far as its hello."""
    return Peer(lambda payload: [hello(fc.nonce_of_request(payload))])


def certified(bench: Bench, serial: str = "CM-1") -> str:
    """As after a board: its certificate is in the database; the thumbprint of its key."""
    authority = ca_files.load_issuing(bench.folder / "ca", b"of the CA")
    request = open_hello(hello(), b"n" * 16).request
    chain = ca.chain_of(ca.issue(authority, request, "m", serial, 0, NOW), authority)
    database = FactoryDb(bench.folder / "factory.sqlite")
    now_ms = int(NOW.timestamp() * 1000)
    database.add(Happening(now_ms, "me", "started", KEY.thumbprint, serial, "unix", certificate=chain))
    database.close()
    return KEY.thumbprint.hex()


def test_a_dry_ca_init_makes_nothing_and_says_what_it_would(bench: Bench, tmp_path: Path) -> None:
    init = ("ca", "init", tmp_path / "new" / "ca", "--maker", "m")
    assert "root.key.pem, crl.pem, root.pem" in bench.must(*init, "--dry-run")
    assert "root.key.pem, issuing.key.pem, issuing.pem, crl.pem" in bench.must(*init, "--issuing", "--dry-run")
    assert not (tmp_path / "new").exists()
    assert f"in force from {NOW:%Y-%m-%d} to " in bench.must(*init, "--issuing")
    assert sorted(path.name for path in (tmp_path / "new" / "ca").iterdir()) == sorted(ca_files.names(True))


def test_a_dry_ca_init_refuses_what_the_run_refuses(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for words, told in (
        ((bench.folder / "ca", "--maker", "m"), "holds a CA already"),
        ((tmp_path / "file" / "ca", "--maker", "m"), f"{tmp_path}/file is no folder"),
        ((tmp_path / "open", "--maker", "m"), "chmod go-w"),
        ((tmp_path / "ca", "--maker", ""), "is no name for a certificate"),
        ((tmp_path / "ca", "--maker", "m", "--passphrase-file", "/dev/null"), "the passphrase is empty"),
    ):
        before = content(tmp_path)
        refusals = {bench.refused("ca", "init", *words, *dry) for dry in ((), ("--dry-run",))}
        assert told in refusals.pop()
        assert not refusals
        assert content(tmp_path) == before


def test_a_folder_that_may_not_be_written_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is forbidden to root, so the answer is put in the way."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for dry in ((), ("--dry-run",)):
        refused = bench.refused("ca", "init", bench.folder / "ca2", "--maker", "m", *dry)
        assert f"may not make files in {bench.folder};" in refused


def test_a_dry_ca_revoke_leaves_the_list_as_it_is(bench: Bench) -> None:
    thumbprint = certified(bench)
    revoke = ("ca", "revoke", bench.folder / "ca", thumbprint, "--database", bench.folder / "factory.sqlite")
    before = content(bench.folder)
    said = bench.must(*revoke, "--reason", "superseded", "--dry-run")
    assert said == f"Would revoke the certificate of CM-1 (superseded) and write {bench.folder}/ca/crl.pem anew.\n"
    wrong = {"CARBONMETER_CA_PASSPHRASE": "wrong"}
    assert "the passphrase is wrong" in bench.refused(*revoke, "--dry-run", **wrong)
    assert "no certificate of" in bench.refused(
        "ca", "revoke", bench.folder / "ca", "0" * 64, *revoke[4:], "--dry-run"
    )
    assert content(bench.folder) == before
    bench.must(*revoke)
    before = content(bench.folder)
    assert "is on the list already" in bench.refused(*revoke, "--dry-run")
    assert content(bench.folder) == before


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_the_ca_is_neither_made_nor_used_by_a_clock_that_is_wrong(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry: tuple[str, ...]
) -> None:
    thumbprint = certified(bench)
    revoke = ("ca", "revoke", bench.folder / "ca", thumbprint, "--database", bench.folder / "factory.sqlite", *dry)
    before = content(tmp_path)
    monkeypatch.setattr(host_clock, "now", lambda: dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert "this program is of" in bench.refused("ca", "init", tmp_path / "ca", "--maker", "m", *dry)
    assert "this program is of" in bench.refused(*revoke)
    monkeypatch.setattr(host_clock, "now", lambda: dt.datetime(2096, 1, 1, tzinfo=dt.UTC))
    assert "the CA is valid from" in bench.refused(*revoke)
    monkeypatch.setattr(host_clock, "now", lambda: NOW - dt.timedelta(hours=2))
    monkeypatch.setattr(ca.Authority, "is_in_force", lambda self, now: True)
    assert "the factory database has something of" in bench.refused(*revoke)
    monkeypatch.setattr(FactoryDb, "newest_ms", lambda self: None)
    assert "the revocation list is of" in bench.refused(*revoke)
    assert content(tmp_path) == before


def test_a_dry_first_run_makes_no_database(bench: Bench, peer: Peer) -> None:
    before = content(bench.folder)
    said = bench.provision(peer.port, "--dry-run")
    assert f"Would make the factory database {bench.folder}/factory.sqlite" in said
    assert "Would make this unix the meter CM-000001" in said
    assert content(bench.folder) == before


@pytest.mark.parametrize("is_in_use", [False, True])
def test_a_dry_run_reads_the_database_and_leaves_it_as_it_is(bench: Bench, peer: Peer, is_in_use: bool) -> None:
    """In use, its newest row is in the log beside it."""
    database = FactoryDb(bench.folder / "factory.sqlite")
    database.add(Happening(1, "me", "complete", b"\1" * 32, "CM-000041", "unix"))
    if not is_in_use:
        database.close()
    before = content(bench.folder)
    assert "the meter CM-000042" in bench.provision(peer.port, "--dry-run")
    after = content(bench.folder)
    shared = "factory.sqlite-shm"  # readers' marks
    assert {**after, shared: ""} == {**before, shared: ""}
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        FactoryDb(bench.folder / "factory.sqlite", reads_only=True)._connection.execute("PRAGMA user_version = 9")


def test_another_database_than_that_of_the_ca_is_not_begun(bench: Bench, peer: Peer) -> None:
    made = bench.folder / "factory.sqlite"
    assert f"Made the factory database {made}" in bench.command("provision", "--port", "/dev/null").stdout
    assert "Made the factory" not in bench.command("provision", "--port", "/dev/null").stdout
    certified(bench)
    ca_files.note_database(bench.folder / "ca", made)
    settings = bench.folder / "mistyped.toml"
    text = (bench.folder / "provision.toml").read_text()
    for wrong, told in (
        ("factroy.sqlite", f"holds no board, and the boards of this CA are in {made}"),
        ("nowhere/factory.sqlite", f"there is no folder {bench.folder}/nowhere"),
    ):
        settings.write_text(text.replace("factory.sqlite", wrong))
        before = content(bench.folder)
        for dry in ((), ("--dry-run",)):
            assert told in bench.refused("provision", "--port", peer.port, "--settings", settings, *dry)
        assert content(bench.folder) == before
    # Moved with its settings, it is the same one.
    moved = shutil.move(made, bench.folder / "moved.sqlite")
    settings.write_text(text.replace("factory.sqlite", "moved.sqlite"))
    assert "Would make this unix" in bench.provision(peer.port, "--settings", settings, "--dry-run")
    moved.unlink()
    (bench.folder / "ca" / "database").unlink()
    assert "Would make the factory database" in bench.provision(peer.port, "--settings", settings, "--dry-run")


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_ca_that_cannot_be_told_of_its_database_is_told_first(
    bench: Bench, peer: Peer, monkeypatch: pytest.MonkeyPatch, dry: tuple[str, ...]
) -> None:
    """Nothing is forbidden to root, so the answer is put in the way."""
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "ca")
    refused = bench.refused("provision", "--port", peer.port, *dry)
    assert f"may not make files in {bench.folder}/ca;" in refused
    ca_files.note_database(bench.folder / "ca", (bench.folder / "factory.sqlite").resolve())
    database = FactoryDb(bench.folder / "factory.sqlite")
    database.add(Happening(1, "me", "complete", b"\1" * 32, "CM-000041", "unix"))
    database.close()
    assert "the meter CM-000042" in bench.provision(peer.port, "--dry-run")


def test_what_cannot_be_finished_is_told_before_the_board_is_offered_anything(
    bench: Bench, tmp_path: Path
) -> None:
    heard: list[bytes] = []

    def answers(payload: bytes) -> list[bytes]:
        heard.append(payload)
        return [hello(fc.nonce_of_request(payload), HELLO_MAKER="碳表")]

    peer = Peer(answers)
    settings, text = bench.folder / "label.toml", (bench.folder / "provision.toml").read_text()
    (bench.folder / "no-font.ttf").write_bytes(b"no font at all")
    latin = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
    (bench.folder / "taken").touch()
    for line, told in (
        ("", '"碳表" needs a font'),
        ('font = "no-font.ttf"\n', "no-font.ttf is not a TrueType font"),
        (f'font = "{latin}"\n', f"{latin} has no 碳表;"),
    ):
        settings.write_text(text.replace('folder = "labels"\n', f'folder = "labels"\n{line}'))
        for dry in ((), ("--dry-run",)):
            assert told in bench.refused("provision", "--port", peer.port, "--settings", settings, *dry)
    settings.write_text(text.replace('"labels"', '"taken"'))
    assert len(heard) == 6
    peer = Peer(lambda payload: [hello(fc.nonce_of_request(payload))])
    assert "taken is no folder" in bench.refused("provision", "--port", peer.port, "--settings", settings)
    (bench.folder / "default.toml").write_text("version = 1\ninterval_s = 0\n")
    for dry in ((), ("--dry-run",)):
        refused = bench.refused("provision", "--port", peer.port, *dry)
        assert f"{bench.folder}/default.toml: interval_s: must be 1 or more" in refused
    assert FactoryDb(bench.folder / "factory.sqlite").all() == []


def test_an_operator_without_a_name_is_told_by_his_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert command._operator() == f"uid {os.getuid()}"
