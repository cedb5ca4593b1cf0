"""`carbonmeter budget`: the uncertainty of a channel's reading, component by component."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, NamedTuple

import typer

from meter_gateway.archive import StoredMessage
from meter_gateway.commands import channel_at
from meter_gateway.commands.readings import find_meter, time_option
from meter_gateway.commands.terminal import ConfigOption, configured, existing_store, terminal
from meter_gateway.metrology import budget_table
from meter_gateway.metrology.budget import Budget
from meter_gateway.metrology.error_curve import OutsideCalibratedRange
from meter_gateway.report import quantity_text
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.traceability import load_trust
from meter_gateway.traceability.operating_point import MS_PER_HOUR, range_check
from meter_gateway.traceability.parameters import Channel, ParameterSet
from meter_gateway.traceability.uncertainty import Indicated, components
from meter_gateway.values import time_text
from meter_protocol import fields as f
from meter_protocol import types as t

LOOKED_AT = 100
"""The newest readings among which one with a value is looked for."""

_REGISTER_MAX_LENGTH = 4


class _Reading(NamedTuple):
    """Mantissas are of the channel's exponent; `increase` of a register since the message before."""

    message: StoredMessage
    mean: int | None
    increase: int | None
    duration_ms: int | None


def budget(
    ctx: typer.Context,
    meter: Annotated[str, typer.Argument(help="serial number or thumbprint", metavar="METER")],
    channel: Annotated[int, typer.Argument(help="number of the channel", metavar="CHANNEL")],
    at: Annotated[
        str | None,
        typer.Option("--at", help="2026-11-22 or 2026-11-22T08:30+08:00; else now", show_default=False),
    ] = None,
    probability: Annotated[
        float, typer.Option("--probability", min=0.5, max=0.9999, help="coverage probability of U")
    ] = 0.95,
    config: ConfigOption = None,
) -> None:
    """Show the uncertainty budget of a channel's latest reading, by the certificate in force for it."""
    term, settings = terminal(ctx), configured(config)
    say = term.say
    trust, store = load_trust(settings), existing_store(settings)
    thumbprint = find_meter(store.registry.meters(), meter).key.thumbprint
    at_ms = time.time_ns() // 1_000_000 if at is None else time_option(at)
    parameters = channel_at.parameters_at(store, thumbprint, at_ms)
    known, quantity = channel_at.declared(parameters, channel)
    reading = _latest(store, thumbprint, known, at_ms)
    bound = channel_at.bound_at(trust, thumbprint, known, quantity, reading.message.time_ms)
    result, laboratory = bound.result, bound.certificate.laboratory
    if range_check(known, {each.id: each for each in parameters.channels}, result).limits is None:
        raise Told("budget.no_point")
    indicated = _indicated(reading, known, parameters)
    named = {"identifier": bound.certificate.identifier, "laboratory": laboratory.name}
    shown = {"point": f"{indicated.operating_point:.6g}", "axis": result.axis.quantity.ucum}
    term.heading(say("channel.title", meter=meter, channel=channel, quantity=quantity_text(quantity.name, say)))
    value = f"{indicated.value:.12g}"
    told = {"value": value, "unit": quantity.ucum, "time": time_text(reading.message.time_ms)}
    term.print(say("budget.reading", **told, **shown))
    term.print(say("budget.by", **named))
    try:
        found, error = components(result, indicated)
    except OutsideCalibratedRange:
        raise Told("budget.outside", **named, **shown) from None
    whole = Budget(replace(each, source=say(f"budget.{each.source}")) for each in found)
    expanded = whole.expanded(probability)
    term.print("\n" + budget_table.text(whole, expanded, say.language))
    u = expanded.expanded_uncertainty
    percent = budget_table.significant(100 * u / abs(indicated.value)) if indicated.value else "–"
    rounded = budget_table.significant(u)
    term.print(say("budget.relative", expanded=rounded, unit=quantity.ucum, percent=percent))
    if error is not None:
        decimals = budget_table.with_uncertainty(error, expanded.combined_uncertainty)
        term.print(say("budget.error", error=decimals, unit=quantity.ucum))
    term.print(say("budget.not_known"))


def _latest(store: Store, thumbprint: bytes, channel: Channel, at_ms: int) -> _Reading:
    """The newest with a value, by which its increase is known too where it is a register."""
    stored = store.archive.messages(
        thumbprint, to_ms=at_ms + 1, types=(t.READINGS,), limit=LOOKED_AT, newest_first=True
    )
    totals = {(each.epoch, each.sequence): _total(each, channel.id) for each in stored}
    for message in stored:
        fields = message.verified().fields
        reading: Sequence[int | None] | None = fields[f.READINGS].get(channel.id)
        duration_ms = fields[f.DURATION_MS]
        if reading is None or fields[f.KIND] != f.KIND_REGULAR:
            continue
        if len(reading) > _REGISTER_MAX_LENGTH and reading[3] is not None:
            return _Reading(message, reading[3], None, duration_ms)
        total = totals[message.epoch, message.sequence]
        before = totals.get((message.epoch, message.sequence - 1))
        if total is not None and before is not None and total >= before:
            return _Reading(message, None, total - before, duration_ms)
    raise Told("budget.no_reading", channel=channel.id)


def _total(message: StoredMessage, channel: int) -> int | None:
    reading: Sequence[int | None] | None = message.verified().fields[f.READINGS].get(channel)
    return None if reading is None or len(reading) > _REGISTER_MAX_LENGTH else reading[1]


def _indicated(reading: _Reading, channel: Channel, parameters: ParameterSet) -> Indicated:
    scale = 10.0**channel.exponent
    value = (reading.increase if reading.mean is None else reading.mean) or 0
    point = _operating_point(reading, channel, parameters)
    step = scale if reading.mean is not None else scale * channel.ratio
    return Indicated(value * scale, point, step, is_increase=reading.mean is None)


def _operating_point(reading: _Reading, channel: Channel, parameters: ParameterSet) -> float:
    """As operating_point.py has it: the channel that the parameters name, the mean itself, the register's rate."""
    if channel.operating_point is not None:
        source = next((each for each in parameters.channels if each.id == channel.operating_point), None)
        found = reading.message.verified().fields[f.READINGS].get(channel.operating_point)
        if source is None or found is None or len(found) <= _REGISTER_MAX_LENGTH or found[3] is None:
            raise Told("budget.no_point")
        return float(found[3] * 10.0**source.exponent)
    if reading.mean is not None:
        return reading.mean * 10.0**channel.exponent
    if not reading.duration_ms or reading.increase is None:
        raise Told("budget.no_point")
    return reading.increase * 10.0**channel.exponent * MS_PER_HOUR / reading.duration_ms
