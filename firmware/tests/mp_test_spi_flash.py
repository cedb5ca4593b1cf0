"""The driver of the SPI flash chip, against a chip at the level of instructions (nor_chip.py)."""

import errno
import gc

from journal_flash import PowerCut, RamFlash
from journal_scenario import JournalScenario
from nor_chip import ERASE_US, NorChip
from power_cuts import Promises, live_until_cut

from meter_firmware.blockdev import StorageError
from meter_firmware.spi_flash import SpiFlash

SIZE = 1 << 17
SMALL = b"\xef\x40\x11"
"""A chip of 128 KiB: what a test can look at as a whole."""


def _chip(flash=None, identification=SMALL):
    return NorChip(flash or RamFlash(SIZE // 4096, 4096), identification)


def _open(chip, size=SIZE):
    return SpiFlash(chip, chip.select, size, chip.sleep_us)


def _refusal(chip, size=SIZE):
    try:
        _open(chip, size)
    except StorageError as error:
        return error.reason
    return None


def test_what_is_written_is_there_and_an_erase_makes_it_blank():
    chip = _chip()
    device = _open(chip)
    content = bytes(range(200))
    assert device.writeblocks(3, content, 1000) == 0
    buffer = bytearray(200)
    assert device.readblocks(3, buffer, 1000) == 0
    assert buffer == content
    assert chip.flash.content[3 * 4096 + 1000 : 3 * 4096 + 1200] == content
    assert device.ioctl(6, 3) == 0
    assert device.readblocks(3, buffer, 1000) == 0
    assert buffer == b"\xff" * 200
    assert not [entry for entry in chip.journal if entry[0] in ("ignored", "refused")]


def test_a_write_over_several_pages_is_a_program_for_each():
    chip = _chip()
    device = _open(chip)
    content = bytes([place * 7 & 0xFF for place in range(700)])
    assert device.writeblocks(1, content, 250) == 0
    buffer = bytearray(700)
    device.readblocks(1, buffer, 250)
    assert buffer == content
    assert chip.journal == [
        ("program", 4096 + 250, 6),
        ("program", 4096 + 256, 256),
        ("program", 4096 + 512, 256),
        ("program", 4096 + 768, 182),
    ]


def test_a_program_only_clears_bits_and_littlefs_finds_out_by_reading_back():
    device = _open(_chip())
    device.writeblocks(0, b"\xf0")
    device.writeblocks(0, b"\x3c")
    buffer = bytearray(1)
    device.readblocks(0, buffer)
    assert buffer == b"\x30"


def test_blocks_and_their_size():
    device = _open(_chip())
    assert (device.ioctl(4, 0), device.ioctl(5, 0)) == (SIZE // 4096, 4096)
    assert [device.ioctl(operation, 0) for operation in (1, 2, 3)] == [0, 0, 0]
    assert device.ioctl(99, 0) is None


def test_the_chip_of_the_board_is_known_by_its_capacity():
    assert _refusal(_chip()) is None
    assert _refusal(_chip(identification=b"\xc2\x20\x11")) is None  # another maker's
    assert _refusal(_chip(identification=b"\xef\x40\x18")) == "flash_id"
    for nobody in (0x00, 0xFF):
        assert _refusal(_chip(identification=bytes((nobody,)) + _chip().identification[1:])) == "flash_id"
    assert _refusal(_chip(), size=1 << 24) == "flash_id"


class Wire:
    """No chip at all: the line stays where its resistor pulls it."""

    def __init__(self, level):
        self._level = level
        self.select = self
        self.waited_us = 0

    def value(self, level):
        pass

    def write(self, out):
        pass

    def readinto(self, into):
        for place in range(len(into)):
            into[place] = self._level

    def sleep_us(self, span_us):
        self.waited_us += span_us


def test_a_chip_that_is_not_there_is_an_error_and_no_endless_wait():
    for level, reason in ((0xFF, "flash_busy"), (0x00, "flash_id")):
        wire = Wire(level)
        assert _refusal(wire) == reason
        assert wire.waited_us < 5000000


def test_a_processor_that_starts_anew_finds_the_chip_asleep_or_erasing():
    chip = _chip()
    chip.asleep = True
    device = _open(chip)
    assert device.writeblocks(0, b"awake") == 0
    chip.stay_busy(ERASE_US)
    device = _open(chip)
    buffer = bytearray(5)
    assert device.readblocks(0, buffer) == 0
    assert buffer == b"awake"
    assert not [entry for entry in chip.journal if entry[0] == "ignored"]


def test_a_chip_that_is_protected_is_refused():
    for protection in (1, 2, 4, 7):
        chip = _chip()
        chip.protection = protection
        assert _refusal(chip) == "flash_protected"


def test_a_write_that_the_chip_did_not_take_is_told():
    chip = _chip()
    device = _open(chip)
    chip.asleep = True
    assert device.writeblocks(0, b"x") == -errno.ENODEV
    assert device.ioctl(6, 0) == -errno.ENODEV
    chip.asleep = False
    chip.stay_busy(60000000)
    assert device.writeblocks(0, b"x") == -errno.ENODEV
    assert bytes(chip.flash.content[:1]) == b"\xff"


def test_an_instruction_that_the_chip_took_for_none_is_told():
    class Deaf(NorChip):
        def _done(self):
            if self._heard[:1] not in (b"\x02", b"\x20"):
                super()._done()

    device = _open(Deaf(RamFlash(SIZE // 4096, 4096), SMALL))
    assert device.writeblocks(0, b"x") == -errno.EIO
    assert device.ioctl(6, 0) == -errno.EIO


def test_an_erase_that_never_ends_is_told():
    class Stuck(NorChip):
        def _erase(self):
            super()._erase()
            self.stay_busy(60000000)

    chip = Stuck(RamFlash(SIZE // 4096, 4096), SMALL)
    device = _open(chip)
    assert device.ioctl(6, 1) == -errno.ETIMEDOUT
    assert chip.now_us < 5000000


def test_a_bus_that_fails_is_told_and_lets_the_chip_go():
    chip = _chip()
    device = _open(chip)

    def broken(_):
        raise OSError(errno.EIO)

    chip.write = broken
    assert device.readblocks(0, bytearray(4)) == -errno.EIO
    assert device.writeblocks(0, b"x") == -errno.EIO
    assert device.ioctl(6, 0) == -errno.EIO
    assert not chip._selected


SCENARIO = JournalScenario(32, 4096, 36 * 1024, 8192, 500, 0)
LIVES = 5


def _driven(flash):
    return _open(NorChip(flash, SMALL))


class OnChip:
    """The journal's life on the driver, on a chip, on a flash whose power fails at its operation `cut_at`."""

    def __init__(self, flash, cut_at, mode):
        self._power = PowerCut(flash, cut_at, mode, seed=cut_at)
        device = _driven(self._power)
        self.readblocks, self.writeblocks, self.ioctl = device.readblocks, device.writeblocks, device.ioctl

    @property
    def dead(self):
        return self._power.dead

    @property
    def operations(self):
        return self._power.operations


def test_a_journal_survives_power_that_fails_inside_the_chip():
    """In a sample of the chip's operations, before and inside each; the journal's own tests cut every one."""
    flash = RamFlash(32, 4096)
    whole = OnChip(flash, None, "before")
    SCENARIO.live(whole, Promises())
    cuts = 0
    for cut_at in range(0, whole.operations, max(1, whole.operations // LIVES)):
        for mode in ("before", "torn"):
            for block in range(32):
                flash.ioctl(6, block)
            promises = Promises()
            device = OnChip(flash, cut_at, mode)
            live_until_cut(SCENARIO, device, promises)
            assert device.dead
            SCENARIO.check(_driven(flash), promises)
            cuts += 1
            gc.collect()
    assert cuts >= LIVES, cuts


def test_a_chip_that_loses_its_power_takes_nothing_more():
    flash = RamFlash(32, 4096)
    device = OnChip(flash, 1, "before")
    assert device.writeblocks(0, b"\x00" * 64) == 0
    device.writeblocks(0, b"\x00" * 64, 64)
    assert device.dead
    assert device.writeblocks(0, b"\x00" * 64, 128) == -errno.ENODEV
    assert bytes(flash.content[:192]) == b"\x00" * 64 + b"\xff" * 128
