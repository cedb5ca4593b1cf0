"""`carbonmeter compare`: a channel compared with a reference in place, from the first reading to the signed
event.
"""

import secrets
import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import typer

from meter_gateway.bounded import read_bounded
from meter_gateway.commands.channel_at import ChannelArgument, MeterArgument, declared_last
from meter_gateway.commands.compare_after import change_instrument, propose, propose_interval
from meter_gateway.commands.compare_report import list_comparisons, report, show
from meter_gateway.commands.compare_view import print_evaluation, print_event
from meter_gateway.commands.readings import find_meter, time_option
from meter_gateway.commands.terminal import ConfigOption, configured, existing_store, terminal
from meter_gateway.in_situ import comparison_folder
from meter_gateway.in_situ.check_gas import gas_of
from meter_gateway.in_situ.event import About, Reference, check_of, cited, event_of, fitting
from meter_gateway.in_situ.gathering import gather, serial_at
from meter_gateway.in_situ.modbus_reference import map_of, modbus_of
from meter_gateway.in_situ.run_state import ConditionState, ReferenceState, Runs, RunState
from meter_gateway.in_situ.typed_readings import MAX_BYTES, number_of, readings_of
from meter_gateway.service import make_clock
from meter_gateway.state_dir import comparisons_dir
from meter_gateway.texts import Told
from meter_gateway.traceability import load_trust
from meter_gateway.traceability.certificate import results_for
from meter_gateway.traceability.trust import Trust
from meter_gateway.values import time_text
from meter_protocol import comparison as cm
from meter_protocol.errors import EncodeError

app = typer.Typer(
    no_args_is_help=True, help="Channels compared with a reference in place, and what follows from it."
)

app.command("list")(list_comparisons)
app.command()(show)
app.command()(report)
app.command("interval")(propose_interval)
app.command()(propose)
app.command("change-instrument")(change_instrument)

RunOption = Annotated[
    str | None,
    typer.Option("--run", help="its name or how it begins; else the only one under way", show_default=False),
]
PersonOption = Annotated[str, typer.Option("--person", help="who is responsible")]

ReadAtOption = Annotated[str | None, typer.Option("--at", help="when it was read; else now", show_default=False)]

MAX_CERTIFICATES, MAX_CONDITIONS, MAX_UNIT = 8, 16, 32
"""SPEC §8.6."""

SILENT_MS = 10_000
"""A reference that was not read for so long and two periods is not being read."""

_CHECKS = {"zero": cm.ZERO, "span": cm.SPAN}


@app.command()
def start(
    ctx: typer.Context,
    meter: MeterArgument,
    channel: ChannelArgument,
    person: PersonOption,
    kind: Annotated[
        Literal["as-found", "as-left", "routine"],
        typer.Option("--kind", help="as found: before an adjustment; as left: after it; routine: nothing is done"),
    ] = "routine",
    reference_meter: Annotated[
        str | None, typer.Option("--reference-meter", help="compare with this enrolled meter", show_default=False)
    ] = None,
    reference_channel: Annotated[
        int | None,
        typer.Option("--reference-channel", help="and this channel of it", show_default=False, min=1, max=65535),
    ] = None,
    modbus: Annotated[
        str | None,
        typer.Option(
            "--modbus",
            help="bus/unit or host:port/unit of a reference that the running gateway reads",
            show_default=False,
        ),
    ] = None,
    register_map: Annotated[
        str | None,
        typer.Option("--map", help="its register map: a built-in one or a .toml file", show_default=False),
    ] = None,
    indication: Annotated[
        str | None, typer.Option("--indication", help="which register of the map", show_default=False)
    ] = None,
    period_ms: Annotated[
        int, typer.Option("--period-ms", help="how often it is read", min=100, max=60_000)
    ] = 1000,
    readings: Annotated[
        Path | None,
        typer.Option("--readings", help="readings of the reference: time,value or start,end,value (CSV)"),
    ] = None,
    serial: Annotated[
        str | None,
        typer.Option("--reference-serial", help="serial number of the reference", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--reference-name", help="what the reference is", show_default=False)
    ] = None,
    certificate: Annotated[
        list[str] | None,
        typer.Option("--certificate", help="of the reference; may be repeated", show_default=False),
    ] = None,
    table: Annotated[
        int | None,
        typer.Option("--table", help="which table, if a certificate has several of the quantity", min=1, max=1000),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option("--condition", help="name,unit,lowest,highest; may be repeated", show_default=False),
    ] = None,
    mpe_percent: Annotated[
        str | None,
        typer.Option("--mpe-percent", help="maximum permissible error; else the plan's", show_default=False),
    ] = None,
    mpe: Annotated[
        str | None, typer.Option("--mpe", help="the same in the quantity's unit", show_default=False)
    ] = None,
    basis: Annotated[
        str | None,
        typer.Option("--basis", help="of the reference's gas readings: wet or dry, averaging", show_default=False),
    ] = None,
    drift: Annotated[
        str | None,
        typer.Option("--drift-percent", help="largest drift of the reference in a year", show_default=False),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="when it began; else now", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Begin to compare a channel with a reference: a meter, an instrument on Modbus, or typed-in readings."""
    term, settings = terminal(ctx), configured(config)
    comparison_folder.folder_of(settings)
    store, trust = existing_store(settings), load_trust(settings)
    thumbprint = find_meter(store.registry.meters(), meter).key.thumbprint
    _, quantity = declared_last(store, thumbprint, channel)
    if sum(each is not None for each in (reference_meter, modbus, readings)) > 1:
        raise Told("compare.several_references")
    if (reference_meter is None) != (reference_channel is None):
        raise Told("compare.no_reference_channel")
    said_certificates = tuple(certificate or ())
    if len(said_certificates) > MAX_CERTIFICATES or len(condition or ()) > MAX_CONDITIONS:
        raise Told("compare.too_many", certificates=MAX_CERTIFICATES, conditions=MAX_CONDITIONS)
    for identifier in said_certificates:
        if identifier not in trust.register:
            raise Told("compare.unknown_certificate", id=identifier)
        if trust.register[identifier].reference_gases:
            raise Told("compare.only_for_checks", id=identifier)
        fitting(identifier)
    reference_kind: Literal["meter", "modbus", "readings"] = "readings"
    other = polled = None
    if reference_meter is not None and reference_channel is not None:
        reference_kind, other = "meter", find_meter(store.registry.meters(), reference_meter).key.thumbprint
        declared, _ = declared_last(store, other, reference_channel)
        serial = serial or serial_at(trust, other, declared, _now_ms())
    elif modbus is not None:
        if register_map is None or indication is None:
            raise Told("compare.no_map")
        reference_kind = "modbus"
        polled = modbus_of(modbus, settings.bus, register_map, indication, period_ms)
        map_of(polled, quantity)
    serial = fitting(serial or _only_serial(trust, said_certificates))
    for identifier in said_certificates:
        count = len(results_for(trust.register[identifier], serial, quantity))
        if count > 1 and not 1 <= (table or 0) <= count:
            raise Told("compare.which_table", id=identifier, count=count, quantity=quantity.name, serial=serial)
    began_ms = _now_ms() if since is None else time_option(since)
    taken = (
        [] if readings is None else readings_of(read_bounded(readings, MAX_BYTES).decode("utf-8-sig", "replace"))
    )
    run = RunState(
        run=secrets.token_hex(8),
        kind=_KIND_NAMES[kind],
        meter=thumbprint.hex(),
        channel=channel,
        person=fitting(person),
        started_ms=min(began_ms, *(start_ms for start_ms, _, _ in taken)) if taken else began_ms,
        reference=ReferenceState(
            kind=reference_kind,
            serial=serial,
            name=fitting(name or (reference_meter or modbus or "reference")),
            certificates=said_certificates,
            table=table,
            meter=None if other is None else other.hex(),
            channel=reference_channel,
            modbus=polled,
        ),
        conditions=tuple(_condition(each) for each in condition or ()),
        mpe_percent=_limit(mpe_percent),
        mpe=_limit(mpe),
        basis=None if basis is None else fitting(basis),
        drift_percent_per_year=_limit(drift),
    )
    if not run.mpe_percent and not run.mpe and trust.plans.of(thumbprint, channel) is None:
        raise Told("compare.no_limit")
    runs = Runs(comparisons_dir(settings))
    runs.start(run)
    if taken:
        runs.append(run, taken)
    term.print(term.say("compare.did_start", run=run.run, channel=channel, serial=run.reference.serial))
    if taken:
        term.print(term.say("compare.did_read", count=len(taken), all=len(taken), run=run.run))
    term.print(term.say("compare.next_table" if taken else f"compare.next_{reference_kind}"))


_KIND_NAMES: dict[str, Literal["as_found", "as_left", "routine"]] = {
    "as-found": "as_found",
    "as-left": "as_left",
    "routine": "routine",
}


@app.command("read")
def read_reference(
    ctx: typer.Context,
    value: Annotated[str | None, typer.Argument(help="what the reference shows", show_default=False)] = None,
    at: ReadAtOption = None,
    readings: Annotated[
        Path | None, typer.Option("--readings", help="a table of readings instead (CSV)", show_default=False)
    ] = None,
    run: RunOption = None,
    config: ConfigOption = None,
) -> None:
    """Type in what a portable standard shows, one reading or a table; it counts from the moment it is said."""
    term, settings = terminal(ctx), configured(config)
    runs = Runs(comparisons_dir(settings))
    found = runs.find(run)
    if found.reference.kind != "readings":
        raise Told("compare.not_typed", run=found.run)
    if (value is None) == (readings is None):
        raise Told("compare.one_of_both")
    if value is None and readings is not None:
        taken = readings_of(read_bounded(readings, MAX_BYTES).decode("utf-8-sig", "replace"))
    else:
        number = number_of(value or "")
        if number is None:
            raise Told("compare.bad_number", text=value)
        at_ms = _read_at(at, _now_ms())
        taken = [(at_ms, at_ms, number)]
    runs.append(found, taken)
    term.print(term.say("compare.did_read", count=len(taken), all=len(runs.readings(found)), run=found.run))


@app.command("status")
def show_status(ctx: typer.Context, run: RunOption = None, config: ConfigOption = None) -> None:
    """Show how far a comparison is: its pairs, whether they are settled, error, U and E_n so far."""
    term, settings = terminal(ctx), configured(config)
    runs = Runs(comparisons_dir(settings))
    found, now_ms = runs.find(run), _now_ms()
    readings = runs.readings(found)
    gathered = gather(found, readings, load_trust(settings), existing_store(settings), now_ms)
    term.heading(term.say("compare.title", run=found.run, kind=term.say(f"compare.kind_{found.kind}")))
    print_evaluation(term, gathered.about, gathered.evaluate())
    last_ms = readings[-1][1] if readings else found.started_ms
    if found.reference.modbus is not None and now_ms - last_ms > SILENT_MS + 2 * found.reference.modbus.period_ms:
        silent = {"serial": found.reference.serial, "time": time_text(last_ms)}
        term.print(term.say("compare.reference_silent", **silent))
    for other in runs.of_another_version():
        told = runs.not_ours(other)
        term.print(term.say(told.key, **told.values))


@app.command()
def finish(
    ctx: typer.Context,
    run: RunOption = None,
    discard: Annotated[bool, typer.Option("--discard", help="give it up; nothing is sealed")] = False,
    config: ConfigOption = None,
) -> None:
    """End a comparison: show what it found and seal it. A running gateway then judges the readings concerned
    anew.
    """
    term, settings = terminal(ctx), configured(config)
    runs = Runs(comparisons_dir(settings))
    if discard:
        term.print(term.say("compare.did_discard", run=runs.give_up(run)))
        return
    found = runs.find(run)
    now = make_clock(settings).now()
    gathered = gather(found, runs.readings(found), load_trust(settings), existing_store(settings), _now_ms())
    result = gathered.evaluate()
    if not result.pairs:
        raise Told("compare.no_pair", run=found.run)
    try:
        fields, raw = event_of(
            gathered.about, gathered.channel, gathered.reference, result, gathered.rule, gathered.settings, now
        )
    except EncodeError:
        raise Told("compare.does_not_fit", run=found.run) from None
    path = comparison_folder.seal(settings, fields, raw)
    runs.end(found)
    term.heading(term.say("compare.title", run=found.run, kind=term.say(f"compare.kind_{found.kind}")))
    print_evaluation(term, gathered.about, result)
    term.print(term.say("compare.did_finish", path=path))


@app.command()
def check(
    ctx: typer.Context,
    meter: MeterArgument,
    channel: ChannelArgument,
    kind: Annotated[Literal["zero", "span"], typer.Argument(help="which gas")],
    reading: Annotated[str, typer.Argument(help="what the analyser showed, in the quantity's unit")],
    person: PersonOption,
    cylinder: Annotated[
        str | None,
        typer.Option("--cylinder", help="number of the gas cylinder; else its certificate's", show_default=False),
    ] = None,
    gas: Annotated[
        str | None,
        typer.Option("--gas", help="the gas's value; else its certificate's, or 0", show_default=False),
    ] = None,
    certificate: Annotated[
        str | None, typer.Option("--certificate", help="certificate of the gas", show_default=False)
    ] = None,
    at: ReadAtOption = None,
    config: ConfigOption = None,
) -> None:
    """Seal a check with zero or span gas (EN 14181, QAL3). Exit code 1 if it did not pass."""
    term, settings = terminal(ctx), configured(config)
    store, trust = existing_store(settings), load_trust(settings)
    thumbprint = find_meter(store.registry.meters(), meter).key.thumbprint
    declared, quantity = declared_last(store, thumbprint, channel)
    plan = trust.plans.of(thumbprint, channel)
    if plan is None or plan.zero_span is None:
        raise Told("compare.no_check_plan", channel=channel)
    typed, shown = None if gas is None else _decimal(gas), _decimal(reading)
    if certificate is not None and certificate not in trust.register:
        raise Told("compare.unknown_certificate", id=certificate)
    found = None if certificate is None else trust.register[certificate]
    now = make_clock(settings).now()
    at_ms = _read_at(at, now.time_ms)
    known = gas_of(trust.register, found, quantity, cylinder, typed, at_ms)
    certificates = cited(() if found is None else (found,))
    about = About(
        run=secrets.token_bytes(8),
        kind=_CHECKS[kind],
        thumbprint=thumbprint,
        channel=channel,
        serial=fitting(serial_at(trust, thumbprint, declared, at_ms)),
        quantity=quantity,
        reference=Reference(cm.TYPED_IN, fitting(known.cylinder), f"{kind} gas", certificates),
        conditions=(),
        person=fitting(person),
    )
    fields, raw = check_of(about, known, shown, plan.zero_span.limit, at_ms, now)
    path = comparison_folder.seal(settings, fields, raw)
    print_event(term, fields)
    term.print(term.say("compare.did_finish", path=path))
    if fields[cm.OUTCOME] != cm.PASSED:
        raise typer.Exit(1)


def _only_serial(trust: Trust, certificates: tuple[str, ...]) -> str:
    serials = {result.instrument.serial for each in certificates for result in trust.register[each].results}
    if len(serials) != 1:
        raise Told("compare.no_reference_serial")
    return serials.pop()


def _condition(text: str) -> ConditionState:
    parts = [part.strip() for part in text.split(",")]
    ends = [end for part in parts[2:] if (end := number_of(part)) is not None]
    if len(parts) != 4 or len(ends) != 2 or ends[0] > ends[1] or not all(parts[:2]):
        raise Told("compare.bad_condition", text=text)
    unit = fitting(parts[1], MAX_UNIT)
    return ConditionState(name=fitting(parts[0]), unit=unit, minimum=parts[2], maximum=parts[3])


def _limit(text: str | None) -> str | None:
    """Of what is allowed, or may have drifted."""
    if text is None:
        return None
    number = _decimal(text)
    if number <= 0:
        raise Told("compare.bad_limit", text=text)
    return str(number)


def _decimal(text: str) -> Decimal:
    number = number_of(text)
    if number is None:
        raise Told("compare.bad_number", text=text)
    return number


def _read_at(text: str | None, now_ms: int) -> int:
    """When somebody read it; Told for what is still to come."""
    at_ms = now_ms if text is None else time_option(text)
    if at_ms > now_ms:
        raise Told("compare.in_the_future", text=text)
    return at_ms


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
