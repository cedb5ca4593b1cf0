"""What a run found: error and uncertainty at each point, and its outcome.

1. Used pairs whose reference lies within `level_within` of each other are one point. Its error is the mean of
   theirs.
2. U of a point (k = 2) is the comparison's own: the reference's calibration, its drift and what its binding says,
   the pairs' synchronisation and resolution (the largest, since a clock's offset is common to all), and their
   repeatability s. Pairs follow each other and see the same process, so s is not divided by √n.
3. Each point is judged by metrology.comparison: E_n with the channel's own claim, U against MPE/3, error against
   MPE.
4. A gas analyser is judged by its relative accuracy over at least nine runs on one basis (metrology.rata).
5. What makes the whole run prove nothing is a reason of its own: no certificate, a certificate that was not in
   force, too few pairs, an unknown repeatability. A run with such a reason is inconclusive, whatever its points
   say.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from meter_gateway.in_situ.pairing import Pair
from meter_gateway.in_situ.standard import Claim, Standard, claimed
from meter_gateway.metrology import comparison, constants, rata
from meter_gateway.metrology.budget import mean_of, standard_deviation
from meter_gateway.metrology.comparison import ComparisonRule, Difference
from meter_gateway.metrology.conformity import Outcome
from meter_gateway.metrology.errors import MetrologyError, TooFewValues, exceeds

Method = Literal["en", "rata"]

MAX_POINTS = 32
"""SPEC §8.6."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The maximum permissible error: `percent` of the reference's value, `absolute` in the quantity's unit, or
    both: then the larger one."""

    percent: float = 0.0
    absolute: float = 0.0

    def at(self, value: float) -> float:
        return max(self.percent / 100 * abs(value), self.absolute)


SIMPLE_RULE = ComparisonRule()
"""|E_n| ≤ 1, U ≤ MPE/3 and simple acceptance."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a run is judged. `basis` is what both sides of a gas comparison are on: wet or dry, and averaging."""

    limit: Limit
    method: Method = "en"
    decision: ComparisonRule = SIMPLE_RULE
    min_pairs: int = 3
    level_within: float = 0.05
    settled_within: float | None = 0.02
    relative_accuracy_percent: float = constants.RATA_LIMIT_PERCENT.value
    channel_basis: str = ""
    reference_basis: str = ""


class Sides(NamedTuple):
    """What is known of both. `objections` are reasons why the reference proves nothing, such as its certificate's
    end; `channel` None where no certificate speaks for the channel. `u_shared` is the standard uncertainty,
    relative to the value, of a standard with which both were calibrated."""

    reference: Standard | None
    channel: Standard | None
    objections: tuple[str, ...] = ()
    u_shared: float = 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """In the quantity's unit; `uncertainty` is U, k = 2."""

    reference: float
    error: float
    uncertainty: float
    mpe: float
    normalised_error: float | None
    count: int
    deviation: float | None
    outcome: Outcome
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`corrections` are what was added to the reference's value, pair by pair; 0 where nothing is known."""

    pairs: tuple[Pair, ...]
    corrections: tuple[float, ...]
    points: tuple[Point, ...]
    accuracy: rata.RelativeAccuracy | None
    outcome: Outcome
    reasons: tuple[str, ...]


class _Corrected(NamedTuple):
    pair: Pair
    reference: float
    claim: Claim

    @property
    def error(self) -> float:
        return self.pair.channel - self.reference


def evaluate(pairs: Sequence[Pair], sides: Sides, rule: Rule) -> Evaluation:
    reasons = list(sides.objections)
    claims = [_claim(sides.reference, pair) for pair in pairs]
    reasons += [each for each in claims if isinstance(each, str)]
    known = [
        (_Corrected(pair, pair.reference - claim.error, claim), pair)
        for pair, claim in zip(pairs, claims, strict=True)
        if isinstance(claim, Claim)
    ]
    used = [corrected for corrected, pair in known if pair.is_used]
    corrections = tuple(-claim.error if isinstance(claim, Claim) else 0.0 for claim in claims)
    groups = _levels(used, rule.level_within)
    if len(groups) > MAX_POINTS:
        reasons.append("too_many_points")
        groups = groups[:MAX_POINTS]
    accuracy = None
    if rule.method == "rata":
        points, accuracy, more = _by_relative_accuracy(used, rule)
        reasons += more
    else:
        points, more = _by_normalised_error(groups, sides, rule)
        reasons += more
    outcome = comparison.worst(point.outcome for point in points) if points else Outcome.INCONCLUSIVE
    if not any(pair.is_used for pair in pairs):
        reasons.append("no_settled_pair")
    if reasons:
        outcome = Outcome.INCONCLUSIVE
    reasons += [reason for point in points for reason in point.reasons]
    return Evaluation(tuple(pairs), corrections, tuple(points), accuracy, outcome, tuple(sorted(set(reasons))))


def _claim(reference: Standard | None, pair: Pair) -> Claim | str:
    if reference is None:
        return "reference_uncalibrated"
    return claimed(reference, pair.reference, pair.level) if pair.is_used else Claim(0.0, 0.0, 0.0)


def _levels(used: Sequence[_Corrected], within: float) -> list[list[_Corrected]]:
    """Pairs at about one level, in the order of the levels."""
    groups: list[list[_Corrected]] = []
    for each in sorted(used, key=lambda entry: entry.pair.level):
        lowest = groups[-1][0].pair.level if groups else 0.0
        if groups and each.pair.level - lowest <= within * max(abs(lowest), abs(each.pair.level)):
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _by_normalised_error(
    groups: Sequence[Sequence[_Corrected]], sides: Sides, rule: Rule
) -> tuple[list[Point], list[str]]:
    reasons = []
    if any(len(group) < rule.min_pairs for group in groups):
        reasons.append("too_few_pairs")
    try:
        s = comparison.repeatability([[each.error for each in group] for group in groups]).standard_deviation
    except TooFewValues:
        return [_point(group, None, sides, rule) for group in groups], [*reasons, "repeatability_unknown"]
    return [_point(group, s, sides, rule) for group in groups], reasons


def _point(group: Sequence[_Corrected], s: float | None, sides: Sides, rule: Rule) -> Point:
    reference = mean_of([each.reference for each in group])
    error = mean_of([each.error for each in group])
    u = _u_of_comparison(group, s)
    mpe = rule.limit.at(reference)
    # The channel's indication is what its certificate is about, so it is asked where the channel stood.
    value = mean_of([each.pair.channel for each in group])
    level = mean_of([each.pair.level for each in group])
    claim = claimed(sides.channel, value, level) if sides.channel is not None else ""
    if not isinstance(claim, Claim):
        claim = Claim(0.0, mpe / math.sqrt(3), 0.0)
    shared = (sides.u_shared * reference) ** 2
    # No more than the two claims allow (|r| ≤ 1).
    covariance = min(shared, claim.u * u)
    difference = Difference(error, 2 * claim.u, 2 * u, covariance, claim.error)
    count, deviation = len(group), None if len(group) < 2 else standard_deviation([each.error for each in group])
    told = Point(reference, error, 2 * u, mpe, None, count, deviation, Outcome.INCONCLUSIVE, ())
    try:
        verdict = comparison.judge(difference, mpe, rule.decision)
    except MetrologyError:
        return replace(told, reasons=("en_undefined",))
    return replace(
        told, normalised_error=verdict.normalised_error, outcome=verdict.outcome, reasons=verdict.reasons
    )


def _u_of_comparison(group: Sequence[_Corrected], s: float | None) -> float:
    calibration = mean_of([each.claim.u_calibration for each in group])
    drift = mean_of([each.claim.u_drift for each in group])
    in_place = mean_of([each.claim.u_in_place for each in group])
    own = max(each.pair.u for each in group)
    return math.hypot(calibration, drift, in_place, own, s or 0.0)


def _by_relative_accuracy(
    used: Sequence[_Corrected], rule: Rule
) -> tuple[list[Point], rata.RelativeAccuracy | None, list[str]]:
    """One point: the mean of all runs. U says how well the reference method itself is known."""
    runs = [rata.Run(each.reference, each.pair.channel, rule.reference_basis) for each in used]
    if not rule.reference_basis or rule.reference_basis != rule.channel_basis:
        return [], None, ["basis_differs"]
    try:
        accuracy = rata.relative_accuracy(runs)
    except TooFewValues:
        return [], None, ["too_few_pairs"]
    except MetrologyError:
        return [], None, ["reference_not_positive"]
    limit = rule.relative_accuracy_percent
    mpe = limit / 100 * accuracy.mean_reference
    uncertainty = 2 * _u_of_comparison(used, None)
    reasons = () if accuracy.passes(limit) else ("relative_accuracy_exceeded",)
    outcome = Outcome.FAILED if reasons else Outcome.PASSED
    ratio = rule.decision.decision.max_uncertainty_ratio
    if ratio is not None and exceeds(uncertainty, ratio * mpe):
        outcome, reasons = Outcome.INCONCLUSIVE, (*reasons, "uncertainty_too_large")
    point = Point(
        accuracy.mean_reference,
        -accuracy.mean_difference,
        uncertainty,
        mpe,
        None,
        accuracy.runs,
        accuracy.standard_deviation,
        outcome,
        reasons,
    )
    return [point], accuracy, []
