"""The private key of a board without a secure element: drawn on the board at its first boot, then kept.

It lies in the board's own flash, so whoever can read the flash has it: key protection says so.
"""

from meter_firmware.low_s import N
from meter_firmware.signers.signer import SignerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from meter_firmware.memory import Memory

_KEY_FILE = "key"


def private_key(memory: "Memory", random: "Callable[[int], bytes]") -> bytes:
    """32 bytes in [1, n - 1]. A file that holds no key is an error: another key would be another meter."""
    kept = memory.read(_KEY_FILE)
    if kept is not None:
        if not _is_key(kept):
            raise SignerError("key_damaged")
        return kept
    drawn = random(32)
    while not _is_key(drawn):  # once in 2^32 draws
        drawn = random(32)
    memory.write(_KEY_FILE, drawn)
    return drawn


def forget(memory: "Memory") -> None:
    """Of a board that is given up."""
    memory.remove(_KEY_FILE)


def _is_key(private: bytes) -> bool:
    return len(private) == 32 and 1 <= int.from_bytes(private, "big") < N
