"""`carbonmeter gateway`: set one up, run it, back it up, restore it."""

import asyncio
import fcntl
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from meter_gateway import backup as backups
from meter_gateway import state_dir
from meter_gateway.commands.terminal import ConfigOption, configured, existing_store, terminal
from meter_gateway.key_files import public_path, write_pair
from meter_gateway.sealing import Sealer
from meter_gateway.service import serve
from meter_gateway.store import StoreError
from meter_gateway.template import CONFIGURATION
from meter_gateway.texts import Told
from meter_protocol import types as t

app = typer.Typer(no_args_is_help=True, help="Set up, run, back up and restore the gateway.")

_KEYS = {"receipt": t.ROLE_RECEIPT, "verdict": t.ROLE_VERDICT, "clock": t.ROLE_CLOCK}


@app.command()
def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="where gateway.toml and keys/ shall be", metavar="DIR")],
) -> None:
    """Write a commented gateway.toml and generate the gateway's three keys."""
    term = terminal(ctx)
    config, key_folder = folder / "gateway.toml", folder / "keys"
    if config.exists():
        raise Told("init.exists", path=config)
    key_folder.mkdir(parents=True, exist_ok=True)
    for name, role in _KEYS.items():
        path = key_folder / f"{name}.pem"
        if path.exists():
            raise Told("init.exists", path=path)
        write_pair(Sealer.generate(role), path)
    config.write_text(CONFIGURATION)
    (folder / "state").mkdir(exist_ok=True)
    public = [str(public_path(key_folder / f"{name}.pem")) for name in _KEYS]
    term.print(term.say("init.done", config=config, keys=", ".join(public)))


@app.command()
def run(
    config: ConfigOption = None,
    status: Annotated[
        Path | None,
        typer.Option("--status", help="status file; else status.json beside the store", show_default=False),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="log more")] = False,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C; SIGHUP reads certificates and scheme again."""
    settings = configured(config)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(levelname)s %(name)s: %(message)s",
    )
    asyncio.run(serve(settings, status or state_dir.status_path(settings)))


@app.command()
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="new file for the copy")],
    config: ConfigOption = None,
) -> None:
    """Copy the store while the gateway runs."""
    term, store = terminal(ctx), existing_store(configured(config))
    with term.err.status(term.say("backup.working")):
        backups.back_up(store, file)
    term.print(term.say("backup.done", path=file, size=file.stat().st_size))


@app.command()
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="a file that `gateway backup` wrote")],
    config: ConfigOption = None,
) -> None:
    """Put a backup in the store's place; at its next start the gateway asks the meters for what it lacks."""
    term, settings = terminal(ctx), configured(config)
    target = state_dir.store_path(settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError("store_in_use", f"store {target}: a gateway uses it; end that one first") from error
        with term.err.status(term.say("backup.restoring")):
            former = backups.restore(file, target, state_dir.restored_path(settings))
    if former is not None:
        term.print(term.say("backup.former", path=former))
    term.print(term.say("backup.restored", path=target))
