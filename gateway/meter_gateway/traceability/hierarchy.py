"""The metrological traceability chain of an instrument (VIM 2.42): its calibration, the standards that this was
made with, theirs, and so on up to a national metrology institute.

A certificate names what its laboratory measured with. Each of those links is judged at the time at which it was
*used*, from the first to the last day of the calibration below it:

1. the certificate of the standard is held, by the digest that names it, else by its identifier, and is about that
   standard;
2. it was in force then (calibration.py);
3. its uncertainty was at most 1/ratio of that of the calibration which it carried;
4. it is itself of a national institute, or names standards in its turn.

A chain is followed as far as it goes, and told why not further. What verdicts say of it is the same for every
reading, because no link is judged at the reading's time; the instrument's own certificate is (calibration.py).
"""

import base64
import binascii
import math
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal

from meter_gateway.metrology.error_curve import ErrorCurve, ErrorPoint, OutsideCalibratedRange
from meter_gateway.metrology.errors import MetrologyError, exceeds
from meter_gateway.traceability import units
from meter_gateway.traceability.calibration import Register
from meter_gateway.traceability.certificate import (
    CalibrationResult,
    Certificate,
    Equipment,
    Result,
    VerificationResult,
    serials_of,
)
from meter_protocol.quantities import Quantity

MAX_LINKS = 64
"""Above one instrument; a chain of certificates has about four, each with a few standards."""

MAX_HEIGHT = 10

INCOMPLETE, INVALID = "standards_chain_incomplete", "standards_link_invalid"

_SAID = {
    "missing": INCOMPLETE,
    "unnamed": INCOMPLETE,
    "open": INCOMPLETE,
    "certificate_due_unknown": INCOMPLETE,
    "too_long": INCOMPLETE,
    "ratio": "standards_ratio_exceeded",
}
"""What verdicts say of a fault, and INVALID of every other: what is held was not in force, is not what the
certificate below names, or leads back to it. How long a standard was to be used is its laboratory's to say, and
calibration certificates seldom do: without a due date nothing is known, and nothing wrong."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Laboratories by name or accreditation at which a chain ends, and how much better a standard has to be."""

    institutes: frozenset[str]
    ratio: int


NO_INSTITUTES = Rules(frozenset(), 3)


@dataclass(frozen=True, slots=True)
class Link:
    """One standard, or the instrument itself. Times are Unix ms."""

    name: str
    serial: str | None
    certificate: Certificate | None
    used_from_ms: int
    used_to_ms: int
    faults: tuple[str, ...]
    """Finding codes of its certificate at that time, and keys below `trace.fault` of what is wrong with it."""

    ratio: float | None
    """The largest u of this standard over u of the calibration that it carried; None where they do not compare."""

    is_national: bool
    standards: tuple["Link", ...]

    def walk(self) -> Iterator["Link"]:
        """This link and all above it, the nearest first."""
        rank = [self]
        while rank:
            yield from rank
            rank = [standard for link in rank for standard in link.standards]


def weakest(instrument: Link) -> Link | None:
    """The nearest faulty link, else the one whose uncertainty takes most of what is below it."""
    links = list(instrument.walk())
    faulty = next((link for link in links if link.faults), None)
    compared = [link for link in links if link.ratio is not None]
    return faulty or max(compared, key=lambda link: link.ratio or 0.0, default=None)


class Hierarchy:
    def __init__(self, register: Register, rules: Rules) -> None:
        self.rules = rules
        self._register = register
        self._by_digest = {
            certificate.document_sha256: certificate
            for certificate in register
            if certificate.document_sha256 is not None
        }
        self._findings: dict[tuple[str, str], tuple[str, ...]] = {}

    def of(self, certificate: Certificate, serial: str, from_ms: int, to_ms: int) -> Link:
        """The chain of the instrument's calibration, used over that time."""
        room = [MAX_LINKS]
        return self._link(certificate, serial, serial, (from_ms, to_ms), None, (), room)

    def findings(self, certificate: Certificate, serial: str) -> tuple[str, ...]:
        """Codes about everything above the instrument, with those about the signatures of the certificates there.

        Where no institute is configured, no chain can end, and nothing is said of one that does not.
        """
        key = certificate.identifier, serial
        known = self._findings.get(key)
        if known is None:
            known = self._findings[key] = tuple(sorted(self._codes(certificate, serial)))
        return known

    def _codes(self, certificate: Certificate, serial: str) -> set[str]:
        instrument, *standards = self.of(certificate, serial, *self._register.days_of(certificate)).walk()
        codes = {_SAID[fault] for fault in instrument.faults if fault in _SAID}
        for link in standards:
            codes.update(_SAID.get(fault, INVALID) for fault in link.faults)
            codes.update(() if link.certificate is None else link.certificate.findings)
        return codes if self.rules.institutes else codes - {INCOMPLETE}

    def _link(
        self,
        certificate: Certificate,
        name: str,
        serial: str,
        used: tuple[int, int],
        below: Certificate | None,
        way: tuple[str, ...],
        room: list[int],
    ) -> Link:
        faults = self._register.standing(certificate, serial, *used)
        ratio = None if below is None else largest_ratio(certificate, below)
        if ratio is not None and exceeds(ratio, 1 / self.rules.ratio):
            faults.append("ratio")
        laboratory = certificate.laboratory
        is_national = not self.rules.institutes.isdisjoint({laboratory.name, laboratory.accreditation or ""})
        way = (*way, certificate.identifier)
        standards: list[Link] = []
        if not is_national:
            if not certificate.equipment:
                faults.append("open")
            elif len(way) > MAX_HEIGHT or room[0] < len(certificate.equipment):
                faults.append("too_long")
            else:
                room[0] -= len(certificate.equipment)
                standards = [self._standard(each, certificate, way, room) for each in certificate.equipment]
        return Link(name, serial, certificate, *used, tuple(faults), ratio, is_national, tuple(standards))

    def _standard(self, equipment: Equipment, below: Certificate, way: tuple[str, ...], room: list[int]) -> Link:
        used = self._register.days_of(below)
        found, fault = self._held(equipment)
        if found is not None and fault is None and found.identifier in way:
            fault = "circular"
        serial = None if found is None else _serial_in(found, equipment.serials)
        if found is not None and fault is None and serial is None:
            fault = "other_instrument"
        if found is None or serial is None or fault is not None:
            told = (fault or "missing",)
            named = next(iter(equipment.serials), None)
            return Link(equipment.name, named, found, *used, told, None, is_national=False, standards=())
        return self._link(found, equipment.name, serial, used, below, way, room)

    def _held(self, equipment: Equipment) -> tuple[Certificate | None, str | None]:
        """The standard's certificate, and what is wrong with it."""
        digest = None if equipment.certificate_digest is None else octets_of(equipment.certificate_digest.value)
        if digest is not None and digest in self._by_digest:
            return self._by_digest[digest], None
        if equipment.certificate is None:
            return None, "unnamed"
        if equipment.certificate not in self._register:
            return None, "missing"
        found = self._register[equipment.certificate]
        is_other = digest is not None and found.document_sha256 is not None
        return found, "other_file" if is_other else None


def _serial_in(certificate: Certificate, serials: Collection[str]) -> str | None:
    """Of the standard, as its certificate has it; a standard that was named without one is the only one there."""
    known = sorted(serials_of(certificate))
    if serials:
        return next((serial for serial in known if serial in serials), None)
    return known[0] if len(known) == 1 else None


def octets_of(digest: str) -> bytes | None:
    """A SHA-256 as certificates print it: hexadecimal or Base64."""
    text = "".join(digest.split())
    try:
        octets = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return octets if len(octets) == 32 else None


def largest_ratio(standard: Certificate, calibration: Certificate) -> float | None:
    """u of the standard over u of the calibration, the largest over the calibrated points that compare."""
    ratios = [
        ratio
        for result in calibration.results
        if isinstance(result, CalibrationResult)
        for above in standard.results
        if above.quantity is result.quantity
        for ratio in _ratios(above, result)
    ]
    return max(ratios, default=None)


def _ratios(above: Result, below: CalibrationResult) -> Iterator[float]:
    scale = units.factor(below.axis.unit, below.axis.quantity)
    if scale is None:
        return
    curve = _curve(above, below.axis.quantity)
    for point in below.points:
        value = point.reference * scale
        u_below = _comparable(below, float(point.expanded_uncertainty / point.k), value)
        u_above = _of_standard(above, curve, value, below)
        if u_below and u_above is not None and u_below[0] == u_above[0]:
            yield u_above[1] / u_below[1] if u_below[1] else math.inf


def _curve(result: Result, axis: Quantity) -> ErrorCurve | None:
    """u of a standard over the axis, the largest of points at one value; None where it has none."""
    if isinstance(result, VerificationResult) or result.axis.quantity is not axis:
        return None
    scale = units.factor(result.axis.unit, axis)
    if scale is None:
        return None
    us: dict[float, list[Decimal]] = defaultdict(list)
    for point in result.points:
        us[float(point.reference * scale)].append(point.expanded_uncertainty / point.k)
    try:
        return ErrorCurve([ErrorPoint(at, 0.0, float(max(of_one))) for at, of_one in us.items()])
    except MetrologyError:
        return None


def _of_standard(
    result: Result, curve: ErrorCurve | None, value: Decimal, below: CalibrationResult
) -> tuple[str, float] | None:
    if isinstance(result, VerificationResult):
        relative = float(result.contribution.standard_uncertainty_percent)
        if below.axis.quantity is below.quantity:
            return "absolute", relative / 100 * abs(float(value))
        return "relative", relative
    if curve is None:
        return None
    try:
        return _comparable(result, curve.at(float(value)).standard_uncertainty, value)
    except OutsideCalibratedRange:
        return None


def _comparable(result: CalibrationResult, u: float, value: Decimal) -> tuple[str, float] | None:
    """u at a value of the axis: absolute in the quantity's own unit where the axis is the quantity itself, else
    in % of the reading."""
    is_relative = result.error_unit == "%" and result.quantity.ucum != "%"
    if result.axis.quantity is not result.quantity:
        return ("relative", u) if is_relative else None
    if is_relative:
        return "absolute", u / 100 * abs(float(value))
    scale = units.factor(result.error_unit, result.quantity)
    return None if scale is None else ("absolute", u * float(scale))
