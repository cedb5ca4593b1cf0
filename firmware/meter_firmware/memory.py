"""Small durable values of a board, one LittleFS file each: key, epoch, parameter set, last receipt.

A value is replaced by writing a new file and renaming it over the old one, which LittleFS does atomically:
after a power cut the old value is there or the new one, never a mixture.
"""

import os


class Memory:
    def __init__(self, root: str) -> None:
        self._root = root
        try:
            os.mkdir(root)
        except OSError:
            # It is there already; if the file system is gone, the first read says so.
            pass

    def read(self, name: str) -> "bytes | None":
        try:
            with open(self._root + "/" + name, "rb") as file:
                value: bytes = file.read()
        except OSError:
            return None
        return value

    def write(self, name: str, value: bytes) -> None:
        path = self._root + "/" + name
        with open(path + ".new", "wb") as file:
            file.write(value)
        os.rename(path + ".new", path)

    def remove(self, name: str) -> None:
        try:
            os.remove(self._root + "/" + name)
        except OSError:
            pass
