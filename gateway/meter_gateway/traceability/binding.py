"""Which instrument a meter's channel reads, and which certificates speak for it, from when to when.

A binding is made by an engineer who has looked at the instrument: the certificate's serial has to be the
instrument's. It names the meter by its key's thumbprint, the only name that cannot be borrowed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from meter_gateway.traceability.terms import NO_TERMS, Terms
from meter_gateway.traceability.typed_values import AsTuple, Hex32, Instant, Text, milliseconds
from meter_gateway.validated_toml import Table, problem, read


@dataclass(frozen=True, slots=True)
class Binding:
    """In force for intervals within [from_ms, to_ms]; `to_ms` None while the instrument is in place."""

    thumbprint: bytes
    channel: int
    serial: str
    certificates: tuple[str, ...]
    from_ms: int
    to_ms: int | None
    terms: Terms = NO_TERMS


class _Binding(Table):
    meter: Hex32 = Field(examples=['"<thumbprint, 64 hexadecimal digits>"'])
    channel: int = Field(ge=1, le=0xFFFF, examples=["1"])
    serial: Text = Field(examples=['"2101934"'])
    certificates: Annotated[tuple[Text, ...], AsTuple] = Field(min_length=1, examples=['["JL-2026-00123"]'])
    start: Instant = Field(alias="from", examples=["2026-01-15T10:00:00+08:00"])
    end: Instant | None = Field(default=None, alias="to", examples=["2026-09-01T08:00:00+08:00"])

    @model_validator(mode="after")
    def _forwards(self) -> "_Binding":
        if self.end is not None and self.end <= self.start:
            raise problem("ends before it begins", "correct from or to")
        return self

    def value(self) -> Binding:
        end = None if self.end is None else milliseconds(self.end)
        start = milliseconds(self.start)
        return Binding(self.meter, self.channel, self.serial, self.certificates, start, end)


class _BindingFile(Table):
    binding: Annotated[tuple[_Binding, ...], AsTuple] = ()


def load_bindings(path: Path) -> tuple[Binding, ...]:
    return tuple(entry.value() for entry in read(path, _BindingFile).binding)
