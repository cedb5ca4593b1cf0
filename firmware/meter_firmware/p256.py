"""ECDSA over P-256 with SHA-256 (ES256) in pure Python, for boards that have nothing better (decision 12).

It is **not constant-time**: its big integers, its branches and its table look-ups depend on the key, so
whoever can time or probe the board can learn the key. A meter that signs with it says so in its identity
message (key protection "software"), and the gateway makes that a finding. It is for development and
unprovisioned boards.

- Nonces are deterministic: RFC 6979 §3.2 with HMAC-SHA256. A board's random numbers need not be trusted.
- Signatures are made low-S, and verification refuses high-S (low_s.py).
- Numbers are big-endian and 32 bytes each: a public key is x || y, a signature r || s (RFC 9053 §2.1).

The curve is y² = x³ - 3x + b over the field of p, of prime order n (SEC 2 §2.4.2); its cofactor is 1, so
every point on it other than infinity is a valid public key. Points are computed in Jacobian coordinates
(X/Z², Y/Z³) with Z = 0 for infinity; what is added is always affine, which saves five multiplications in
sixteen.
"""

import hashlib

from meter_firmware import low_s
from meter_firmware.low_s import N as _N

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_INFINITY = (1, 1, 0)
_SIZE = 32

# The comb for G: 5 teeth of 52 columns. A sixth tooth would sign 10 % faster (measured) for twice the RAM.
_TEETH = 5
_COLUMNS = 52
_comb: "list[tuple[int, int]]" = []

# wNAF window for the public key's multiples: 8 odd multiples, one addition per 6 bits.
_WINDOW = 5


def public_key(private: bytes) -> bytes:
    """x || y of the private key's point."""
    x, y = _affine(_multiply_base(_private_scalar(private)))
    return _bytes(x) + _bytes(y)


def sign(private: bytes, digest: bytes) -> bytes:
    """r || s over a SHA-256 digest, deterministic and low-S."""
    if len(digest) != _SIZE:
        raise ValueError("the digest is not 32 bytes")
    d = _private_scalar(private)
    z = _int(digest)
    for k in _nonces(private, z):
        r = _affine(_multiply_base(k))[0] % _N
        s = _inverse(k, _N) * (z + r * d) % _N
        if r and s:
            break
    return _bytes(r) + _bytes(min(s, _N - s))


def verify(public: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether the signature is the low-S one of this key over this digest; malformed input is a plain False.

    Steps of FIPS 186-5 §6.4.2: (1) lengths; (2) r and s in [1, n-1], and s in its lower half; (3) the key is
    a point on the curve; (4) R = (z/s) G + (r/s) Q; (5) R is not infinity and its x is r modulo n.
    """
    if len(public) != 2 * _SIZE or len(digest) != _SIZE or not low_s.accepts(signature):
        return False
    r = _int(signature[:_SIZE])
    s = _int(signature[_SIZE:])
    q = (_int(public[:_SIZE]), _int(public[_SIZE:]))
    if not _on_curve(q):
        return False
    w = _inverse(s, _N)
    point = _multiply_both(_int(digest) * w % _N, r * w % _N, q)
    return point[2] != 0 and _affine(point)[0] % _N == r


def _private_scalar(private: bytes) -> int:
    if len(private) != _SIZE:
        raise ValueError("the private key is not 32 bytes")
    d = _int(private)
    if not 1 <= d < _N:
        raise ValueError("the private key is out of range")
    return d


def _nonces(private: bytes, z: int) -> "Iterator[int]":
    """The candidates of RFC 6979 §3.2; in practice the first is the one."""
    seed = private + _bytes(z % _N)
    v = b"\x01" * _SIZE
    key = _hmac(bytes(_SIZE), v + b"\x00" + seed)
    v = _hmac(key, v)
    key = _hmac(key, v + b"\x01" + seed)
    v = _hmac(key, v)
    while True:
        v = _hmac(key, v)
        k = _int(v)
        if 1 <= k < _N:
            yield k
        key = _hmac(key, v + b"\x00")
        v = _hmac(key, v)


def _hmac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) for keys of at most a block; MicroPython has no hmac module of its own."""
    padded = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded) + message).digest()
    outer: bytes = hashlib.sha256(bytes(b ^ 0x5C for b in padded) + inner).digest()
    return outer


def _int(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _bytes(value: int) -> bytes:
    return value.to_bytes(_SIZE, "big")


def _inverse(value: int, modulus: int) -> int:
    """By extended Euclid: on MicroPython (no negative exponents) six times as fast as Fermat's power."""
    r0, r1 = modulus, value % modulus
    t0, t1 = 0, 1
    while r1 > 1:
        q, r = divmod(r0, r1)
        r0, r1 = r1, r
        t0, t1 = t1, t0 - q * t1
    return t1 % modulus


def _on_curve(point: "tuple[int, int]") -> bool:
    x, y = point
    return x < _P and y < _P and (y * y - (x * x - 3) * x - _B) % _P == 0


def _affine(point: "tuple[int, int, int]") -> "tuple[int, int]":
    x, y, z = point
    inverse = _inverse(z, _P)
    square = inverse * inverse % _P
    return x * square % _P, y * square % _P * inverse % _P


def _double(point: "tuple[int, int, int]") -> "tuple[int, int, int]":
    """dbl-2001-b of the Explicit-Formulas Database, which needs a = -3; infinity stays infinity."""
    x, y, z = point
    delta = z * z % _P
    gamma = y * y % _P
    beta4 = 4 * x * gamma % _P
    alpha = 3 * (x - delta) * (x + delta) % _P
    x3 = (alpha * alpha - 2 * beta4) % _P
    return x3, (alpha * (beta4 - x3) - 8 * gamma * gamma) % _P, 2 * y * z % _P


def _add(point: "tuple[int, int, int]", other: "tuple[int, int]") -> "tuple[int, int, int]":
    """Mixed addition; complete, because verification meets every pair of points an attacker can choose."""
    x1, y1, z1 = point
    x2, y2 = other
    if z1 == 0:
        return x2, y2, 1
    zz = z1 * z1 % _P
    h = (x2 * zz - x1) % _P
    r = (y2 * z1 % _P * zz - y1) % _P
    if h == 0:
        return _INFINITY if r else _double(point)
    hh = h * h % _P
    hhh = h * hh % _P
    v = x1 * hh % _P
    x3 = (r * r - hhh - 2 * v) % _P
    return x3, (r * (v - x3) - y1 * hhh) % _P, z1 * h % _P


def _comb_table() -> "list[tuple[int, int]]":
    """Sums of the multiples 2^(52 j) G for every subset of the five teeth j; made at first use, then kept."""
    if not _comb:
        tooth = _G
        sums = [_INFINITY]
        for j in range(_TEETH):
            if j:
                point = (tooth[0], tooth[1], 1)
                for _ in range(_COLUMNS):
                    point = _double(point)
                tooth = _affine(point)
            sums += [_add(point, tooth) for point in sums]
        _comb.append(_G)  # never read: the empty subset adds nothing
        _comb.extend([_affine(point) for point in sums[1:]])
    return _comb


def _comb_indices(k: int) -> "list[int]":
    """The teeth that are set in each column of k, the highest column first."""
    rows = [k >> (_COLUMNS * j) for j in range(_TEETH)]
    indices = []
    for column in range(_COLUMNS - 1, -1, -1):
        index = 0
        for j in range(_TEETH):
            index |= ((rows[j] >> column) & 1) << j
        indices.append(index)
    return indices


def _multiply_base(k: int) -> "tuple[int, int, int]":
    table = _comb_table()
    point = _INFINITY
    for index in _comb_indices(k):
        point = _double(point)
        if index:
            point = _add(point, table[index])
    return point


def _multiply_both(a: int, b: int, q: "tuple[int, int]") -> "tuple[int, int, int]":
    """a G + b Q in one run of doublings (Strauss, Shamir): wNAF digits of b, a's comb in the last columns."""
    table = _comb_table()
    odd = _odd_multiples(q)
    digits = _wnaf(b)
    indices = _comb_indices(a)
    point = _INFINITY
    for position in range(max(len(digits), _COLUMNS) - 1, -1, -1):
        point = _double(point)
        digit = digits[position] if position < len(digits) else 0
        if digit > 0:
            point = _add(point, odd[digit >> 1])
        elif digit < 0:
            x, y = odd[-digit >> 1]
            point = _add(point, (x, _P - y))
        if position < _COLUMNS:
            index = indices[_COLUMNS - 1 - position]
            if index:
                point = _add(point, table[index])
    return point


def _odd_multiples(q: "tuple[int, int]") -> "list[tuple[int, int]]":
    """Q, 3Q, 5Q … 15Q."""
    twice = _affine(_double((q[0], q[1], 1)))
    multiples = [q]
    point = (q[0], q[1], 1)
    for _ in range((1 << (_WINDOW - 2)) - 1):
        point = _add(point, twice)
        multiples.append(_affine(point))
    return multiples


def _wnaf(k: int) -> "list[int]":
    """Signed odd digits below 2^(w-1), the lowest first, any two of them at least w places apart."""
    digits = []
    while k:
        digit = 0
        if k & 1:
            digit = k & ((1 << _WINDOW) - 1)
            if digit >> (_WINDOW - 1):
                digit -= 1 << _WINDOW
            k -= digit
        digits.append(digit)
        k >>= 1
    return digits
