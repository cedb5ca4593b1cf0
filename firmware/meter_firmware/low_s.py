"""Of the two signatures (r, s) and (r, n - s) that ECDSA allows for one message, ours is the one with the lower s.

So nobody can make a second valid one in transit. Signers that draw either bring theirs into this form;
verification refuses the other. Signatures are r || s, 32 bytes each, big-endian (RFC 9053 §2.1).
"""

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256 (SEC 2 §2.4.2)."""


def normalised(signature: bytes) -> bytes:
    """The same signature with the lower s."""
    s = int.from_bytes(signature[32:], "big")
    return signature[:32] + min(s, N - s).to_bytes(32, "big")


def accepts(signature: bytes) -> bool:
    """Whether it has 64 bytes, r in [1, n - 1] and s in [1, n / 2]: FIPS 186-5 §6.4.2 step 1, and low-S."""
    if len(signature) != 64:
        return False
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    return 1 <= r < N and 1 <= s <= N // 2
