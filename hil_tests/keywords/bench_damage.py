"""What is damaged on the board, in its flash and in its software, and what a boot makes of that."""

from datetime import timedelta

from robot.api.deco import keyword

from hil_tests.keywords import damaged_key
from hil_tests.keywords.bench_parts import PATIENCE, BenchParts
from hil_tests.keywords.verification import Message
from hil_tests.platforms import patience_of


class DamageKeywords(BenchParts):
    # Without power only

    @keyword
    def corrupt_journal_byte(self, message: Message, place: int = 40) -> None:
        """One bit of this byte of the message, as it lies in the flash."""
        content = bytearray(self._board.flash.read_bytes())
        start = content.find(message.raw)
        if start < 0:
            raise AssertionError(f"{message} is not in the flash")
        while start >= 0:
            content[start + place] ^= 0x10
            start = content.find(message.raw, start + 1)
        self._board.flash.write_bytes(content)

    @keyword
    def flip_bit_of_key(self, copies: int = 2, sealed: bool = False) -> None:
        """In so many of the two copies in the flash; once more puts it right. `sealed`: the checksum fits."""
        damaged_key.flip_bit_of_key(self._board.flash, copies, sealed)

    @keyword
    def damage_software(self) -> None:
        """A bit flips where it keeps the curve's equation: no key lies on it any more, no signature verifies."""
        self._board.damage_software()

    @keyword
    def repair_software(self) -> None:
        self._board.repair_software()

    # With it

    @keyword
    def boot_should_fail(self, reason: str, timeout: timedelta = PATIENCE) -> None:
        """The firmware says why, seals and sends nothing, and ends: a board on a wall would start anew."""
        seconds = timeout.total_seconds() * patience_of(self._platform)
        self._gateway.wait_for(
            lambda: self._board.has_failed or None, seconds, f"end of the firmware: {reason}", lambda: None
        )
        if f"signer failed: {reason}" not in self._board.console():
            raise AssertionError(f"the firmware failed, and not by {reason}:\n{self._board.console()}")
        came = self._gateway.arrivals[self._arrivals_mark :]
        if came:
            raise AssertionError(f"it sent {', '.join(map(str, came))}")
        self._board.cut_power()
        # Nothing was sealed, so this boot is not counted.
        self._power_ons -= 1
