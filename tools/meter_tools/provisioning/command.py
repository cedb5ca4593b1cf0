"""`carbonmeter provision`: boards at the maker's bench become meters."""

import getpass
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from meter_gateway.commands.parameters import load_authority
from meter_gateway.commands.secrets_asked import passphrase
from meter_gateway.commands.terminal import NEGATIVE, Terminal, terminal, told
from meter_gateway.model import Rejected
from meter_gateway.texts import Told
from meter_protocol import types as t
from meter_tools.dry_run import check_folder
from meter_tools.provisioning import ca_files, host_clock, settings, work
from meter_tools.provisioning.ca_command import VARIABLE, PassphraseFile
from meter_tools.provisioning.factory_db import FactoryDb
from meter_tools.provisioning.line import Line
from meter_tools.provisioning.work import Outcome, Workshop

LOOK_S = 1.0
"""Between two looks for the next board of a tray."""


def provision(
    ctx: typer.Context,
    port: Annotated[
        list[str],
        typer.Option("--port", help="where a board is: a device, a pty or tcp:host:port; may be repeated"),
    ],
    settings_file: Annotated[
        Path, typer.Option("--settings", help="provision.toml: CA, authority, database, labels, defaults")
    ] = Path("provision.toml"),
    serial: Annotated[
        str | None, typer.Option("--serial", help="serial number; else the next one", show_default=False)
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, help="so many boards, one after the other at the same port")
    ] = 1,
    replace: Annotated[
        bool, typer.Option("--replace", help="take a meter's journal out, revoke its key, and make it new")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="ask the board, and say what would be done")] = False,
    passphrase_file: PassphraseFile = None,
    authority_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--authority-passphrase-file",
            help="likewise of the authority's key; else CARBONMETER_AUTHORITY_PASSPHRASE, else it is asked for",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make boards meters: certificate, record, default parameters, label. Exit code 1 if one of several failed."""
    term = terminal(ctx)
    if len(port) * count > 1 and serial is not None:
        raise Told("provision.one_serial")
    if len(port) > 1 and count > 1:
        raise Told("provision.ports_or_count")
    shop = _workshop(term, settings_file, passphrase_file, authority_passphrase_file, dry_run)
    ctx.call_on_close(shop.database.close)
    if len(port) == 1 and count == 1:
        _print(term, _one(shop, port[0], serial, replace, dry_run))
        return
    rows = list(_several(term, shop, port, count, replace, dry_run))
    term.table(("port", "serial", "model", "thumbprint", "state"), [row for row, _ in rows])
    if not all(is_good for _, is_good in rows):
        raise typer.Exit(NEGATIVE)


def _workshop(
    term: Terminal, path: Path, ca_file: Path | None, authority_file: Path | None, dry_run: bool
) -> Workshop:
    found = settings.load(path)
    sealer = load_authority(term, found.authority_key, t.ROLE_PARAMETERS, authority_file)
    authority = ca_files.load_issuing(found.ca, passphrase(term, "ca.passphrase", VARIABLE, ca_file))
    return Workshop(
        path,
        found,
        authority,
        sealer,
        _database(term, found.database, found.ca, dry_run),
        _operator(),
        host_clock.now,
        lambda key, **values: term.print(term.say(key, **values)),
    )


def _database(term: Terminal, path: Path, ca: Path, dry_run: bool) -> FactoryDb:
    """Made at the first run of a CA, and at no other: an empty one gives serial numbers out twice."""
    if not path.parent.is_dir():
        raise Told("factory.no_folder", path=path, folder=path.parent)
    check_folder(path.parent)
    found = FactoryDb(path, reads_only=True)
    known = ca_files.database_of(ca)
    if known is not None and found.newest_ms() is None:
        raise Told("factory.gone", path=path, known=known, mark=ca / ca_files.DATABASE)
    if known != path.resolve():
        check_folder(ca)  # which is told of it before the first board is
    if not path.exists():
        term.print(term.say("factory.would_make" if dry_run else "factory.did_make", path=path))
    if dry_run:
        return found
    found.close()
    return FactoryDb(path)


def _operator() -> str:
    """For the record of who did what; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _one(shop: Workshop, port: str, serial: str | None, replace: bool, dry_run: bool) -> Outcome:
    line = Line(port)
    try:
        return work.provision(shop, line, serial, replace, dry_run)
    finally:
        line.close()


def _several(
    term: Terminal, shop: Workshop, ports: list[str], count: int, replace: bool, dry_run: bool
) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Cells of the summary, and whether it went well."""
    seen: set[bytes] = set()
    for port in ports * count:
        try:
            if count > 1:
                _await_next(term, port, seen)
            outcome = _one(shop, port, None, replace, dry_run)
        except (Told, Rejected, OSError) as error:
            problem = told(error, term.say)
            term.print(problem)
            yield (port, "", "", "", problem), False
            continue
        seen.add(outcome.thumbprint)
        _print(term, outcome)
        state = term.say(f"provision.state_{outcome.state}")
        yield (port, outcome.serial, outcome.model, outcome.thumbprint.hex()[:16], state), True


def _await_next(term: Terminal, port: str, seen: set[bytes]) -> None:
    """Until another board than those before answers at this port."""
    if seen:
        term.print(term.say("provision.next", port=port))
    while True:
        try:
            line = Line(port)
            try:
                if line.hello(2.0, 1).thumbprint not in seen:
                    return
            finally:
                line.close()
        except Told:
            if not seen:
                return  # the first board: what is wrong is said at once
        time.sleep(LOOK_S)


def _print(term: Terminal, outcome: Outcome) -> None:
    if outcome.state == "would":
        return
    told = {"serial": outcome.serial, "thumbprint": outcome.thumbprint.hex()}
    term.print(term.say(f"provision.did_{outcome.state}", **told))
    term.line("software", outcome.software_id.hex())
    for path in outcome.files:
        term.line("label", str(path))
