"""Validation against a configured folder of PTB's schemas, and what our own reader finds without them."""

from pathlib import Path

import pytest
from small_dcc import dcc_xml

from meter_gateway.traceability import dcc
from meter_gateway.traceability.dcc import safe_xml
from meter_gateway.traceability.dcc.schema import validate


def test_every_sample_fulfils_the_schema_of_its_release_or_the_next(samples: Path, schemas: Path) -> None:
    found = {path.name: validate(safe_xml.parse(path.read_bytes()), schemas) for path in samples.glob("*.xml")}
    assert len(found) == 7
    assert set(found.values()) == {"3.2.1"}


def test_our_own_small_certificate_fulfils_the_schema(schemas: Path) -> None:
    assert validate(safe_xml.parse(dcc_xml()), schemas) == "3.3.0"


BEFORE_SIGNATURES = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="https://ptb.de/dcc">
  <xs:element name="digitalCalibrationCertificate"><xs:complexType>
    <xs:sequence><xs:any namespace="##targetNamespace" processContents="skip" maxOccurs="9"/></xs:sequence>
    <xs:attribute name="schemaVersion"/></xs:complexType></xs:element></xs:schema>"""
"""Like the schema before 3.2, it has no place for an element of another namespace at the end."""


def test_a_signature_where_the_schema_has_none_is_no_error(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "v3.1.1").mkdir()
    (tmp_path / "v3.1.1" / "dcc.xsd").write_text(BEFORE_SIGNATURES)
    xml = (samples / "dcc_gp_temperature_typical_v12_v3.2.0_signed_lt.xml").read_bytes()
    assert validate(safe_xml.parse(xml.replace(b'"3.2.0"', b'"3.1.1"')), tmp_path) == "3.1.1"


def test_the_first_error_is_told_with_its_line(schemas: Path) -> None:
    xml = dcc_xml().replace(b"<dcc:performanceLocation>laboratory", b"<dcc:performanceLocation>moon")
    line = xml[: xml.index(b"moon")].count(b"\n") + 1
    with pytest.raises(dcc.DccRefused) as refused:
        validate(safe_xml.parse(xml), schemas)
    assert (refused.value.reason, refused.value.where) == ("schema", f"line {line}")
    assert "performanceLocation" in str(refused.value)
    # The reader takes what it does not need to understand.
    assert dcc.read(xml).certificate.results


def test_a_folder_without_a_schema_for_the_release_is_told(tmp_path: Path) -> None:
    with pytest.raises(dcc.DccRefused) as refused:
        validate(safe_xml.parse(dcc_xml()), tmp_path)
    assert refused.value.reason == "no_schema"
    (tmp_path / "v3.3.0").mkdir()
    (tmp_path / "v3.3.0" / "dcc.xsd").write_text("<x/>")
    with pytest.raises(dcc.DccRefused) as refused:
        validate(safe_xml.parse(dcc_xml()), tmp_path)
    assert refused.value.reason == "bad_schema"


def test_a_release_of_another_major_version_is_no_substitute(schemas: Path) -> None:
    with pytest.raises(dcc.DccRefused) as refused:
        validate(safe_xml.parse(dcc_xml(version="2.4.0")), schemas)
    assert refused.value.reason == "no_schema"
