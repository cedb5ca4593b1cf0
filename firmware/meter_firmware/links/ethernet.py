"""A TCP connection over Ethernet, its address by DHCP.

`lan` is network.LAN of the stm32 port, as read in MicroPython 1.25 (ports/stm32/eth.c). `active(True)` waits for a
cable, for ten seconds in which nobody measures; so the PHY is asked first, and without a cable nothing is started.
What was started does not see a cable pulled, or a switch of another speed: after several failures in a row it is
started anew. DHCP goes on by itself.
"""

import asyncio
import time

from meter_firmware.links import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.links.streams import ByteStream
    from meter_firmware.links.tcp import TcpTarget

ADDRESS_TIMEOUT_MS = 20000
POLL_MS = 100
RESTART_AFTER = 3

_NO_CABLE = 0


class EthernetTarget:
    def __init__(self, lan: "Any", target: "TcpTarget", timeout_ms: int = ADDRESS_TIMEOUT_MS) -> None:
        self._lan = lan
        self._target = target
        self._timeout_ms = timeout_ms
        self._started = False
        self._failures = 0

    async def open(self) -> "ByteStream":
        """A connected stream, or a LinkError with the reason."""
        try:
            self._start()
            await self._wait_for_address()
            stream = await self._target.open()
        except (LinkError, OSError):
            self._failures += 1
            raise
        self._failures = 0
        return stream

    def _start(self) -> None:
        lan = self._lan
        try:
            if self._started and self._failures >= RESTART_AFTER:
                lan.active(False)
                self._started = False
                self._failures = 0
            if self._started:
                return
            lan.config(low_power=False)
            # The PHY keeps the loss of a cable until it is asked.
            lan.status()
            if lan.status() == _NO_CABLE:
                raise LinkError("ethernet_no_cable")
            lan.active(True)
        except OSError:
            raise LinkError("ethernet_failed")
        self._started = True

    async def _wait_for_address(self) -> None:
        deadline = time.ticks_add(time.ticks_ms(), self._timeout_ms)
        while not self._lan.isconnected():
            if time.ticks_diff(deadline, time.ticks_ms()) <= 0:
                raise LinkError("ethernet_no_address")
            await asyncio.sleep_ms(POLL_MS)
