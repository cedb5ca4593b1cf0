"""Which instrument a meter's channel reads, and which certificates speak for it, from when to when.

A binding is made by an engineer who has looked at the instrument: the certificate's serial has to be the
instrument's. It names the meter by its key's thumbprint, the only name that cannot be borrowed. It also carries
what the owner knows of the instrument's uncertainty in its place (terms.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, model_validator

from meter_gateway.metrology.budget import Distribution
from meter_gateway.traceability import units
from meter_gateway.traceability.mpe import MpeTable, load_tables, refuse_unknown_class
from meter_gateway.traceability.terms import (
    CALIBRATION,
    CLASS,
    NO_TERMS,
    REPEATABILITY,
    RESOLUTION,
    Contribution,
    ErrorRequirement,
    KnownError,
    RatedRange,
    Target,
    Terms,
)
from meter_gateway.traceability.typed_values import AsTuple, Hex32, Instant, Number, Text, milliseconds
from meter_gateway.validated_toml import Table, problem, read
from meter_protocol.quantities import QUANTITIES


@dataclass(frozen=True, slots=True)
class Binding:
    """In force for intervals within [from_ms, to_ms]; `to_ms` None while the instrument is in place.

    `table` is which of a certificate's results for the channel's quantity speaks, from 1, where there are several.
    """

    thumbprint: bytes
    channel: int
    serial: str
    certificates: tuple[str, ...]
    from_ms: int
    to_ms: int | None
    terms: Terms = NO_TERMS
    table: int | None = None


_SHAPES = {
    "rectangular": Distribution.RECTANGULAR,
    "triangular": Distribution.TRIANGULAR,
    "u-shaped": Distribution.U_SHAPED,
}


class _Contribution(Table):
    source: Text = Field(examples=['"drift since the calibration"'])
    half_width: Number | None = Field(default=None, gt=0, examples=["0.05"])
    distribution: Literal["rectangular", "triangular", "u-shaped"] | None = Field(
        default=None, examples=['"rectangular"']
    )
    standard_uncertainty: Number | None = Field(default=None, gt=0, examples=["0.02"])
    degrees_of_freedom: Number | None = Field(default=None, ge=1, examples=["9"])
    unit: Text = Field(examples=['"%"'])
    sensitivity: Number = Field(default=Decimal(1), gt=0, examples=["0.02"])
    per_year: bool = Field(default=False, examples=["true"])
    random: bool = Field(default=False, examples=["true"])
    certificate: Text | None = Field(default=None, examples=['"CT-2026-0007"'])
    stated_by: Text = Field(examples=['"data sheet SDM630, table 3"'])

    @model_validator(mode="after")
    def _sensible(self) -> "_Contribution":
        if (self.half_width is None) == (self.standard_uncertainty is None):
            raise problem("needs either half_width or standard_uncertainty", "write one of the two")
        if self.half_width is None and self.distribution is not None:
            raise problem("has a distribution and no half_width", "take the distribution out")
        if self.source in (CALIBRATION, CLASS, RESOLUTION):
            raise problem(f"{self.source} is a source that every budget has", "choose another name for source")
        if self.random and (self.per_year or self.certificate is not None):
            raise problem("is new in each interval and yet lasts", "take out random, or per_year and certificate")
        if self.unit != "%" and all(units.factor(self.unit, quantity) is None for quantity in QUANTITIES):
            raise problem(f"{self.unit} is not a unit", 'write "%" or a unit of the channel\'s quantity')
        return self

    def value(self) -> Contribution:
        shape = Distribution.NORMAL if self.half_width is None else _SHAPES[self.distribution or "rectangular"]
        return Contribution(
            source=self.source,
            distribution=shape,
            value=self.half_width or self.standard_uncertainty or Decimal(0),
            unit=self.unit,
            stated_by=self.stated_by,
            sensitivity=self.sensitivity,
            degrees_of_freedom=self.degrees_of_freedom,
            per_year=self.per_year,
            is_random=self.random,
            certificate=self.certificate,
        )


class _Target(Table):
    expanded_uncertainty: Number = Field(alias="U", gt=0, examples=["0.5"])
    unit: Text = Field(examples=['"%"'])


class _ErrorLimits(Table):
    mpe_table: Text = Field(examples=['"iec-62053-22"'])
    accuracy_class: Text = Field(examples=['"0.5S"'])
    reference: Number = Field(gt=0, examples=["57500"])

    @model_validator(mode="after")
    def _known_class(self, info: ValidationInfo) -> "_ErrorLimits":
        refuse_unknown_class(self.mpe_table, self.accuracy_class, info)
        return self

    def value(self, tables: Mapping[str, MpeTable]) -> ErrorRequirement:
        bands = tables[self.mpe_table].bands(self.accuracy_class)
        return ErrorRequirement(self.mpe_table, self.accuracy_class, bands, self.reference)


class _Rated(Table):
    channel: int = Field(ge=1, le=0xFFFF, examples=["7"])
    minimum: Number = Field(examples=["-25"])
    maximum: Number = Field(examples=["55"])

    @model_validator(mode="after")
    def _upwards(self) -> "_Rated":
        if self.minimum > self.maximum:
            raise problem("has its minimum above its maximum", "exchange the two")
        return self

    def value(self) -> RatedRange:
        return RatedRange(self.channel, self.minimum, self.maximum)


class _Binding(Table):
    meter: Hex32 = Field(examples=['"<thumbprint, 64 hexadecimal digits>"'])
    channel: int = Field(ge=1, le=0xFFFF, examples=["1"])
    serial: Text = Field(examples=['"2101934"'])
    certificates: Annotated[tuple[Text, ...], AsTuple] = Field(min_length=1, examples=['["JL-2026-00123"]'])
    start: Instant = Field(alias="from", examples=["2026-01-15T10:00:00+08:00"])
    end: Instant | None = Field(default=None, alias="to", examples=["2026-09-01T08:00:00+08:00"])
    table: int | None = Field(default=None, ge=1, le=1000, examples=["2"])
    contribution: Annotated[tuple[_Contribution, ...], AsTuple] = ()
    known_error: Literal["carried", "corrected"] = Field(default="carried", examples=['"corrected"'])
    target: _Target | None = None
    error_limits: _ErrorLimits | None = None
    rated: Annotated[tuple[_Rated, ...], AsTuple] = ()
    repeatability: Literal["comparison"] | None = Field(default=None, examples=['"comparison"'])

    @model_validator(mode="after")
    def _forwards(self) -> "_Binding":
        if self.end is not None and self.end <= self.start:
            raise problem("ends before it begins", "correct from or to")
        sources = [each.source for each in self.contribution]
        twice = next((source for source in sources if sources.count(source) > 1), None)
        if twice is not None:
            raise problem(f"names the source {twice} twice", "give each contribution a source of its own")
        if self.repeatability is not None and REPEATABILITY in sources:
            raise problem("has its repeatability from comparisons and as a contribution", "take one of them out")
        return self

    def value(self, tables: Mapping[str, MpeTable]) -> Binding:
        end = None if self.end is None else milliseconds(self.end)
        start = milliseconds(self.start)
        place = (self.meter, self.channel, self.serial, self.certificates, start, end)
        return Binding(*place, self._terms(tables), self.table)

    def _terms(self, tables: Mapping[str, MpeTable]) -> Terms:
        target = self.target
        return Terms(
            contributions=tuple(each.value() for each in self.contribution),
            known_error=KnownError(self.known_error),
            target=None if target is None else Target(target.expanded_uncertainty, target.unit),
            requirement=None if self.error_limits is None else self.error_limits.value(tables),
            rated=tuple(each.value() for each in self.rated),
            repeatability_compared=self.repeatability is not None,
        )


class _BindingFile(Table):
    binding: Annotated[tuple[_Binding, ...], AsTuple] = ()


def load_bindings(path: Path) -> tuple[Binding, ...]:
    tables = load_tables()
    found = read(path, _BindingFile, {"mpe_tables": tables}).binding
    return tuple(entry.value(tables) for entry in found)
