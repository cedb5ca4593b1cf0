"""What any simulated chip on an I2C bus is to the line: something that takes bytes, gives bytes, or refuses."""

from collections.abc import Callable, Mapping
from typing import Protocol

Values = Mapping[str, int | None]
Source = Callable[[int], Values]
"""What there is to measure, at a time in milliseconds."""


class Nack(Exception):
    """The chip does not acknowledge."""


class I2cChip(Protocol):
    """Time is an argument: `now_ms` of each transfer, on any scale that does not go back."""

    def power_on(self, now_ms: int) -> None: ...
    def write(self, frame: bytes, now_ms: int) -> None: ...
    def read(self, count: int, now_ms: int) -> bytes: ...
