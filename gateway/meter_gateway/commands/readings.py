"""`carbonmeter readings`: what was measured, in exact decimals, with what the gateway made of it."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer

from meter_gateway import report
from meter_gateway.archive import StoredMessage
from meter_gateway.certificate_folder import replace_file
from meter_gateway.commands.terminal import ConfigOption, Terminal, configured, existing_store, terminal
from meter_gateway.history import ParameterHistory, walk
from meter_gateway.metrology import budget_table
from meter_gateway.model import Fields
from meter_gateway.registry import Meter
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.values import decimal_text, has_scale, parse_time, time_text, utc_text
from meter_protocol import fields as f
from meter_protocol import types as t

SHOWN = 100
"""Messages in a table unless told otherwise."""

_FORMATS = Literal["table", "csv", "json"]
_CLOCKS = ("unknown", "informative", "synchronised", "relative")
_ACCEPTANCE = ("not_accepted", "accepted")
_KINDS = ("regular", "outage", "partial")


@dataclass(frozen=True, slots=True)
class Record:
    """One channel's reading as CSV and JSON give it. Values are decimal strings: no reader may round them."""

    meter: str
    serial: str
    epoch: str
    sequence: int
    time: str
    clock: str
    clock_uncertainty_ms: int | None
    kind: str
    duration_ms: int | None
    jitter_ms: int
    channel: int
    quantity: str | None
    unit: str | None
    reading: str
    value: str | None
    s: str | None
    n: int | None
    n_expected: int | None
    minimum: str | None
    maximum: str | None
    last_total: str | None
    status: str
    accepted: bool | None
    scheme: str | None
    revision: int | None
    findings: str
    u: str | None
    """Combined standard uncertainty, rounded up: of the mean, or of the increase since the total before."""

    u_parts: str
    """What it is made of (SPEC §8.2): common to the channel, random, resolution, and to each certificate."""

    budget: str | None


class _Found(NamedTuple):
    message: StoredMessage
    fields: Fields
    row: report.Row


COLUMNS = tuple(Record.__dataclass_fields__)


def readings(
    ctx: typer.Context,
    meter: Annotated[
        str | None, typer.Option("--meter", help="serial number or thumbprint", show_default=False)
    ] = None,
    channel: Annotated[int | None, typer.Option("--channel", help="one channel", show_default=False)] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="2026-11-22 or 2026-11-22T08:30+08:00", show_default=False)
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="end, not included", show_default=False)] = None,
    format_: Annotated[_FORMATS, typer.Option("--format", help="how to print them")] = "table",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help=f"messages at most; a table shows {SHOWN}")
    ] = None,
    budgets: Annotated[
        Path | None,
        typer.Option("--budgets", help="folder for the budget records that verdicts name", show_default=False),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show stored readings in exact decimals with their unit, verdict and findings."""
    term, store = terminal(ctx), existing_store(configured(config))
    meters = store.registry.meters()
    chosen = None if meter is None else find_meter(meters, meter).key.thumbprint
    from_ms, to_ms = (None if text is None else time_option(text) for text in (from_, to))
    stored = walk(store.archive, chosen, from_ms, to_ms, (t.READINGS,))
    if budgets is not None:
        stored = _with_budgets(stored, store, budgets)
    serials = {entry.key.thumbprint: entry.serial for entry in meters}
    if format_ == "table":
        _print_table(term, _rows(store, stored, channel), serials, limit or SHOWN)
        return
    found = _rows(store, islice(stored, limit), channel)
    records = (_record(entry, serials[entry.message.thumbprint]) for entry in found)
    (_print_csv if format_ == "csv" else _print_json)(records)


def _with_budgets(stored: Iterable[StoredMessage], store: Store, folder: Path) -> Iterator[StoredMessage]:
    """The same messages; what their verdicts name is written on the way, each record once, by its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    written: set[bytes] = set()
    for message in stored:
        digest = None if message.verdict is None else message.verdict[f.VERDICT_BUDGET]
        record = None if digest is None or digest in written else store.archive.budget(digest)
        if digest is not None and record is not None:
            replace_file(folder / f"{digest.hex()}.cbor", record)
            written.add(digest)
        yield message


def find_meter(meters: Sequence[Meter], text: str) -> Meter:
    """The meter of this serial number, or whose thumbprint begins so."""
    digits = text.lower().replace(":", "")
    found = [m for m in meters if m.serial == text] or [
        m for m in meters if m.key.thumbprint.hex().startswith(digits)
    ]
    if not found:
        raise Told("readings.no_meter", text=text)
    if len(found) > 1:
        raise Told("readings.ambiguous", text=text)
    return found[0]


def time_option(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError:
        raise Told("readings.bad_time", text=text) from None


def _rows(store: Store, stored: Iterable[StoredMessage], channel: int | None) -> Iterator[_Found]:
    history = ParameterHistory(store.archive)
    for message in stored:
        fields = message.verified().fields
        for row in report.rows(fields[f.READINGS], history.at(message)):
            if channel is None or row.channel == channel:
                yield _Found(message, fields, row)


def _record(found: _Found, serial: str) -> Record:
    message, fields, row = found
    verdict = message.verdict
    status = fields[f.CLOCK_STATUS]
    entry, digest = report.entry_of(verdict, row.channel), None if verdict is None else verdict[f.VERDICT_BUDGET]
    parts = [] if entry is None else entry[1:]
    scale = row.exponent - report.THOUSANDTHS
    return Record(
        meter=message.thumbprint.hex(),
        serial=serial,
        epoch=message.epoch.hex(),
        sequence=message.sequence,
        time=utc_text(fields[f.TIME_MS]) if has_scale(status) else f"{fields[f.TIME_MS]} ms after start",
        clock=_CLOCKS[status],
        clock_uncertainty_ms=fields[f.CLOCK_UNCERTAINTY_MS],
        kind=_KINDS[fields[f.KIND]],
        duration_ms=fields[f.DURATION_MS],
        jitter_ms=fields[f.JITTER_MS],
        channel=row.channel,
        quantity=row.quantity,
        unit=row.unit,
        reading=row.kind,
        value=row.value,
        s=row.s,
        n=row.n,
        n_expected=row.n_expected,
        minimum=row.low,
        maximum=row.high,
        last_total=row.last_total,
        status=" ".join(row.status),
        accepted=None if verdict is None else verdict[f.VERDICT_ACCEPTANCE] == f.ACCEPTED,
        scheme=None if verdict is None else verdict[f.VERDICT_SCHEME],
        revision=None if verdict is None else verdict[f.VERDICT_REVISION],
        findings=" ".join(findings_of(verdict, row.channel)),
        u=decimal_text(report.combined(parts), scale) if parts else None,
        u_parts=" ".join(decimal_text(part, scale) for part in parts),
        budget=digest.hex() if digest is not None and parts else None,
    )


def findings_of(verdict: Fields | None, channel: int) -> list[str]:
    """Codes that concern this channel or the whole message."""
    found = [] if verdict is None else verdict[f.VERDICT_FINDINGS]
    return [code for code, about in found if about in (None, channel)]


def _print_csv(records: Iterable[Record]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(asdict(record).values() for record in records)


def _print_json(records: Iterable[Record]) -> None:
    separator = "["
    for record in records:
        print(separator + json.dumps(asdict(record), ensure_ascii=False), end="")
        separator = ",\n "
    print("[]" if separator == "[" else "]")


def _print_table(
    term: Terminal,
    found: Iterator[_Found],
    serials: dict[bytes, str],
    limit: int,
) -> None:
    """Time, meter and verdict once for each message; findings as numbers, explained below."""
    say = term.say
    notes: dict[str, int] = {}
    rows: list[tuple[str, ...]] = []
    shown: set[int] = set()
    is_cut = False
    for entry in found:
        is_first = entry.message.id not in shown
        if is_first and len(shown) == limit:
            is_cut = True
            break
        shown.add(entry.message.id)
        rows.append(_cells(entry, serials[entry.message.thumbprint], term, notes, is_first))
    if not rows:
        term.print(say("readings.none"))
        return
    term.table(("time", "meter", "verdict", "channel", "quantity", "value", "u", "findings"), rows)
    for code, number in notes.items():
        term.print(f"[{number}] {code}: {say.finding(code)}")
    if is_cut:
        term.print(say("readings.more", limit=limit))


def _cells(found: _Found, serial: str, term: Terminal, notes: dict[str, int], is_first: bool) -> tuple[str, ...]:
    say, row, fields = term.say, found.row, found.fields
    time = time_text(found.message.time_ms)
    verdict = found.message.verdict
    accepted = "parked" if verdict is None else _ACCEPTANCE[verdict[f.VERDICT_ACCEPTANCE]]
    codes = dict.fromkeys([*row.status, *findings_of(verdict, row.channel)])
    numbers = [notes.setdefault(code, len(notes) + 1) for code in codes]
    about = (
        time if has_scale(fields[f.CLOCK_STATUS]) else say("readings.about", time=time),
        serial,
        say(f"verdict.{accepted}"),
    )
    return (
        *(about if is_first else ("", "", "")),
        str(row.channel),
        "–" if row.quantity is None else report.quantity_text(row.quantity, say),
        "–" if row.value is None else f"{row.value} {row.unit or ''}".rstrip(),
        _u_text(verdict, row),
        " ".join(map(str, numbers)),
    )


def _u_text(verdict: Fields | None, row: report.Row) -> str:
    """Two digits of the combined standard uncertainty, which is of the increase where the value is a total."""
    entry = report.entry_of(verdict, row.channel)
    if entry is None:
        return "–"
    u = Decimal(report.combined(entry[1:])).scaleb(row.exponent - report.THOUSANDTHS)
    return budget_table.significant(float(u))
