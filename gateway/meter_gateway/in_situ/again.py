"""A sealed comparison, judged again from its raw data, its settings, and the certificates that it names.

Whoever doubts an outcome gets it anew from what was read: the same spans, pairs, points and reasons, by the same
code. What is not in the event is the certificates; they are named in it by identifier and digest, and have to be
held.
"""

from collections.abc import Mapping

from meter_gateway.in_situ.evaluation import Evaluation, Limit, Method, Rule, evaluate
from meter_gateway.in_situ.event import About, Reference, event_of
from meter_gateway.in_situ.gathering import NO_CLAIM, Measured, sides_of
from meter_gateway.in_situ.pairing import pairs_of
from meter_gateway.in_situ.series import Reading, Series
from meter_gateway.metrology import constants
from meter_gateway.metrology.comparison import ComparisonRule
from meter_gateway.metrology.conformity import DecisionRule
from meter_gateway.model import Fields, GatewayTime
from meter_gateway.texts import Told
from meter_gateway.traceability.certificate import Certificate, results_for
from meter_gateway.traceability.channel_budget import InPlace
from meter_gateway.traceability.comparison import Comparison
from meter_gateway.traceability.trust import Trust
from meter_protocol import comparison as cm
from meter_protocol import fields as f
from meter_protocol.quantities import BY_CODE

FOUND = (
    cm.EXPONENT,
    cm.START_MS,
    cm.END_MS,
    cm.POINTS,
    cm.RELATIVE_ACCURACY,
    cm.OUTCOME,
    cm.REASONS,
    cm.RAW_DIGEST,
)
"""Of the event: what was found, and not what was said beforehand."""


class _Settings(dict[str, str]):
    """Of a sealed run. Told where one is missing, as in a run that another version sealed."""

    def __missing__(self, name: str) -> str:
        raise Told("compare.no_setting", name=name)


def differences(event: Comparison, raw: Fields, trust: Trust) -> list[int]:
    """Keys of `FOUND` that come out otherwise now. Told where a certificate that it names is not held, or a
    setting is not in it."""
    fields = event.fields
    settings = _Settings((each[cm.SETTING_NAME], each[cm.SETTING_VALUE]) for each in raw[cm.RAW_SETTINGS])
    if "kind" not in settings:
        raise Told("compare.only_a_check", run=event.run)
    is_register = settings["kind"] == "register"
    channel = _series(raw, cm.RAW_CHANNEL_EXPONENT, cm.RAW_CHANNEL, is_register, settings, "channel")
    reference = _series(raw, cm.RAW_REFERENCE_EXPONENT, cm.RAW_REFERENCE, is_register, settings, "reference")
    rule = _rule(fields, settings)
    found = _evaluated(event, channel, reference, rule, settings, trust)
    said = [(each[cm.SETTING_NAME], each[cm.SETTING_VALUE]) for each in raw[cm.RAW_SETTINGS]]
    sealed_at = GatewayTime(fields[f.TIME_MS], fields[f.CLOCK_STATUS], fields[f.CLOCK_UNCERTAINTY_MS])
    again, _ = event_of(_about(fields), channel, reference, found, rule, said, sealed_at)
    return [key for key in FOUND if again[key] != fields[key]]


def _evaluated(
    event: Comparison,
    channel: Series,
    reference: Series,
    rule: Rule,
    settings: Mapping[str, str],
    trust: Trust,
) -> Evaluation:
    fields = event.fields
    pairs = pairs_of(channel, reference, rule.settled_within)
    quantity = BY_CODE[fields[cm.QUANTITY]]
    start_ms = round(min((pair.start_ms for pair in pairs), default=0))
    end_ms = round(max((pair.end_ms for pair in pairs), default=0))
    named = [each[cm.CERTIFICATE_ID] for each in fields[cm.REFERENCE][cm.REFERENCE_CERTIFICATES]]
    certificates = [_held(trust, identifier) for identifier in named]
    own = None
    if settings["channel_claim"] != NO_CLAIM:
        certificate = _held(trust, settings["channel_claim"])
        place = int(settings["channel_claim_table"]) - 1
        result = results_for(certificate, fields[cm.SERIAL], quantity)[place : place + 1]
        own = (certificate, result[0]) if result else None
    drift = settings["reference_drift_percent_per_year"]
    measured = Measured(quantity, channel.is_register, tuple(pairs), start_ms, end_ms)
    serial, table = fields[cm.REFERENCE][cm.REFERENCE_SERIAL], int(settings["reference_table"])
    yearly = None if drift == "none" else float(drift)
    more = InPlace(float(settings["reference_in_place_percent"]), float(settings["reference_in_place"]))
    sides, _ = sides_of(trust, measured, certificates, serial, table, own, yearly, more)
    return evaluate(pairs, sides, rule)


def _held(trust: Trust, identifier: str) -> Certificate:
    if identifier not in trust.register:
        raise Told("compare.unknown_certificate", id=identifier)
    return trust.register[identifier]


def _series(
    raw: Fields, exponent: int, rows: int, is_register: bool, settings: Mapping[str, str], side: str
) -> Series:
    readings = tuple(
        Reading(
            each[cm.READING_START_MS],
            each[cm.READING_END_MS],
            each[cm.READING_VALUE],
            each[cm.READING_SPREAD],
            each[cm.READING_HASH],
        )
        for each in raw[rows]
    )
    offset_ms, jitter_ms, step = (int(settings[f"{side}_{name}"]) for name in ("offset_ms", "jitter_ms", "step"))
    return Series(raw[exponent], is_register, readings, offset_ms, jitter_ms, step)


def _rule(fields: Fields, settings: Mapping[str, str]) -> Rule:
    decision = fields[cm.DECISION]
    ratio, limit = decision[cm.DECISION_MAX_RATIO_PPM], decision[cm.DECISION_LIMIT_PPM]
    method: Method = "rata" if decision[cm.DECISION_METHOD] == cm.RATA else "en"
    settled = settings["settled_within"]
    channel_basis, reference_basis = (settings[f"{side}_basis"] for side in ("channel", "reference"))
    guard = DecisionRule(
        decision[cm.DECISION_GUARD_BAND],
        decision[cm.DECISION_MULTIPLIER_PPM] / 1e6,
        None if ratio is None else ratio / 1e6,
    )
    return Rule(
        limit=Limit(float(settings["mpe_percent"]), float(settings["mpe"])),
        method=method,
        decision=ComparisonRule(guard, decision[cm.DECISION_EN_LIMIT_PPM] / 1e6),
        min_pairs=int(settings["min_pairs"]),
        level_within=float(settings["level_within"]),
        settled_within=None if settled == "any" else float(settled),
        relative_accuracy_percent=constants.RATA_LIMIT_PERCENT.value if limit is None else limit / 1e4,
        channel_basis="" if channel_basis == "none" else channel_basis,
        reference_basis="" if reference_basis == "none" else reference_basis,
    )


def _about(fields: Fields) -> About:
    """Only for its shape: nothing of it is compared."""
    reference = fields[cm.REFERENCE]
    return About(
        run=fields[cm.RUN],
        kind=fields[cm.KIND],
        thumbprint=fields[f.METER],
        channel=fields[cm.CHANNEL],
        serial=fields[cm.SERIAL],
        quantity=BY_CODE[fields[cm.QUANTITY]],
        reference=Reference(
            reference[cm.REFERENCE_KIND], reference[cm.REFERENCE_SERIAL], reference[cm.REFERENCE_NAME], ()
        ),
        conditions=(),
        person=fields[cm.PERSON],
    )
