"""Everything that goes down to the meters, and where each of them is.

Receipts, refusals and resend requests come from ingest with the peer they answer; requests for the time and for
chunks of an image are answered here, with the clock at that moment. A meter in contact also gets what waits for
it: a parameter set (delivery.py), an update's manifest (update_server.py), or the question for what a restored
store lacks (recovery.py).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from meter_gateway.clock import TimeServer
from meter_gateway.delivery import Delivery
from meter_gateway.listener import Listener
from meter_gateway.model import GatewayTime, Outcome, Rejection
from meter_gateway.recovery import Recovery
from meter_gateway.update_server import UpdateServer
from meter_protocol import cose
from meter_protocol.errors import ProtocolError

MAX_PLACES = 8192


class Places:
    """Where each kid was last heard, the longest unheard forgotten first."""

    def __init__(self) -> None:
        self._peers: OrderedDict[bytes, str] = OrderedDict()

    def note(self, kid: bytes, peer: str) -> None:
        self._peers[kid] = peer
        self._peers.move_to_end(kid)
        if len(self._peers) > MAX_PLACES:
            self._peers.popitem(last=False)

    def of(self, kid: bytes) -> str | None:
        return self._peers.get(kid)


class Courier:
    def __init__(
        self,
        listeners: Sequence[Listener],
        time_server: TimeServer,
        delivery: Delivery,
        updates: UpdateServer,
        recovery: Recovery,
        now: Callable[[], GatewayTime],
    ) -> None:
        self._listeners = listeners
        self._time_server = time_server
        self._delivery = delivery
        self._updates = updates
        self._recovery = recovery
        self._now = now
        self._heard = Places()
        self._claimed = Places()
        """From bytes of strangers: good enough to try, never believed over a meter that proved itself."""
        self.answers = 0

    def take(self, outcome: Outcome) -> None:
        """Answer a commit group."""
        in_contact: dict[bytes, str] = {}
        for answer in outcome.answers:
            in_contact[answer.kid] = answer.peer
            self._send(answer.peer, answer.kid, answer.raw)
        for request in outcome.time_requests:
            in_contact[request.kid] = request.peer
            reply = self._time_server.answer(request)
            if reply is not None:
                self._send(request.peer, request.kid, reply)
        for wanted in outcome.image_requests:
            in_contact[wanted.kid] = wanted.peer
            chunk = self._updates.answer(wanted, self._now())
            if chunk is not None:
                self._send(wanted.peer, wanted.kid, chunk)
        for kid, peer in in_contact.items():
            self._heard.note(kid, peer)
            self._hand_over(kid, peer)
        self._note_strangers(outcome.rejected)

    def push(self) -> None:
        """Send unasked what is due, wherever the meter may be listening."""
        for kid in {*self._delivery.kids, *self._updates.kids, *self._recovery.kids}:
            places = self._places_of(kid)
            if places:
                for raw in self._waiting(kid, self._delivery.due(kid)):
                    for peer in places:
                        self._send(peer, kid, raw)

    def _hand_over(self, kid: bytes, peer: str) -> None:
        for raw in self._waiting(kid, self._delivery.on_contact(kid)):
            self._send(peer, kid, raw)

    def _waiting(self, kid: bytes, parameters: bytes | None) -> list[bytes]:
        found = [raw for raw in (parameters, self._updates.due(kid)) if raw is not None]
        return found + self._recovery.requests(self._now(), kid)

    def _places_of(self, kid: bytes) -> list[str]:
        heard = self._heard.of(kid)
        if heard is not None:
            return [heard]
        claimed = self._claimed.of(kid)
        found = [peer for listener in self._listeners for peer in listener.peers_for(kid)]
        return found if claimed is None or claimed in found else [claimed, *found]

    def _note_strangers(self, rejected: Iterable[Rejection]) -> None:
        for rejection in rejected:
            if rejection.reason != "unknown_key":
                continue
            try:
                kid = cose.split(rejection.raw).kid
            except ProtocolError:
                continue
            self._claimed.note(kid, rejection.peer)

    def _send(self, peer: str, kid: bytes, raw: bytes) -> None:
        self.answers += 1
        for listener in self._listeners:
            if listener.send(peer, kid, raw):
                return
