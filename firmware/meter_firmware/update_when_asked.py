"""Updates, made when there is one: most meters run most of the time what they ran the day before.

The Updater and what it imports take kilobytes of heap. So it is made when a manifest or a chunk comes, and at boot
where the software runs from a slot or the flash has anything of an update.
"""

import asyncio
import os

from meter_firmware.software import GOLDEN
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.update import Updater
    from meter_firmware.update_services import UpdateServices

_DIRECTORY = 0x4000
_ENOENT = 2


class UpdateWhenAsked:
    """`root` is the folder of updates in the meter's flash; `make_services` makes the UpdateServices."""

    def __init__(
        self, board: "Any", root: str, running: str, make_services: "Callable[[], UpdateServices]"
    ) -> None:
        self._board = board
        self._root = root
        self._running = running
        self._make_services = make_services
        self._services: "UpdateServices | None" = None
        self._software_id = b""
        self._made = asyncio.Event()
        self.updater: "Updater | None" = None
        if running != GOLDEN or not _is_empty(root):
            self._make()

    @property
    def restart_wanted(self) -> bool:
        return self.updater is not None and self.updater.restart_wanted

    def files(self) -> "list[tuple[str, str]] | None":
        """What runs, if it runs from a slot."""
        return None if self.updater is None else self.updater.files()

    def begin(self, software_id: bytes) -> None:
        self._software_id = software_id
        if self.updater is not None and self._services is not None:
            self.updater.begin(self._services.newest_event(), software_id, self._board.image_region)

    def take_manifest(self, raw: bytes) -> None:
        self._asked().take_manifest(raw)

    def take_chunk(self, raw: bytes) -> None:
        self._asked().take_chunk(raw)

    async def run(self) -> None:
        await self._made.wait()
        assert self.updater is not None
        await self.updater.run()

    def _asked(self) -> "Updater":
        updater = self.updater
        if updater is None:
            updater = self._make()
            if updater is None:
                # As the inbox has it of a type that nobody takes: this board has no updates.
                raise ProtocolError("type_not_allowed")
            # Of an update nothing was there at boot, and so nothing that the chain had still to be told.
            updater.begin(None, self._software_id, self._board.image_region)
        return updater

    def _make(self) -> "Updater | None":
        from meter_firmware.update import Updater

        site = self._board.update_site
        if site is not None:
            self._services = self._make_services()
            self.updater = Updater(site, self._root, self._running, self._services)
            self._made.set()
        return self.updater


def _is_empty(root: str) -> bool:
    """No file, and no copy of one; what cannot be read may be there."""
    for folder in (root, root + "/copy"):
        try:
            for entry in os.ilistdir(folder):
                if not entry[1] & _DIRECTORY:
                    return False
        except OSError as error:
            if error.errno != _ENOENT:
                return False
    return True
