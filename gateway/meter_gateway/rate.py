"""How much a peer may ask for: token buckets (as in RFC 2697), one for each peer that was heard lately."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

MAX_PEERS = 4096
"""Peers whose rate is remembered, busiest last: peers can be invented, so this is bounded as well."""

Peer = TypeVar("Peer", str, bytes)


@dataclass(slots=True)
class Bucket:
    """`rate` tokens a second, of which at most `burst` may be taken at once."""

    burst: float
    rate: float
    tokens: float
    at_s: float

    def take(self, cost: int, now_s: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now_s - self.at_s) * self.rate)
        self.at_s = now_s
        # What is dearer than the whole bucket passes when the bucket is full, else it never could.
        if self.tokens < min(cost, self.burst):
            return False
        self.tokens -= cost
        return True


class Rates(Generic[Peer]):
    """A full bucket for whoever was not heard before."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._buckets: OrderedDict[Peer, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, peer: Peer, cost: int, now_s: float) -> bool:
        bucket = self._buckets.get(peer)
        if bucket is None:
            bucket = self._buckets[peer] = Bucket(self._burst, self._rate, self._burst, now_s)
            if len(self._buckets) > MAX_PEERS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(peer)
        return bucket.take(cost, now_s)
