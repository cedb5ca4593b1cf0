"""The command `carbonmeter`: the gateway's commands, and those that make, simulate and try meters."""

from meter_gateway.cli import app
from meter_tools.demo.command import demo

app.command()(demo)

__all__ = ["app"]
