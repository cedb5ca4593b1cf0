"""`carbonmeter quality`: how complete, valid, timely, traceable and certain each channel's days are."""

import csv
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from meter_gateway import policy, quality_drawing
from meter_gateway.balances.outcomes import Outcome, most_telling
from meter_gateway.commands.balances import followed
from meter_gateway.commands.picture import PlotOption, check, save
from meter_gateway.commands.readings import find_meter, time_option
from meter_gateway.commands.terminal import (
    NEGATIVE,
    ConfigOption,
    Terminal,
    configured,
    existing_store,
    terminal,
)
from meter_gateway.policy import Scheme
from meter_gateway.quality.collect import Collected, Collector
from meter_gateway.quality.days import ASPECTS, Place, Quality
from meter_gateway.quality.rows import COLUMNS, Row, csv_values, mean_delay_s, percent, rows_of
from meter_gateway.report import quantity_text
from meter_gateway.store import Store
from meter_gateway.texts import Texts
from meter_gateway.traceability import Trust, load_trust
from meter_protocol import types as t

SHOWN = 200
"""Rows of a table; all days are in the CSV file."""

_LABELS = {
    "completeness": "completeness",
    "validity": "validity_share",
    "timeliness": "timeliness",
    "traceability": "traceability",
    "uncertainty": "uncertainty_share",
}
"""Two of the words have another meaning beside a certificate."""


def quality(
    ctx: typer.Context,
    meter: Annotated[str | None, typer.Argument(help="serial number or thumbprint; else all")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="2026-11-22 or 2026-11-22T08:30+08:00", show_default=False)
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="end, not included; else now", show_default=False)] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="write every day with its numbers", show_default=False)
    ] = None,
    plot: PlotOption = None,
    config: ConfigOption = None,
) -> None:
    """Show the quality of stored data by channel and day. Exit code 1 if a target or a balance is missed."""
    check(plot)
    term, settings = terminal(ctx), configured(config)
    store = existing_store(settings)
    scheme = policy.load_scheme(settings.gateway.scheme)
    meters = store.registry.meters()
    chosen = None if meter is None else find_meter(meters, meter).key.thumbprint
    from_ms, to_ms = (None if text is None else time_option(text) for text in (from_, to))
    trust = load_trust(settings)
    collected = _collect(term, store, scheme, trust, (chosen, from_ms, to_ms))
    until_ms = time.time_ns() // 1_000_000 if to_ms is None else to_ms
    serials = {entry.key.thumbprint: entry.serial for entry in meters}
    rows = list(rows_of(collected, scheme.thresholds, serials, from_ms, until_ms))
    if not rows:
        term.print(term.say("quality.none"))
        _print_untimed(term, collected)
        return
    if csv_file is not None:
        _write_csv(csv_file, rows)
        term.print(term.say("quality.did_csv", path=csv_file))
    if plot is not None:
        save(term, plot, _drawing(term.say, rows), "quality.did_plot")
    _print(term, rows, scheme, collected)
    violated = _print_balances(term, store, trust, (chosen, from_ms, to_ms))
    if violated or any(row.quality.missed for row in rows):
        raise typer.Exit(NEGATIVE)


Asked = tuple[bytes | None, int | None, int | None]
"""(thumbprint, from_ms, to_ms)"""


def _collect(term: Terminal, store: Store, scheme: Scheme, trust: Trust, asked: Asked) -> Collected:
    collector = Collector(store, scheme, trust)
    columns = TextColumn(term.say("quality.working")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=term.err, transient=True) as progress:
        task = progress.add_task("", total=store.archive.count(*asked, types=(t.READINGS,)))
        return collector.run(*asked, told=lambda done: progress.update(task, completed=done))


def _print(term: Terminal, rows: Sequence[Row], scheme: Scheme, collected: Collected) -> None:
    say = term.say
    term.heading(say("quality.title", scheme=scheme.name))
    has_hours = any(row.quality.valid_hours is not None for row in rows)
    aspects = [_LABELS[aspect] for aspect in ASPECTS]
    labels = ["day", "meter", "channel", "quantity", *aspects[:3], "delay", *aspects[3:]]
    labels += (["valid_hours"] if has_hours else []) + ["grade"]
    term.table(labels, (_cells(row, say, has_hours) for row in islice(rows, SHOWN)))
    if len(rows) > SHOWN:
        term.print(say("quality.more", shown=SHOWN, count=len(rows)))
    _print_untimed(term, collected)
    _print_sources(term, scheme)


def _print_sources(term: Terminal, scheme: Scheme) -> None:
    """Whose numbers these are, and how well they are known."""
    numbers = scheme.thresholds
    if numbers.quality is None:
        term.print(term.say("quality.ungraded"))
    for name, table in (("quality.targets", numbers.quality), ("quality.valid_data", numbers.data_validity)):
        if table is not None:
            is_sure = table.tag != "M"
            told = table.clause if is_sure else term.say("quality.to_confirm", clause=table.clause)
            term.print(term.say("layout.line", label=term.say(name), value=told))


def _print_untimed(term: Terminal, collected: Collected) -> None:
    if collected.untimed:
        term.print(term.say("quality.untimed", count=collected.untimed))


def _cells(row: Row, say: Texts, has_hours: bool) -> tuple[str, ...]:
    found, day = row.quality, row.day
    quantity = "–" if row.quantity is None else quantity_text(row.quantity, say)
    known = [getattr(found, aspect) for aspect in ASPECTS]
    shares = ["–" if share is None else f"{percent(share)} %" for share in known]
    mean_s = mean_delay_s(day)
    delay = "–" if mean_s is None else f"{mean_s} s / {day.delay_max_ms // 1000} s"
    hours = [] if not has_hours else ["–" if found.valid_hours is None else f"{found.valid_hours}"]
    if hours and found.is_day_valid is not None:
        hours = [f"{found.valid_hours} {'✓' if found.is_day_valid else '✗'}"]
    return (
        row.date.isoformat(), row.serial, str(row.place[1]), quantity, *shares[:3], delay, *shares[3:],
        *hours, _grade(found, say),
    )  # fmt: skip


def _grade(found: Quality, say: Texts) -> str:
    if found.missed is None:
        return "–"
    if not found.missed:
        return say("quality.met")
    return say("quality.missed", names=", ".join(say(f"label.{_LABELS[aspect]}") for aspect in found.missed))


def _print_balances(term: Terminal, store: Store, trust: Trust, asked: Asked) -> bool:
    """Whether one is violated. What verdicts were told, and what came in since."""
    chosen, from_ms, to_ms = asked
    say, zone = term.say, timezone(timedelta(minutes=trust.utc_offset_minutes))
    ledger = followed(term, store, trust)
    balances = [each for each in ledger.balances if chosen is None or each.is_about(chosen)]
    for balance in balances:
        if ledger.is_unfit(balance):
            term.print(say("quality.unfit_balance", name=balance.name))
    outcomes = [outcome for each in balances for outcome in ledger.outcomes(each, from_ms, to_ms)]
    if outcomes:
        cells = [_balance_cells(each, say, zone) for each in most_telling(outcomes, SHOWN)]
        term.table(("balance", "time", "total", "parts", "difference", "grade"), cells)
    if len(outcomes) > SHOWN:
        term.print(say("quality.more_balances", shown=SHOWN, count=len(outcomes)))
    return any(outcome.is_violated for outcome in outcomes)


def _balance_cells(outcome: Outcome, say: Texts, zone: timezone) -> tuple[str, ...]:
    start = datetime.fromtimestamp(outcome.start_ms // 1000, UTC).astimezone(zone)
    difference = outcome.total - outcome.parts
    share = "" if not outcome.total else f" ({float(difference / outcome.total):+.2%})"
    return (
        outcome.name,
        f"{start:%Y-%m-%d %H:%M}",
        f"{float(outcome.total):.6g}",
        f"{float(outcome.parts):.6g}",
        f"{float(difference):+.6g}{share}",
        say("quality.unbalanced" if outcome.is_violated else "quality.met"),
    )


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(csv_values, rows))


def _drawing(say: Texts, rows: Sequence[Row]) -> str:
    """The latest days, and the aspects of which something is known."""
    days = sorted({row.date for row in rows})[-quality_drawing.MAX_DAYS :]
    by_place: dict[Place, dict[date, Quality]] = {}
    names: dict[Place, str] = {}
    for row in rows:
        by_place.setdefault(row.place, {})[row.date] = row.quality
        quantity = "" if row.quantity is None else quantity_text(row.quantity, say)
        names[row.place] = f"{row.serial} {row.place[1]} {quantity}"
    panels = [
        quality_drawing.Panel(
            say(f"label.{_LABELS[aspect]}"),
            [[_cell(found.get(day), aspect) for day in days] for found in by_place.values()],
        )
        for aspect in ASPECTS
        if any(getattr(row.quality, aspect) is not None for row in rows)
    ]
    words = {"unknown": say("quality.unknown_day"), "missed": say("quality.missed_day")}
    title = say("quality.plot_title", first=days[0].isoformat(), last=days[-1].isoformat())
    return quality_drawing.draw(title, list(names.values()), days, panels, words)


def _cell(found: Quality | None, aspect: str) -> quality_drawing.Cell:
    if found is None:
        return quality_drawing.Cell(None, False)
    return quality_drawing.Cell(getattr(found, aspect), aspect in (found.missed or ()))
