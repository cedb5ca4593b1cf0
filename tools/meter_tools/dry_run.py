"""What dry runs have in common: their option, and what a run would find out by doing it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from meter_gateway.texts import Told

DryRun = Annotated[bool, typer.Option("--dry-run", help="only show what would be done")]


def check_folder(folder: Path) -> None:
    """Told unless files can be made in it, or it itself in the nearest folder that there is."""
    place = folder.absolute()
    while not (place.exists() or place.is_symlink()):
        place = place.parent
    if not place.is_dir():
        raise Told("folder.is_file", path=place)
    if not os.access(place, os.W_OK | os.X_OK):
        raise Told("folder.closed", path=place)
