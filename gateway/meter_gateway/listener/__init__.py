"""Where signed bytes enter the gateway: bounded in size and rate per peer before any signature is checked.

A listener runs for ever, reconnecting by itself. It names each payload's peer and takes answers for its peers.
"""

from typing import Protocol


class Listener(Protocol):
    name: str
    """Begins the name of each of its peers."""

    @property
    def connected(self) -> bool: ...

    async def run(self) -> None: ...

    def send(self, peer: str, kid: bytes, raw: bytes) -> bool:
        """Send one signed message towards a meter; False if that peer is not here (any more).

        Nothing that a gateway sends is lost for good: receipts are cumulative, requests are repeated.
        """
