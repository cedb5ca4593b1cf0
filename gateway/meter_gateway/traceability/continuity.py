"""Does a message continue its chain (SPEC §4)?

1. `previous` is the hash of the message before it. The first message of an epoch has none, as its schema
   checks; after an attested gap the message before is gone, and the gap itself is the finding.
2. `context` stands for the identity, parameters and software that the chain announced so far.
3. The boot counter never decreases, and every boot that produces readings was announced by its event.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """What the chain so far demands of the next message; None where it does not know."""

    head: bytes | None
    context: bytes | None
    boot: int | None
    announced_boot: int | None


def findings(place: Place, previous: bytes, context: bytes, boot: int, is_readings: bool) -> list[str]:
    codes = []
    if place.head is not None and previous != place.head:
        codes.append("chain_broken")
    if place.context is not None and context != place.context:
        codes.append("context_mismatch")
    if place.boot is not None and boot < place.boot:
        codes.append("boot_backwards")
    if is_readings and boot != place.announced_boot:
        codes.append("boot_unannounced")
    return codes
