"""A whole gateway in one object, without sockets and clocks: for tests and the benchmark.

It is the real store, verification, traceability and policy; only what arrives, and when, is for the caller to say.
"""

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from meter_gateway import policy
from meter_gateway.ingest import Ingest
from meter_gateway.model import GatewayTime, Outcome, Received
from meter_gateway.registry import BY_THUMBPRINT
from meter_gateway.sealing import Sealers
from meter_gateway.store import Limits, Store
from meter_gateway.traceability import Trust
from meter_gateway.workers import Checker, Inline
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import SimulatedMeter, named_sealer, trust_in

SEALERS = Sealers(
    named_sealer("gateway receipt", t.ROLE_RECEIPT),
    named_sealer("gateway verdict", t.ROLE_VERDICT),
    named_sealer("gateway clock", t.ROLE_CLOCK),
)
DELAY_MS = 500
"""How long after a meter's latest message it arrives."""


class SimulatedGateway:
    """Trusts the certificates of all `meters`, or what `trusting` gives; `enrol` each that it is to know."""

    def __init__(
        self,
        path: Path,
        meters: Sequence[SimulatedMeter],
        checker: Checker | None = None,
        limits: Limits | None = None,
        trusting: Callable[[Sequence[SimulatedMeter]], Trust] = trust_in,
    ) -> None:
        self.path = path
        self.meters = list(meters)
        self.peer = "a line"
        self.time_ms: int | None = None
        self.clock_status = f.CLOCK_SYNCHRONISED
        self._checker = checker or Inline()
        self._limits = limits
        self._trust = trusting(self.meters)
        self._open()

    def _open(self) -> None:
        self.store = Store(self.path, self._limits)
        house = Path(str(resources.files("meter_gateway").joinpath("policies/house.toml")))
        self.scheme = policy.load_scheme(house)
        self.ingest = Ingest(self.store, SEALERS, self._checker, self._trust, self.scheme.judge)

    def restart(self) -> None:
        """As after a power cut: what was not committed is gone."""
        self.close()
        self._open()

    def close(self) -> None:
        self.store.close()

    @property
    def now(self) -> GatewayTime:
        """`time_ms` if it was set, else shortly after the latest moment of any meter."""
        latest_ms = max(meter.time_ms for meter in self.meters) + DELAY_MS
        return GatewayTime(latest_ms if self.time_ms is None else self.time_ms, self.clock_status, 1000)

    def enrol(self, identity: bytes) -> None:
        self.store.registry.enrol(identity, BY_THUMBPRINT, self.now.time_ms)

    def receive(self, *messages: bytes) -> Outcome:
        """One frame with these messages, as a commit group of its own."""
        return self.ingest.process([self.received(*messages)], self.now)

    def received(self, *messages: bytes) -> Received:
        return Received(b"".join(messages), self.peer, self.now.time_ms)
