"""The report: valid by PTB's schema, signed by a person, and read back with the numbers that went in."""

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from laboratory import Party, party
from plant import Plant, channels
from pure_run import sealed, series, steady

from meter_gateway.in_situ import dcc_report
from meter_gateway.in_situ.dcc_report import Issuer
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.comparison import Comparison
from meter_gateway.traceability.dcc import DccRefused, safe_xml
from meter_gateway.traceability.dcc.reader import read
from meter_gateway.traceability.dcc.results import Assignment
from meter_gateway.traceability.dcc.schema import validate
from meter_gateway.traceability.dcc.signature import open_signed
from meter_protocol import comparison as cm
from meter_protocol.quantities import BY_NAME
from meter_tools.simulated_meter import INTERVAL_MS, START_MS

PLANT_7 = Issuer("Metering department", "CN", "Urumqi", "Plant 7")
ISSUED = date(2026, 1, 2)
POWER = BY_NAME["active_power"]


@pytest.fixture
def event() -> Comparison:
    """Two levels, one of which fails."""
    channel = series(*steady(100_200, 203_000))
    reference = series(*(10 * value for value in steady(100_000, 200_000)), exponent=-1)
    fields, _ = sealed(channel, reference)
    return Comparison(bytes(range(32)), fields)


@pytest.fixture(scope="module")
def person() -> Party:
    return party("Li Ming")


def signed(event: Comparison, person: Party, issuer: Issuer = PLANT_7, language: str = "zh") -> bytes:
    assert isinstance(person.key, ec.EllipticCurvePrivateKey)
    xml = dcc_report.report_of(event, issuer, language, 480, ISSUED)
    return dcc_report.sign(xml, person.key, [person.certificate])


def test_it_fulfils_the_schema(event: Comparison, person: Party, schemas: Path | None) -> None:
    if schemas is None:
        pytest.skip("data/dcc/xsd is missing in the folder of shared data: set CARBONMETER_SHARED")
    assert validate(safe_xml.parse(signed(event, person)), schemas) == "3.3.0"


def test_relative_accuracy_is_in_it(person: Party, schemas: Path | None) -> None:
    channel, reference = series(*steady(101_000, count=9)), series(*steady(100_000, count=9, scatter=9))
    basis = {"channel_basis": "dry, 30 min", "reference_basis": "dry, 30 min"}
    fields, _ = sealed(channel, reference, method="rata", settled_within=None, **basis)
    signed_report = signed(Comparison(bytes(32), fields), person)
    assert "Relative accuracy, dry, 30 min" in signed_report.decode()
    assert "\\percent" in signed_report.decode()
    if schemas is not None:
        assert validate(safe_xml.parse(signed_report), schemas) == "3.3.0"


def test_what_is_read_back_is_what_went_in(event: Comparison, person: Party) -> None:
    opened = open_signed(signed(event, person))
    assert opened is not None
    assert opened.signer == person.certificate
    reading = read(opened.content, [Assignment(1, POWER, POWER)])
    certificate = reading.certificate
    exponent = event.fields[cm.EXPONENT]
    (result,) = certificate.results
    assert isinstance(result, c.CalibrationResult)
    assert result.instrument.serial == "E-7001"
    points = event.fields[cm.POINTS]
    assert len(points) == 2

    def stated(mantissa: int) -> Decimal:
        return Decimal(mantissa).scaleb(exponent)

    for point, went_in in zip(result.points, points, strict=True):
        assert point.reference == stated(went_in[cm.POINT_REFERENCE])
        assert point.error == stated(went_in[cm.POINT_ERROR])
        assert point.expanded_uncertainty == stated(went_in[cm.POINT_UNCERTAINTY])
        assert point.k == 2
        assert point.indication == stated(went_in[cm.POINT_REFERENCE] + went_in[cm.POINT_ERROR])
        mpe = stated(went_in[cm.POINT_MPE])
        assert point.tolerance == c.ErrorLimits(-mpe, mpe)
    assert [point.conformity for point in result.points] == [c.Conformity.PASS, c.Conformity.FAIL]
    assert certificate.conformity is c.Conformity.FAIL
    assert [each.certificate for each in certificate.equipment] == ["NIM-1", "PAPER-2"]
    assert [each.serials for each in certificate.equipment] == [("PS-9",), ("PS-9",)]
    assert certificate.equipment[0].certificate_digest == c.Digest("SHA-256", bytes(32).hex())
    assert [(x.name, x.minimum, x.maximum) for x in result.conditions] == [
        ("ambient temperature", Decimal("21.5"), Decimal("22.25"))
    ]


def test_a_changed_byte_is_refused(event: Comparison, person: Party) -> None:
    good = signed(event, person)
    for words in (b"E-7001", b"PS-9", b"Plant 7", b"200000"):
        assert words in good
        with pytest.raises(DccRefused):
            open_signed(good.replace(words, words[:-1] + b"8"))


def test_it_is_titled_what_it_is_and_claims_what_is_configured(event: Comparison, person: Party) -> None:
    plain = signed(event, person).decode()
    assert "In-situ comparison report" in plain
    assert "现场比对报告" in plain
    assert "claims no accreditation" in plain
    assert "calibrationLaboratoryCode" not in plain
    assert "|E_n| ≤ 1" in plain
    assert event.hash.hex() in plain
    assert "归一化误差" in plain
    accredited = Issuer("Institute", "CN", "Urumqi", "Plant 7", "CNAS L0000", "active power")
    assert "<dcc:calibrationLaboratoryCode>CNAS L0000<" in signed(event, person, accredited).decode()
    # Half a claim is none.
    half = Issuer("Institute", "CN", "Urumqi", "Plant 7", "CNAS L0000", None)
    assert "CNAS" not in signed(event, person, half).decode()


def test_a_person_issues_it_and_the_gateway_s_own_importer_takes_it(plant: Plant, schemas: Path | None) -> None:
    li = party("Li Ming")
    folder = plant.gateway.folder
    (folder / "li.key").write_bytes(li.key_pem())
    (folder / "li.crt").write_bytes(li.pem())
    (folder / "imported").mkdir()
    with plant.gateway.config.open("a") as file:
        told = "" if schemas is None else f"schemas = '{schemas}'\n"
        file.write(f"[certificates]\nfolder = 'imported'\nroots = ['li.crt']\n{told}")
        file.write("[reports]\nname = 'Metering department'\ncity = 'Urumqi'\ncustomer = 'Plant 7'\n")
        file.write("accreditation = 'CNAS L0000'\nscope = 'power'\naccredited_signers = ['PORTABLE.crt']\n")
    (folder / "PORTABLE.crt").write_bytes(party("somebody else").pem())
    plant.meter.channels = channels(2000)
    plant.gateway.fill(*(plant.meter.readings() for _ in range(6)))
    table = folder / "readings.csv"
    moments = [datetime.fromtimestamp((START_MS + n * INTERVAL_MS) / 1000, UTC).isoformat() for n in range(7)]
    table.write_text("".join(f"{a},{b},100005.0\n" for a, b in pairwise(moments)))
    event = plant.compare("--readings", str(table), "--certificate", "PORTABLE")
    out = folder / "report.xml"
    words = ("compare", "report", event.run[:6], "--key", str(folder / "li.key"), "--cert", str(folder / "li.crt"))
    assert "no accreditation" in plant.ask(*words, "--out", str(out))
    said = plant.ask("certificate", "import", str(out), "--quantity", "active_power", "--due", "2026-12-31")
    assert f"in-situ-{event.run}" in said
    assert "M-1 power" in said
    other = plant.gateway.command(
        *words[:4], str(folder / "li.key"), "--cert", str(folder / "PORTABLE.crt"), "--out", str(out),
        "--config", str(plant.gateway.config),
    )  # fmt: skip
    assert "is not the key of the first certificate" in other.stderr
