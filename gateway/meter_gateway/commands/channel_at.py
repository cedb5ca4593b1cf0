"""A channel as it was at a moment: its parameters, and the certificate that speaks for it."""

from meter_gateway.history import ParameterHistory
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.traceability import calibration
from meter_gateway.traceability.calibration import Bound
from meter_gateway.traceability.parameters import Channel, ParameterSet
from meter_gateway.traceability.trust import Trust
from meter_protocol.quantities import Quantity


def parameters_at(store: Store, thumbprint: bytes, at_ms: int) -> ParameterSet:
    """Those of the last message before; Told if none are known then."""
    messages = store.archive.messages(thumbprint, to_ms=at_ms + 1, limit=1, newest_first=True)
    found = ParameterHistory(store.archive).at(messages[0]) if messages else None
    if found is None:
        raise Told("channel.no_parameters")
    return found


def declared(parameters: ParameterSet, number: int) -> tuple[Channel, Quantity]:
    found = next((channel for channel in parameters.channels if channel.id == number), None)
    if found is None or found.quantity is None:
        known = ", ".join(str(channel.id) for channel in parameters.channels)
        raise Told("channel.none", channel=number, known=known)
    return found, found.quantity


def bound_at(trust: Trust, thumbprint: bytes, channel: Channel, quantity: Quantity, at_ms: int) -> Bound:
    """What speaks for the channel then; else the latest that was bound, with whatever is wrong with it."""
    candidates = [
        bound
        for binding in trust.bindings
        if (binding.thumbprint, binding.channel) == (thumbprint, channel.id)
        for bound in trust.register.bound(binding, quantity, channel.serial)
    ]
    answer = calibration.in_force(candidates, at_ms, at_ms)
    if answer.bound is not None:
        return answer.bound
    if not candidates:
        raise Told("channel.unbound", channel=channel.id)
    return max(candidates, key=lambda bound: bound.calibrated_ms)
