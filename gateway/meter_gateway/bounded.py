"""Files that people name on the command line: read up to a bound, for a disk or a device is named by mistake."""

from pathlib import Path

from meter_gateway.texts import Told


def read_bounded(path: Path, most: int) -> bytes:
    """Its content; Told if it has more than `most` bytes."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise Told("file.too_large", path=path, most=most)
    return content
