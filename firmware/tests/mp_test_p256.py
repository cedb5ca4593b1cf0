"""P-256 on MicroPython's integers: the RFC's own vectors, and what verification must refuse."""

import hashlib

from meter_firmware import p256

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF

# RFC 6979 A.2.5; of each signature's two forms the low-S one, which for "test" is the printed one.
PRIVATE = bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
PUBLIC = bytes.fromhex(
    "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
)
SIGNATURES = (
    (
        b"sample",
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    (
        b"test",
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
)


def number(value):
    return value.to_bytes(32, "big")


def sha256(message):
    return hashlib.sha256(message).digest()


def refuses(call, *arguments):
    try:
        call(*arguments)
    except ValueError:
        return True
    return False


def test_rfc6979_public_key():
    assert p256.public_key(PRIVATE) == PUBLIC


def test_rfc6979_signatures():
    for message, r, s in SIGNATURES:
        signature = p256.sign(PRIVATE, sha256(message))
        assert signature == number(r) + number(min(s, N - s))
        assert p256.verify(PUBLIC, sha256(message), signature)


def test_high_s_twin_is_refused():
    for message, r, s in SIGNATURES:
        assert not p256.verify(PUBLIC, sha256(message), number(r) + number(max(s, N - s)))


def test_r_and_s_out_of_range_are_refused():
    digest = sha256(b"test")
    signature = p256.sign(PRIVATE, digest)
    r, s = signature[:32], signature[32:]
    for wrong in (0, N, N + 1, P, (1 << 256) - 1):
        assert not p256.verify(PUBLIC, digest, number(wrong) + s)
        assert not p256.verify(PUBLIC, digest, r + number(wrong))
        assert not p256.verify(PUBLIC, digest, number(wrong) + number(wrong))


def test_every_flipped_bit_is_refused():
    digest = sha256(b"test")
    signature = p256.sign(PRIVATE, digest)
    for place in range(0, 512, 23):
        flipped = bytearray(signature)
        flipped[place // 8] ^= 1 << (place % 8)
        assert not p256.verify(PUBLIC, digest, bytes(flipped)), place
    for place in range(0, 256, 19):
        flipped = bytearray(digest)
        flipped[place // 8] ^= 1 << (place % 8)
        assert not p256.verify(PUBLIC, bytes(flipped), signature), place


def test_wrong_lengths_are_refused():
    digest = sha256(b"test")
    signature = p256.sign(PRIVATE, digest)
    for wrong in (b"", signature[:-1], signature + b"\0", b"\0" + signature, signature[:32]):
        assert not p256.verify(PUBLIC, digest, wrong)
    for wrong in (b"", PUBLIC[:-1], b"\x04" + PUBLIC):
        assert not p256.verify(wrong, digest, signature)
    for wrong in (b"", digest[:-1], digest + b"\0"):
        assert not p256.verify(PUBLIC, wrong, signature)
        assert refuses(p256.sign, PRIVATE, wrong)


def test_points_off_the_curve_are_refused():
    digest = sha256(b"test")
    signature = p256.sign(PRIVATE, digest)
    x, y = PUBLIC[:32], PUBLIC[32:]
    x_value, y_value = int.from_bytes(x, "big"), int.from_bytes(y, "big")
    for wrong in (
        bytes(64),
        y + x,
        x + number(P - y_value),
        number(x_value ^ 1) + y,
        x + number(P),
        number(P) + number(P),
        b"\xff" * 64,
    ):
        assert not p256.verify(wrong, digest, signature)
    # A point off the curve for which the rest of the verification would come out right: R = Q.
    five = number(SMALL_X[0])
    assert p256.verify(five + number(SMALL_X[1]), bytes(32), five + five)
    assert not p256.verify(five + number(SMALL_X[1] ^ 1), bytes(32), five + five)
    # The curve has points whose x is small enough to be written in a second way, as x + p.
    assert p256._on_curve(SMALL_X)
    assert not p256._on_curve((SMALL_X[0] + P, SMALL_X[1]))


# x = 5: y² = 110 + b has a root.
SMALL_X = (5, 0x459243B9AA581806FE913BCE99817ADE11CA503C64D9A3C533415C083248FBCC)


def test_private_keys_out_of_range_are_refused():
    for wrong in (bytes(32), number(N), number(N + 1), b"\xff" * 32, PRIVATE[:31], PRIVATE + b"\0", b""):
        assert refuses(p256.public_key, wrong)
        assert refuses(p256.sign, wrong, sha256(b""))


def test_keys_that_meet_the_generator_itself():
    """d G for tiny d, and its negatives: sums inside verification meet equal and opposite points."""
    for d in (1, 2, 3, 5, 16, 31, 1 << 52, 1 << 208, N - 1, N - 2, N >> 1):
        private = number(d)
        public = p256.public_key(private)
        for message in (b"one", b"another"):
            signature = p256.sign(private, sha256(message))
            assert p256.verify(public, sha256(message), signature), d
            assert not p256.verify(public, sha256(message + b"!"), signature), d
        assert public[:32] == p256.public_key(number(N - d))[:32]


def test_a_sum_at_infinity_is_refused():
    # With d = -z / r the signature's point (z/s) G + (r/s) Q is infinity, for any s.
    z = int.from_bytes(sha256(b"test"), "big")
    for r in (1, 2, 12345):
        d = (N - z * p256._inverse(r, N)) % N
        assert not p256.verify(p256.public_key(number(d)), sha256(b"test"), number(r) + number(77))


def test_addition_is_complete():
    g = p256._G
    negative = (g[0], P - g[1])
    scaled = (g[0] * 9 % P, g[1] * 27 % P, 3)
    twice = p256._affine(p256._double(scaled))
    assert twice == p256._affine(p256._double((g[0], g[1], 1)))
    for point in ((g[0], g[1], 1), scaled):
        assert p256._affine(p256._add(point, g)) == twice
        assert p256._add(point, negative)[2] == 0
        assert p256._affine(p256._add(p256._add(point, negative), g)) == g
    assert p256._double((1, 1, 0))[2] == 0
    three = p256._affine(p256._add(scaled, twice))
    assert three == p256._affine(p256._add((twice[0], twice[1], 1), g))


def test_extreme_digests():
    for digest in (bytes(32), number(N), number(N - 1), b"\xff" * 32, number(1)):
        signature = p256.sign(PRIVATE, digest)
        assert p256.verify(PUBLIC, digest, signature)


def test_inverse():
    for modulus in (N, P):
        for value in (1, 2, 3, modulus - 1, modulus >> 1, 0x123456789ABCDEF << 190):
            assert p256._inverse(value, modulus) * value % modulus == 1
