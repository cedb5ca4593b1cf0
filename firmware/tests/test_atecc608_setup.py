"""The maker's setup of a blank ATECC608, on MicroPython against the simulated chip."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from atecc608_bench import AteccBench
from vendor_atecc608 import Vendor

from meter_tools.simulator import atecc608, atecc608_zone
from meter_tools.simulator.atecc608 import LOCK, WRITE, Chip

FINISHED = bytes(atecc608_zone.for_meter())


@pytest.fixture
def bench(micropython: Path) -> Iterator[AteccBench]:
    bench = AteccBench(micropython)
    bench.chip = Chip(bytes(atecc608_zone.blank()))
    yield bench
    bench.close()


def test_a_blank_chip_becomes_a_meters(bench: AteccBench) -> None:
    assert bench.error("generate") == ("config_not_locked", None)
    assert bench.run("prepare") == []
    assert bytes(bench.chip.zone) == FINISHED
    assert bench.chip.keys == {}
    assert bench.run("generate", "selftest")[1] is None


def test_a_chip_that_is_ready_is_left_alone(bench: AteccBench) -> None:
    bench.run("prepare")
    bench.chip.commands.clear()
    assert bench.run("prepare") == []
    assert not [group for group in bench.chip.commands if group[1] in (WRITE, LOCK)]


def test_a_chip_that_was_locked_otherwise_is_left_alone_and_refused(bench: AteccBench) -> None:
    bench.chip.zone[atecc608_zone.LOCK_CONFIG] = bench.chip.zone[atecc608_zone.LOCK_VALUE] = 0
    before = bytes(bench.chip.zone)
    assert bench.error("prepare") == ("slot_not_private", None)
    assert bytes(bench.chip.zone) == before


def test_what_did_not_take_its_configuration_is_not_locked(bench: AteccBench) -> None:
    bench.chip.faults.ignores_writes = True
    assert bench.error("prepare") == ("config_not_written", None)
    assert bytes(bench.chip.zone) == bytes(atecc608_zone.blank())


def test_another_chip_is_not_touched(bench: AteccBench) -> None:
    bench.chip.revision = bytes.fromhex("00005000")
    assert bench.error("prepare") == ("wrong_device", 0x50)
    assert bench.error("lock") == ("wrong_device", 0x50)
    assert bytes(bench.chip.zone) == bytes(atecc608_zone.blank())


@pytest.mark.parametrize("opcode", [WRITE, LOCK])
def test_a_setup_that_was_interrupted_is_finished_by_the_next(bench: AteccBench, opcode: int) -> None:
    """Also where the command was carried out and only its answer lost: a second Lock is refused by the chip."""
    for count in (1, 2):
        bench.chip = Chip(bytes(atecc608_zone.blank()))
        bench.chip.faults.sleeps_during[opcode] = 3 * count
        for _ in range(count):
            assert bench.error("prepare")[0] == "watchdog"
        assert bench.run("prepare") == []
        assert bytes(bench.chip.zone) == FINISHED


def test_a_lock_whose_answers_are_lost(bench: AteccBench) -> None:
    bench.run("prepare")
    bench.chip.zone[atecc608_zone.LOCK_VALUE] = atecc608_zone.UNLOCKED
    bench.chip.faults.damages_after[LOCK] = 3
    assert bench.error("prepare")[0] == "crc"
    assert bench.run("prepare") == []
    assert bytes(bench.chip.zone) == FINISHED


def test_the_slot_is_locked_only_once_it_has_its_key(bench: AteccBench) -> None:
    bench.run("prepare")
    assert bench.error("lock") == ("execution_failed", atecc608.ECC_FAULT)
    assert not atecc608_zone.slot_locked(bench.chip.zone, 0)
    (public,) = bench.run("generate")
    assert bench.run("lock") == []
    assert atecc608_zone.slot_locked(bench.chip.zone, 0)
    assert bench.run("lock") == []
    assert bench.run("generate") == [public]


def test_the_vendors_library_sends_the_same(bench: AteccBench) -> None:
    chip = Chip(bytes(atecc608_zone.blank()))
    chip.execution_ms = dict.fromkeys(chip.execution_ms, 1)
    vendor = Vendor(chip)
    try:
        wanted = bytes(atecc608_zone.for_meter(locked=False))
        for start in (20, 96):
            vendor.call("atcab_write_bytes_zone", 0, 0, start, wanted[start : start + 4], 4)
        vendor.call("atcab_lock_config_zone_crc", int.from_bytes(atecc608.crc(wanted), "little"))
        vendor.call("atcab_lock_data_zone")
        vendor.call("atcab_genkey", 0, result=64)
        vendor.call("atcab_lock_data_slot", 0)
    finally:
        vendor.close()
    for words in (["prepare"], ["generate"], ["lock"]):
        bench.run(*words)
    changes = (WRITE, LOCK)
    assert [group for group in bench.chip.commands if group[1] in changes] == [
        group for group in chip.commands if group[1] in changes
    ]
