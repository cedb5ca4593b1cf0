"""Second-order terms of the law of propagation, where a model is too curved for its slope (GUM 5.1.2 note).

Σ_i Σ_j [½·f_ij² + f_i·f_ijj]·u²(x_i)·u²(x_j) is added to u_c². The GUM gives it for independent inputs whose
distributions are symmetric about their estimates; for correlated ones it has no counterpart (JCGM 101, 9.4.3.1),
so that a Monte Carlo calculation is the only answer there.
"""

import math
from collections.abc import Mapping

from meter_gateway.metrology.budget import Budget
from meter_gateway.metrology.errors import BudgetError, finite

Derivatives2 = Mapping[tuple[str, str], float]
"""f_ij = ∂²f/∂x_i∂x_j by the two sources' names, each pair once (it is symmetric)."""

Derivatives3 = Mapping[tuple[str, str], float]
"""f_ijj = ∂³f/∂x_i∂x_j² by (i, j): (i, j) and (j, i) differ."""


def combined_uncertainty(budget: Budget, second: Derivatives2, third: Derivatives3 | None = None) -> float:
    """u_c with the second-order terms. Raises BudgetError if components correlate or a name is unknown."""
    components = {component.source: component for component in budget.components}
    names = list(components)
    if any(budget.correlation(a, b) for index, a in enumerate(names) for b in names[:index]):
        raise BudgetError("the second-order terms are defined for independent inputs only (JCGM 101, 9.4.3.1)")

    def variance(name: str) -> float:
        if name not in components:
            raise BudgetError(f"a derivative names {name}, which is no component")
        return components[name].standard_uncertainty ** 2

    terms = [budget.combined_uncertainty() ** 2]
    for (i, j), value in second.items():
        if i != j and (j, i) in second:
            raise BudgetError(f"the derivative by {i} and {j} must be given once")
        # The double sum has a mixed pair twice.
        factor = 0.5 if i == j else 1.0
        terms.append(factor * finite(value, "a derivative") ** 2 * variance(i) * variance(j))
    for (i, j), value in (third or {}).items():
        both = variance(i) * variance(j)
        terms.append(components[i].sensitivity * finite(value, "a derivative") * both)
    return math.sqrt(max(0.0, math.fsum(terms)))
