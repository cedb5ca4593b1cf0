"""What verify.py believes, and the reason that it gives for everything else."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from meter_gateway import signatures, workers
from meter_gateway.model import Rejected
from meter_gateway.verify import Key, KeyRing, Opened, open_message, verify, verify_identity
from meter_protocol import chain, cose, keys, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import SimulatedMeter, named_sealer

NOW_MS = 1_800_000_000_000


@pytest.fixture
def meter() -> SimulatedMeter:
    return SimulatedMeter("m1")


@pytest.fixture
def ring(meter: SimulatedMeter) -> KeyRing:
    return KeyRing([Key.of(meter.sealer.cose_key)])


def reason_of(function: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(Rejected) as caught:
        function(*arguments)
    return caught.value.reason


def test_an_authentic_message_is_what_was_signed(meter: SimulatedMeter, ring: KeyRing) -> None:
    raw = meter.readings(BOOT=1, SEQUENCE=5)
    verified = verify(raw, ring, NOW_MS)
    parts = cose.split(raw)
    assert verified.raw == raw
    assert verified.typ == t.READINGS
    assert verified.thumbprint == meter.thumbprint
    assert verified.fields == messages.decode(t.READINGS, parts.payload)
    assert verified.hash == chain.message_hash(parts.protected, parts.payload)


def test_each_type_is_taken_by_its_consumer_only(meter: SimulatedMeter) -> None:
    """Domain separation: every type's bytes, under a key of its role, to a consumer of every other type."""
    for typ, role in t.ROLE_OF_TYPE.items():
        sealer = named_sealer("somebody", role)
        raw = sealer.seal_payload(typ, cbor2.dumps({f.VERSION: f.PROTOCOL_VERSION}))
        for wanted in t.ROLE_OF_TYPE:
            ring = KeyRing([Key.of(sealer.cose_key, role)], (wanted,))
            expected = "field_missing" if wanted == typ else "type_not_allowed"
            assert reason_of(verify, raw, ring, NOW_MS) == expected
        for other_role in {*t.ROLE_OF_TYPE.values()} - {role}:
            ring = KeyRing([Key.of(sealer.cose_key, other_role)], tuple(t.ROLE_OF_TYPE))
            assert reason_of(verify, raw, ring, NOW_MS) == "type_not_allowed"


def test_a_key_is_worth_nothing_from_the_moment_of_reception_at_which_it_was_revoked(
    meter: SimulatedMeter,
) -> None:
    raw = meter.readings(SEQUENCE=1, TIME_MS=0)
    ring = KeyRing([Key.of(meter.sealer.cose_key, revoked_ms=NOW_MS)])
    assert verify(raw, ring, NOW_MS - 1).thumbprint == meter.thumbprint
    assert reason_of(verify, raw, ring, NOW_MS) == "revoked_key"


def test_a_time_request_must_name_its_own_meter(meter: SimulatedMeter, ring: KeyRing) -> None:
    assert verify(meter.time_request(bytes(16)), ring, NOW_MS).fields[f.NONCE] == bytes(16)
    other = SimulatedMeter("m2")
    fields = verify(other.time_request(bytes(16)), KeyRing([Key.of(other.sealer.cose_key)]), NOW_MS).fields
    assert reason_of(verify, meter.sealer.seal(t.TIME_REQUEST, fields), ring, NOW_MS) == "meter_mismatch"


def test_ed25519_is_verified_too() -> None:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    cose_key = keys.encode_ed25519(private.public_key().public_bytes_raw())
    meter = SimulatedMeter("m1")
    payload = cose.split(meter.readings(SEQUENCE=1)).payload
    protected = cose.protected_header(cose.EDDSA, keys.kid_of(keys.thumbprint(cose_key)), t.READINGS)
    signature = private.sign(cose.to_be_signed(protected, payload))
    ring = KeyRing([Key.of(cose_key)])
    assert verify(cose.assemble(protected, payload, signature), ring, NOW_MS).fields[f.SEQUENCE] == 1
    # S + L verifies in careless libraries (RFC 8032 §5.1.7 forbids it).
    order = 2**252 + 27742317777372353535851937790883648493
    high = int.from_bytes(signature[32:], "little") + order
    twin = signature[:32] + high.to_bytes(32, "little")
    assert reason_of(verify, cose.assemble(protected, payload, twin), ring, NOW_MS) == "signature_invalid"


def test_a_header_cannot_talk_a_key_into_another_algorithm(meter: SimulatedMeter, ring: KeyRing) -> None:
    parts = cose.split(meter.readings(SEQUENCE=1))
    protected = cose.protected_header(cose.EDDSA, meter.kid, t.READINGS)
    raw = cose.assemble(protected, parts.payload, parts.signature)
    assert reason_of(verify, raw, ring, NOW_MS) == "algorithm_mismatch"


def test_one_kid_is_one_key(meter: SimulatedMeter) -> None:
    key = Key.of(meter.sealer.cose_key)
    with pytest.raises(ValueError, match="one kid"):
        KeyRing([key, key])


def test_what_a_stranger_sends_fills_no_memory(ring: KeyRing) -> None:
    for number in range(10):
        stranger = SimulatedMeter(f"stranger {number}")
        assert reason_of(verify, stranger.readings(SEQUENCE=1), ring, NOW_MS) == "unknown_key"
    assert not ring._admitted


@pytest.mark.parametrize(
    "cose_key",
    [
        cbor2.dumps({}),
        cbor2.dumps({1: 2, -1: 1, -2: bytes(32)}),
        keys.encode_p256(bytes(64)),
        keys.encode_p256(bytes(31) + b"\x01" + bytes(31) + b"\x01"),
    ],
)
def test_what_is_no_point_of_the_curve_is_no_key(cose_key: bytes) -> None:
    assert reason_of(Key.of, cose_key) == "cose_key"


# Identities that nobody has enrolled


def test_an_identity_proves_possession_of_its_key(meter: SimulatedMeter) -> None:
    raw = meter.identity()
    key, verified = verify_identity(raw)
    assert key.thumbprint == meter.thumbprint
    assert verified.fields[f.SERIAL] == "m1"


def test_an_identity_under_a_borrowed_key_is_rejected(meter: SimulatedMeter, ring: KeyRing) -> None:
    thief = SimulatedMeter("thief")
    raw = thief.identity(PUBLIC_KEY=meter.sealer.cose_key)
    assert reason_of(verify_identity, raw) == "identity_key_mismatch"
    parts = cose.split(raw)
    protected = cose.protected_header(cose.ES256, meter.kid, t.IDENTITY)
    signature = thief.sealer.sign(chain.message_hash(protected, parts.payload))
    forged = cose.assemble(protected, parts.payload, signature)
    assert reason_of(verify_identity, forged) == "signature_invalid"
    # The meter's own key may not sign an identity that shows another.
    own = meter.identity(PUBLIC_KEY=thief.sealer.cose_key)
    assert reason_of(verify, own, ring, NOW_MS) == "identity_key_mismatch"


def test_only_an_identity_introduces_a_key(meter: SimulatedMeter) -> None:
    assert reason_of(verify_identity, meter.readings(SEQUENCE=1)) == "type_not_allowed"
    assert reason_of(verify_identity, b"") == "cbor_truncated"


# The signature's numbers (signatures.py)


def low_and_high(signature: bytes) -> tuple[bytes, bytes]:
    s = int.from_bytes(signature[32:], "big")
    return signature, signature[:32] + (signatures.P256_ORDER - s).to_bytes(32, "big")


@given(st.binary(max_size=40))
def test_what_we_sign_is_low_and_its_twin_is_known(message: bytes) -> None:
    sealer = named_sealer("somebody", t.ROLE_METER)
    digest = hashlib.sha256(message).digest()
    low, high = low_and_high(sealer.sign(digest))
    assert signatures.p256_fault(low) is None
    assert signatures.p256_verifies(sealer.public_key, digest, low)
    # It would verify: without the rule anybody could make a second signature from a first.
    assert signatures.p256_verifies(sealer.public_key, digest, high)
    assert signatures.p256_fault(high) == "signature_high_s"


def test_signing_is_deterministic() -> None:
    """RFC 6979 A.2.5, P-256 with SHA-256, message "sample"; s there is high, so ours is n - s."""
    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    private = ec.derive_private_key(secret, ec.SECP256R1())
    r = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
    s = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
    expected = r.to_bytes(32, "big") + (signatures.P256_ORDER - s).to_bytes(32, "big")
    assert signatures.p256_sign(private, hashlib.sha256(b"sample").digest()) == expected


ORDER = signatures.P256_ORDER
HALF = ORDER // 2


@pytest.mark.parametrize(
    ("r", "s", "fault"),
    [
        (1, 1, None),
        (ORDER - 1, HALF, None),
        (0, 1, "signature_range"),
        (1, 0, "signature_range"),
        (ORDER, 1, "signature_range"),
        (1, ORDER, "signature_range"),
        (2**256 - 1, 1, "signature_range"),
        (1, 2**256 - 1, "signature_range"),
        (1, HALF + 1, "signature_high_s"),
        (1, ORDER - 1, "signature_high_s"),
    ],
)
def test_ranges_of_r_and_s(r: int, s: int, fault: str | None) -> None:
    assert signatures.p256_fault(r.to_bytes(32, "big") + s.to_bytes(32, "big")) == fault


# Signatures on other cores (workers.py)


@pytest.fixture
def pool() -> Iterator[workers.Pool]:
    started = workers.Pool(2)
    yield started
    started.close()


@pytest.fixture
def group(meter: SimulatedMeter, ring: KeyRing) -> list[Opened]:
    return [open_message(meter.readings(SEQUENCE=1 + i), ring, NOW_MS) for i in range(100)]


def spoil(opened: Opened) -> Opened:
    return opened._replace(hash=bytes(32))


def test_workers_say_what_this_process_would(pool: workers.Pool, group: list[Opened]) -> None:
    for bad in (0, 23, 24, 99):
        mixed = list(group)
        mixed[bad] = spoil(mixed[bad])
        expected = [i != bad for i in range(100)]
        assert [bool(good) for good in workers.Inline().submit(mixed).good] == expected
        assert [bool(good) for good in pool.collect(pool.submit(mixed))] == expected


def test_groups_under_way_do_not_mix(pool: workers.Pool, group: list[Opened]) -> None:
    spoilt = [spoil(opened) for opened in group]
    tickets = [pool.submit(spoilt if i % 3 else group) for i in range(12)]
    for i, ticket in reversed(list(enumerate(tickets))):
        assert set(pool.collect(ticket)) == ({0} if i % 3 else {1})


def test_a_queue_full_of_work_does_not_block_for_ever(pool: workers.Pool, group: list[Opened]) -> None:
    tickets = [pool.submit(group * 20) for _ in range(3)]
    assert all(all(pool.collect(ticket)) for ticket in tickets)


@pytest.mark.parametrize("killed", [1, 2])
@pytest.mark.parametrize("at_work", [True, False])
def test_workers_that_die_are_replaced_and_nothing_is_lost(
    pool: workers.Pool, group: list[Opened], killed: int, at_work: bool
) -> None:
    mixed = [*group, spoil(group[0])]
    assert all(pool.collect(pool.submit(group)))
    ticket = pool.submit(mixed * 10) if at_work else None
    for worker in pool._workers[:killed]:
        worker.kill()
        worker.wait()
    if ticket is not None:
        assert list(pool.collect(ticket)) == ([1] * 100 + [0]) * 10
    assert list(pool.collect(pool.submit(mixed))) == [1] * 100 + [0]
    assert all(worker.poll() is None for worker in pool._workers)


def test_closing_ends_the_workers(group: list[Opened]) -> None:
    started = workers.Pool(2)
    assert all(started.collect(started.submit(group)))
    pids = started.pids
    started.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
