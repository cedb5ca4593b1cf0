"""The meter's instruments: which there are, what they show, and what is wrong with them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from robot.api.deco import keyword

from hil_tests.keywords import channels
from hil_tests.keywords.bench_parts import PATIENCE, BenchParts
from meter_tools.simulator import Fault
from meter_tools.simulator.serial_server import SERIAL_KINDS


class InstrumentKeywords(BenchParts):
    # Before the power is switched on for the first time

    @keyword
    def connect_instrument(
        self, name: str, kind: str, bus: str, unit: int = 1, serial: str | None = None, options: Any = None
    ) -> None:
        """A kind of the simulator; `options` are rows for the firmware's driver (docs/instruments.md).

        The first one takes the place of the usual two.
        """
        self._made_here().connect(name, kind, bus, unit, serial, options)

    @keyword
    def measure(self, channel: str, instrument: str, indication: str, kind: str = "mean", ratio: int = 1) -> None:
        """A channel, register or mean, of a connected instrument."""
        self._made_here().measure(channel, instrument, indication, kind, ratio)

    def _made_here(self) -> channels.Site:
        if "_site" in vars(self):
            raise AssertionError("the instruments are connected before the meter is powered on")
        if self._new_site is None:
            self._new_site = channels.Site()
        return self._new_site

    # At any time

    @keyword
    def set_instrument_value(self, instrument: str, indication: str, *values: int) -> None:
        """In the register's own units. Of several values each reading of the instrument gets the next."""
        self._instruments.show(instrument, indication, values)
        self._note_change()

    @keyword
    def instrument_is_silent(self, instrument: str) -> None:
        """As one that is unplugged."""
        self._fail(instrument, Fault(kind="silent"))

    @keyword
    def instrument_talks_nonsense(self, instrument: str) -> None:
        self._fail(instrument, Fault(kind="nonsense"))

    @keyword
    def instrument_is_slow(self, instrument: str, delay: timedelta) -> None:
        """Its answers are true and come so late."""
        self._fail(instrument, Fault(kind="slow", delay_ms=round(delay.total_seconds() * 1000)))

    @keyword
    def instrument_breaks_off(self, instrument: str) -> None:
        """In the middle of each answer."""
        self._fail(instrument, Fault(kind="truncated"))

    @keyword
    def instrument_is_well(self, instrument: str) -> None:
        self._fail(instrument, None)

    def _fail(self, instrument: str, fault: Fault | None) -> None:
        self._instruments.fail(instrument, fault)
        self._note_change()

    @keyword
    def wait_for_requests(self, instrument: str, count: int, timeout: timedelta = PATIENCE) -> None:
        """Until the meter has asked the instrument so many times more; works while its link is down."""
        self._instruments.wait_for_requests(instrument, count, timeout.total_seconds())

    @keyword
    def options_of_kind(self, kind: str) -> Sequence[Sequence[str | int]] | None:
        """Rows with which the firmware's driver reads all that the simulator's serial instrument has."""
        return SERIAL_KINDS[kind].options
