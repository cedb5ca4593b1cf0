"""A download on its way: the manifest that was taken, and of its image what has come so far.

Chunks come in their order and are appended; LittleFS commits the new size of a file after its new bytes, so a
power cut leaves the image with a chunk or without it, and its size says what to ask for next, at any boot.
"""

import os

from meter_firmware.memory import Memory

_MANIFEST_FILE = "offered"


class Staging:
    def __init__(self, root: str) -> None:
        self._memory = Memory(root)
        self._image = root + "/image"

    def manifest(self) -> "bytes | None":
        return self._memory.read(_MANIFEST_FILE)

    def begin(self, manifest: bytes) -> None:
        """The image of another manifest goes first: it must never be continued under this one."""
        self.drop_image()
        self._memory.write(_MANIFEST_FILE, manifest)

    @property
    def received(self) -> int:
        """Bytes of the image that are there."""
        try:
            size: int = os.stat(self._image)[6]
        except OSError:
            return 0
        return size

    def add(self, chunk: bytes) -> None:
        with open(self._image, "ab") as file:
            file.write(chunk)

    def read(self, start: int, count: int) -> bytes:
        with open(self._image, "rb") as file:
            file.seek(start)
            part: bytes = file.read(count)
        return part

    def drop_image(self) -> None:
        try:
            os.remove(self._image)
        except OSError:
            # It is not there; if the flash fails, the next chunk says so.
            pass

    def end(self) -> None:
        self._memory.remove(_MANIFEST_FILE)
        self.drop_image()
