"""The fields of a comparison event and its raw data (SPEC §8.6), from what was evaluated.

Everything measured is rounded to integers here, three digits finer than the finer of both sides shows it, and only
here: the outcome was found before. Whoever has the raw data and the settings finds it again.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal

from meter_gateway.in_situ.check_gas import CheckGas
from meter_gateway.in_situ.evaluation import Evaluation, Rule
from meter_gateway.in_situ.pairing import Pair
from meter_gateway.in_situ.series import Reading, Series
from meter_gateway.metrology.conformity import Outcome
from meter_gateway.model import Fields, GatewayTime
from meter_gateway.texts import Told
from meter_gateway.traceability.certificate import Certificate, Condition
from meter_protocol import comparison as cm
from meter_protocol import comparison_schema as cs
from meter_protocol import fields as f
from meter_protocol.quantities import Quantity
from meter_protocol.schema import MAX_TEXT

MORE_DIGITS = 3
_LARGEST = 1 << 62
_U_DIGITS = Context(prec=3, rounding=ROUND_UP)
"""An uncertainty has no more digits than say something."""

_CODE = {Outcome.PASSED: cm.PASSED, Outcome.FAILED: cm.FAILED, Outcome.INCONCLUSIVE: cm.INCONCLUSIVE}
_METHODS = {"en": cm.NORMALISED_ERROR, "rata": cm.RATA}


@dataclass(frozen=True, slots=True)
class Reference:
    """`certificates` as (identifier, SHA-256 of its file where there is one)."""

    kind: int
    serial: str
    name: str
    certificates: tuple[tuple[str, bytes | None], ...]
    meter: bytes | None = None
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class About:
    """Which run it is, of what, with what, and who answers for it. `kind` as in SPEC §8.6."""

    run: bytes
    kind: int
    thumbprint: bytes
    channel: int
    serial: str
    quantity: Quantity
    reference: Reference
    conditions: tuple[Condition, ...]
    person: str


def cited(certificates: Iterable[Certificate]) -> tuple[tuple[str, bytes | None], ...]:
    """As `Reference` has them; Told where an identifier is too long."""
    return tuple((fitting(each.identifier), each.document_sha256 or each.scan_sha256) for each in certificates)


def fitting(text: str, most: int = MAX_TEXT) -> str:
    """A text that the event can hold; Told if this is none."""
    if not text or len(text.encode()) > most:
        raise Told("compare.bad_text", text=text, most=most)
    return text


def event_of(
    about: About,
    channel: Series,
    reference: Series,
    found: Evaluation,
    rule: Rule,
    settings: Sequence[tuple[str, str]],
    now: GatewayTime,
) -> tuple[Fields, bytes]:
    """The event's fields and the raw data; whether these are in the event too says its key `raw`."""
    wanted = min(channel.exponent, reference.exponent) - MORE_DIGITS
    exponent = _exponent(wanted, max(_sizes(found), default=0.0))
    unit = Decimal(1).scaleb(exponent)

    def whole(value: float) -> int:
        return int((Decimal(value) / unit).to_integral_value())

    raw = cs.encode_raw(
        {
            cm.RAW_VERSION: f.PROTOCOL_VERSION,
            cm.RAW_CHANNEL_EXPONENT: channel.exponent,
            cm.RAW_CHANNEL: [_reading(reading) for reading in channel.readings],
            cm.RAW_REFERENCE_EXPONENT: reference.exponent,
            cm.RAW_REFERENCE: [_reading(reading) for reading in reference.readings],
            cm.RAW_PAIRS: [
                {
                    cm.PAIR_START_MS: round(pair.start_ms),
                    cm.PAIR_END_MS: round(pair.end_ms),
                    cm.PAIR_CHANNEL: whole(pair.channel),
                    cm.PAIR_REFERENCE: whole(pair.reference),
                    cm.PAIR_CORRECTION: whole(correction),
                    cm.PAIR_UNCERTAINTY: whole(pair.u),
                    cm.PAIR_USE: _use(pair),
                }
                for pair, correction in zip(found.pairs, found.corrections, strict=True)
            ],
            cm.RAW_SETTINGS: [{cm.SETTING_NAME: name, cm.SETTING_VALUE: value} for name, value in settings],
        }
    )
    ends = [round(moment) for pair in found.pairs for moment in (pair.start_ms, pair.end_ms)] or [now.time_ms]
    decision = rule.decision.decision
    ratio = decision.max_uncertainty_ratio
    fields = {
        **_header(about, now),
        cm.EXPONENT: exponent,
        # Readings are judged over intervals widened by their clock, and the last one compared is of the run.
        cm.START_MS: min(ends) - channel.offset_ms,
        cm.END_MS: max(ends) + channel.offset_ms,
        cm.DECISION: {
            cm.DECISION_METHOD: _METHODS[rule.method],
            cm.DECISION_GUARD_BAND: decision.guard_band,
            cm.DECISION_MULTIPLIER_PPM: _ppm(decision.multiplier),
            cm.DECISION_MAX_RATIO_PPM: None if ratio is None else _ppm(ratio),
            cm.DECISION_EN_LIMIT_PPM: _ppm(rule.decision.en_limit),
            cm.DECISION_LIMIT_PPM: _ppm(rule.relative_accuracy_percent / 100) if rule.method == "rata" else None,
        },
        cm.POINTS: [
            {
                cm.POINT_REFERENCE: whole(point.reference),
                cm.POINT_ERROR: whole(point.error),
                cm.POINT_UNCERTAINTY: whole(point.uncertainty),
                cm.POINT_MPE: whole(point.mpe),
                cm.POINT_EN_PPM: None if point.normalised_error is None else _ppm(point.normalised_error),
                cm.POINT_COUNT: point.count,
                cm.POINT_DEVIATION: None if point.deviation is None else whole(point.deviation),
                cm.POINT_OUTCOME: _CODE[point.outcome],
            }
            for point in found.points
        ],
        cm.RELATIVE_ACCURACY: None
        if found.accuracy is None
        else {
            cm.ACCURACY_MEAN_DIFFERENCE: whole(found.accuracy.mean_difference),
            cm.ACCURACY_DEVIATION: whole(found.accuracy.standard_deviation),
            cm.ACCURACY_COEFFICIENT: whole(abs(found.accuracy.confidence_coefficient)),
            cm.ACCURACY_MEAN_REFERENCE: whole(found.accuracy.mean_reference),
            cm.ACCURACY_PPM: _ppm(found.accuracy.percent / 100),
            cm.ACCURACY_RUNS: found.accuracy.runs,
            cm.ACCURACY_BASIS: rule.reference_basis,
        },
        cm.OUTCOME: _CODE[found.outcome],
        cm.REASONS: list(found.reasons),
        cm.RAW_DIGEST: hashlib.sha256(raw).digest(),
        cm.RAW: raw if len(raw) <= cs.MAX_RAW_INSIDE else None,
    }
    return dict(sorted(fields.items())), raw


def check_of(
    about: About, gas: CheckGas, shown: Decimal, limit: Decimal, at_ms: int, now: GatewayTime
) -> tuple[Fields, bytes]:
    """The event of one check with zero or span gas: what the analyser showed of a known gas then, and its limit.

    Inconclusive where the gas is in doubt, whatever the analyser showed.
    """
    told = (gas.value, shown, limit, _U_DIGITS.plus(gas.expanded_uncertainty))
    exponent = _exponent(min(0, *(_exponent_of(value) for value in told)), float(max(map(abs, told))))
    unit = Decimal(1).scaleb(exponent)
    known, indication, mpe, uncertainty = (int((value / unit).to_integral_value()) for value in told)
    reasons = [*gas.doubts, *(["limit_exceeded"] if abs(indication - known) > mpe else [])]
    outcome = cm.INCONCLUSIVE if gas.doubts else cm.FAILED if reasons else cm.PASSED

    def at_once(value: int) -> Fields:
        return _reading(Reading(at_ms, at_ms, value))

    raw = cs.encode_raw(
        {
            cm.RAW_VERSION: f.PROTOCOL_VERSION,
            cm.RAW_CHANNEL_EXPONENT: exponent,
            cm.RAW_CHANNEL: [at_once(indication)],
            cm.RAW_REFERENCE_EXPONENT: exponent,
            cm.RAW_REFERENCE: [at_once(known)],
            cm.RAW_PAIRS: [],
            cm.RAW_SETTINGS: [],
        }
    )
    fields = {
        **_header(about, now),
        cm.EXPONENT: exponent,
        cm.START_MS: at_ms,
        cm.END_MS: at_ms,
        cm.DECISION: {
            cm.DECISION_METHOD: cm.DIFFERENCE,
            cm.DECISION_GUARD_BAND: "simple",
            cm.DECISION_MULTIPLIER_PPM: _ppm(1),
            cm.DECISION_MAX_RATIO_PPM: None,
            cm.DECISION_EN_LIMIT_PPM: _ppm(1),
            cm.DECISION_LIMIT_PPM: None,
        },
        cm.POINTS: [
            {
                cm.POINT_REFERENCE: known,
                cm.POINT_ERROR: indication - known,
                cm.POINT_UNCERTAINTY: uncertainty,
                cm.POINT_MPE: mpe,
                cm.POINT_EN_PPM: None,
                cm.POINT_COUNT: 1,
                cm.POINT_DEVIATION: None,
                cm.POINT_OUTCOME: outcome,
            }
        ],
        cm.RELATIVE_ACCURACY: None,
        cm.OUTCOME: outcome,
        cm.REASONS: reasons,
        cm.RAW_DIGEST: hashlib.sha256(raw).digest(),
        cm.RAW: raw,
    }
    return dict(sorted(fields.items())), raw


def _header(about: About, now: GatewayTime) -> Fields:
    reference = about.reference
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.TIME_MS: now.time_ms,
        f.CLOCK_STATUS: now.clock_status,
        f.CLOCK_UNCERTAINTY_MS: now.clock_uncertainty_ms,
        f.METER: about.thumbprint,
        cm.RUN: about.run,
        cm.KIND: about.kind,
        cm.CHANNEL: about.channel,
        cm.SERIAL: about.serial,
        cm.QUANTITY: about.quantity.code,
        cm.REFERENCE: {
            cm.REFERENCE_KIND: reference.kind,
            cm.REFERENCE_SERIAL: reference.serial,
            cm.REFERENCE_NAME: reference.name,
            cm.REFERENCE_CERTIFICATES: [
                {cm.CERTIFICATE_ID: identifier, cm.CERTIFICATE_DIGEST: digest}
                for identifier, digest in reference.certificates
            ],
            cm.REFERENCE_METER: reference.meter,
            cm.REFERENCE_CHANNEL: reference.channel,
        },
        cm.CONDITIONS: [_condition(condition) for condition in about.conditions],
        cm.PERSON: about.person,
    }


def _condition(condition: Condition) -> Fields:
    exponent = min(0, _exponent_of(condition.minimum), _exponent_of(condition.maximum))
    unit = Decimal(1).scaleb(exponent)
    return {
        cm.CONDITION_NAME: condition.name,
        cm.CONDITION_UNIT: condition.unit,
        cm.CONDITION_EXPONENT: exponent,
        cm.CONDITION_MINIMUM: int(condition.minimum / unit),
        cm.CONDITION_MAXIMUM: int(condition.maximum / unit),
    }


def _reading(reading: Reading) -> Fields:
    return {
        cm.READING_START_MS: reading.start_ms,
        cm.READING_END_MS: reading.end_ms,
        cm.READING_VALUE: reading.value,
        cm.READING_SPREAD: reading.spread,
        cm.READING_HASH: reading.hash,
    }


def _use(pair: Pair) -> int:
    if not pair.is_covered:
        return cm.NOT_COVERED
    return cm.USED if pair.is_settled else cm.UNSETTLED


def _sizes(found: Evaluation) -> Iterator[float]:
    for pair in found.pairs:
        yield from (abs(pair.channel), abs(pair.reference), pair.u)
    yield from map(abs, found.corrections)
    for point in found.points:
        yield from (abs(point.reference), abs(point.error), point.uncertainty, point.mpe)


def _exponent(wanted: int, largest: float) -> int:
    """As fine as wanted, as long as the largest value is an int64."""
    exponent = max(-18, wanted)
    while largest / 10.0**exponent >= _LARGEST:
        exponent += 1
    return exponent


def _exponent_of(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(-18, exponent) if isinstance(exponent, int) else 0


def _ppm(value: float) -> int:
    """Of a ratio beyond an int64 it is only said that it is."""
    return max(-_LARGEST, min(_LARGEST, round(value * 1_000_000)))
