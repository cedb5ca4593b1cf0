"""The provisioning line of a meter, made when something comes on it.

A meter may never hear its maker again, and has the heap for something else.
"""

from meter_firmware.links import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.first_contact import FirstContact
    from meter_firmware.links.streams import ByteStream
    from meter_firmware.provisioning_line import ProvisioningLine


class LineWhenUsed:
    """`opener` is the board's provisioning line, `make` makes its FirstContact at the first question."""

    def __init__(self, opener: "Any", make: "Callable[[], FirstContact]") -> None:
        self._opener = opener
        self._make = make
        self._stream: "ByteStream | None" = None
        self._line: "ProvisioningLine | None" = None

    @property
    def restart_wanted(self) -> bool:
        return self._line is not None and self._line.restart_wanted

    async def run(self) -> None:
        """Until the board has to start anew."""
        try:
            self._stream = await self._opener.open()
            await self._stream.wait()
        except (LinkError, OSError):
            # The line's own link tries it again, and again.
            pass
        from meter_firmware.provisioning_line import ProvisioningLine

        self._line = ProvisioningLine(self, self._make)
        await self._line.run()

    async def open(self) -> "ByteStream":
        """For the line's link: the stream that has something to be read, and new ones after that."""
        stream, self._stream = self._stream, None
        return stream or await self._opener.open()
