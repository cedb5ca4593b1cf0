"""A small certificate of our own, whose parts a test exchanges: what it is changed from is always valid.

The structure and the names are those of PTB's schema 3.3; every word in it is ours.
"""

from collections.abc import Mapping

DCC = "https://ptb.de/dcc"
SI = "https://ptb.de/si"

_WHOLE = """<?xml version="1.0" encoding="UTF-8"?>
<dcc:digitalCalibrationCertificate xmlns:dcc="{dcc}" xmlns:si="{si}" schemaVersion="{version}">
  <dcc:administrativeData>
    <dcc:dccSoftware><dcc:software><dcc:name><dcc:content>pen</dcc:content></dcc:name>
      <dcc:release>1</dcc:release></dcc:software></dcc:dccSoftware>
    <dcc:coreData>
      <dcc:countryCodeISO3166_1>CN</dcc:countryCodeISO3166_1>
      <dcc:usedLangCodeISO639_1>zh</dcc:usedLangCodeISO639_1>
      <dcc:mandatoryLangCodeISO639_1>zh</dcc:mandatoryLangCodeISO639_1>
      <dcc:uniqueIdentifier>JL-2026-00123</dcc:uniqueIdentifier>
      <dcc:beginPerformanceDate>2026-01-09</dcc:beginPerformanceDate>
      <dcc:endPerformanceDate>2026-01-10</dcc:endPerformanceDate>
      <dcc:performanceLocation>laboratory</dcc:performanceLocation>
      {core}
    </dcc:coreData>
    <dcc:items>{items}</dcc:items>
    <dcc:calibrationLaboratory>
      <dcc:calibrationLaboratoryCode>CNAS L0000</dcc:calibrationLaboratoryCode>
      <dcc:contact><dcc:name><dcc:content lang="en">Provincial Institute</dcc:content>
        <dcc:content lang="zh">省计量院</dcc:content></dcc:name>
        <dcc:location><dcc:city>X</dcc:city></dcc:location></dcc:contact>
    </dcc:calibrationLaboratory>
    <dcc:respPersons><dcc:respPerson><dcc:person><dcc:name><dcc:content>N. N.</dcc:content></dcc:name></dcc:person>
    </dcc:respPerson></dcc:respPersons>
    <dcc:customer><dcc:name><dcc:content>C</dcc:content></dcc:name>
      <dcc:location><dcc:city>X</dcc:city></dcc:location></dcc:customer>
    {statements}
  </dcc:administrativeData>
  <dcc:measurementResults>
    <dcc:measurementResult>
      <dcc:name><dcc:content>results</dcc:content></dcc:name>
      {before}
      <dcc:results><dcc:result><dcc:name><dcc:content>voltage</dcc:content></dcc:name>
        <dcc:data>{data}</dcc:data></dcc:result></dcc:results>
    </dcc:measurementResult>
  </dcc:measurementResults>
</dcc:digitalCalibrationCertificate>
"""


def text(content: str, name: str = "name") -> str:
    return f"<dcc:{name}><dcc:content>{content}</dcc:content></dcc:{name}>"


def item(serial: str = "2101934", attributes: str = "") -> str:
    return (
        f"<dcc:item {attributes}>{text('meter')}<dcc:manufacturer>{text('Eastron')}</dcc:manufacturer>"
        "<dcc:model>SDM630</dcc:model><dcc:identifications><dcc:identification><dcc:issuer>customer</dcc:issuer>"
        "<dcc:value>TAG-7</dcc:value></dcc:identification><dcc:identification>"
        f"<dcc:issuer>manufacturer</dcc:issuer><dcc:value>{serial}</dcc:value></dcc:identification>"
        "</dcc:identifications></dcc:item>"
    )


def xml_list(values: str, unit: str, uncertainty: str = "") -> str:
    return (
        f"<si:realListXMLList><si:valueXMLList>{values}</si:valueXMLList>"
        f"<si:unitXMLList>{unit}</si:unitXMLList>{uncertainty}</si:realListXMLList>"
    )


def real(value: str, unit: str, uncertainty: str = "") -> str:
    return f"<si:real><si:value>{value}</si:value><si:unit>{unit}</si:unit>{uncertainty}</si:real>"


def expanded_unc(expanded: str, k: str = "2") -> str:
    """The encoding of D-SI before 2.2."""
    return (
        f"<si:expandedUncXMLList><si:uncertaintyXMLList>{expanded}</si:uncertaintyXMLList>"
        f"<si:coverageFactorXMLList>{k}</si:coverageFactorXMLList>"
        "<si:coverageProbabilityXMLList>0.95</si:coverageProbabilityXMLList></si:expandedUncXMLList>"
    )


def quantity(ref_type: str, values: str, more: str = "") -> str:
    marked = f' refType="{ref_type}"' if ref_type else ""
    return f"<dcc:quantity{marked}>{values}{more}</dcc:quantity>"


def table(reference: str, error: str, indication: str = "", more: str = "", attributes: str = "") -> str:
    shown = quantity("basic_measuredValue", indication) if indication else ""
    found = quantity("basic_measurementError", error, more) if error else ""
    return f"<dcc:list {attributes}>{quantity('basic_referenceValue', reference)}{shown}{found}</dcc:list>"


VOLTAGES = table(
    xml_list("100.00 230.0", r"\volt"),
    xml_list("0.04 -0.10", r"\volt", expanded_unc("0.05")),
    xml_list("100.04 229.9", r"\volt"),
)

PARTS: Mapping[str, str] = {
    "dcc": DCC,
    "si": SI,
    "version": "3.3.0",
    "core": "",
    "items": item(),
    "statements": "",
    "before": "",
    "data": VOLTAGES,
}


def dcc_xml(**parts: str) -> bytes:
    return _WHOLE.format(**{**PARTS, **parts}).encode()
