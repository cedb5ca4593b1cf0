"""The board's power and its console."""

from datetime import timedelta

from robot.api.deco import keyword

from hil_tests.keywords.bench_parts import PATIENCE, SERIAL, BenchParts


class PowerKeywords(BenchParts):
    @keyword
    def model_of_board(self) -> str:
        return self._board.model

    @keyword
    def key_protection_of_board(self) -> str:
        return self._board.key_protection

    @keyword
    def flash_is_small(self) -> None:
        """An eighth of the usual chip. Before the power is switched on for the first time."""
        self._flash_share = 8

    @keyword
    def power_on_meter(self) -> None:
        self._note_change()
        self._arrivals_mark = len(self._gateway.arrivals)
        self._power_ons += 1
        self._expect_sample_at_once()
        self._board.power_on()

    @keyword
    def cut_power(self) -> None:
        # What has ended by itself needs no cut, and nobody would notice.
        self._board.check()
        self._board.cut_power()

    @keyword
    def random_moment(self, within: timedelta) -> timedelta:
        """The next of the moments that robot's variable SEED stands for."""
        return within * self._random.random()

    @keyword
    def random_number(self, below: int) -> int:
        """The next of the numbers that robot's variable SEED stands for."""
        return self._random.randrange(below)

    @keyword
    def power_will_fail_in_flash_operation(self, number: int, after_bytes: int | None = None) -> None:
        """In this write or erase, the next being 0, after so many bytes of it; up to 255, seeded, unless said."""
        size = self._random.randrange(256) if after_bytes is None else after_bytes
        self._board.tear_flash_operation(number, size)

    @keyword
    def wait_for_power_failure(self, timeout: timedelta = PATIENCE) -> None:
        self._wait(lambda: self._board.is_cut or None, "power failure inside a flash operation", timeout)
        self._board.cut_power()

    @keyword
    def firmware_hangs(self) -> None:
        """In an endless loop, for longer than the watchdog waits. The board that it resets boots anew."""
        self._power_ons += 1
        self._expect_sample_at_once()
        self._board.hang()

    @keyword
    def console_should_show(self, text: str, timeout: timedelta = PATIENCE) -> None:
        """Since the last power-on."""
        self._wait(lambda: text in self._board.console() or None, f"{text!r} on the console", timeout)

    @keyword
    def console_should_not_show(self, text: str, times: int = 1) -> None:
        """So often or oftener since the last power-on."""
        if self._board.console().count(text) >= times:
            raise AssertionError(f"{text!r} is on the console {self._board.console().count(text)} times")

    @keyword
    def console_should_show_the_label(self) -> None:
        """Serial number and the thumbprint of the very key with which this meter signs."""
        self.console_should_show(f"meter {SERIAL} thumbprint {self._gateway.chain.thumbprint.hex()}")
