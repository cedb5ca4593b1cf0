"""`carbonmeter rejudge` and `carbonmeter history`: verdicts anew, and every revision of one."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from meter_gateway import basis, policy
from meter_gateway.archive import StoredMessage
from meter_gateway.commands.balances import followed
from meter_gateway.commands.readings import find_meter
from meter_gateway.commands.terminal import (
    NEGATIVE,
    ConfigOption,
    Terminal,
    configured,
    existing_store,
    terminal,
)
from meter_gateway.config import GatewayConfig
from meter_gateway.model import Fields
from meter_gateway.rejudgement import Rejudgement, Revision, Tally
from meter_gateway.report import THOUSANDTHS, combined
from meter_gateway.sealing import load_sealers
from meter_gateway.service import make_clock
from meter_gateway.signed_updates import SignedUpdates
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.traceability import load_trust
from meter_gateway.values import decimal_text, time_text
from meter_protocol import fields as f

_ACCEPTANCE = ("not_accepted", "accepted")


def rejudge(
    ctx: typer.Context,
    meter: Annotated[
        str | None, typer.Option("--meter", help="serial number or thumbprint", show_default=False)
    ] = None,
    cause: Annotated[
        str | None,
        typer.Option("--cause", help="why, at most 64 bytes; else what has changed since", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be revised; record nothing")] = False,
    config: ConfigOption = None,
) -> None:
    """Judge what is stored by today's certificates, bindings and scheme; revise the verdicts that differ."""
    term, settings = terminal(ctx), configured(config)
    trust, scheme = load_trust(settings), policy.load_scheme(settings.gateway.scheme)
    store = existing_store(settings)
    if not dry_run:
        store.claim()
    violations = followed(term, store, trust, is_kept=not dry_run).violations()
    installed = SignedUpdates(store.database, trust.update_authorities).look()
    trust = trust.with_violations(violations).with_installed(installed)
    chosen = None if meter is None else {find_meter(store.registry.meters(), meter).key.thumbprint}
    after = basis.basis_of(trust, scheme)
    work = Rejudgement(store, trust, scheme.judge, _cause(cause, store, after), chosen)
    is_whole = _work_through(term, work, None if dry_run else _recorder(settings, work))
    _print_tally(term, work.tally, dry_run)
    if not is_whole:
        term.print(term.say("rejudge.stopped"))
        raise typer.Exit(NEGATIVE)
    if chosen is None and not dry_run:
        basis.keep(store.database, after)


def history(
    ctx: typer.Context,
    reading: Annotated[str, typer.Argument(help="METER/SEQUENCE or METER/CHAIN/SEQUENCE", metavar="READING")],
    config: ConfigOption = None,
) -> None:
    """Show every revision of the verdict on one message: when, by which scheme, why, and what it found."""
    term, store = terminal(ctx), existing_store(configured(config))
    message = _find(store, reading)
    term.heading(f"{reading}  {time_text(message.time_ms)}")
    verdicts = store.archive.verdicts(message.id)
    if not verdicts:
        term.print(term.say("history.parked"))
    before: Fields | None = None
    for verdict in verdicts:
        _print_revision(term, verdict, before)
        before = verdict


def _cause(given: str | None, store: Store, after: basis.Basis) -> str:
    if given is None:
        told = basis.changes(basis.load(store.database), after)
        return basis.cause_of(told or ["judged again by hand"])
    if not given or len(given.encode()) > basis.MAX_CAUSE_BYTES:
        raise Told("rejudge.bad_cause", limit=basis.MAX_CAUSE_BYTES)
    return given


Record = Callable[[Sequence[Revision]], None]


def _recorder(settings: GatewayConfig, work: Rejudgement) -> Record:
    keys = settings.keys
    sealer = load_sealers(keys.receipt, keys.verdict, keys.clock).verdict
    clock = make_clock(settings)

    def record(revisions: Sequence[Revision]) -> None:
        if revisions:
            work.record(revisions, sealer, clock.now())
        work.keep_states()

    return record


def _work_through(term: Terminal, work: Rejudgement, record: Record | None) -> bool:
    """Whether it came to the end; Ctrl-C stops it between two pages, and what is recorded stays."""
    columns = TextColumn(term.say("rejudge.working")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=term.err, transient=True) as progress:
        task = progress.add_task("", total=work.total)
        try:
            while (revisions := work.next_page()) is not None:
                if record is not None:
                    record(revisions)
                progress.update(task, completed=work.tally.looked_at)
        except KeyboardInterrupt:
            return False
    return True


def _print_tally(term: Terminal, tally: Tally, dry_run: bool) -> None:
    say = term.say
    told = {
        "count": tally.looked_at,
        "revised": tally.revised,
        "accepted": tally.now_accepted,
        "refused": tally.no_longer_accepted,
    }
    term.print(say("rejudge.would" if dry_run else "rejudge.did", **told))
    for sign, codes in (("+", tally.found), ("−", tally.gone)):
        for code, count in codes.most_common():
            term.print(f"  {sign} {count} × [{code}] {say.finding(code)}")


def _find(store: Store, text: str) -> StoredMessage:
    name, _, sequence = text.rpartition("/")
    name, _, epoch = name.rpartition("/") if "/" in name else (name, "", "")
    if not name or not sequence.isdecimal():
        raise Told("history.bad_name", text=text)
    meter = find_meter(store.registry.meters(), name)
    chains = store.archive.chains(meter.key.thumbprint)
    found = [
        message
        for each in chains
        if each.epoch.hex().startswith(epoch.lower())
        if (message := store.archive.message(meter.key.thumbprint, each.epoch, int(sequence))) is not None
    ]
    if not found:
        raise Told("history.none", text=text)
    if len(found) > 1:
        raise Told("history.ambiguous", text=text, chains=", ".join(each.epoch.hex() for each in found))
    return found[0]


def _print_revision(term: Terminal, verdict: Fields, before: Fields | None) -> None:
    """What came and went beside the revision before."""
    say = term.say
    told = say(f"verdict.{_ACCEPTANCE[verdict[f.VERDICT_ACCEPTANCE]]}")
    revision, judged = verdict[f.VERDICT_REVISION], time_text(verdict[f.TIME_MS])
    term.print(
        say("verdict.revision", verdict=told, scheme=verdict[f.VERDICT_SCHEME], revision=revision, time=judged)
    )
    if verdict[f.VERDICT_CAUSE] is not None:
        term.print("  " + say("history.cause", cause=verdict[f.VERDICT_CAUSE]))
    findings, earlier = _findings(verdict), _findings(before)
    for sign, changed in (("+", findings - earlier), ("−", earlier - findings)):
        for code, channel in sorted(changed, key=str):
            about = "" if channel is None else f" ({say('label.channel')} {channel})"
            term.print(f"  {sign} [{code}]{about} {say.finding(code)}")
    parts, parts_before = _parts(verdict), _parts(before)
    for channel in sorted(parts.keys() | parts_before.keys()):
        now, then = parts.get(channel), parts_before.get(channel)
        if before is not None and now != then:
            told_parts = {"channel": channel, "before": _last_digits(then), "after": _last_digits(now)}
            term.print("  " + say("history.uncertainty", **told_parts))


def _findings(verdict: Fields | None) -> set[tuple[str, int | None]]:
    return set() if verdict is None else {(code, channel) for code, channel in verdict[f.VERDICT_FINDINGS]}


def _parts(verdict: Fields | None) -> dict[int, list[int]]:
    return {} if verdict is None else {entry[0]: entry[1:] for entry in verdict[f.VERDICT_UNCERTAINTY]}


def _last_digits(parts: list[int] | None) -> str:
    return "–" if parts is None else decimal_text(combined(parts), -THOUSANDTHS)
