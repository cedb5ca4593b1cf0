"""The certificate signing request of each signer, made on MicroPython, read and verified by `cryptography`."""

import os
import subprocess
from pathlib import Path

import pytest
from atecc608_bench import FIRMWARE, AteccBench
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from meter_firmware import csr
from meter_firmware.signers.software import SoftwareSigner

PRIVATE = bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")


def make(micropython: Path, kind: str, private: bytes, maker: str, serial: str) -> bytes:
    tests = FIRMWARE / "tests"
    search = [FIRMWARE, FIRMWARE.parent / "protocol", tests / "native_stand_in", ".frozen"]
    words = (kind, private.hex(), maker.encode().hex(), serial.encode().hex())
    done = subprocess.run(
        [micropython, tests / "make_csr.py", *words],
        env=os.environ | {"MICROPYPATH": ":".join(map(str, search))},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return bytes.fromhex(done.stdout.strip())


def check(der: bytes, maker: str, serial: str) -> ec.EllipticCurvePublicKey:
    """It is exactly one request, strictly DER, of these names, and its own key signs it. Gives the key."""
    request = x509.load_der_x509_csr(der)
    assert request.is_signature_valid
    assert isinstance(request.signature_hash_algorithm, hashes.SHA256)
    assert [(name.oid, name.value) for name in request.subject] == [
        (NameOID.ORGANIZATION_NAME, maker),
        (NameOID.COMMON_NAME, serial),
    ]
    assert list(request.extensions) == []
    assert request.public_bytes(serialization.Encoding.DER) == der
    key = request.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    return key


def public_of(private: bytes) -> ec.EllipticCurvePublicNumbers:
    key = ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())
    return key.public_key().public_numbers()


@pytest.mark.parametrize("kind", ["software", "native"])
def test_software_and_native(micropython: Path, kind: str) -> None:
    der = make(micropython, kind, PRIVATE, "carbonmeter", "CM-2026-000017")
    assert check(der, "carbonmeter", "CM-2026-000017").public_numbers() == public_of(PRIVATE)
    assert PRIVATE not in der


def test_atecc608(micropython: Path) -> None:
    bench = AteccBench(micropython)
    try:
        public, der = bench.run("generate", "csr")
    finally:
        bench.close()
    numbers = check(bytes.fromhex(der), "maker", "SN-1").public_numbers()
    assert public == f"{numbers.x:064x}{numbers.y:064x}"
    private = bench.chip.keys[0].private_numbers().private_value.to_bytes(32, "big")
    assert private.hex() not in der
    assert not any(private in (frame or b"") for _, _, frame in bench.trace)


@pytest.mark.parametrize(
    ("maker", "serial"),
    [("表计厂", "№ 7"), ("m" * 64, "s" * 64), ("厂" * 21, "é" * 32), ("a", "b")],
)
def test_names_of_every_length(maker: str, serial: str) -> None:
    """Lengths that DER writes in one, two and three bytes."""
    check(csr.request(SoftwareSigner(PRIVATE), maker, serial), maker, serial)


def test_numbers_that_der_writes_shorter_or_longer() -> None:
    """Of 300 signatures some have leading zeros, and half a first bit that would read as a minus."""
    lengths = set()
    for number in range(300):
        der = csr.request(SoftwareSigner(PRIVATE), "m", f"{number:03}")
        check(der, "m", f"{number:03}")
        lengths.add(len(der))
    assert len(lengths) >= 3


@pytest.mark.parametrize("name", ["", "x" * 65, "厂" * 22])
def test_names_that_a_certificate_cannot_hold(name: str) -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        csr.request(SoftwareSigner(PRIVATE), "maker", name)


def test_one_changed_byte_shows() -> None:
    der = csr.request(SoftwareSigner(PRIVATE), "maker", "SN-1")
    changed = der.replace(b"SN-1", b"SN-2")
    assert not x509.load_der_x509_csr(changed).is_signature_valid
