"""Boards become meters through the real command, against the shipping firmware on this host."""

import asyncio
import datetime as dt
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pypdfium2
import pytest
import zxingcpp
from PIL import Image
from provisioning_bench import Bench, Cable, UnixBoard, thumbprint_of

from meter_gateway import revocation
from meter_gateway.label import text_of
from meter_gateway.maker import MakerRefused, Makers
from meter_protocol import chain as chain_module
from meter_protocol import cose, messages, topics
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.demo.processes import all_stopped, free_port, start_broker
from meter_tools.provisioning import ca_files, factory_db, host_clock, line, work
from meter_tools.provisioning.factory_db import FactoryDb, Happening

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("maker"))


@pytest.fixture
def cable() -> Iterator[Cable]:
    made = Cable()
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no answer comes, which is told after three tries."""
    monkeypatch.setattr(line, "PATIENCE_S", 0.3)


@pytest.fixture
def board(tmp_path: Path, micropython: Path, cable: Cable) -> Iterator[UnixBoard]:
    made = UnixBoard(tmp_path / "board", micropython, cable)
    made.power_on()
    made.wait_until_it_listens()
    yield made
    made.cut_power()


def rows(bench: Bench, columns: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(bench.folder / "factory.sqlite") as connection:
        return connection.execute(f"SELECT {columns} FROM happening ORDER BY id").fetchall()


def test_a_board_becomes_a_meter(bench: Bench, board: UnixBoard, cable: Cable) -> None:
    would = bench.provision(cable.tool, "--dry-run")
    assert "Would make this unix the meter" in would
    said = bench.provision(cable.tool, "--serial", "CM-A1")
    thumbprint = thumbprint_of(said)
    assert thumbprint == thumbprint_of(would)
    assert f"meter CM-A1 thumbprint {thumbprint}" in board.console()
    assert re.search("  Software: [0-9a-f]{64}$", said, re.MULTILINE)
    assert ca_files.database_of(bench.folder / "ca") == (bench.folder / "factory.sqlite").resolve()
    states = [state for state, serial in rows(bench, "state, serial") if serial == "CM-A1"]
    assert states == ["started", "complete"]
    name = f"CM-A1-{thumbprint[:16]}"
    png = Image.open(bench.folder / "labels" / f"{name}.png")
    pdf = pypdfium2.PdfDocument(bench.folder / "labels" / f"{name}.pdf")[0].render(scale=300 / 72).to_pil()
    for picture in (png, pdf):
        (code,) = zxingcpp.read_barcodes(picture)
        assert code.text == text_of("CM-A1", bytes.fromhex(thumbprint))
    refused = bench.refused("provision", "--port", cable.tool)
    assert "CM-A1 is a meter already" in refused
    board.cut_power()
    board.power_on()
    board.wait_until_it_listens()
    assert "CM-A1 is a meter already" in bench.refused("provision", "--port", cable.tool)
    assert "Traceback" not in board.console()


def provisioned(bench: Bench, cable: Cable, serial: str) -> str:
    return thumbprint_of(bench.provision(cable.tool, "--serial", serial))


def states(bench: Bench, serial: str) -> list[object]:
    return [state for state, found in rows(bench, "state, serial") if found == serial]


def test_a_meter_is_replaced_with_its_journal_its_cut_and_a_new_key(
    bench: Bench, board: UnixBoard, cable: Cable, tmp_path: Path
) -> None:
    old = provisioned(bench, cable, "CM-R1")
    assert "Would take out the journal of CM-R1" in bench.provision(cable.tool, "--replace", "--dry-run")
    assert states(bench, "CM-R1") == ["started", "complete"]
    new = thumbprint_of(bench.provision(cable.tool, "--replace"))
    assert new != old
    assert states(bench, "CM-R1") == ["started", "complete", "replaced", "started", "complete"]
    (journal,) = (bench.folder / "journals").glob("CM-R1-*.cbor")
    chain = [decoded(raw) for raw in cose.split_sequence(journal.read_bytes())]
    identity = chain[0][1]
    head = cose.split(cose.split_sequence(journal.read_bytes())[-1])
    # The identity carries the certificate, and the default set was the first thing that came into force.
    makers = Makers([ca_files.load_root(bench.folder / "ca")])
    found = makers.vouched(identity, bytes.fromhex(old), time.time_ns() // 1_000_000)
    assert (found.serial, found.key_protection) == ("CM-R1", f.KEY_SOFTWARE)
    applied = [event for typ, event in chain if typ == t.EVENT and event[f.EVENT_CODE] == ev.PARAMETERS_APPLIED]
    assert len(applied) == 1
    first_set = cose.split(applied[0][f.DETAILS][ev.PARAMETER_SET])
    assert messages.decode(t.PARAMETER_SET, first_set.payload)[f.CHANNELS][0][f.CHANNEL_ID] == 1
    # The old key is revoked where it ended, on the list and for gateways.
    after = Makers([ca_files.load_root(bench.folder / "ca")], [ca_files.load_list(bench.folder / "ca")])
    with pytest.raises(MakerRefused, match="certificate_revoked"):
        after.vouched(identity, bytes.fromhex(old), time.time_ns() // 1_000_000)
    (written,) = (bench.folder / "revocations").glob("CM-R1-*.json")
    thumbprint, _, cut = revocation.load(written)
    assert thumbprint.hex() == old
    assert cut is not None
    assert cut.hash == chain_hash(head)
    assert (cut.epoch, cut.sequence) == (chain[-1][1][f.EPOCH], chain[-1][1][f.SEQUENCE])
    shown = bench.command("verify", journal, "--thumbprint", old)
    assert shown.exit_code == 0, shown.output
    flipped = bytearray(journal.read_bytes())
    flipped[-70] ^= 1
    (tmp_path / "flipped.cbor").write_bytes(flipped)
    assert bench.command("verify", tmp_path / "flipped.cbor", "--thumbprint", old).exit_code == 1


def decoded(raw: bytes) -> tuple[str, dict[int, Any]]:
    sign1 = cose.split(raw)
    return sign1.typ, messages.decode(sign1.typ, sign1.payload)


def chain_hash(sign1: cose.Sign1) -> bytes:
    return chain_module.message_hash(sign1.protected, sign1.payload)


@pytest.mark.parametrize("sent", [10, 400, 1100])
def test_a_cable_that_is_pulled_leaves_a_mark_and_the_next_run_goes_on(
    bench: Bench, board: UnixBoard, cable: Cable, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the question, in the default set, in the record; what the board has by then, only the board knows."""
    serial = f"CM-C{sent}"
    monkeypatch.setattr(line, "PATIENCE_S", 4)
    cable.bytes_to_cut = sent
    refused = bench.refused("provision", "--port", cable.tool, "--serial", serial)
    assert "check cable and power" in refused or "stopped answering" in refused
    marked = states(bench, serial)
    assert marked == ([] if sent == 10 else ["started", "failed"])
    cable.plug()
    provisioned(bench, cable, serial)
    assert states(bench, serial) == [*marked, "started", "complete"]


def test_a_run_that_died_after_the_record_is_finished_by_the_next(
    bench: Bench, board: UnixBoard, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "_complete", die)
    assert bench.command("provision", "--port", cable.tool, "--serial", "CM-D1").exit_code == 130
    assert states(bench, "CM-D1") == ["started"]
    monkeypatch.undo()
    assert "Would finish CM-D1" in bench.provision(cable.tool, "--dry-run")
    said = bench.provision(cable.tool)
    assert "CM-D1 was interrupted and is finished" in said
    assert states(bench, "CM-D1") == ["started", "complete"]
    assert (bench.folder / "labels" / f"CM-D1-{thumbprint_of(said)[:16]}.pdf").exists()


def test_a_serial_number_is_given_once(bench: Bench, board: UnixBoard, cable: Cable) -> None:
    with FactoryDbOf(bench) as database:
        database.add(Happening(1, "me", "complete", b"\1" * 32, "CM-TAKEN", "unix"))
    refused = bench.refused("provision", "--port", cable.tool, "--serial", "CM-TAKEN")
    assert "CM-TAKEN belongs to another board" in refused
    for wrong in ("", "x" * 65, "a/b", "a\x07b"):
        assert "is no serial number" in bench.refused("provision", "--port", cable.tool, f"--serial={wrong}")
    assert "no factory record" in board.console()


class FactoryDbOf:
    def __init__(self, bench: Bench) -> None:
        self._database = FactoryDb(bench.folder / "factory.sqlite")

    def __enter__(self) -> FactoryDb:
        return self._database

    def __exit__(self, *_: object) -> None:
        self._database.close()


def test_a_key_that_was_given_up_is_not_certified_again(bench: Bench, board: UnixBoard, cable: Cable) -> None:
    """As of a secure element whose slot is locked."""
    thumbprint = bytes.fromhex(thumbprint_of(bench.provision(cable.tool, "--dry-run")))
    with FactoryDbOf(bench) as database:
        database.add(Happening(1, "me", "replaced", thumbprint, "CM-OLD", "unix"))
    assert "was given up, and the board still has it" in bench.refused("provision", "--port", cable.tool)


async def test_a_meter_finds_the_broker_of_its_record(
    bench: Bench, tmp_path: Path, micropython: Path, cable: Cable
) -> None:
    port = free_port()
    with all_stopped() as started:
        started.append(start_broker(tmp_path, port))
        settings = bench.folder / "mqtt.toml"
        link = f'[link]\nhost = "127.0.0.1"\nport = {port}\n'
        settings.write_text((bench.folder / "provision.toml").read_text() + link)
        board = UnixBoard(tmp_path / "board", micropython, cable, own_link=False)
        async with aiomqtt.Client("127.0.0.1", port) as far_end:
            await far_end.subscribe(topics.UP_FILTER, qos=1)
            board.power_on()
            board.wait_until_it_listens()
            try:
                said = await asyncio.to_thread(bench.provision, cable.tool, "--settings", settings)
                published = await asyncio.wait_for(anext(aiter(far_end.messages)), 60)
            finally:
                board.cut_power()
    thumbprint = bytes.fromhex(thumbprint_of(said))
    assert str(published.topic) == topics.up(thumbprint[:8])
    assert decoded(cose.split_sequence(published.payload)[0])[1][f.PUBLIC_KEY] is not None


def test_what_is_at_the_port_is_no_board(bench: Bench, cable: Cable, impatient: None) -> None:
    assert "no board answers" in bench.refused("provision", "--port", cable.tool)
    assert "cannot be opened" in bench.refused("provision", "--port", "/dev/ttyNONE0")
    assert "cannot be opened" in bench.refused("provision", "--port", "tcp:127.0.0.1:9")


def test_a_board_that_the_settings_do_not_know(bench: Bench, board: UnixBoard, cable: Cable) -> None:
    settings = bench.folder / "other.toml"
    text = (bench.folder / "provision.toml").read_text()
    settings.write_text(text.replace("[boards.unix]", "[boards.nucleo_f429zi]"))
    refused = bench.refused("provision", "--port", cable.tool, "--settings", settings)
    assert "the board is a unix, and the settings know nucleo_f429zi" in refused
    settings.write_text(text.replace('"software"', '"secure_element"'))
    refused = bench.refused("provision", "--port", cable.tool, "--settings", settings)
    assert "key protection is software, and unix should have secure_element" in refused


def test_the_passphrase_of_the_ca_is_wrong(bench: Bench, tmp_path: Path) -> None:
    wrong = {"CARBONMETER_CA_PASSPHRASE": "wrong"}
    assert "the passphrase is wrong" in bench.refused("provision", "--port", "/dev/null", **wrong)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "empty").chmod(0o600)
    empty = ["--passphrase-file", tmp_path / "empty"]
    assert "the passphrase is empty" in bench.refused("provision", "--port", "/dev/null", *empty)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "this program is of"),
        (dt.datetime(2096, 1, 1, tzinfo=dt.UTC), "the CA is valid from"),
    ],
)
def test_the_clock_of_the_host_is_wrong(
    bench: Bench, now: dt.datetime, told: str, monkeypatch: pytest.MonkeyPatch, cable: Cable
) -> None:
    monkeypatch.setattr(host_clock, "now", lambda: now)
    assert told in bench.refused("provision", "--port", cable.tool)


def test_the_clock_of_the_host_went_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, cable: Cable, tmp_path: Path
) -> None:
    settings = bench.folder / "later.toml"
    settings.write_text((bench.folder / "provision.toml").read_text().replace("factory.sqlite", "later.sqlite"))
    database = FactoryDb(bench.folder / "later.sqlite")
    later_ms = time.time_ns() // 1_000_000 + 7_200_000
    database.add(Happening(later_ms, "me", "complete", b"\2" * 32, "CM-LATER", "unix"))
    database.close()
    assert "the factory database has something of" in bench.refused(
        "provision", "--port", cable.tool, "--settings", settings
    )


def test_a_database_of_another_time_or_in_other_hands(bench: Bench, tmp_path: Path) -> None:
    settings, text = bench.folder / "db.toml", (bench.folder / "provision.toml").read_text()
    settings.write_text(text.replace("factory.sqlite", "db.sqlite"))
    path = bench.folder / "db.sqlite"
    FactoryDb(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 2")
    other.close()
    ask = ("provision", "--port", "/dev/null", "--settings", settings)
    assert "install a newer carbonmeter" in bench.refused(*ask)
    path.write_bytes(b"no database at all, and long enough to be taken for one" * 30)
    assert "is damaged or no database" in bench.refused(*ask)
    path.unlink()
    path.mkdir()
    assert "its folder must exist and be writable" in bench.refused(*ask)


def test_a_locked_database_is_waited_for_and_then_told(
    bench: Bench, board: UnixBoard, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory_db, "_BUSY_S", 0.2)
    FactoryDb(bench.folder / "factory.sqlite").close()
    other = sqlite3.connect(bench.folder / "factory.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        refused = bench.refused("provision", "--port", cable.tool, "--serial", "CM-L1")
    finally:
        other.close()
    assert "is in use by another process" in refused
    assert states(bench, "CM-L1") == []


def test_rows_of_the_factory_database_stay(bench: Bench) -> None:
    with FactoryDbOf(bench) as database:
        database.add(Happening(1, "me", "failed", b"\3" * 32, "CM-STAYS", "unix"))
    with sqlite3.connect(bench.folder / "factory.sqlite") as connection:
        for change in ("UPDATE happening SET serial = 'x'", "DELETE FROM happening"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(change)


def test_a_full_flash_is_told_and_marked(bench: Bench, tmp_path: Path, micropython: Path, cable: Cable) -> None:
    board = UnixBoard(tmp_path / "full", micropython, cable, fill_flash=True)
    board.power_on()
    board.wait_until_it_listens()
    try:
        refused = bench.refused("provision", "--port", cable.tool, "--serial", "CM-FULL")
    finally:
        board.cut_power()
    assert "[factory_flash]" in refused
    assert states(bench, "CM-FULL") == ["started", "failed"]


def test_a_tray_of_boards(
    bench: Bench, tmp_path: Path, micropython: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "PATIENCE_S", 4)
    cables = [Cable() for _ in range(3)]
    boards = [UnixBoard(tmp_path / str(i), micropython, cable) for i, cable in enumerate(cables[:2])]
    for board in boards:
        board.power_on()
        board.wait_until_it_listens()
    try:
        ports = [word for cable in cables for word in ("--port", cable.tool)]
        ended = bench.command("provision", *ports)
    finally:
        for board in boards:
            board.cut_power()
    assert ended.exit_code == 1
    assert ended.stdout.count("is a meter (thumbprint") == 2
    table = ended.stdout.rpartition("Port")[2]
    assert table.count("complete") == 2
    assert "no board answers" in table
    for cable in cables:
        cable.close()


def test_the_next_board_is_waited_for(bench: Bench, tmp_path: Path, micropython: Path, cable: Cable) -> None:
    boards = [UnixBoard(tmp_path / str(i), micropython, cable) for i in range(2)]
    boards[0].power_on()

    def complete() -> int:
        database = FactoryDb(bench.folder / "factory.sqlite", reads_only=True)
        found = [happening.state for happening in database.all()]
        database.close()
        return found.count("complete")

    before = complete()

    def change_boards() -> None:
        until = time.monotonic() + 120
        while complete() == before and time.monotonic() < until:
            time.sleep(0.2)
        boards[0].cut_power()
        boards[1].power_on()

    changer = threading.Thread(target=change_boards)
    changer.start()
    try:
        said = bench.provision(cable.tool, "--count", "2")
    finally:
        changer.join()
        for board in boards:
            board.cut_power()
    assert said.count("is a meter (thumbprint") == 2
    assert "Connect the next board" in said


def test_commands_speak_chinese(bench: Bench, board: UnixBoard, cable: Cable) -> None:
    said = bench.must("provision", "--port", cable.tool, "--dry-run", CARBONMETER_LANG="zh")
    assert "置备为表计" in said
    refused = bench.refused("provision", "--port", "/dev/ttyNONE0", CARBONMETER_LANG="zh")
    assert "请接上板卡或更正端口" in refused
