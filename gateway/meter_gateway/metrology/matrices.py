"""The little linear algebra of a few correlated quantities: matrices are tuples or lists of rows."""

import math
from collections.abc import Sequence

from meter_gateway.metrology.errors import MetrologyError

Matrix = Sequence[Sequence[float]]

_ROUNDING = 1e-9
"""What rounding may leave of a pivot that is zero, relative to its diagonal element. Printed correlations that
contradict each other by more are refused, because no joint distribution has them."""


def cholesky(matrix: Matrix) -> list[list[float]]:
    """Lower L with L·Lᵀ = matrix, which must be symmetric; singular is allowed.

    Raises MetrologyError if it is no covariance matrix: not positive semidefinite.
    """
    lower: list[list[float]] = []
    for i, row in enumerate(matrix):
        new: list[float] = []
        for j in range(i):
            rest = row[j] - math.fsum(new[k] * lower[j][k] for k in range(j))
            if lower[j][j] == 0:
                if abs(rest) > _ROUNDING * math.sqrt(abs(row[i] * matrix[j][j])):
                    raise MetrologyError("the correlations contradict each other: not positive semidefinite")
                new.append(0.0)
            else:
                new.append(rest / lower[j][j])
        pivot = row[i] - math.fsum(value * value for value in new)
        if pivot < -_ROUNDING * abs(row[i]):
            raise MetrologyError("the correlations contradict each other: not positive semidefinite")
        lower.append([*new, math.sqrt(pivot) if pivot > _ROUNDING * 1e-3 * abs(row[i]) else 0.0])
    return lower


def inverse(matrix: Matrix) -> list[list[float]]:
    """Of a symmetric positive definite matrix; MetrologyError if it is singular."""
    lower = cholesky(matrix)
    size = len(lower)
    if any(lower[i][i] == 0 for i in range(size)):
        raise MetrologyError("the observations do not determine all coefficients: singular")
    columns = []
    for unit in range(size):
        forward: list[float] = []
        for i in range(size):
            rest = (i == unit) - math.fsum(lower[i][k] * forward[k] for k in range(i))
            forward.append(rest / lower[i][i])
        back = [0.0] * size
        for i in reversed(range(size)):
            rest = forward[i] - math.fsum(lower[k][i] * back[k] for k in range(i + 1, size))
            back[i] = rest / lower[i][i]
        columns.append(back)
    return columns


def quadratic_form(left: Sequence[float], matrix: Matrix, right: Sequence[float]) -> float:
    """leftᵀ · matrix · right."""
    return math.fsum(
        x * value * y for x, row in zip(left, matrix, strict=True) for value, y in zip(row, right, strict=True)
    )
