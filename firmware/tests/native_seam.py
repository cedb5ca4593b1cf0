"""Run by test_native_micropython.py on an interpreter that has the C module: prints each test that passed.

The tests are those of p256.py and of the seam. p256's functions are replaced by the module's, and the module is
wrapped so that it notes its calls as its stand-in does.
"""

import gc
import sys

import carbonmeter_native as native

from meter_firmware import p256

PRIVATE = b"\x31" * 32
DIGEST = b"\x32" * 32


class Noting:
    """Module functions are no attributes that could be replaced; this has them, and `calls`."""

    def __init__(self):
        self.calls = []

    def public_key(self, private):
        self.calls.append("public_key")
        return native.public_key(private)

    def sign(self, private, digest):
        self.calls.append("sign")
        return native.sign(private, digest)

    def verify(self, public, digest, signature):
        self.calls.append("verify")
        return native.verify(public, digest, signature)


def raised(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:  # noqa: BLE001  its type is what is asked for
        return type(error), str(error)
    return None


def test_arguments_are_checked():
    for length in (0, 31, 33, 64):
        wrong = b"\x01" * length
        assert raised(native.public_key, wrong) == (ValueError, "the private key is not 32 bytes")
        assert raised(native.sign, wrong, DIGEST) == (ValueError, "the private key is not 32 bytes")
        assert raised(native.sign, PRIVATE, wrong) == (ValueError, "the digest is not 32 bytes")
    for private in (bytes(32), p256._N.to_bytes(32, "big"), b"\xff" * 32):
        assert raised(native.public_key, private) == (ValueError, "the private key is out of range")
        assert raised(native.sign, private, DIGEST) == (ValueError, "the private key is out of range")
    for number in (None, 1, [1] * 32):
        assert raised(native.public_key, number)[0] is TypeError
        assert raised(native.sign, PRIVATE, number)[0] is TypeError
        assert raised(native.verify, number, DIGEST, bytes(64))[0] is TypeError
    assert raised(native.sign, PRIVATE)[0] is TypeError


def test_bytes_like_arguments_are_taken_as_they_are():
    signature = native.sign(PRIVATE, DIGEST)
    public = native.public_key(PRIVATE)
    assert native.sign(bytearray(PRIVATE), memoryview(DIGEST + b"more")[:32]) == signature
    assert native.verify(bytearray(public), memoryview(DIGEST), bytearray(signature))


def test_what_follows_the_right_bytes_is_not_overlooked():
    signature, public = native.sign(PRIVATE, DIGEST), native.public_key(PRIVATE)
    assert native.verify(public, DIGEST, signature)
    assert not native.verify(public + b"!", DIGEST, signature)
    assert not native.verify(public, DIGEST + b"!", signature)
    assert not native.verify(public, DIGEST, signature + b"!")


def taken(call, *arguments):
    """Bytes of heap."""
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    call(*arguments)
    after = gc.mem_alloc()
    gc.enable()
    return after - before


def test_nothing_is_taken_but_the_result():
    signature, public = native.sign(PRIVATE, DIGEST), native.public_key(PRIVATE)
    result = taken(bytes, bytearray(64))
    assert taken(native.verify, public, DIGEST, signature) == 0
    assert taken(native.sign, PRIVATE, DIGEST) == result
    assert taken(native.public_key, PRIVATE) == result


def run(scope):
    for name in sorted(scope):
        if name.startswith("test_") and name not in SKIPPED:
            scope[name]()
            print(name)


# The module's own signatures are low-S already; the stand-in's are not.
SKIPPED = ("test_it_signs_with_the_module_low_s",)

p256.public_key, p256.sign, p256.verify = native.public_key, native.sign, native.verify
sys.modules["carbonmeter_native"] = Noting()

import mp_test_p256  # noqa: E402  after what it is to find
import mp_test_signers_native  # noqa: E402

for tests in (globals(), mp_test_p256.__dict__, mp_test_signers_native.__dict__):
    run(tests)
