"""What a certificate says about an instrument, and how it ends.

The model holds what is printed: decimal numbers in the printed units, dates as dates. It has the shape of a
DCC (PTB 3.3: core data, laboratory, items, results), so that an imported file and a typed-in paper fill the
same fields. A verification certificate (检定证书) states a class, a pass and a date, and no errors.

A certificate ends in one of four ways. It expires at its due date. It is superseded at T: older readings keep
it. It is withdrawn as wrong: no reading keeps it. The instrument was damaged or adjusted at T: nothing that
was found before T holds afterwards, in this certificate or in any other of the same instrument.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

from meter_protocol.quantities import Quantity


@dataclass(frozen=True, slots=True)
class Laboratory:
    name: str
    accreditation: str | None


@dataclass(frozen=True, slots=True)
class Instrument:
    manufacturer: str
    model: str
    serial: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The operating quantity over which the result holds: an energy meter is calibrated at powers, a flow
    meter at flows, a gas analyser at fractions. `minimum` and `maximum` are the stated validity range."""

    quantity: Quantity
    unit: str
    minimum: Decimal | None
    maximum: Decimal | None


@dataclass(frozen=True, slots=True)
class Point:
    """Reference value in the axis' unit; error of indication and U = k·u in the result's error unit."""

    reference: Decimal
    error: Decimal
    expanded_uncertainty: Decimal
    k: Decimal


@dataclass(frozen=True, slots=True)
class Condition:
    """An influence during calibration, such as 19–21 Cel ambient temperature."""

    name: str
    unit: str
    minimum: Decimal
    maximum: Decimal


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    instrument: Instrument
    quantity: Quantity
    axis: Axis
    error_unit: str
    points: tuple[Point, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class ClassContribution:
    """What a class says about an error that nobody measured: rectangular, relative to the indication."""

    half_width_percent: Decimal
    standard_uncertainty_percent: Decimal


@dataclass(frozen=True, slots=True)
class VerificationResult:
    instrument: Instrument
    quantity: Quantity
    axis: Axis
    mpe_table: str
    accuracy_class: str
    contribution: ClassContribution
    passed: bool
    conditions: tuple[Condition, ...]


Result = CalibrationResult | VerificationResult


class EndKind(Enum):
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    ADJUSTED = "adjusted"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class End:
    """`at_ms` is Unix time; a withdrawal reaches back to the beginning, whatever its time. `serial` names the
    instrument that was adjusted or damaged, None all that the certificate covers."""

    kind: EndKind
    at_ms: int
    reason: str
    serial: str | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """`due_on` is the last day in force and `due_source` who set it: a laboratory rarely does."""

    identifier: str
    laboratory: Laboratory
    calibrated_on: date
    issued_on: date | None
    due_on: date | None
    due_source: str | None
    results: tuple[Result, ...]
    replaces: tuple[str, ...]
    previous: str | None
    scan_sha256: bytes | None
    ends: tuple[End, ...]


def calibrated_range(result: Result) -> tuple[Decimal, Decimal] | None:
    """The stated range, else the span of the calibrated points; nothing is extrapolated beyond them."""
    axis = result.axis
    if axis.minimum is not None and axis.maximum is not None:
        return axis.minimum, axis.maximum
    if isinstance(result, CalibrationResult) and result.points:
        references = [point.reference for point in result.points]
        return min(references), max(references)
    return None
