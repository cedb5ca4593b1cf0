"""What a DCC says, release by release and encoding by encoding; every absence names its XPath and the remedy."""

from datetime import date
from decimal import Decimal

import pytest
from small_dcc import (
    PARTS,
    VOLTAGES,
    dcc_xml,
    expanded_unc,
    item,
    quantity,
    real,
    table,
    text,
    xml_list,
)

from meter_gateway.texts import LANGUAGES, Texts
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability import dcc
from meter_protocol.quantities import BY_NAME

VOLTAGE = BY_NAME["voltage"]
ENERGY, POWER = BY_NAME["active_energy_import"], BY_NAME["active_power"]
ROOT = "/dcc:digitalCalibrationCertificate"
DATA = f"{ROOT}/dcc:measurementResults/dcc:measurementResult/dcc:results/dcc:result/dcc:data"


def only(assignment: dcc.Assignment | None = None, **parts: str) -> c.CalibrationResult:
    found = dcc.read(dcc_xml(**parts), () if assignment is None else (assignment,))
    assert found.left_out == ()
    (result,) = found.certificate.results
    assert isinstance(result, c.CalibrationResult)
    return result


def why_left_out(assignment: dcc.Assignment | None = None, **parts: str) -> dcc.DccRefused:
    found = dcc.read(dcc_xml(**parts), () if assignment is None else (assignment,))
    assert found.certificate.results == ()
    (left_out,) = found.left_out
    return left_out.reason


def test_the_whole_certificate() -> None:
    found = dcc.read(dcc_xml())
    meter = c.Instrument("Eastron", "SDM630", "2101934")
    assert found.version == "3.3.0"
    assert found.items[0].identifications == (("customer", "TAG-7"), ("manufacturer", "2101934"))
    u, k = Decimal("0.05"), Decimal(2)
    assert found.certificate == c.Certificate(
        identifier="JL-2026-00123",
        laboratory=c.Laboratory("省计量院", "CNAS L0000"),
        calibrated_on=date(2026, 1, 10),
        issued_on=None,
        due_on=None,
        due_source=None,
        results=(
            c.CalibrationResult(
                meter,
                VOLTAGE,
                c.Axis(VOLTAGE, "V", None, None),
                "V",
                (
                    c.Point(Decimal("100.00"), Decimal("0.04"), u, k, Decimal("100.04")),
                    c.Point(Decimal("230.0"), Decimal("-0.10"), u, k, Decimal("229.9")),
                ),
                (),
            ),
        ),
        replaces=(),
        previous=None,
        scan_sha256=None,
        ends=(),
        begun_on=date(2026, 1, 9),
        items=(meter,),
    )


# Releases


@pytest.mark.parametrize("version", ["2.3.0", "2.4.0", "3.0.0", "3.0.0-rc.2", "3.1.2", "3.2.1", "3.3.0"])
def test_every_release_from_2_3(version: str) -> None:
    assert dcc.read(dcc_xml(version=version)).version == version


@pytest.mark.parametrize("version", ["1.9.3", "3.4.0", "4.0.0", "3.3", "3.3.0; x", ""])
def test_other_releases_are_refused(version: str) -> None:
    with pytest.raises(dcc.DccRefused) as refused:
        dcc.read(dcc_xml(version=version))
    assert refused.value.reason == "version_unknown"


LOCATION = (
    'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
    'i:schemaLocation="https://ptb.de/dcc https://ptb.de/dcc/v2.1.1/dcc.xsd"'
)


@pytest.mark.parametrize(
    ("attribute", "version"),
    [
        (LOCATION, "2.1.1"),
        ("", "2.0.0"),
    ],
)  # fmt: skip
def test_before_2_3_no_attribute_says_the_release(attribute: str, version: str) -> None:
    xml = dcc_xml().replace(b'schemaVersion="3.3.0"', attribute.encode())
    assert dcc.read(xml).version == version


@pytest.mark.parametrize(
    ("dcc_namespace", "si_namespace"),
    [
        ("https://ptb.de/dcc", "https://ptb.de/si/smartcom/d-si/v1_0_1"),
        (
            "https://intranet.ptb.de/fileadmin/dokumente/intranet/abteilungen/abteilung_1/Digitaler_Kalibrierschein/DCC",
            "https://intranet.ptb.de/fileadmin/dokumente/intranet/abteilungen/abteilung_1/Digitaler_Kalibrierschein/SI",
        ),
    ],
)
def test_the_namespaces_of_the_first_releases(dcc_namespace: str, si_namespace: str) -> None:
    assert only(dcc=dcc_namespace, si=si_namespace, version="2.3.0") == only()


def test_the_names_of_2_x() -> None:
    """`referenceID`, `state`, dccList, a list of si:real, and no standard refTypes: a person says the roles."""
    reals = "<si:list><si:listUnit>\\volt</si:listUnit>{more}" + "".join(
        f"<si:real><si:value>{value}</si:value></si:real>" for value in ("{a}", "{b}")
    )
    uncertain = (
        "<si:listUnivariateUnc><si:expandedUnc><si:uncertainty>0.05</si:uncertainty>"
        "<si:coverageFactor>2</si:coverageFactor><si:coverageProbability>0.95</si:coverageProbability>"
        "</si:expandedUnc></si:listUnivariateUnc>"
    )
    data = "<dcc:dccList>" + quantity("/reference", reals.format(a="100.00", b="230.0", more="") + "</si:list>")
    data += quantity("", reals.format(a="100.04", b="229.9", more="") + "</si:list>")
    data += quantity("", reals.format(a="0.04", b="-0.10", more=uncertain) + "</si:list>") + "</dcc:dccList>"
    previous = (
        f"<dcc:previousReport>{text('x', 'reference')}<dcc:referenceID>JL-2025-00456</dcc:referenceID>"
        "<dcc:procedure>SHA-256</dcc:procedure><dcc:value>abcd</dcc:value></dcc:previousReport>"
    )
    before = (
        f"<dcc:influenceConditions><dcc:influenceCondition>{text('before')}<dcc:state>beforeAdjustment</dcc:state>"
        f"<dcc:data>{VOLTAGES}</dcc:data></dcc:influenceCondition></dcc:influenceConditions>"
    )
    said = dcc.Assignment(1, VOLTAGE, VOLTAGE, reference=1, indication=2, error=3)
    found = dcc.read(dcc_xml(version="2.4.0", data=data, core=previous, before=before), (said,)).certificate
    assert found.results == (only(),)
    assert found.as_found == (only(),)
    assert (found.previous, found.previous_digest) == ("JL-2025-00456", c.Digest("SHA-256", "abcd"))


# Uncertainties


def mu(kind: str, inner: str) -> str:
    wrapper = "measurementUncertaintyUnivariateXMLList"
    return f"<si:{wrapper}><si:{kind}XMLList>{inner}</si:{kind}XMLList></si:{wrapper}>"


def entry(name: str, value: str) -> str:
    return f"<si:{name}XMLList>{value}</si:{name}XMLList>"


INTERVAL = (
    entry("intervalMin", "0.01 -0.13") + entry("intervalMax", "0.07 -0.07") + entry("coverageProbability", "0.95")
)


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (expanded_unc("0.05"), [("0.05", "2"), ("0.05", "2")]),
        (expanded_unc("0.05 0.06", "2 2.05"), [("0.05", "2"), ("0.06", "2.05")]),
        (expanded_unc("0.05 0.06"), [("0.05", "2"), ("0.06", "2")]),
        (
            mu("expandedMU", entry("valueExpandedMU", "0.05") + entry("coverageFactor", "2.13")),
            [("0.05", "2.13"), ("0.05", "2.13")],
        ),
        (mu("standardMU", entry("valueStandardMU", "0.02 0.03")), [("0.02", "1"), ("0.03", "1")]),
        (mu("coverageIntervalMU", entry("valueStandardMU", "0.02") + INTERVAL), [("0.02", "1"), ("0.02", "1")]),
        (
            f"<si:coverageIntervalXMLList>{entry('standardUnc', '0.02')}{INTERVAL}</si:coverageIntervalXMLList>",
            [("0.02", "1"), ("0.02", "1")],
        ),
    ],
)
def test_every_encoding_of_an_uncertainty(encoded: str, expected: list[tuple[str, str]]) -> None:
    data = table(xml_list("100.00 230.0", r"\volt"), xml_list("0.04 -0.10", r"\volt", encoded))
    points = only(data=data).points
    assert [(str(point.expanded_uncertainty), str(point.k)) for point in points] == expected


def test_single_values_in_both_encodings() -> None:
    old = (
        "<si:expandedUnc><si:uncertainty>0.05</si:uncertainty><si:coverageFactor>2</si:coverageFactor>"
        "<si:coverageProbability>0.95</si:coverageProbability></si:expandedUnc>"
    )
    new = (
        "<si:measurementUncertaintyUnivariate><si:expandedMU><si:valueExpandedMU>0.05</si:valueExpandedMU>"
        "<si:coverageFactor>2</si:coverageFactor><si:coverageProbability>0.95</si:coverageProbability>"
        "</si:expandedMU></si:measurementUncertaintyUnivariate>"
    )
    both = [only(data=table(real("100.00", r"\volt"), real("0.04", r"\volt", told))) for told in (old, new)]
    assert both[0] == both[1]
    assert both[0].points == (c.Point(Decimal("100.00"), Decimal("0.04"), Decimal("0.05"), Decimal(2)),)


def test_one_value_holds_for_all_points() -> None:
    data = table(xml_list("100.00 230.0", r"\volt"), xml_list("0.04", r"\volt", expanded_unc("0.05")))
    assert [str(point.error) for point in only(data=data).points] == ["0.04", "0.04"]


def test_tables_of_one_point_are_one_result() -> None:
    pieces = [
        table(real(at, r"\volt"), xml_list(error, r"\volt", expanded_unc("0.05")))
        for at, error in (("100.00", "0.04"), ("230.0", "-0.10"))
    ]
    assert [str(point.reference) for point in only(data=f"<dcc:list>{''.join(pieces)}</dcc:list>").points] == [
        "100.00",
        "230.0",
    ]


def test_without_an_error_it_is_indication_minus_reference() -> None:
    data = table(
        xml_list("100.00 230.0", r"\volt"), "", xml_list("100.04 229.9", r"\volt", expanded_unc("0.05 0.06"))
    )
    points = only(data=data).points
    assert [str(point.error) for point in points] == ["0.04", "-0.1"]
    assert [str(point.expanded_uncertainty) for point in points] == ["0.05", "0.06"]


# What a table is about


def test_percent_of_a_temperature_in_kelvin_is_no_percent_of_degrees_celsius() -> None:
    """0.1 % of 300 K is 0.3 K; of the 26.85 °C that the gateway writes it would be 0.027 K."""
    temperature = dcc.Assignment(1, BY_NAME["temperature"], BY_NAME["temperature"])
    errors = xml_list("0.02 0.03", r"\percent", expanded_unc("0.1"))
    refused = why_left_out(temperature, data=table(xml_list("300.00 350.00", r"\kelvin"), errors))
    assert (refused.reason, refused.values["units"]) == ("unit", r"\percent")
    printed = only(temperature, data=table(xml_list("26.85 76.85", r"\degreecelsius"), errors))
    assert (printed.error_unit, printed.points[0].reference) == ("%", Decimal("26.85"))


def test_an_error_in_percent_needs_a_person() -> None:
    data = table(xml_list("1 100", r"\kilo\watt"), xml_list("-0.12 0.08", r"\percent", expanded_unc("0.05")))
    assert why_left_out(data=data).reason == "quantity_unsaid"
    result = only(dcc.Assignment(1, ENERGY, POWER), data=data)
    assert (result.quantity, result.axis.quantity, result.axis.unit, result.error_unit) == (
        ENERGY,
        POWER,
        "kW",
        "%",
    )
    assert [str(point.reference) for point in result.points] == ["1", "100"]
    as_number = table(
        xml_list("1 100", r"\kilo\watt"), xml_list("-0.0012 0.0008", r"\one", expanded_unc("0.0005"))
    )
    converted = only(dcc.Assignment(1, ENERGY, POWER), data=as_number)
    assert [str(point.error) for point in converted.points] == ["-0.12", "0.08"]
    assert {str(point.expanded_uncertainty) for point in converted.points} == {"0.05"}


def test_a_reference_to_an_item_chooses_the_instrument() -> None:
    items = item("A", 'id="a"') + item("B", 'id="b"')
    assert why_left_out(items=items).reason == "item_unsaid"
    data = VOLTAGES.replace("<dcc:list ", '<dcc:list refId="b" ')
    assert only(items=items, data=data).instrument.serial == "B"
    assert only(dcc.Assignment(1, VOLTAGE, VOLTAGE, serial="A"), items=items).instrument.serial == "A"


def test_a_marked_serial_number_comes_before_the_makers_number() -> None:
    marked = item().replace("<dcc:identification>", '<dcc:identification refType="basic_serialNumber">', 1)
    assert only(items=marked).instrument.serial == "TAG-7"


VALIDITY = (
    '<dcc:statements><dcc:statement refType="basic_validityRange"><dcc:data>'
    + quantity("basic_validityRangeMin", real("0.05", r"\kilo\volt"))
    + quantity("basic_validityRangeMax", real("300", r"\volt"))
    + "</dcc:data></dcc:statement></dcc:statements>"
)


def test_a_validity_range_in_the_units_that_it_has() -> None:
    assert only(statements=VALIDITY).axis == c.Axis(VOLTAGE, "V", Decimal(50), Decimal(300))
    assert only(statements=VALIDITY.replace(r"\kilo\volt", r"\kelvin")).axis.minimum is None


@pytest.mark.parametrize("lower", ["-0.2", "-0.2 -0.3"])
def test_limits_and_conformity_of_each_point(lower: str) -> None:
    limits = (
        '<dcc:measurementMetaData><dcc:metaData refType="basic_conformity">'
        "<dcc:conformityXMLList>pass conditionalFail</dcc:conformityXMLList><dcc:data>"
        + quantity("basic_acceptanceLimitLower", xml_list(lower, r"\volt"))
        + quantity("basic_acceptanceLimitUpper", xml_list("300", r"\milli\volt"))
        + "</dcc:data></dcc:metaData></dcc:measurementMetaData>"
    )
    data = table(
        xml_list("100.00 230.0", r"\volt"), xml_list("0.04 -0.10", r"\volt", expanded_unc("0.05")), more=limits
    )
    points = only(data=data).points
    assert [point.conformity for point in points] == [c.Conformity.PASS, c.Conformity.CONDITIONAL_FAIL]
    assert [str(point.acceptance.lower) for point in points if point.acceptance] == (lower.split() * 2)[:2]
    assert {str(point.acceptance.upper) for point in points if point.acceptance} == {"0.300"}


def test_replaced_and_previous_reports() -> None:
    core = (
        "<dcc:issueDate>2026-01-12</dcc:issueDate><dcc:reportAmendedSubstituted>"
        "<dcc:typeOfChange>substituted</dcc:typeOfChange>"
        "<dcc:replacedUniqueIdentifier>JL-2026-00122</dcc:replacedUniqueIdentifier></dcc:reportAmendedSubstituted>"
        f"<dcc:previousReport>{text('x', 'referral')}<dcc:referralID>JL-2025-00456</dcc:referralID>"
        "<dcc:procedure>analogue</dcc:procedure><dcc:value>analogue</dcc:value></dcc:previousReport>"
    )
    found = dcc.read(dcc_xml(core=core)).certificate
    assert (found.issued_on, found.replaces) == (date(2026, 1, 12), ("JL-2026-00122",))
    assert (found.previous, found.previous_digest) == ("JL-2025-00456", None)


# What is wrong with the whole

CORE = f"{ROOT}/dcc:administrativeData/dcc:coreData"
WRONG = [
    ("uniqueIdentifier", "other", "missing", CORE),
    ("JL-2026-00123", " ", "empty", f"{CORE}/dcc:uniqueIdentifier"),
    ("2026-01-09", "9.1.2026", "wrong_value", f"{CORE}/dcc:beginPerformanceDate"),
    ("2026-01-09", "2026-02-30", "wrong_value", f"{CORE}/dcc:beginPerformanceDate"),
    ("2026-01-10", "2026-01-08", "wrong_value", f"{CORE}/dcc:endPerformanceDate"),
    ("dcc:coreData", "dcc:core", "missing", f"{ROOT}/dcc:administrativeData"),
    ("dcc:item>", "dcc:thing>", "missing", f"{ROOT}/dcc:administrativeData/dcc:items"),
    (
        "<dcc:issuer>customer", "<dcc:issuer>nobody", "wrong_value",
        f"{ROOT}/dcc:administrativeData/dcc:items/dcc:item/dcc:identifications/dcc:identification[1]/dcc:issuer",
    ),
    ("dcc:results>", "dcc:outcome>", "missing", f"{ROOT}/dcc:measurementResults/dcc:measurementResult"),
    ("dcc:measurementResults>", "dcc:more>", "missing", ROOT),
    ("dcc:contact>", "dcc:kontakt>", "missing", f"{ROOT}/dcc:administrativeData/dcc:calibrationLaboratory"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "reason", "where"), WRONG, ids=[f"{old}→{new}" for old, new, *_ in WRONG])
def test_structure_errors_name_the_place_and_the_remedy(old: str, new: str, reason: str, where: str) -> None:
    xml = dcc_xml(items=item().replace("<dcc:item >", "<dcc:item>")).decode()
    assert old in xml
    with pytest.raises(dcc.DccRefused) as refused:
        dcc.read(xml.replace(old, new).encode())
    assert (refused.value.reason, refused.value.where) == (reason, where)
    told(refused.value)


def told(refused: dcc.DccRefused) -> None:
    """One line that begins with the place and ends with what to do, in both languages."""
    for language in LANGUAGES:
        line = Texts(language)(refused.key, **refused.values)
        assert line.startswith(refused.where)
        assert "\n" not in line
        assert "; " in line or "；" in line


ERRORS = xml_list("0.04 -0.10", r"\volt", expanded_unc("0.05"))
REFERENCES = xml_list("100.00 230.0", r"\volt")

LEFT_OUT = [
    (table(REFERENCES, xml_list("0.04 -0.10", r"\volt")), "no_uncertainty"),
    (table(REFERENCES, xml_list("0.04 -0.10", r"\volt", expanded_unc("0"))), "no_uncertainty"),
    (table(REFERENCES, xml_list("0.04 -0.10", r"\volt", expanded_unc("-0.05"))), "wrong_value"),
    (table(REFERENCES, xml_list("0.04 -0.10", r"\volt", expanded_unc("0.05", "0"))), "wrong_value"),
    (table(REFERENCES, xml_list("0.04 x", r"\volt", expanded_unc("0.05"))), "wrong_value"),
    (table(REFERENCES, xml_list("0.04 NaN", r"\volt", expanded_unc("0.05"))), "wrong_value"),
    (table(REFERENCES, xml_list("0.04 1e99", r"\volt", expanded_unc("0.05"))), "wrong_value"),
    (table(REFERENCES, xml_list("0.04 -0.10 0.3", r"\volt", expanded_unc("0.05"))), "list_length"),
    (table(REFERENCES, xml_list("0.04 -0.10", r"\volt", expanded_unc("0.05 0.06 0.07"))), "list_length"),
    (table(xml_list("100.00 230.0", r"\volt \ampere"), ERRORS), "units_differ"),
    (table(xml_list("100.00 230.0", r"\furlong"), ERRORS), "quantity_unsaid"),
    (table(xml_list("100.00 230.0", r"\watt"), xml_list("1 2", r"\watt", expanded_unc("1"))), "quantity_unsaid"),
    (VOLTAGES.replace("basic_referenceValue", "basic_nominalValue"), "no_reference"),
    (table(REFERENCES, ""), "no_error"),
    (f"<dcc:list>{quantity('basic_referenceValue', REFERENCES) * 2}</dcc:list>", "several_roles"),
    (table("<si:complex/>", ERRORS), "quantity_unsaid"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "reason"), LEFT_OUT)
def test_a_table_that_cannot_be_used_is_left_out_with_its_reason(data: str, reason: str) -> None:
    refused = why_left_out(data=data)
    assert refused.reason == reason
    assert refused.where.startswith(DATA)
    told(refused)
    # The good table beside it counts.
    found = dcc.read(dcc_xml(data=data + VOLTAGES))
    assert [entry.table for entry in found.left_out] == [1]
    assert len(found.certificate.results) == 1


def test_a_unit_without_a_finite_decimal_is_not_rounded() -> None:
    joules = table(xml_list("1 2", r"\joule"), xml_list("1 1", r"\joule", expanded_unc("1")))
    refused = why_left_out(dcc.Assignment(1, ENERGY, ENERGY), data=joules)
    assert refused.reason == "unit"
    told(refused)


def test_a_wrong_position_is_told() -> None:
    refused = why_left_out(dcc.Assignment(1, VOLTAGE, VOLTAGE, error=9))
    assert refused.reason == "no_position"
    told(refused)


def test_the_parts_are_used() -> None:
    """A part that the template does not have would change nothing, and its test would prove nothing."""
    for name in PARTS:
        assert dcc_xml(**{name: "CHANGED"}) != dcc_xml()
