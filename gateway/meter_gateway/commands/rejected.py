"""`carbonmeter rejected`: the ring of bytes that the gateway refused, and why."""

from typing import Annotated

import typer

from meter_gateway.commands.terminal import ConfigOption, configured, existing_store, terminal
from meter_gateway.values import time_text

app = typer.Typer(no_args_is_help=True, help="Bytes that were refused, with their reasons.")


@app.command("list")
def list_rejected(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="newest at most")] = 50,
    config: ConfigOption = None,
) -> None:
    """Show refused bytes, newest first, with reason, sender and size."""
    term, store = terminal(ctx), existing_store(configured(config))
    say = term.say
    rejected = store.archive.rejected(limit)
    if not rejected:
        term.print(say("rejected.none"))
        return
    term.heading(say("rejected.title"))
    term.table(
        ("received", "peer", "size", "reason"),
        ((time_text(entry.received_ms), entry.peer, str(len(entry.raw)), entry.reason) for entry in rejected),
    )
    for reason in sorted({entry.reason for entry in rejected}):
        term.print(f"{reason}: {say.reason(reason)}")
