"""A gateway restored from a backup asks every meter for what it lacks.

A meter keeps what was receipted until it needs the space, so what the backup does not hold is mostly still
there. A gap shows by itself with the next message; a restored gateway does not wait for that, but asks from
the place where each chain ends, at the start and at each contact, until the chain grows or it has asked
often enough. A meter that has nothing more does not answer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from meter_gateway.archive import StoredChain
from meter_gateway.model import Fields, GatewayTime
from meter_protocol import fields as f
from meter_protocol import keys
from meter_protocol import types as t

MOST_REQUESTS = 20
PAUSE_S = 15.0


@dataclass(slots=True)
class Asked:
    chain: StoredChain
    times: int = 0
    at_s: float | None = None


class Recovery:
    """`seal` signs with the gateway's receipt key."""

    def __init__(
        self,
        chains: Iterable[StoredChain],
        seal: Callable[[str, Fields], bytes],
        monotonic: Callable[[], float],
    ) -> None:
        self._open = {(chain.thumbprint, chain.epoch): Asked(chain) for chain in chains}
        self._seal = seal
        self._monotonic = monotonic

    @property
    def is_done(self) -> bool:
        return not self._open

    def note(self, chains: Iterable[StoredChain]) -> None:
        """Chains that have grown are answered."""
        for chain in chains:
            asked = self._open.get((chain.thumbprint, chain.epoch))
            if asked is not None and chain.next_sequence > asked.chain.next_sequence:
                del self._open[chain.thumbprint, chain.epoch]

    @property
    def kids(self) -> set[bytes]:
        """Meters that are still to be asked."""
        return {keys.kid_of(thumbprint) for thumbprint, _ in self._open}

    def requests(self, now: GatewayTime, kid: bytes) -> list[bytes]:
        """The signed resend requests that should go to this meter now."""
        found, moment = [], self._monotonic()
        for place, asked in list(self._open.items()):
            if keys.kid_of(place[0]) != kid or (asked.at_s is not None and moment - asked.at_s < PAUSE_S):
                continue
            if asked.times == MOST_REQUESTS:
                del self._open[place]
                continue
            asked.times, asked.at_s = asked.times + 1, moment
            found.append(self._seal(t.RESEND_REQUEST, _request(asked.chain, now)))
        return found


def _request(chain: StoredChain, now: GatewayTime) -> Fields:
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.TIME_MS: now.time_ms,
        f.CLOCK_STATUS: now.clock_status,
        f.CLOCK_UNCERTAINTY_MS: now.clock_uncertainty_ms,
        f.METER: chain.thumbprint,
        f.EPOCH: chain.epoch,
        f.SEQUENCE: chain.next_sequence,
    }
