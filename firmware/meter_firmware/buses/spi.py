"""SPI: a chip's address is the number of its chip-select pin.

`spi` is what `machine.SPI` is: it has `write_readinto(out, into)`. `selects` are outputs like `machine.Pin`, low
while their chip is meant. Clock and mode are the board's: they are those of the chips on the bus.
"""

from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Spi(Protocol):
        def write_readinto(self, __out: Any, __into: Any) -> Any: ...  # noqa: PYI063  MicroPython has no "/"

    class Output(Protocol):
        def value(self, level: int) -> Any: ...


class SpiBus:
    KIND = "spi"

    def __init__(self, spi: "Spi", selects: "list[Output]") -> None:
        self._spi = spi
        self._selects = selects
        self._kept: "dict[int, dict[str, int]]" = {}
        for select in selects:
            select.value(1)

    def transfer(self, address: int, out: bytes) -> bytes:
        """What the chip says while it hears `out`. An environment that fails is a chip that does not answer."""
        if not 0 <= address < len(self._selects):
            raise InstrumentError("not_connected")
        into = bytearray(len(out))
        select = self._selects[address]
        try:
            select.value(0)
            self._spi.write_readinto(out, into)
        except OSError:
            raise InstrumentError("no_response")
        finally:
            select.value(1)
        return bytes(into)

    def kept(self, address: int) -> "dict[str, int]":
        """What outlives a driver but not a boot: the sums of registers that are cleared by being read."""
        return self._kept.setdefault(address, {})
