"""`carbonmeter demo`: the options, the folder, the exit code."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from meter_tools.demo import view
from meter_tools.demo.processes import ProcessFailed
from meter_tools.demo.run import run
from meter_tools.demo.scene import generated_scene, trace_scene
from meter_tools.simulator.trace_map import TraceError


def demo(
    seconds: Annotated[int, typer.Option(min=1, help="how long the generator's load is switched on")] = 30,
    trace: Annotated[Path | None, typer.Option(help="replay this CSV file instead of the generator")] = None,
    trace_map: Annotated[
        Path | None, typer.Option("--map", help="the trace's column map; found by the file's name when left out")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="only the first days of the trace")] = None,
    keep: Annotated[Path | None, typer.Option(help="leave all files, logs and the store in this folder")] = None,
) -> None:
    """One meter, one gateway and a far end that checks the meter's signature itself, live."""
    console = Console()
    folder = keep or Path(tempfile.mkdtemp(prefix="carbonmeter-demo-"))
    try:
        if keep is not None and keep.exists() and any(keep.iterdir()):
            raise typer.BadParameter(f"{keep} is not empty: name a new folder", param_hint="--keep")
        scene = generated_scene() if trace is None else trace_scene(trace.resolve(), trace_map, days)
        outcome = asyncio.run(run(scene, seconds, folder.resolve(), console))
    except (ProcessFailed, TraceError, OSError) as error:
        typer.echo(f"carbonmeter: {error}", err=True)
        raise typer.Exit(2) from None
    view.summary(console, outcome)
    if not outcome.good:
        typer.echo(f"carbonmeter: the logs are in {folder}", err=True)
        raise typer.Exit(1)
    if keep is None:
        shutil.rmtree(folder)
