"""`carbonmeter budget`: the uncertainty of a channel's reading, component by component."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from meter_gateway.archive import StoredMessage
from meter_gateway.commands.channel_at import AtOption, ChannelArgument, MeterArgument, ask, declared
from meter_gateway.commands.terminal import ConfigOption, configured, terminal
from meter_gateway.metrology import budget_table
from meter_gateway.metrology.budget import Budget
from meter_gateway.metrology.error_curve import OutsideCalibratedRange
from meter_gateway.report import quantity_text
from meter_gateway.texts import Told
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.uncertainty import Row, components, indicated, shown
from meter_gateway.values import time_text
from meter_protocol import fields as f
from meter_protocol import types as t

LOOKED_AT = 100
"""The newest readings among which one with a value is looked for."""


def budget(
    ctx: typer.Context,
    meter: MeterArgument,
    channel: ChannelArgument,
    at: AtOption = None,
    probability: Annotated[
        float, typer.Option("--probability", min=0.5, max=0.9999, help="coverage probability of U")
    ] = 0.95,
    config: ConfigOption = None,
) -> None:
    """Show the uncertainty budget of a channel's latest reading, by the certificate in force for it."""
    term, settings = terminal(ctx), configured(config)
    say = term.say
    asked = ask(settings, meter, at)
    stored = asked.messages((t.READINGS,), LOOKED_AT)
    parameters = asked.parameters(next(iter(stored), None))
    known, quantity = declared(parameters, channel)
    message, before = _latest(stored, known)
    bound = asked.bound(known, message.time_ms)
    result, laboratory = bound.result, bound.certificate.laboratory
    channels = {each.id: each for each in parameters.channels}
    fields = message.verified().fields
    taken = indicated(known, channels, result, fields[f.READINGS], before, fields[f.DURATION_MS])
    if taken is None:
        raise Told("budget.no_point")
    named = {"identifier": bound.certificate.identifier, "laboratory": laboratory.name}
    place = {"point": f"{taken.operating_point:.6g}", "axis": result.axis.quantity.ucum}
    term.heading(say("channel.title", meter=meter, channel=channel, quantity=quantity_text(quantity.name, say)))
    value = f"{taken.value:.12g}"
    told = {"value": value, "unit": quantity.ucum, "time": time_text(message.time_ms)}
    term.print(say("budget.reading", **told, **place))
    term.print(say("budget.by", **named))
    try:
        found, error = components(result, taken)
    except OutsideCalibratedRange:
        raise Told("budget.outside", **named, **place) from None
    whole = Budget(replace(each, source=say(f"budget.{each.source}")) for each in found)
    expanded = whole.expanded(probability)
    term.print("\n" + budget_table.text(whole, expanded, say.language))
    u = expanded.expanded_uncertainty
    percent = budget_table.significant(100 * u / abs(taken.value)) if taken.value else "–"
    rounded = budget_table.significant(u)
    term.print(say("budget.relative", expanded=rounded, unit=quantity.ucum, percent=percent))
    if error is not None:
        decimals = budget_table.with_uncertainty(error, expanded.combined_uncertainty)
        term.print(say("budget.error", error=decimals, unit=quantity.ucum))
    term.print(say("budget.not_known"))


def _latest(stored: Sequence[StoredMessage], channel: Channel) -> tuple[StoredMessage, Row | None]:
    """The newest in which the channel shows something, and the readings of the message before it."""
    fields = {(each.epoch, each.sequence): each.verified().fields for each in stored}
    for message in stored:
        own = fields[message.epoch, message.sequence]
        earlier = fields.get((message.epoch, message.sequence - 1))
        before = None if earlier is None else earlier[f.READINGS]
        if own[f.KIND] == f.KIND_REGULAR and shown(channel, own[f.READINGS], before) is not None:
            return message, before
    raise Told("budget.no_reading", channel=channel.id)
