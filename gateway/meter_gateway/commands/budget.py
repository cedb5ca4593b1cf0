"""`carbonmeter budget`: the uncertainty of a channel's reading as its verdict states it, component by
component."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from meter_gateway import stated
from meter_gateway.certificate_folder import replace_file
from meter_gateway.commands.channel_at import AtOption, ChannelArgument, MeterArgument, ask, declared
from meter_gateway.commands.terminal import ConfigOption, Terminal, configured, terminal
from meter_gateway.metrology import budget_table
from meter_gateway.metrology.budget import Budget, Expanded
from meter_gateway.metrology.monte_carlo import validate_budget
from meter_gateway.report import THOUSANDTHS, quantity_text
from meter_gateway.stated import Stated
from meter_gateway.texts import Told
from meter_gateway.traceability.channel_budget import ChannelBudget
from meter_gateway.traceability.closed_form import ClosedForm
from meter_gateway.traceability.parameters import ParameterSet
from meter_gateway.traceability.terms import CALIBRATION, CLASS, RESOLUTION, KnownError
from meter_gateway.traceability.uncertainty import components, value_of
from meter_gateway.values import decimal_text, time_text
from meter_protocol import fields as f
from meter_protocol import types as t

LOOKED_AT = 100
"""The newest readings among which one with an uncertainty is looked for."""

_OWN_SOURCES = (CALIBRATION, CLASS, RESOLUTION)

_SEED = 101
"""Whoever asks again sees the same trials."""

_MAX_TRIALS = 1_000_000


def budget(
    ctx: typer.Context,
    meter: MeterArgument,
    channel: ChannelArgument,
    at: AtOption = None,
    probability: Annotated[
        float, typer.Option("--probability", min=0.5, max=0.9999, help="coverage probability of U")
    ] = 0.95,
    monte_carlo: Annotated[
        bool, typer.Option("--monte-carlo", help="check U by the Monte Carlo method (some seconds)")
    ] = False,
    record: Annotated[
        Path | None, typer.Option("--record", help="write the budget record there", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show the uncertainty of a channel's latest reading as its verdict states it: the whole budget."""
    term, settings = terminal(ctx), configured(config)
    say = term.say
    asked = ask(settings, meter, at)
    stored = asked.messages((t.READINGS,), LOOKED_AT)
    declared(asked.parameters(next(iter(stored), None)), channel)
    found = stated.latest(stored, channel, asked.store.archive.budget)
    if found is None:
        why = " ".join(map(say.finding, stated.obstacles(stored, channel)))
        raise Told("budget.not_stated" if why else "budget.no_reading", channel=channel, why=why)
    known, unit = found.budget, found.budget.quantity.ucum
    heading = quantity_text(known.quantity.name, say)
    term.heading(say("channel.title", meter=meter, channel=channel, quantity=heading))
    _print_reading(term, found, asked.parameters(found.message))
    whole = Budget(
        replace(each, source=_source_text(term, each.source)) for each in components(known, found.shown)
    )
    expanded = whole.expanded(probability)
    term.print("\n" + budget_table.text(whole, expanded, say.language))
    u, value = expanded.expanded_uncertainty, value_of(known, found.shown)
    percent = budget_table.significant(100 * u / value) if value else "–"
    term.print(say("budget.relative", expanded=budget_table.significant(u), unit=unit, percent=percent))
    _print_error(term, found, expanded)
    _print_target(term, found)
    _print_parts(term, found)
    _print_documents(term, known)
    if monte_carlo:
        _print_trials(term, whole, expanded, value, unit)
    if record is not None:
        replace_file(record, found.record)
        term.print("\n" + say("budget.written", path=record))


def _source_text(term: Terminal, source: str) -> str:
    return term.say(f"budget.{source}") if source in _OWN_SOURCES else source


def _print_reading(term: Terminal, found: Stated, parameters: ParameterSet) -> None:
    known = found.budget
    point = found.shown.point * float(Decimal(1).scaleb(known.point_exponent))
    term.print(
        term.say(
            "budget.reading",
            value=decimal_text(found.shown.value, known.exponent),
            unit=known.quantity.ucum,
            time=time_text(found.message.time_ms),
            point=f"{point:.6g}",
            axis=_axis_text(term, known, parameters),
        )
    )
    named = ", ".join(known.certificates)
    term.print(term.say("budget.by", identifier=named, digest=found.verdict[f.VERDICT_BUDGET].hex()))


def _axis_text(term: Terminal, known: ChannelBudget, parameters: ParameterSet) -> str:
    if known.operating_point is not None:
        _, quantity = declared(parameters, known.operating_point)
        return f"{quantity.ucum} ({term.say('label.channel')} {known.operating_point})"
    return f"{known.quantity.ucum}/h" if known.is_increase else known.quantity.ucum


def _print_error(term: Terminal, found: Stated, expanded: Expanded) -> None:
    known, say = found.budget, term.say
    if not known.points:
        return
    error = _in_unit(known, ClosedForm(known).error(found.shown.value, found.shown.point))
    decimals = budget_table.with_uncertainty(error, expanded.combined_uncertainty)
    term.print(say("budget.error", error=decimals, unit=known.quantity.ucum))
    if known.known_error is KnownError.CORRECTED:
        term.print(say("budget.corrected"))
    else:
        widened = budget_table.significant(expanded.expanded_uncertainty + abs(error))
        term.print(say("budget.carried", expanded=widened, unit=known.quantity.ucum))


def _print_target(term: Terminal, found: Stated) -> None:
    known, say = found.budget, term.say
    if known.target is None:
        return
    form = ClosedForm(known)
    target = f"{known.target:f} {'%' if known.target_relative else known.quantity.ucum}"
    held = _in_unit(known, form.expanded(found.shown.value, found.shown.point))
    told = {"target": target, "expanded": budget_table.significant(held), "unit": known.quantity.ucum}
    is_above = form.is_above_target(found.shown.value, found.shown.point)
    outcome = say("budget.above" if is_above else "budget.within")
    term.print(say("layout.line", label=say("budget.target", **told), value=outcome))


def _print_parts(term: Terminal, found: Stated) -> None:
    known, say = found.budget, term.say
    unit = known.quantity.ucum
    term.print("\n" + say("budget.verdict", revision=found.verdict[f.VERDICT_REVISION], unit=unit))
    names = [say("budget.part_channel"), say("budget.part_random"), say("budget.part_resolution")]
    names += [say("budget.part_certificate", identifier=each) for each in known.certificates]
    for name, part in zip(names, found.entry[1:], strict=True):
        value = decimal_text(part, known.exponent - THOUSANDTHS)
        term.print("  " + say("layout.line", label=name, value=f"{value} {unit}"))


def _print_documents(term: Terminal, known: ChannelBudget) -> None:
    documented = [source for source in known.sources if source.stated_by is not None]
    if not documented:
        term.print("\n" + term.say("budget.nothing_else"))
        return
    term.print("")
    for source in documented:
        name = _source_text(term, source.name)
        term.print("  " + term.say("layout.line", label=name, value=source.stated_by))


def _print_trials(term: Terminal, whole: Budget, expanded: Expanded, value: float, unit: str) -> None:
    if not expanded.combined_uncertainty:
        return
    say, random = term.say, Random(_SEED)  # noqa: S311 - repeatable on purpose
    with term.err.status(""):
        found, verdict = validate_budget(value, whole, expanded, random, _MAX_TRIALS)
    digits = budget_table.with_uncertainty
    low, high = (digits(end, found.standard_uncertainty) for end in (found.interval.low, found.interval.high))
    u, percent = budget_table.significant(found.standard_uncertainty), f"{100 * expanded.probability:g}"
    told = {"trials": found.trials, "u": u, "unit": unit, "percent": percent, "low": low, "high": high}
    term.print("\n" + say("budget.monte_carlo", **told))
    if verdict is None:
        term.print(say("budget.undecided"))
        return
    tolerance = budget_table.significant(verdict.tolerance)
    if verdict.validated:
        term.print(say("budget.validated", tolerance=tolerance, unit=unit))
        return
    is_wide = 2 * expanded.expanded_uncertainty > found.interval.high - found.interval.low
    side = say("budget.too_wide" if is_wide else "budget.too_narrow")
    difference = budget_table.significant(max(verdict.d_low, verdict.d_high))
    term.print(say("budget.not_validated", tolerance=tolerance, unit=unit, side=side, difference=difference))


def _in_unit(known: ChannelBudget, thousandths: float) -> float:
    return thousandths * float(Decimal(1).scaleb(known.exponent - THOUSANDTHS))
