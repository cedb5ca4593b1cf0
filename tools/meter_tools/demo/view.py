"""What the demo shows: the live table, and the summary that closes it."""

from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME
from meter_tools.demo.far_end import FarEnd
from meter_tools.demo.scene import Channel, Scene

if TYPE_CHECKING:
    from meter_tools.demo.run import Outcome


def live(scene: Scene, far_end: FarEnd, counts: dict[str, int]) -> RenderableType:
    table = Table(title=scene.title, title_justify="left", expand=False)
    for heading, side in (
        ("channel", "left"),
        ("newest reading", "right"),
        ("since the start", "right"),
        ("unit", "left"),
    ):
        table.add_column(heading, justify="right" if side == "right" else "left")
    for channel in scene.channels:
        table.add_row(
            channel.indication,
            _newest(far_end, channel),
            _since_start(far_end, channel),
            escape(BY_NAME[channel.quantity].ucum),
        )
    expected = "" if scene.intervals is None else f" of {scene.intervals} intervals and their events"
    line = (
        f"gateway: {counts.get('stored', 0)} stored, {counts.get('rejected', 0)} rejected\n"
        f"far end: {far_end.messages} verified{expected}, {far_end.accepted} accepted"
    )
    return Group(table, line)


def summary(console: Console, outcome: "Outcome") -> None:
    table = Table(title="summary", title_justify="left")
    table.add_column("messages")
    table.add_column("", justify="right")
    for label, number in (
        ("sealed by the meter", outcome.sealed),
        ("sent before enrolment, without an answer", outcome.before_enrolment),
        ("received and stored by the gateway", outcome.received),
        ("verified at the far end", outcome.verified),
        ("rejected", outcome.rejected),
        ("lost", outcome.lost),
        ("repeated on the wire", outcome.repeated),
    ):
        table.add_row(label, str(number))
    console.print(table)
    if outcome.comparisons:
        energies = Table(title="quantities", title_justify="left")
        energies.add_column("channel")
        has_trace = any(comparison.in_trace is not None for comparison in outcome.comparisons)
        for heading in ("instrument", *(["trace"] if has_trace else []), "uplink"):
            energies.add_column(heading, justify="right")
        energies.add_column("unit")
        energies.add_column("")
        for comparison in outcome.comparisons:
            channel = comparison.channel
            energies.add_row(
                channel.indication,
                *(_value(value, channel) for value in comparison.values if value is not None),
                escape(BY_NAME[channel.quantity].ucum),
                "equal" if comparison.equal else "DIFFERS",
            )
        console.print(energies)
    if outcome.values_checked:
        console.print(
            f"{outcome.values_checked} single values compared with the trace, {outcome.values_wrong} differ"
        )
    verdict = "nothing lost, nothing counted twice, everything equal" if outcome.good else "NOT EQUAL: see above"
    console.print(f"[bold]{verdict}[/bold]")


def _newest(far_end: FarEnd, channel: Channel) -> str:
    readings = [reading for reading in far_end.readings.get(channel.id, []) if reading.kind == f.KIND_REGULAR]
    if not readings:
        return "…"
    value = readings[-1].values[1] if channel.is_register else readings[-1].values[3]
    return "no reading" if value is None else _value(value, channel)


def _since_start(far_end: FarEnd, channel: Channel) -> str:
    if not channel.is_register:
        return ""
    totals = far_end.totals(channel.id)
    return _value(totals[-1] - totals[0], channel) if totals else "…"


def _value(mantissa: int, channel: Channel) -> str:
    return f"{Decimal(mantissa).scaleb(channel.exponent):,f}"
