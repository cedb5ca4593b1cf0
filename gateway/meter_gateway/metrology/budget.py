"""The uncertainty budget of a measurand by the GUM (JCGM 100:2008), in closed form.

Components (estimate x_i, standard uncertainty u_i, sensitivity c_i, degrees of freedom ν_i, correlations r_ij)
-> combined standard uncertainty, effective degrees of freedom, coverage factor, expanded uncertainty:

1. u_c² = Σ_i Σ_j c_i c_j u_i u_j r_ij (5.2.2, eq. 16).
2. ν_eff = u_c⁴ / Σ (c_i u_i)⁴/ν_i (G.4.1, eq. G.2b, Welch–Satterthwaite), which holds for independent inputs.
   Inputs that were observed together and correlate are one *ensemble*: one term, with the variance of the whole
   and their common ν. Correlated inputs with infinite ν add nothing to the sum. Any other correlation leaves
   ν_eff undefined, and is refused with the names instead of being answered with a number.
3. k = t_p(ν_eff), ν_eff truncated to the next lower integer (G.4.1 note 1; the note also allows interpolation,
   which is `truncated=False`); U = k·u_c (6.2.1).

All sums are exact to the last bit (math.fsum), so that no result depends on the order of the components.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from meter_gateway.metrology.errors import (
    BudgetError,
    MetrologyError,
    at_least,
    finite,
    not_negative,
    positive,
    probability,
)
from meter_gateway.metrology.matrices import cholesky
from meter_gateway.metrology.quantiles import FEWEST_DEGREES_OF_FREEDOM, t_factor

_ALMOST_WHOLE = 1e-9
"""A ν_eff this little (relative) below an integer is that integer, computed with rounding."""

_LARGEST = 1e150
"""A contribution whose square still is a float."""


class Distribution(Enum):
    """How a component's value is distributed; the number is half-width / standard uncertainty."""

    NORMAL = "normal"
    STUDENT = "Student t"
    RECTANGULAR = "rectangular"
    TRIANGULAR = "triangular"
    U_SHAPED = "U-shaped"


_DIVISORS = {
    Distribution.RECTANGULAR: math.sqrt(3),
    Distribution.TRIANGULAR: math.sqrt(6),
    Distribution.U_SHAPED: math.sqrt(2),
}
"""Half-width a over u: GUM 4.3.7, 4.3.9, and H.1.3.4 for the arcsine distribution of a cycle."""


@dataclass(frozen=True, slots=True)
class Component:
    """One input quantity x_i. `sensitivity` c_i = ∂f/∂x_i carries its unit into the measurand's.

    `ensemble` names a set of inputs that were observed together (GUM H.2): they share ν and may correlate.
    """

    source: str
    estimate: float
    standard_uncertainty: float
    distribution: Distribution = Distribution.NORMAL
    sensitivity: float = 1.0
    degrees_of_freedom: float = math.inf
    ensemble: str | None = None

    def __post_init__(self) -> None:
        finite(self.estimate, f"the estimate of {self.source}")
        not_negative(self.standard_uncertainty, f"the standard uncertainty of {self.source}")
        finite(self.sensitivity, f"the sensitivity of {self.source}")
        if self.contribution > _LARGEST:
            raise BudgetError(f"{self.source} contributes more than {_LARGEST:g}, whose square is no number")
        if not self.degrees_of_freedom >= FEWEST_DEGREES_OF_FREEDOM:
            raise BudgetError(f"{self.source}: degrees of freedom must be at least {FEWEST_DEGREES_OF_FREEDOM}")

    @property
    def contribution(self) -> float:
        """u_i(y) = |c_i|·u(x_i), in the measurand's unit (GUM 5.1.3, eq. 11b)."""
        return abs(self.sensitivity) * self.standard_uncertainty


def normal(
    source: str,
    estimate: float,
    expanded_uncertainty: float,
    k: float = 1.0,
    *,
    sensitivity: float = 1.0,
    degrees_of_freedom: float = math.inf,
) -> Component:
    """A certificate's U with its k: u = U/k (GUM 4.3.3)."""
    u = not_negative(expanded_uncertainty, f"U of {source}") / positive(k, f"k of {source}")
    shape = Distribution.NORMAL if degrees_of_freedom == math.inf else Distribution.STUDENT
    return Component(source, estimate, u, shape, sensitivity, degrees_of_freedom)


def bounded(
    source: str,
    estimate: float,
    half_width: float,
    distribution: Distribution = Distribution.RECTANGULAR,
    *,
    sensitivity: float = 1.0,
    degrees_of_freedom: float = math.inf,
) -> Component:
    """Limits ±a: u = a/√3 rectangular (GUM 4.3.7), a/√6 triangular (4.3.9), a/√2 U-shaped (H.1.3.4)."""
    if distribution not in _DIVISORS:
        raise BudgetError(f"{source}: a {distribution.value} distribution has no half-width")
    u = not_negative(half_width, f"the half-width of {source}") / _DIVISORS[distribution]
    return Component(source, estimate, u, distribution, sensitivity, degrees_of_freedom)


def observed(
    source: str, observations: Sequence[float], *, sensitivity: float = 1.0, ensemble: str | None = None
) -> Component:
    """Type A: the mean of n independent observations, u = s/√n, ν = n-1 (GUM 4.2.3)."""
    at_least(len(observations), 2, f"observations of {source}")
    mean, u = mean_of(observations), standard_uncertainty_of_mean(observations)
    nu = len(observations) - 1
    return Component(source, mean, u, Distribution.STUDENT, sensitivity, nu, ensemble)


def mean_of(values: Sequence[float]) -> float:
    at_least(len(values), 1, "values")
    return math.fsum(finite(value, "a value") for value in values) / len(values)


def standard_deviation(values: Sequence[float]) -> float:
    """Experimental standard deviation s (GUM 4.2.2, eq. 4)."""
    at_least(len(values), 2, "values")
    mean = mean_of(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def standard_uncertainty_of_mean(values: Sequence[float]) -> float:
    """s/√n (GUM 4.2.3, eq. 5)."""
    return standard_deviation(values) / math.sqrt(len(values))


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """r of two quantities from simultaneous observations (GUM 5.2.2 eq. 14 with 5.2.3 eq. 17)."""
    if len(first) != len(second):
        raise MetrologyError(f"observations must be pairs, not {len(first)} and {len(second)} values")
    at_least(len(first), 2, "pairs of observations")
    mean_1, mean_2 = mean_of(first), mean_of(second)
    product = math.fsum((x - mean_1) * (y - mean_2) for x, y in zip(first, second, strict=True))
    squares_1, squares_2 = (
        math.fsum((x - mean_1) ** 2 for x in first),
        math.fsum((y - mean_2) ** 2 for y in second),
    )
    if squares_1 == 0 or squares_2 == 0:
        raise MetrologyError("observations that do not vary have no correlation")
    return max(-1.0, min(1.0, product / math.sqrt(squares_1) / math.sqrt(squares_2)))


def type_b_degrees_of_freedom(relative_uncertainty_of_u: float) -> float:
    """ν = ½·(Δu/u)⁻² for a u that is known to Δu/u (GUM G.4.2, eq. G.3): 0.25 gives 8, 0.1 gives 50."""
    return 0.5 / positive(relative_uncertainty_of_u, "Δu/u") ** 2


Correlations = Mapping[tuple[str, str], float]
"""r(x_i, x_j) by the two sources' names, each pair once."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """U = k·u_c at coverage probability p (GUM 6.2, G.3)."""

    combined_uncertainty: float
    effective_degrees_of_freedom: float
    probability: float
    k: float

    @property
    def expanded_uncertainty(self) -> float:
        return self.k * self.combined_uncertainty


class Budget:
    """Components of one measurand with their correlations.

    Raises BudgetError on two components of one name, on a correlation that names none or is outside [-1, 1], on
    correlations that contradict each other, and on an ensemble whose members differ in ν.
    """

    def __init__(self, components: Iterable[Component], correlations: Correlations | None = None) -> None:
        self.components = tuple(components)
        if not self.components:
            raise BudgetError("a budget needs a component")
        self._by_source = {component.source: component for component in self.components}
        if len(self._by_source) != len(self.components):
            raise BudgetError("two components have the same source; give each its own name")
        self._pairs = self._checked(correlations or {})
        self._check_ensembles()

    def correlation(self, first: str, second: str) -> float:
        return 1.0 if first == second else self._pairs.get(frozenset((first, second)), 0.0)

    def combined_uncertainty(self) -> float:
        """u_c(y), in the measurand's unit (GUM 5.1.2 eq. 10; 5.2.2 eq. 16)."""
        return math.sqrt(self._variance(self.components))

    def effective_degrees_of_freedom(self) -> float:
        """ν_eff, inf if no component that matters has a finite ν (GUM G.4.1, eq. G.2b).

        Raises BudgetError where correlations leave it undefined.
        """
        self._check_correlations_allow_nu()
        terms = [(self._variance(members), members[0].degrees_of_freedom) for members in self._ensembles()]
        total = self._variance(self.components)
        if total == 0:
            return math.inf
        # Relative to u_c², so that neither tiny nor huge units leave the range of floats.
        weights = math.fsum((variance / total) ** 2 / nu for variance, nu in terms)
        return 1 / weights if weights else math.inf

    def expanded(self, coverage_probability: float = 0.95, *, truncated: bool = True) -> Expanded:
        """U with k = t_p(ν_eff); `truncated` False takes the fractional ν_eff (GUM G.4.1 note 1)."""
        probability(coverage_probability, "coverage probability")
        nu = self.effective_degrees_of_freedom()
        k = t_factor(coverage_probability, truncate(nu) if truncated else nu)
        return Expanded(self.combined_uncertainty(), nu, coverage_probability, k)

    def _variance(self, components: Sequence[Component]) -> float:
        """Σ_i Σ_j c_i c_j u_i u_j r_ij over some of the components."""
        terms = [component.contribution**2 for component in components]
        if self._pairs:
            signed = {c.source: c.sensitivity * c.standard_uncertainty for c in components}
            for pair, r in self._pairs.items():
                first, second = pair
                if first in signed and second in signed:
                    terms.append(2 * signed[first] * signed[second] * r)
        # Full cancellation may leave a last bit below zero; real contradictions were refused in __init__.
        return max(0.0, math.fsum(terms))

    def _checked(self, correlations: Correlations) -> dict[frozenset[str], float]:
        pairs: dict[frozenset[str], float] = {}
        for (first, second), r in correlations.items():
            pair = frozenset((first, second))
            for name in (first, second):
                if name not in self._by_source:
                    raise BudgetError(f"a correlation names {name}, which is no component")
            if len(pair) == 1 or pair in pairs:
                raise BudgetError(f"the correlation of {first} and {second} must be of two, and be given once")
            if not -1 <= r <= 1:
                raise BudgetError(f"the correlation of {first} and {second} must be from -1 to 1, not {r}")
            pairs[pair] = r
        names = sorted({name for pair in pairs for name in pair})
        try:
            cholesky([[pairs.get(frozenset((a, b)), 0.0) if a != b else 1.0 for b in names] for a in names])
        except MetrologyError as error:
            raise BudgetError(str(error)) from None
        return pairs

    def _check_ensembles(self) -> None:
        for members in self._ensembles():
            if len({member.degrees_of_freedom for member in members}) > 1:
                raise BudgetError(f"members of the ensemble {members[0].ensemble} differ in degrees of freedom")

    def _ensembles(self) -> list[list[Component]]:
        """Each ensemble's members, and each other component alone."""
        alone = [[component] for component in self.components if component.ensemble is None]
        together = sorted((c for c in self.components if c.ensemble is not None), key=_ensemble)
        return alone + [list(members) for _, members in groupby(together, key=_ensemble)]

    def _check_correlations_allow_nu(self) -> None:
        for pair, r in self._pairs.items():
            first, second = sorted(pair)
            one, other = self._by_source[first], self._by_source[second]
            if r == 0 or (one.ensemble is not None and one.ensemble == other.ensemble):
                continue
            if one.degrees_of_freedom < math.inf or other.degrees_of_freedom < math.inf:
                raise BudgetError(
                    f"{first} and {second} correlate with finite degrees of freedom, so ν_eff is undefined "
                    "(GUM G.4.1); put them into one ensemble if they were observed together"
                )


def truncate(degrees_of_freedom: float) -> float:
    """To the next lower integer, at least 1 (GUM G.4.1 note 1)."""
    if degrees_of_freedom == math.inf:
        return degrees_of_freedom
    return max(1.0, float(math.floor(degrees_of_freedom * (1 + _ALMOST_WHOLE))))


def covariance(first: Budget, second: Budget) -> float:
    """u(y_1, y_2) = Σ_i Σ_j c_1i c_2j u_i u_j r_ij of two measurands of the same inputs (GUM H.2.3, eq. H.9).

    A source of the same name is the same input quantity; the correlations of `first` count.
    """
    second_of = {component.source: component for component in second.components}
    if any(
        component.source in second_of
        and component.standard_uncertainty != second_of[component.source].standard_uncertainty
        for component in first.components
    ):
        raise BudgetError("two budgets give the same source different standard uncertainties")
    return math.fsum(
        one.sensitivity * one.standard_uncertainty * other.sensitivity * other.standard_uncertainty * r
        for one in first.components
        for other in second.components
        if (r := first.correlation(one.source, other.source))
    )


def _ensemble(component: Component) -> str:
    return component.ensemble or ""
