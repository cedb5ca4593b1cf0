"""What a parameter set can do about an error that a comparison found, and the set that does it.

The firmware applies integers only: a channel's ratio, and for instruments whose register map is data the
multiplier of each register. An error that is proportional to the reading can be taken out by these, as far as
they resolve it:

1. a mean of a register map: its exponent becomes three digits finer and its multiplier larger by as much, times
   the factor; the channel's exponent follows, since a meter refuses a channel that is not its indication's;
2. any channel whose ratio is large enough to be changed by less than a tenth of the MPE.

For all others the firmware has no field: the instrument itself is to be adjusted, or its error stays known. A
proposal is a file for the authority, who seals it or does not; after that an as-left comparison shows what it did.

Whatever the run's outcome, two things must hold before anything is adjusted:

a. the error and its U are known: nothing that makes the whole run prove nothing is among its reasons
   (evaluation.py, 5), nor a point without uncertainties. That U is too large for the MPE, or a claim is not
   proven, is no such reason: it leaves the verdict open and the error known;
b. the error is significant: |error| > U, k = 2, the criterion by which a measured value is told from a
   reference's (ERM Application Note 1; Eurachem/CITAC QUAM, example A4). Within U the error may as well be 0, and
   a factor would put the reference's own error, or chance, in its place.
"""

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from meter_gateway.metrology.errors import MetrologyError
from meter_gateway.model import Fields
from meter_gateway.texts import Told
from meter_gateway.traceability.comparison import Comparison
from meter_protocol import comparison as cm
from meter_protocol import fields as f
from meter_protocol.quantities import BY_CODE

FINER = 3
_INDICATION_CELLS = 10
_SAMPLE_CELLS = 8
_EXPONENT, _LOW, _HIGH, _COUNTING, _MULTIPLIER = 5, 6, 7, 8, 9
_MAX_INT64 = (1 << 63) - 1
_MAX_RATIO = 10**9
_LEAST_EXPONENT = -18


_POINTS_SAY = {
    "claim_not_proven",
    "en_exceeded",
    "limit_exceeded",
    "mpe_exceeded",
    "mpe_not_proven",
    "relative_accuracy_exceeded",
    "uncertainty_too_large",
}
"""Reasons that do not put the error itself in doubt (metrology.comparison, evaluation, check_gas)."""


class FoundError(NamedTuple):
    """Of all points together, in percent of the reference's value; `uncertainty` is U, k = 2."""

    percent: float
    uncertainty: float

    @property
    def is_significant(self) -> bool:
        return abs(self.percent) > self.uncertainty


def doubts_of(event: Comparison) -> list[str]:
    """The reasons by which the run does not say what the error is."""
    return [reason for reason in event.fields[cm.REASONS] if reason not in _POINTS_SAY]


def error_of(event: Comparison) -> FoundError:
    """The error that a factor takes out. The points' U is mostly the reference's certificate, common to all of
    them, so they add up as they are; of a gas analyser the runs' own scatter belongs to it (the confidence
    coefficient).

    MetrologyError where the event has no points, or readings of nothing.
    """
    factor = factor_of(event)
    points = event.fields[cm.POINTS]
    reference = sum(point[cm.POINT_REFERENCE] for point in points)
    accuracy = event.fields[cm.RELATIVE_ACCURACY]
    scatter = 0 if accuracy is None else accuracy[cm.ACCURACY_COEFFICIENT]
    uncertainty = math.hypot(sum(point[cm.POINT_UNCERTAINTY] for point in points), scatter)
    return FoundError(100 * float(1 / factor - 1), 100 * uncertainty / reference)


def factor_of(event: Comparison) -> Fraction:
    """By which the channel's readings are to be multiplied: reference over indication, over all points.

    MetrologyError where the event has no points, or readings of nothing.
    """
    points = event.fields[cm.POINTS]
    reference = sum(point[cm.POINT_REFERENCE] for point in points)
    shown = sum(point[cm.POINT_REFERENCE] + point[cm.POINT_ERROR] for point in points)
    if reference <= 0 or shown <= 0:
        raise MetrologyError("the comparison has no point from which a factor follows")
    return Fraction(reference, shown)


def is_proportional(event: Comparison) -> bool:
    """Whether every point's error is within its U after the one factor: else a factor is not what is wrong."""
    factor = factor_of(event)
    return all(
        abs((point[cm.POINT_REFERENCE] + point[cm.POINT_ERROR]) * factor - point[cm.POINT_REFERENCE])
        <= point[cm.POINT_UNCERTAINTY]
        for point in event.fields[cm.POINTS]
    )


def adjusted(parameters: Fields, event: Comparison) -> Fields:
    """The set with a version more, and the one channel scaled anew. Told where the firmware has no field for
    it.
    """
    number, factor = event.fields[cm.CHANNEL], factor_of(event)
    channels = [dict(channel) for channel in parameters[f.CHANNELS]]
    instruments = [dict(instrument) for instrument in parameters[f.INSTRUMENTS]]
    channel = next((each for each in channels if each[f.CHANNEL_ID] == number), None)
    if channel is None:
        known = ", ".join(str(each[f.CHANNEL_ID]) for each in channels)
        raise Told("channel.none", channel=number, known=known)
    instrument = instruments[channel[f.CHANNEL_INSTRUMENT]]
    row = _row(instrument, channel[f.CHANNEL_INDICATION])
    if row is not None and channel[f.CHANNEL_KIND] == f.CHANNEL_MEAN and row[_COUNTING] == "sample":
        scaled = _scaled(row, factor)
        used = [each for each in channels if _is_fed_by(each, channel)]
        if scaled is not None:
            rows = instrument[f.INSTRUMENT_OPTIONS]
            instrument[f.INSTRUMENT_OPTIONS] = [scaled if each[0] == row[0] else each for each in rows]
            for each in used:
                each[f.CHANNEL_EXPONENT] = scaled[_EXPONENT]
                if each[f.CHANNEL_MAX_STEP] is not None:
                    each[f.CHANNEL_MAX_STEP] *= 10**FINER
            return _renewed(parameters, instruments, channels)
    ratio = round(channel[f.CHANNEL_RATIO] * factor)
    left = abs(Fraction(ratio, channel[f.CHANNEL_RATIO]) / factor - 1)
    points = [point for point in event.fields[cm.POINTS] if point[cm.POINT_REFERENCE]]
    parts = (Fraction(point[cm.POINT_MPE], abs(point[cm.POINT_REFERENCE])) for point in points)
    if not 1 <= ratio <= _MAX_RATIO or left > min(parts) / 10:
        raise Told("compare.no_field", channel=number, factor=f"{float(factor):.6f}")
    channel[f.CHANNEL_RATIO] = ratio
    return _renewed(parameters, instruments, channels)


def _renewed(parameters: Fields, instruments: list[Fields], channels: list[Fields]) -> Fields:
    version = parameters[f.SET_VERSION] + 1
    return {**parameters, f.SET_VERSION: version, f.INSTRUMENTS: instruments, f.CHANNELS: channels}


def _is_fed_by(one: Fields, other: Fields) -> bool:
    keys = (f.CHANNEL_INSTRUMENT, f.CHANNEL_INDICATION)
    return all(one[key] == other[key] for key in keys)


def _row(instrument: Fields, indication: str) -> list[Any] | None:
    """All ten cells of the indication's row, where the instrument's registers are data (docs/register-maps.md)."""
    for row in instrument[f.INSTRUMENT_OPTIONS] or ():
        if row and row[0] == indication and len(row) in (_SAMPLE_CELLS, _INDICATION_CELLS):
            return list(row) if len(row) == _INDICATION_CELLS else [*row, "sample", 1]
    return None


def _scaled(row: list[Any], factor: Fraction) -> list[Any] | None:
    """Finer by three digits and multiplied; None where that is beyond what an int64 or an exponent holds."""
    finer = 10**FINER
    low, high = row[_LOW] * finer, row[_HIGH] * finer
    multiplier, exponent = round(row[_MULTIPLIER] * finer * factor), row[_EXPONENT] - FINER
    if max(abs(low), abs(high), multiplier) > _MAX_INT64 or exponent < _LEAST_EXPONENT or multiplier < 1:
        return None
    return [*row[:_EXPONENT], exponent, low, high, row[_COUNTING], multiplier]


def as_file(parameters: Fields, key_files: Mapping[bytes, str]) -> str:
    """The set as an engineer writes it (docs/parameters.md). Told where it names a key whose file is not known."""
    lines = [
        f'meter = "{parameters[f.METER].hex()}"',
        f"version = {parameters[f.SET_VERSION]}",
        f"interval_s = {parameters[f.INTERVAL_S]}",
        f"sample_period_ms = {parameters[f.SAMPLE_PERIOD_MS]}",
    ]
    for name, key in (("receipt_keys", f.RECEIPT_KEYS), ("clock_keys", f.CLOCK_KEYS)):
        unknown = [each for each in parameters[key] if each not in key_files]
        if unknown or not parameters[key]:
            raise Told("compare.unknown_keys", name=name)
        lines.append(f"{name} = {_toml([key_files[each] for each in parameters[key]])}")
    for index, instrument in enumerate(parameters[f.INSTRUMENTS]):
        told = {
            "name": f"instrument{index}",
            "driver": instrument[f.INSTRUMENT_DRIVER],
            "bus": instrument[f.INSTRUMENT_BUS],
            "address": instrument[f.INSTRUMENT_ADDRESS],
            "serial": instrument[f.INSTRUMENT_SERIAL],
            "options": instrument[f.INSTRUMENT_OPTIONS],
        }
        lines += ["", "[[instrument]]", *_lines(told)]
    for channel in parameters[f.CHANNELS]:
        quantity = BY_CODE.get(channel[f.CHANNEL_QUANTITY])
        is_register = channel[f.CHANNEL_KIND] == f.CHANNEL_REGISTER
        told = {
            "id": channel[f.CHANNEL_ID],
            "instrument": f"instrument{channel[f.CHANNEL_INSTRUMENT]}",
            "indication": channel[f.CHANNEL_INDICATION],
            "quantity": "" if quantity is None else quantity.name,
            "kind": "register" if is_register else "mean",
            "exponent": channel[f.CHANNEL_EXPONENT],
            "ratio": channel[f.CHANNEL_RATIO],
            "modulus": channel[f.CHANNEL_MODULUS],
            "max_step": channel[f.CHANNEL_MAX_STEP],
            "operating_point": channel[f.CHANNEL_OPERATING_POINT],
            "extremes": channel[f.CHANNEL_EXTREMES] or None,
        }
        lines += ["", "[[channel]]", *_lines(told)]
    return "\n".join(lines) + "\n"


def _lines(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]


def _toml(value: Any) -> str:
    """TOML's strings, integers, booleans and lists of these are JSON's."""
    return json.dumps(value, ensure_ascii=False)
