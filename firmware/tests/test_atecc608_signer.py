"""The ATECC608 signer on the real MicroPython against the simulated chip: boot, signing, each fault by name."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from atecc608_bench import AteccBench
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from meter_tools.simulator import atecc608_zone
from meter_tools.simulator.atecc608 import (
    AWAKE,
    COUNTER,
    ECC_FAULT,
    EXECUTION_ERROR,
    GENKEY,
    INFO,
    NONCE,
    ORDER,
    PARSE_ERROR,
    READ,
    SIGN,
    WATCHDOG_US,
    Chip,
    crc,
)

DIGEST = hashlib.sha256(b"a reading").digest()
SIGN_IT = f"sign={DIGEST.hex()}"
SELF_TEST_FAILED, RNG_FAILED, WATCHDOG_NEAR = 0x07, 0x08, 0xEE


@pytest.fixture
def bench(micropython: Path) -> Iterator[AteccBench]:
    """A chip as a meter has it after its first boot: locked, with a key."""
    bench = AteccBench(micropython)
    bench.chip.keys[0] = ec.generate_private_key(ec.SECP256R1())
    yield bench
    bench.close()
    assert bench.chip.state_at(bench.now_us) != AWAKE


def verify(chip: Chip, signature_hex: str, slot: int = 0) -> None:
    signature = bytes.fromhex(signature_hex)
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    assert s <= ORDER // 2
    prehashed = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    chip.keys[slot].public_key().verify(utils.encode_dss_signature(r, s), DIGEST, prehashed)


def configure(bench: AteccBench, access: int = 0, key: int = 0, slot: int = 0) -> None:
    """The bits of the slot's two words that differ from a meter's key."""
    wanted_access = atecc608_zone.slot_config(bench.chip.zone, slot) ^ access
    wanted_key = atecc608_zone.key_config(bench.chip.zone, slot) ^ key
    atecc608_zone.set_slot(bench.chip.zone, slot, wanted_access, wanted_key)


def test_a_meter_that_is_given_up_gets_another_key_in_its_slot(bench: AteccBench) -> None:
    first, second, signature = bench.run("renew", SIGN_IT)
    assert first != second
    numbers = bench.chip.keys[0].public_key().public_numbers()
    assert second == f"{numbers.x:064x}{numbers.y:064x}"
    verify(bench.chip, signature)
    assert bench.run() == [second]


# Boot


def test_a_first_boot_makes_the_key_in_the_slot_and_the_next_finds_it(bench: AteccBench) -> None:
    bench.chip.keys.clear()
    (made,) = bench.run("generate")
    numbers = bench.chip.keys[0].public_key().public_numbers()
    assert made == f"{numbers.x:064x}{numbers.y:064x}"
    assert bench.run("generate") == [made]
    assert bench.run() == [made]


def test_an_empty_slot_is_filled_only_at_a_first_boot_and_only_as_configured(bench: AteccBench) -> None:
    bench.chip.keys.clear()
    assert bench.error() == ("slot_empty", None)
    configure(bench, access=atecc608_zone.GEN_KEY)
    assert bench.error("generate") == ("slot_empty", None)
    configure(bench, access=atecc608_zone.GEN_KEY)
    bench.chip.zone[atecc608_zone.SLOT_LOCKED] = 0xFE
    assert bench.error("generate") == ("slot_empty", None)
    assert bench.chip.keys == {}


def test_a_key_that_cannot_be_had_for_a_moment_is_not_replaced(bench: AteccBench) -> None:
    kept = bench.chip.keys[0]
    bench.chip.faults.statuses[GENKEY] = [ECC_FAULT]
    bench.run("generate")
    bench.chip.faults.statuses[GENKEY] = [RNG_FAILED] * 3
    assert bench.error("generate") == ("execution_failed", RNG_FAILED)
    assert bench.chip.keys[0] is kept


def test_another_slot_another_key(bench: AteccBench) -> None:
    bench.chip.zone[:] = atecc608_zone.for_meter(slot=3)
    bench.chip.keys = {3: bench.chip.keys[0]}
    _, signature = bench.run("slot=3", SIGN_IT)
    verify(bench.chip, signature, 3)
    assert bench.error() == ("slot_not_private", None)


def test_serial_number_and_counters(bench: AteccBench) -> None:
    bench.chip.counters = [5, 2_097_151]
    _, serial, first, second = bench.run("serial", "counter=0", "counter=1")
    assert serial == bytes(bench.chip.zone[0:4] + bench.chip.zone[8:13]).hex()
    assert (first, second) == (5, 2_097_151)


@pytest.mark.parametrize(("revision", "code"), [("00005000", 0x50), ("00001002", 0x10), ("00020009", 0x00)])
def test_another_chip_is_refused(bench: AteccBench, revision: str, code: int) -> None:
    """ATECC508A, ATECC108A, ATSHA204A."""
    bench.chip.revision = bytes.fromhex(revision)
    assert bench.error() == ("wrong_device", code)


@pytest.mark.parametrize("revision", ["00006002", "00006003", "00006007"])
def test_every_revision_of_the_608_is_taken(bench: AteccBench, revision: str) -> None:
    bench.chip.revision = bytes.fromhex(revision)
    assert len(bench.run()) == 1


@pytest.mark.parametrize(
    ("place", "reason"),
    [(atecc608_zone.LOCK_CONFIG, "config_not_locked"), (atecc608_zone.LOCK_VALUE, "data_not_locked")],
)
def test_an_unlocked_zone_is_refused(bench: AteccBench, place: int, reason: str) -> None:
    bench.chip.zone[place] = atecc608_zone.UNLOCKED
    assert bench.error("generate") == (reason, None)


@pytest.mark.parametrize(
    ("access", "key", "reason"),
    [
        (0, atecc608_zone.PRIVATE, "slot_not_private"),
        (0, 0x0C, "slot_not_p256"),  # type 7, other data
        (atecc608_zone.IS_SECRET, 0, "slot_readable"),
        (0x0040, 0, "slot_readable"),  # encrypted reads
        (atecc608_zone.SIGN_EXTERNAL, 0, "slot_cannot_sign"),
        (0x4000, 0, "slot_writable"),  # PrivWrite
        (0x0020, 0, "slot_limited"),
        (0, 0x0080, "slot_needs_authorisation"),
        (0, 0x1000, "slot_needs_authorisation"),  # by the persistent latch
        (0, atecc608_zone.PUBLIC_INFO, "slot_public_key_hidden"),
    ],
)
def test_a_slot_that_is_not_a_meters_key_is_refused(bench: AteccBench, access: int, key: int, reason: str) -> None:
    configure(bench, access, key)
    assert bench.error("generate") == (reason, None)


@pytest.mark.parametrize(("access", "key"), [(0x0004, 0), (0x0002, 0), (0, 0x0040), (0, atecc608_zone.LOCKABLE)])
def test_what_gives_nothing_of_the_key_away_is_allowed(bench: AteccBench, access: int, key: int) -> None:
    """ECDH, internal signatures, random nonces for other commands, a slot that cannot be locked."""
    configure(bench, access, key)
    verify(bench.chip, bench.run(SIGN_IT)[1])


# Signing


def test_signatures_are_low_s_whatever_the_element_draws(bench: AteccBench) -> None:
    bench.chip.faults.high_s = True
    _, first, second, done = bench.run(SIGN_IT, SIGN_IT, "selftest")
    verify(bench.chip, first)
    verify(bench.chip, second)
    assert first != second
    assert done is None


def test_a_wrong_signature_fails_the_self_test(bench: AteccBench) -> None:
    bench.chip.faults.wrong_signature = True
    assert bench.error("selftest") == ("self_test_sign", None)


def test_the_slowest_clock(bench: AteccBench) -> None:
    """With its clock divided (M2) the chip signs in 665 ms; awake for no longer than that, the watchdog is far."""
    bench.chip.execution_ms |= {SIGN: 665, GENKEY: 653}
    bench.run()
    before_us = bench.now_us
    verify(bench.chip, bench.run(SIGN_IT)[1])
    assert 665_000 + 653_000 < bench.now_us - before_us < 1_500_000


def test_awake_for_one_command_at_a_time(bench: AteccBench) -> None:
    """Random, Nonce and Sign each begin with a wake and end in idle."""
    bench.run()
    bench.trace.clear()
    bench.run(SIGN_IT)
    words = [frame[:1] for address, frame in bench.written() if address]
    pulses = [frame for address, frame in bench.written() if not address]
    assert words == [b"\x03", b"\x02"] * len(pulses)


# Faults of the line


def test_nothing_on_the_bus(bench: AteccBench) -> None:
    bench.chip.faults.dead = True
    assert bench.error("generate") == ("no_response", None)


def test_a_bus_too_fast_for_the_wake_pulse(bench: AteccBench) -> None:
    """At 400 kHz eight zeros last 20 us: the bus must run at 100 kHz."""
    bench.chip = Chip(bytes(bench.chip.zone), bus_hz=400_000)
    assert bench.error() == ("no_response", None)


@pytest.mark.parametrize("fault", ["nacks", "damaged_responses", "damaged_commands"])
def test_a_moment_of_noise_costs_a_retry(bench: AteccBench, fault: str) -> None:
    bench.run()
    for count in (1, 2):
        setattr(bench.chip.faults, fault, count)
        verify(bench.chip, bench.run(SIGN_IT)[1])
        assert getattr(bench.chip.faults, fault) == 0


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("nacks", ("no_response", None)),
        ("damaged_responses", ("crc", None)),
        ("damaged_commands", ("crc", 0xFF)),
    ],
)
def test_lasting_noise_is_named(bench: AteccBench, fault: str, expected: tuple[str, int | None]) -> None:
    setattr(bench.chip.faults, fault, 1000)
    assert bench.error() == expected
    bench.now_us += 2 * WATCHDOG_US  # a chip that hears nothing is put to sleep by its watchdog only


def test_a_wake_token_of_a_failed_power_on_test(bench: AteccBench) -> None:
    token = bytes((4, SELF_TEST_FAILED))
    bench.chip.faults.wake_token = token + crc(token)
    assert bench.error() == ("no_response", SELF_TEST_FAILED)


def test_a_chip_that_something_else_left_awake_with_an_old_result(bench: AteccBench) -> None:
    bench.transact(["W", "0", "01"])
    bench.now_us += 2000
    group = bytes((7, INFO, 0, 0, 0))
    bench.transact(["W", "96", (b"\x03" + group + crc(group)).hex()])
    bench.now_us += 10_000
    verify(bench.chip, bench.run(SIGN_IT)[1])


# Faults of the chip


@pytest.mark.parametrize("opcode", [INFO, READ, GENKEY, NONCE, SIGN, COUNTER])
def test_a_refused_command_is_tried_again_and_then_named(bench: AteccBench, opcode: int) -> None:
    bench.chip.faults.statuses[opcode] = [EXECUTION_ERROR]
    verify(bench.chip, bench.run(SIGN_IT, "counter=0")[1])
    bench.chip.faults.statuses[opcode] = [PARSE_ERROR] * 3
    assert bench.error(SIGN_IT, "counter=0") == ("execution_failed", PARSE_ERROR)


@pytest.mark.parametrize("opcode", [NONCE, SIGN, GENKEY])
def test_the_watchdog_strikes_while_a_command_runs(bench: AteccBench, opcode: int) -> None:
    bench.chip.faults.sleeps_during[opcode] = 1
    verify(bench.chip, bench.run(SIGN_IT)[1])
    bench.chip.faults.sleeps_during[opcode] = 3
    assert bench.error(SIGN_IT) == ("watchdog", None)


def test_the_watchdog_strikes_between_nonce_and_sign(bench: AteccBench) -> None:
    """Asleep the chip forgets the digest and refuses to sign: both commands are sent again, not Sign alone."""
    bench.chip.faults.sleeps_after[NONCE] = 1
    verify(bench.chip, bench.run(SIGN_IT)[1])
    bench.chip.faults.sleeps_after[NONCE] = 3
    assert bench.error(SIGN_IT) == ("execution_failed", EXECUTION_ERROR)


def test_too_little_left_before_the_watchdog(bench: AteccBench) -> None:
    bench.chip.faults.statuses[SIGN] = [WATCHDOG_NEAR]
    verify(bench.chip, bench.run(SIGN_IT)[1])
    bench.chip.faults.statuses[SIGN] = [WATCHDOG_NEAR] * 3
    assert bench.error(SIGN_IT) == ("watchdog", WATCHDOG_NEAR)


def test_a_throttled_chip_within_its_watchdog_recovers(bench: AteccBench) -> None:
    """Slower than any clock mode: given up, but not before its watchdog has it asleep, ready for the next try."""
    bench.chip.execution_ms[SIGN] = 1250
    assert bench.error(SIGN_IT) == ("busy", None)
    bench.chip.execution_ms[SIGN] = 115
    verify(bench.chip, bench.run(SIGN_IT)[1])


def test_a_chip_that_hangs_is_given_up_within_nine_seconds(bench: AteccBench) -> None:
    bench.chip.execution_ms[SIGN] = 1299
    assert bench.error(SIGN_IT) == ("busy", None)
    assert bench.now_us < 9_000_000
    bench.chip.faults.hangs[SIGN] = 1
    before_us = bench.now_us
    assert bench.error(SIGN_IT) == ("busy", None)
    assert bench.now_us - before_us < 4_000_000
    bench.chip = Chip(bytes(bench.chip.zone))  # its power was cut


def test_no_command_but_those_of_a_meter_is_ever_sent(bench: AteccBench) -> None:
    """No PrivWrite, no read of a data slot, no Write, no Lock: whatever happens, the element stays as it is."""
    opcodes: set[tuple[int, int]] = set()
    bench.chip.keys.clear()
    faults: list[Callable[[], None]] = [
        lambda: None,
        lambda: bench.chip.faults.statuses.update({SIGN: [EXECUTION_ERROR] * 3}),
        lambda: setattr(bench.chip.faults, "damaged_responses", 5),
    ]
    for fault in faults:
        fault()
        bench.run("generate", SIGN_IT, "counter=0", "csr", "selftest", "serial")
    for group in bench.chip.commands:
        opcodes.add((group[1], group[2]))
    assert {opcode for opcode, _ in opcodes} == {INFO, READ, GENKEY, 0x1B, NONCE, SIGN, COUNTER}
    assert {mode for opcode, mode in opcodes if opcode == READ} == {0x80}
    assert {mode for opcode, mode in opcodes if opcode == COUNTER} == {0}
