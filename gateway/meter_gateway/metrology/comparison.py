"""A channel compared with a reference in situ: E_n, repeatability and the verdict.

The run passes only if all of these hold, and names every one that does not:

1. U of the comparison is at most MPE/3 (JCGM 106, 8.2.3; configurable). Otherwise it is inconclusive.
2. |E_n| <= 1: the difference is explained by what both sides claim (ISO 13528, ISO/IEC 17043).
3. It is explained by the channel's claim alone. Otherwise it is inconclusive: a better reference might refute it.
4. The difference is within the MPE by the decision rule of conformity.py.

E_n alone rewards a poor reference: its limit grows with U_X. By rule 3 a wider U_X never turns a non-pass into a
pass. U_x is the claim under test; however wide it is, no difference beyond the MPE passes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meter_gateway.metrology import constants
from meter_gateway.metrology.budget import standard_deviation
from meter_gateway.metrology.conformity import (
    SIMPLE_ACCEPTANCE,
    DecisionRule,
    Outcome,
    decide,
    maximum_permissible_error,
)
from meter_gateway.metrology.errors import MetrologyError, TooFewValues, exceeds, finite, not_negative, positive


@dataclass(frozen=True, slots=True)
class Difference:
    """Channel minus reference, with what each side claims (k = 2), all in one unit.

    `reference_uncertainty` U_X is the comparison's own: the reference's certificate and drift, repeatability,
    resolution, synchronisation. `covariance` is u(x, X) of the two estimates, not 0 if both go back to one
    standard. `channel_error` is what the channel's own certificate says of its indication: an error that is known
    is explained, so E_n leaves it out; the MPE holds for the indication as it is.
    """

    value: float
    channel_uncertainty: float
    reference_uncertainty: float
    covariance: float = 0.0
    channel_error: float = 0.0

    def __post_init__(self) -> None:
        finite(self.value, "the difference")
        not_negative(self.channel_uncertainty, "U of the channel")
        not_negative(self.reference_uncertainty, "U of the reference")
        finite(self.covariance, "the covariance")
        finite(self.channel_error, "the channel's known error")


def normalised_error(difference: Difference, k: float = 2.0) -> float:
    """E_n = (x - e - X)/√(U_x² + U_X² - 2·k²·u(x, X)), e being the channel's known error.

    Raises MetrologyError if the claims leave no uncertainty, or their covariance is larger than they allow.
    """
    u_x, u_ref = difference.channel_uncertainty, difference.reference_uncertainty
    shared = positive(k, "k") ** 2 * difference.covariance
    if abs(shared) > u_x * u_ref * (1 + 1e-9):
        raise MetrologyError("the covariance is larger than the two uncertainties allow: |r| > 1")
    separate = u_x**2 + u_ref**2
    radicand = separate - 2 * shared
    # A remainder of rounding is no uncertainty.
    if radicand <= 1e-12 * separate:
        raise MetrologyError("E_n is undefined: the two uncertainties leave nothing to divide by")
    return (difference.value - difference.channel_error) / math.sqrt(radicand)


def explained_by_claim(difference: Difference, k: float = 2.0) -> float:
    """The largest |x - e - X| with |E_n| <= 1 for whatever U_X: U_x - k²·u(x, X)/U_x.

    It is the least value of √(U_x² + U_X² - 2·k²·u(x, X)) over all U_X that the covariance allows (|r| <= 1).
    """
    u_x = difference.channel_uncertainty
    return u_x - k**2 * difference.covariance / u_x if u_x else 0.0


@dataclass(frozen=True, slots=True)
class ComparisonRule:
    decision: DecisionRule = SIMPLE_ACCEPTANCE
    en_limit: float = constants.EN_LIMIT.value


@dataclass(frozen=True, slots=True)
class ComparisonVerdict:
    outcome: Outcome
    normalised_error: float
    reasons: tuple[str, ...]
    """`uncertainty_too_large`, `en_exceeded`, `claim_not_proven`, `mpe_exceeded`, `mpe_not_proven`; empty if it
    passed."""


def judge(difference: Difference, mpe: float, rule: ComparisonRule | None = None) -> ComparisonVerdict:
    """Verdict of one point of a run; `mpe` is the maximum permissible error there, in the difference's unit."""
    rule = rule or ComparisonRule()
    error = normalised_error(difference)
    decision = decide(
        difference.value, difference.reference_uncertainty, maximum_permissible_error(mpe), rule.decision
    )
    is_explained = not exceeds(abs(error), rule.en_limit)
    unexplained = abs(difference.value - difference.channel_error)
    is_proven = not exceeds(unexplained, rule.en_limit * explained_by_claim(difference))
    is_within = decision.acceptance is not None and decision.acceptance.contains(difference.value)
    reasons = [
        reason
        for reason, holds in (
            ("uncertainty_too_large", decision.uncertainty_too_large),
            ("en_exceeded", not is_explained),
            ("claim_not_proven", is_explained and not is_proven),
            ("mpe_exceeded", decision.outcome is Outcome.FAILED),
            ("mpe_not_proven", decision.outcome is Outcome.INCONCLUSIVE and not is_within),
        )
        if holds
    ]
    outcome = decision.outcome
    if outcome is Outcome.PASSED and not is_proven:
        outcome = Outcome.INCONCLUSIVE if is_explained else Outcome.FAILED
    return ComparisonVerdict(outcome, error, tuple(reasons))


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Of a run's points: any failure fails, else any doubt is doubt. Raises TooFewValues without a point."""
    found = set(outcomes)
    if not found:
        raise TooFewValues("a run without a point has no outcome")
    return next(each for each in (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.PASSED) if each in found)


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Pooled experimental standard deviation and its degrees of freedom."""

    standard_deviation: float
    degrees_of_freedom: int


def repeatability(runs: Sequence[Sequence[float]]) -> Repeatability:
    """s_p² = Σ ν_i s_i² / Σ ν_i over runs under repeatability conditions (GUM H.3.6 note, 4.2.4; VIM 2.21)."""
    usable = [run for run in runs if len(run) > 1]
    if not usable:
        raise TooFewValues("no run has two values, so nothing is known about repeatability")
    nu = sum(len(run) - 1 for run in usable)
    squares = math.fsum((len(run) - 1) * standard_deviation(run) ** 2 for run in usable)
    return Repeatability(math.sqrt(squares / nu), nu)
