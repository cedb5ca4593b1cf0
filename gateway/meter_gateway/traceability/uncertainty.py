"""A budget at one reading, component by component: what a verdict's closed form sums up (closed_form.py).

The measurand is a mean, or the increase of a register, in the quantity's own unit. Each component is a
correction with its uncertainty: that of the error of indication, interpolated at the operating point, and one
for each source of the budget. The error of indication itself is not taken out of the reading: what is signed is
what the instrument showed. It is the estimate of the component `calibration`, for whoever corrects by it (GUM
3.2.3).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from meter_gateway.metrology.budget import Component, Distribution, normal
from meter_gateway.metrology.error_curve import ErrorCurve, ErrorPoint
from meter_gateway.metrology.errors import MetrologyError
from meter_gateway.metrology.quantiles import CALIBRATION_K
from meter_gateway.traceability.certificate import Result, VerificationResult
from meter_gateway.traceability.channel_budget import (
    CalibratedPoint,
    ChannelBudget,
    Source,
    Unstated,
    largest_k,
    points_of,
)
from meter_gateway.traceability.operating_point import MS_PER_HOUR
from meter_gateway.traceability.rows import REGISTER_MAX_LENGTH, Reading, mean_of
from meter_gateway.traceability.terms import CALIBRATION
from meter_protocol import fields as f

Row = Mapping[int, Reading]
"""The readings of one message, by channel (SPEC §5.1)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What one message says of a channel: mantissas of the channel's and of the operating point's exponent."""

    value: int
    point: float


def shown(budget: ChannelBudget, row: Row, before: Row | None, duration_ms: int | None) -> Shown | None:
    """A mean, or a register's increase since the message before, and the operating point.

    None where one of them is not in these messages: no value, no message before, a register that went back.
    """
    value = _increase(budget.channel, row, before) if budget.is_increase else mean_of(row.get(budget.channel))
    if value is None:
        return None
    if budget.operating_point is not None:
        point: float | None = mean_of(row.get(budget.operating_point))
    elif budget.is_increase:
        point = value * MS_PER_HOUR / duration_ms if duration_ms else None
    else:
        point = value
    return None if point is None else Shown(abs(value), point)


def _increase(channel: int, row: Row, before: Row | None) -> int | None:
    reading, earlier = row.get(channel), None if before is None else before.get(channel)
    if reading is None or earlier is None or max(len(reading), len(earlier)) > REGISTER_MAX_LENGTH:
        return None
    if reading[0] & f.STATUS_GAP_BEFORE or reading[1] is None or earlier[1] is None or reading[1] < earlier[1]:
        return None
    return int(reading[1] - earlier[1])


def components(budget: ChannelBudget, of: Shown) -> list[Component]:
    """In the quantity's own unit, each sensitivity taken at this reading.

    OutsideCalibratedRange beyond the calibrated points.
    """
    return list(_components(budget, of))


def of_certificate(result: Result, value: float, point: float) -> tuple[float, float]:
    """(error, U/2) that the certificate alone states of a value at an operating point, all in own units.

    U/2 is more than u where few degrees of freedom made k more than 2: whoever expands it by 2 has U again.
    OutsideCalibratedRange beyond the calibrated points; MetrologyError where its units are not the quantity's.
    """
    if isinstance(result, VerificationResult):
        return 0.0, float(result.contribution.half_width_percent) / 100 * abs(value) / math.sqrt(3)
    try:
        points, relative = points_of(result)
    except Unstated:
        raise MetrologyError("the certificate's units are not the quantity's") from None
    at = _curve(points).at(point)
    scale = abs(value) / 100 if relative else 1.0
    return at.error * scale, at.standard_uncertainty * largest_k(points) / CALIBRATION_K * scale


def value_of(budget: ChannelBudget, of: Shown) -> float:
    """In the quantity's own unit."""
    return of.value * float(Decimal(1).scaleb(budget.exponent))


def _components(budget: ChannelBudget, of: Shown) -> Iterator[Component]:
    percent = value_of(budget, of) / 100
    if budget.points:
        curve = _curve(budget.points)
        point = curve.at(of.point * float(Decimal(1).scaleb(budget.point_exponent)))
        sensitivity = percent if budget.points_relative else 1.0
        nu = budget.calibration_degrees_of_freedom
        yield normal(
            CALIBRATION,
            point.error,
            point.standard_uncertainty,
            sensitivity=sensitivity,
            degrees_of_freedom=nu,
        )
    for source in budget.sources:
        yield _of_source(source, percent)


def _curve(points: Sequence[CalibratedPoint]) -> ErrorCurve:
    return ErrorCurve(
        [ErrorPoint(float(each.reference), float(each.error), float(each.standard_uncertainty)) for each in points]
    )


def _of_source(source: Source, percent: float) -> Component:
    nu = math.inf if source.degrees_of_freedom is None else float(source.degrees_of_freedom)
    shape = source.distribution
    if shape is Distribution.NORMAL and nu < math.inf:
        shape = Distribution.STUDENT
    sensitivity = float(source.sensitivity) * (percent if source.relative else 1.0)
    return Component(source.name, 0.0, source.own_standard_uncertainty, shape, sensitivity, nu)
