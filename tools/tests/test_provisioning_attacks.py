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

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from provisioning_bench import Bench

from meter_gateway.model import Rejected
from meter_gateway.texts import Told
from meter_gateway.verify import Key
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import framing
from meter_protocol import types as t
from meter_tools.provisioning import ca_files
from meter_tools.provisioning import line as line_module
from meter_tools.provisioning.board import Hello, open_answer, open_hello
from meter_tools.provisioning.factory_db import FactoryDb, Happening
from meter_tools.provisioning.line import Line
from meter_tools.simulated_meter import SimulatedMeter

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
    assert line.hello(2, 1).thumbprint == KEY.thumbprint
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
