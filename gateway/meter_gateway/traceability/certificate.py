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
class Digest:
    """Of a document that a certificate names; `algorithm` as it is written there."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the laboratory measured with: the next link of the chain, by its certificate where that is named."""

    name: str
    serials: tuple[str, ...]
    certificate: str | None
    certificate_digest: Digest | None


class Conformity(Enum):
    """What a statement of conformity says (the enumeration of DCC 3)."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    CONDITIONAL_PASS = "conditionalPass"  # noqa: S105
    CONDITIONAL_FAIL = "conditionalFail"
    NO_PASS = "noPass"  # noqa: S105
    NO_FAIL = "noFail"


@dataclass(frozen=True, slots=True)
class ErrorLimits:
    """Within which an error was held to conform, in the result's error unit; None where a side is not stated."""

    lower: Decimal | None
    upper: Decimal | None


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
    """Reference value and indication in the axis' unit; error and U = k·u in the result's error unit.

    Where a certificate states a standard uncertainty, k is 1. The acceptance limits are those against which the
    laboratory held the error, the tolerance limits those of the specification.
    """

    reference: Decimal
    error: Decimal
    expanded_uncertainty: Decimal
    k: Decimal
    indication: Decimal | None = None
    acceptance: ErrorLimits | None = None
    tolerance: ErrorLimits | None = None
    conformity: Conformity | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """An influence during a calibration or a comparison, such as 19–21 Cel ambient temperature."""

    name: str
    unit: str
    minimum: Decimal
    maximum: Decimal


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """Errors are in `error_unit`: % of the reading, or a unit of the quantity. A quantity whose own unit is %,
    such as a humidity, has its errors in that unit: percentage points."""

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


@dataclass(frozen=True, slots=True)
class ReferenceGas:
    """One component of the mixture in a cylinder: its amount fraction and U = k·u, in `unit` as printed."""

    cylinder: str
    quantity: Quantity
    unit: str
    amount_fraction: Decimal
    expanded_uncertainty: Decimal
    k: Decimal
    balance_gas: str
    minimum_pressure_kpa: Decimal | None
    """Below which the producer does not vouch for the composition any more."""


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
    """`due_on` is the last day in force and `due_source` who set it: a laboratory rarely does.

    `calibrated_on` is the last day of the calibration and `begun_on` its first, where it took several. `as_found`
    are the results before an adjustment that belongs to this calibration. `findings` are the codes that every
    reading carries which is judged by this certificate, such as `certificate_unsigned`.
    """

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
    begun_on: date | None = None
    items: tuple[Instrument, ...] = ()
    as_found: tuple[CalibrationResult, ...] = ()
    conformity: Conformity | None = None
    equipment: tuple[Equipment, ...] = ()
    previous_digest: Digest | None = None
    findings: tuple[str, ...] = ()
    document_sha256: bytes | None = None
    """Of the digital certificate's file, by which others name it."""

    reference_gases: tuple[ReferenceGas, ...] = ()
    """Of a producer's certificate of a cylinder (ISO 17034, ISO 6141); such a certificate has no results."""


def serials_of(certificate: Certificate) -> set[str]:
    """Of the instruments that it is about, or the cylinders."""
    gases = certificate.reference_gases
    return {result.instrument.serial for result in certificate.results} | {gas.cylinder for gas in gases}


def results_for(certificate: Certificate, serial: str, quantity: Quantity) -> list[Result]:
    """What it says about this quantity of this instrument: several results of one with phases or power factors."""
    return [
        result
        for result in certificate.results
        if result.quantity is quantity and result.instrument.serial == serial
    ]


def calibrated_range(result: Result) -> tuple[Decimal, Decimal] | None:
    """The stated range, else the span of the calibrated points; nothing is extrapolated beyond them."""
    axis = result.axis
    if axis.minimum is not None and axis.maximum is not None:
        return axis.minimum, axis.maximum
    if isinstance(result, CalibrationResult) and result.points:
        references = [point.reference for point in result.points]
        return min(references), max(references)
    return None
