"""The simulated ATECC608 and our driver for it, each held against cryptoauthlib, the vendor's own library.

The library drives the simulated chip through its own I2C code: what it understands, a real chip's host would.
Then the driver does the same work on MicroPython, and the chip must have been sent the same bytes. The fields
of the configuration zone are compared with the library's structures. What has no oracle stands in
meter_tools/simulator/atecc608.py.
"""

import ctypes
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from atecc608_bench import AteccBench
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_atecc608 import Vendor, vendor_configuration, vendor_library

from meter_firmware.signers import atecc608_bus, atecc608_config
from meter_tools.simulator import atecc608, atecc608_zone

DIGEST = hashlib.sha256(b"a reading").digest()
RX_CRC_ERROR = 0xE5
EXECUTION_FAILED = 0xF4


def quick(zone: bytes) -> atecc608.Chip:
    """The library waits in real time."""
    chip = atecc608.Chip(zone)
    chip.execution_ms = dict.fromkeys(chip.execution_ms, 1)
    return chip


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor(quick(bytes(atecc608_zone.for_meter())))
    yield vendor
    vendor.close()


@pytest.fixture
def bench(micropython: Path) -> Iterator[AteccBench]:
    bench = AteccBench(micropython)
    yield bench
    bench.close()


def verify(public: bytes, digest: bytes, signature: bytes) -> None:
    x, y, r, s = (
        int.from_bytes(half, "big") for half in (public[:32], public[32:], signature[:32], signature[32:])
    )
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


def is_locked(vendor: Vendor, name: str, *arguments: int) -> bool:
    locked = ctypes.c_bool()
    vendor.call(name, *arguments, ctypes.byref(locked))
    return locked.value


def counter(vendor: Vendor, name: str, number: int) -> int:
    value = ctypes.c_uint32()
    vendor.call(name, number, ctypes.byref(value))
    return value.value


def test_the_vendors_library_works_with_the_simulated_chip(vendor: Vendor) -> None:
    assert vendor.call("atcab_info", result=4) == vendor.chip.revision
    assert vendor.call("atcab_read_config_zone", result=128) == bytes(vendor.chip.zone)
    assert vendor.call("atcab_read_serial_number", result=9) == bytes(
        vendor.chip.zone[0:4] + vendor.chip.zone[8:13]
    )
    public = vendor.call("atcab_genkey", 0, result=64)
    assert vendor.call("atcab_get_pubkey", 0, result=64) == public
    verify(public, DIGEST, vendor.call("atcab_sign", 0, DIGEST, result=64))
    assert counter(vendor, "atcab_counter_increment", 1) == 1
    assert (counter(vendor, "atcab_counter_read", 0), counter(vendor, "atcab_counter_read", 1)) == (0, 1)


def test_the_vendors_library_configures_and_locks_the_simulated_chip() -> None:
    vendor = Vendor(quick(bytes(atecc608_zone.blank())))
    try:
        assert not is_locked(vendor, "atcab_is_config_locked")
        wanted = atecc608_zone.for_meter(locked=False)
        for start in (20, 96):
            chunk = bytes(wanted[start : start + 4])
            vendor.call("atcab_write_bytes_zone", 0, 0, start, chunk, 4)
        wrong = int.from_bytes(atecc608.crc(bytes(wanted)), "little") ^ 1
        assert vendor.status("atcab_lock_config_zone_crc", wrong)[0] == EXECUTION_FAILED
        vendor.call("atcab_lock_config_zone_crc", wrong ^ 1)
        vendor.call("atcab_lock_data_zone")
        assert is_locked(vendor, "atcab_is_config_locked")
        assert is_locked(vendor, "atcab_is_data_locked")
        assert atecc608_config.objection(bytes(vendor.chip.zone), 0) is None
        vendor.call("atcab_genkey", 0, result=64)
        vendor.call("atcab_lock_data_slot", 0)
        assert is_locked(vendor, "atcab_is_slot_locked", 0)
        assert vendor.status("atcab_genkey", 0, result=64)[0] == EXECUTION_FAILED
        assert not atecc608_config.may_generate(bytes(vendor.chip.zone), 0)
    finally:
        vendor.close()


def test_the_vendors_library_refuses_a_damaged_response(vendor: Vendor) -> None:
    vendor.chip.faults.damaged_responses = 1
    assert vendor.status("atcab_info", result=4)[0] == RX_CRC_ERROR
    vendor.chip.faults.damaged_commands = 1
    assert vendor.status("atcab_info", result=4)[0] != 0


def test_the_driver_sends_what_the_vendors_library_sends(vendor: Vendor, bench: AteccBench) -> None:
    vendor.call("atcab_info", result=4)
    vendor.call("atcab_read_config_zone", result=128)
    for _ in range(3):  # the driver tries what fails three times
        assert vendor.status("atcab_get_pubkey", 0, result=64)[0] != 0
    vendor.call("atcab_genkey", 0, result=64)
    vendor.call("atcab_sign", 0, DIGEST, result=64)
    counter(vendor, "atcab_counter_read", 1)
    bench.run("generate", f"sign={DIGEST.hex()}", "counter=1")
    assert bench.chip.commands == vendor.chip.commands


def test_the_driver_wakes_commands_and_idles_as_the_vendors_library_does(
    vendor: Vendor, bench: AteccBench
) -> None:
    vendor.call("atcab_genkey", 0, result=64)
    bench.chip.keys = dict(vendor.chip.keys)
    vendor.written.clear()
    vendor.call("atcab_sign", 0, DIGEST, result=64)
    # The library rewinds the output buffer before it reads; the driver reads it in one go, from its beginning.
    theirs = [(address, frame) for address, frame in vendor.written if frame != b"\x00"]
    bench.run(f"sign={DIGEST.hex()}")
    assert bench.written()[-len(theirs) :] == theirs
    vendor.call("atcab_wakeup")
    vendor.call("atcab_sleep")
    bench.chip.faults.statuses[atecc608.INFO] = [atecc608.PARSE_ERROR] * 3
    bench.error()
    assert bench.written()[-1] == vendor.written[-1]


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=155))
def test_crc(group: bytes) -> None:
    theirs = (ctypes.c_uint8 * 2)()
    vendor_library().atCRC(ctypes.c_size_t(len(group)), group, theirs)
    assert atecc608_bus.crc(group) == bytes(theirs) == atecc608.crc(group)


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=128, max_size=128), st.integers(0, 15))
def test_the_fields_of_the_configuration_zone(zone: bytes, slot: int) -> None:
    theirs = vendor_configuration(zone)
    access, key = atecc608_config.slot_config(zone, slot), atecc608_config.key_config(zone, slot)
    slot_fields, key_fields = theirs.SlotConfig[slot], theirs.KeyConfig[slot]
    assert (access & 0x0F, bool(access & atecc608_config.SIGN_EXTERNAL)) == (
        slot_fields.ReadKey,
        bool(slot_fields.ReadKey & 1),
    )
    assert bool(access & atecc608_config.LIMITED_USE) == slot_fields.LimitedUse
    assert bool(access & atecc608_config.ENCRYPTED_READ) == slot_fields.EncryptRead
    assert bool(access & atecc608_config.IS_SECRET) == slot_fields.IsSecret
    assert bool(access & atecc608_config.GEN_KEY) == bool(slot_fields.WriteConfig & 2)
    assert bool(access & atecc608_config.PRIV_WRITE) == bool(slot_fields.WriteConfig & 4)
    assert bool(key & atecc608_config.PRIVATE) == key_fields.Private
    assert bool(key & atecc608_config.PUBLIC_INFO) == key_fields.PubInfo
    assert (key & atecc608_config.KEY_TYPE == atecc608_config.TYPE_P256) == (key_fields.KeyType == 4)
    assert bool(key & atecc608_config.LOCKABLE) == key_fields.Lockable
    assert bool(key & atecc608_config.NEEDS_AUTHORISATION) == key_fields.ReqAuth
    assert bool(key & atecc608_config.PERSISTENT_DISABLE) == key_fields.PersistentDisable
    assert (zone[atecc608_config.LOCK_VALUE], zone[atecc608_config.LOCK_CONFIG]) == (
        theirs.LockValue,
        theirs.LockConfig,
    )
    assert zone[atecc608_config.SLOT_LOCKED] | zone[atecc608_config.SLOT_LOCKED + 1] << 8 == theirs.SlotLocked
    assert (atecc608_zone.slot_config(zone, slot), atecc608_zone.key_config(zone, slot)) == (access, key)
