"""The Signer seam: what we seal verifies, and what others sealed is believed only by type, role and content."""

from app_bench import CLOCK, METER, RECEIPTS, STRANGER, answer

from meter_firmware import low_s, p256, sealing, verification
from meter_firmware.sealing import Sealer
from meter_firmware.signers.signer import SignerError
from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import chain, cose, keys, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import EncodeError, ProtocolError

BODY = {f.EPOCH: b"e" * 8, f.SEQUENCE: 5, f.HASH: b"h" * 32}
TRUSTED = [STRANGER.cose_key, RECEIPTS.cose_key]


def _open(raw, typ=t.RECEIPT, trusted=None, objection=lambda fields: None):
    try:
        return sealing.open_sealed(raw, typ, TRUSTED if trusted is None else trusted, objection)
    except ProtocolError as error:
        return error.reason


def test_what_is_sealed_verifies_under_our_own_key():
    raw = answer(t.RECEIPT, BODY, METER)
    sign1 = cose.split(raw)
    assert (sign1.alg, sign1.kid, sign1.typ) == (cose.ES256, METER.kid, t.RECEIPT)
    digest = chain.message_hash(sign1.protected, sign1.payload)
    assert p256.verify(keys.decode(METER.cose_key)[1], digest, sign1.signature)
    assert METER.seal(t.RECEIPT, messages.decode(t.RECEIPT, sign1.payload)) == (raw, digest)


def test_what_the_schema_does_not_allow_is_not_sealed():
    try:
        answer(t.RECEIPT, {f.EPOCH: b"e" * 8, f.SEQUENCE: -1, f.HASH: b"h" * 32}, METER)
    except EncodeError:
        return
    raise AssertionError("sealed")


def test_a_message_of_a_trusted_key_is_opened():
    raw = answer(t.RECEIPT, BODY, RECEIPTS)
    opened = _open(raw)
    assert (opened.raw, opened.fields[f.SEQUENCE]) == (raw, 5)
    sign1 = cose.split(raw)
    assert opened.hash == chain.message_hash(sign1.protected, sign1.payload)


def test_type_key_and_signature_each_have_their_reason():
    raw = answer(t.RECEIPT, BODY, RECEIPTS)
    assert _open(raw, t.REFUSAL) == "type_not_allowed"
    assert _open(raw, trusted=[]) == "unknown_key"
    assert _open(raw, trusted=[CLOCK.cose_key]) == "unknown_key"
    assert _open(raw[:-1] + bytes([raw[-1] ^ 1])) == "signature_invalid"


def test_a_key_of_another_algorithm_verifies_nothing():
    edwards = keys.encode_ed25519(b"\x07" * 32)
    kid = keys.kid_of(keys.thumbprint(edwards))
    sign1 = cose.split(answer(t.RECEIPT, BODY, RECEIPTS))
    for alg in (cose.ES256, cose.EDDSA):
        raw = cose.assemble(cose.protected_header(alg, kid, t.RECEIPT), sign1.payload, sign1.signature)
        assert _open(raw, trusted=[edwards]) == "algorithm_mismatch"
    raw = cose.assemble(cose.protected_header(cose.EDDSA, RECEIPTS.kid, t.RECEIPT), sign1.payload, sign1.signature)
    assert _open(raw) == "algorithm_mismatch"


def test_a_key_that_is_no_point_of_the_curve_verifies_nothing():
    nowhere = keys.encode_p256(b"\x05" * 64)
    kid = keys.kid_of(keys.thumbprint(nowhere))
    sign1 = cose.split(answer(t.RECEIPT, BODY, RECEIPTS))
    raw = cose.assemble(cose.protected_header(cose.ES256, kid, t.RECEIPT), sign1.payload, sign1.signature)
    assert _open(raw, trusted=[nowhere]) == "signature_invalid"


def test_an_objection_spares_the_signature():
    verify, calls = verification.verify, []
    verification.verify = lambda *arguments: calls.append(1)
    try:
        assert (
            _open(answer(t.RECEIPT, BODY, RECEIPTS), objection=lambda fields: "receipt_stale") == "receipt_stale"
        )
    finally:
        verification.verify = verify
    assert calls == []


def test_every_bit_of_a_message_counts():
    raw = answer(t.RECEIPT, BODY, RECEIPTS)
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << (place % 8)
        assert isinstance(_open(bytes(changed)), str), place


def self_test(signer, **changed):
    """Why the self-test fails; None if it passes. `changed` are attributes that the signer has by then."""
    sealer = Sealer(signer)
    for name, value in changed.items():
        setattr(signer, name, value)
    try:
        sealer.self_test()
    except SignerError as error:
        return error.reason
    return None


def test_the_self_test_finds_a_broken_signer():
    private = b"\x11" * 32
    assert self_test(SoftwareSigner(private)) is None
    good = SoftwareSigner(private)

    def high(digest):
        signature = good.sign(digest)
        return signature[:32] + (low_s.N - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")

    for sign in (
        lambda digest: good.sign(digest)[:-1] + b"\x00",
        lambda digest: good.sign(bytes(32)),
        lambda digest: SoftwareSigner(b"\x12" * 32).sign(digest),
        lambda digest: bytes(64),
        high,
    ):
        assert self_test(SoftwareSigner(private), sign=sign) == "self_test_sign"


def test_the_self_test_finds_another_public_key_than_the_identitys():
    other = SoftwareSigner(b"\x12" * 32)
    changed = {"public_key": other.public_key, "sign": other.sign}
    assert self_test(SoftwareSigner(b"\x11" * 32), **changed) == "public_key_changed"


def test_the_self_test_finds_a_broken_verification():
    engine = verification.verify
    try:
        for broken in (lambda *arguments: True, lambda *arguments: False):
            verification.verify = broken
            assert self_test(SoftwareSigner(b"\x11" * 32)) == "self_test_verify"
    finally:
        verification.verify = engine


def test_a_software_key_says_so():
    assert METER.protection == f.KEY_SOFTWARE
