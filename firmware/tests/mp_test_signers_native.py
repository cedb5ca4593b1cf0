"""The native signer and the verification seam with a stand-in for the C module (native_stand_in).

What is proven is the seam: that the module is found and used, and its signatures brought to low-S.
"""

import hashlib
import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/native_stand_in")

import carbonmeter_native
from mp_test_signers import gives_away

from meter_firmware import low_s, p256, verification
from meter_firmware.sealing import Sealer
from meter_firmware.signers.native import NativeSigner
from meter_firmware.signers.signer import SignerError
from meter_protocol import fields as f

PRIVATE = b"\x31" * 32
DIGEST = hashlib.sha256(b"a reading").digest()


def used(call, *arguments):
    carbonmeter_native.calls.clear()
    result = call(*arguments)
    return result, carbonmeter_native.calls


def test_it_signs_with_the_module_low_s():
    signer = NativeSigner(PRIVATE)
    assert signer.protection == f.KEY_NATIVE
    assert signer.public_key() == p256.public_key(PRIVATE)
    assert not low_s.accepts(carbonmeter_native.sign(PRIVATE, DIGEST))
    signature, calls = used(signer.sign, DIGEST)
    assert calls == ["sign"]
    assert signature == p256.sign(PRIVATE, DIGEST)


def test_signatures_are_verified_by_the_module():
    signature = p256.sign(PRIVATE, DIGEST)
    verified, calls = used(verification.verify, p256.public_key(PRIVATE), DIGEST, signature)
    assert verified
    assert calls == ["verify"]


def test_the_identity_will_say_so_and_the_self_test_passes():
    sealer = Sealer(NativeSigner(PRIVATE))
    assert sealer.protection == f.KEY_NATIVE
    _, calls = used(sealer.self_test)
    assert calls == ["verify", "verify", "sign", "verify"]


def test_a_module_that_takes_everything_or_nothing_fails_the_self_test():
    sealer = Sealer(NativeSigner(PRIVATE))
    engine = verification._verify
    for answer in (True, False):
        verification._verify = lambda *arguments: answer  # noqa: B023  called in this turn
        try:
            sealer.self_test()
            raise AssertionError("passed")
        except SignerError as error:
            assert error.reason == "self_test_verify"
        finally:
            verification._verify = engine


def test_nothing_public_gives_the_key():
    assert gives_away(NativeSigner(PRIVATE), PRIVATE) is None
