"""`carbonmeter ca`: the maker's CA."""

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from meter_gateway.commands.secrets_asked import passphrase
from meter_gateway.commands.terminal import terminal
from meter_gateway.enrolment import full_thumbprint
from meter_gateway.maker import certificates_of
from meter_gateway.texts import Told
from meter_tools.dry_run import DryRun, check_folder
from meter_tools.provisioning import ca_files, host_clock
from meter_tools.provisioning.factory_db import FactoryDb

app = typer.Typer(no_args_is_help=True, help="The maker's CA, which certifies meters' keys.")

VARIABLE = "CARBONMETER_CA_PASSPHRASE"
Folder = Annotated[Path, typer.Argument(help="folder of the CA", show_default=False)]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="file with the CA's passphrase; else CARBONMETER_CA_PASSPHRASE, else it is asked for",
        show_default=False,
    ),
]
_REASONS = {
    "keyCompromise": x509.ReasonFlags.key_compromise,
    "superseded": x509.ReasonFlags.superseded,
    "cessationOfOperation": x509.ReasonFlags.cessation_of_operation,
}


@app.command()
def init(
    ctx: typer.Context,
    folder: Folder,
    maker: Annotated[str, typer.Option("--maker", help="the maker's name, as in the boards' identity")],
    issuing: Annotated[
        bool, typer.Option("--issuing", help="a CA below the root that issues; the root's key can be taken away")
    ] = False,
    passphrase_file: PassphraseFile = None,
    dry_run: DryRun = False,
) -> None:
    """Create a CA: root, an issuing CA if wanted, an empty revocation list; keys encrypted with a passphrase."""
    term, now = terminal(ctx), host_clock.now()
    if not 0 < len(maker.encode()) <= 48:
        raise Told("ca.bad_maker", maker=maker)
    host_clock.check(now)
    ca_files.check_new(folder)
    secret = passphrase(term, "ca.new_passphrase", VARIABLE, passphrase_file, confirm=True)
    if dry_run:
        told = {"maker": maker, "path": folder, "names": ", ".join(ca_files.names(issuing))}
        term.print(term.say("ca.would_init", begin=f"{now:%Y-%m-%d}", **told))
        return
    ca_files.create(folder, maker, secret, now, issuing)
    root = ca_files.load_root(folder)
    force = {"begin": f"{root.not_valid_before_utc:%Y-%m-%d}", "end": f"{root.not_valid_after_utc:%Y-%m-%d}"}
    term.print(term.say("ca.did_init", path=folder / "root.pem", list=folder / ca_files.LIST, **force))
    if issuing:
        term.print(term.say("ca.take_root_away", path=folder / "root.key.pem"))


@app.command()
def show(ctx: typer.Context, folder: Folder) -> None:
    """Show the CA's certificates and what is revoked."""
    term = terminal(ctx)
    root, issuing, listed = (
        ca_files.load_root(folder),
        ca_files.load_certificate(folder),
        ca_files.load_list(folder),
    )
    for certificate in (root, issuing) if issuing != root else (root,):
        term.print(certificate.subject.rfc4514_string())
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        term.line("valid", f"{begin:%Y-%m-%d} – {end:%Y-%m-%d}")
        term.line("digest", certificate.fingerprint(hashes.SHA256()).hex())
    term.print(term.say("ca.list", updated=f"{listed.last_update_utc:%Y-%m-%d}", count=len(listed)))
    for entry in listed:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        term.print(f"  {entry.serial_number:x} {entry.revocation_date_utc:%Y-%m-%d} {reason}")


@app.command()
def revoke(
    ctx: typer.Context,
    folder: Folder,
    thumbprint: Annotated[str, typer.Argument(help="of the meter's key, all 64 digits or a scanned label")],
    database: Annotated[Path, typer.Option("--database", help="the factory database, which has the certificate")],
    reason: Annotated[
        str, typer.Option("--reason", help="keyCompromise, superseded or cessationOfOperation")
    ] = "keyCompromise",
    passphrase_file: PassphraseFile = None,
    dry_run: DryRun = False,
) -> None:
    """Put the certificate of a meter's key on the revocation list; give gateways the new list."""
    term, now = terminal(ctx), host_clock.now()
    if reason not in _REASONS:
        raise Told("ca.bad_reason", reason=reason, known=", ".join(_REASONS))
    known = full_thumbprint(thumbprint)
    if not database.is_file():
        raise Told("factory.missing", path=database)
    factory = FactoryDb(database, reads_only=True)
    started = factory.started(known)
    if started is None or started.certificate is None:
        raise Told("ca.no_certificate", thumbprint=known.hex(), path=database)
    number = certificates_of(started.certificate)[0].serial_number
    authority = ca_files.load_issuing(folder, passphrase(term, "ca.passphrase", VARIABLE, passphrase_file))
    host_clock.check_issuing(now, authority, factory.newest_ms())
    check_folder(folder)
    host_clock.check_list(now, ca_files.load_list(folder).last_update_utc)
    if not ca_files.revoke(folder, authority, number, _REASONS[reason], now, dry_run):
        raise Told("ca.revoked_already", serial=started.serial)
    said = "ca.would_revoke" if dry_run else "ca.did_revoke"
    term.print(term.say(said, serial=started.serial, reason=reason, list=folder / ca_files.LIST))
