"""Maximum permissible errors by accuracy class, from the dated and sourced tables in mpe/*.toml.

A verification certificate states a class and no errors. Its instrument's error then lies anywhere within
±MPE: a rectangular distribution with standard uncertainty MPE/√3 (GUM 4.3.7), marked as coming from a class
and not from a calibration. MPE tables are data, because they differ by standard, edition and jurisdiction.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo

from meter_gateway.traceability.certificate import ClassContribution
from meter_gateway.traceability.terms import Band
from meter_gateway.traceability.typed_values import AsTuple, Number, Text
from meter_gateway.validated_toml import Table, problem, read

TABLES = Path(__file__).parent.parent / "mpe"
_ROOT_DIGITS = 20


class _Band(Table):
    """`from`–`to` are multiples of the table's reference point, such as the basic current Ib."""

    start: Number = Field(alias="from", ge=0, examples=["0.1"])
    end: Number | None = Field(default=None, alias="to", gt=0, examples=["1.0"])
    mpe_percent: Number = Field(gt=0, examples=["1.0"])


class _Class(Table):
    name: Text = Field(examples=['"1"'])
    band: Annotated[tuple[_Band, ...], AsTuple] = Field(min_length=1)


class MpeTable(Table):
    """`tag` as in the source register: S read in the source, C recomputed, M from memory and to be confirmed."""

    id: Text = Field(examples=['"iec-62053-21"'])
    title: Text = Field(examples=['"Static meters for active energy, classes 1 and 2"'])
    source: Text = Field(examples=['"IEC 62053-21"'])
    tag: Literal["S", "C", "M"] = Field(examples=['"M"'])
    reference_point: Text = Field(examples=['"basic current Ib"'])
    accuracy_class: Annotated[tuple[_Class, ...], AsTuple] = Field(alias="class", min_length=1)

    def classes(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.accuracy_class)

    def bands(self, class_name: str) -> tuple[Band, ...]:
        """Of the class, from the lowest point on."""
        return tuple(
            Band(band.start, band.end, band.mpe_percent)
            for entry in self.accuracy_class
            if entry.name == class_name
            for band in entry.band
        )

    def contribution(self, class_name: str) -> ClassContribution:
        """Of the widest band of the class: where in its range the instrument works is not asked yet."""
        bands = [band for entry in self.accuracy_class if entry.name == class_name for band in entry.band]
        return class_contribution(max(band.mpe_percent for band in bands))


def class_contribution(mpe_percent: Decimal) -> ClassContribution:
    """u = MPE/√3, rounded up in the last of 20 decimals so that it never claims too little."""
    square = Fraction(mpe_percent) ** 2 / 3 * 10 ** (2 * _ROOT_DIGITS)
    root = math.isqrt(math.floor(square))
    if root * root != square:
        root += 1
    return ClassContribution(mpe_percent, Decimal(root).scaleb(-_ROOT_DIGITS))


def refuse_unknown_class(table_id: str, class_name: str, info: ValidationInfo) -> None:
    """For a validator whose context has the tables."""
    tables: Mapping[str, MpeTable] = (info.context or {})["mpe_tables"]
    table = tables.get(table_id)
    if table is None:
        raise problem(f"mpe_table {table_id} is not known", f"write one of {', '.join(sorted(tables))}")
    if class_name not in table.classes():
        raise problem(f"{table_id} has no class {class_name}", f"write one of {', '.join(table.classes())}")


def load_tables(folder: Path = TABLES) -> dict[str, MpeTable]:
    tables = [read(path, MpeTable) for path in sorted(folder.glob("*.toml"))]
    return {table.id: table for table in tables}
