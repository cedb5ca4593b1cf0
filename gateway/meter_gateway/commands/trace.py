"""`carbonmeter trace`: the chain from a channel's instrument up to a national institute, link by link."""

import typer
from rich.text import Text
from rich.tree import Tree

from meter_gateway import link_drawing
from meter_gateway.commands.channel_at import AtOption, ChannelArgument, MeterArgument, ask, declared
from meter_gateway.commands.picture import PlotOption, check, save
from meter_gateway.commands.terminal import NEGATIVE, ConfigOption, configured, terminal
from meter_gateway.report import quantity_text
from meter_gateway.texts import Texts, plain
from meter_gateway.traceability.findings import FINDINGS
from meter_gateway.traceability.hierarchy import Link, weakest
from meter_gateway.values import time_text
from meter_protocol import types as t


def trace(
    ctx: typer.Context,
    meter: MeterArgument,
    channel: ChannelArgument,
    at: AtOption = None,
    plot: PlotOption = None,
    config: ConfigOption = None,
) -> None:
    """Show a channel's traceability chain, each link as it was when it was used. Exit code 1 if it is broken."""
    term, settings = terminal(ctx), configured(config)
    say = term.say
    check(plot)
    asked = ask(settings, meter, at)
    latest = next(iter(asked.messages(t.CHAIN_TYPES, limit=1)), None)
    known, quantity = declared(asked.parameters(latest), channel)
    bound = asked.bound(known, asked.at_ms)
    serial = bound.result.instrument.serial
    instrument = asked.trust.hierarchy.of(bound.certificate, serial, asked.at_ms, asked.at_ms)
    heading = say("channel.title", meter=meter, channel=channel, quantity=quantity_text(quantity.name, say))
    term.heading(f"{heading}, {time_text(asked.at_ms)}")
    term.out.print(_tree(instrument, say))
    worst = weakest(instrument)
    if worst is not None:
        term.print(say("trace.weakest", name=worst.name))
    if plot is not None:
        save(term, plot, link_drawing.draw(instrument, worst, lambda link: _lines(link, say)), "trace.drawn")
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
