"""The numbers of a scheme: when data is valid, how uncertain a reading may be, what a day's data has to reach.

They stand in the scheme's own file (policies/*.toml), each table with its clause and a tag that says how well its
numbers are known, as in the MPE tables: S read in the source, C recomputed, M from memory and to be confirmed.
What a scheme does not number is not judged.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from meter_gateway.traceability.typed_values import AsTuple, Number, QuantityName, Text
from meter_gateway.validated_toml import Table, problem, read
from meter_protocol.quantities import Quantity

Percent = Annotated[int, Field(ge=1, le=100)]


class _Sourced(Table):
    clause: Text = Field(examples=['"HJ 75-2017, 12.1"'])
    tag: Literal["S", "C", "M"] = Field(examples=['"M"'])


class DataValidity(_Sourced):
    """Of what a valid minute, hour and day consist; minutes and hours are judged in the data quality report."""

    samples_per_minute: Annotated[int, Field(ge=1, le=60_000)] | None = Field(default=None, examples=["12"])
    samples_percent: Percent | None = Field(default=None, examples=["80"])
    minutes_per_hour: Annotated[int, Field(ge=1, le=60)] | None = Field(default=None, examples=["45"])
    hours_per_day: Annotated[int, Field(ge=1, le=24)] | None = Field(default=None, examples=["20"])


class UncertaintyTarget(_Sourced):
    """Largest expanded uncertainty (95 %) of these quantities, in percent of the reading; `tier` None for all."""

    quantities: Annotated[tuple[QuantityName, ...], AsTuple] = Field(min_length=1, examples=['["volume"]'])
    percent: Number = Field(gt=0, le=100, examples=["2.5"])
    tier: Annotated[int, Field(ge=1, le=9)] | None = Field(default=None, examples=["4"])

    @model_validator(mode="after")
    def _relative(self) -> "UncertaintyTarget":
        for quantity in self.quantities:
            if quantity.ucum == "%":
                told = f"{quantity.name} is itself in percent, so that a percentage of it could mean either"
                raise problem(told, "give its target in the binding, in its own unit")
        return self


class QualityTargets(_Sourced):
    """What a channel's day has to reach in the data quality report."""

    completeness_percent: Percent | None = Field(default=None, examples=["90"])
    validity_percent: Percent | None = Field(default=None, examples=["90"])
    timeliness_percent: Percent | None = Field(default=None, examples=["95"])
    timely_within_s: Annotated[int, Field(ge=1, le=31_536_000)] | None = Field(default=None, examples=["3600"])
    traceability_percent: Percent | None = Field(default=None, examples=["100"])
    uncertainty_percent: Percent | None = Field(default=None, examples=["100"])

    @model_validator(mode="after")
    def _complete(self) -> "QualityTargets":
        if (self.timeliness_percent is None) != (self.timely_within_s is None):
            raise problem("timeliness_percent and timely_within_s belong together", "give both or neither")
        return self


class Thresholds(Table):
    """`tier` is the one that the plant has to meet; targets of other tiers do not count."""

    tier: Annotated[int, Field(ge=1, le=9)] | None = Field(default=None, examples=["4"])
    data_validity: DataValidity | None = Field(default=None)
    uncertainty_target: Annotated[tuple[UncertaintyTarget, ...], AsTuple] = ()
    quality: QualityTargets | None = Field(default=None)

    @model_validator(mode="after")
    def _one_target_each(self) -> "Thresholds":
        known: set[tuple[str, int | None]] = set()
        for target in self.uncertainty_target:
            for quantity in target.quantities:
                if (quantity.name, target.tier) in known:
                    raise problem(f"{quantity.name} has two uncertainty targets", "give it one for each tier")
                known.add((quantity.name, target.tier))
        if self.tier is None and any(tier is not None for _, tier in known):
            raise problem("uncertainty targets name tiers, and no tier is chosen", "add tier = …")
        return self

    def uncertainty_targets(self) -> Mapping[Quantity, Decimal]:
        """Percent by quantity, at the chosen tier; a target of the tier counts before one for all."""
        found: dict[Quantity, Decimal] = {}
        for tier in (None, self.tier):
            for target in self.uncertainty_target:
                if target.tier == tier:
                    found.update(dict.fromkeys(target.quantities, target.percent))
        return MappingProxyType(found)


class _Numbers(Thresholds):
    """A scheme's file, of which only the numbers are asked."""

    model_config = ConfigDict(extra="ignore")


def load_thresholds(scheme: Path) -> Thresholds:
    """ConfigError if the file's numbers make no sense; policy.load_scheme reads the rest of it."""
    found = read(scheme, _Numbers)
    return Thresholds.model_construct(**dict(found))
