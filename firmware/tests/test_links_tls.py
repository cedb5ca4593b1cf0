"""TLS under the meter's MQTT link, against a real broker: which certificates are believed, and the heap."""

import datetime as dt
import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from link_bench import LARGEST, TOLERATED_GAP_MS, TOPICS, Meter, Mosquitto, assert_undisturbed, at

MOST_DESCRIPTORS = 6
"""Standard streams, the connection, the folder that is listed to count them, and one to spare."""


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
    return {"ca": str(ca_file), "server_hostname": server_hostname} | more


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
    tries = MOST_DESCRIPTORS + 1
    meter = start_meter(**at(broker), frames=1, give_up_after=tries, longest_delay_ms=50, tls=tls)
    summary = meter.summary()
    assert not summary["complete"]
    assert summary["still_running"]
    assert meter.troubles() == {"tls_certificate_refused"}
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
    meter = start_meter(**at(broker), frames=1, give_up_after=2, tls=trusting(authority.file))
    assert not meter.summary()["complete"]
    assert meter.troubles()
    assert meter.troubles() <= {"tls_failed", "peer_lost", "peer_closed"}


def test_a_peer_that_never_answers_the_handshake_does_not_stop_the_meter(
    start_meter: Callable[..., Meter], authority: Authority
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = {"host": "127.0.0.1", "port": silent.getsockname()[1]} | TOPICS
        tls = trusting(authority.file)
        meter = start_meter(**address, frames=1, give_up_after=2, tls=tls, settings={"timeout_ms": 500})
        summary = meter.summary()
    assert not summary["complete"]
    assert meter.troubles()
    assert meter.troubles() <= {"mqtt_no_answer", "write_stalled"}
    assert summary["still_running"]
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary
