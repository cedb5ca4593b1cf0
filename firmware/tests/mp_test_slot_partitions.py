"""Slots in flash that the processor reads: what runs from there, and what in there does not."""

import os

import vfs
from update_bench import GOLDEN_ID, IMAGE_BYTES, Meter, Update, codes, pack, refusals, release

from meter_firmware.slot_partitions import SlotPartitions
from meter_firmware.slots import ATTEMPTS
from meter_firmware.software import GOLDEN
from meter_protocol import events

FIRST = Update(5, pack(release(1)))
SECOND = Update(6, pack(release(2) + [("x/y.mpy", b"x" * 700)]))


def test_the_golden_copy_hands_over_to_a_and_a_to_b_and_b_to_a():
    meter = Meter(in_place=True).update(FIRST)
    assert (meter.life.running, meter.boot().running) == ("a", "a")
    assert meter.life.software_id == FIRST.digest
    first = bytes(meter.partitions.memory(0))
    meter.update(SECOND)
    assert meter.life.running == "b"
    assert meter.life.software_id == SECOND.digest
    assert bytes(meter.partitions.memory(0)) == first
    third = Update(7, pack(release(3)))
    meter.update(third)
    assert (meter.life.running, meter.boot().software_id) == ("a", third.digest)
    assert codes(meter.chain) == [events.FIRMWARE_UPDATED] * 3


def test_software_that_never_proves_itself_is_left():
    meter = Meter(in_place=True).update(FIRST)
    meter.install(SECOND)
    for _ in range(ATTEMPTS):
        assert meter.life.software_id == SECOND.digest
        meter.boot()
    assert meter.life.software_id == FIRST.digest


def test_one_bit_of_any_byte_keeps_a_slot_from_running():
    meter = Meter(in_place=True).update(FIRST)
    slots, memory = meter.life.slots, meter.partitions.memory(0)
    used = len(bytes(memory).rstrip(b"\xff"))
    assert used > len(FIRST.image) - 20
    for place in range(used):
        memory[place] ^= 1 << place % 8
        assert slots._fault(slots.active) == "update_image", place
        memory[place] ^= 1 << place % 8
    assert meter.boot().software_id == FIRST.digest


def test_from_a_damaged_slot_to_the_one_before_and_on_to_the_golden_copy():
    meter = Meter(in_place=True).update(FIRST).update(SECOND)
    meter.partitions.memory(1)[500] ^= 1
    assert meter.boot().software_id == FIRST.digest
    for place in range(4):
        meter.partitions.memory(0)[place] ^= 0x80
    assert meter.boot().running == GOLDEN
    meter.life.turn()
    lost = [details[events.SOFTWARE_ID] for code, details in meter.chain if code == events.UPDATE_ROLLED_BACK]
    assert lost == [SECOND.digest, FIRST.digest]
    meter.update(SECOND)
    assert meter.boot().software_id == SECOND.digest


def test_whatever_is_in_a_partition_is_never_mounted_unless_it_is_sound():
    slots = SlotPartitions(Meter(in_place=True).partitions.rom_ioctl)
    memory = slots._memory("b")
    for content in (b"\xff" * 8, b"\x00" * 8, b"\xd2\xcd\x31\xff\xff\xff\x7f", b"\xd2\xcd\x31\x04\x04\x7f\x01a"):
        memory[: len(content)] = content
        try:
            slots.folder("b")
        except OSError as error:
            assert error.errno == 5
        else:
            raise AssertionError(content)
        assert "/slot-b" not in [mount_point for _, mount_point in vfs.mount()]


def test_an_image_that_a_partition_does_not_hold_is_given_up():
    meter = Meter(in_place=True)
    size = len(meter.partitions.memory(0))
    assert size < IMAGE_BYTES
    offer = Update(7, pack(release(1) + [("z", b"z" * (size - 900))]))
    assert meter.life.refused(offer.manifest) is None
    meter.life.fetch(offer)
    meter.life.turn()
    assert refusals(meter) == ["update_space"]
    assert meter.boot().running == GOLDEN
    assert meter.boot().software_id == GOLDEN_ID


def test_a_port_that_has_fewer_partitions_says_so():
    slots = SlotPartitions(lambda operation, number, *arguments: -22)
    for use in (lambda: slots.folder("a"), lambda: list(slots.filling("b", [], bytes))):
        try:
            use()
        except OSError as error:
            assert error.errno == 22
        else:
            raise AssertionError(use)


def test_blocks_are_whole_units_of_what_the_port_programs():
    written = []

    def rom_ioctl(operation, number=0, *arguments):
        if operation == 2:
            return memoryview(bytearray(8192))
        if operation == 3:
            return 768
        if operation == 4:
            written.append((arguments[0], len(arguments[1])))
        return 0

    list(SlotPartitions(rom_ioctl).filling("a", [("a", 0, 2000)], lambda start, count: b"a" * count))
    assert written == [(0, 768), (768, 768), (1536, 768)]


def test_an_installation_that_fails_in_the_flash_is_given_up():
    meter = Meter(in_place=True)
    real, meter.life.site.partitions._rom_ioctl = meter.partitions.rom_ioctl, None

    def failing(operation, *arguments):
        return -5 if operation == 4 and arguments[1] >= 512 else real(operation, *arguments)

    meter.life.site.partitions._rom_ioctl = failing
    assert meter.life.refused(FIRST.manifest) is None
    meter.life.fetch(FIRST)
    meter.life.turn()
    assert refusals(meter) == ["update_image"]
    assert meter.boot().running == GOLDEN
    assert meter.life.refused(SECOND.manifest) is None


def test_a_slot_that_is_written_is_read_by_nobody_and_the_port_hears_of_the_end():
    partitions = Meter(in_place=True).partitions
    asked = []

    def rom_ioctl(operation, *arguments):
        asked.append(operation)
        return partitions.rom_ioctl(operation, *arguments)

    slots = SlotPartitions(rom_ioctl)
    for _ in range(2):
        for _ in slots.filling("b", [], None):
            try:
                os.listdir("/slot-b")
            except OSError:
                pass
            else:
                raise AssertionError("it is mounted")
        assert asked[-1] == 5
        assert os.listdir(slots.folder("b")) == []
    slots._let_go("b")
