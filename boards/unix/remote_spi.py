"""`machine.SPI` and its chip-select pins on this host: the chips are simulated, at the other end of a TCP stream.

A transfer is [chip, length, bytes ...], both numbers one byte; the reply is as many bytes (tools/meter_tools/
simulator/spi_atm90e32.py). It blocks as a real transfer does; a simulator that went away is an OSError.
"""

import errno

from exchange import Exchange

from meter_firmware.buses.spi import SpiBus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RemoteSpi:
    def __init__(self, host: str, port: int) -> None:
        self._exchange = Exchange(host, port)
        self.chip: "int | None" = None

    def write_readinto(self, out: bytes, into: bytearray) -> None:
        if self.chip is None:
            raise OSError(errno.ENODEV)
        into[:] = self._exchange.tell(bytes((self.chip, len(out))) + out, len(out))


class Select:
    """The chip-select pin of one chip; low is chosen."""

    def __init__(self, spi: RemoteSpi, chip: int) -> None:
        self._spi = spi
        self._chip = chip

    def value(self, level: int) -> None:
        self._spi.chip = None if level else self._chip


def remote_spi(config: "dict[str, Any]") -> SpiBus:
    spi = RemoteSpi(config["host"], config["tcp_port"])
    return SpiBus(spi, [Select(spi, chip) for chip in range(config.get("chips", 1))])
