"""A TCP connection over Wi-Fi: the station is brought up first, as often as it takes.

`station` is network.WLAN(network.WLAN.IF_STA) or its like. The port's own endless reconnecting is switched off,
because it hides why there is no network and keeps the radio busy at a rhythm of its own; the link's back-off,
which is random, decides when the next attempt is made, so a hall of meters does not come back at once. A radio
that has failed several times in a row is switched off and on, as a driver may need after a dip of the supply.

The status numbers are those of the esp32 port (modnetwork's STAT_ constants).
"""

import asyncio
import time

from meter_firmware.links import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.links.streams import ByteStream
    from meter_firmware.links.tcp import TcpTarget

ASSOCIATE_TIMEOUT_MS = 20000
POLL_MS = 100
RESTART_RADIO_AFTER = 3

_REASONS = {201: "wifi_not_found", 202: "wifi_key_refused", 203: "wifi_refused", 204: "wifi_key_refused"}


class WifiTarget:
    def __init__(
        self,
        station: "Any",
        network_name: str,
        key: str,
        target: "TcpTarget",
        timeout_ms: int = ASSOCIATE_TIMEOUT_MS,
    ) -> None:
        self._station = station
        self._network_name = network_name
        self._key = key
        self._target = target
        self._timeout_ms = timeout_ms
        self._failures = 0

    async def open(self) -> "ByteStream":
        """A connected stream, or a LinkError with the reason."""
        if not self._station.isconnected():
            try:
                await self._associate()
            except LinkError:
                self._failures += 1
                raise
        self._failures = 0
        return await self._target.open()

    async def _associate(self) -> None:
        station = self._station
        try:
            if self._failures and self._failures % RESTART_RADIO_AFTER == 0:
                station.active(False)
            if not station.active():
                station.active(True)
                station.config(reconnects=0)
            station.connect(self._network_name, self._key)
        except OSError:
            # "Wifi Internal Error": the driver still works on the attempt before.
            station.disconnect()
            raise LinkError("wifi_busy")
        await self._wait_until_associated()

    async def _wait_until_associated(self) -> None:
        station = self._station
        deadline = time.ticks_add(time.ticks_ms(), self._timeout_ms)
        while not station.isconnected():
            refused = _REASONS.get(station.status())
            if refused is not None:
                raise LinkError(refused)
            if time.ticks_diff(deadline, time.ticks_ms()) <= 0:
                station.disconnect()
                raise LinkError("wifi_timeout")
            await asyncio.sleep_ms(POLL_MS)
