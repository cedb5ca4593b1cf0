"""The command `carbonmeter` as far as the gateway goes; meter_tools.cli adds what makes and tries meters."""

import os
from typing import Annotated

import typer

from meter_gateway.commands import certificate, compare, gateway, meters, parameters, rejected, update, uplink
from meter_gateway.commands.budget import budget
from meter_gateway.commands.doctor import doctor
from meter_gateway.commands.quality import quality
from meter_gateway.commands.readings import readings
from meter_gateway.commands.rejudge import history, rejudge
from meter_gateway.commands.terminal import Commands, new_terminal
from meter_gateway.commands.trace import trace
from meter_gateway.commands.verify import verify
from meter_gateway.texts import Language, Texts, language_of

app = typer.Typer(
    name="carbonmeter",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables would print keys.
    pretty_exceptions_enable=False,
)


@app.callback()
def choose_language(
    ctx: typer.Context,
    lang: Annotated[
        Language | None,
        typer.Option(
            "--lang",
            help="language of what is printed; else CARBONMETER_LANG, else the locale",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Signed carbon meters: verify, judge, store and send on what they measure."""
    ctx.obj = new_terminal(Texts(lang or language_of(os.environ)))


app.add_typer(gateway.app, name="gateway")
app.add_typer(meters.app, name="meters")
app.add_typer(certificate.app, name="certificate")
app.add_typer(compare.app, name="compare")
app.add_typer(parameters.app, name="parameters")
app.add_typer(parameters.authority, name="authority")
app.add_typer(update.app, name="update")
app.add_typer(uplink.app, name="uplink")
app.add_typer(rejected.app, name="rejected")
app.command()(readings)
app.command()(quality)
app.command()(history)
app.command()(rejudge)
app.command()(trace)
app.command()(budget)
app.command()(verify)
app.command()(doctor)
