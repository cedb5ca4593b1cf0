"""A digital certificate as it is kept: the laboratory's XML file untouched, and a TOML file beside it.

`NAME.dcc.toml` names the XML file by its digest, says when it was first imported, and holds what people add: which
quantity a table is about where the file does not say it, the owner's due date, and what ended the certificate. The
XML is read and judged anew at each start, by the anchors that are configured then.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from cryptography import x509
from pydantic import Field, model_validator

from meter_gateway.config import CertificatesSection
from meter_gateway.maker import content_of
from meter_gateway.traceability import dcc
from meter_gateway.traceability.certificate import Certificate
from meter_gateway.traceability.certificate_file import EndEntry
from meter_gateway.traceability.dcc import safe_xml
from meter_gateway.traceability.dcc.signature import open_signed
from meter_gateway.traceability.dcc.signer import Anchors, Report, judge
from meter_gateway.traceability.typed_values import AsTuple, Day, Hex32, Instant, QuantityName, Text
from meter_gateway.validated_toml import ConfigError, Table, problem, read
from meter_protocol.quantities import Quantity

SUFFIX = ".dcc.toml"


class AssignedTable(Table):
    number: int = Field(ge=1, le=10_000, examples=["1"])
    quantity: QuantityName = Field(examples=['"active_energy_import"'])
    axis: QuantityName | None = Field(default=None, examples=['"active_power"'])
    serial: Text | None = Field(default=None, examples=['"2101934"'])
    reference: int | None = Field(default=None, ge=1, le=1000, examples=["1"])
    indication: int | None = Field(default=None, ge=1, le=1000, examples=["2"])
    error: int | None = Field(default=None, ge=1, le=1000, examples=["3"])

    def value(self) -> dcc.Assignment:
        axis: Quantity = self.axis or self.quantity
        return dcc.Assignment(
            self.number, self.quantity, axis, self.serial, self.reference, self.indication, self.error
        )


class DccFile(Table):
    dcc: Text = Field(examples=['"JL-2026-00123.xml"'])
    sha256: Hex32 = Field(examples=['"<64 hexadecimal digits>"'])
    imported: Instant = Field(examples=["2026-01-15T10:00:00+08:00"])
    due: Day | None = Field(default=None, examples=["2027-01-09"])
    due_source: Text | None = Field(default=None, examples=['"owner\'s interval"'])
    table: Annotated[tuple[AssignedTable, ...], AsTuple] = ()
    end: Annotated[tuple[EndEntry, ...], AsTuple] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "DccFile":
        if (self.due is None) != (self.due_source is None):
            raise problem("due and due_source belong together", "say who set the due date, or leave both out")
        if Path(self.dcc).name != self.dcc:
            raise problem("dcc is not the name of a file beside this one", "put the XML file into this folder")
        return self


@dataclass(frozen=True, slots=True)
class Imported:
    """What the file says, what people have added to it, and who signed it."""

    certificate: Certificate
    reading: dcc.Reading
    report: Report


def is_dcc_file(path: Path) -> bool:
    return path.name.endswith(SUFFIX)


def load_dcc(path: Path, anchors: Anchors) -> Imported:
    """ConfigError names the file and what is wrong with it."""
    entry = read(path, DccFile)
    xml = path.parent / entry.dcc
    octets = xml_of(xml)
    if sha256(octets).digest() != entry.sha256:
        remedy = "bring back the file that was imported, or import this one anew"
        raise ConfigError(xml, "", "is not the file that was imported: its SHA-256 is another", remedy)
    try:
        return of_bytes(octets, entry, anchors)
    except dcc.DccRefused as refused:
        told, _, remedy = str(refused).rpartition("; ")
        raise ConfigError(xml, "", told, remedy) from None


def of_bytes(octets: bytes, entry: DccFile, anchors: Anchors) -> Imported:
    """Only what the signature covers is read; an unsigned file is read as it is, and its findings say so."""
    signed = open_signed(octets)
    report = judge(signed, anchors, entry.imported.astimezone(UTC))
    reading = dcc.read(octets if signed is None else signed.content, [table.value() for table in entry.table])
    certificate = replace(
        reading.certificate,
        ends=tuple(end.value() for end in entry.end),
        findings=report.findings,
        document_sha256=sha256(octets).digest(),
    )
    if entry.due is not None:
        certificate = replace(certificate, due_on=entry.due, due_source=entry.due_source)
    return Imported(certificate, reading, report)


def xml_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(safe_xml.MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(path, "", f"cannot be read ({error.strerror})", "bring the file back") from None


def load_anchors(section: CertificatesSection) -> Anchors:
    return Anchors(
        tuple(_certificates(section.roots)),
        tuple(_certificates(section.timestamp_roots)),
        tuple(_revocation_lists(section.revocation_lists)),
    )


def _certificates(paths: Iterable[Path]) -> Iterable[x509.Certificate]:
    for path in paths:
        try:
            yield from x509.load_pem_x509_certificates(content_of(path))
        except ValueError:
            raise ConfigError(path, "", "holds no certificate in PEM", "give the root as PEM") from None


def _revocation_lists(paths: Iterable[Path]) -> Iterable[x509.CertificateRevocationList]:
    for path in paths:
        content = content_of(path)
        try:
            yield x509.load_pem_x509_crl(content) if b"-----" in content else x509.load_der_x509_crl(content)
        except ValueError:
            raise ConfigError(path, "", "is not a revocation list", "give it as PEM or DER") from None
