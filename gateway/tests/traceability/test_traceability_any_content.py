"""Whatever an authentic message says, it is assessed: a meter's nonsense is a finding, never an exception."""

from decimal import Decimal
from typing import Any

import scenario
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenario import AUTHORITY, THUMBPRINT
from strategies import payloads

from meter_gateway.model import Verified
from meter_gateway.traceability import ChainState
from meter_gateway.traceability.plausibility_file import Balance, ChannelLimits, Plausibility
from meter_gateway.traceability.state import MAX_STATE_BYTES
from meter_gateway.traceability.thresholds import DataValidity, Thresholds
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t

identities = payloads(t.IDENTITY)
parameter_sets = st.one_of(
    payloads(t.PARAMETER_SET).map(AUTHORITY.seal),
    st.just(AUTHORITY.seal(scenario.parameter_set())),
    st.binary(min_size=1, max_size=60),
)
_LIMIT = {"meter": THUMBPRINT, "stuck_minutes": 1, "max_spike": Decimal(1), "max_change_per_minute": Decimal(1)}
LIMITS = Plausibility(
    limits=tuple(ChannelLimits(channel=channel, unit="W", **_LIMIT) for channel in (1, 2)),
    balances=(Balance(name="b", meter=THUMBPRINT, total=(1,), parts=(2,), tolerance_percent=Decimal(1)),),
)
NUMBERS = Thresholds(data_validity=DataValidity(samples_percent=80, samples_per_minute=12, clause="c", tag="M"))
Content = tuple[str, dict[int, Any]]

contents_of_a_chain = st.lists(
    st.one_of(*(st.tuples(st.just(typ), payloads(typ)) for typ in (t.EVENT, t.READINGS))), max_size=6
)


def chain_of(identity: dict[int, Any], raw: bytes, contents: list[Content]) -> list[Verified]:
    applied = {**identity, f.EVENT_CODE: ev.PARAMETERS_APPLIED, f.DETAILS: {ev.PARAMETER_SET: raw}}
    messages = []
    for sequence, (typ, content) in enumerate([(t.IDENTITY, identity), (t.EVENT, applied), *contents]):
        fields = {**content, f.EPOCH: identity[f.EPOCH], f.SEQUENCE: sequence}
        messages.append(Verified(b"", typ, THUMBPRINT, fields, bytes([sequence]) * 32))
    return messages


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    identity=identities,
    raw=parameter_sets,
    contents=contents_of_a_chain,
    received_ms=st.integers(0, 2**63 - 1),
    is_limited=st.booleans(),
)
def test_any_authentic_content_is_assessed(
    identity: dict[int, Any], raw: bytes, contents: list[Content], received_ms: int, is_limited: bool
) -> None:
    messages = chain_of(identity, raw, contents)
    state = ChainState.new(THUMBPRINT)
    trust = scenario.trust(plausible=LIMITS, thresholds=NUMBERS) if is_limited else scenario.trust()
    found = scenario.assess(messages, trust, state, received_ms)
    assert [scenario.codes(each) is not None for each in found] == [True] * len(messages)
    stored = state.dumps()
    assert len(stored) <= MAX_STATE_BYTES
    assert ChainState.loads(stored).dumps() == stored
