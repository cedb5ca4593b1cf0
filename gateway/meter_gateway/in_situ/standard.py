"""What certificates claim about either side at a point: its known error, and how well that is known.

The reference's error is corrected (GUM 3.2.3), with the calibration's uncertainty and what the instrument may have
drifted since. The channel's own certificate says which error it is known to have; where it has none, its claim is
the maximum permissible error of its class, rectangular.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from meter_gateway.metrology.error_curve import OutsideCalibratedRange
from meter_gateway.metrology.errors import MetrologyError
from meter_gateway.traceability import uncertainty
from meter_gateway.traceability.certificate import Certificate, Equipment, Result
from meter_gateway.traceability.channel_budget import NOTHING_MORE, InPlace
from meter_gateway.traceability.operating_point import RATE_PER_HOUR
from meter_protocol.quantities import Quantity

MS_PER_YEAR = 365.25 * 86_400_000


class Claim(NamedTuple):
    """In the quantity's unit. All but the error are standard uncertainties, the same for every pair of a run."""

    error: float
    u_calibration: float
    u_drift: float
    u_in_place: float = 0.0

    @property
    def u(self) -> float:
        return math.hypot(self.u_calibration, self.u_drift, self.u_in_place)


@dataclass(frozen=True, slots=True)
class Standard:
    """One result of a certificate, `age_ms` after its calibration.

    `drift_per_year` is relative to the value: what the instrument may have drifted at most, None if nobody says
    so. `in_place` is what its binding says besides (traceability.channel_budget.in_place).
    """

    result: Result
    quantity: Quantity
    is_register: bool
    age_ms: int = 0
    drift_per_year: float | None = None
    in_place: InPlace = NOTHING_MORE

    def at(self, value: float, level: float) -> Claim:
        """`level` is the value itself, or a register's mean rate per hour.

        OutsideCalibratedRange beyond the calibrated points; MetrologyError where the certificate's axis is
        neither.
        """
        axis = self.result.axis.quantity
        if axis is self.quantity and not self.is_register:
            point = value
        elif self.is_register and RATE_PER_HOUR.get(self.quantity.name) == axis.name:
            point = level
        else:
            raise MetrologyError(
                f"the certificate holds over {axis.name}, and this run's points are not known there"
            )
        # There is no resolution in it: that is the pair's own (pairing.py).
        error, u = uncertainty.of_certificate(self.result, value, point)
        drift = (self.drift_per_year or 0.0) * self.age_ms / MS_PER_YEAR * abs(value) / math.sqrt(3)
        return Claim(error, u, drift, math.hypot(self.in_place.percent / 100 * value, self.in_place.absolute))


def claimed(standard: Standard, value: float, level: float) -> Claim | str:
    """The claim, or why there is none: `reference_outside_range` or `reference_point_unknown`."""
    try:
        return standard.at(value, level)
    except OutsideCalibratedRange:
        return "reference_outside_range"
    except MetrologyError:
        return "reference_point_unknown"


def shared_equipment(one: Certificate, others: Sequence[Certificate]) -> list[str]:
    """Certificates of standards with which both were calibrated: their uncertainties are not independent."""
    names = {name for other in others for each in other.equipment for name in _names(each)}
    return sorted({name for each in one.equipment for name in _names(each)} & names)


def _names(equipment: Equipment) -> set[str]:
    return set() if equipment.certificate is None else {equipment.certificate}
