"""An authentic message in plain words: fields -> labelled lines, for `verify` and for whoever reads a journal.

Nothing here verifies or judges. Values are exact decimals in the unit of the parameter set; without a set they
are shown as the bare integers that they are.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from meter_gateway.model import Fields
from meter_gateway.texts import Texts
from meter_gateway.traceability import software
from meter_gateway.traceability.parameters import Channel, ParameterSet
from meter_gateway.traceability.status import CODES_OF_STATUS
from meter_gateway.values import decimal_text, has_scale, time_text
from meter_protocol import comparison as cm
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import schema
from meter_protocol import types as t
from meter_protocol.quantities import BY_CODE

Line = tuple[str, str]
"""Label and value."""

_KINDS = {f.KIND_REGULAR: "regular", f.KIND_OUTAGE: "outage", f.KIND_PARTIAL: "partial"}
_CLOCKS = {
    f.CLOCK_UNKNOWN: "unknown",
    f.CLOCK_INFORMATIVE: "informative",
    f.CLOCK_SYNCHRONISED: "synchronised",
    f.CLOCK_RELATIVE: "relative",
}
_PROTECTIONS = {
    f.KEY_SOFTWARE: "software",
    f.KEY_NATIVE: "native",
    f.KEY_SECURE_ELEMENT: "secure_element",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One channel's reading. `value` and `unit` are exact; None where the meter gave no value."""

    channel: int
    quantity: str | None
    unit: str | None
    kind: str
    value: str | None
    s: str | None
    n: int | None
    n_expected: int | None
    low: str | None
    high: str | None
    last_total: str | None
    status: tuple[str, ...]
    exponent: int
    """Of the last digit; 0 where it is not known."""


THOUSANDTHS = 3
"""Parts are thousandths of a last digit."""


def entry_of(verdict: Fields | None, channel: int) -> Sequence[int] | None:
    """What the verdict states of the uncertainty of the channel's reading."""
    stated = [] if verdict is None else verdict[f.VERDICT_UNCERTAINTY]
    return next((entry for entry in stated if entry[0] == channel), None)


def combined(parts: Sequence[int]) -> int:
    """The root of the sum of their squares, rounded up."""
    square = sum(part * part for part in parts)
    root = math.isqrt(square)
    return root + (root * root < square)


def rows(readings: dict[int, list[Any]], parameters: ParameterSet | None) -> list[Row]:
    """Every channel's reading, by channel."""
    channels = {channel.id: channel for channel in parameters.channels} if parameters else {}
    return [_row(number, readings[number], channels.get(number)) for number in sorted(readings)]


def _row(number: int, reading: list[Any], channel: Channel | None) -> Row:
    exponent = 0 if channel is None else channel.exponent
    quantity = channel.quantity if channel else None

    def text(mantissa: int | None) -> str | None:
        return None if mantissa is None else decimal_text(mantissa, exponent)

    is_register = len(reading) <= 4
    return Row(
        channel=number,
        quantity=quantity.name if quantity else None,
        unit=quantity.ucum if quantity else None,
        kind="register" if is_register else "mean",
        value=text(reading[1] if is_register else reading[3]),
        s=None if is_register else text(reading[4]),
        n=None if is_register else reading[1],
        n_expected=None if is_register else reading[2],
        low=text(reading[5]) if len(reading) == 7 else None,
        high=text(reading[6]) if len(reading) == 7 else None,
        last_total=text(reading[2]) if len(reading) == 4 else None,
        status=CODES_OF_STATUS[reading[0]],
        exponent=exponent,
    )


def describe(typ: str, fields: Fields, parameters: ParameterSet | None, say: Texts) -> Iterator[Line]:
    """What the message says, line by line."""
    yield say("label.type"), say("type." + typ.removeprefix(t.PREFIX))
    if f.SEQUENCE in fields and f.EPOCH in fields:
        yield say("label.epoch"), fields[f.EPOCH].hex()
        yield say("label.sequence"), str(fields[f.SEQUENCE])
    if f.METER in fields:
        yield say("label.meter"), fields[f.METER].hex()
    yield from _time(fields, say)
    if typ in _BODIES:
        yield from _BODIES[typ](fields, parameters, say)


def _time(fields: Fields, say: Texts) -> Iterator[Line]:
    status, time_ms = fields[f.CLOCK_STATUS], fields[f.TIME_MS]
    if has_scale(status):
        yield say("label.time"), time_text(time_ms)
    elif status == f.CLOCK_RELATIVE:
        yield say("label.time"), say("clock.since_start", seconds=decimal_text(time_ms, -3))
    yield (
        say("label.clock"),
        say(f"clock.{_CLOCKS[status]}", uncertainty=fields[f.CLOCK_UNCERTAINTY_MS]),
    )


def _readings(fields: Fields, parameters: ParameterSet | None, say: Texts) -> Iterator[Line]:
    duration_ms = fields[f.DURATION_MS]
    if duration_ms is None:
        yield say("label.interval"), say("interval.unknown")
    else:
        kind = _KINDS[fields[f.KIND]]
        yield say("label.interval"), say(f"interval.{kind}", seconds=decimal_text(duration_ms, -3))
    yield say("label.jitter"), f"{fields[f.JITTER_MS]} ms"
    for row in rows(fields[f.READINGS], parameters):
        yield f"{say('label.channel')} {row.channel}", reading_text(row, say)


def reading_text(row: Row, say: Texts) -> str:
    parts = [] if row.quantity is None else [quantity_text(row.quantity, say) + ","]
    unit = row.unit or ""
    if row.value is None and row.last_total is not None:
        parts.append(say("reading.last_total", value=row.last_total, unit=unit).rstrip())
    elif row.value is None:
        parts.append(say("reading.none"))
    elif row.kind == "register":
        parts.append(say("reading.total", value=row.value, unit=unit).rstrip())
    else:
        shown = {"value": row.value, "unit": unit, "s": row.s or "–", "n": row.n, "expected": row.n_expected}
        parts.append(say("reading.mean", **shown))
    if row.low is not None and row.high is not None:
        parts.append("(" + say("reading.between", low=row.low, high=row.high) + ")")
    if row.quantity is None:
        parts.append(say("reading.unscaled"))
    parts += [f"[{code}] {say.finding(code)}" for code in row.status]
    return " ".join(parts)


def quantity_text(name: str, say: Texts) -> str:
    return say(f"quantity.{name}")


def _event(fields: Fields, _: ParameterSet | None, say: Texts) -> Iterator[Line]:
    code = fields[f.EVENT_CODE]
    yield say("label.event"), say(f"event.{ev.NAMES[code]}")
    for key, name, _check in schema.event_table(code):
        yield say(f"detail.{name}"), _detail(name, fields[f.DETAILS][key], say)


def _detail(name: str, value: Any, say: Texts) -> str:
    if value is None:
        return say("detail.none")
    if name == "manifest":
        manifest = software.decode(value)
        return say("detail.bytes", count=len(value)) if manifest is None else _version(manifest, say)
    if name == "drift_ppb":
        return say("detail.drift", ppm=decimal_text(value, -3))
    if name == "reason":
        return say.coded_reason(value)
    if name in ("last_receipt", "parameter_set", "time_reply"):
        return say("detail.bytes", count=len(value))
    if isinstance(value, bytes):
        return value.hex()
    if name in ("old_time_ms", "new_time_ms", "span_start_ms"):
        return time_text(value)
    if isinstance(value, dict):
        return ", ".join(f"{channel}: {value[channel]}" for channel in sorted(value)) or say("detail.none")
    if isinstance(value, list):
        return ", ".join(value) or say("detail.none")
    return str(value)


def _identity(fields: Fields, _: ParameterSet | None, say: Texts) -> Iterator[Line]:
    yield say("label.serial"), fields[f.SERIAL]
    yield say("label.maker"), fields[f.MAKER]
    yield say("label.model"), fields[f.MODEL]
    yield say("label.key_protection"), say(f"protection.{_PROTECTIONS[fields[f.KEY_PROTECTION]]}")
    yield say("label.software"), fields[f.SOFTWARE_ID].hex()


def _receipt(fields: Fields, _: ParameterSet | None, say: Texts) -> Iterator[Line]:
    yield say("label.hash"), fields[f.HASH].hex()


def _refusal(fields: Fields, _: ParameterSet | None, say: Texts) -> Iterator[Line]:
    yield say("label.digest"), fields[f.DIGEST].hex()
    yield say("label.reason"), f"[{fields[f.REASON]}] {say.reason(fields[f.REASON])}"


def _nonce(fields: Fields, _: ParameterSet | None, say: Texts) -> Iterator[Line]:
    yield say("label.nonce"), fields[f.NONCE].hex()


def _parameter_set(fields: Fields, _: ParameterSet | None, say: Texts) -> Iterator[Line]:
    yield say("label.version"), str(fields[f.SET_VERSION])
    yield say("label.interval"), f"{fields[f.INTERVAL_S]} s"
    instruments: Sequence[Fields] = fields[f.INSTRUMENTS]
    for entry in fields[f.CHANNELS]:
        instrument = instruments[entry[f.CHANNEL_INSTRUMENT]]
        scale = f"× {entry[f.CHANNEL_RATIO]} × 10^{entry[f.CHANNEL_EXPONENT]}"
        source = f"{instrument[f.INSTRUMENT_DRIVER]} {instrument[f.INSTRUMENT_SERIAL] or ''}".strip()
        yield (
            f"{say('label.channel')} {entry[f.CHANNEL_ID]}",
            f"{_coded_quantity(entry[f.CHANNEL_QUANTITY], say)} = {source}.{entry[f.CHANNEL_INDICATION]} {scale}",
        )


def _coded_quantity(code: int, say: Texts) -> str:
    quantity = BY_CODE.get(code)
    return say("quantity.unknown", code=code) if quantity is None else quantity_text(quantity.name, say)


def _update_manifest(fields: Fields, _: ParameterSet | None, say: Texts) -> Iterator[Line]:
    yield say("label.software"), _version(fields, say)
    yield say("label.vendor"), str(UUID(bytes=fields[f.VENDOR_IDENTIFIER]))
    yield say("label.class"), str(UUID(bytes=fields[f.CLASS_IDENTIFIER]))
    yield say("label.image"), fields[f.IMAGE_DIGEST].hex()
    yield say("label.size"), str(fields[f.IMAGE_SIZE])
    if fields[f.DOWNGRADE_FROM] is not None:
        yield say("label.downgrade"), say("update.downgrade", sequence=fields[f.DOWNGRADE_FROM])


def _version(manifest: Fields, say: Texts) -> str:
    return say("update.version", version=manifest[f.SOFTWARE_VERSION], sequence=manifest[f.MANIFEST_SEQUENCE])


def _image_part(fields: Fields, _: ParameterSet | None, say: Texts) -> Iterator[Line]:
    yield say("label.image"), fields[f.DIGEST].hex()
    yield say("label.chunk"), str(fields[f.CHUNK_INDEX])


def _verdict_batch(fields: Fields, _: ParameterSet | None, say: Texts) -> Iterator[Line]:
    yield say("label.root"), fields[f.ROOT].hex()
    yield say("label.count"), str(fields[f.COUNT])


def _comparison(fields: Fields, _: ParameterSet | None, say: Texts) -> Iterator[Line]:
    reference = fields[cm.REFERENCE]
    yield say("label.run"), fields[cm.RUN].hex()
    yield say("label.kind"), say(f"compare.kind_{cm.KINDS[fields[cm.KIND]]}")
    yield say("label.channel"), f"{fields[cm.CHANNEL]}, {_coded_quantity(fields[cm.QUANTITY], say)}"
    yield say("label.instrument"), fields[cm.SERIAL]
    yield say("label.reference"), f"{reference[cm.REFERENCE_NAME]}, {reference[cm.REFERENCE_SERIAL]}"
    yield say("label.interval"), f"{time_text(fields[cm.START_MS])} – {time_text(fields[cm.END_MS])}"
    yield say("label.person"), fields[cm.PERSON]
    yield say("label.outcome"), say(f"compare.outcome_{_OUTCOMES[fields[cm.OUTCOME]]}")
    yield say("label.reason"), ", ".join(fields[cm.REASONS]) or "–"
    yield say("label.digest"), fields[cm.RAW_DIGEST].hex()


_OUTCOMES = {cm.PASSED: "pass", cm.FAILED: "fail", cm.INCONCLUSIVE: "inconclusive"}

_BODIES = {
    t.READINGS: _readings,
    t.EVENT: _event,
    t.IDENTITY: _identity,
    t.RECEIPT: _receipt,
    t.REFUSAL: _refusal,
    t.TIME_REQUEST: _nonce,
    t.TIME_REPLY: _nonce,
    t.PARAMETER_SET: _parameter_set,
    t.UPDATE_MANIFEST: _update_manifest,
    t.IMAGE_REQUEST: _image_part,
    t.IMAGE_CHUNK: _image_part,
    t.COMPARISON: _comparison,
    t.VERDICT_BATCH: _verdict_batch,
}
