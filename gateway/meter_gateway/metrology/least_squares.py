"""Ordinary least squares with few coefficients, and what it predicts (GUM H.3; NASA-HDBK-8739.19-5).

Observations y_i = Σ_j a_ij·β_j + ε, where the scatter ε is estimated from the residuals: s² = Σ ε²/(n - m).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from meter_gateway.metrology.errors import at_least, finite, same_length
from meter_gateway.metrology.matrices import Matrix, inverse, quadratic_form


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients, their covariance matrix, the standard deviation s of a residual, and ν = n - m."""

    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    standard_deviation: float
    degrees_of_freedom: int

    def value(self, row: Sequence[float]) -> float:
        """At `row`, the a_j of one more observation."""
        return math.fsum(a * b for a, b in zip(row, self.coefficients, strict=True))

    def uncertainty(self, row: Sequence[float]) -> float:
        """Of the fitted curve at `row`."""
        return math.sqrt(max(0.0, quadratic_form(row, self.covariance, row)))

    def uncertainty_of_observation(self, row: Sequence[float]) -> float:
        """Of one more observation at `row`: the curve's, and the scatter about it."""
        return math.hypot(self.standard_deviation, self.uncertainty(row))


@dataclass(frozen=True, slots=True)
class Line:
    """y = intercept + slope·(x - x_0), GUM H.3.2."""

    fit: Fit
    origin: float

    @property
    def intercept(self) -> float:
        return self.fit.coefficients[0]

    @property
    def slope(self) -> float:
        return self.fit.coefficients[1]

    @property
    def u_intercept(self) -> float:
        return math.sqrt(self.fit.covariance[0][0])

    @property
    def u_slope(self) -> float:
        return math.sqrt(self.fit.covariance[1][1])

    @property
    def correlation(self) -> float:
        """r(intercept, slope), eq. H.13e."""
        return self.fit.covariance[0][1] / (self.u_intercept * self.u_slope)

    def predicted(self, x: float) -> tuple[float, float]:
        """Value and standard uncertainty of the line at x (H.3.4, eq. H.15)."""
        row = (1.0, finite(x, "x") - self.origin)
        return self.fit.value(row), self.fit.uncertainty(row)


def line(x: Sequence[float], y: Sequence[float], origin: float = 0.0) -> Line:
    """Through at least three points with two different x. Raises TooFewValues or MetrologyError."""
    finite(origin, "the origin")
    return Line(fit([(1.0, value - origin) for value in x], y), origin)


def fit(rows: Matrix, y: Sequence[float]) -> Fit:
    """β = (AᵀA)⁻¹Aᵀy, cov(β) = s²·(AᵀA)⁻¹, with columns scaled to one size before they are inverted."""
    same_length(len(rows), len(y), "rows and observations")
    at_least(len(rows), 1, "observations")
    size = len(rows[0])
    at_least(len(rows), size + 1, "observations")
    for value in (*y, *(cell for row in rows for cell in row)):
        finite(value, "an observation")
    scales = [math.sqrt(math.fsum(row[j] ** 2 for row in rows)) or 1.0 for j in range(size)]
    scaled = [[cell / scale for cell, scale in zip(row, scales, strict=True)] for row in rows]
    normal = [[math.fsum(row[i] * row[j] for row in scaled) for j in range(size)] for i in range(size)]
    inverted = inverse(normal)
    right = [math.fsum(row[j] * value for row, value in zip(scaled, y, strict=True)) for j in range(size)]
    beta = [math.fsum(a * b for a, b in zip(row, right, strict=True)) for row in inverted]
    residuals = [
        value - math.fsum(a * b for a, b in zip(row, beta, strict=True))
        for row, value in zip(scaled, y, strict=True)
    ]
    nu = len(rows) - size
    s = math.sqrt(math.fsum(residual * residual for residual in residuals) / nu)
    return Fit(
        tuple(finite(b / scale, "a coefficient") for b, scale in zip(beta, scales, strict=True)),
        tuple(
            tuple(finite(s * s * inverted[i][j] / scales[i] / scales[j], "a covariance") for j in range(size))
            for i in range(size)
        ),
        s,
        nu,
    )
