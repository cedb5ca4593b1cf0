"""The gateway's own keys: their files, their roles and what they sign."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from meter_gateway.sealing import KeyFileError, Sealer, Sealers, load_sealer, load_sealers
from meter_gateway.verify import Key, KeyRing, verify
from meter_protocol import fields as f
from meter_protocol import types as t

RECEIPT = {
    f.VERSION: f.PROTOCOL_VERSION,
    f.TIME_MS: 1,
    f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
    f.CLOCK_UNCERTAINTY_MS: 1,
    f.METER: bytes(32),
    f.EPOCH: bytes(8),
    f.SEQUENCE: 5,
    f.HASH: bytes(32),
}


def test_what_is_sealed_verifies_and_is_the_same_each_time() -> None:
    sealer = Sealer.generate(t.ROLE_RECEIPT)
    raw = sealer.seal(t.RECEIPT, RECEIPT)
    assert raw == sealer.seal(t.RECEIPT, RECEIPT)
    ring = KeyRing([Key.of(sealer.cose_key, t.ROLE_RECEIPT)], (t.RECEIPT,))
    verified = verify(raw, ring, 0)
    assert (verified.fields, verified.thumbprint) == (RECEIPT, sealer.thumbprint)


@pytest.mark.parametrize("role", sorted({*t.ROLE_OF_TYPE.values()} - {t.ROLE_RECEIPT}))
def test_a_key_signs_only_what_its_role_says(role: str) -> None:
    with pytest.raises(ValueError, match="does not sign"):
        Sealer.generate(role).seal(t.RECEIPT, RECEIPT)


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_saved_key_is_the_same_key(tmp_path: Path, passphrase: bytes | None) -> None:
    path = tmp_path / "receipt.pem"
    sealer = Sealer.generate(t.ROLE_RECEIPT)
    sealer.save(path, passphrase)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_sealer(path, t.ROLE_RECEIPT, passphrase).cose_key == sealer.cose_key
    with pytest.raises(FileExistsError):
        sealer.save(path, passphrase)


def refusal_of(path: Path, passphrase: bytes | None = None) -> str:
    with pytest.raises(KeyFileError) as caught:
        load_sealer(path, t.ROLE_RECEIPT, passphrase)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_key_files_that_are_refused(tmp_path: Path) -> None:
    assert "generate" in refusal_of(tmp_path / "nowhere.pem")
    path = tmp_path / "key.pem"
    path.write_bytes(b"-----BEGIN NOTHING-----")
    path.chmod(0o600)
    assert "not a PEM" in refusal_of(path)
    for other in (ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()):
        path.write_bytes(
            other.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        assert "P-256" in refusal_of(path)


def test_passphrases_that_are_missing_wrong_or_too_many(tmp_path: Path) -> None:
    locked, plain = tmp_path / "locked.pem", tmp_path / "plain.pem"
    Sealer.generate(t.ROLE_RECEIPT).save(locked, b"correct horse")
    Sealer.generate(t.ROLE_RECEIPT).save(plain)
    assert "give its passphrase" in refusal_of(locked)
    told = refusal_of(locked, b"battery staple")
    assert "wrong" in told
    assert "battery" not in told
    assert "not encrypted" in refusal_of(plain, b"correct horse")


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o644])
def test_a_key_that_others_may_read_or_its_group_may_write(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "receipt.pem"
    Sealer.generate(t.ROLE_RECEIPT).save(path)
    path.chmod(mode)
    assert "chmod 600" in refusal_of(path)


def test_three_roles_have_three_keys(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.pem" for name in ("receipt", "verdict", "clock")]
    made = Sealers.generate()
    for path, sealer in zip(paths, (made.receipt, made.verdict, made.clock), strict=True):
        sealer.save(path)
    loaded = load_sealers(*paths)
    assert (loaded.receipt.role, loaded.verdict.role, loaded.clock.role) == (
        t.ROLE_RECEIPT,
        t.ROLE_VERDICT,
        t.ROLE_CLOCK,
    )
    with pytest.raises(KeyFileError, match="a key in the role of gateway receipt, not gateway verdict"):
        load_sealers(paths[0], paths[0], paths[2])
    # A key from elsewhere, such as openssl's, does not say what it is for.
    paths[0].write_bytes(paths[0].read_bytes().partition(b"\n")[2])
    with pytest.raises(KeyFileError, match="two roles"):
        load_sealers(paths[0], paths[0], paths[2])
