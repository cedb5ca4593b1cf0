"""The command `carbonmeter`: the gateway's commands, and those that make, simulate and try meters."""

from meter_gateway.cli import app
from meter_gateway.commands import update
from meter_tools.boards import commands as boards
from meter_tools.demo.command import demo
from meter_tools.provisioning import ca_command
from meter_tools.provisioning.command import provision
from meter_tools.simulator.command import simulate
from meter_tools.update_build import build

app.command()(demo)
app.command()(simulate)
app.add_typer(boards.app, name="board")
app.add_typer(ca_command.app, name="ca")
app.command()(provision)
update.app.command()(build)

__all__ = ["app"]
