"""`carbonmeter board`: which boards there are, and how one is built, written, started and watched.

Exit code 2: something has to be corrected, and nothing was written. 1: writing a board broke off.
"""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from meter_gateway import image as images
from meter_gateway.bounded import read_bounded
from meter_gateway.commands.terminal import NEGATIVE, Terminal, terminal, told
from meter_tools import board_build, wiring
from meter_tools.boards import console, description, emulator, flash, new, readme
from meter_tools.boards.console_text import Describe
from meter_tools.boards.description import Board
from meter_tools.boards.recipe import sources_of
from meter_tools.boards.software_id import software_id
from meter_tools.boards.writer import HalfWritten
from meter_tools.dry_run import DryRun
from meter_tools.told import Tell, ToolError
from meter_tools.upstream import MICROPYTHON

app = typer.Typer(no_args_is_help=True, help="Boards: show, build, write, start and watch them.")

BoardName = Annotated[str, typer.Argument(help="folder below boards/", metavar="BOARD")]
PortOption = Annotated[
    str | None,
    typer.Option("--port", help="serial port, or serial number of the USB device; else the only one that fits"),
]
FilesOption = Annotated[
    bool, typer.Option("--files", help="the firmware as files for the official MicroPython image on the board")
]

PORT = "PORT"
"""Stands in a dry run for a board that is not there."""


@app.command("list")
def list_boards(ctx: typer.Context) -> None:
    """List the boards with their chip and what was proven of each."""
    term = terminal(ctx)
    boards = description.all_boards()
    rows = [[board.name, _title(term, board), board.description.chip, _status(term, board)] for board in boards]
    term.table(["board", "title", "chip", "status"], rows)


@app.command()
def show(ctx: typer.Context, board: BoardName) -> None:
    """Show a board: chip, wiring, what is proven, and what build and flash would do."""
    term, found = terminal(ctx), description.find(board)
    about = found.description
    term.heading(f"{found.name}: {_title(term, found)}")
    term.line("chip", about.chip)
    if about.base is not None:
        term.line("base", f"MicroPython {MICROPYTHON.version}, {about.base}")
    term.line("link", term.say(f"board.link_{about.link}"))
    term.line("provisioning", term.say(f"board.provisioning_{about.provisioning}"))
    term.line("status", f"{_status(term, found)} ({about.evidence})")
    term.line("sources", ", ".join(f"{source.name} {source.version}" for source in sources_of(found)))
    term.line("written_by", term.say(f"board.flash_{about.flash}"))
    _table(term, _in_his_words(term, readme.facts(found.readme)))
    if (found.folder / wiring.FILE).is_file():
        _table(term, wiring.rows(wiring.wiring_of(found.folder), term.say))
    term.print(term.say("board.more", path=found.readme, board=found.name))


@app.command("new")
def make_new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="name of the new board: lower-case letters, digits and _")],
    origin: Annotated[str, typer.Option("--from", help="the board whose folder is copied")],
    dry_run: DryRun = False,
) -> None:
    """Make a new board's folder of another's, with its own name and identifiers."""
    term = terminal(ctx)
    made = new.plan(name, description.find(origin))
    if dry_run:
        names = ", ".join(map(str, sorted(made.files)))
        term.print(term.say("board.would_make", folder=made.folder, names=names, class_id=made.class_id))
        return
    new.make(made)
    term.print(term.say("board.did_make", folder=made.folder, name=name))


@app.command()
def build(ctx: typer.Context, board: BoardName, files: FilesOption = False, dry_run: DryRun = False) -> None:
    """Build a board's image: find or fetch sources and compiler, say which, print sizes and software id."""
    term = terminal(ctx)
    tell = _teller(term)
    if files:
        if dry_run:
            tell(
                "board.would_compile", folder=board_build.OUTPUT / description.find(board).name / board_build.FILES
            )
            return
        with term.err.status(term.say("board.building", board=board)):
            image = board_build.build_files(board)
    elif dry_run:
        sources, commands = board_build.plan(board)
        for source in sources:
            tell("board.would_take", source=source, folder=source.folder)
        _show(term, map(str, commands))
        return
    else:
        with term.err.status(term.say("board.building", board=board)):
            image = board_build.build(board, tell)
    tell("board.did_build", path=image.product, sizes=image)
    if not files:
        _tell_software_id(term, description.find(board), image.product)


@app.command("id")
def show_id(
    ctx: typer.Context,
    board: BoardName,
    update: Annotated[
        Path | None,
        typer.Option("--update", help="the image of an update that the board runs", show_default=False),
    ] = None,
) -> None:
    """Print the software id that boards with the built image name, or once they run an update: to be approved."""
    term = terminal(ctx)
    content = b"" if update is None else read_bounded(update, images.MAX_IMAGE)
    if content:
        images.parse(content)
    _tell_software_id(term, description.find(board), board_build.product_of(board), content)


@app.command("flash")
def write(
    ctx: typer.Context,
    board: BoardName,
    port: PortOption = None,
    files: FilesOption = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="also where what the board keeps (key, journal) is lost by it")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Write a built image onto a board; the wrong chip is refused, and the board's key and journal stay.

    Nothing is erased but what the image takes. Exit code 2: nothing was written. 1: writing broke off.
    """
    term = terminal(ctx)
    writer = flash.writer_for(description.find(board), files)
    if dry_run:
        seen = [] if port else writer.candidates()
        name = port or (seen[0].name if len(seen) == 1 else PORT)
        _show(term, (shlex.join(command) for command in writer.commands(name)))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=term.err, transient=True, disable=not term.err.is_terminal) as bar:
        task = bar.add_task(board, total=None)
        try:
            flash.flash(
                writer, port, discard, _teller(term), lambda done, of: bar.update(task, completed=done, total=of)
            )
        except HalfWritten as error:
            bar.stop()
            _fail(term, error)


@app.command("run")
def run_emulated(
    ctx: typer.Context,
    board: BoardName,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="where its flash.bin is kept; else build/run/BOARD")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Start an emulated board in QEMU, its lines as pseudo-terminals; Ctrl-C cuts its power."""
    term, found = terminal(ctx), description.find(board)
    place = folder or board_build.OUTPUT.parent / "run" / board
    if dry_run:
        _show(term, [f"cd {shlex.quote(str(place))} && {shlex.join(emulator.command(found))}"])
        return

    def started(ptys: dict[str, str]) -> None:
        for name, pty in ptys.items():
            term.print(term.say("layout.line", label=name, value=pty))
        term.print(term.say("board.runs", folder=place))
        term.out.file.flush()

    emulator.run(found, place, started, _describer(term))


@app.command("console")
def watch(
    ctx: typer.Context,
    port: PortOption = None,
    baud: Annotated[int, typer.Option("--baud", min=300, max=4_000_000, help="speed of the console")] = 115200,
    log: Annotated[Path | None, typer.Option("--log", help="append what the board says to this file, too")] = None,
) -> None:
    """Show a board's console and send it what is typed; Ctrl-] leaves."""
    term = terminal(ctx)
    console.watch(console.find(port), baud, log, _teller(term), _describer(term))


def _tell_software_id(term: Terminal, board: Board, product: Path, update: bytes = b"") -> None:
    found = software_id(board, product, update)
    if found is None:
        term.print(term.say("board.software_id_unknown"))
        return
    term.print(term.say("board.software_id", id=found.hex()))
    if board.description.port == "stm32":
        term.print(term.say("board.software_id_erased"))


def _describer(term: Terminal) -> Describe:
    def describe(types: list[str], size: int) -> str:
        keys = [f"type.{typ}" for typ in dict.fromkeys(types)]
        what = ", ".join(term.say(key) for key in keys if term.say.knows(key)) or term.say("board.other_frame")
        return term.say("board.frame", size=size, what=what)

    return describe


def _title(term: Terminal, board: Board) -> str:
    return board.description.title_zh if term.say.language == "zh" else board.description.title


def _status(term: Terminal, board: Board) -> str:
    return term.say(f"board.status_{board.description.status}")


def _in_his_words(term: Terminal, rows: list[list[str]]) -> list[list[str]]:
    """Head and first column in the user's language; what a README says of a part is in its own."""
    return [
        [_label(term, cell) if row == 0 or column == 0 else cell for column, cell in enumerate(cells)]
        for row, cells in enumerate(rows)
    ]


def _label(term: Terminal, text: str) -> str:
    bus, _, name = text.partition(" ")
    if bus == "bus":
        return term.say("fact.bus", name=name)
    key = f"fact.{text.lower().replace(' ', '_')}"
    return term.say(key) if term.say.knows(key) else text


def _table(term: Terminal, rows: list[list[str]]) -> None:
    """The head first."""
    if not rows:
        return
    head, *body = rows
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(Text(name), overflow="fold")
    for row in body:
        table.add_row(*map(Text, row))
    term.out.print(table)


def _teller(term: Terminal) -> Tell:
    def tell(key: str, **values: object) -> None:
        term.print(term.say(key, **values))

    return tell


def _show(term: Terminal, lines: Iterable[str]) -> None:
    for line in lines:
        term.print(line)


def _fail(term: Terminal, error: ToolError) -> None:
    typer.echo(f"carbonmeter: {told(error, term.say)}", err=True)
    raise typer.Exit(NEGATIVE)
