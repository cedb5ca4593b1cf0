"""The signer at boot: opened, tested, and known to be the one that this board has had.

A meter whose signer fails seals nothing: what it sealed could not be verified, and another key would be another
meter. So the failure is said on the console, noted in the memory and raised; the board starts anew. The next
boot that succeeds puts the note into the chain, as the event self_test_failed.
"""

from meter_firmware.memory import DAMAGED
from meter_firmware.sealing import Sealer
from meter_firmware.signers.signer import SignerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.memory import Memory

_PUBLIC_KEY_FILE = "public_key"
_FAILURE_FILE = "signer_failure"


def has_no_key(memory: "Memory") -> bool:
    """Whether this board has never had a key, and may make one."""
    return memory.read(_PUBLIC_KEY_FILE) is None


def open_sealer(board: "Any", memory: "Memory") -> Sealer:
    """A Sealer on the board's signer; SignerError, said and noted, if it may not be used."""
    try:
        signer = board.make_signer(memory)
        public = signer.public_key()
        known = memory.read(_PUBLIC_KEY_FILE)
        # Where both copies are damaged, the key that is there is believed: a meter is not lost to its flash.
        if known not in (None, DAMAGED, public):
            raise SignerError("public_key_changed")
        sealer = Sealer(signer)
        sealer.self_test()
    except SignerError as error:
        note_failure(board, memory, error)
        raise
    if known != public:
        memory.write(_PUBLIC_KEY_FILE, public)
    return sealer


def note_failure(board: "Any", memory: "Memory", error: SignerError) -> None:
    board.say("signer failed: " + str(error))
    reason = error.reason.encode()
    if memory.read(_FAILURE_FILE) != reason:  # a board that restarts for a week does not wear its flash
        memory.write(_FAILURE_FILE, reason)


def noted_failure(memory: "Memory") -> "str | None":
    """Why the signer failed at a boot, or in a run, since the last one that was put into the chain."""
    noted = memory.read(_FAILURE_FILE)
    try:
        return None if noted is None else noted.decode() or "unknown"
    except UnicodeError:
        return "unknown"


def forget_failure(memory: "Memory") -> None:
    memory.remove(_FAILURE_FILE)
