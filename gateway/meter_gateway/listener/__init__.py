"""Where signed bytes enter the gateway: bounded in size and rate per peer before any signature is checked.

A listener runs for ever, reconnecting by itself. It names each payload's peer and takes answers for its peers.
"""

from collections import Counter
from typing import Protocol


class Listener(Protocol):
    name: str
    """Begins the name of each of its peers."""

    lost: Counter[str]
    """What went nowhere, by reason: frames, answers, lines."""

    @property
    def connected(self) -> bool: ...

    async def run(self) -> None: ...

    def send(self, peer: str, kid: bytes, raw: bytes) -> bool:
        """Send one signed message towards a meter; False if that peer is not here (any more).

        Nothing that a gateway sends is lost for good: receipts are cumulative, requests are repeated.
        """

    def peers_for(self, kid: bytes) -> list[str]:
        """Where a meter that has not been heard yet may be listening."""

    async def flush(self) -> None:
        """Return when the answers that were given to `send` are out."""
