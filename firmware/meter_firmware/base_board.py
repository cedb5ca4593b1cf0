"""What boards with a processor of their own have in common: all that asks for no pin. app.py says what a board is.

A board's board.py adds its buses, its signer, its link and its provisioning line.
"""

import os

from meter_firmware import monotonic
from meter_firmware.board_clock import BoardClock
from meter_firmware.links.backoff import Backoff
from meter_firmware.signers import key_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.memory import Memory
    from meter_firmware.update_manifest import UpdateSite


class BaseBoard:
    maker = "carbonmeter"
    model = ""
    image_region: "Any" = None

    def __init__(self, base: "Any", buses: "dict[str, Any]", watchdog: "Any", hardware_id: "bytes | None") -> None:
        """`base` is the board's own board_base, `watchdog` a machine.WDT."""
        self.hardware_id = hardware_id
        self.factory = base.factory()
        self.journal_bytes: int = base.JOURNAL_BYTES
        self._base = base
        self.clock = BoardClock()
        self.mount = base.mount
        self._buses = buses
        self._watchdog = watchdog

    @property
    def update_site(self) -> "UpdateSite | None":
        """Made when there is an update: it takes heap."""
        site: "UpdateSite | None" = self._base.update_site()
        return site

    def link_ms(self) -> int:
        return monotonic.now_ms()

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def say(self, line: str) -> None:
        print(line)

    def renew_key(self, memory: "Memory") -> None:
        key_file.forget(memory)

    def software_files(self) -> "list[tuple[str, str]]":
        """The golden copy is frozen: the image region stands for it."""
        return []

    def bus(self, name: str) -> "Any":
        return self._buses[name]

    def broker(self) -> "dict[int, Any]":
        """The link settings of the factory record, which a board with a network cannot do without."""
        if self.factory is None or self.factory.link is None:
            raise ValueError("the factory record does not say where the gateway is")
        link: "dict[int, Any]" = self.factory.link
        return link

    def backoff(self) -> Backoff:
        return Backoff(_random_below)

    def feed_watchdog(self) -> None:
        self._watchdog.feed()

    def finished(self) -> bool:
        """A board runs until its power is cut."""
        return False

    def drained_late(self) -> bool:
        return False


def _random_below(limit: int) -> int:
    return int.from_bytes(os.urandom(4), "big") % limit
