"""What a board says on its console, readable: text as it is, each frame of first contact (SPEC §16) as one line.

At the maker's bench the console is the provisioning line, too. A frame begins and ends with 0x00 (SPEC §9), which
no text has; what follows a lone 0x00 is text when it is no frame at its end, or goes on for too long, or stops.
"""

from collections.abc import Callable

from meter_protocol import cose, framing
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

MAX_FRAME = 8192 + 64
"""SPEC §16's largest payload, and what makes a frame of it."""

SILENCE_S = 0.5
"""Inside a frame there is none: what was held back for one is text."""

Describe = Callable[[list[str], int], str]


class ConsoleText:
    def __init__(self, describe: Describe) -> None:
        """`describe(types, size)` gives the line for a frame: the types of its messages, if any, and its bytes."""
        self._describe = describe
        self._held: bytearray | None = None

    @property
    def is_holding(self) -> bool:
        """Something waits for its end; `give_up` shows it as it is."""
        return bool(self._held)

    def feed(self, octets: bytes) -> bytes:
        shown = bytearray()
        first, *others = octets.split(b"\0")
        shown += self._take(first)
        for part in others:
            shown += self._delimited()
            shown += self._take(part)
        return bytes(shown)

    def give_up(self) -> bytes:
        held, self._held = self._held, None
        return bytes(held or b"")

    def _take(self, part: bytes) -> bytes:
        if self._held is None:
            return part
        self._held += part
        return self.give_up() if len(self._held) > MAX_FRAME else b""

    def _delimited(self) -> bytes:
        held, self._held = self._held, bytearray()
        if not held:
            return b""
        payloads = framing.Deframer().feed(b"\0" + bytes(held) + b"\0")
        if not payloads:
            return bytes(held)
        self._held = None
        return f"{self._describe(_types(payloads[0]), len(held) + 2)}\r\n".encode()


def _types(payload: bytes) -> list[str]:
    try:
        return [cose.split(raw).typ.removeprefix(t.PREFIX) for raw in cose.split_sequence(payload)]
    except ProtocolError:
        return []
