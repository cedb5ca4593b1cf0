"""`carbonmeter simulate`: instruments by name on a bus, their values live, changed by lines that are typed."""

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from meter_gateway.commands.terminal import Terminal, terminal, told
from meter_tools.boards import ports
from meter_tools.dry_run import DryRun
from meter_tools.simulator import by_hand
from meter_tools.simulator.by_hand import BUS, Bench, Framing, HandError
from meter_tools.simulator.clock import real_clock
from meter_tools.simulator.instruments import Indication
from meter_tools.simulator.serial_pty import PtyLine, join
from meter_tools.simulator.server import Simulation
from meter_tools.simulator.trace_map import TraceError

HOST = "127.0.0.1"
REFRESH_S = 0.5
CHUNK = 256


def simulate(
    ctx: typer.Context,
    instruments: Annotated[
        list[str] | None,
        typer.Argument(
            help="kinds of --list, each with @ADDRESS where it is not 1, 2, …", metavar="INSTRUMENT..."
        ),
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="show the kinds and what each indicates")] = False,
    tcp: Annotated[
        int | None, typer.Option("--tcp", min=0, max=0xFFFF, help="listen on this TCP port; 0 takes any")
    ] = None,
    framing: Annotated[Framing, typer.Option("--framing", help="Modbus frames on TCP")] = "tcp",
    host: Annotated[str, typer.Option("--host", help="address to listen on")] = HOST,
    pty: Annotated[bool, typer.Option("--pty", help="make a pseudo-terminal for the meter")] = False,
    port: Annotated[
        str | None,
        typer.Option("--port", help="serve on this serial port: an adapter's, or a line of an emulated board"),
    ] = None,
    baud: Annotated[int, typer.Option("--baud", min=300, max=4_000_000, help="speed of --port")] = 9600,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="indication=value in its unit; NAME.indication=value of several"),
    ] = None,
    faults: Annotated[
        list[str] | None, typer.Option("--fault", help="what is wrong: kind, or NAME=kind of several")
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="replay this CSV file from now on")] = None,
    trace_map: Annotated[
        Path | None, typer.Option("--map", help="the trace's column map; found by the file's name when left out")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="only the first days of the trace")] = None,
    dry_run: DryRun = False,
) -> None:
    """Simulate instruments on a bus until Ctrl-C; a line such as `voltage 230.1` or `fault silent` changes them.

    Values are in the unit that --list shows, `none` is no value. `fault none` ends a fault.
    """
    term = terminal(ctx)
    if show_list:
        _list(term)
        return
    try:
        bench = by_hand.bench(instruments or [], trace, trace_map, days)
    except TraceError as error:
        raise HandError("simulate.trace", words=error) from None
    for given in values or []:
        bench.obey(given)
    for given in faults or []:
        name, equals, kind = given.rpartition("=")
        bench.obey(f"{name}.fault {kind}" if equals else f"fault {kind}")
    is_serial_line = pty or port is not None
    if tcp is None and not is_serial_line:
        raise HandError("simulate.where")
    chosen: Framing = "rtu" if is_serial_line else framing
    if dry_run:
        if port is not None:
            ports.look(port)
        bench.bus(chosen, host, tcp or 0, pty)
        _say_what(term, bench)
        term.print(term.say("simulate.would", place=port or _place(term, host, tcp, pty)))
        return
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_Run(term, bench).until_ended(chosen, host, tcp or 0, pty, port, baud))


def _list(term: Terminal) -> None:
    rows = []
    for kind in by_hand.known_kinds():
        hand = by_hand.bench([kind], None, None, None).hands[kind]
        units = ", ".join(f"{name} ({_unit(hand.indications[name])})" for name in hand.indications)
        rows.append([kind, "Modbus" if hand.is_modbus else term.say("simulate.own_protocol"), units])
    term.table(["kind", "protocol", "indications"], rows)


def _unit(indication: Indication) -> str:
    return by_hand.shown(indication, 0).partition(" ")[2]


def _place(term: Terminal, host: str, tcp: int | None, pty: bool) -> str:
    """Which pseudo-terminal or free port it will be, only the run knows."""
    if pty:
        return term.say("simulate.some_pty")
    return f"{host}:{tcp}" if tcp else term.say("simulate.some_port", host=host)


def _say_what(term: Terminal, bench: Bench) -> None:
    for hand in bench.hands.values():
        term.print(term.say("simulate.instrument", name=hand.name, kind=Path(hand.kind).stem, unit=hand.unit))


class _Run:
    """A simulation with a terminal: live with a screen, else one line for each change."""

    def __init__(self, term: Terminal, bench: Bench) -> None:
        self._term = term
        self._bench = bench
        self._typed = ""
        self._answer = ""
        self._is_live = sys.stdin.isatty() and term.out.is_terminal

    async def until_ended(
        self, framing: Framing, host: str, tcp: int, pty: bool, port: str | None, baud: int
    ) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._complain)
        device = None if port is None else ports.open_port(port, baud)
        simulation = await self._bench.serve(framing, host, tcp, pty)
        bus = simulation.buses[BUS]
        line: PtyLine | None = None
        try:
            if device is not None:
                line = await join(bus.host, bus.port, str(port), os.dup(device.fileno()))
            # Before it says how to end it.
            ended = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, ended.set)
            _say_what(self._term, self._bench)
            place = port or bus.pty or f"{bus.host}:{bus.port}"
            self._term.print(self._term.say("simulate.ready", place=place))
            self._term.out.file.flush()
            with self._keys(loop):
                await self._show(simulation, ended)
        finally:
            if line is not None:
                line.close()
            if device is not None:
                device.close()
            await simulation.close()

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An instrument that cannot show its value says nothing; here is why."""
        self._answer = self._term.say("simulate.failed", words=context.get("exception") or context["message"])
        if not self._is_live:
            typer.echo(self._answer, err=True)

    @contextlib.contextmanager
    def _keys(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        keys = sys.stdin.fileno()
        before = termios.tcgetattr(keys) if self._is_live else None
        if before is not None:
            tty.setcbreak(keys)
        readable = True
        try:
            loop.add_reader(keys, self._hear, loop, keys)
        except PermissionError:  # a plain file, or /dev/null: nothing is ever typed there
            readable = False
        try:
            yield
        finally:
            if readable:
                loop.remove_reader(keys)
            if before is not None:
                termios.tcsetattr(keys, termios.TCSADRAIN, before)

    def _hear(self, loop: asyncio.AbstractEventLoop, keys: int) -> None:
        typed = os.read(keys, CHUNK).decode(errors="replace")
        if not typed:
            loop.remove_reader(keys)
        for character in typed:
            if character in "\r\n":
                self._obey(self._typed)
                self._typed = ""
            elif character in "\x7f\x08":
                self._typed = self._typed[:-1]
            elif character.isprintable() and len(self._typed) < CHUNK:
                self._typed += character

    def _obey(self, line: str) -> None:
        if not line.strip():
            return
        try:
            self._bench.obey(line)
            self._answer = self._term.say("simulate.done", line=line.strip())
        except HandError as error:
            self._answer = told(error, self._term.say)
        if not self._is_live:
            self._term.print(self._answer)
            self._term.out.file.flush()

    async def _show(self, simulation: Simulation, ended: asyncio.Event) -> None:
        if not self._is_live:
            await ended.wait()
            return
        with Live(console=self._term.out, auto_refresh=False, transient=True) as live:
            while not ended.is_set():
                live.update(self._picture(), refresh=True)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), REFRESH_S)

    def _picture(self) -> RenderableType:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for label in ("instrument", "indication", "value", "fault"):
            table.add_column(self._term.say(f"label.{label}"))
        now_ms = real_clock()
        for hand in self._bench.hands.values():
            fault = self._bench.faults.get(hand.name)
            values = hand.shown(now_ms)
            for number, (name, indication) in enumerate(hand.indications.items()):
                first = (hand.name, fault.kind if fault else "") if number == 0 else ("", "")
                cells = (first[0], name, by_hand.shown(indication, values.get(name)), first[1])
                table.add_row(*map(Text, cells))
        return Group(table, Text(self._answer), Text(f"> {self._typed}"))
