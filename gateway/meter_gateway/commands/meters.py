"""`carbonmeter meters`: which meters this gateway knows, and who becomes or stops being one."""

import time
from pathlib import Path
from typing import Annotated

import typer

from meter_gateway import enrolment, revocation
from meter_gateway.bounded import read_bounded
from meter_gateway.commands.terminal import ConfigOption, Terminal, configured, existing_store, terminal
from meter_gateway.config import GatewayConfig
from meter_gateway.maker import MakerRefused, load_makers
from meter_gateway.model import Verified
from meter_gateway.registry import BY_MAKER, BY_THUMBPRINT, Meter
from meter_gateway.signed_updates import approvals
from meter_gateway.store import Store
from meter_gateway.texts import Told, plain
from meter_gateway.traceability import ChainState, software
from meter_gateway.traceability.software import Approvals
from meter_gateway.values import time_text
from meter_gateway.verify import verify_identity
from meter_protocol import fields as f
from meter_protocol import types as t

app = typer.Typer(no_args_is_help=True, help="Enrolled meters, meters that wait, revocations and forks.")


@app.command("list")
def list_meters(
    ctx: typer.Context,
    waiting: Annotated[bool, typer.Option("--waiting", help="only meters that wait to be enrolled")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the enrolled meters, how far their chains are, and the meters that wait to be enrolled."""
    term, settings = terminal(ctx), configured(config)
    store = existing_store(settings)
    if not waiting:
        _print_enrolled(term, store, settings)
    _print_waiting(term, store, settings)


@app.command()
def enrol(
    ctx: typer.Context,
    thumbprint: Annotated[
        str | None, typer.Argument(help="all 64 hexadecimal digits from the meter's label", show_default=False)
    ] = None,
    identity: Annotated[
        Path | None, typer.Option("--identity", help="the meter's identity message as a file", show_default=False)
    ] = None,
    certified: Annotated[
        bool, typer.Option("--certified", help="every waiting meter that a trusted maker has certified")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask; the label has been compared")] = False,
    config: ConfigOption = None,
) -> None:
    """Trust a meter's key from now on, once a person has compared its full thumbprint, or by its certificate."""
    term, settings = terminal(ctx), configured(config)
    store = existing_store(settings)
    if certified:
        if thumbprint is not None or identity is not None:
            raise Told("enrol.one_of")
        _enrol_certified(term, store, settings)
        return
    expected = None if thumbprint is None else enrolment.full_thumbprint(thumbprint)
    if identity is not None:
        raw = enrolment.identity_of_file(read_bounded(identity, t.max_size(t.IDENTITY)), expected)
    elif expected is not None:
        raw = enrolment.waiting_identity(store.registry.unknown_identities(), expected)
    else:
        raise Told("enrol.one_of")
    if expected is None and not yes:
        key, verified = verify_identity(raw)
        shown = {name: verified.fields[field] for name, field in _SHOWN.items()}
        if not typer.confirm(term.say("enrol.confirm", thumbprint=key.thumbprint.hex(), **shown)):
            raise Told("enrol.declined")
    _enrol(term, store, settings, raw, BY_THUMBPRINT)


@app.command()
def revoke(
    ctx: typer.Context,
    thumbprint: Annotated[str | None, typer.Argument(help="all 64 hexadecimal digits", show_default=False)] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="why, for whoever asks years later", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="the maker's revocation of a replaced meter", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Refuse whatever this key signs from now on, and state the cut: what was stored until now."""
    term, store = terminal(ctx), existing_store(configured(config))
    cut = None
    if file is not None and thumbprint is None and reason is None:
        known, reason, cut = revocation.load(file)
    elif thumbprint is not None and reason is not None and file is None:
        known = enrolment.full_thumbprint(thumbprint)
    else:
        raise Told("meters.revoke_what")
    now_ms = _now_ms()
    store.registry.revoke(known, reason, now_ms)
    term.print(term.say("meters.did_revoke", thumbprint=known.hex(), time=time_text(now_ms)))
    for chain in store.archive.chains(known):
        if chain.head_sequence is not None:
            term.print(term.say("meters.cut", epoch=chain.epoch.hex(), sequence=chain.head_sequence))
    if cut is not None:
        term.print(term.say("meters.makers_cut", epoch=cut.epoch.hex(), sequence=cut.sequence))


@app.command("resolve-fork")
def resolve_fork(
    ctx: typer.Context,
    fork: Annotated[
        int | None, typer.Argument(help="number of the fork; without it they are listed", show_default=False)
    ] = None,
    resolution: Annotated[
        str | None, typer.Option("--resolution", help="what was found out and decided", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """List unresolved forks, or resolve one: the meter is accepted again once it has none."""
    term, store = terminal(ctx), existing_store(configured(config))
    if fork is None:
        _print_forks(term, store)
        return
    if not resolution:
        raise Told("meters.no_resolution")
    store.registry.resolve_fork(fork, resolution, _now_ms())
    term.print(term.say("meters.did_resolve", id=fork))


def _enrol_certified(term: Terminal, store: Store, settings: GatewayConfig) -> None:
    makers = load_makers(settings.makers.roots, settings.makers.revocation_lists)
    waiting = store.registry.unknown_identities()
    if not waiting:
        term.print(term.say("meters.none_waiting"))
    for unknown in waiting:
        fields = verify_identity(unknown.raw)[1].fields
        try:
            makers.vouched(fields, unknown.thumbprint, _now_ms())
        except MakerRefused as error:
            reason = term.say(f"maker.{error.reason}")
            term.print(term.say("enrol.not_certified", serial=fields[f.SERIAL], reason=reason))
            continue
        _enrol(term, store, settings, unknown.raw, BY_MAKER)


def _enrol(term: Terminal, store: Store, settings: GatewayConfig, raw: bytes, way: str) -> None:
    meter = store.registry.enrol(raw, way, _now_ms())
    term.print(term.say("meters.did_enrol", thumbprint=meter.key.thumbprint.hex(), **_names(meter)))
    known = _state_after(verify_identity(raw)[1])
    if not _print_software(term, known, settings, Approvals(settings.listed_software)):
        term.print(term.say("meters.how_to_approve", path=settings.path))


_SHOWN = {"serial": f.SERIAL, "maker": f.MAKER, "model": f.MODEL}


def _names(meter: Meter) -> dict[str, str]:
    return {"serial": meter.serial, "maker": meter.maker, "model": meter.model}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _print_enrolled(term: Terminal, store: Store, settings: GatewayConfig) -> None:
    say = term.say
    meters = store.registry.meters()
    if not meters:
        term.print(say("meters.none"))
        return
    term.heading(say("meters.enrolled"))
    all_approved, approved = True, approvals(settings, store.database)
    for meter in meters:
        chains = store.archive.chains(meter.key.thumbprint)
        term.print(_title(meter.serial, meter.maker, meter.model))
        term.line("thumbprint", meter.key.thumbprint.hex())
        term.line("messages", str(sum(chain.messages for chain in chains)))
        for chain in chains[-1:]:
            if chain.head_sequence is not None:
                term.line("sequence", str(chain.head_sequence))
        known = store.archive.latest_state(meter)
        all_approved &= known is None or _print_software(term, known, settings, approved)
        term.line("state", "; ".join(_state(term, store, meter)))
    if not all_approved:
        term.print(say("meters.how_to_approve", path=settings.path))


def _print_software(term: Terminal, known: ChainState, settings: GatewayConfig, approvals: Approvals) -> bool:
    """What the meter says it runs and whose word stands behind it; False if nobody has said anything about it."""
    if known.software_id is None:
        return True
    listed = next((each for each in settings.software if each.id == known.software_id), None)
    is_approved = not software.findings(known, approvals)
    if known.is_witnessed:
        text = "meters.software_own"
    elif listed is None:
        text = "meters.software_signed" if is_approved else "meters.software_unapproved"
    elif listed.approved:
        text = "meters.software_listed" if listed.note is None else "meters.software_noted"
    else:
        text = "meters.software_refused" if listed.note is None else "meters.software_refused_noted"
    note = None if listed is None else listed.note
    term.line("software", term.say(text, id=known.software_id.hex(), note=note))
    return is_approved or listed is not None


def _state_after(identity: Verified) -> ChainState:
    state = ChainState.new(identity.thumbprint)
    state.learn_identity(identity.hash, identity.fields)
    return state


def _title(serial: str, maker: str, model: str) -> str:
    return plain(f"{serial} ({maker} {model})")


def _state(term: Terminal, store: Store, meter: Meter) -> list[str]:
    say = term.say
    states = []
    if meter.key.revoked_ms is not None:
        states.append(say("meters.revoked", time=time_text(meter.key.revoked_ms), reason=meter.revocation_reason))
    if meter.barred:
        states.append(say("meters.barred"))
    states += [
        say("meters.gap", sequence=chain.next_sequence, parked=chain.parked)
        for chain in store.archive.chains(meter.key.thumbprint)
        if chain.parked
    ]
    if meter.is_witnessed:
        states.append(say("meters.witnessed"))
    return states or [say("meters.ok")]


def _print_waiting(term: Terminal, store: Store, settings: GatewayConfig) -> None:
    unknown = store.registry.unknown_identities()
    if not unknown:
        term.print(term.say("meters.none_waiting"))
        return
    term.heading(term.say("meters.waiting"))
    for identity in unknown:
        _, verified = verify_identity(identity.raw)
        term.print(_title(*(verified.fields[field] for field in _SHOWN.values())))
        term.line("thumbprint", identity.thumbprint.hex())
        term.line("peer", identity.peer)
        _print_software(term, _state_after(verified), settings, Approvals(settings.listed_software))
        since = time_text(identity.first_ms)
        term.line("state", term.say("meters.seen", messages=identity.messages, time=since))
    term.print(term.say("meters.how_to_enrol"))
    if settings.makers.roots:
        term.print(term.say("meters.how_to_enrol_certified"))


def _print_forks(term: Terminal, store: Store) -> None:
    unresolved = [fork for fork in store.registry.forks() if fork.resolved_ms is None]
    if not unresolved:
        term.print(term.say("meters.no_forks"))
    for fork in unresolved:
        term.print(
            term.say(
                "meters.fork",
                id=fork.id,
                meter=fork.thumbprint.hex(),
                epoch=fork.epoch.hex(),
                sequence=fork.sequence,
                time=time_text(fork.received_ms),
                peer=fork.peer,
            )
        )
