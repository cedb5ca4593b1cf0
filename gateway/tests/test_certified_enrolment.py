"""Enrolment by a trusted maker's certificate, and what it does to the finding about the key; by the commands."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from meter_gateway import revocation
from meter_gateway.cli import app
from meter_gateway.enrolment import full_thumbprint
from meter_gateway.label import text_of
from meter_gateway.texts import Told
from meter_protocol import fields as f
from meter_tools.provisioning import ca
from meter_tools.simulated_meter import SimulatedMeter

NOW = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)


@pytest.fixture
def maker(gateway) -> ca.Authority:
    root = ca.make_root("simulated", NOW, False)
    (gateway.folder / "root.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    write_list(gateway, ca.make_list(root, [], 1, NOW))
    with gateway.config.open("a") as file:
        file.write('\n[makers]\nroots = ["root.pem"]\nrevocation_lists = ["crl.pem"]\n')
    return root


def write_list(gateway, listed: x509.CertificateRevocationList) -> None:
    (gateway.folder / "crl.pem").write_bytes(listed.public_bytes(Encoding.PEM))


def certified(meter: SimulatedMeter, maker: ca.Authority, serial: str, protection: int) -> x509.Certificate:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(meter.sealer._private_key, hashes.SHA256())
    return ca.issue(maker, signed, "simulated", serial, protection, NOW)


def begin(meter: SimulatedMeter, certificate: x509.Certificate | None, maker: ca.Authority) -> list[bytes]:
    chain = None if certificate is None else ca.chain_of(certificate, maker)
    identity = meter.identity(CERTIFICATE=chain, KEY_PROTECTION=f.KEY_SECURE_ELEMENT)
    return [identity, meter.boot(), meter.readings()]


def run(gateway, *arguments: str | Path, lang: str = "en") -> tuple[int, str, str]:
    words = ["--lang", lang, *map(str, arguments), "--config", str(gateway.config)]
    done = CliRunner().invoke(app, words, prog_name="carbonmeter")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_certified_meters_are_enrolled_and_no_others(gateway, maker) -> None:
    good, bare, swapped = (SimulatedMeter(f"SN-{number}") for number in range(3))
    gateway.fill(
        *begin(good, certified(good, maker, "SN-0", 2), maker),
        *begin(bare, None, maker),
        *begin(swapped, certified(good, maker, "SN-0", 2), maker),
    )
    assert "carbonmeter meters enrol --certified" in run(gateway, "meters", "list", "--waiting")[1]
    code, out, _ = run(gateway, "meters", "enrol", "--certified")
    assert code == 0
    assert f"Enrolled meter SN-0 (simulated in memory), thumbprint {good.thumbprint.hex()}." in out
    assert "SN-1 is not enrolled: its identity carries no maker's certificate" in out
    assert "SN-2 is not enrolled: its certificate is for another key" in out
    assert "SN-1 未登记：其身份报文不含制造商证书" in run(gateway, "meters", "enrol", "--certified", lang="zh")[1]
    assert run(gateway, "meters", "enrol", "--certified", "ab" * 32)[0] == 2


def test_without_a_root_nobody_is_enrolled(gateway, maker) -> None:
    meter = SimulatedMeter("SN-0")
    gateway.fill(*begin(meter, certified(meter, maker, "SN-0", 2), maker))
    gateway.config.write_text(gateway.config.read_text().partition("[makers]")[0])
    assert "no maker's root is configured" in run(gateway, "meters", "enrol", "--certified")[1]
    out = run(gateway, "meters", "list")[1]
    assert "No meter is enrolled." in out
    assert "--certified" not in out


@pytest.mark.parametrize(
    ("protection", "revoked", "found"),
    [(f.KEY_SECURE_ELEMENT, False, False), (f.KEY_NATIVE, False, True), (f.KEY_SECURE_ELEMENT, True, True)],
    ids=["proven", "the maker says otherwise", "revoked"],
)
def test_only_a_certificate_clears_the_finding(
    gateway, maker, protection: int, revoked: bool, found: bool
) -> None:
    meter = SimulatedMeter("SN-0")
    certificate = certified(meter, maker, "SN-0", protection)
    if revoked:
        empty = ca.make_list(maker, [], 1, NOW)
        reason = x509.ReasonFlags.key_compromise
        write_list(gateway, ca.revoke(maker, empty, certificate.serial_number, reason, NOW))
    raws = begin(meter, certificate, maker)
    gateway.enrol(SimulatedMeter("SN-0"))
    gateway.fill(*raws)
    shown = run(gateway, "readings", "--format", "json")[1]
    assert ("key_protection_unproven" in shown) == found
    assert "SN-0" in shown


def test_a_scanned_label_enrols(gateway, maker) -> None:
    meter = SimulatedMeter("SN-0")
    gateway.fill(*begin(meter, None, maker))
    scanned = text_of("SN-0", meter.thumbprint)
    assert full_thumbprint(f" {scanned}\n") == meter.thumbprint
    assert full_thumbprint(text_of("表/1", meter.thumbprint)) == meter.thumbprint
    assert run(gateway, "meters", "enrol", scanned, "--yes")[0] == 0
    for cut in (scanned[:-1], scanned.partition("/")[0], "carbonmeter:"):
        with pytest.raises(Told):
            full_thumbprint(cut)


def test_a_makers_revocation_is_taken_in_with_its_cut(gateway, maker) -> None:
    meter = SimulatedMeter("SN-0")
    gateway.enrol(meter)
    gateway.fill(*begin(meter, None, maker))
    path = gateway.folder / "revoked.json"
    cut = revocation.Cut(meter.epoch, 9, b"h" * 32)
    revocation.save(path, "SN-0", meter.thumbprint, "replaced", cut, NOW)
    assert revocation.load(path) == (meter.thumbprint, "replaced", cut)
    code, out, _ = run(gateway, "meters", "revoke", "--file", path)
    assert code == 0
    assert f"up to sequence 9 of chain {meter.epoch.hex()}" in out
    assert "replaced" in run(gateway, "meters", "list")[1]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 1}', b"\xff", b"[" * 5000, b" " * 5000])
def test_what_is_no_revocation_is_told(gateway, maker, content: bytes) -> None:
    gateway.fill()
    path = gateway.folder / "revoked.json"
    path.write_bytes(content)
    code, _, err = run(gateway, "meters", "revoke", "--file", path)
    assert (code, "is not a maker's revocation" in err) == (2, True)
    assert run(gateway, "meters", "revoke")[0] == 2


def test_a_revocation_with_one_field_wrong_is_told(tmp_path: Path) -> None:
    good: dict[str, Any] = {"epoch": "00" * 8, "sequence": 1, "hash": "00" * 32}
    path = tmp_path / "revoked.json"
    for change in ({"epoch": "00"}, {"sequence": True}, {"sequence": -1}, {"hash": 5}):
        revocation.save(path, "s", bytes(32), "r", None, NOW)
        text = path.read_text().replace('"cut": null', '"cut": ' + repr({**good, **change}).replace("'", '"'))
        path.write_text(text.replace("True", "true"))
        with pytest.raises(Told):
            revocation.load(path)
