"""Is a calibration in force for a channel over a whole interval, and if not, why not.

1. Only certificates that are bound to the channel for the whole interval are asked.
2. In force = from the beginning of the calibration date to the end of the due date, both included, over the
   whole interval as widened by its clock uncertainty. The owner's due date counts, whoever set it.
3. A withdrawn certificate was never in force. A superseded one is until then. What happened to the instrument
   (adjusted, damaged, verification failed) ends every earlier certificate of its serial, not only one.
4. Of several in force, the latest calibration speaks. If none is, the latest one says why: all its reasons.

Between two changes the answer is constant, so it is given as a Piece of time that the hot path can keep.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from meter_gateway.traceability import reference_gas
from meter_gateway.traceability.binding import Binding
from meter_gateway.traceability.certificate import (
    Certificate,
    EndKind,
    Result,
    VerificationResult,
    results_for,
)
from meter_gateway.traceability.comparison import Repeatability
from meter_gateway.traceability.terms import NO_TERMS, Terms
from meter_protocol.quantities import Quantity

DAY_MS = 86_400_000
DRIFT_STEP_DAYS = 30
"""What drifts is constant for so long."""

_MAX_DRIFT_STEPS = 400
BEGINNING_MS = -(1 << 62)
END_MS = 1 << 62

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()


@dataclass(frozen=True, slots=True)
class Bound:
    """One result of one certificate, as it speaks for one channel; times are Unix ms, ends exclusive."""

    certificate: Certificate
    result: Result
    bound_from_ms: int
    bound_to_ms: int
    calibrated_ms: int
    due_ms: int | None
    ends: tuple[tuple[str, int], ...]
    """(finding code, at_ms) of everything that ended it before it was due."""

    always: tuple[str, ...]
    """Finding codes that hold at any time: a corrected report took its place (ISO/IEC 17025 7.8.8), or the
    parameters name another instrument than the binding."""

    terms: Terms = NO_TERMS
    """What its owner says about the instrument's uncertainty in its place."""

    beside: tuple["Bound", ...] = ()
    """Certificates of what works with the instrument, such as a transformer, which have to be in force too."""

    standards: tuple[str, ...] = ()
    """Finding codes about the chain of standards that its calibration stands on."""

    repeatability: tuple[Repeatability, ...] = ()
    """What the instrument's comparisons found of it in this place, by time, if its terms ask for that."""

    def covers(self, start_ms: int, end_ms: int) -> bool:
        return self.bound_from_ms <= start_ms and end_ms <= self.bound_to_ms

    def codes(self, start_ms: int, end_ms: int) -> list[str]:
        """Why it is not in force over the interval; empty if it is."""
        codes = list(self.always)
        if start_ms < self.calibrated_ms:
            codes.append("certificate_not_yet_valid")
        if self.due_ms is None:
            codes.append("certificate_due_unknown")
        elif end_ms > self.due_ms:
            codes.append("certificate_expired")
        codes.extend(code for code, at_ms in self.ends if end_ms > at_ms)
        for other in self.beside:
            codes.extend(other.codes(start_ms, end_ms))
        return codes

    def changes(self) -> Iterable[int]:
        yield from (self.bound_from_ms, self.bound_to_ms, self.calibrated_ms)
        if self.due_ms is not None:
            yield self.due_ms
        yield from (at_ms for _, at_ms in self.ends)
        if self.terms.drifts and self.due_ms is not None:
            yield from range(self.calibrated_ms, self.due_ms, self._drift_step_days * DAY_MS)
        yield from (each.since_ms for each in self.repeatability)
        for other in self.beside:
            yield from other.changes()

    def drifting(self, certificate: str | None) -> "Bound":
        """Since whose calibration that certificate's contributions drift: its own, where it is held."""
        return next((other for other in self.beside if other.certificate.identifier == certificate), self)

    def drift_days(self, end_ms: int) -> int:
        """Days since the calibration at the end of the step in which `end_ms` lies."""
        step_days = self._drift_step_days
        return step_days * max(1, -(-(end_ms - self.calibrated_ms) // (step_days * DAY_MS)))

    @property
    def _drift_step_days(self) -> int:
        days = 0 if self.due_ms is None else (self.due_ms - self.calibrated_ms) // DAY_MS
        return max(DRIFT_STEP_DAYS, -(-days // _MAX_DRIFT_STEPS))


def _chosen(certificate: Certificate, quantity: Quantity, binding: Binding) -> Sequence[Result]:
    found = results_for(certificate, binding.serial, quantity)
    return found if binding.table is None else found[binding.table - 1 : binding.table]


@dataclass(frozen=True, slots=True)
class InForce:
    """The result that speaks for a channel, or the codes that say why none does."""

    bound: Bound | None
    codes: tuple[str, ...]


def in_force(candidates: Sequence[Bound], start_ms: int, end_ms: int) -> InForce:
    asked = [bound for bound in candidates if bound.covers(start_ms, end_ms)]
    if not asked:
        return InForce(None, ("certificate_missing",))
    valid = [bound for bound in asked if not bound.codes(start_ms, end_ms)]
    if valid:
        return InForce(max(valid, key=_recency), ())
    # A calibration of the future is no reason for the past, unless there is no other.
    begun = [bound for bound in asked if bound.calibrated_ms <= start_ms] or asked
    return InForce(None, tuple(sorted(set(max(begun, key=_recency).codes(start_ms, end_ms)))))


def _recency(bound: Bound) -> tuple[int, str]:
    return bound.calibrated_ms, bound.certificate.identifier


def constant_span(changes: Sequence[int], start_ms: int, end_ms: int) -> tuple[int, int] | None:
    """The widest span around the interval in which nothing changes; None if something changes inside it.

    `changes` is sorted.
    """
    place = bisect_right(changes, start_ms)
    low = changes[place - 1] if place else BEGINNING_MS
    high = changes[place] if place < len(changes) else END_MS
    return (low, high) if end_ms <= high else None


class Register:
    """All certificates by identifier, with what each of them says about its instruments."""

    def __init__(self, certificates: Iterable[Certificate], utc_offset_minutes: int) -> None:
        self._utc_offset_minutes = utc_offset_minutes
        self._midnight_ms = -utc_offset_minutes * 60_000
        self._certificates = {certificate.identifier: certificate for certificate in certificates}
        self._replaced = {old for entry in self._certificates.values() for old in entry.replaces}
        self._instrument_ends = sorted(
            (serial, at_ms, code)
            for certificate in self._certificates.values()
            for serial, at_ms, code in (*self._ends_of_instruments(certificate), *self._adjustments(certificate))
        )

    def __iter__(self) -> Iterator[Certificate]:
        return iter(self._certificates.values())

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._certificates

    def __getitem__(self, identifier: str) -> Certificate:
        return self._certificates[identifier]

    def bound(self, binding: Binding, quantity: Quantity, serial: str | None) -> list[Bound]:
        """What the binding's certificates say about this quantity of its instrument; `serial` as the
        parameters name it, None if they do not."""
        mismatch = ("instrument_mismatch",) if serial not in (None, binding.serial) else ()
        beside = tuple(self._beside(binding))
        return [
            replace(self._bound(binding, certificate, result, mismatch), beside=beside)
            for certificate in (self._certificates[identifier] for identifier in binding.certificates)
            for result in _chosen(certificate, quantity, binding)
        ]

    def _beside(self, binding: Binding) -> Iterator[Bound]:
        """Of the certificates that the binding's contributions name, those that are held."""
        named = dict.fromkeys(each.certificate for each in binding.terms.contributions)
        for identifier in named:
            held = None if identifier is None else self._certificates.get(identifier)
            if held is not None and held.results and identifier not in binding.certificates:
                serial = held.results[0].instrument.serial
                own = tuple(each for each in binding.terms.contributions if each.certificate == identifier)
                beside = replace(binding, serial=serial, terms=Terms(own))
                yield self._bound(beside, held, held.results[0], ())

    def standing(self, certificate: Certificate, serial: str, start_ms: int, end_ms: int) -> list[str]:
        """Why the certificate was not in force for that instrument or cylinder over the time; empty if it was."""
        if certificate.reference_gases:
            # A span ends before `end_ms`, unless it is one moment; what a signature is worth is no matter of time.
            last_ms = max(start_ms, end_ms - 1)
            codes = {*reference_gas.findings(certificate, start_ms, last_ms, self._utc_offset_minutes)}
            return sorted((codes - {*certificate.findings}) | {*self._replaced_codes(certificate)})
        if not certificate.results:
            return ["certificate_missing"]
        binding = Binding(b"", 0, serial, (certificate.identifier,), BEGINNING_MS, None)
        return self._bound(binding, certificate, certificate.results[0], ()).codes(start_ms, end_ms)

    def days_of(self, certificate: Certificate) -> tuple[int, int]:
        """From the beginning of its first day to the end of its last: when its laboratory used its standards."""
        begun_on = certificate.begun_on or certificate.calibrated_on
        return self._start_of(begun_on), self._start_of(certificate.calibrated_on) + DAY_MS

    def _bound(
        self, binding: Binding, certificate: Certificate, result: Result, mismatch: tuple[str, ...]
    ) -> Bound:
        calibrated_ms = self._start_of(certificate.calibrated_on)
        due_ms = None if certificate.due_on is None else self._start_of(certificate.due_on) + DAY_MS
        return Bound(
            certificate=certificate,
            result=result,
            bound_from_ms=binding.from_ms,
            bound_to_ms=END_MS if binding.to_ms is None else binding.to_ms,
            calibrated_ms=calibrated_ms,
            due_ms=due_ms,
            ends=tuple(self._ends(certificate, binding.serial)),
            always=mismatch + self._replaced_codes(certificate),
            terms=binding.terms,
        )

    def _replaced_codes(self, certificate: Certificate) -> tuple[str, ...]:
        return ("certificate_superseded",) if certificate.identifier in self._replaced else ()

    def _ends(self, certificate: Certificate, serial: str) -> Iterable[tuple[str, int]]:
        for end in certificate.ends:
            if end.kind is EndKind.SUPERSEDED:
                yield "certificate_superseded", end.at_ms
            elif end.kind is EndKind.WITHDRAWN:
                yield "certificate_withdrawn", BEGINNING_MS
        calibrated_ms = self._start_of(certificate.calibrated_on)
        own = set(self._ends_of_instruments(certificate))
        for ended, at_ms, code in self._instrument_ends:
            # A calibration on the very day of an adjustment is the one made after it, unless it says otherwise.
            is_earlier = calibrated_ms + DAY_MS <= at_ms or (ended, at_ms, code) in own
            if ended == serial and is_earlier:
                yield code, at_ms

    def _ends_of_instruments(self, certificate: Certificate) -> Iterable[tuple[str, int, str]]:
        codes = {EndKind.ADJUSTED: "instrument_adjusted", EndKind.DAMAGED: "instrument_damaged"}
        for result in certificate.results:
            serial = result.instrument.serial
            for end in certificate.ends:
                if end.kind in codes and end.serial in (None, serial):
                    yield serial, end.at_ms, codes[end.kind]
            if isinstance(result, VerificationResult) and not result.passed:
                yield serial, self._start_of(certificate.calibrated_on), "verification_failed"

    def _adjustments(self, certificate: Certificate) -> Iterable[tuple[str, int, str]]:
        """A laboratory that states what it found before an adjustment has ended every earlier calibration; its own
        results are those after it."""
        for result in certificate.as_found:
            begun_on = certificate.begun_on or certificate.calibrated_on
            yield result.instrument.serial, self._start_of(begun_on), "instrument_adjusted"

    def _start_of(self, day: date) -> int:
        return (day - _EPOCH) // timedelta(days=1) * DAY_MS + self._midnight_ms
