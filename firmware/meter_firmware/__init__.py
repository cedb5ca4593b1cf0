"""The meter's firmware: it measures, seals, journals and sends, on MicroPython boards and on a host.

The package splits by idea; import the module you need:

    p256             ES256 in pure Python, for boards that have nothing better yet
    blockdev         a flash chip made of a host's file, and LittleFS mounted with care
    journal          what was signed is kept here until the gateway has proven that it has it
"""


class FirmwareError(Exception):
    """What the firmware cannot do, with a stable reason code; the one base class of this package."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
