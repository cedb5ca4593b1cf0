"""What an owner says about the uncertainty of one instrument in its place, besides its certificate.

A binding carries these terms: how the instrument drifts, what influences it, what stands before it (a
transformer), how small the uncertainty has to be, and within which error limits and conditions the instrument
has to work. Each contribution names the document that states it.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from meter_gateway.metrology.budget import Distribution

CALIBRATION, CLASS, RESOLUTION = "calibration", "class", "resolution"
"""Sources that a budget has by itself."""

REPEATABILITY = "repeatability"
"""The source that a comparison may give."""


class KnownError(Enum):
    """An error of indication that a certificate states is never taken out of what was signed."""

    CARRIED = "carried"
    """Nobody corrects by it: it widens U by its amount (metrology.error_curve)."""

    CORRECTED = "corrected"
    """Whoever uses the reading corrects by it."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """`value` is a standard uncertainty if normal, else a half-width; times `sensitivity` it is in `unit`, which
    is % of the reading or a unit of the quantity. `per_year` is one that grows with the time since the
    calibration."""

    source: str
    distribution: Distribution
    value: Decimal
    unit: str
    stated_by: str
    sensitivity: Decimal = Decimal(1)
    degrees_of_freedom: Decimal | None = None
    per_year: bool = False
    is_random: bool = False
    """New in each interval; else common to the channel, or to `certificate`."""

    certificate: str | None = None
    """Common to every channel that names it, such as a transformer's."""


@dataclass(frozen=True, slots=True)
class Target:
    expanded_uncertainty: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Band:
    """From `start` on, as multiples of the requirement's reference; `end` None has no end."""

    start: Decimal
    end: Decimal | None
    mpe_percent: Decimal


@dataclass(frozen=True, slots=True)
class ErrorRequirement:
    """An accuracy class whose limits the calibrated errors have to keep. `reference` is the operating point, in
    the axis' own unit, that the table calls its reference point."""

    mpe_table: str
    accuracy_class: str
    bands: tuple[Band, ...]
    reference: Decimal


@dataclass(frozen=True, slots=True)
class RatedRange:
    """Rated operating conditions: what another channel of the meter may show, in its quantity's own unit."""

    channel: int
    minimum: Decimal
    maximum: Decimal


@dataclass(frozen=True, slots=True)
class Terms:
    contributions: tuple[Contribution, ...] = ()
    known_error: KnownError = KnownError.CARRIED
    target: Target | None = None
    requirement: ErrorRequirement | None = None
    rated: tuple[RatedRange, ...] = ()
    repeatability_compared: bool = False
    """Whether its repeatability is that of the last comparison that it passed, and not one of `contributions`."""

    @property
    def drifts(self) -> bool:
        return any(contribution.per_year for contribution in self.contributions)


NO_TERMS = Terms()
