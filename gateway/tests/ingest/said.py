"""What the gateway said in answer to a group, verified as the meter verifies it."""

from meter_gateway.model import Outcome
from meter_gateway.verify import Key, KeyRing, verify
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_gateway import SEALERS


def said(outcome: Outcome, typ: str) -> list[dict[int, object]]:
    """The answers of one type, verified as the meter verifies them."""
    sealer = SEALERS.receipt
    ring = KeyRing([Key.of(sealer.cose_key, sealer.role)], (t.RECEIPT, t.REFUSAL, t.RESEND_REQUEST))
    verified = [verify(answer.raw, ring, 0) for answer in outcome.answers]
    return [message.fields for message in verified if message.typ == typ]


def receipted(outcome: Outcome) -> list[object]:
    return [fields[f.SEQUENCE] for fields in said(outcome, t.RECEIPT)]


def asked_for(outcome: Outcome) -> list[object]:
    return [fields[f.SEQUENCE] for fields in said(outcome, t.RESEND_REQUEST)]


def details(**values: object) -> dict[int, object]:
    """An event's details by their names in meter_protocol.events."""
    return {getattr(ev, name): value for name, value in values.items()}
