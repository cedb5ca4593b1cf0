"""p256.py held against OpenSSL: the same keys, the same signatures, the same verdicts, on both interpreters."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given, settings
from hypothesis import strategies as st

from meter_firmware import p256

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
PREHASHED = utils.Prehashed(hashes.SHA256())

FIRMWARE = Path(__file__).parents[1]

scalars = st.integers(1, N - 1) | st.integers(1, 64) | st.integers(1, 64).map(lambda d: N - d)
digests = st.binary(min_size=32, max_size=32) | st.integers(N - 2, (1 << 256) - 1).map(
    lambda z: z.to_bytes(32, "big")
)


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def openssl_public(d: int) -> bytes:
    numbers = ec.derive_private_key(d, ec.SECP256R1()).public_key().public_numbers()
    return number(numbers.x) + number(numbers.y)


def openssl_sign(d: int, digest: bytes, deterministic: bool) -> tuple[int, int]:
    algorithm = ec.ECDSA(PREHASHED, deterministic_signing=deterministic)
    return utils.decode_dss_signature(ec.derive_private_key(d, ec.SECP256R1()).sign(digest, algorithm))


def openssl_verify(public: bytes, digest: bytes, signature: bytes) -> bool:
    """With our policy on top: OpenSSL itself takes a high S."""
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    x, y = (int.from_bytes(half, "big") for half in (public[:32], public[32:]))
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(PREHASHED))
    except (InvalidSignature, ValueError):
        return False
    return s <= N // 2


@settings(max_examples=40, deadline=None)
@given(scalars)
def test_public_keys(d: int) -> None:
    assert p256.public_key(number(d)) == openssl_public(d)


@settings(max_examples=40, deadline=None)
@given(scalars, digests)
def test_signatures_are_openssls_deterministic_ones(d: int, digest: bytes) -> None:
    r, s = openssl_sign(d, digest, deterministic=True)
    assert p256.sign(number(d), digest) == number(r) + number(min(s, N - s))


@settings(max_examples=40, deadline=None)
@given(scalars, digests)
def test_verifies_openssls_random_signatures(d: int, digest: bytes) -> None:
    r, s = openssl_sign(d, digest, deterministic=False)
    public = openssl_public(d)
    assert p256.verify(public, digest, number(r) + number(min(s, N - s)))
    assert not p256.verify(public, digest, number(r) + number(max(s, N - s)))


@settings(max_examples=80, deadline=None)
@given(scalars, digests, st.integers(0, 3), st.integers(0, 511))
def test_agrees_with_openssl_on_damage(d: int, digest: bytes, where: int, place: int) -> None:
    parts = [bytearray(openssl_public(d)), bytearray(digest), bytearray(p256.sign(number(d), digest))]
    if where < 3:
        part = parts[where]
        part[place // 8 % len(part)] ^= 1 << (place % 8)
    public, digest, signature = map(bytes, parts)
    assert p256.verify(public, digest, signature) == openssl_verify(public, digest, signature)


@settings(max_examples=60, deadline=None)
@given(scalars, digests, st.integers(0, N) | st.just(P), st.integers(0, N) | st.just(N // 2 + 1))
def test_agrees_with_openssl_on_invented_signatures(d: int, digest: bytes, r: int, s: int) -> None:
    public, signature = openssl_public(d), number(r) + number(s)
    assert p256.verify(public, digest, signature) == openssl_verify(public, digest, signature)


def test_an_x_beyond_the_order() -> None:
    """R's x lies between n and p, so r is x - n: the comparison must be modulo n, and is never met by chance."""
    x = next(x for x in range(N, P) if pow(curve(x), (P - 1) // 2, P) == 1)
    y = pow(curve(x), (P + 1) // 4, P)
    digest = hashlib.sha256(b"an unlikely one").digest()
    r, s = x - N, 2026
    # Q = (s R - z G) / r makes R the point that verification computes.
    inverse = pow(r, -1, N)
    z = int.from_bytes(digest, "big")
    q = p256._affine(p256._multiply_both(-z * inverse % N, s * inverse % N, (x, y)))
    public, signature = number(q[0]) + number(q[1]), number(r) + number(s)
    assert openssl_verify(public, digest, signature)
    assert p256.verify(public, digest, signature)
    assert not p256.verify(public, digest, number(r + 1) + number(s))


def curve(x: int) -> int:
    return (x**3 - 3 * x + p256._B) % P


ON_MICROPYTHON = """
import sys
from meter_firmware import p256
for line in sys.stdin:
    private, digest, public, good, bad = [bytes.fromhex(word) for word in line.split()]
    print(p256.public_key(private) == public, p256.sign(private, digest) == good,
          p256.verify(public, digest, good), p256.verify(public, digest, bad))
"""


def test_micropython_agrees_with_openssl(micropython: Path, tmp_path: Path) -> None:
    """Its integers are not CPython's: the same cases once more, decided by OpenSSL."""
    lines = []
    for case in range(40):
        d = int.from_bytes(hashlib.sha256(b"key %d" % case).digest(), "big") % (N - 1) + 1
        digest = hashlib.sha256(b"message %d" % case).digest()
        r, s = openssl_sign(d, digest, deterministic=True)
        good = number(r) + number(min(s, N - s))
        bad = bytearray(good)
        bad[case % 64] ^= 1 << (case % 8)
        assert not openssl_verify(openssl_public(d), digest, bytes(bad))
        words = (number(d), digest, openssl_public(d), good, bytes(bad))
        lines.append(" ".join(word.hex() for word in words))
    script = tmp_path / "cases.py"
    script.write_text(ON_MICROPYTHON)
    done = subprocess.run(
        [micropython, script],
        input="\n".join(lines) + "\n",
        env=os.environ | {"MICROPYPATH": f"{FIRMWARE}:.frozen"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["True True True False"] * len(lines)


@pytest.mark.parametrize("private", [bytes(32), number(N), b"\xff" * 32, bytes(31)])
def test_private_keys_out_of_range(private: bytes) -> None:
    with pytest.raises(ValueError, match="private key"):
        p256.public_key(private)
