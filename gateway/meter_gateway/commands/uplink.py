"""`carbonmeter uplink`: sending again what the far end has lost."""

from typing import Annotated

import typer

from meter_gateway.commands.readings import time_option
from meter_gateway.commands.terminal import ConfigOption, configured, existing_store, terminal
from meter_gateway.texts import Told

app = typer.Typer(no_args_is_help=True, help="The uplink's outbox.")


@app.command()
def resend(
    ctx: typer.Context,
    from_: Annotated[str, typer.Option("--from", help="first moment, by the meters' time")],
    to: Annotated[str, typer.Option("--to", help="end, not included")],
    config: ConfigOption = None,
) -> None:
    """Put the latest verdicts of a span of time into the outbox again; the far end drops what it has."""
    term, settings = terminal(ctx), configured(config)
    if settings.uplink.mqtt is None:
        raise Told("uplink.none")
    store = existing_store(settings)
    count = store.outbox.resend(time_option(from_), time_option(to))
    term.print(term.say("uplink.did_resend", count=count))
