"""`carbonmeter compare list|show|report`: comparisons that are sealed, and a report of one that a person signs."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Literal

import typer
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from meter_gateway.bounded import read_bounded
from meter_gateway.certificate_folder import replace_file
from meter_gateway.commands.compare_view import print_event
from meter_gateway.commands.terminal import NEGATIVE, ConfigOption, configured, terminal
from meter_gateway.config import GatewayConfig
from meter_gateway.in_situ import dcc_report
from meter_gateway.in_situ.again import differences
from meter_gateway.in_situ.comparison_folder import event_named, folder_of
from meter_gateway.texts import Told
from meter_gateway.traceability import load_trust
from meter_gateway.traceability.comparison import counterparts, open_raw
from meter_gateway.traceability.dcc.safe_xml import parse
from meter_gateway.traceability.dcc.schema import validate
from meter_gateway.traceability.dcc.signature import open_signed
from meter_gateway.traceability.trust import load_events
from meter_gateway.values import time_text
from meter_protocol import comparison as cm
from meter_protocol.comparison_schema import TABLE
from meter_protocol.quantities import BY_CODE

MAX_PEM = 1 << 20

RunArgument = Annotated[str, typer.Argument(help="name of a finished comparison, or how it begins", metavar="RUN")]


def list_comparisons(ctx: typer.Context, config: ConfigOption = None) -> None:
    """Show every finished comparison and check, in the order of their ends."""
    term, settings = terminal(ctx), configured(config)
    say = term.say
    events = load_events(settings)
    related = counterparts(events)
    rows = [
        (
            each.run,
            time_text(each.end_ms),
            say(f"compare.kind_{cm.KINDS[each.kind]}"),
            each.fields[cm.SERIAL],
            str(each.fields[cm.CHANNEL]),
            each.fields[cm.REFERENCE][cm.REFERENCE_SERIAL],
            say(f"compare.outcome_{each.outcome.value}"),
            related[each.run].run if each.run in related else "",
        )
        for each in events
    ]
    if not rows:
        term.print(say("compare.none"))
        return
    term.table(("run", "time", "kind", "instrument", "channel", "reference", "outcome", "counterpart"), rows)


def show(
    ctx: typer.Context,
    run: RunArgument,
    again: Annotated[
        bool, typer.Option("--again", help="find it anew from the raw data and the certificates")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Show one finished comparison as it was sealed; its signature and its raw data are checked."""
    term, settings = terminal(ctx), configured(config)
    event = event_named(settings, run)
    raw = open_raw(event, folder_of(settings))
    print_event(term, event.fields)
    other = counterparts(load_events(settings)).get(event.run)
    if other is not None:
        outcome = term.say(f"compare.outcome_{other.outcome.value}")
        label = "as_found" if event.kind == cm.AS_LEFT else "as_left"
        term.line(label, f"{other.run}, {time_text(other.end_ms)}, {outcome}")
    counts = {"channel": len(raw[cm.RAW_CHANNEL]), "reference": len(raw[cm.RAW_REFERENCE])}
    term.print(term.say("compare.raw", **counts, digest=event.fields[cm.RAW_DIGEST].hex()))
    if not again:
        return
    names = {key: name for key, name, _ in TABLE}
    found = [names[key] for key in differences(event, raw, load_trust(settings))]
    if found:
        term.print(term.say("compare.differs", what=", ".join(found)))
        raise typer.Exit(NEGATIVE)
    term.print(term.say("compare.same"))


def report(
    ctx: typer.Context,
    run: RunArgument,
    key: Annotated[Path, typer.Option("--key", help="private key of the person who signs (PEM)")],
    cert: Annotated[Path, typer.Option("--cert", help="his certificate, then those above it (PEM)")],
    out: Annotated[Path, typer.Option("--out", help="where the report shall be")],
    language: Annotated[
        Literal["en", "zh"], typer.Option("--in", help="the language that counts; the report has both")
    ] = "zh",
    config: ConfigOption = None,
) -> None:
    """Issue an in-situ comparison report: a DCC 3.3 (XML) that a responsible person signs."""
    term, settings = terminal(ctx), configured(config)
    event = event_named(settings, run)
    if event.fields[cm.QUANTITY] not in BY_CODE or not event.fields[cm.POINTS]:
        raise Told("compare.nothing_to_report", run=event.run)
    private, chain = _signer(key, cert)
    issuer = _issuer(settings, chain[0])
    offset = settings.traceability.utc_offset
    today = datetime.now(UTC).astimezone(timezone(timedelta(minutes=offset))).date()
    signed = dcc_report.sign(dcc_report.report_of(event, issuer, language, offset, today), private, chain)
    # What cannot be read back is not issued.
    open_signed(signed)
    if settings.certificates.schemas is not None:
        validate(parse(signed), settings.certificates.schemas)
    replace_file(out, signed)
    claim = issuer.accreditation or term.say("compare.no_accreditation")
    term.print(term.say("compare.did_report", path=out, claim=claim))


def _issuer(settings: GatewayConfig, signer: x509.Certificate) -> dcc_report.Issuer:
    said = settings.reports
    if said is None:
        raise Told("compare.no_issuer", path=settings.path)
    known = {each for path in said.accredited_signers for each in _certificates(path)[:1]}
    claims = signer in known
    return dcc_report.Issuer(
        said.name,
        said.country,
        said.city,
        said.customer,
        said.accreditation if claims else None,
        said.scope if claims else None,
    )


def _signer(
    key: Path, cert: Path
) -> tuple[ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, list[x509.Certificate]]:
    """Both, if they belong together; Told otherwise."""
    chain = _certificates(cert)
    try:
        private = load_pem_private_key(read_bounded(key, MAX_PEM), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Told("compare.bad_key", path=key) from None
    if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Told("compare.bad_key", path=key)
    if private.public_key() != chain[0].public_key():
        raise Told("compare.other_key", private=key, cert=cert)
    return private, chain


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(read_bounded(path, MAX_PEM))
    except ValueError:
        raise Told("compare.bad_cert", path=path) from None
