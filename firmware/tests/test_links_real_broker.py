"""The meter's links on the real MicroPython against a real broker, a real pseudo terminal and real sockets.

A sampling loop runs in the meter's process beside each link: whatever the other side does, it must not wait.
"""

import contextlib
import datetime as dt
import ipaddress
import json
import os
import pty
import pwd
import signal
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from meter_protocol import framing, topics

KID = bytes(range(8))
TOPICS = {"up": topics.up(KID), "down": topics.down(KID)}
LARGEST = 8192

# A noisy machine stops a process for some tens of milliseconds now and then; a blocked loop stops for seconds.
TOLERATED_GAP_MS = 250
PATIENCE_S = 30

MOST_DESCRIPTORS = 6
"""Standard streams, the connection, the folder that is listed to count them, and one to spare."""


class Meter:
    """The process with the link; its lines come as events."""

    def __init__(self, micropython: Path, config: dict[str, Any]) -> None:
        here = Path(__file__).parent
        search = [here.parents[1] / "protocol", here.parent, ".frozen"]
        self.events: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [micropython, here / "link_process.py"],
            env=os.environ | {"MICROPYPATH": ":".join(map(str, search))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdin
        print(json.dumps({"run_ms": PATIENCE_S * 1000} | config), file=self._process.stdin, flush=True)

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next event that fulfils the condition; fails with all that was said if there is none."""
        assert self._process.stdout
        for line in self._process.stdout:
            try:
                event: dict[str, Any] = json.loads(line)
            except json.JSONDecodeError:
                pytest.fail(line + self._process.stdout.read())
            self.events.append(event)
            if condition(event):
                return event
        pytest.fail(f"it ended without it: {self.events[-20:]}")

    def until_trouble(self, reason: str) -> None:
        self.until(lambda event: event.get("trouble") == reason)

    def until_handed_over(self, index: int) -> None:
        self.until(lambda event: event.get("handed_over") == index)

    def summary(self) -> dict[str, Any]:
        summary = self.until(lambda event: "complete" in event)
        assert self._process.wait(PATIENCE_S) == 0
        return summary

    def troubles(self) -> set[str]:
        return {event["trouble"] for event in self.events if "trouble" in event}

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start_meter(micropython: Path) -> Iterator[Callable[..., Meter]]:
    meters: list[Meter] = []

    def start(**config: Any) -> Meter:
        meters.append(Meter(micropython, config))
        return meters[-1]

    yield start
    for meter in meters:
        meter.close()


def assert_undisturbed(summary: dict[str, Any], frames: int) -> None:
    """Everything was handed over and came back as it was, and the sampling loop never waited."""
    assert summary["complete"], summary
    assert summary["still_running"], summary
    assert summary["connected"], summary
    assert summary["echoed"] == frames, summary
    assert summary["corrupt"] == 0, summary
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary


class Mosquitto:
    """A broker of our own on a port of its own, that can be killed, stopped and started again."""

    def __init__(self, program: Path, folder: Path, port: int, settings: str = "allow_anonymous true") -> None:
        self.port = port
        self._configuration = folder / f"mosquitto-{port}.conf"
        user = pwd.getpwuid(os.getuid()).pw_name
        self._configuration.write_text(f"listener {port} 127.0.0.1\nuser {user}\n{settings}\n")
        self._program = program
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", self._configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert self._process.poll() is None, "mosquitto did not start"
            time.sleep(0.02)
        pytest.fail("mosquitto does not listen")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


@pytest.fixture
def start_broker(
    mosquitto: Path, free_port: Callable[[], int], tmp_path: Path
) -> Iterator[Callable[..., Mosquitto]]:
    brokers: list[Mosquitto] = []

    def start(*settings: str) -> Mosquitto:
        brokers.append(Mosquitto(mosquitto, tmp_path, free_port(), *settings))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.signal(signal.SIGCONT)
        broker.kill()


@pytest.fixture
def start_echo() -> Iterator[Callable[..., None]]:
    """A gateway that gives every frame back, subscribed before the meter starts."""
    clients: list[paho.mqtt.client.Client] = []

    def give_back(client: paho.mqtt.client.Client, _: Any, message: paho.mqtt.client.MQTTMessage) -> None:
        client.publish(TOPICS["down"], message.payload, 1)

    def start(broker: Mosquitto, authority: Path | None = None, login: tuple[str, str] | None = None) -> None:
        subscribed = threading.Event()
        client = paho.mqtt.client.Client(CallbackAPIVersion.VERSION2)
        if authority:
            client.tls_set(str(authority))
        if login:
            client.username_pw_set(*login)
        client.on_connect = lambda client, *_: client.subscribe(TOPICS["up"], 1)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = give_back
        client.reconnect_delay_set(1, 1)
        client.connect("localhost" if authority else "127.0.0.1", broker.port)
        client.loop_start()
        clients.append(client)
        assert subscribed.wait(PATIENCE_S)

    yield start
    for client in clients:
        client.disconnect()
        client.loop_stop()


def at(broker: Mosquitto) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": broker.port} | TOPICS


def test_frames_of_every_size_make_the_round_trip(
    start_broker: Callable[..., Mosquitto], start_echo: Callable[..., None], start_meter: Callable[..., Meter]
) -> None:
    broker = start_broker()
    start_echo(broker)
    for size in (4, 340, LARGEST):
        meter = start_meter(**at(broker), frames=20, expect=20, size=size)
        summary = meter.summary()
        assert_undisturbed(summary, 20)
        assert summary["failures"] == 0
        assert not meter.troubles()


def test_a_name_is_found_whichever_of_its_addresses_the_broker_listens_on(
    start_broker: Callable[..., Mosquitto], start_meter: Callable[..., Meter]
) -> None:
    meter = start_meter(**(at(start_broker()) | {"host": "localhost"}), frames=1)
    assert meter.summary()["complete"]
    assert meter.troubles() <= {"connect_refused"}


def test_a_login_is_asked_for_and_a_wrong_one_refused(
    start_broker: Callable[..., Mosquitto],
    start_echo: Callable[..., None],
    start_meter: Callable[..., Meter],
    tmp_path: Path,
) -> None:
    passwords = tmp_path / "passwords"
    command = ["mosquitto_passwd", "-b", "-c", str(passwords), "meter", "right"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    broker = start_broker(f"allow_anonymous false\npassword_file {passwords}")
    start_echo(broker, login=("meter", "right"))
    login = {"username": "meter", "password": "right"}
    assert_undisturbed(start_meter(**at(broker), frames=5, expect=5, settings=login).summary(), 5)
    meter = start_meter(**at(broker), frames=1, run_ms=1000, settings=login | {"password": "wrong"})
    assert not meter.summary()["complete"]
    assert meter.troubles() == {"mqtt_login_refused"}


def test_a_killed_broker_is_found_again(
    start_broker: Callable[..., Mosquitto], start_echo: Callable[..., None], start_meter: Callable[..., Meter]
) -> None:
    broker = start_broker()
    start_echo(broker)
    meter = start_meter(**at(broker), frames=300, interval_ms=5)
    for index in (50, 120, 200):
        meter.until_handed_over(index)
        broker.kill()
        meter.until_trouble("connect_refused")
        broker.start()
    summary = meter.summary()
    assert summary["complete"], summary
    assert summary["connected"], summary
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary
    assert meter.troubles() <= {"peer_closed", "peer_lost", "connect_refused"}


def test_a_hung_broker_is_given_up_and_its_late_answers_do_no_harm(
    start_broker: Callable[..., Mosquitto], start_echo: Callable[..., None], start_meter: Callable[..., Meter]
) -> None:
    broker = start_broker()
    start_echo(broker)
    settings = {"keepalive_s": 6, "timeout_ms": 500}
    # What the echo publishes while the meter is away is lost, as a receipt would be: it comes again.
    meter = start_meter(**at(broker), frames=200, expect=180, interval_ms=5, size=2000, settings=settings)
    # Shorter than keep-alive: the publish in flight fails in time, its PUBACK comes late.
    meter.until_handed_over(50)
    broker.signal(signal.SIGSTOP)
    time.sleep(0.8)
    broker.signal(signal.SIGCONT)
    meter.until_handed_over(100)
    assert not meter.troubles()
    # Longer: too many in a row, or a ping, find it out.
    broker.signal(signal.SIGSTOP)
    meter.until(lambda event: event.get("trouble") in ("mqtt_puback_timeout", "mqtt_ping_timeout"))
    meter.until_trouble("mqtt_no_answer")
    broker.signal(signal.SIGCONT)
    summary = meter.summary()
    assert summary["failures"] >= 1
    assert summary["complete"], summary
    assert summary["connected"], summary
    assert summary["corrupt"] == 0
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary


def test_an_idle_meter_notices_a_hung_broker(
    start_broker: Callable[..., Mosquitto], start_echo: Callable[..., None], start_meter: Callable[..., Meter]
) -> None:
    broker = start_broker()
    start_echo(broker)
    settings = {"keepalive_s": 1, "timeout_ms": 500}
    meter = start_meter(**at(broker), frames=2, expect=1, interval_ms=2500, settings=settings)
    meter.until_handed_over(0)
    broker.signal(signal.SIGSTOP)
    meter.until_trouble("mqtt_ping_timeout")
    broker.signal(signal.SIGCONT)
    meter.until_handed_over(1)
    summary = meter.summary()
    assert summary["complete"], summary
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary


def test_ten_thousand_frames_leave_nothing_on_the_heap(
    start_broker: Callable[..., Mosquitto], start_echo: Callable[..., None], start_meter: Callable[..., Meter]
) -> None:
    broker = start_broker()
    summary = start_meter(**at(broker), frames=10_000, quiet=True).summary()
    print(summary)
    assert summary["complete"], summary
    assert abs(summary["heap_growth"]) < 1024, summary
    assert summary["failures"] == 0


# TLS


@dataclass(frozen=True)
class Authority:
    """A certification authority of the test, and the files it made."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def issue(self, name: str, valid_days: int = 30, encoding: str = "PEM") -> tuple[Path, Path]:
        """(certificate file, key file) for localhost and 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        certificate = (
            unsigned_certificate(name, "test CA", key.public_key(), valid_days)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return write(self.folder / name, certificate, key, encoding)


def unsigned_certificate(
    name: str, issuer: str, key: ec.EllipticCurvePublicKey, valid_days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=60))
        .not_valid_after(now + dt.timedelta(days=valid_days))
    )


def write(
    stem: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, encoding: str
) -> tuple[Path, Path]:
    form: serialization.Encoding = getattr(serialization.Encoding, encoding)
    certificate_file, key_file = stem.with_suffix(f".{encoding.lower()}"), stem.with_suffix(".key")
    certificate_file.write_bytes(certificate.public_bytes(form))
    plain = serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(form, serialization.PrivateFormat.PKCS8, plain))
    return certificate_file, key_file


def make_authority(folder: Path) -> Authority:
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    certificate = (
        unsigned_certificate("test CA", "test CA", key.public_key(), 30)
        .add_extension(constraints, critical=True)
        .sign(key, hashes.SHA256())
    )
    write(folder / "ca", certificate, key, "PEM")
    return Authority(folder, key, certificate)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path / "authority")


def secured(authority: Authority, certificate: tuple[Path, Path], more: str = "") -> str:
    files = f"cafile {authority.file}\ncertfile {certificate[0]}\nkeyfile {certificate[1]}"
    return f"allow_anonymous true\n{files}\n{more}"


def trusting(ca_file: Path, server_hostname: str = "localhost", **more: str) -> dict[str, str]:
    return {"ca_file": str(ca_file), "server_hostname": server_hostname} | more


def test_the_round_trip_over_tls(
    start_broker: Callable[..., Mosquitto],
    start_echo: Callable[..., None],
    start_meter: Callable[..., Meter],
    authority: Authority,
) -> None:
    broker = start_broker(secured(authority, authority.issue("broker")))
    start_echo(broker, authority.file)
    for name, size in (("localhost", LARGEST), ("127.0.0.1", 340)):
        meter = start_meter(**at(broker), frames=20, expect=20, size=size, tls=trusting(authority.file, name))
        assert_undisturbed(meter.summary(), 20)
        assert not meter.troubles()


def test_a_hundred_tls_sessions_leave_nothing_on_the_heap(
    start_broker: Callable[..., Mosquitto],
    start_echo: Callable[..., None],
    start_meter: Callable[..., Meter],
    authority: Authority,
) -> None:
    """Handshakes come and go; the buffers and the context of the link are those of its first session."""
    broker = start_broker(secured(authority, authority.issue("broker")))
    start_echo(broker, authority.file)
    sessions = 1000 if os.environ.get("EXHAUSTIVE") else 100
    summary = start_meter(
        **at(broker), frames=1, expect=1, sessions=sessions, tls=trusting(authority.file)
    ).summary()
    print(summary)
    assert summary["complete"], summary
    assert abs(summary["heap_growth"]) < 1024, summary
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary


@pytest.mark.parametrize("wrong", ["authority", "name", "validity"])
def test_a_broker_that_is_not_ours_gets_nothing(
    wrong: str,
    start_broker: Callable[..., Mosquitto],
    start_meter: Callable[..., Meter],
    authority: Authority,
    tmp_path: Path,
) -> None:
    certificate = authority.issue("broker", valid_days=-1 if wrong == "validity" else 30)
    broker = start_broker(secured(authority, certificate))
    stranger = make_authority(tmp_path / "stranger")
    trusted = stranger.file if wrong == "authority" else authority.file
    tls = trusting(trusted, "gateway.example" if wrong == "name" else "localhost")
    meter = start_meter(**at(broker), frames=1, run_ms=1000, longest_delay_ms=50, tls=tls)
    summary = meter.summary()
    assert not summary["complete"]
    assert summary["still_running"]
    assert meter.troubles() == {"tls_certificate_refused"}
    assert len(meter.events) > MOST_DESCRIPTORS
    assert summary["descriptors"] <= MOST_DESCRIPTORS


@pytest.mark.parametrize("encoding", ["PEM", "DER"])
def test_a_meter_shows_its_own_certificate_where_the_broker_wants_one(
    encoding: str,
    start_broker: Callable[..., Mosquitto],
    start_meter: Callable[..., Meter],
    authority: Authority,
) -> None:
    broker = start_broker(secured(authority, authority.issue("broker"), "require_certificate true"))
    certificate, key = authority.issue("meter", encoding=encoding)
    own = {"client_certificate_file": str(certificate), "client_key_file": str(key)}
    summary = start_meter(**at(broker), frames=3, tls=trusting(authority.file, **own)).summary()
    assert summary["complete"], summary
    meter = start_meter(**at(broker), frames=1, run_ms=1000, tls=trusting(authority.file))
    assert not meter.summary()["complete"]
    assert meter.troubles() <= {"tls_failed", "peer_lost", "peer_closed"}


def test_a_peer_that_never_answers_the_handshake_does_not_stop_the_meter(
    start_meter: Callable[..., Meter], authority: Authority
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = {"host": "127.0.0.1", "port": silent.getsockname()[1]} | TOPICS
        tls = trusting(authority.file)
        meter = start_meter(**address, frames=1, run_ms=1500, tls=tls, settings={"timeout_ms": 500})
        summary = meter.summary()
    assert meter.troubles() <= {"mqtt_no_answer", "write_stalled"}
    assert len(meter.events) > 2
    assert summary["still_running"]
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary


# Serial lines


class EchoLine(threading.Thread):
    """The gateway's end of a line: gives each frame back, cut in bits and with noise between."""

    def __init__(self, read: Callable[[], bytes], write: Callable[[bytes], Any], noise: bytes = b"") -> None:
        super().__init__(daemon=True)
        self._read = read
        self._write = write
        self._noise = noise
        self.discarded = 0

    def run(self) -> None:
        deframer = framing.Deframer()
        with contextlib.suppress(OSError):
            while wire := self._read():
                for payload in deframer.feed(wire):
                    answer = self._noise + framing.frame(payload)
                    for start in range(0, len(answer), 100):
                        self._write(answer[start : start + 100])
                self.discarded = deframer.discarded


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """A pseudo terminal in its cooked default, as a login would find it: (our end, the meter's device)."""
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("noise", [b"", b"\x00\xff", b"line noise", b"\x03\x11\x13\x00\x04\r\n"])
def test_frames_make_the_round_trip_over_a_terminal(
    noise: bytes, terminal: tuple[int, str], start_meter: Callable[..., Meter]
) -> None:
    ours, device = terminal
    EchoLine(lambda: os.read(ours, 512), lambda wire: os.write(ours, wire), noise).start()
    for size in (4, 340, LARGEST):
        meter = start_meter(tty=device, frames=10, expect=10, size=size)
        summary = meter.summary()
        assert_undisturbed(summary, 10)
        assert summary["failures"] == 0


def test_a_gateway_that_stopped_reading_does_not_stop_the_meter(
    terminal: tuple[int, str], start_meter: Callable[..., Meter]
) -> None:
    ours, device = terminal
    settings = {"write_timeout_ms": 500}
    meter = start_meter(tty=device, frames=40, expect=1, size=LARGEST, interval_ms=10, settings=settings)
    meter.until_trouble("write_stalled")
    EchoLine(lambda: os.read(ours, 512), lambda wire: os.write(ours, wire)).start()
    summary = meter.summary()
    assert summary["complete"], summary
    assert summary["corrupt"] == 0
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary


def test_a_terminal_that_went_away_is_waited_for(start_meter: Callable[..., Meter], tmp_path: Path) -> None:
    device = tmp_path / "line"
    meter = start_meter(tty=str(device), frames=20, expect=1, interval_ms=50)
    meter.until_trouble("peer_lost")
    for _ in range(2):
        ours, theirs = pty.openpty()
        device.unlink(missing_ok=True)
        device.symlink_to(os.ttyname(theirs))
        meter.until(lambda event: "handed_over" in event)
        os.close(theirs)
        os.close(ours)
        meter.until(lambda event: event.get("trouble") in ("peer_closed", "peer_lost"))
    ours, theirs = pty.openpty()
    device.unlink()
    device.symlink_to(os.ttyname(theirs))
    EchoLine(lambda: os.read(ours, 512), lambda wire: os.write(ours, wire)).start()
    summary = meter.summary()
    assert summary["complete"], summary
    assert summary["corrupt"] == 0


@pytest.mark.parametrize("noise", [b"", b"\x00\x01\x02noise"])
def test_frames_make_the_round_trip_over_the_stand_in_and_its_loss_is_noticed(
    noise: bytes, start_meter: Callable[..., Meter]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        meter = start_meter(
            host="127.0.0.1", port=server.getsockname()[1], frames=60, expect=10, size=1000, interval_ms=20
        )
        first, _ = server.accept()
        meter.until_handed_over(10)
        first.close()
        meter.until(lambda event: event.get("trouble") in ("peer_closed", "peer_lost"))
        second, _ = server.accept()
        with second:
            EchoLine(lambda: second.recv(512), second.sendall, noise).start()
            summary = meter.summary()
    assert summary["complete"], summary
    assert summary["corrupt"] == 0
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary
