"""What every simulated instrument on a line of bytes is: something that hears requests and answers some.

Written from the protocols' descriptions, independently of the firmware's drivers. Values are integers in units
of 10^exponent of the quantity's unit, as everywhere in the simulator; each kind shows them with the resolution
of the real instrument's display and drops the rest.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from meter_tools.simulator.instruments import Identity, Indication, Values, wrapped


class SerialInstrument(ABC):
    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._heard = bytearray()

    def hear(self, chunk: bytes) -> list[bytes]:
        """The whole requests, to anybody, that the bytes complete."""
        self._heard += chunk
        requests = []
        while self._heard:
            length = self.request_length(bytes(self._heard))
            if length is None:
                break
            if length == 0:
                del self._heard[0]
                continue
            requests.append(bytes(self._heard[:length]))
            del self._heard[:length]
        return requests

    @abstractmethod
    def request_length(self, heard: bytes) -> int | None:
        """Length of the request at the beginning; 0 if none begins here, None if more must come to know."""

    @abstractmethod
    def answer(self, request: bytes, values: Values) -> bytes | None:
        """The reply; None if the request is not for this instrument, or not one that it answers."""

    def refusal(self, request: bytes, code: int) -> bytes | None:
        """How it says that it will not answer; most say nothing."""
        return None


@dataclass(frozen=True)
class SerialKind:
    name: str
    driver: str
    """The firmware's driver that reads it, and the options that make it read all there is."""
    options: list[list[str | int]] | None
    indications: Mapping[str, Indication]
    default_serial: str
    make: Callable[[Identity], SerialInstrument]

    def shown(self, values: Values) -> Values:
        """What a register shows: its value within its modulus."""
        return wrapped(self.name, self.indications, values)


def low_first(number: int, size: int) -> bytes:
    """Packed decimal digits, the lowest pair first; OverflowError if it has more."""
    digits = f"{number:0{2 * size}d}"
    if number < 0 or len(digits) != 2 * size:
        raise OverflowError(f"{number} does not fit {2 * size} digits")
    return bytes.fromhex(digits)[::-1]


def checksum(content: bytes) -> int:
    return sum(content) % 256
