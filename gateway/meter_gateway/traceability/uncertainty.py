"""What is known of the uncertainty of one reading, from the certificate that speaks for its instrument.

The measurand is a mean, or the increase of a register over one interval, in the quantity's own unit:

1. calibration: u of the error of indication at the operating point, interpolated (metrology.error_curve); or, from
   a verification certificate, a class: rectangular with ±MPE (GUM 4.3.7);
2. resolution: a mean is rounded to its last digit, ±half a step, rectangular (GUM F.2.2.1); an increase is the
   difference of two indications, each so: triangular over ±one step.

The error of indication itself is not in the reading: what is signed is what the instrument showed. It is given
beside the budget, for whoever corrects by it (GUM 3.2.3). What no certificate says is no component: drift since
the calibration, repeatability in place, influence quantities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meter_gateway.metrology.budget import Component, Distribution, bounded, normal
from meter_gateway.metrology.error_curve import ErrorCurve, ErrorPoint
from meter_gateway.traceability import units
from meter_gateway.traceability.certificate import CalibrationResult, Result, VerificationResult
from meter_gateway.traceability.operating_point import MS_PER_HOUR, Limits, range_check
from meter_gateway.traceability.parameters import Channel
from meter_protocol import fields as f

CALIBRATION, CLASS, RESOLUTION = "calibration", "class", "resolution"

Row = Mapping[int, Sequence[Any]]
"""The readings of one message, by channel (SPEC §5.1)."""

_REGISTER_MAX_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Indicated:
    """One reading in its quantity's unit, and its operating point in the unit of the axis' quantity."""

    value: float
    operating_point: float
    step: float
    """One step of the last digit, or of the register."""

    is_increase: bool


def shown(channel: Channel, row: Row, before: Row | None) -> int | None:
    """A mean, or a register's increase since the message before, as a mantissa of the channel's exponent.

    None where there is none: no value, no message before, or a register that did not go up.
    """
    reading = row.get(channel.id)
    is_register = channel.kind == f.CHANNEL_REGISTER
    if reading is None or is_register != (len(reading) <= _REGISTER_MAX_LENGTH):
        return None
    if not is_register:
        mean: int | None = reading[3]
        return mean
    earlier = None if before is None else before.get(channel.id)
    total, total_before = reading[1], None if earlier is None else earlier[1]
    return None if total is None or total_before is None or total < total_before else total - total_before


def indicated(
    channel: Channel,
    channels: Mapping[int, Channel],
    result: Result,
    row: Row,
    before: Row | None,
    duration_ms: int | None,
) -> Indicated | None:
    """What the channel's reading shows, at its operating point; None where one of them is not known."""
    mantissa = shown(channel, row, before)
    limits = range_check(channel, channels, result).limits
    if mantissa is None or limits is None:
        return None
    scale = 10.0**channel.exponent
    if isinstance(limits, Limits):
        source = channels[limits.source]
        mean = shown(source, row, None)
        point = None if mean is None else mean * 10.0**source.exponent
    else:
        point = mantissa * scale * MS_PER_HOUR / duration_ms if duration_ms else None
    if point is None:
        return None
    is_register = channel.kind == f.CHANNEL_REGISTER
    return Indicated(mantissa * scale, point, scale * (channel.ratio if is_register else 1), is_register)


def components(result: Result, indicated: Indicated) -> tuple[list[Component], float | None]:
    """Components in the quantity's unit, and the error of indication there; None where only a class is known.

    OutsideCalibratedRange beyond the calibrated points. MetrologyError where units are not the quantity's.
    """
    known, error = _instrument(result, indicated)
    shape = Distribution.TRIANGULAR if indicated.is_increase else Distribution.RECTANGULAR
    half_width = indicated.step if indicated.is_increase else indicated.step / 2
    return [known, bounded(RESOLUTION, 0.0, half_width, shape)], error


def _instrument(result: Result, indicated: Indicated) -> tuple[Component, float | None]:
    if isinstance(result, VerificationResult):
        half_width = float(result.contribution.half_width_percent) / 100 * abs(indicated.value)
        return bounded(CLASS, indicated.value, half_width), None
    point = _curve(result).at(indicated.operating_point)
    scale = _error_scale(result, indicated.value)
    return normal(CALIBRATION, indicated.value, point.standard_uncertainty * scale), point.error * scale


def _curve(result: CalibrationResult) -> ErrorCurve:
    scale = float(units.factor(result.axis.unit, result.axis.quantity) or 0)
    return ErrorCurve(
        [
            ErrorPoint(float(p.reference) * scale, float(p.error), float(p.expanded_uncertainty / p.k))
            for p in result.points
        ]
    )


def _error_scale(result: CalibrationResult, value: float) -> float:
    """From the certificate's error unit to the quantity's own."""
    if result.error_unit == "%" and result.quantity.ucum != "%":
        return abs(value) / 100
    return float(units.factor(result.error_unit, result.quantity) or 0)
