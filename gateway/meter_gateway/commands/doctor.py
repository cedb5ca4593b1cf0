"""`carbonmeter doctor`: is this gateway well, and if not, what to do?"""

import os
import time

import typer

from meter_gateway import doctor as checks
from meter_gateway.commands.terminal import NEGATIVE, ConfigOption, Terminal, find_config, terminal
from meter_gateway.config import load_config
from meter_gateway.validated_toml import ConfigError
from meter_gateway.values import time_text

_MARKS = {"ok": "✓", "warning": "!", "problem": "✗"}
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(ctx: typer.Context, config: ConfigOption = None) -> None:
    """Check configuration, keys, clock, disk, store and brokers, in plain words. Exit code 1 on problems."""
    term = terminal(ctx)
    try:
        settings = load_config(find_config(config))
    except ConfigError as error:
        _print(term, checks.Check("config", "problem", "as_is", {"error": error}))
        raise typer.Exit(NEGATIVE) from None
    found = []
    for check in checks.check_all(settings, time.time_ns() // 1_000_000, os.geteuid()):
        found.append(check)
        _print(term, check)
    term.print(term.say(f"doctor.summary_{checks.worst(found)}"))
    if checks.worst(found) == "problem":
        raise typer.Exit(NEGATIVE)


def _print(term: Terminal, check: checks.Check) -> None:
    say = term.say
    key = check.text if say.knows(check.text) else f"doctor.{check.text}"
    values = dict(check.values)
    if isinstance(values.get("time_ms"), int):
        values["time"] = time_text(int(str(values["time_ms"])))
    term.out.print(f"{_MARKS[check.level]} ", style=_STYLES[check.level], end="", highlight=False)
    term.print(say("layout.line", label=say(f"doctor.topic_{check.topic}"), value=say(key, **values)))
    if say.knows(f"{key}_remedy"):
        term.print(f"    → {say(f'{key}_remedy', **values)}")
