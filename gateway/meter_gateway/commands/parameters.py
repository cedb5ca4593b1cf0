"""`carbonmeter parameters` and `authority`: sealed parameter sets and the key that seals them."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from meter_gateway import delivery, enrolment, state_dir
from meter_gateway.bounded import read_bounded
from meter_gateway.commands.readings import find_meter
from meter_gateway.commands.secrets_asked import passphrase as asked
from meter_gateway.commands.terminal import ConfigOption, Terminal, configured, existing_store, terminal
from meter_gateway.history import ParameterHistory
from meter_gateway.key_files import public_path, write_pair
from meter_gateway.parameters import read_parameters, seal_parameters
from meter_gateway.sealing import Sealer, load_sealer
from meter_gateway.texts import Told
from meter_gateway.traceability import load_trust
from meter_gateway.traceability.parameters import decode, is_authorised
from meter_protocol import types as t

app = typer.Typer(no_args_is_help=True, help="Sealed parameter sets: channels, scaling, intervals, gateway keys.")
authority = typer.Typer(no_args_is_help=True, help="The authorities' keys: for parameter sets and for updates.")

AUTHORITY_VARIABLE = "CARBONMETER_AUTHORITY_PASSPHRASE"
_AUTHORITIES = {"parameters": t.ROLE_PARAMETERS, "updates": t.ROLE_UPDATES}


@authority.command("init")
def init_authority(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="new file for the private key, e.g. authority.pem")],
    signs: Annotated[
        Literal["parameters", "updates"], typer.Option("--for", help="what it shall sign")
    ] = "parameters",
    passphrase: Annotated[
        bool,
        typer.Option(
            "--passphrase",
            help="encrypt it: with CARBONMETER_AUTHORITY_PASSPHRASE, else a passphrase is asked for",
        ),
    ] = False,
) -> None:
    """Generate an authority's key. Keep it away from gateways."""
    term = terminal(ctx)
    if file.exists():
        raise Told("init.exists", path=file)
    secret = asked(term, "authority.passphrase", AUTHORITY_VARIABLE, None, confirm=True) if passphrase else None
    sealer = Sealer.generate(_AUTHORITIES[signs])
    write_pair(sealer, file, secret)
    told = {"public": public_path(file), "table": signs, "cose_key": sealer.cose_key.hex()}
    term.print(term.say("authority.done", path=file, **told))


def load_authority(term: Terminal, path: Path, role: str, passphrase_file: Path | None = None) -> Sealer:
    """An authority's key; where it has a passphrase, that of the file, the environment or the keyboard."""
    secret = None
    if path.is_file() and b"ENCRYPTED" in path.read_bytes():
        secret = asked(term, "authority.passphrase", AUTHORITY_VARIABLE, passphrase_file)
    return load_sealer(path, role, secret)


@app.command()
def seal(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="the set as TOML")],
    authority_key: Annotated[Path, typer.Option("--authority-key", help="private key (PEM)")],
    out: Annotated[Path, typer.Option("--out", help="file for the sealed set")],
    meter: Annotated[
        str | None, typer.Option("--meter", help="thumbprint, if the file names none", show_default=False)
    ] = None,
) -> None:
    """Check a parameter set and sign it for one meter."""
    term = terminal(ctx)
    thumbprint = None if meter is None else enrolment.full_thumbprint(meter)
    fields = read_parameters(file, thumbprint, time.time_ns() // 1_000_000)
    raw = seal_parameters(file, fields, load_authority(term, authority_key, t.ROLE_PARAMETERS))
    out.write_bytes(raw)
    term.print(term.say("parameters.sealed", path=out, size=len(raw)))


@app.command()
def send(
    ctx: typer.Context,
    meter: Annotated[str, typer.Argument(help="serial number or thumbprint")],
    file: Annotated[Path, typer.Argument(help="a sealed set")],
    config: ConfigOption = None,
) -> None:
    """Have the running gateway deliver a sealed set until the meter's chain says what became of it."""
    term, settings = terminal(ctx), configured(config)
    store = existing_store(settings)
    known = find_meter(store.registry.meters(), meter)
    raw = read_bounded(file, t.max_size(t.PARAMETER_SET))
    sealed = decode(raw)
    if sealed is None:
        raise Told("parameters.not_a_set", path=file)
    if not is_authorised(raw, known.key.thumbprint, load_trust(settings).authorities):
        raise Told("parameters.not_authorised", path=file, serial=known.serial)
    latest = store.archive.messages(known.key.thumbprint, limit=1, newest_first=True)
    applied = ParameterHistory(store.archive).at(latest[0]) if latest else None
    if applied is not None and applied.version >= sealed.version:
        raise Told("parameters.not_newer", version=sealed.version, applied=applied.version)
    delivery.submit(state_dir.parameters_dir(settings), known.key.thumbprint, raw)
    term.print(term.say("parameters.queued", serial=known.serial))


@app.command("list")
def list_waiting(ctx: typer.Context, config: ConfigOption = None) -> None:
    """Show sets that wait for their meter, and sets that a meter refused."""
    term, settings = terminal(ctx), configured(config)
    store = existing_store(settings)
    states = delivery.states(state_dir.parameters_dir(settings))
    serials = {meter.key.thumbprint: meter.serial for meter in store.registry.meters()}
    if not states:
        term.print(term.say("parameters.none"))
    for thumbprint, state in states:
        reason = term.say.coded_reason(state.removeprefix("refused: "))
        text = (
            term.say("parameters.waiting") if state == "waiting" else term.say("parameters.refused", reason=reason)
        )
        term.print(f"{serials.get(thumbprint, thumbprint.hex())}: {text}")
