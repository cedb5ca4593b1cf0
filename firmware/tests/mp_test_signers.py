"""Software key and key file: drawn on the board, kept, never replaced in silence, never given out."""

import hashlib
import os

from meter_firmware import low_s, p256, verification
from meter_firmware.memory import Memory
from meter_firmware.signers import key_file, native
from meter_firmware.signers.signer import SignerError
from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import fields as f

DIGEST = hashlib.sha256(b"a reading").digest()
N = low_s.N


def fails(call, *arguments):
    try:
        call(*arguments)
    except SignerError as error:
        return error.reason
    return None


def gives_away(signer, private):
    """Whether anything public of it holds the key, or hands it out when called."""
    forms = (private, private.hex().encode(), bytes(reversed(private)))
    for name in dir(signer):
        if name.startswith("_"):
            continue
        value = getattr(signer, name)
        found = [value]
        for arguments in ((), (DIGEST,), (0,)):
            try:
                found.append(value(*arguments))
            except Exception:  # noqa: BLE001  it takes no such arguments, or is no function
                continue
        for value in found:
            if isinstance(value, int):
                value = value.to_bytes(32, "big")
            if isinstance(value, str):
                value = value.encode()
            if isinstance(value, (bytes, bytearray)) and [form for form in forms if form in value]:
                return name
    return None


def test_the_key_is_drawn_once_and_kept():
    memory = Memory("kept")
    drawn = []

    def random(size):
        drawn.append(os.urandom(size))
        return drawn[-1]

    first = key_file.private_key(memory, random)
    assert first == drawn[0]
    assert key_file.private_key(Memory("kept"), random) == first
    assert len(drawn) == 1


def test_a_draw_that_is_no_key_is_drawn_again():
    draws = [bytes(32), N.to_bytes(32, "big"), b"\xff" * 32, (N - 1).to_bytes(32, "big")]
    assert key_file.private_key(Memory("draws"), lambda size: draws.pop(0)) == (N - 1).to_bytes(32, "big")
    assert draws == []


def test_a_damaged_key_is_not_replaced():
    for number, content in enumerate((b"", bytes(31), bytes(32), N.to_bytes(32, "big"), b"\x01" * 33)):
        memory = Memory("damaged" + str(number))
        memory.write("key", content)
        assert fails(key_file.private_key, memory, os.urandom) == "key_damaged"
        assert memory.read("key") == content


def test_a_software_signer():
    private = b"\x31" * 32
    signer = SoftwareSigner(private)
    assert signer.protection == f.KEY_SOFTWARE
    assert signer.public_key() == p256.public_key(private)
    assert verification.verify(signer.public_key(), DIGEST, signer.sign(DIGEST))


def test_nothing_public_gives_the_key():
    private = b"\x31" * 32
    assert gives_away(SoftwareSigner(private), private) is None


def test_a_key_that_is_given_away_is_noticed():
    class Careless(SoftwareSigner):
        def export(self):
            return self._private

    class Talkative(SoftwareSigner):
        def public_key(self):
            return self._private + self._private

    private = b"\x31" * 32
    assert gives_away(Careless(private), private) == "export"
    assert gives_away(Talkative(private), private) == "public_key"


def test_a_port_without_the_native_module_says_so():
    assert fails(native.NativeSigner, b"\x31" * 32) == "native_missing"


def test_low_s():
    digest = hashlib.sha256(b"test").digest()
    low = p256.sign(b"\x31" * 32, digest)
    high = low[:32] + (N - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
    assert low_s.normalised(low) == low_s.normalised(high) == low
    assert low_s.accepts(low)
    assert not low_s.accepts(high)
    half = N // 2
    one = (1).to_bytes(32, "big")
    assert low_s.accepts(one + half.to_bytes(32, "big"))
    assert not low_s.accepts(one + (half + 1).to_bytes(32, "big"))
    for wrong in (bytes(32) + one, one + bytes(32), N.to_bytes(32, "big") + one, low[:-1], low + b"\x00", b""):
        assert not low_s.accepts(wrong)


def test_nothing_malformed_reaches_the_engine():
    signer = SoftwareSigner(b"\x31" * 32)
    good = signer.sign(DIGEST)
    engine, reached = verification._verify, []
    verification._verify = lambda *arguments: reached.append(arguments) or True
    try:
        public = signer.public_key()
        high = good[:32] + (N - int.from_bytes(good[32:], "big")).to_bytes(32, "big")
        for arguments in (
            (public, DIGEST, high),
            (public, DIGEST, good + b"\x00"),
            (public, DIGEST[:-1], good),
            (b"\x04" + public, DIGEST, good),
        ):
            assert not verification.verify(*arguments)
        assert reached == []
        assert verification.verify(public, DIGEST, good)
        assert reached == [(public, DIGEST, good)]
    finally:
        verification._verify = engine
