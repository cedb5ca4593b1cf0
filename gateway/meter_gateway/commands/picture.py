"""Writing a drawing where the user asked for it, and saying what was written."""

from pathlib import Path
from typing import Annotated

import typer

from meter_gateway import picture_file
from meter_gateway.commands.terminal import Terminal

PlotOption = Annotated[
    Path | None, typer.Option("--plot", help="draw it; the name ends in .svg or .png", show_default=False)
]


def check(plot: Path | None) -> None:
    """Before any work is done for it."""
    if plot is not None:
        picture_file.check_suffix(plot)


def save(term: Terminal, path: Path, svg: str, said: str) -> None:
    """`said` is the key of the text for what was written."""
    written, is_as_asked = picture_file.write(path, svg)
    if not is_as_asked:
        term.print(term.say("picture.no_font", path=path))
    term.print(term.say(said, path=written))
