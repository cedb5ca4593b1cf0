"""`carbonmeter compare interval|propose|change-instrument`: what follows from comparisons, proposed and not
done.
"""

from pathlib import Path
from typing import Annotated

import typer

from meter_gateway.certificate_folder import add_binding, replace_file
from meter_gateway.commands.certificate import moment_of
from meter_gateway.commands.channel_at import ChannelArgument, MeterArgument, declared_at, declared_last
from meter_gateway.commands.compare_report import RunArgument
from meter_gateway.commands.compare_view import reason_text
from meter_gateway.commands.readings import find_meter
from meter_gateway.commands.terminal import ConfigOption, configured, existing_store, terminal
from meter_gateway.config import GatewayConfig
from meter_gateway.history import applied_sets
from meter_gateway.in_situ import adjustment
from meter_gateway.in_situ.comparison_folder import event_named
from meter_gateway.in_situ.interval import Found, history_of, proposals
from meter_gateway.key_files import public_path
from meter_gateway.metrology.errors import MetrologyError
from meter_gateway.parameters import load_public_key
from meter_gateway.texts import Told
from meter_gateway.traceability import load_trust
from meter_gateway.traceability.check_plan import DAY_MS
from meter_gateway.traceability.trust import Trust
from meter_gateway.traceability.typed_values import milliseconds
from meter_gateway.values import time_text
from meter_protocol import comparison as cm
from meter_protocol import cose, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.quantities import Quantity


def propose_interval(
    ctx: typer.Context,
    meter: MeterArgument,
    channel: ChannelArgument,
    shortest: Annotated[int, typer.Option("--shortest", help="never less, in days", min=1)] = 30,
    longest: Annotated[int, typer.Option("--longest", help="never more, in days", min=1)] = 1095,
    target: Annotated[
        float, typer.Option("--target", help="part of comparisons that shall be in tolerance", min=0.5, max=0.999)
    ] = 0.95,
    config: ConfigOption = None,
) -> None:
    """Propose when to compare or calibrate next, by each method, from what was found so far. Nothing is
    changed.
    """
    term, settings = terminal(ctx), configured(config)
    if shortest > longest:
        raise Told("compare.bad_interval")
    trust, store = load_trust(settings), existing_store(settings)
    thumbprint = find_meter(store.registry.meters(), meter).key.thumbprint
    plan = trust.plans.of(thumbprint, channel)
    if plan is None or plan.interval_days is None:
        raise Told("compare.no_interval", channel=channel)
    _, quantity = declared_last(store, thumbprint, channel)
    history = _history(trust, thumbprint, channel, quantity, float(plan.mpe_percent))
    say = term.say
    rows = [
        (
            time_text(entry.at_ms),
            entry.source,
            f"{entry.share:+.2f}",
            say("compare.outcome_pass" if entry.is_in_tolerance else "compare.outcome_fail"),
        )
        for entry in history
    ]
    term.table(("time", "source", "part_of_mpe", "outcome"), rows)
    asked = proposals(history, plan.interval_days, shortest, longest, target)
    answers = [
        (
            say(f"compare.method_{each.method}"),
            "–" if each.days is None else say("compare.days", days=round(each.days)),
            each.why,
        )
        for each in asked
    ]
    term.table(("method", "proposal", "remarks"), answers)
    term.print(say("compare.unchanged", days=plan.interval_days))


def _history(trust: Trust, thumbprint: bytes, channel: int, quantity: Quantity, mpe_percent: float) -> list[Found]:
    """Of the instrument that is behind the channel now, or was there last."""
    bindings = [each for each in trust.bindings if (each.thumbprint, each.channel) == (thumbprint, channel)]
    if not bindings:
        raise Told("channel.unbound", channel=channel)
    binding = max(bindings, key=lambda each: each.from_ms)
    runs = [each for each in trust.believed if each.is_about(thumbprint, channel, binding.serial)]
    certificates = [
        (certificate, trust.register.days_of(certificate)[1] - DAY_MS)
        for certificate in (trust.register[identifier] for identifier in binding.certificates)
    ]
    return history_of(runs, certificates, binding.serial, quantity, mpe_percent)


def propose(
    ctx: typer.Context,
    run: RunArgument,
    out: Annotated[
        Path, typer.Option("--out", help="file for the proposed set (TOML), for the authority to seal")
    ],
    config: ConfigOption = None,
) -> None:
    """Write a parameter set that takes out the error that was found, where it is more than its U (k = 2) and the
    firmware has a field for it.
    """
    term, settings = terminal(ctx), configured(config)
    event, store = event_named(settings, run), existing_store(settings)
    sets = applied_sets(store.database, event.fields[f.METER])
    if not sets:
        raise Told("channel.no_parameters")
    number = event.fields[cm.CHANNEL]
    then, _ = declared_at(store, event.fields[f.METER], number, event.end_ms)
    now, _ = declared_last(store, event.fields[f.METER], number)
    if now.conversion != then.conversion:
        raise Told("compare.adjusted_since", run=event.run, channel=number)
    before = messages.decode(t.PARAMETER_SET, cose.split(sets[-1]).payload)
    doubts = [reason_text(term.say, each) for each in adjustment.doubts_of(event)]
    if doubts:
        raise Told("compare.error_unknown", run=event.run, why="; ".join(doubts))
    try:
        error = adjustment.error_of(event)
        if not error.is_significant:
            percents = {"error": f"{error.percent:+.3f}", "uncertainty": f"{error.uncertainty:.3f}"}
            raise Told("compare.not_significant", run=event.run, **percents)
        after = adjustment.adjusted(before, event)
        factor, proportional = float(adjustment.factor_of(event)), adjustment.is_proportional(event)
    except MetrologyError as error:
        raise Told("compare.no_factor", run=event.run, problem=str(error)) from None
    replace_file(out, adjustment.as_file(after, _key_files(settings, out)).encode())
    told = {"path": out, "factor": f"{factor:.6f}", "channel": number}
    term.print(term.say("compare.did_propose", **told))
    if not proportional:
        term.print(term.say("compare.not_proportional"))
    term.print(term.say("compare.then_as_left"))


def _key_files(settings: GatewayConfig, out: Path) -> dict[bytes, str]:
    """This gateway's public keys, as the proposed file names them: by where they are."""
    paths = [public_path(key) for key in (settings.keys.receipt, settings.keys.clock)]
    found = {load_public_key(path): str(path.resolve()) for path in paths if path.exists()}
    if not found:
        raise Told("compare.unknown_keys", name=out)
    return found


def change_instrument(
    ctx: typer.Context,
    meter: MeterArgument,
    channel: ChannelArgument,
    serial: Annotated[str, typer.Argument(help="serial number of the new instrument, as on its plate")],
    certificates: Annotated[list[str], typer.Argument(help="identifiers of its certificates")],
    start: Annotated[str, typer.Option("--from", help="when it was put in place: 2026-11-22T08:30+08:00")],
    as_found: Annotated[
        str | None,
        typer.Option("--as-found", help="the last comparison of the old one", show_default=False),
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="the old one cannot be compared any more")] = False,
    config: ConfigOption = None,
) -> None:
    """Exchange the instrument behind a channel: the old one's as-found comparison, then the new one's binding."""
    term, settings = terminal(ctx), configured(config)
    if not settings.traceability.bindings:
        raise Told("certificate.no_bindings", path=settings.path)
    if (as_found is None) == (not dead):
        raise Told("compare.as_found_or_dead")
    trust, store = load_trust(settings), existing_store(settings)
    thumbprint = find_meter(store.registry.meters(), meter).key.thumbprint
    begun = moment_of(start)
    begun_ms = milliseconds(begun)
    current = [
        each
        for each in trust.bindings
        if (each.thumbprint, each.channel) == (thumbprint, channel) and each.to_ms is None
    ]
    if not current:
        raise Told("channel.unbound", channel=channel)
    old = current[0].serial
    if old == serial:
        raise Told("compare.same_instrument", serial=serial)
    if as_found is not None:
        event = event_named(settings, as_found)
        is_of_old = event.is_about(thumbprint, channel, old) and event.kind == cm.AS_FOUND
        if not is_of_old or event.end_ms > begun_ms:
            raise Told("compare.not_as_found", run=event.run, serial=old)
    binding = {
        "meter": thumbprint,
        "channel": channel,
        "serial": serial,
        "certificates": certificates,
        "from": begun,
        "to": None,
    }
    path = settings.traceability.bindings[-1]
    add_binding(path, settings, binding)
    term.print(term.say("compare.did_change", old=old, serial=serial, channel=channel, path=path))
    term.print(term.say("compare.then_as_left"))
