"""Brokers over TLS: the broker's certificate is checked against the configured authority, and its host name."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from meter_gateway import doctor
from meter_gateway.config import UplinkMqtt

DAY = dt.timedelta(days=1)


def certificate(folder: Path, name: str, host: str, issuer: str | None = None) -> None:
    """<name>.pem and <name>.key, signed by `issuer` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, issued_by = key, subject
    if issuer is not None:
        signer = load_pem_private_key((folder / f"{issuer}.key").read_bytes(), None)
        issued_by = x509.load_pem_x509_certificate((folder / f"{issuer}.pem").read_bytes()).subject
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
    key_bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.key").write_bytes(key_bytes)


@pytest.fixture
def tls_broker(broker):
    folder = broker.folder
    certificate(folder, "authority", "authority")
    certificate(folder, "stranger", "stranger")
    certificate(folder, "broker", "localhost", "authority")
    broker.kill()
    broker.settings += f"certfile {folder / 'broker.pem'}\nkeyfile {folder / 'broker.key'}\nuser root\n"
    broker.start()
    return broker


def section(broker, authority: str, host: str = "localhost") -> UplinkMqtt:
    settings = {"host": host, "port": broker.port, "tls": True, "ca_file": str(broker.folder / f"{authority}.pem")}
    return UplinkMqtt.model_validate(settings, context={"base": broker.folder})


async def test_the_right_broker_is_spoken_to(tls_broker) -> None:
    check = await doctor.look_at_broker("uplink", section(tls_broker, "authority"))
    assert check.level == "ok", check.values


@pytest.mark.parametrize(("authority", "host"), [("stranger", "localhost"), ("authority", "127.0.0.1")])
async def test_a_broker_of_another_authority_or_name_is_not(tls_broker, authority: str, host: str) -> None:
    check = await doctor.look_at_broker("uplink", section(tls_broker, authority, host))
    assert check.level == "problem"
    assert "certificate verify failed" in str(check.values["error"])


async def test_tls_is_not_given_up_towards_a_broker_without(broker) -> None:
    certificate(broker.folder, "authority", "authority")
    check = await doctor.look_at_broker("uplink", section(broker, "authority"))
    assert check.level == "problem"
