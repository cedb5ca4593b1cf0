"""What commands about one channel begin with: which it is, its parameters at a moment, what speaks for it then."""

import time
from dataclasses import dataclass
from typing import Annotated

import typer

from meter_gateway.archive import StoredMessage
from meter_gateway.commands.readings import find_meter, time_option
from meter_gateway.commands.terminal import existing_store
from meter_gateway.config import GatewayConfig
from meter_gateway.history import ParameterHistory, applied_sets
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.traceability import calibration, load_trust, parameters
from meter_gateway.traceability.calibration import Bound
from meter_gateway.traceability.parameters import Channel, ParameterSet
from meter_gateway.traceability.trust import Trust
from meter_protocol import types as t
from meter_protocol.quantities import Quantity

MeterArgument = Annotated[str, typer.Argument(help="serial number or thumbprint", metavar="METER")]
ChannelArgument = Annotated[int, typer.Argument(help="number of the channel", metavar="CHANNEL")]
AtOption = Annotated[
    str | None,
    typer.Option("--at", help="2026-11-22 or 2026-11-22T08:30+08:00; else now", show_default=False),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """A meter at a moment, and what the gateway knows; Told where it is not known."""

    trust: Trust
    store: Store
    thumbprint: bytes
    at_ms: int

    def messages(self, types: tuple[str, ...], limit: int) -> list[StoredMessage]:
        """The last ones of the meter up to that moment, the newest first."""
        return self.store.archive.messages(
            self.thumbprint, to_ms=self.at_ms + 1, types=types, limit=limit, newest_first=True
        )

    def parameters(self, message: StoredMessage | None) -> ParameterSet:
        """Those under which the message was sealed."""
        found = None if message is None else ParameterHistory(self.store.archive).at(message)
        if found is None:
            raise Told("channel.no_parameters")
        return found

    def bound(self, channel: Channel, at_ms: int) -> Bound:
        """What speaks for the channel then; else the latest that was bound, with whatever is wrong with it."""
        candidates = self.trust.bounds(self.thumbprint, channel)
        answer = calibration.in_force(candidates, at_ms, at_ms)
        if answer.bound is not None:
            return answer.bound
        if not candidates:
            raise Told("channel.unbound", channel=channel.id)
        return max(candidates, key=lambda bound: bound.calibrated_ms)


def ask(settings: GatewayConfig, meter: str, at: str | None) -> Asked:
    trust, store = load_trust(settings), existing_store(settings)
    thumbprint = find_meter(store.registry.meters(), meter).key.thumbprint
    return Asked(trust, store, thumbprint, time.time_ns() // 1_000_000 if at is None else time_option(at))


def declared_at(store: Store, thumbprint: bytes, number: int, at_ms: int) -> tuple[Channel, Quantity]:
    """By the set under which the last readings until then were sealed."""
    last = store.archive.messages(thumbprint, to_ms=at_ms + 1, types=(t.READINGS,), limit=1, newest_first=True)
    found = ParameterHistory(store.archive).at(last[0]) if last else None
    if found is None:
        raise Told("channel.no_parameters")
    return declared(found, number)


def declared_last(store: Store, thumbprint: bytes, number: int) -> tuple[Channel, Quantity]:
    """By the last parameter set that the meter applied."""
    sets = applied_sets(store.database, thumbprint)
    last = parameters.decode(sets[-1]) if sets else None
    if last is None:
        raise Told("channel.no_parameters")
    return declared(last, number)


def declared(parameter_set: ParameterSet, number: int) -> tuple[Channel, Quantity]:
    found = next((channel for channel in parameter_set.channels if channel.id == number), None)
    if found is None or found.quantity is None:
        known = ", ".join(str(channel.id) for channel in parameter_set.channels)
        raise Told("channel.none", channel=number, known=known)
    return found, found.quantity
