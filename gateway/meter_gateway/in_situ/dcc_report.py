"""An in-situ comparison report as a Digital Calibration Certificate (PTB DCC 3.3), from a sealed event.

It holds what the event holds and nothing else: the same integers as decimals, the reference with its certificate,
the conditions, the decision rule, and the event's own hash, so that a reader can ask for the signed bytes. It is
titled what it is, in both languages. It claims an accreditation only where one is configured together with its
scope and with the signer's certificate. A person signs it (XAdES), never the gateway.

Where the outcome is inconclusive, the conformity is `noPass`: it cannot be said that it conforms.
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

from meter_gateway.model import Fields
from meter_gateway.traceability.comparison import Comparison
from meter_gateway.values import decimal_text
from meter_protocol import comparison as cm
from meter_protocol import fields as f
from meter_protocol.quantities import BY_CODE, QUANTITIES, Quantity

DCC = "https://ptb.de/dcc"
SI = "https://ptb.de/si"
VERSION = "3.3.0"

_CONFORMITY = {cm.PASSED: "pass", cm.FAILED: "fail", cm.INCONCLUSIVE: "noPass"}
_CONDITIONS = {"Cel": "basic_temperature", "%": "basic_humidityRelative", "Pa": "basic_pressureAbsolute"}

TITLE = ("In-situ comparison report", "现场比对报告")
_KINDS = {
    cm.AS_FOUND: ("as found, before any adjustment", "调整前状态"),
    cm.AS_LEFT: ("as left, after an adjustment", "调整后状态"),
    cm.ROUTINE: ("routine, nothing was adjusted", "例行比对，未作调整"),
    cm.ZERO: ("zero check", "零点检查"),
    cm.SPAN: ("span check", "量程检查"),
}
_METHODS = {
    cm.NORMALISED_ERROR: ("Comparison with a reference; normalised error E_n", "与标准器比对；归一化误差 E_n"),
    cm.RATA: ("Relative accuracy against a reference method", "相对准确度（对参比方法）"),
    cm.DIFFERENCE: ("Difference from a known gas", "与已知气体之差"),
}
_NORMS = {cm.NORMALISED_ERROR: "ISO 13528", cm.RATA: "40 CFR 75 App. A", cm.DIFFERENCE: "EN 14181"}

Words = tuple[str, str]
"""English, Chinese."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues reports. `accreditation` and `scope` only where this very signer may claim them."""

    name: str
    country: str
    city: str
    customer: str
    accreditation: str | None = None
    scope: str | None = None


class _Writer:
    """Elements of one namespace, children in their order."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def __call__(
        self, name: str, *children: "etree._Element | None", text: str | None = None, **attributes: str
    ) -> etree._Element:
        made = etree.Element(f"{{{self._namespace}}}{name}", attributes, nsmap={"dcc": DCC, "si": SI})
        made.text = text
        made.extend([child for child in children if child is not None])
        return made


_dcc = _Writer(DCC)
_si = _Writer(SI)


def report_of(event: Comparison, issuer: Issuer, language: str, utc_offset_minutes: int, issued: date) -> bytes:
    """The XML before it is signed. `language` is the one that counts where the two say different things."""
    fields = event.fields
    quantity = BY_CODE[fields[cm.QUANTITY]]
    zone = timezone(timedelta(minutes=utc_offset_minutes))
    root = _dcc(
        "digitalCalibrationCertificate",
        _dcc(
            "administrativeData",
            _software(),
            _core(event, issuer, language, zone, issued),
            _dcc("items", _item(fields)),
            _laboratory(issuer),
            _dcc("respPersons", _person(fields[cm.PERSON])),
            _contact("customer", issuer.customer, issuer),
            _dcc("statements", *_statements(event, issuer)),
        ),
        _dcc("measurementResults", _measurement(fields, quantity)),
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
    return _dcc("dccSoftware", _dcc("software", _name("carbonmeter"), _dcc("release", text="1")))


def _core(event: Comparison, issuer: Issuer, language: str, zone: timezone, issued: date) -> etree._Element:
    begun, ended = (
        datetime.fromtimestamp(event.fields[key] / 1000, UTC).astimezone(zone).date()
        for key in (cm.START_MS, cm.END_MS)
    )
    return _dcc(
        "coreData",
        _dcc("countryCodeISO3166_1", text=issuer.country),
        _dcc("usedLangCodeISO639_1", text="en"),
        _dcc("usedLangCodeISO639_1", text="zh"),
        _dcc("mandatoryLangCodeISO639_1", text=language),
        _dcc("uniqueIdentifier", text=identifier_of(event)),
        _dcc(
            "identifications",
            _identification(
                "other", event.hash.hex(), ("Hash of the signed comparison event", "签名比对事件的哈希")
            ),
        ),
        _dcc("beginPerformanceDate", text=begun.isoformat()),
        _dcc("endPerformanceDate", text=ended.isoformat()),
        _dcc("performanceLocation", text="customer"),
        _dcc("issueDate", text=issued.isoformat()),
    )


def _item(fields: Fields) -> etree._Element:
    meter, channel = fields[f.METER].hex(), fields[cm.CHANNEL]
    return _dcc(
        "item",
        _words("name", ("Instrument in its place of use", "在用仪表")),
        _dcc(
            "identifications",
            _identification("manufacturer", fields[cm.SERIAL], ("Serial number", "编号")),
            _identification("other", f"{meter}/{channel}", ("Meter's key and channel", "表计公钥指纹与通道")),
        ),
        id="item",
    )


def _laboratory(issuer: Issuer) -> etree._Element:
    claims = issuer.accreditation is not None and issuer.scope is not None
    code = _dcc("calibrationLaboratoryCode", text=issuer.accreditation) if claims else None
    return _dcc("calibrationLaboratory", code, _contact("contact", issuer.name, issuer), _yes())


def _person(name: str) -> etree._Element:
    return _dcc("respPerson", _dcc("person", _name(name)), _dcc("mainSigner", text="true"), _yes())


def _yes() -> etree._Element:
    return _dcc("cryptElectronicSignature", text="true")


def _contact(element: str, name: str, issuer: Issuer) -> etree._Element:
    place = _dcc("location", _dcc("city", text=issuer.city), _dcc("countryCode", text=issuer.country))
    return _dcc(element, _name(name), place)


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
        _dcc(
            "statement", _words("name", TITLE), _words("declaration", (f"State: {kind[0]}.", f"状态：{kind[1]}。"))
        ),
        _dcc("statement", _words("declaration", accredited)),
        _dcc(
            "statement",
            _words("name", ("Decision rule", "判定规则")),
            _dcc("norm", text="JCGM 106:2012"),
            _words(
                "declaration",
                (
                    rule + (f"; not passed because of {reasons}" if reasons else ""),
                    rule + (f"；未合格原因：{reasons}" if reasons else ""),
                ),
            ),
            _dcc("conformity", text=_CONFORMITY[fields[cm.OUTCOME]]),
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


def _measurement(fields: Fields, quantity: Quantity) -> etree._Element:
    method = fields[cm.DECISION][cm.DECISION_METHOD]
    conditions = [_condition(condition) for condition in fields[cm.CONDITIONS]]
    return _dcc(
        "measurementResult",
        _words("name", TITLE),
        _dcc(
            "usedMethods",
            _dcc("usedMethod", _words("name", _METHODS[method]), _dcc("norm", text=_NORMS[method])),
            _dcc(
                "usedMethod",
                _words("name", ("Uncertainty of measurement", "测量不确定度")),
                _dcc("norm", text="JCGM 100:2008"),
                refType="gp_uncertainty",
            ),
        ),
        _dcc("measuringEquipments", *_equipment(fields[cm.REFERENCE])),
        _dcc("influenceConditions", *conditions) if conditions else None,
        _dcc(
            "results",
            _dcc(
                "result",
                _words("name", (quantity.name.replace("_", " "), "比对结果")),
                _dcc("data", _table(fields, quantity)),
                refId="item",
            ),
        ),
    )


def _equipment(reference: Fields) -> list[etree._Element]:
    """The reference, once for each of its certificates: the model names one certificate for each."""
    certificates = reference[cm.REFERENCE_CERTIFICATES] or [None]
    return [
        _dcc(
            "measuringEquipment",
            _name(reference[cm.REFERENCE_NAME]),
            None if certificate is None else _named_certificate(certificate),
            _dcc(
                "identifications",
                _identification("manufacturer", reference[cm.REFERENCE_SERIAL], ("Serial number", "编号")),
            ),
        )
        for certificate in certificates
    ]


def _named_certificate(certificate: Fields) -> etree._Element:
    digest = certificate[cm.CERTIFICATE_DIGEST]
    return _dcc(
        "certificate",
        _words("referral", ("Certificate of the reference", "标准器证书")),
        _dcc("referralID", text=certificate[cm.CERTIFICATE_ID]),
        _dcc("procedure", text="analog" if digest is None else "SHA-256"),
        _dcc("value", text="analog" if digest is None else digest.hex()),
        _dcc("traceable", text="true"),
    )


def _condition(condition: Fields) -> etree._Element:
    unit, exponent = condition[cm.CONDITION_UNIT], condition[cm.CONDITION_EXPONENT]
    low, high = (decimal_text(condition[key], exponent) for key in (cm.CONDITION_MINIMUM, cm.CONDITION_MAXIMUM))
    known = next((quantity.dsi for quantity in QUANTITIES if quantity.ucum == unit), None)
    if known is None:
        told = f"{low} – {high} {unit}"
        return _dcc(
            "influenceCondition",
            _name(condition[cm.CONDITION_NAME]),
            _dcc("data", _dcc("text", _dcc("content", text=told))),
        )
    attributes = {"refType": _CONDITIONS[unit]} if unit in _CONDITIONS else {}
    ends = [
        _dcc("quantity", _real(value, known), refType=f"basic_{end}")
        for value, end in ((low, "min"), (high, "max"))
    ]
    return _dcc("influenceCondition", _name(condition[cm.CONDITION_NAME]), _dcc("data", *ends), **attributes)


def _table(fields: Fields, quantity: Quantity) -> etree._Element:
    """Reference value, indication and error of each point; U is that of the error."""
    exponent, points, unit = fields[cm.EXPONENT], fields[cm.POINTS], quantity.dsi

    def column(*keys: int, sign: int = 1) -> str:
        return " ".join(decimal_text(sign * sum(point[key] for key in keys), exponent) for point in points)

    uncertainty = _si(
        "measurementUncertaintyUnivariateXMLList",
        _si(
            "expandedMUXMLList",
            _si("valueExpandedMUXMLList", text=column(cm.POINT_UNCERTAINTY)),
            _si("coverageFactorXMLList", text="2"),
            _si("coverageProbabilityXMLList", text="0.95"),
            _si("distributionXMLList", text="normal"),
        ),
    )
    limits = _dcc(
        "metaData",
        _dcc("conformityXMLList", text=" ".join(_CONFORMITY[point[cm.POINT_OUTCOME]] for point in points)),
        _dcc(
            "data",
            *(
                _dcc(
                    "quantity",
                    _values(column(cm.POINT_MPE, sign=sign), unit),
                    refType=f"basic_toleranceLimit{side}",
                )
                for side, sign in (("Lower", -1), ("Upper", 1))
            ),
        ),
        refType="basic_conformity",
    )
    return _dcc(
        "list",
        _dcc(
            "quantity",
            _words("name", ("Reference value", "参考值")),
            _values(column(cm.POINT_REFERENCE), unit),
            refType="basic_referenceValue",
        ),
        _dcc(
            "quantity",
            _words("name", ("Indication", "示值")),
            _values(column(cm.POINT_REFERENCE, cm.POINT_ERROR), unit),
            refType="basic_measuredValue",
        ),
        _dcc(
            "quantity",
            _words("name", ("Error of indication", "示值误差")),
            _values(column(cm.POINT_ERROR), unit, uncertainty),
            _dcc("measurementMetaData", limits),
            refType="basic_measurementError",
        ),
        *_scores(fields),
    )


def _scores(fields: Fields) -> list[etree._Element]:
    """What the outcome goes by besides the error: E_n of each point, or the relative accuracy of all."""
    scores = [point[cm.POINT_EN_PPM] for point in fields[cm.POINTS]]
    accuracy = fields[cm.RELATIVE_ACCURACY]
    made = []
    if None not in scores:
        told = " ".join(decimal_text(score, -6) for score in scores)
        made.append(
            _dcc("quantity", _words("name", ("Normalised error E_n", "归一化误差 E_n")), _values(told, "\\one"))
        )
    if accuracy is not None:
        percent = decimal_text(accuracy[cm.ACCURACY_PPM], -4)
        name = (f"Relative accuracy, {accuracy[cm.ACCURACY_BASIS]}", f"相对准确度，{accuracy[cm.ACCURACY_BASIS]}")
        made.append(_dcc("quantity", _words("name", name), _real(percent, "\\percent")))
    return made


def _values(values: str, unit: str, uncertainty: etree._Element | None = None) -> etree._Element:
    return _si("realListXMLList", _si("valueXMLList", text=values), _si("unitXMLList", text=unit), uncertainty)


def _real(value: str, unit: str) -> etree._Element:
    return _si("real", _si("value", text=value), _si("unit", text=unit))


def _identification(issuer: str, value: str, name: Words) -> etree._Element:
    return _dcc("identification", _dcc("issuer", text=issuer), _dcc("value", text=value), _words("name", name))


def _words(element: str, words: Words) -> etree._Element:
    return _dcc(
        element, *(_dcc("content", text=text, lang=lang) for text, lang in zip(words, ("en", "zh"), strict=True))
    )


def _name(text: str) -> etree._Element:
    return _dcc("name", _dcc("content", text=text))
