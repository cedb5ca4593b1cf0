"""How well the meter's key is kept, as far as it can be known.

A meter says so itself in its identity message, and it may be wrong or lie. "Secure element" is therefore
believed only from a certificate of a maker whom the operator trusts, for this very key.

The key of a witnessed meter is the gateway's own, which is not for its messages to say: it was enrolled as one.
"""

from meter_gateway.maker import Makers
from meter_gateway.traceability.state import ChainState
from meter_protocol import fields as f

_CODES = {
    f.KEY_SOFTWARE: "key_software",
    f.KEY_NATIVE: "key_native",
    f.KEY_SECURE_ELEMENT: "key_protection_unproven",
}


def findings(state: ChainState, makers: Makers) -> list[str]:
    """The finding of what the meter says, which a maker's word alone can take away."""
    if state.key_protection is None:
        return ["identity_missing", "gateway_witnessed"] if state.is_witnessed else ["identity_missing"]
    if state.is_witnessed:
        return ["gateway_witnessed"]
    if state.key_protection == f.KEY_SECURE_ELEMENT and makers.proves_secure_element(
        state.certificate, state.thumbprint, state.identity_received_ms
    ):
        return []
    return [_CODES[state.key_protection]]
