"""The newest reading of a channel whose stated uncertainty can be followed: from its message, the one before it,
and the budget that its verdict names."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cbor2

from meter_gateway.archive import StoredMessage
from meter_gateway.model import Fields
from meter_gateway.report import entry_of
from meter_gateway.traceability import budget_record
from meter_gateway.traceability.channel_budget import ChannelBudget
from meter_gateway.traceability.closed_form import ClosedForm
from meter_gateway.traceability.uncertainty import Shown, shown
from meter_protocol import fields as f

_NO_REASONS = ("from_class", "range_by_mean")
"""Findings that readings have whose uncertainty is known."""


class Stated(NamedTuple):
    """A reading whose uncertainty its verdict states, and the budget by which it does."""

    message: StoredMessage
    verdict: Fields
    entry: Sequence[int]
    budget: ChannelBudget
    record: bytes
    shown: Shown


def latest(
    messages: Sequence[StoredMessage], channel: int, record_of: Callable[[bytes], bytes | None]
) -> Stated | None:
    """Of readings, the newest first; `record_of` gives the budget record of a digest. None if there is none."""
    fields = {(each.epoch, each.sequence): each.verified().fields for each in messages}
    for message in messages:
        verdict, entry = message.verdict, entry_of(message.verdict, channel)
        record = None if verdict is None or entry is None else record_of(verdict[f.VERDICT_BUDGET])
        if verdict is None or entry is None or record is None:
            continue
        budget = budget_record.read(record)[channel]
        own = fields[message.epoch, message.sequence]
        earlier = fields.get((message.epoch, message.sequence - 1))
        before = None if earlier is None else earlier[f.READINGS]
        taken = shown(budget, own[f.READINGS], before, own[f.DURATION_MS])
        if taken is not None and _gives(budget, taken, entry):
            return Stated(message, verdict, entry, budget, record, taken)
    return None


def obstacles(messages: Sequence[StoredMessage], channel: int) -> list[str]:
    """What the newest verdict that states nothing and says why has found about the channel."""
    for message in messages:
        verdict = message.verdict
        if verdict is not None and entry_of(verdict, channel) is None:
            found = verdict[f.VERDICT_FINDINGS]
            why = [code for code, about in found if about == channel and code not in _NO_REASONS]
            if why:
                return why
    return []


def _gives(budget: ChannelBudget, taken: Shown, entry: Sequence[int]) -> bool:
    """Whether the stated parts are those of this value at this point: of an increase over several intervals,
    what is in two messages is not enough."""
    form = ClosedForm(budget)
    inside = form.low <= taken.point <= form.high
    return inside and form.entry(taken.value, taken.point) == cbor2.dumps(entry)
