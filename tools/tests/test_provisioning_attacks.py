"""What a careless operator, a bad cable, a second host and a hostile board try at the maker's bench."""

import datetime as dt
import hashlib
import os
import sqlite3
import threading
import tty
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from provisioning_bench import Bench

from meter_gateway.model import Rejected
from meter_gateway.texts import LANGUAGES, Code, Language, Texts, Told
from meter_gateway.verify import Key
from meter_protocol import cose, framing, messages
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_tools.provisioning import ca_files, export, work
from meter_tools.provisioning import line as line_module
from meter_tools.provisioning.board import Hello, open_answer, open_hello
from meter_tools.provisioning.factory_db import FactoryDb, Happening
from meter_tools.provisioning.line import Line
from meter_tools.simulated_meter import AUTHORITY, SimulatedMeter

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
METER = SimulatedMeter("CM-1")
KEY = Key.of(METER.sealer.cose_key)
NONCE = b"n" * 16


def sealed(typ: str, body: dict[int, object]) -> bytes:
    header = {f.VERSION: 1, f.TIME_MS: 0, f.CLOCK_STATUS: 0, f.CLOCK_UNCERTAINTY_MS: None, f.METER: KEY.thumbprint}
    return METER.sealer.seal(typ, {**header, **body})


def hello(nonce: bytes = NONCE, **other: object) -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(METER.sealer._private_key, hashes.SHA256()).public_bytes(Encoding.DER)
    nothing = dict.fromkeys(range(fc.HELLO_RECORD, fc.HELLO_PROVISIONED_MS + 1))
    body = {
        fc.HELLO_NONCE: nonce,
        fc.HELLO_PUBLIC_KEY: METER.sealer.cose_key,
        fc.HELLO_MAKER: "m",
        fc.HELLO_MODEL: "unix",
        fc.HELLO_HARDWARE_ID: None,
        fc.HELLO_SOFTWARE_ID: bytes(32),
        fc.HELLO_KEY_PROTECTION: 0,
        fc.HELLO_BOARD_NONCE: bytes(16),
        fc.HELLO_REQUEST: signed,
    }
    return sealed(t.HELLO, {**nothing, **body, **{getattr(fc, name): value for name, value in other.items()}})


def answer(asked: bytes, reason: str | None = None) -> bytes:
    return sealed(t.FACTORY_ANSWER, {fc.ANSWER_DIGEST: hashlib.sha256(asked).digest(), fc.ANSWER_REASON: reason})


class Peer:
    """Stands in for a board, at the other end of a pseudo terminal: `answers(payload)` are sent."""

    def __init__(self, answers: Callable[[bytes], list[bytes]]) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._answers = answers
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        os.close(self._slave)
        os.close(self._master)

    def _serve(self) -> None:
        deframer = framing.Deframer()
        try:
            while True:
                for payload in deframer.feed(os.read(self._master, 4096)):
                    for sent in self._answers(payload):
                        os.write(self._master, framing.frame(sent))
        except OSError:
            return


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("maker"))


@pytest.fixture
def told_hello() -> Hello:
    return open_hello(hello(), NONCE)


def test_an_export_that_comes_late_is_not_taken_for_a_meter_that_has_forgotten(told_hello: Hello) -> None:
    raw = b"drop"
    line = Line(Peer(lambda payload: [METER.identity(), answer(raw, "factory_head")]).port)
    assert line.drop(told_hello, raw) == "factory_head"
    line.close()


def test_two_hosts_do_not_share_a_port(told_hello: Hello) -> None:
    peer = Peer(lambda payload: [])
    first = Line(peer.port)
    with pytest.raises(Told, match=r"provision\.port_used"):
        Line(peer.port)
    first.close()
    Line(peer.port).close()


def test_a_device_that_goes_with_the_start_of_its_board_is_opened_anew(tmp_path: Path) -> None:
    """As of a board on USB: the same name, another device."""

    def says_hello(payload: bytes) -> list[bytes]:
        return [hello(fc.nonce_of_request(payload))]

    port = tmp_path / "ttyACM0"
    before, after = Peer(says_hello), Peer(says_hello)
    port.symlink_to(before.port)
    line = Line(str(port))
    assert line.hello(60, 1).thumbprint == KEY.thumbprint
    before.unplug()
    port.unlink()
    threading.Timer(1, lambda: port.symlink_to(after.port)).start()
    assert line.await_hello(lambda found: found.thumbprint == KEY.thumbprint) is not None
    line.close()


def test_a_port_that_takes_nothing_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "WRITE_S", 0.2)
    master, slave = os.openpty()
    tty.setraw(slave)
    line = Line(os.ttyname(slave))
    with pytest.raises(Told, match=r"provision\.unplugged"):
        line.send(b"\1" * 16000)
    line.close()
    os.close(master)
    os.close(slave)


def test_two_hosts_never_give_one_serial_number_to_two_boards(tmp_path: Path) -> None:
    """Both have chosen it before either says so."""
    path = tmp_path / "factory.sqlite"
    hosts = [FactoryDb(path) for _ in range(2)]
    taken = [Happening(1, "me", "started", bytes([number]) * 32, "CM-7", "unix") for number in range(2)]
    hosts[0].start(taken[0])
    with pytest.raises(Told, match=r"provision\.serial_used"):
        hosts[1].start(taken[1])
    hosts[1].start(Happening(2, "me", "started", bytes([1]) * 32, "CM-8", "unix"))
    assert [row.serial for row in hosts[0].all()] == ["CM-7", "CM-8"]


def test_many_hosts_make_one_database(tmp_path: Path) -> None:
    path = tmp_path / "factory.sqlite"
    with ThreadPoolExecutor(8) as hosts:
        assert len(list(hosts.map(lambda _: FactoryDb(path).path, range(8)))) == 8


@pytest.mark.parametrize("script", ["PRAGMA user_version = 1", "CREATE TABLE meter (id)"])
def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path, script: str) -> None:
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(path) as other:
        other.execute(script)
    with pytest.raises(Told, match=r"factory\.other"):
        FactoryDb(path)


def test_no_revocation_is_lost_between_two_processes(tmp_path: Path) -> None:
    authority = ca_files.create(tmp_path / "ca", "m", b"secret", NOW, False)

    def revoke(number: int) -> bool:
        return ca_files.revoke(tmp_path / "ca", authority, number, x509.ReasonFlags.superseded, NOW)

    with ThreadPoolExecutor(8) as hosts:
        assert all(hosts.map(revoke, range(1, 25)))
    assert {entry.serial_number for entry in ca_files.load_list(tmp_path / "ca")} == set(range(1, 25))
    assert not revoke(7)


def test_an_interrupted_ca_init_stays_marked_and_overwrites_nothing(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    ca_files.create(folder, "m", b"secret", NOW, True)
    (folder / "root.pem").unlink()
    key = (folder / "root.key.pem").read_bytes()
    assert "without a root.pem" in bench.refused("ca", "init", folder, "--maker", "m")
    assert (folder / "root.key.pem").read_bytes() == key


def test_what_others_can_open_is_refused(bench: Bench, tmp_path: Path) -> None:
    folder, secret = tmp_path / "ca", tmp_path / "passphrase"
    secret.write_text("secret\n")
    init = ("ca", "init", folder, "--maker", "m", "--passphrase-file", secret)
    assert f"chmod 600 {secret}" in bench.refused(*init)
    secret.chmod(0o600)
    folder.mkdir()
    folder.chmod(0o777)
    assert f"chmod go-w {folder}" in bench.refused(*init)
    folder.chmod(0o755)
    bench.must(*init)
    (folder / "root.key.pem").chmod(0o644)
    with pytest.raises(Told, match=r"ca\.open"):
        ca_files.load_issuing(folder, b"secret")
    (folder / "root.key.pem").chmod(0o600)
    folder.chmod(0o775)
    with pytest.raises(Told, match=r"ca\.open"):
        ca_files.load_issuing(folder, b"secret")


def test_passphrases_that_no_key_takes(bench: Bench, tmp_path: Path) -> None:
    init = ("ca", "init", tmp_path / "ca", "--maker", "m")
    assert "longer than 1023 bytes" in bench.refused(*init, CARBONMETER_CA_PASSPHRASE="x" * 1024)
    assert "the passphrase is empty" in bench.refused(*init, CARBONMETER_CA_PASSPHRASE="")
    assert "longer than 1023 bytes" in bench.refused(*init, "--passphrase-file", "/dev/zero")
    assert not (tmp_path / "ca").exists()
    bench.must(*init, CARBONMETER_CA_PASSPHRASE=os.fsdecode(b"\xff\xfe"))
    assert ca_files.load_issuing(tmp_path / "ca", b"\xff\xfe")


@pytest.mark.parametrize("wrong", ["表计-1", "CM_1", "a\nb", "a\x1b[2J", "a/b", " a", "a ", "x" * 65, "é", ""])
def test_what_no_certificate_can_hold_is_no_serial_number(bench: Bench, wrong: str) -> None:
    peer = Peer(lambda payload: [hello(fc.nonce_of_request(payload))])
    refused = bench.refused("provision", "--port", peer.port, f"--serial={wrong}")
    assert "is no serial number" in refused
    assert "\x1b" not in refused


@pytest.mark.parametrize(
    ("key", "value"), [("wifi_ssid", "车间" * 6), ("host", "h" * 65), ("username", "表" * 22)]
)
def test_link_settings_that_no_record_holds_are_told(bench: Bench, key: str, value: str) -> None:
    path = bench.folder / "link.toml"
    link = {"host": "broker", key: value}
    text = "".join(f'{name} = "{content}"\n' for name, content in link.items())
    path.write_text((bench.folder / "provision.toml").read_text() + "[link]\n" + text)
    assert f"link.{key}: is longer than" in bench.refused("provision", "--port", "/dev/null", "--settings", path)


def test_a_hostile_board_is_told_in_one_plain_line(bench: Bench) -> None:
    """What it says of itself is printed: no escape sequence of its reaches the terminal, and no line feed."""
    peer = Peer(lambda p: [hello(fc.nonce_of_request(p), HELLO_MODEL="x\x1b[2J\nCM-1 is a meter")])
    refused = bench.refused("provision", "--port", peer.port)
    assert "\x1b" not in refused


def unusual_request() -> Iterator[bytes]:
    other = ec.generate_private_key(ec.SECP384R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    whole = builder.sign(other, hashes.SHA256()).public_bytes(Encoding.DER)
    yield whole
    # A curve that nobody knows.
    yield whole.replace(bytes.fromhex("2b81040022"), bytes.fromhex("2b8104007e"))
    yield b"\x30\x00"


@pytest.mark.parametrize("request_", list(unusual_request()))
def test_a_request_that_is_not_for_the_key_is_refused(request_: bytes) -> None:
    with pytest.raises(Rejected):
        open_hello(hello(HELLO_REQUEST=request_), NONCE)


GOOD = hello()
ANSWER = answer(b"asked")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_bytes_are_taken_for_a_board(data: st.DataObject) -> None:
    good = data.draw(st.sampled_from([GOOD, ANSWER]))
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(raw))) if data.draw(st.booleans()) else len(raw)
    found = data.draw(st.sampled_from([bytes(raw[:cut]), data.draw(st.binary(max_size=64))]))
    for read in (lambda: open_hello(found, NONCE), lambda: open_answer(found, KEY, b"asked")):
        try:
            read()
        except Rejected:
            continue
        assert found == good


def chain_of_meter(count: int) -> tuple[SimulatedMeter, list[bytes]]:
    meter = SimulatedMeter("CM-1")
    return meter, [*meter.begin(), *(meter.readings() for _ in range(count))]


class Journal:
    """Stands in for a meter's: gives out what it still has, a few messages at a time."""

    def __init__(self, meter: SimulatedMeter, messages: list[bytes], asked: list[bytes]) -> None:
        self._asked = asked
        parts = [cose.split(raw) for raw in messages]
        self.places = [decode_fields(part)[f.SEQUENCE] for part in parts]
        self._messages = messages
        self.hello = open_hello(
            hello(HELLO_EPOCH=meter.epoch, HELLO_SEQUENCE=meter.sequence, HELLO_HASH=meter.previous), NONCE
        )

    def __call__(self, payload: bytes) -> list[bytes]:
        self._asked.append(payload)
        command = decode_fields(cose.split(payload))
        start = command[fc.COMMAND_SEQUENCE] or 0
        left = [raw for place, raw in zip(self.places, self._messages, strict=True) if place >= start]
        return [b"".join(left[:4])] if left else [answer(payload)]


def decode_fields(sign1: cose.Sign1) -> dict[int, Any]:
    return messages.decode(sign1.typ, sign1.payload)


def exported(tmp_path: Path, meter: SimulatedMeter, kept: list[bytes]) -> export.Export:
    journal = Journal(meter, kept, [])
    line = Line(Peer(journal).port)
    made = export.Export(tmp_path / "journal.cbor", journal.hello)
    try:
        made.run(line, journal.hello, AUTHORITY, 0)
    finally:
        line.close()
        made.abandon()
    return made


def test_what_a_journal_lacks_is_counted(tmp_path: Path) -> None:
    meter, whole = chain_of_meter(20)
    made = exported(tmp_path, meter, whole[2:5] + whole[9:10] + whole[11:])
    assert made.messages == len(whole) - 2 - 4 - 1
    assert [(run.epoch, run.first, run.last, run.lost_before) for run in made.runs] == [
        (meter.epoch, 2, 4, 0),
        (meter.epoch, 9, 9, 4),
        (meter.epoch, 11, len(whole) - 1, 1),
    ]
    said: list[str] = []
    shop = SimpleNamespace(say=lambda key, **values: said.append(Texts("en")(key, **values)))
    work._say_exported(shop, made)  # type: ignore[arg-type]
    epoch = meter.epoch.hex()
    assert said[1:] == [
        f"  chain {epoch}: nothing before sequence 2: receipted by a gateway, or lost by the board's flash",
        f"  chain {epoch}: sequence 2 to 4",
        f"  chain {epoch}: MISSING sequence 5 to 8, 4 in all: the board's flash has lost them; ask its gateway",
        f"  chain {epoch}: sequence 9 to 9",
        f"  chain {epoch}: MISSING sequence 10 to 10, 1 in all: the board's flash has lost them; ask its gateway",
        f"  chain {epoch}: sequence 11 to {len(whole) - 1}",
    ]


def test_a_second_chain_is_a_run_of_its_own(tmp_path: Path) -> None:
    meter, before = chain_of_meter(2)
    old = meter.epoch
    meter.open_epoch()
    after = [*meter.begin(), meter.readings()]
    journal = Journal(meter, before + after, [])
    made = export.Export(tmp_path / "journal.cbor", journal.hello)
    for raw in before + after:
        made._take(raw)
    made.abandon()
    assert [(run.epoch, run.first, run.last, run.lost_before) for run in made.runs] == [
        (old, 0, len(before) - 1, 0),
        (meter.epoch, 0, len(after) - 1, 0),
    ]


def test_a_journal_that_ends_before_its_head_is_told_with_what_came(tmp_path: Path) -> None:
    meter, whole = chain_of_meter(6)
    with pytest.raises(Told, match=r"provision\.journal_ends") as refusal:
        exported(tmp_path, meter, whole[:-1])
    assert refusal.value.values["messages"] == len(whole) - 1
    assert refusal.value.values["head"] == len(whole) - 1
    assert (tmp_path / "journal.cbor.part").read_bytes() == b"".join(whole[:-1])


def test_a_message_that_does_not_follow_is_told(tmp_path: Path) -> None:
    meter, whole = chain_of_meter(3)
    meter.previous = bytes(32)
    with pytest.raises(Told, match=r"provision\.broken_chain") as refusal:
        exported(tmp_path, meter, [*whole, meter.readings()])
    assert refusal.value.values["sequence"] == len(whole)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refusal_is_told_with_its_words(language: Language) -> None:
    say = Texts(language)
    told = say("provision.refused", reason=Code("factory_flash"))
    assert say.coded_reason("factory_flash").rstrip(".。") in told
    assert "SPEC" not in told
    # A reason that a board makes up is no way to a terminal.
    assert "\x1b" not in say("provision.refused", reason=Code("x\x1b[2J"))
