"""The results in an in-situ comparison report: method, reference, conditions, and the points with their scores."""

from lxml import etree

from meter_gateway.in_situ.dcc_elements import dcc, identification, named, real, real_list, si, words
from meter_gateway.model import Fields
from meter_gateway.values import decimal_text
from meter_protocol import comparison as cm
from meter_protocol.quantities import QUANTITIES, Quantity

TITLE = ("In-situ comparison report", "现场比对报告")
CONFORMITY = {cm.PASSED: "pass", cm.FAILED: "fail", cm.INCONCLUSIVE: "noPass"}
"""Where it is inconclusive, it cannot be said that it conforms."""

_METHODS = {
    cm.NORMALISED_ERROR: ("Comparison with a reference; normalised error E_n", "与标准器比对；归一化误差 E_n"),
    cm.RATA: ("Relative accuracy against a reference method", "相对准确度（对参比方法）"),
    cm.DIFFERENCE: ("Difference from a known gas", "与已知气体之差"),
}
_NORMS = {cm.NORMALISED_ERROR: "ISO 13528", cm.RATA: "40 CFR 75 App. A", cm.DIFFERENCE: "EN 14181"}
_CONDITIONS = {"Cel": "basic_temperature", "%": "basic_humidityRelative", "Pa": "basic_pressureAbsolute"}


def measurement(fields: Fields, quantity: Quantity) -> etree._Element:
    method = fields[cm.DECISION][cm.DECISION_METHOD]
    conditions = [_condition(condition) for condition in fields[cm.CONDITIONS]]
    return dcc(
        "measurementResult",
        words("name", TITLE),
        dcc(
            "usedMethods",
            dcc("usedMethod", words("name", _METHODS[method]), dcc("norm", text=_NORMS[method])),
            dcc(
                "usedMethod",
                words("name", ("Uncertainty of measurement", "测量不确定度")),
                dcc("norm", text="JCGM 100:2008"),
                refType="gp_uncertainty",
            ),
        ),
        dcc("measuringEquipments", *_equipment(fields[cm.REFERENCE])),
        dcc("influenceConditions", *conditions) if conditions else None,
        dcc(
            "results",
            dcc(
                "result",
                words("name", (quantity.name.replace("_", " "), "比对结果")),
                dcc("data", _table(fields, quantity)),
                refId="item",
            ),
        ),
    )


def _equipment(reference: Fields) -> list[etree._Element]:
    """The reference, once for each of its certificates: the model names one certificate for each."""
    certificates = reference[cm.REFERENCE_CERTIFICATES] or [None]
    return [
        dcc(
            "measuringEquipment",
            named(reference[cm.REFERENCE_NAME]),
            None if certificate is None else _named_certificate(certificate),
            dcc(
                "identifications",
                identification("manufacturer", reference[cm.REFERENCE_SERIAL], ("Serial number", "编号")),
            ),
        )
        for certificate in certificates
    ]


def _named_certificate(certificate: Fields) -> etree._Element:
    digest = certificate[cm.CERTIFICATE_DIGEST]
    return dcc(
        "certificate",
        words("referral", ("Certificate of the reference", "标准器证书")),
        dcc("referralID", text=certificate[cm.CERTIFICATE_ID]),
        dcc("procedure", text="analog" if digest is None else "SHA-256"),
        dcc("value", text="analog" if digest is None else digest.hex()),
        dcc("traceable", text="true"),
    )


def _condition(condition: Fields) -> etree._Element:
    unit, exponent = condition[cm.CONDITION_UNIT], condition[cm.CONDITION_EXPONENT]
    low, high = (decimal_text(condition[key], exponent) for key in (cm.CONDITION_MINIMUM, cm.CONDITION_MAXIMUM))
    known = next((quantity.dsi for quantity in QUANTITIES if quantity.ucum == unit), None)
    if known is None:
        told = f"{low} – {high} {unit}"
        return dcc(
            "influenceCondition",
            named(condition[cm.CONDITION_NAME]),
            dcc("data", dcc("text", dcc("content", text=told))),
        )
    attributes = {"refType": _CONDITIONS[unit]} if unit in _CONDITIONS else {}
    ends = [
        dcc("quantity", real(value, known), refType=f"basic_{end}") for value, end in ((low, "min"), (high, "max"))
    ]
    return dcc("influenceCondition", named(condition[cm.CONDITION_NAME]), dcc("data", *ends), **attributes)


def _table(fields: Fields, quantity: Quantity) -> etree._Element:
    """Reference value, indication and error of each point; U is that of the error."""
    exponent, points, unit = fields[cm.EXPONENT], fields[cm.POINTS], quantity.dsi

    def column(*keys: int, sign: int = 1) -> str:
        return " ".join(decimal_text(sign * sum(point[key] for key in keys), exponent) for point in points)

    uncertainty = si(
        "measurementUncertaintyUnivariateXMLList",
        si(
            "expandedMUXMLList",
            si("valueExpandedMUXMLList", text=column(cm.POINT_UNCERTAINTY)),
            si("coverageFactorXMLList", text="2"),
            si("coverageProbabilityXMLList", text="0.95"),
            si("distributionXMLList", text="normal"),
        ),
    )
    limits = dcc(
        "metaData",
        dcc("conformityXMLList", text=" ".join(CONFORMITY[point[cm.POINT_OUTCOME]] for point in points)),
        dcc(
            "data",
            *(
                dcc(
                    "quantity",
                    real_list(column(cm.POINT_MPE, sign=sign), unit),
                    refType=f"basic_toleranceLimit{side}",
                )
                for side, sign in (("Lower", -1), ("Upper", 1))
            ),
        ),
        refType="basic_conformity",
    )
    return dcc(
        "list",
        dcc(
            "quantity",
            words("name", ("Reference value", "参考值")),
            real_list(column(cm.POINT_REFERENCE), unit),
            refType="basic_referenceValue",
        ),
        dcc(
            "quantity",
            words("name", ("Indication", "示值")),
            real_list(column(cm.POINT_REFERENCE, cm.POINT_ERROR), unit),
            refType="basic_measuredValue",
        ),
        dcc(
            "quantity",
            words("name", ("Error of indication", "示值误差")),
            real_list(column(cm.POINT_ERROR), unit, uncertainty),
            dcc("measurementMetaData", limits),
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
            dcc("quantity", words("name", ("Normalised error E_n", "归一化误差 E_n")), real_list(told, "\\one"))
        )
    if accuracy is not None:
        percent = decimal_text(accuracy[cm.ACCURACY_PPM], -4)
        name = (f"Relative accuracy, {accuracy[cm.ACCURACY_BASIS]}", f"相对准确度，{accuracy[cm.ACCURACY_BASIS]}")
        made.append(dcc("quantity", words("name", name), real(percent, "\\percent")))
    return made
