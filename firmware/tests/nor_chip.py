"""A W25Q128-like chip on SPI at the level of its instructions, for the driver in meter_firmware.spi_flash.

What the data sheet says and a driver can get wrong: an instruction begins and ends with the chip select; programs
and erases want the write-enable latch, take time, clear the latch, and begin with the select's rise; while one
runs only the status is answered; a program clears bits and wraps inside its page; asleep, the chip hears nothing
but the release. What is programmed and erased goes to a block device, so that power can fail in it
(journal_flash.PowerCut).
"""

PAGE = 256
BLOCK = 4096

PROGRAM_US = 400
ERASE_US = 45000


class NorChip:
    """`flash` has blocks of 4 KiB. `sleep_us` is the driver's clock; `journal` what the chip did, in order."""

    def __init__(self, flash, identification=b"\xef\x40\x18"):
        self.flash = flash
        self.identification = identification
        self.select = _Select(self)
        self.asleep = False
        self.protection = 0
        self.latch = False
        self.journal = []
        self.now_us = 0
        self._busy_until_us = 0
        self._selected = False
        self._heard = bytearray()
        self._told = 0

    # The driver's side

    def sleep_us(self, span_us):
        self.now_us += span_us

    def write(self, out):
        if len(self._heard) >= 4 and self._heard[0] == 0x02:
            # The content of a page, to which the chip says nothing.
            self.now_us += len(out)
            self._heard.extend(out)
            return
        for byte in out:
            self._exchange(byte)

    def readinto(self, into):
        if len(self._heard) == 4 and self._heard[0] == 0x03 and not self.asleep and not self.busy:
            address = self._address()
            assert address % BLOCK + len(into) <= BLOCK, "the driver reads inside of a block"
            self.now_us += len(into)
            if self.flash.readblocks(address // BLOCK, into, address % BLOCK):
                into[:] = b"\xff" * len(into)
            return
        for place in range(len(into)):
            into[place] = self._exchange(0)

    # The chip's

    @property
    def busy(self):
        return self.now_us < self._busy_until_us

    def stay_busy(self, span_us):
        self._busy_until_us = self.now_us + span_us

    def _exchange(self, byte):
        self.now_us += 1
        if not self._selected or getattr(self.flash, "dead", False):
            return 0xFF
        self._heard.append(byte)
        instruction = self._heard[0]
        place = len(self._heard) - 1
        if instruction == 0x05 and place and not self.asleep:
            return self.busy | self.latch << 1 | self.protection << 2
        if self.asleep or self.busy or place == 0:
            return 0xFF
        if instruction == 0x9F:
            return self.identification[(place - 1) % 3]
        return 0xFF

    def _address(self):
        return int.from_bytes(self._heard[1:4], "big")

    def selected(self, level):
        if not level:
            assert not self._selected, "selected twice"
            self._selected = True
            self._heard = bytearray()
        elif self._selected:
            self._selected = False
            self._done()

    def _done(self):
        heard = self._heard
        if not heard:
            return
        if heard == b"\xab":
            self.asleep = False
        elif self.asleep or self.busy:
            if heard[0] not in (0x05, 0xAB):
                self.journal.append(("ignored", heard[0]))
        elif heard == b"\xb9":
            self.asleep = True
        elif heard == b"\x06":
            self.latch = True
        elif heard[0] == 0x02 and len(heard) > 4:
            self._program()
        elif heard[0] == 0x20 and len(heard) == 4:
            self._erase()

    def _may_write(self):
        may = self.latch and not self.protection
        self.latch = False
        return may

    def _program(self):
        if not self._may_write():
            self.journal.append(("refused", 0x02))
            return
        address, content = self._address(), self._heard[4:]
        page = address // PAGE * PAGE
        image = bytearray(b"\xff" * PAGE)
        for place, byte in enumerate(content):
            image[(address + place) % PAGE] = byte
        first = address % PAGE if len(content) <= PAGE - address % PAGE else 0
        last = first + len(content) if len(content) <= PAGE - address % PAGE else PAGE
        self.journal.append(("program", address, len(content)))
        self._burn(page + first, image[first:last])
        self.stay_busy(PROGRAM_US)

    def _burn(self, address, image):
        there = bytearray(len(image))
        self.flash.readblocks(address // BLOCK, there, address % BLOCK)
        if there == b"\xff" * len(image):
            self.flash.writeblocks(address // BLOCK, image, address % BLOCK)
            return
        # Over what is programmed: bits only clear.
        for place in range(len(image)):
            image[place] &= there[place]
        self.flash.overwrite(address // BLOCK, image, address % BLOCK)

    def _erase(self):
        if not self._may_write():
            self.journal.append(("refused", 0x20))
            return
        self.journal.append(("erase", self._address() // BLOCK))
        self.flash.ioctl(6, self._address() // BLOCK)
        self.stay_busy(ERASE_US)


class _Select:
    def __init__(self, chip):
        self._chip = chip

    def value(self, level):
        self._chip.selected(level)
