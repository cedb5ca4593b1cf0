"""What all commands share: the language, the two output streams, the configuration and the store.

Whatever a user has to correct ends a command with one line on stderr and exit code 2; a negative answer (not
authentic, not healthy) is exit code 1. A traceback means a mistake in this program.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from meter_gateway.config import GatewayConfig, load_config
from meter_gateway.model import Rejected
from meter_gateway.sealing import KeyFileError
from meter_gateway.service import limits_of
from meter_gateway.state_dir import store_path
from meter_gateway.store import Store, StoreError
from meter_gateway.texts import Language, Texts, Told, help_in_chinese, language_of, plain
from meter_gateway.validated_toml import ConfigError

USER_ERROR = 2
NEGATIVE = 1

PIPE_WIDTH = 240

_PLACES = (Path("gateway.toml"), Path("/etc/carbonmeter/gateway.toml"))


@dataclass(frozen=True, slots=True)
class Terminal:
    say: Texts
    out: Console
    err: Console

    def print(self, text: str) -> None:
        """As it is: no markup, no colours guessed from the text, no wrapping."""
        self.out.print(text, markup=False, highlight=False, soft_wrap=True)

    def heading(self, text: str) -> None:
        self.out.print(text, style="bold", markup=False, highlight=False)

    def line(self, label: str, value: str) -> None:
        """One labelled value; `label` is a key below `label.`."""
        self.print("  " + self.say("layout.line", label=self.say(f"label.{label}"), value=value))

    def table(self, labels: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Cells are text as it is: a unit such as [ppm] is no markup."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for label in labels:
            table.add_column(self.say(f"label.{label}"), overflow="fold")
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        self.out.print(table)


def terminal(ctx: typer.Context) -> Terminal:
    found: Terminal = ctx.obj
    return found


def new_terminal(say: Texts) -> Terminal:
    # Into a pipe or a file nothing is folded to the width of a screen that is not there.
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Terminal(say, Console(width=width), Console(stderr=True))


class Commands(TyperGroup):
    """The root group: speaks the user's language in its help, and turns what he has to correct into one line."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        if _language_asked(args) == "zh":
            _translate(self, help_in_chinese())
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (Told, StoreError, ConfigError, KeyFileError, Rejected, OSError) as error:
            found = ctx.find_object(Terminal)
            say = found.say if found else Texts(language_of(os.environ))
            typer.echo(f"carbonmeter: {told(error, say)}", err=True)
            ctx.exit(USER_ERROR)


def _language_asked(args: list[str]) -> Language:
    """Help is printed while arguments are still being parsed, so the option is looked for beforehand."""
    for option, value in pairwise([*args, ""]):
        if option.startswith("--lang"):
            return "zh" if "zh" in (value, option.removeprefix("--lang=")) else "en"
        if not option.startswith("-"):
            break
    return language_of(os.environ)


def _translate(node: Any, words: dict[str, str]) -> None:
    """Help of a command, of its options, and of the commands below it."""
    for described in (node, *node.params):
        english = getattr(described, "help", None)
        if english:
            described.help = words.get(" ".join(english.split()), english)
    for command in getattr(node, "commands", {}).values():
        _translate(command, words)


def told(error: Exception, say: Texts) -> str:
    """One line in the user's language where there is one; the program's own words name the file."""
    if isinstance(error, Told):
        return say(error.key, **error.values)
    if isinstance(error, StoreError) and say.language != "en" and say.knows(f"store.{error.reason}"):
        return f"{say(f'store.{error.reason}')} ({error})"
    if isinstance(error, Rejected):
        return say.coded_reason(error.reason)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="CARBONMETER_CONFIG",
        help="gateway.toml; else ./gateway.toml, else /etc/carbonmeter/gateway.toml",
        show_default=False,
    ),
]


def find_config(given: Path | None) -> Path:
    if given is not None:
        return given
    for place in _PLACES:
        if place.is_file():
            return place
    raise Told("config.none")


def configured(given: Path | None) -> GatewayConfig:
    return load_config(find_config(given))


def existing_store(config: GatewayConfig) -> Store:
    """The gateway's store; a command never makes one, for it would belong to whoever ran the command."""
    path = store_path(config)
    if not path.exists():
        raise Told("store.missing", path=path)
    return Store(path, limits_of(config))
