"""Offline verification: what is authentic, what is only self-signed, what is neither."""

import pytest

from meter_gateway import inspection
from meter_gateway.inspection import Contexts, KeyChest, Known
from meter_gateway.model import Verified
from meter_gateway.sealing import Sealer
from meter_protocol import cose, merkle, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import AUTHORITY, SimulatedMeter


def meter_and_chain(count: int = 3) -> tuple[SimulatedMeter, list[bytes]]:
    meter = SimulatedMeter("SN-1")
    return meter, [*meter.begin(), *(meter.readings() for _ in range(count))]


def given(meter: SimulatedMeter) -> KeyChest:
    return KeyChest([Known(meter.sealer.cose_key, "given_key")])


def test_a_chain_with_the_meters_key_is_proven_continuous_and_scaled() -> None:
    meter, sealed = meter_and_chain()
    found = inspection.inspect(b"".join(sealed), given(meter), Contexts())
    assert found.is_good
    assert [message.verified.raw for message in found.messages] == sealed
    assert found.interrupted_after == ()
    last = found.messages[-1]
    assert last.is_context_confirmed is True
    assert [channel.exponent for channel in last.parameters.channels] == [ch.exponent for ch in meter.channels]


def test_a_self_signed_chain_proves_nothing_until_its_thumbprint_is_vouched_for() -> None:
    meter, sealed = meter_and_chain()
    found = inspection.inspect(b"".join(sealed), KeyChest([]), Contexts())
    assert not found.is_good
    assert all(message.verified and message.known.voucher == "itself" for message in found.messages)
    assert inspection.inspect(b"".join(sealed), KeyChest([]), Contexts(), meter.thumbprint).is_good
    assert not inspection.inspect(b"".join(sealed), KeyChest([]), Contexts(), b"m" * 32).is_good


def test_readings_alone_are_authentic_and_unscaled() -> None:
    meter, sealed = meter_and_chain()
    (message,) = inspection.inspect(sealed[-1], given(meter), Contexts()).messages
    assert message.is_proven
    assert (message.parameters, message.is_context_confirmed) == (None, None)


def test_a_parameter_set_from_outside_scales_but_is_not_confirmed() -> None:
    meter, sealed = meter_and_chain()
    raw = AUTHORITY.seal(t.PARAMETER_SET, meter.parameter_set())
    (message,) = inspection.inspect(sealed[-1], given(meter), Contexts(given=raw)).messages
    assert message.parameters is not None
    assert message.is_context_confirmed is None


def test_another_parameter_set_than_the_meters_is_found_out() -> None:
    meter, sealed = meter_and_chain()
    other = meter.parameter_set() | {f.SET_VERSION: 9}
    raw = AUTHORITY.seal(t.PARAMETER_SET, other)
    contexts = Contexts(given=raw)
    found = inspection.inspect(sealed[0] + sealed[2] + sealed[-1], given(meter), contexts)
    assert found.messages[-1].is_context_confirmed is False


def test_gaps_in_the_chain_are_named() -> None:
    meter, sealed = meter_and_chain(6)
    del sealed[5]
    assert inspection.inspect(b"".join(sealed), given(meter), Contexts()).interrupted_after == (4,)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda raw: raw[:-1], "cbor_truncated"),
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "signature_invalid"),
        (lambda raw: b"text", "cose_not_sign1"),
        (lambda raw: raw.replace(b"readings", b"reedings"), "unknown_type"),
    ],
)
def test_what_is_not_authentic_is_told_with_its_reason(spoil, reason: str) -> None:
    meter, sealed = meter_and_chain()
    found = inspection.inspect(spoil(sealed[-1]), given(meter), Contexts())
    assert [message.reason for message in found.messages] == [reason]
    assert not found.is_good


def test_a_good_message_before_a_broken_one_is_still_told() -> None:
    meter, sealed = meter_and_chain()
    found = inspection.inspect(sealed[0] + sealed[1][:-5], given(meter), Contexts())
    assert [message.reason for message in found.messages] == [None, "cbor_truncated"]


def test_an_unknown_key_is_told() -> None:
    _, sealed = meter_and_chain()
    found = inspection.inspect(sealed[-1], KeyChest([]), Contexts())
    assert [message.reason for message in found.messages] == ["unknown_key"]


def test_a_key_of_one_role_proves_nothing_in_another() -> None:
    """A receipt signed with a clock key: only a key given by hand has no role."""
    clock = Sealer.generate(t.ROLE_CLOCK)
    reply = clock.seal(
        t.TIME_REPLY,
        {
            f.VERSION: 1,
            f.TIME_MS: 0,
            f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
            f.CLOCK_UNCERTAINTY_MS: None,
            f.METER: bytes(32),
            f.NONCE: bytes(16),
        },
    )
    as_receipt = KeyChest([Known(clock.cose_key, "own_gateway", t.ROLE_RECEIPT)])
    as_clock = KeyChest([Known(clock.cose_key, "own_gateway", t.ROLE_CLOCK)])
    assert inspection.inspect(reply, as_receipt, Contexts()).messages[0].reason == "unknown_key"
    assert inspection.inspect(reply, as_clock, Contexts()).is_good


def test_a_file_of_more_messages_than_a_publish_may_hold() -> None:
    meter, sealed = meter_and_chain(cose.MAX_MESSAGES + 50)
    found = inspection.inspect(b"".join(sealed), given(meter), Contexts())
    assert found.is_good
    assert len(found.messages) == len(sealed)


def test_an_empty_file_is_not_good() -> None:
    assert not inspection.inspect(b"", KeyChest([]), Contexts()).is_good


VERDICTS = Sealer.generate(t.ROLE_VERDICT)


def verdict_of(verified: Verified, **changes) -> bytes:
    fields = {
        f.VERSION: 1,
        f.EPOCH: verified.fields[f.EPOCH],
        f.SEQUENCE: verified.fields[f.SEQUENCE],
        f.TIME_MS: 0,
        f.METER: verified.thumbprint,
        f.HASH: verified.hash,
        f.VERDICT_REVISION: 0,
        f.VERDICT_SCHEME: "house",
        f.VERDICT_ACCEPTANCE: f.ACCEPTED,
        f.VERDICT_FINDINGS: [],
        f.VERDICT_CAUSE: None,
        f.VERDICT_BUDGET: None,
        f.VERDICT_UNCERTAINTY: [],
    }
    return messages.encode_verdict(fields | {getattr(f, name): value for name, value in changes.items()})


def envelope(raw: bytes, leaves: list[bytes], index: int, signer: Sealer = VERDICTS) -> bytes:
    levels = merkle.tree(leaves)
    batch = signer.seal(
        t.VERDICT_BATCH,
        {
            f.VERSION: 1,
            f.TIME_MS: 0,
            f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
            f.CLOCK_UNCERTAINTY_MS: None,
            f.ROOT: merkle.root(levels),
            f.COUNT: len(leaves),
        },
    )
    return messages.encode_envelope(
        {
            f.VERSION: 1,
            f.ENVELOPE_MESSAGE: raw,
            f.ENVELOPE_VERDICT: leaves[index],
            f.ENVELOPE_BATCH: batch,
            f.ENVELOPE_INDEX: index,
            f.ENVELOPE_PATH: merkle.path(levels, index),
        }
    )


def test_an_envelope_is_proven_by_both_keys() -> None:
    meter, sealed = meter_and_chain()
    contexts = Contexts()
    verified = [m.verified for m in inspection.inspect(b"".join(sealed), given(meter), contexts).messages]
    leaves = [verdict_of(entry) for entry in verified]
    raw = envelope(sealed[-1], leaves, len(leaves) - 1)
    both = KeyChest([Known(meter.sealer.cose_key, "given_key"), Known(VERDICTS.cose_key, "given_key")])
    found = inspection.inspect(raw, both, contexts)
    assert found.is_good
    assert found.verdict.fault is None
    assert found.messages[0].is_context_confirmed is True
    without = inspection.inspect(raw, given(meter), Contexts())
    assert not without.is_good
    assert without.verdict.fault == "verify.verdict_no_key"


def test_a_verdict_of_another_message_or_signer_or_place_is_not_proven() -> None:
    meter, sealed = meter_and_chain()
    verified = [m.verified for m in inspection.inspect(b"".join(sealed), given(meter), Contexts()).messages]
    both = KeyChest([Known(meter.sealer.cose_key, "given_key"), Known(VERDICTS.cose_key, "given_key")])
    last, before = verified[-1], verified[-2]
    cases = {
        "verify.verdict_other_message": envelope(last.raw, [verdict_of(before)], 0),
        "verify.verdict_no_key": envelope(last.raw, [verdict_of(last)], 0, Sealer.generate(t.ROLE_VERDICT)),
        "merkle_path": _moved(envelope(last.raw, [verdict_of(last), verdict_of(before)], 0)),
    }
    for fault, raw in cases.items():
        found = inspection.inspect(raw, both, Contexts())
        assert found.verdict.fault == fault
        assert not found.is_good


def _moved(raw: bytes) -> bytes:
    fields = messages.decode_envelope(raw)
    return messages.encode_envelope(fields | {f.ENVELOPE_INDEX: 1})


def test_a_spoilt_envelope_is_told() -> None:
    found = inspection.inspect(b"\xa1\x00\x01", KeyChest([]), Contexts())
    assert [message.reason for message in found.messages] == ["field_missing"]
