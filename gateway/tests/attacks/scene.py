"""The scene of every attack: a gateway, two enrolled meters that it has heard, and somebody it does not know."""

import hashlib
from pathlib import Path

from meter_gateway.model import Outcome
from meter_protocol import cose
from meter_tools.simulated_gateway import SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter


class Scene:
    def __init__(self, folder: Path) -> None:
        self.meter = SimulatedMeter("victim")
        self.other = SimulatedMeter("other")
        self.stranger = SimulatedMeter("stranger")
        self.gateway = SimulatedGateway(folder / "store.db", [self.meter, self.other, self.stranger])
        for meter in (self.meter, self.other):
            begin = meter.begin()
            self.gateway.enrol(begin[0])
            outcome = self.gateway.receive(*begin, *(meter.readings() for _ in range(5)))
            if outcome.accepted != len(begin) + 5:
                raise AssertionError(self.findings_of(meter))

    def send(self, *messages: bytes) -> Outcome:
        return self.gateway.receive(*messages)

    def kept(self) -> tuple[int, int, list[object]]:
        """What an attack must not change: stored messages, what is to be sent on, and how far the chains are."""
        archive = self.gateway.store.archive
        chains: list[object] = list(archive.chains())
        return len(archive.messages()), self.gateway.store.outbox.count(), chains

    def findings_of(self, meter: SimulatedMeter) -> list[tuple[int, bool, set[str]]]:
        """(sequence, accepted, finding codes) of every judged message, in the order of the chain."""
        return [
            (stored.sequence, bool(stored.verdict[13]), {code for code, _ in stored.verdict[14]})
            for stored in self.gateway.store.archive.messages(meter.thumbprint)
            if stored.verdict is not None
        ]


def resigned(meter: SimulatedMeter, protected: bytes, payload: bytes) -> bytes:
    """Signed with the meter's own key, whatever it says: what a thief of the key, or faulty firmware, sends."""
    digest = hashlib.sha256(cose.to_be_signed(protected, payload)).digest()
    return cose.assemble(protected, payload, meter.sealer.sign(digest))
