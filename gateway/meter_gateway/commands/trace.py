"""`carbonmeter trace`: the chain from a channel's instrument up to a national institute, link by link."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from meter_gateway import link_drawing
from meter_gateway.commands import channel_at
from meter_gateway.commands.readings import find_meter, time_option
from meter_gateway.commands.terminal import NEGATIVE, ConfigOption, configured, existing_store, terminal
from meter_gateway.report import quantity_text
from meter_gateway.texts import Texts, plain
from meter_gateway.traceability import load_trust
from meter_gateway.traceability.findings import FINDINGS
from meter_gateway.traceability.hierarchy import Hierarchy, Link, Rules, weakest
from meter_gateway.values import time_text


def trace(
    ctx: typer.Context,
    meter: Annotated[str, typer.Argument(help="serial number or thumbprint", metavar="METER")],
    channel: Annotated[int, typer.Argument(help="number of the channel", metavar="CHANNEL")],
    at: Annotated[
        str | None,
        typer.Option("--at", help="2026-11-22 or 2026-11-22T08:30+08:00; else now", show_default=False),
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="new file for a drawing of it", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show a channel's traceability chain, each link as it was when it was used. Exit code 1 if it is broken."""
    term, settings = terminal(ctx), configured(config)
    say = term.say
    trust, store = load_trust(settings), existing_store(settings)
    thumbprint = find_meter(store.registry.meters(), meter).key.thumbprint
    at_ms = time.time_ns() // 1_000_000 if at is None else time_option(at)
    channels = channel_at.parameters_at(store, thumbprint, at_ms)
    known, quantity = channel_at.declared(channels, channel)
    bound = channel_at.bound_at(trust, thumbprint, known, quantity, at_ms)
    rules = Rules(frozenset(settings.traceability.national_institutes), settings.traceability.standard_ratio)
    instrument = Hierarchy(trust.register, rules).of(
        bound.certificate, bound.result.instrument.serial, at_ms, at_ms
    )
    heading = say("channel.title", meter=meter, channel=channel, quantity=quantity_text(quantity.name, say))
    term.heading(f"{heading}, {time_text(at_ms)}")
    term.out.print(_tree(instrument, say))
    worst = weakest(instrument)
    if worst is not None:
        term.print(say("trace.weakest", name=worst.name))
    if svg is not None:
        svg.write_text(link_drawing.svg(instrument, worst, lambda link: _lines(link, say)), encoding="utf-8")
        term.print(say("trace.drawn", path=svg))
    if any(link.faults for link in instrument.walk()):
        raise typer.Exit(NEGATIVE)


def _tree(link: Link, say: Texts, tree: Tree | None = None) -> Tree:
    first, *more = _lines(link, say)
    style = "red" if link.faults else ""
    label = Text("\n").join(Text(plain(line), style=style) for line in (first, *more))
    branch = Tree(label) if tree is None else tree.add(label)
    for standard in link.standards:
        _tree(standard, say, branch)
    return branch


def _lines(link: Link, say: Texts) -> list[str]:
    """What is said of one link, in short lines."""
    serial = "" if link.serial in (None, link.name) else f" {link.serial}"
    lines = [link.name + serial]
    if link.certificate is not None:
        laboratory = link.certificate.laboratory
        accredited = "" if laboratory.accreditation is None else f" ({laboratory.accreditation})"
        day = link.certificate.calibrated_on.isoformat()
        lines.append(say("trace.certificate", identifier=link.certificate.identifier, day=day))
        lines.append(laboratory.name + accredited)
    if link.is_national:
        lines.append(say("trace.national"))
    if link.ratio is not None:
        lines.append(say("trace.ratio", ratio=f"{link.ratio:.2f}"))
    lines += [f"✗ {_fault(code, say)}" for code in link.faults]
    if not link.faults:
        lines.append("✓ " + say("trace.good"))
    return lines


def _fault(code: str, say: Texts) -> str:
    return f"[{code}] {say.finding(code)}" if code in FINDINGS else say(f"trace.fault.{code}")
