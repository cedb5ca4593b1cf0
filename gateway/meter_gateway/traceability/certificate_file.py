"""A certificate typed in as TOML -> the Certificate that a DCC import will give as well.

One file is one certificate. docs/configuration.md shows both kinds. What the file says is checked for what
can be wrong on its own: units that are not the quantity's, an empty range, a class that no MPE table knows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, model_validator

from meter_gateway.traceability import certificate as c
from meter_gateway.traceability import reference_gas, units
from meter_gateway.traceability.mpe import MpeTable, refuse_unknown_class
from meter_gateway.traceability.typed_values import (
    AsTuple,
    Day,
    Hex32,
    Instant,
    Number,
    QuantityName,
    Text,
    milliseconds,
)
from meter_gateway.validated_toml import Table, problem, read


class _Laboratory(Table):
    name: Text = Field(examples=['"Provincial Institute of Metrology"'])
    accreditation: Text | None = Field(default=None, examples=['"CNAS L0000"'])


class _Instrument(Table):
    manufacturer: Text = Field(examples=['"Eastron"'])
    model: Text = Field(examples=['"SDM630"'])
    serial: Text = Field(examples=['"2101934"'])


class _Axis(Table):
    quantity: QuantityName = Field(examples=['"active_power"'])
    unit: Text = Field(examples=['"kW"'])
    minimum: Number | None = Field(default=None, examples=["0.5"])
    maximum: Number | None = Field(default=None, examples=["660"])

    @model_validator(mode="after")
    def _sensible(self) -> "_Axis":
        if units.factor(self.unit, self.quantity) is None:
            known = units.allowed(self.quantity)
            raise problem(f"{self.unit} is not a unit of {self.quantity.name}", f"write one of {known}")
        if (self.minimum is None) != (self.maximum is None):
            raise problem("has only one end of its range", "give both minimum and maximum, or neither")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise problem("has its minimum above its maximum", "exchange the two")
        return self

    def value(self) -> c.Axis:
        return c.Axis(self.quantity, self.unit, self.minimum, self.maximum)


class _Point(Table):
    reference: Number = Field(examples=["100"])
    error: Number = Field(examples=["0.12"])
    expanded_uncertainty: Number = Field(alias="U", gt=0, examples=["0.05"])
    k: Number = Field(gt=0, examples=["2"])


class _Condition(Table):
    name: Text = Field(examples=['"ambient temperature"'])
    unit: Text = Field(examples=['"Cel"'])
    minimum: Number = Field(examples=["19"])
    maximum: Number = Field(examples=["21"])


class _Result(Table):
    instrument: _Instrument
    quantity: QuantityName = Field(examples=['"active_energy_import"'])
    axis: _Axis
    condition: Annotated[tuple[_Condition, ...], AsTuple] = ()

    def conditions(self) -> tuple[c.Condition, ...]:
        return tuple(c.Condition(x.name, x.unit, x.minimum, x.maximum) for x in self.condition)

    def item(self) -> c.Instrument:
        return c.Instrument(self.instrument.manufacturer, self.instrument.model, self.instrument.serial)


class _CalibrationResult(_Result):
    type: Literal["calibration"] = Field(examples=['"calibration"'])
    error_unit: Text = Field(examples=['"%"'])
    point: Annotated[tuple[_Point, ...], AsTuple] = Field(min_length=1)

    @model_validator(mode="after")
    def _known_unit(self) -> "_CalibrationResult":
        if self.error_unit != "%" and units.factor(self.error_unit, self.quantity) is None:
            known = units.allowed(self.quantity)
            raise problem(f"{self.error_unit} is no unit for an error", f"write % of the reading, or {known}")
        return self

    def value(self, _tables: Mapping[str, MpeTable]) -> c.CalibrationResult:
        points = tuple(c.Point(p.reference, p.error, p.expanded_uncertainty, p.k) for p in self.point)
        axis = self.axis.value()
        return c.CalibrationResult(self.item(), self.quantity, axis, self.error_unit, points, self.conditions())


class _VerificationResult(_Result):
    type: Literal["verification"] = Field(examples=['"verification"'])
    mpe_table: Text = Field(examples=['"iec-62053-22"'])
    accuracy_class: Text = Field(examples=['"0.5S"'])
    passed: bool = Field(examples=["true"])

    @model_validator(mode="after")
    def _known_class(self, info: ValidationInfo) -> "_VerificationResult":
        refuse_unknown_class(self.mpe_table, self.accuracy_class, info)
        return self

    def value(self, tables: Mapping[str, MpeTable]) -> c.VerificationResult:
        return c.VerificationResult(
            self.item(),
            self.quantity,
            self.axis.value(),
            self.mpe_table,
            self.accuracy_class,
            tables[self.mpe_table].contribution(self.accuracy_class),
            self.passed,
            self.conditions(),
        )


class _ReferenceGasResult(Table):
    """One component of a cylinder's mixture; several components are several results."""

    type: Literal["reference_gas"] = Field(examples=['"reference_gas"'])
    cylinder: Text = Field(examples=['"D123456"'])
    quantity: QuantityName = Field(examples=['"co2_fraction"'])
    unit: Text = Field(examples=['"%"'])
    amount_fraction: Number = Field(ge=0, examples=["12.03"])
    expanded_uncertainty: Number = Field(alias="U", gt=0, examples=["0.06"])
    k: Number = Field(gt=0, examples=["2"])
    balance_gas: Text = Field(examples=['"nitrogen"'])
    minimum_pressure_kpa: Annotated[Number, Field(gt=0)] | None = Field(default=None, examples=["1000"])

    @model_validator(mode="after")
    def _known_unit(self) -> "_ReferenceGasResult":
        if not self.quantity.name.endswith(("_fraction", "_concentration")):
            raise problem(f"{self.quantity.name} is no component of a gas", "write for example co2_fraction")
        if reference_gas.factor(self.unit, self.quantity) is None:
            known = reference_gas.allowed(self.quantity)
            raise problem(f"{self.unit} is not a unit of {self.quantity.name}", f"write one of {known}")
        return self

    def value(self) -> c.ReferenceGas:
        return c.ReferenceGas(
            self.cylinder,
            self.quantity,
            self.unit,
            self.amount_fraction,
            self.expanded_uncertainty,
            self.k,
            self.balance_gas,
            self.minimum_pressure_kpa,
        )


class EndEntry(Table):
    kind: Literal["superseded", "withdrawn", "adjusted", "damaged"] = Field(examples=['"superseded"'])
    at: Instant = Field(examples=["2026-05-01T09:30:00+08:00"])
    reason: Text = Field(examples=['"recalibrated"'])
    serial: Text | None = Field(default=None, examples=['"2101934"'])

    def value(self) -> c.End:
        return c.End(c.EndKind(self.kind), milliseconds(self.at), self.reason, self.serial)


class _Equipment(Table):
    name: Text = Field(examples=['"reference standard"'])
    serial: Text | None = Field(default=None, examples=['"RS-44"'])
    certificate: Text | None = Field(default=None, examples=['"NIM-2025-0077"'])
    certificate_sha256: Hex32 | None = Field(default=None, examples=['"<64 hexadecimal digits>"'])

    def value(self) -> c.Equipment:
        digest = None if self.certificate_sha256 is None else c.Digest("SHA-256", self.certificate_sha256.hex())
        return c.Equipment(self.name, () if self.serial is None else (self.serial,), self.certificate, digest)


class _CertificateFile(Table):
    id: Text = Field(examples=['"JL-2026-00123"'])
    calibrated: Day = Field(examples=["2026-01-10"])
    issued: Day | None = Field(default=None, examples=["2026-01-12"])
    due: Day | None = Field(default=None, examples=["2027-01-09"])
    due_source: Text | None = Field(default=None, examples=['"owner\'s interval"'])
    replaces: Annotated[tuple[Text, ...], AsTuple] = Field(default=(), examples=['["JL-2025-00456"]'])
    previous: Text | None = Field(default=None, examples=['"JL-2025-00456"'])
    scan_sha256: Hex32 | None = Field(default=None, examples=['"<64 hexadecimal digits>"'])
    laboratory: _Laboratory
    result: Annotated[
        tuple[
            Annotated[_CalibrationResult | _VerificationResult | _ReferenceGasResult, Field(discriminator="type")],
            ...,
        ],
        AsTuple,
    ] = Field(min_length=1)
    equipment: Annotated[tuple[_Equipment, ...], AsTuple] = ()
    end: Annotated[tuple[EndEntry, ...], AsTuple] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "_CertificateFile":
        if (self.due is None) != (self.due_source is None):
            raise problem("due and due_source belong together", "say who set the due date, or leave both out")
        if self.due is not None and self.due < self.calibrated:
            raise problem("is due before it was calibrated", "correct due or calibrated")
        gases = sum(isinstance(result, _ReferenceGasResult) for result in self.result)
        if gases and gases < len(self.result):
            raise problem("is of instruments and of a reference gas", "write a file for each")
        return self

    def value(self, tables: Mapping[str, MpeTable]) -> c.Certificate:
        return c.Certificate(
            identifier=self.id,
            laboratory=c.Laboratory(self.laboratory.name, self.laboratory.accreditation),
            calibrated_on=self.calibrated,
            issued_on=self.issued,
            due_on=self.due,
            due_source=self.due_source,
            results=tuple(
                result.value(tables) for result in self.result if not isinstance(result, _ReferenceGasResult)
            ),
            replaces=self.replaces,
            previous=self.previous,
            scan_sha256=self.scan_sha256,
            ends=tuple(entry.value() for entry in self.end),
            equipment=tuple(entry.value() for entry in self.equipment),
            reference_gases=tuple(
                result.value() for result in self.result if isinstance(result, _ReferenceGasResult)
            ),
        )


def load_certificate(path: Path, mpe_tables: Mapping[str, MpeTable]) -> c.Certificate:
    return read(path, _CertificateFile, {"mpe_tables": mpe_tables}).value(mpe_tables)
