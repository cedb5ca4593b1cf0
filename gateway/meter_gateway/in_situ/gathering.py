"""Everything that a run is judged by, brought together: both series, both certificates, the rule.

What makes the reference prove nothing is told as an objection and not as an error: the run is then inconclusive,
and says why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from meter_gateway.in_situ.evaluation import Evaluation, Limit, Rule, Sides, evaluate
from meter_gateway.in_situ.event import About, Reference, cited, fitting
from meter_gateway.in_situ.pairing import Pair, pairs_of
from meter_gateway.in_situ.run_state import ReferenceState, RunState, as_integers
from meter_gateway.in_situ.series import Series
from meter_gateway.in_situ.sources import Signed, signed_readings
from meter_gateway.in_situ.standard import Claim, Standard, claimed, shared_equipment
from meter_gateway.metrology.comparison import ComparisonRule
from meter_gateway.metrology.conformity import SIMPLE_ACCEPTANCE, DecisionRule
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.traceability import calibration
from meter_gateway.traceability.calibration import Bound
from meter_gateway.traceability.certificate import Certificate, Condition, Result, results_for
from meter_gateway.traceability.channel_budget import NOTHING_MORE, InPlace, Unstated, in_place
from meter_gateway.traceability.check_plan import Plan
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.trust import Trust
from meter_protocol import comparison as cm
from meter_protocol.quantities import Quantity

NO_CLAIM = "MPE"
"""Where no certificate speaks for the channel, its class does."""

TYPED_JITTER_MS = 1000
"""How far from the time that he wrote a person may have read the display."""

_UNPROVEN = (
    "certificate_unsigned",
    "certificate_signer_expired",
    "certificate_signer_revoked",
    "certificate_signer_untrusted",
)
_KINDS = {"as_found": cm.AS_FOUND, "as_left": cm.AS_LEFT, "routine": cm.ROUTINE}
_REFERENCE_KINDS = {"meter": cm.ENROLLED_METER, "modbus": cm.READ_BY_GATEWAY, "readings": cm.TYPED_IN}


@dataclass(frozen=True, slots=True)
class Gathered:
    about: About
    channel: Series
    reference: Series
    pairs: tuple[Pair, ...]
    sides: Sides
    rule: Rule
    settings: tuple[tuple[str, str], ...]

    def evaluate(self) -> Evaluation:
        return evaluate(self.pairs, self.sides, self.rule)


def gather(
    run: RunState, readings: Iterable[tuple[int, int, Decimal]], trust: Trust, store: Store, now_ms: int
) -> Gathered:
    """The run as it stands now; `readings` are those of the reference that were read or typed in."""
    meter, taken = bytes.fromhex(run.meter), sorted(readings)
    from_ms = min(run.started_ms, *(start_ms for start_ms, _, _ in taken)) if taken else run.started_ms
    signed = signed_readings(store, meter, run.channel, from_ms, now_ms)
    reference = _reference_series(run, taken, signed, store, from_ms, now_ms)
    plan = trust.plans.of(meter, run.channel)
    rule = _rule(run, plan)
    pairs = pairs_of(signed.series, reference, rule.settled_within)
    start_ms = round(min((pair.start_ms for pair in pairs), default=from_ms))
    end_ms = round(max((pair.end_ms for pair in pairs), default=now_ms))
    certificates, table = _certificates(run, trust, signed.quantity, start_ms, end_ms)
    bound = calibration.in_force(trust.bounds(meter, signed.channel), start_ms, end_ms).bound
    own = None if bound is None else (bound.certificate, bound.result)
    drift = None if run.drift_percent_per_year is None else float(run.drift_percent_per_year)
    measured = Measured(signed.quantity, signed.series.is_register, tuple(pairs), start_ms, end_ms)
    more = _in_place(run.reference, trust, measured, bound)
    sides, shared = sides_of(trust, measured, certificates, run.reference.serial, table, own, drift, more)
    claim = (NO_CLAIM, 1) if bound is None else (bound.certificate.identifier, _table_of(bound))
    settings = _settings(rule, signed.series, reference, run, table, claim, shared, more)
    about = _about(run, trust, signed.channel, signed.quantity, certificates, end_ms)
    return Gathered(about, signed.series, reference, tuple(pairs), sides, rule, settings)


def _reference_series(
    run: RunState,
    taken: list[tuple[int, int, Decimal]],
    signed: Signed,
    store: Store,
    from_ms: int,
    to_ms: int,
) -> Series:
    said = run.reference
    if said.kind == "meter" and said.meter is not None and said.channel is not None:
        other = signed_readings(store, bytes.fromhex(said.meter), said.channel, from_ms, to_ms)
        if other.quantity is not signed.quantity:
            names = {"own": signed.quantity.name, "other": other.quantity.name}
            raise Told("compare.other_quantity", **names)
        return other.series
    exponent, whole = as_integers(taken)
    # The gateway's own readings have the gateway's time, which a meter's clock uncertainty includes.
    jitter_ms = TYPED_JITTER_MS if said.kind == "readings" else 0 if said.modbus is None else said.modbus.period_ms
    return Series(exponent, signed.series.is_register, whole, 0, jitter_ms)


def _rule(run: RunState, plan: Plan | None) -> Rule:
    """The run's own limits before the plan's."""
    limit = Limit(float(run.mpe_percent or 0), float(run.mpe or 0))
    if plan is not None and limit == Limit():
        limit = Limit(float(plan.mpe_percent), float(plan.mpe))
    if not limit.percent and not limit.absolute:
        raise Told("compare.no_limit")
    if plan is None:
        return Rule(limit, reference_basis=run.basis or "")
    ratio = SIMPLE_ACCEPTANCE.max_uncertainty_ratio
    if plan.max_uncertainty_ratio is not None:
        ratio = float(plan.max_uncertainty_ratio)
    decision = DecisionRule(plan.guard_band, float(plan.guard_multiplier), ratio)
    return Rule(
        limit=limit,
        method=plan.method,
        decision=ComparisonRule(decision, float(plan.en_limit)),
        min_pairs=plan.min_pairs,
        level_within=float(plan.level_percent / 100),
        settled_within=float(plan.settled_percent / 100) or None,
        relative_accuracy_percent=float(plan.relative_accuracy_percent),
        channel_basis=plan.basis or "",
        reference_basis=run.basis or "",
    )


def _certificates(
    run: RunState, trust: Trust, quantity: Quantity, start_ms: int, end_ms: int
) -> tuple[tuple[Certificate, ...], int]:
    """Those that were named; for an enrolled meter, the one that speaks for its channel. And which table of it."""
    said = run.reference
    named = []
    for identifier in said.certificates:
        if identifier not in trust.register:
            raise Told("compare.unknown_certificate", id=identifier)
        named.append(trust.register[identifier])
    if named or said.meter is None:
        return tuple(named), said.table or 1
    found = calibration.in_force(_bounds_of(said, trust, quantity), start_ms, end_ms).bound
    return ((), 1) if found is None else ((found.certificate,), _table_of(found))


def _table_of(bound: Bound) -> int:
    said = results_for(bound.certificate, bound.result.instrument.serial, bound.result.quantity)
    return said.index(bound.result) + 1


def _bounds_of(reference: ReferenceState, trust: Trust, quantity: Quantity) -> list[Bound]:
    """Of the channel of an enrolled meter."""
    place = bytes.fromhex(reference.meter or ""), reference.channel
    bindings = (each for each in trust.bindings if (each.thumbprint, each.channel) == place)
    return [bound for binding in bindings for bound in trust.register.bound(binding, quantity, None)]


class Measured(NamedTuple):
    """What both sides measured: the pairs, and the time over which certificates have to be in force."""

    quantity: Quantity
    is_register: bool
    pairs: tuple[Pair, ...]
    start_ms: int
    end_ms: int


def _in_place(reference: ReferenceState, trust: Trust, measured: "Measured", own: Bound | None) -> InPlace:
    """Of an enrolled meter: what its binding says besides its certificate, such as of a transformer before it, but
    for one that is before the channel's instrument too."""
    terms = () if own is None else own.terms.contributions
    shared = {each.certificate for each in terms if each.certificate is not None}
    covering = (
        bound
        for bound in _bounds_of(reference, trust, measured.quantity)
        if bound.covers(measured.start_ms, measured.end_ms)
    )
    bound = next(covering, None)
    try:
        return NOTHING_MORE if bound is None else in_place(bound, measured.quantity, measured.end_ms, shared)
    except Unstated:
        raise Told("compare.contribution_unit", channel=reference.channel) from None


def sides_of(
    trust: Trust,
    measured: Measured,
    certificates: Sequence[Certificate],
    serial: str,
    table: int,
    own: tuple[Certificate, Result] | None,
    drift_percent: float | None,
    more: InPlace,
) -> tuple[Sides, list[str]]:
    """What certificates say of both sides, and the standards with which both were calibrated.

    `serial` is the reference's, as are `table`, `drift_percent` and `more`; `own` is what speaks for the channel.
    """
    standard, objections = _standard(trust, measured, certificates, serial, table, drift_percent, more)
    channel = None if own is None else Standard(own[1], measured.quantity, measured.is_register)
    shared = [] if own is None else shared_equipment(own[0], certificates)
    u_shared = max((_relative_u(trust, name, measured) for name in shared), default=0.0)
    return Sides(standard, channel, objections, u_shared), shared


def _standard(
    trust: Trust,
    measured: Measured,
    certificates: Sequence[Certificate],
    serial: str,
    table: int,
    drift_percent: float | None,
    more: InPlace,
) -> tuple[Standard | None, tuple[str, ...]]:
    objections = []
    for certificate in certificates:
        results = results_for(certificate, serial, measured.quantity)
        if len(results) < table:
            continue
        result = results[table - 1]
        if trust.register.standing(certificate, serial, measured.start_ms, measured.end_ms):
            objections.append("reference_not_in_force")
        if any(code in certificate.findings for code in _UNPROVEN):
            objections.append("reference_certificate_unproven")
        age_ms = max(0, measured.end_ms - trust.register.days_of(certificate)[1])
        yearly = None if drift_percent is None else drift_percent / 100
        standard = Standard(result, measured.quantity, measured.is_register, age_ms, yearly, more)
        return standard, tuple(objections)
    return None, ()


def _relative_u(trust: Trust, identifier: str, measured: Measured) -> float:
    """Of a standard with which both sides were calibrated, where its certificate is known; else 0."""
    if identifier not in trust.register or not measured.pairs:
        return 0.0
    value, level = measured.pairs[-1].reference, measured.pairs[-1].level
    for result in trust.register[identifier].results:
        if result.quantity is measured.quantity and value:
            claim = claimed(Standard(result, measured.quantity, measured.is_register), value, level)
            if isinstance(claim, Claim):
                return claim.u / abs(value)
    return 0.0


def _settings(
    rule: Rule,
    channel: Series,
    reference: Series,
    run: RunState,
    table: int,
    claim: tuple[str, int],
    shared: Iterable[str],
    more: InPlace,
) -> tuple[tuple[str, str], ...]:
    """What is not in the event and is needed to judge the raw data again: floats as Python reads them back.

    `table` is that of the reference's certificate; `claim` the certificate that speaks for the channel, and which
    of its tables.
    """
    told = {
        "kind": "register" if channel.is_register else "mean",
        "level_within": repr(rule.level_within),
        "settled_within": "any" if rule.settled_within is None else repr(rule.settled_within),
        "min_pairs": str(rule.min_pairs),
        "mpe_percent": repr(rule.limit.percent),
        "mpe": repr(rule.limit.absolute),
        "channel_offset_ms": str(channel.offset_ms),
        "channel_jitter_ms": str(channel.jitter_ms),
        "channel_step": str(channel.step),
        "reference_offset_ms": str(reference.offset_ms),
        "reference_jitter_ms": str(reference.jitter_ms),
        "reference_step": str(reference.step),
        "reference_drift_percent_per_year": run.drift_percent_per_year or "none",
        "reference_table": str(table),
        "reference_in_place_percent": repr(more.percent),
        "reference_in_place": repr(more.absolute),
        "channel_basis": rule.channel_basis or "none",
        "reference_basis": rule.reference_basis or "none",
        "channel_claim": claim[0],
        "channel_claim_table": str(claim[1]),
        "shared_standards": ", ".join(shared) or "none",
    }
    return tuple((name, value.encode()[:64].decode(errors="ignore")) for name, value in told.items())


def _about(
    run: RunState,
    trust: Trust,
    channel: Channel,
    quantity: Quantity,
    certificates: Iterable[Certificate],
    end_ms: int,
) -> About:
    said = run.reference
    return About(
        run=bytes.fromhex(run.run),
        kind=_KINDS[run.kind],
        thumbprint=bytes.fromhex(run.meter),
        channel=run.channel,
        serial=fitting(serial_at(trust, bytes.fromhex(run.meter), channel, end_ms)),
        quantity=quantity,
        reference=Reference(
            _REFERENCE_KINDS[said.kind],
            said.serial,
            said.name,
            cited(certificates),
            None if said.meter is None else bytes.fromhex(said.meter),
            said.channel,
        ),
        conditions=tuple(
            Condition(each.name, each.unit, Decimal(each.minimum), Decimal(each.maximum))
            for each in run.conditions
        ),
        person=run.person,
    )


def serial_at(trust: Trust, thumbprint: bytes, channel: Channel, at_ms: int) -> str:
    """The instrument behind the channel: by its binding then, else by the parameters. Told if neither says."""
    for binding in trust.bindings:
        is_then = binding.from_ms <= at_ms and (binding.to_ms is None or at_ms <= binding.to_ms)
        if (binding.thumbprint, binding.channel) == (thumbprint, channel.id) and is_then:
            return binding.serial
    if channel.serial is None:
        raise Told("compare.no_serial", channel=channel.id)
    return channel.serial
