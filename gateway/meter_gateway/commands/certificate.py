"""`carbonmeter certificate`: what the gateway knows of its instruments' calibrations, and how it comes to know."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from meter_gateway import enrolment
from meter_gateway.bounded import read_bounded
from meter_gateway.certificate_folder import add_binding, add_end, file_of, import_dcc, import_paper
from meter_gateway.commands.certificate_view import due_text, plot_curve, print_certificate
from meter_gateway.commands.picture import PlotOption, check
from meter_gateway.commands.readings import find_meter
from meter_gateway.commands.terminal import ConfigOption, configured, existing_store, terminal
from meter_gateway.config import GatewayConfig
from meter_gateway.texts import Told
from meter_gateway.traceability.certificate import serials_of
from meter_gateway.traceability.dcc_file import (
    AssignedTable,
    DccFile,
    is_dcc_file,
    load_anchors,
    load_dcc,
    xml_of,
)
from meter_gateway.traceability.trust import load_certificates
from meter_protocol.quantities import BY_NAME, Quantity

app = typer.Typer(
    no_args_is_help=True, help="Calibration and verification certificates, and what they are bound to."
)

_MAX_SCAN = 64 << 20
_DIGITS = 64


@app.command("import")
def import_certificate(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="a digital certificate (DCC, .xml) or a typed-in one (.toml)")],
    quantity: Annotated[
        str | None, typer.Option("--quantity", help="what was calibrated, e.g. voltage", show_default=False)
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option("--axis", help="over what, if over another quantity, e.g. active_power", show_default=False),
    ] = None,
    table: Annotated[int, typer.Option("--table", help="of which table of the file this is said", min=1)] = 1,
    serial: Annotated[
        str | None, typer.Option("--serial", help="which instrument, if the file has several", show_default=False)
    ] = None,
    reference: Annotated[
        int | None, typer.Option("--reference", help="position of the reference value", show_default=False, min=1)
    ] = None,
    indication: Annotated[
        int | None, typer.Option("--indication", help="position of the indication", show_default=False, min=1)
    ] = None,
    error: Annotated[
        int | None, typer.Option("--error", help="position of the error", show_default=False, min=1)
    ] = None,
    due: Annotated[
        datetime | None,
        typer.Option(
            "--due", help="last day in force by the owner's interval", formats=["%Y-%m-%d"], show_default=False
        ),
    ] = None,
    scan: Annotated[
        Path | None,
        typer.Option("--scan", help="scan of a paper certificate, kept as its digest", show_default=False),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Check a certificate, say what it holds and who signed it, and keep it unchanged."""
    term, settings = terminal(ctx), configured(config)
    if file.suffix == ".toml":
        octets = None if scan is None else read_bounded(scan, _MAX_SCAN)
        path, certificate = import_paper(settings, file, octets)
        print_certificate(term, certificate, None)
    else:
        assigned: tuple[AssignedTable, ...] = ()
        if quantity is not None:
            about, over = _quantity(quantity), _quantity(quantity if axis is None else axis)
            positions = {"reference": reference, "indication": indication, "error": error}
            assigned = (AssignedTable(number=table, quantity=about, axis=over, serial=serial, **positions),)
        elif any(each is not None for each in (axis, serial, reference, indication, error)):
            raise Told("certificate.no_quantity")
        entry = DccFile(
            dcc=file.name,
            sha256=bytes(32),
            imported=_now(),
            due=None if due is None else due.date(),
            due_source=None if due is None else "owner",
            table=assigned,
        )
        path, found = import_dcc(settings, xml_of(file), entry)
        print_certificate(term, found.certificate, found)
    term.print(term.say("certificate.did_import", path=path))


@app.command("list")
def list_certificates(ctx: typer.Context, config: ConfigOption = None) -> None:
    """Show every certificate with its instruments, its dates, and what every reading under it carries."""
    term, settings = terminal(ctx), configured(config)
    loaded = load_certificates(settings)
    if not loaded:
        term.print(term.say("certificate.none"))
        return
    rows = [
        (
            found.identifier,
            found.laboratory.name,
            ", ".join(sorted(serials_of(found))),
            ", ".join(sorted({result.quantity.name for result in (*found.results, *found.reference_gases)})),
            str(found.calibrated_on),
            due_text(term, found),
            ", ".join((*(end.kind.value for end in found.ends), *found.findings)),
        )
        for _, found in loaded
    ]
    term.table(("certificate", "laboratory", "instrument", "quantity", "calibrated", "due", "remarks"), rows)


@app.command()
def show(
    ctx: typer.Context,
    certificate: Annotated[str, typer.Argument(help="its identifier")],
    plot: PlotOption = None,
    config: ConfigOption = None,
) -> None:
    """Show one certificate: results, limits, conditions, equipment, and the signer with the chain above."""
    check(plot)
    term, settings = terminal(ctx), configured(config)
    path, known = file_of(settings, certificate)
    found = load_dcc(path, load_anchors(settings.certificates)) if is_dcc_file(path) else None
    print_certificate(term, known, found)
    if plot is not None:
        plot_curve(term, known, plot)


@app.command()
def revoke(
    ctx: typer.Context,
    certificate: Annotated[str, typer.Argument(help="its identifier")],
    kind: Annotated[
        Literal["superseded", "withdrawn", "adjusted", "damaged"],
        typer.Option("--kind", help="withdrawn: no reading keeps it; the others: from then on"),
    ],
    reason: Annotated[str, typer.Option("--reason", help="why, for whoever asks years later")],
    at: Annotated[
        str | None, typer.Option("--at", help="2026-11-22T08:30+08:00; else now", show_default=False)
    ] = None,
    serial: Annotated[
        str | None,
        typer.Option("--serial", help="the instrument that was adjusted or damaged", show_default=False),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """End a certificate before it is due. A running gateway judges the readings concerned anew after a reload."""
    term, settings = terminal(ctx), configured(config)
    path, known = file_of(settings, certificate)
    serials = serials_of(known)
    if serial is not None and serial not in serials:
        raise Told("certificate.not_about", id=certificate, serial=serial, known=", ".join(sorted(serials)))
    when = _now() if at is None else moment_of(at)
    add_end(path, settings, {"kind": kind, "at": when, "reason": reason, "serial": serial})
    term.print(
        term.say("certificate.did_revoke", id=certificate, kind=term.say(f"certificate.end_{kind}"), path=path)
    )


@app.command()
def bind(
    ctx: typer.Context,
    meter: Annotated[str, typer.Argument(help="serial number or thumbprint")],
    channel: Annotated[int, typer.Argument(help="channel of the parameter set", min=1, max=65535)],
    serial: Annotated[str, typer.Argument(help="the instrument's serial number, as on its plate")],
    certificates: Annotated[list[str], typer.Argument(help="identifiers of its certificates")],
    start: Annotated[str, typer.Option("--from", help="when it was put in place: 2026-11-22T08:30+08:00")],
    end: Annotated[
        str | None, typer.Option("--to", help="when it was taken out, if it was", show_default=False)
    ] = None,
    table: Annotated[
        int | None,
        typer.Option("--table", help="which table, if a certificate has several of the quantity", min=1, max=1000),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Say which instrument is behind a channel; the binding of the one before ends where this one begins."""
    term, settings = terminal(ctx), configured(config)
    if not settings.traceability.bindings:
        raise Told("certificate.no_bindings", path=settings.path)
    path = settings.traceability.bindings[-1]
    binding = {
        "meter": _thumbprint(settings, meter),
        "channel": channel,
        "serial": serial,
        "certificates": certificates,
        "from": moment_of(start),
        "to": None if end is None else moment_of(end),
        "table": table,
    }
    ended = add_binding(path, settings, binding)
    if ended is not None:
        term.print(term.say("certificate.ended_binding", time=ended.isoformat(" ")))
    term.print(term.say("certificate.did_bind", serial=serial, channel=channel, path=path))


def _quantity(name: str) -> Quantity:
    if name not in BY_NAME:
        raise Told("certificate.bad_quantity", name=name, known=", ".join(sorted(BY_NAME)))
    return BY_NAME[name]


def _thumbprint(settings: GatewayConfig, meter: str) -> bytes:
    """The full thumbprint, or that of the enrolled meter with this serial number."""
    if len(meter) >= _DIGITS:
        return enrolment.full_thumbprint(meter)
    return find_meter(existing_store(settings).registry.meters(), meter).key.thumbprint


def moment_of(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Told("certificate.bad_time", text=text)
    return found.replace(microsecond=0)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
