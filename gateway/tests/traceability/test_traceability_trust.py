"""Everything that the configuration names, loaded and checked against each other."""

import shutil
import subprocess
from pathlib import Path

import pytest
import test_certificate_files as files
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from scenario import AUTHORITY, THUMBPRINT, parameter_set

from meter_gateway.config import load_config
from meter_gateway.sealing import role_line
from meter_gateway.traceability import load_trust
from meter_gateway.traceability.authority import load_authority_key
from meter_gateway.traceability.hierarchy import Rules
from meter_gateway.traceability.parameters import is_authorised
from meter_gateway.validated_toml import ConfigError
from meter_protocol import cose, keys, messages
from meter_protocol import types as t


def pem(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "a.toml").write_text(files.CALIBRATION, encoding="utf-8")
    (tmp_path / "certificates" / "b.toml").write_text(files.VERIFICATION, encoding="utf-8")
    (tmp_path / "bindings.toml").write_text(files.BINDING)
    (tmp_path / "authority.pem").write_bytes(pem(AUTHORITY.public))
    for role in ("receipt", "verdict", "clock"):
        key = tmp_path / f"{role}.pem"
        key.touch(mode=0o600)
    (tmp_path / "gateway.toml").write_text("""
[gateway]
name = "g"
state_dir = "state"
[keys]
receipt = "receipt.pem"
verdict = "verdict.pem"
clock = "clock.pem"
[clock]
trusted = true
uncertainty_ms = 7
max_skew_ms = 8
[[listener]]
type = "mqtt"
host = "broker"
[parameters]
authority_keys = ["authority.pem"]
[traceability]
certificates = ["certificates/*.toml"]
bindings = ["bindings.toml"]
max_clock_uncertainty_ms = 9
utc_offset = "+08:00"
national_institutes = ["National Institute"]
standard_ratio = 4
""")
    return tmp_path


def test_trust_is_what_the_configuration_names(folder: Path) -> None:
    trust = load_trust(load_config(folder / "gateway.toml"))
    assert "JL-2026-00123" in trust.register
    assert "JD-2026-00077" in trust.register
    assert [binding.serial for binding in trust.bindings] == ["2101934"]
    assert list(trust.authorities) == [AUTHORITY.kid]
    assert trust.clocks == (7, 8, 9)
    assert trust.hierarchy.rules == Rules(frozenset({"National Institute"}), 4)
    assert trust.clock_trusted


def told(folder: Path) -> str:
    with pytest.raises(ConfigError) as error:
        load_trust(load_config(folder / "gateway.toml"))
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(str(folder) + "/")


def test_one_certificate_in_two_files(folder: Path) -> None:
    shutil.copy(folder / "certificates" / "a.toml", folder / "certificates" / "c.toml")
    assert told(folder) == "certificates/c.toml: id: JL-2026-00123 is in two files; take one out"


def test_a_binding_of_a_certificate_that_is_not_loaded(folder: Path) -> None:
    (folder / "certificates" / "a.toml").unlink()
    assert told(folder).startswith(
        "bindings.toml: binding[0].certificates: no certificate JL-2026-00123 is loaded; correct it, or add"
    )


def test_a_binding_of_another_instrument_than_the_certificate_s(folder: Path) -> None:
    (folder / "bindings.toml").write_text(files.BINDING.replace("2101934", "2101935"))
    assert told(folder) == (
        "bindings.toml: binding[0].serial: certificate JL-2026-00123 is not about 2101935; "
        "it is about 2101934; look at the instrument's plate"
    )


def test_two_instruments_behind_one_channel_at_one_time(folder: Path) -> None:
    (folder / "bindings.toml").write_text(files.BINDING + files.BINDING.replace("2026-01-15", "2026-02-15"))
    assert "traceability.bindings: channel 1 of abababababababab… is bound twice at one time; " in told(folder)
    ended = files.BINDING + "to = 2026-02-15T10:00:00.001+08:00\n"
    (folder / "bindings.toml").write_text(ended + files.BINDING.replace("2026-01-15", "2026-02-15"))
    assert "is bound twice at one time" in told(folder)
    ended = files.BINDING + "to = 2026-02-15T10:00:00+08:00\n"
    (folder / "bindings.toml").write_text(ended + files.BINDING.replace("2026-01-15", "2026-02-15"))
    assert len(load_trust(load_config(folder / "gateway.toml")).bindings) == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no key", "is not a PEM public key; export it with: openssl pkey -pubout"),
        (pem(ec.generate_private_key(ec.SECP384R1()).public_key()), "is neither a P-256 nor an Ed25519 key; "),
        (pem(rsa.generate_private_key(65537, 2048).public_key()), "is neither a P-256 nor an Ed25519 key; "),
    ],
)
def test_a_wrong_authority_key(folder: Path, content: bytes, problem: str) -> None:
    (folder / "authority.pem").write_bytes(content)
    assert told(folder).startswith(f"authority.pem: {problem}")


def test_a_key_says_which_authority_it_is_of(folder: Path) -> None:
    key = pem(ec.generate_private_key(ec.SECP256R1()).public_key())
    (folder / "authority.pem").write_bytes(role_line(t.ROLE_UPDATES) + key)
    assert told(folder) == (
        "authority.pem: is a key in the role of update authority, not parameter authority; one key has one role"
    )
    (folder / "authority.pem").write_bytes(key)
    gateway = folder / "gateway.toml"
    gateway.write_text(gateway.read_text() + '\n[updates]\nauthority_keys = ["authority.pem"]\n')
    assert "updates.authority_keys: one of them is a parameter authority's too; give each" in told(folder)


def test_an_authority_with_an_ed25519_key(tmp_path: Path) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(pem(private.public_key()))
    kid, key = load_authority_key(tmp_path / "key.pem")
    assert kid == keys.kid_of(keys.thumbprint(keys.encode_ed25519(private.public_key().public_bytes_raw())))
    payload = messages.encode(t.PARAMETER_SET, parameter_set())
    protected = cose.protected_header(cose.EDDSA, kid, t.PARAMETER_SET)
    signature = private.sign(cose.to_be_signed(protected, payload))
    sealed = cose.assemble(protected, payload, signature)
    assert is_authorised(sealed, THUMBPRINT, {kid: key})
    assert not is_authorised(cose.assemble(protected, payload, bytes(64)), THUMBPRINT, {kid: key})
    other_algorithm = cose.protected_header(cose.ES256, kid, t.PARAMETER_SET)
    signature = private.sign(cose.to_be_signed(other_algorithm, payload))
    assert not is_authorised(cose.assemble(other_algorithm, payload, signature), THUMBPRINT, {kid: key})


def test_the_openssl_command_of_the_remedy_makes_a_key_that_loads(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is missing")
    private, public = tmp_path / "key.pem", tmp_path / "pub.pem"
    generate = ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(private))
    subprocess.run([openssl, *generate], check=True, capture_output=True)
    subprocess.run([openssl, "pkey", "-pubout", "-in", private, "-out", public], check=True)
    assert isinstance(load_authority_key(public)[1], ec.EllipticCurvePublicKey)
