"""The C core of firmware/native on the host, with each library that a port may have: against RFC 6979, OpenSSL
and p256.py.

The libraries' source is the one that boards are built from, fetched if need be. EXHAUSTIVE=1 for the thousands.
"""

import hashlib
import os
import random
import shutil
from itertools import islice

import native_library
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from native_library import Es256

from meter_firmware import p256
from meter_tools import board_build, upstream
from meter_tools.bench import board_core

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
PREHASHED = utils.Prehashed(hashes.SHA256())
DIGEST = hashlib.sha256(b"a reading").digest()

EXHAUSTIVE = bool(os.environ.get("EXHAUSTIVE"))
RANDOM_CASES = 1_000 if EXHAUSTIVE else 100
MUTATIONS = 10_000 if EXHAUSTIVE else 500


@pytest.fixture(scope="module", params=board_core.ENGINES)
def es256(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Es256:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing")
    try:
        source = upstream.find(upstream.MBEDTLS, board_build.SOURCES)
    except upstream.SourceError as error:
        pytest.skip(f"the source of Mbed TLS is missing: {error}")
    return native_library.build(request.param, source.folder, tmp_path_factory.mktemp("native"))


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def pair(first: int, second: int) -> bytes:
    return number(first) + number(second)


def times_g(k: int) -> tuple[int, int]:
    numbers = ec.derive_private_key(k % N, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x, numbers.y


def key_with_signature(k: int, s: int, digest: bytes) -> tuple[bytes, bytes]:
    """A public key under which (x(k G), s) is a signature of the digest: s k = z + r d, solved for d."""
    r = times_g(k)[0] % N
    d = (s * k - int.from_bytes(digest, "big")) * pow(r, -1, N) % N
    return pair(*times_g(d)), pair(r, s)


def openssl_verify(public: bytes, digest: bytes, signature: bytes) -> bool:
    """With our policy on top: OpenSSL itself takes a high S."""
    r, s, x, y = (
        int.from_bytes(half, "big") for half in (signature[:32], signature[32:], public[:32], public[32:])
    )
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(PREHASHED))
    except (InvalidSignature, ValueError):
        return False
    return s <= N // 2


def agreed(es256: Es256, public: bytes, digest: bytes, signature: bytes) -> bool:
    """The verdict that the C core, OpenSSL and p256.py share."""
    verdict = es256.verify(public, digest, signature)
    assert verdict == p256.verify(public, digest, signature)
    assert verdict == openssl_verify(public, digest, signature)
    return verdict


RFC_KEY = number(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721)
RFC_PUBLIC = pair(
    0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6,
    0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299,
)
RFC_SIGNATURES = [
    (
        b"sample",
        0xA6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60,
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    (
        b"test",
        0xD16B6AE827F17175E040871A1C7EC3500192C4C92677336EC2537ACAEE0008E0,
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
]


@pytest.mark.parametrize(("message", "k", "r", "s"), RFC_SIGNATURES, ids=["sample", "test"])
def test_rfc_6979_a_2_5(es256: Es256, message: bytes, k: int, r: int, s: int) -> None:
    digest = hashlib.sha256(message).digest()
    assert es256.public_key(RFC_KEY) == RFC_PUBLIC
    assert next(es256.nonces(RFC_KEY, digest)) == number(k)
    assert es256.sign(RFC_KEY, digest) == pair(r, min(s, N - s))


@pytest.mark.parametrize("z", [0, 1, N - 1, N, N + 1, 2**256 - 1])
def test_all_candidates_of_the_nonce(es256: Es256, z: int) -> None:
    """Those after the first are met by no signature, but Mbed TLS blinds with them."""
    expected = [number(k) for k in islice(p256._nonces(RFC_KEY, z), 4)]
    assert list(islice(es256.nonces(RFC_KEY, number(z)), 4)) == expected


def test_openssl_and_we_agree_on_keys_and_signatures(es256: Es256) -> None:
    cases = random.Random(2026)
    algorithm = ec.ECDSA(PREHASHED, deterministic_signing=True)
    for _ in range(RANDOM_CASES):
        d, digest = cases.randrange(1, N), cases.randbytes(32)
        key = ec.derive_private_key(d, ec.SECP256R1())
        r, s = utils.decode_dss_signature(key.sign(digest, algorithm))
        public = es256.public_key(number(d))
        assert public == pair(*times_g(d))
        assert es256.sign(number(d), digest) == pair(r, min(s, N - s))
        r, s = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(PREHASHED)))
        assert es256.verify(public, digest, pair(r, min(s, N - s)))
        assert not es256.verify(public, digest, pair(r, max(s, N - s)))


def mutated(cases: random.Random, public: bytes, digest: bytes, signature: bytes) -> tuple[bytes, bytes, bytes]:
    """A bit, a byte, a run of bytes, or a whole number of the three is another; one time in ten nothing is."""
    whole = bytearray(public + digest + signature)
    kind = cases.randrange(10)
    place = cases.randrange(len(whole))
    if kind < 5:
        whole[place] ^= 1 << cases.randrange(8)
    elif kind < 6:
        whole[place] = cases.choice([0x00, 0x7F, 0x80, 0xFF])
    elif kind < 7:
        size = cases.randrange(1, 32)
        whole[place : place + size] = cases.randbytes(len(whole[place : place + size]))
    elif kind < 9:
        start = 32 * cases.randrange(5)
        old = int.from_bytes(whole[start : start + 32], "big")
        new = cases.choice([N - old, N + old, P - old, P + old, 0, 1, N, P, old + 1, old - 1, 2**256 - 1])
        whole[start : start + 32] = number(new % 2**256)
    return bytes(whole[:64]), bytes(whole[64:96]), bytes(whole[96:])


def test_mutated_signatures_get_p256s_verdict(es256: Es256) -> None:
    cases = random.Random(6979)
    verdicts = []
    for _ in range(MUTATIONS):
        d, digest = cases.randrange(1, N), cases.randbytes(32)
        k, z = cases.randrange(1, N), int.from_bytes(digest, "big")
        r = times_g(k)[0] % N
        s = pow(k, -1, N) * (z + r * d) % N
        signature = pair(r, cases.choice([s, N - s]))
        verdicts.append(agreed(es256, *mutated(cases, pair(*times_g(d)), digest, signature)))
    assert 0.02 < sum(verdicts) / MUTATIONS < 0.3


OUTSIDE = (0, N, N + 1, P, 2**256 - 1)


@pytest.mark.parametrize("value", OUTSIDE)
def test_r_and_s_out_of_range(es256: Es256, value: int) -> None:
    public, signature = RFC_PUBLIC, es256.sign(RFC_KEY, DIGEST)
    assert agreed(es256, public, DIGEST, signature)
    assert not agreed(es256, public, DIGEST, number(value) + signature[32:])
    assert not agreed(es256, public, DIGEST, signature[:32] + number(value))
    for other in OUTSIDE:
        assert not agreed(es256, public, DIGEST, pair(value, other))


@pytest.mark.parametrize("s", [1, 2, N // 2 - 1, N // 2])
def test_a_low_s_is_taken_and_its_high_twin_refused(es256: Es256, s: int) -> None:
    public, signature = key_with_signature(2026, s, DIGEST)
    assert agreed(es256, public, DIGEST, signature)
    assert not agreed(es256, public, DIGEST, signature[:32] + number(N - s))


def test_r_plus_the_order_is_another_number(es256: Es256) -> None:
    """R's x lies between n and p, so r is x - n; and an r of x, though the same modulo n, is out of range."""
    x = next(x for x in range(N, P) if pow(curve(x), (P - 1) // 2, P) == 1)
    y = pow(curve(x), (P + 1) // 4, P)
    r, s = x - N, 2026
    inverse = pow(r, -1, N)
    z = int.from_bytes(DIGEST, "big")
    # Q = (s R - z G) / r makes R the point that verification computes.
    q = p256._affine(p256._multiply_both(-z * inverse % N, s * inverse % N, (x, y)))
    assert agreed(es256, pair(*q), DIGEST, pair(r, s))
    assert not agreed(es256, pair(*q), DIGEST, pair(x, s))


def curve(x: int) -> int:
    return (x**3 - 3 * x + p256._B) % P


@pytest.mark.parametrize("z", [0, N], ids=["0", "n"])
def test_a_digest_of_nothing(es256: Es256, z: int) -> None:
    """u1 is 0: nothing of G is added."""
    public, signature = es256.public_key(RFC_KEY), es256.sign(RFC_KEY, number(z))
    assert signature == p256.sign(RFC_KEY, number(z))
    assert agreed(es256, public, number(z), signature)
    assert not agreed(es256, public, number(z + 1), signature)


@pytest.mark.parametrize("d", [1, 2, 2026])
def test_the_two_points_that_are_added_are_one(es256: Es256, d: int) -> None:
    """u1 G = u2 Q: z = r d, so that adding needs a doubling."""
    k = 6979
    r = times_g(k)[0] % N
    s = 2 * r * d * pow(k, -1, N) % N
    public, digest = pair(*times_g(d)), number(r * d % N)
    assert agreed(es256, public, digest, pair(r, min(s, N - s)))


@pytest.mark.parametrize("r", [1, 2026, GX % N])
def test_the_sum_is_infinity(es256: Es256, r: int) -> None:
    """u1 G = -u2 Q: z = -r d. The point has no x, and certainly not this one."""
    d = 2026
    assert not agreed(es256, pair(*times_g(d)), number(-r * d % N), pair(r, 1))


def test_keys_that_are_no_points(es256: Es256) -> None:
    signature = es256.sign(RFC_KEY, DIGEST)
    x, y = int.from_bytes(RFC_PUBLIC[:32], "big"), int.from_bytes(RFC_PUBLIC[32:], "big")
    assert agreed(es256, pair(x, y), DIGEST, signature)
    for no_point in [(0, 0), (0, 1), (x, 0), (0, y), (x, y ^ 1), (y, x), (P, y), (x, P), (2**256 - 1, 2**256 - 1)]:
        assert not agreed(es256, pair(*no_point), DIGEST, signature)
    # On the curve, and its own negative's signature: only the right one of the two verifies.
    assert not agreed(es256, pair(x, P - y), DIGEST, signature)


def test_coordinates_are_below_p(es256: Es256) -> None:
    """A second name for one key: its x plus p, where that fits 32 bytes. OpenSSL takes it."""
    x = next(x for x in range(2**256 - P) if pow(curve(x), (P - 1) // 2, P) == 1)
    y = pow(curve(x), (P + 1) // 4, P)
    r, s, z = chosen_for((x, y))
    assert agreed(es256, pair(x, y), number(z), pair(r, s))
    alias = pair(x + P, y), number(z), pair(r, s)
    assert (es256.verify(*alias), p256.verify(*alias), openssl_verify(*alias)) == (False, False, True)


def chosen_for(q: tuple[int, int]) -> tuple[int, int, int]:
    """r, s and a digest that fit a key nobody has: R = a G + b Q, r = x(R), s = r / b, z = a s."""
    a, b = 2026, 6979
    r = p256._affine(p256._multiply_both(a, b, q))[0] % N
    s = r * pow(b, -1, N) % N
    return r, min(s, N - s), a * s % N  # -R has the same x


@pytest.mark.parametrize("d", [1, 2, 3, N // 2, N - 2, N - 1])
def test_private_keys_at_the_ends(es256: Es256, d: int) -> None:
    assert es256.public_key(number(d)) == pair(*times_g(d))
    signature = es256.sign(number(d), DIGEST)
    assert signature == p256.sign(number(d), DIGEST)
    assert agreed(es256, pair(*times_g(d)), DIGEST, signature)


@pytest.mark.parametrize("d", OUTSIDE)
def test_private_keys_out_of_range(es256: Es256, d: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        es256.public_key(number(d))
    with pytest.raises(ValueError, match="out of range"):
        es256.sign(number(d), DIGEST)
