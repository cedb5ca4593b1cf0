"""An in-situ comparison report as a Digital Calibration Certificate (PTB DCC 3.3), from a sealed event.

It holds what the event holds and nothing else: the same integers as decimals, the reference with its certificate,
the conditions, the decision rule, and the event's own hash, so that a reader can ask for the signed bytes. It is
titled what it is, in both languages. It claims an accreditation only where one is configured together with its
scope and with the signer's certificate. A person signs it (XAdES), never the gateway.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from signxml.algorithms import SignatureConstructionMethod
from signxml.xades.xades import XAdESSigner

from meter_gateway.in_situ.dcc_elements import dcc, identification, named, words
from meter_gateway.in_situ.dcc_results import CONFORMITY, TITLE, measurement
from meter_gateway.model import Fields
from meter_gateway.traceability.comparison import Comparison
from meter_protocol import comparison as cm
from meter_protocol import fields as f
from meter_protocol.quantities import BY_CODE

VERSION = "3.3.0"

_KINDS = {
    cm.AS_FOUND: ("as found, before any adjustment", "调整前状态"),
    cm.AS_LEFT: ("as left, after an adjustment", "调整后状态"),
    cm.ROUTINE: ("routine, nothing was adjusted", "例行比对，未作调整"),
    cm.ZERO: ("zero check", "零点检查"),
    cm.SPAN: ("span check", "量程检查"),
}


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues reports. `accreditation` and `scope` only where this very signer may claim them."""

    name: str
    country: str
    city: str
    customer: str
    accreditation: str | None = None
    scope: str | None = None


def report_of(event: Comparison, issuer: Issuer, language: str, utc_offset_minutes: int, issued: date) -> bytes:
    """The XML before it is signed. `language` is the one that counts where the two say different things."""
    fields = event.fields
    quantity = BY_CODE[fields[cm.QUANTITY]]
    zone = timezone(timedelta(minutes=utc_offset_minutes))
    root = dcc(
        "digitalCalibrationCertificate",
        dcc(
            "administrativeData",
            _software(),
            _core(event, issuer, language, zone, issued),
            dcc("items", _item(fields)),
            _laboratory(issuer),
            dcc("respPersons", _person(fields[cm.PERSON])),
            _contact("customer", issuer.customer, issuer),
            dcc("statements", *_statements(event, issuer)),
        ),
        dcc("measurementResults", measurement(fields, quantity)),
        schemaVersion=VERSION,
    )
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def sign(
    xml: bytes, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, chain: Sequence[x509.Certificate]
) -> bytes:
    """XAdES with the signer's certificate first; the whole file but its signature is covered."""
    algorithm = "ecdsa-sha256" if isinstance(key, ec.EllipticCurvePrivateKey) else "rsa-sha256"
    signer = XAdESSigner(method=SignatureConstructionMethod.enveloped, signature_algorithm=algorithm)
    signed = signer.sign(etree.fromstring(xml), key=key, cert=list(chain))
    return etree.tostring(signed, xml_declaration=True, encoding="UTF-8")


def identifier_of(event: Comparison) -> str:
    return f"in-situ-{event.run}"


def _software() -> etree._Element:
    return dcc("dccSoftware", dcc("software", named("carbonmeter"), dcc("release", text="1")))


def _core(event: Comparison, issuer: Issuer, language: str, zone: timezone, issued: date) -> etree._Element:
    begun, ended = (
        datetime.fromtimestamp(event.fields[key] / 1000, UTC).astimezone(zone).date()
        for key in (cm.START_MS, cm.END_MS)
    )
    return dcc(
        "coreData",
        dcc("countryCodeISO3166_1", text=issuer.country),
        dcc("usedLangCodeISO639_1", text="en"),
        dcc("usedLangCodeISO639_1", text="zh"),
        dcc("mandatoryLangCodeISO639_1", text=language),
        dcc("uniqueIdentifier", text=identifier_of(event)),
        dcc(
            "identifications",
            identification(
                "other", event.hash.hex(), ("Hash of the signed comparison event", "签名比对事件的哈希")
            ),
        ),
        dcc("beginPerformanceDate", text=begun.isoformat()),
        dcc("endPerformanceDate", text=ended.isoformat()),
        dcc("performanceLocation", text="customer"),
        dcc("issueDate", text=issued.isoformat()),
    )


def _item(fields: Fields) -> etree._Element:
    meter, channel = fields[f.METER].hex(), fields[cm.CHANNEL]
    return dcc(
        "item",
        words("name", ("Instrument in its place of use", "在用仪表")),
        dcc(
            "identifications",
            identification("manufacturer", fields[cm.SERIAL], ("Serial number", "编号")),
            identification("other", f"{meter}/{channel}", ("Meter's key and channel", "表计公钥指纹与通道")),
        ),
        id="item",
    )


def _laboratory(issuer: Issuer) -> etree._Element:
    claims = issuer.accreditation is not None and issuer.scope is not None
    code = dcc("calibrationLaboratoryCode", text=issuer.accreditation) if claims else None
    return dcc("calibrationLaboratory", code, _contact("contact", issuer.name, issuer), _yes())


def _person(name: str) -> etree._Element:
    return dcc("respPerson", dcc("person", named(name)), dcc("mainSigner", text="true"), _yes())


def _yes() -> etree._Element:
    return dcc("cryptElectronicSignature", text="true")


def _contact(element: str, name: str, issuer: Issuer) -> etree._Element:
    place = dcc("location", dcc("city", text=issuer.city), dcc("countryCode", text=issuer.country))
    return dcc(element, named(name), place)


def _statements(event: Comparison, issuer: Issuer) -> list[etree._Element]:
    fields = event.fields
    kind = _KINDS[event.kind]
    claims = issuer.accreditation is not None and issuer.scope is not None
    accredited = (
        (f"Within the scope of accreditation {issuer.accreditation}: {issuer.scope}",
         f"属认可 {issuer.accreditation} 的范围：{issuer.scope}")
        if claims
        else ("This report claims no accreditation.", "本报告不声称任何认可资格。")
    )  # fmt: skip
    reasons = ", ".join(fields[cm.REASONS])
    rule = _rule(fields[cm.DECISION])
    return [
        dcc("statement", words("name", TITLE), words("declaration", (f"State: {kind[0]}.", f"状态：{kind[1]}。"))),
        dcc("statement", words("declaration", accredited)),
        dcc(
            "statement",
            words("name", ("Decision rule", "判定规则")),
            dcc("norm", text="JCGM 106:2012"),
            words(
                "declaration",
                (
                    rule + (f"; not passed because of {reasons}" if reasons else ""),
                    rule + (f"；未合格原因：{reasons}" if reasons else ""),
                ),
            ),
            dcc("conformity", text=CONFORMITY[fields[cm.OUTCOME]]),
            refType="basic_conformity",
        ),
    ]


def _rule(decision: Fields) -> str:
    told = [f"guard band {decision[cm.DECISION_GUARD_BAND]}, r = {_ratio(decision[cm.DECISION_MULTIPLIER_PPM])}"]
    if decision[cm.DECISION_MAX_RATIO_PPM] is not None:
        told.append(f"U/MPE ≤ {_ratio(decision[cm.DECISION_MAX_RATIO_PPM])}")
    if decision[cm.DECISION_METHOD] == cm.NORMALISED_ERROR:
        told.append(f"|E_n| ≤ {_ratio(decision[cm.DECISION_EN_LIMIT_PPM])}")
    if decision[cm.DECISION_LIMIT_PPM] is not None:
        told.append(f"RA ≤ {_ratio(decision[cm.DECISION_LIMIT_PPM])}")
    return "; ".join(told)


def _ratio(ppm: int) -> str:
    return f"{Decimal(ppm).scaleb(-6).normalize():f}"
