"""What is asked of a channel between calibrations: comparisons, charts of what they found, zero and span checks.

A file of its own beside the bindings, because it says what the owner wants and not what is there. A channel
without a plan is compared as somebody asks, and nothing is missing or overdue.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from meter_gateway.metrology.conformity import GUARD_BANDS
from meter_gateway.traceability.typed_values import AsTuple, Hex32, Instant, Number, Text, milliseconds
from meter_gateway.validated_toml import ConfigError, Table, problem, read

DAY_MS = 86_400_000


class Drift(Table):
    """A control chart of the runs' mean errors, in parts of the MPE (metrology.control_charts)."""

    chart: Literal["cusum", "ewma", "individuals"] = Field(examples=['"cusum"'])
    target: Number = Field(default=Decimal(0), examples=["0"])
    sigma: Number = Field(gt=0, examples=["0.1"])
    k: Number = Field(default=Decimal("0.5"), ge=0, examples=["0.5"])
    """Of a CUSUM, in multiples of sigma, as h."""
    h: Number = Field(default=Decimal(5), gt=0, examples=["5"])
    weight: Number = Field(default=Decimal("0.3"), gt=0, le=1, examples=["0.3"])
    """λ of an EWMA."""
    sigmas: Number = Field(default=Decimal(3), gt=0, examples=["3"])
    """Control limits of an EWMA and of individual values, in multiples of sigma."""


class ZeroSpan(Table):
    """Checks with zero and span gas (EN 14181, QAL3)."""

    interval_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(default=None, examples=["7"])
    limit: Number = Field(gt=0, examples=["5000"])
    """Largest difference from the gas, in the quantity's own unit."""
    s_ams: Number | None = Field(default=None, gt=0, examples=["1500"])
    """Standard deviation of check readings, in the same unit: with it the CUSUM charts are kept."""


class Plan(Table):
    meter: Hex32 = Field(examples=['"<thumbprint, 64 hexadecimal digits>"'])
    channel: int = Field(ge=1, le=0xFFFF, examples=["1"])
    start: Instant = Field(alias="from", examples=["2026-01-15T10:00:00+08:00"])
    interval_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(default=None, examples=["180"])
    mpe_percent: Number = Field(default=Decimal(0), ge=0, examples=["1.0"])
    mpe: Number = Field(default=Decimal(0), ge=0, examples=["0.5"])
    """In the quantity's own unit; where both are given, the larger one counts."""
    method: Literal["en", "rata"] = Field(default="en", examples=['"en"'])
    guard_band: str = Field(default="simple", examples=['"simple"'])
    guard_multiplier: Number = Field(default=Decimal(1), ge=0, examples=["1"])
    max_uncertainty_ratio: Number | None = Field(default=None, gt=0, examples=["0.333"])
    """Largest U over MPE of a comparison that may pass; 1/3 if it is left out."""
    en_limit: Number = Field(default=Decimal(1), gt=0, examples=["1"])
    min_pairs: int = Field(default=3, ge=2, le=4096, examples=["3"])
    level_percent: Number = Field(default=Decimal(5), gt=0, le=100, examples=["5"])
    settled_percent: Number = Field(default=Decimal(2), ge=0, le=100, examples=["2"])
    """0 takes every pair as settled."""
    relative_accuracy_percent: Number = Field(default=Decimal(10), gt=0, examples=["10"])
    basis: Text | None = Field(default=None, examples=['"dry, 30 min"'])
    """What the channel's readings of a gas are on: wet or dry, and averaging."""
    drift: Drift | None = Field(default=None)
    zero_span: ZeroSpan | None = Field(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> "Plan":
        if not self.mpe_percent and not self.mpe:
            raise problem("has no limit", "add mpe_percent, or mpe in the quantity's unit")
        if self.guard_band not in GUARD_BANDS:
            known = ", ".join(sorted(GUARD_BANDS))
            raise problem(f"{self.guard_band} is not a guard band", f"write one of {known}")
        return self

    @property
    def from_ms(self) -> int:
        return milliseconds(self.start)


class _PlanFile(Table):
    plan: Annotated[tuple[Plan, ...], AsTuple] = ()


@dataclass(frozen=True, slots=True)
class Plans:
    """By meter and channel; one each."""

    plans: tuple[Plan, ...] = ()

    def of(self, thumbprint: bytes, channel: int) -> Plan | None:
        return next((p for p in self.plans if (p.meter, p.channel) == (thumbprint, channel)), None)


def load_plans(paths: Iterable[Path]) -> Plans:
    found: dict[tuple[bytes, int], Plan] = {}
    for path in paths:
        for index, plan in enumerate(read(path, _PlanFile).plan):
            if (plan.meter, plan.channel) in found:
                told = f"channel {plan.channel} has a plan already"
                raise ConfigError(path, f"plan[{index}].channel", told, "leave one of them")
            found[plan.meter, plan.channel] = plan
    return Plans(tuple(found.values()))
