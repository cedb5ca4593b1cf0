"""Plausibility files: what values of a meter's channels are plausible, and which of them have to balance.

The limits are the operator's: they are data, written in units that people use, and become integers at the
channel's own exponent once. A channel without limits is not judged.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from meter_gateway.traceability.typed_values import AsTuple, Hex32, Number, Text
from meter_gateway.units import UNITS
from meter_gateway.validated_toml import ConfigError, Table, problem, read

ChannelId = Annotated[int, Field(ge=1, le=0xFFFF)]
Channels = Annotated[tuple[ChannelId, ...], AsTuple]


def _check_unit(unit: str) -> None:
    if unit not in UNITS:
        raise problem(f"{unit} is not a unit that is known here", f"write one of {', '.join(UNITS)}")


class ChannelLimits(Table):
    """Of a mean, or of a register's rate: an energy register is limited in units of power."""

    meter: Hex32 = Field(examples=['"<thumbprint, 64 hexadecimal digits>"'])
    channel: ChannelId = Field(examples=["2"])
    unit: Text = Field(examples=['"kW"'])
    stuck_minutes: Annotated[int, Field(ge=1, le=525_600)] | None = Field(default=None, examples=["60"])
    stuck_within: Number = Field(default=Decimal(0), ge=0, examples=["0"])
    max_spike: Annotated[Number, Field(gt=0)] | None = Field(default=None, examples=["200"])
    max_change_per_minute: Annotated[Number, Field(gt=0)] | None = Field(default=None, examples=["50"])

    @model_validator(mode="after")
    def _sensible(self) -> "ChannelLimits":
        _check_unit(self.unit)
        if self.stuck_minutes is None and self.stuck_within:
            raise problem("stuck_within without stuck_minutes", "add stuck_minutes = …")
        if (self.stuck_minutes, self.max_spike, self.max_change_per_minute) == (None, None, None):
            raise problem("limits nothing", "add stuck_minutes, max_spike or max_change_per_minute")
        return self


class Balance(Table):
    """The sum of `total` against the sum of `parts`, in one message: sub-meters, or two instruments alike."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(examples=['"feeders"'])
    meter: Hex32 = Field(examples=['"<thumbprint, 64 hexadecimal digits>"'])
    total: Channels = Field(min_length=1, examples=["[1]"])
    parts: Channels = Field(min_length=1, examples=["[2, 3]"])
    tolerance_percent: Number = Field(default=Decimal(0), ge=0, le=100, examples=["2"])
    tolerance: Number = Field(default=Decimal(0), ge=0, examples=["0.5"])
    unit: Text | None = Field(default=None, examples=['"kW"'])

    @model_validator(mode="after")
    def _sensible(self) -> "Balance":
        named = [*self.total, *self.parts]
        for channel in named:
            if named.count(channel) > 1:
                raise problem(f"channel {channel} stands in it twice", "name each channel once")
        if (self.unit is None) != (not self.tolerance):
            raise problem("tolerance and unit belong together", 'write for example tolerance = 0.5, unit = "kW"')
        if self.unit is not None:
            _check_unit(self.unit)
        if not self.tolerance and not self.tolerance_percent:
            raise problem("has no tolerance", "add tolerance_percent, or tolerance with its unit")
        return self


class MeterTerm(Table):
    meter: Hex32 = Field(examples=['"<thumbprint, 64 hexadecimal digits>"'])
    channel: ChannelId = Field(examples=["1"])


MAX_NAME_BYTES = 33
"""Of a balance between meters: with its day it is the cause of a later verdict, which holds 64 bytes."""


class PlantBalance(Table):
    """Registers of several meters over whole hours or days (plant_balance.py)."""

    name: Annotated[str, Field(min_length=1)] = Field(examples=['"boiler house"'])
    over: Literal["hour", "day"] = Field(examples=['"day"'])
    total: Annotated[tuple[MeterTerm, ...], AsTuple] = Field(min_length=1)
    parts: Annotated[tuple[MeterTerm, ...], AsTuple] = Field(min_length=1)
    tolerance_percent: Number = Field(gt=0, le=100, examples=["2"])

    @model_validator(mode="after")
    def _sensible(self) -> "PlantBalance":
        if len(self.name.encode()) > MAX_NAME_BYTES:
            raise problem(f"has a name of more than {MAX_NAME_BYTES} bytes", "give it a shorter one")
        named = [(term.meter, term.channel) for term in self.terms]
        if len(set(named)) < len(named):
            raise problem("a channel stands in it twice", "name each channel once")
        return self

    @property
    def terms(self) -> tuple[MeterTerm, ...]:
        return *self.total, *self.parts

    def is_about(self, thumbprint: bytes) -> bool:
        return any(term.meter == thumbprint for term in self.terms)


class _PlausibilityFile(Table):
    limit: Annotated[tuple[ChannelLimits, ...], AsTuple] = ()
    balance: Annotated[tuple[Balance, ...], AsTuple] = ()
    plant_balance: Annotated[tuple[PlantBalance, ...], AsTuple] = ()

    @model_validator(mode="after")
    def _once(self) -> "_PlausibilityFile":
        twice = _twice(self.limit)
        if twice is not None:
            raise problem(f"{twice} has two limits", "join them into one")
        return self


@dataclass(frozen=True, slots=True)
class Plausibility:
    """Everything that the configured files say."""

    limits: tuple[ChannelLimits, ...] = ()
    balances: tuple[Balance, ...] = ()
    plant_balances: tuple[PlantBalance, ...] = ()


def load_plausibility(config: Path, paths: Iterable[Path]) -> Plausibility:
    """All files together; ConfigError if one is wrong, or two of them limit one channel or have one name."""
    files = [read(path, _PlausibilityFile) for path in paths]
    limits = tuple(limit for file in files for limit in file.limit)
    plant_balances = tuple(balance for file in files for balance in file.plant_balance)
    twice = _twice(limits)
    if twice is not None:
        raise ConfigError(config, "traceability.plausibility", f"{twice} has two limits", "take one out")
    named = Counter(balance.name for balance in plant_balances).most_common(1)
    if named and named[0][1] > 1:
        told = f"two plant balances are called {named[0][0]}"
        raise ConfigError(config, "traceability.plausibility", told, "give one another name")
    return Plausibility(limits, tuple(balance for file in files for balance in file.balance), plant_balances)


def _twice(limits: Iterable[ChannelLimits]) -> str | None:
    counted = Counter((limit.meter, limit.channel) for limit in limits)
    return next((f"channel {c} of {m.hex()[:16]}…" for (m, c), count in counted.items() if count > 1), None)
