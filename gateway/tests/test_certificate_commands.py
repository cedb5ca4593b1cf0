"""`carbonmeter certificate`: what is kept, shown, ended and bound, and that nothing wrong is ever written."""

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import papers
import pytest
from typer.testing import CliRunner

from meter_gateway.cli import app
from meter_gateway.config import load_config
from meter_gateway.traceability import dcc, dcc_file, load_trust
from meter_gateway.traceability.certificate import CalibrationResult, EndKind
from meter_gateway.validated_toml import ConfigError
from meter_protocol.quantities import BY_NAME
from meter_tools.simulated_meter import SimulatedMeter

sys.path.insert(0, str(Path(__file__).parent / "dcc"))

from laboratory import Laboratory, sign
from small_dcc import VOLTAGES, dcc_xml, expanded_unc, item, table, xml_list

METER = "ab" * 32
Run = Callable[..., tuple[int, str]]

GAS = papers.gas_certificate(
    "GBW-E-2026-0815", papers.component(minimum_pressure_kpa=1000), calibrated="2026-03-02", due="2027-03-01"
)

PAPER = """id = "JD-2026-00077"
calibrated = 2026-02-01
due = 2028-01-31
due_source = "verification certificate"

[laboratory]
name = "县检定所"

[[result]]
type = "verification"
quantity = "voltage"
mpe_table = "iec-62053-22"
accuracy_class = "0.5S"
passed = true
instrument = { manufacturer = "Wasion", model = "DTZ341", serial = "31000456" }
axis = { quantity = "voltage", unit = "V" }
"""


class Site:
    """A folder with a configuration, the laboratory that signs, and the commands."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lab = folder, Laboratory()
        assert CliRunner().invoke(app, ["gateway", "init", str(folder)]).exit_code == 0
        self.certificates = folder / "certificates"
        self.certificates.mkdir()
        (folder / "roots.pem").write_bytes(self.lab.root.pem())
        self.bindings = folder / "bindings.toml"
        self.bindings.touch()
        self.config = folder / "gateway.toml"
        with self.config.open("a") as file:
            file.write('[certificates]\nfolder = "certificates"\nroots = ["roots.pem"]\n')
            file.write('[traceability]\nbindings = ["bindings.toml"]\n')

    def run(self, *words: object, lang: str = "en") -> tuple[int, str]:
        arguments = ["--lang", lang, "certificate", *map(str, words), "--config", str(self.config)]
        done = CliRunner().invoke(app, arguments, prog_name="carbonmeter")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout + done.stderr

    def file(self, content: bytes | str, name: str = "given.xml") -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.certificates.iterdir())

    def trust(self) -> Any:
        return load_trust(load_config(self.config))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


def test_import_keeps_the_file_as_it_is_beside_its_digest(site: Site) -> None:
    xml = sign(dcc_xml(), site.lab)
    code, told = site.run("import", site.file(xml), "--due", "2027-01-09")
    assert code == 0
    assert "yes: signed (XAdES) by Laboratory" in told
    assert "yes: Root vouches for the signer" in told
    assert site.kept() == ["JL-2026-00123.dcc.toml", "JL-2026-00123.xml"]
    assert (site.certificates / "JL-2026-00123.xml").read_bytes() == xml
    (certificate,) = site.trust().register
    assert certificate.document_sha256 == sha256(xml).digest()
    assert (str(certificate.due_on), certificate.due_source) == ("2027-01-09", "owner")
    assert certificate.findings == ("signing_time_unproven", "certificate_revocation_unknown")
    assert certificate.results[0].instrument.serial == "2101934"


def test_only_what_the_signature_covers_is_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def spy(octets: bytes, *rest: Any) -> dcc.Reading:
        read.append(octets)
        return dcc.read(octets, *rest)

    monkeypatch.setattr(dcc_file, "dcc", SimpleNamespace(read=spy, DccRefused=dcc.DccRefused))
    assert site.run("import", site.file(sign(dcc_xml(), site.lab)))[0] == 0
    assert read
    assert not any(b"Signature" in octets for octets in read)


def test_an_unsigned_one_is_kept_and_says_so_in_every_reading(site: Site) -> None:
    code, told = site.run("import", site.file(dcc_xml()), lang="zh")
    assert code == 0
    assert "否：未签名" in told
    assert "[certificate_unsigned]" in told
    (certificate,) = site.trust().register
    assert certificate.findings == ("certificate_unsigned",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<html/>", "is not a digital calibration certificate"),
        (dcc_xml().replace(b"?>", b"?><!DOCTYPE x>", 1), "has a document type declaration"),
        (dcc_xml(core="<dcc:issueDate>soon</dcc:issueDate>"), "soon is not a date"),
    ],
)
def test_what_is_refused_is_not_kept(site: Site, content: bytes, told: str) -> None:
    code, line = site.run("import", site.file(content))
    assert code == 2
    assert told in line
    assert line.count("\n") == 1
    assert site.kept() == []


def test_a_manipulated_one_is_refused_and_not_kept(site: Site) -> None:
    xml = sign(dcc_xml(), site.lab).replace(b"-0.10", b"-0.01")
    code, line = site.run("import", site.file(xml))
    assert (code, site.kept()) == (2, [])
    assert "does not fit the file" in line
    assert "签名与文件不符" in site.run("import", site.file(xml), lang="zh")[1]


def test_the_schema_is_asked_where_it_is_configured(site: Site, shared: Path) -> None:
    schemas = shared / "data" / "dcc" / "xsd"
    if not schemas.is_dir():
        pytest.skip("data/dcc/xsd is missing in the folder of shared data: set CARBONMETER_SHARED")
    wrong = dcc_xml().replace(b"<dcc:performanceLocation>laboratory", b"<dcc:performanceLocation>moon")
    text = site.config.read_text()
    site.config.write_text(text.replace("[certificates]\n", f'[certificates]\nschemas = "{schemas}"\n'))
    assert site.run("import", site.file(wrong))[0] == 2
    assert site.run("import", site.file(dcc_xml()))[0] == 0


ENERGY = table(xml_list("1 100", r"\kilo\watt"), xml_list("-0.12 0.08", r"\percent", expanded_unc("0.05")))


def test_what_the_file_does_not_say_a_person_says(site: Site) -> None:
    given = site.file(dcc_xml(data=ENERGY, items=item("A") + item("B")))
    code, told = site.run("import", given)
    assert (code, site.kept()) == (2, [])
    assert "say it with --quantity and --axis" in told
    assert "请用 --quantity 和 --axis 指明" in site.run("import", given, lang="zh")[1]
    said = ("--quantity", "active_energy_import", "--axis", "active_power", "--serial", "B")
    code, told = site.run("import", given, *said)
    assert code == 0
    assert "left out" not in told
    result = next(iter(site.trust().register)).results[0]
    assert (result.quantity.name, result.axis.quantity.name) == ("active_energy_import", "active_power")
    assert (result.instrument.serial, result.axis.unit) == ("B", "kW")
    assert site.run("import", given, "--serial", "B")[1].startswith("carbonmeter: say with --quantity")
    assert "is not a quantity; choose one of" in site.run("import", given, "--quantity", "x")[1]


def test_a_table_that_is_left_out_is_told(site: Site) -> None:
    code, told = site.run("import", site.file(dcc_xml(data=ENERGY + VOLTAGES)))
    assert code == 0
    assert "table 1 (voltage) is left out: /dcc:" in told
    assert len(next(iter(site.trust().register)).results) == 1


def test_a_certificate_in_words_is_not_kept(site: Site) -> None:
    code, told = site.run("import", site.file(dcc_xml(data="<dcc:text/>")))
    assert (code, site.kept()) == (2, [])
    assert "has no table of results" in told


def test_one_identifier_is_kept_once(site: Site) -> None:
    assert site.run("import", site.file(dcc_xml()))[0] == 0
    before = site.kept()
    code, line = site.run("import", site.file(dcc_xml(version="3.2.1")))
    assert (code, site.kept()) == (2, before)
    assert "JL-2026-00123 is known already" in line


@pytest.mark.parametrize(
    "identifier", ["../../etc/passwd", "/etc/passwd", "..", "证书 1", "a\\b", "C:x", "." * 50]
)
def test_an_identifier_is_no_path(site: Site, identifier: str) -> None:
    code, _ = site.run("import", site.file(dcc_xml().replace(b"JL-2026-00123", identifier.encode())))
    assert code == 0
    assert len(site.kept()) == 2
    assert all(re.fullmatch(r"\w[\w.-]*\.(dcc\.toml|xml)", name, re.ASCII) for name in site.kept())
    assert [certificate.identifier for certificate in site.trust().register] == [identifier]


def test_identifiers_that_would_have_one_file_name_have_two(site: Site) -> None:
    for identifier in (b"a/b", b"a:b"):
        assert site.run("import", site.file(dcc_xml().replace(b"JL-2026-00123", identifier)))[0] == 0
    assert len(site.kept()) == 4
    assert {certificate.identifier for certificate in site.trust().register} == {"a/b", "a:b"}


def test_a_file_that_was_changed_afterwards_is_not_loaded(site: Site) -> None:
    site.run("import", site.file(dcc_xml()))
    kept = site.certificates / "JL-2026-00123.xml"
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(ConfigError, match="is not the file that was imported"):
        site.trust()
    kept.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        site.trust()


def test_a_paper_certificate_with_the_digest_of_its_scan(site: Site) -> None:
    scan = site.file(b"%PDF-1.7 ...", "scan.pdf")
    code, told = site.run("import", site.file(PAPER, "paper.toml"), "--scan", scan)
    assert code == 0
    assert "verification passed, class 0.5S" in told
    (certificate,) = site.trust().register
    assert certificate.scan_sha256 == sha256(scan.read_bytes()).digest()
    named = PAPER.replace("00077", "00078")
    wrong = f'scan_sha256 = "{"0" * 64}"\n{named}'
    code, line = site.run("import", site.file(wrong, "paper.toml"), "--scan", scan)
    assert code == 2
    assert "is not the digest of this scan" in line
    assert len(site.kept()) == 1


def test_list_and_show(site: Site, tmp_path: Path) -> None:
    assert "No certificate" in site.run("list")[1]
    site.run("import", site.file(sign(dcc_xml(), site.lab)))
    site.run("import", site.file(PAPER, "paper.toml"))
    code, told = site.run("list")
    assert code == 0
    assert re.search(r"JL-2026-00123 .*2101934 .*voltage", told)
    assert "JD-2026-00077" in told
    assert site.run("show", "nobody")[0] == 2
    curve = tmp_path / "curve.svg"
    code, told = site.run("show", "JL-2026-00123", "--plot", curve, lang="zh")
    assert code == 0
    assert "100.04 V" in told
    drawn = ET.parse(curve).getroot()
    titles = [title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["100.00: 0.04 ± 0.05 (k = 2)", "230.0: -0.10 ± 0.05 (k = 2)"]
    assert "states no errors" in site.run("show", "JD-2026-00077", "--plot", curve)[1]


def test_the_curve_is_drawn_as_verdicts_interpolate(site: Site, tmp_path: Path) -> None:
    """A certificate may have its points in any order, highest first or as they were taken."""
    shuffled = table(
        xml_list("230.0 100.00 400.0", r"\volt"),
        xml_list("-0.10 0.04 0.20", r"\volt", expanded_unc("0.05")),
    )
    site.run("import", site.file(sign(dcc_xml(data=shuffled), site.lab)))
    curve = tmp_path / "curve.svg"
    assert site.run("show", "JL-2026-00123", "--plot", curve)[0] == 0
    (line,) = ET.parse(curve).getroot().iter("{http://www.w3.org/2000/svg}polyline")
    xs = [float(point.split(",")[0]) for point in line.attrib["points"].split()]
    assert xs == sorted(xs)


def test_revoke_ends_a_certificate_and_keeps_what_is_in_its_file(site: Site) -> None:
    site.run("import", site.file(dcc_xml()), "--due", "2027-01-09")
    path = site.certificates / "JL-2026-00123.dcc.toml"
    path.write_text("# kept by hand\n" + path.read_text())
    end = ("--kind", "damaged", "--reason", 'fell "down"', "--at", "2026-05-01T09:30+08:00", "--serial", "2101934")
    assert site.run("revoke", "JL-2026-00123", *end)[0] == 0
    (certificate,) = site.trust().register
    (found,) = certificate.ends
    assert (found.kind, found.reason, found.serial) == (EndKind.DAMAGED, 'fell "down"', "2101934")
    assert found.at_ms == 1_777_599_000_000
    assert path.read_text().startswith("# kept by hand\n")
    assert "instrument damaged" in site.run("show", "JL-2026-00123")[1]
    before = path.read_bytes()
    for wrong in (
        ("--kind", "withdrawn", "--reason", "x", "--serial", "1"),
        ("--kind", "withdrawn", "--reason", "x", "--at", "2026-05-01"),
        ("--kind", "withdrawn", "--reason", ""),
        ("--kind", "lost", "--reason", "x"),
    ):
        assert site.run("revoke", "JL-2026-00123", *wrong)[0] == 2
    assert path.read_bytes() == before
    assert not list(site.certificates.glob("*.new"))


def bind(site: Site, serial: str, certificate: str, start: str, *more: str) -> tuple[int, str]:
    return site.run("bind", METER, "1", serial, certificate, "--from", start, *more)


def test_bind_ends_the_binding_before_it(site: Site) -> None:
    site.run("import", site.file(dcc_xml()))
    site.run("import", site.file(PAPER, "paper.toml"))
    assert bind(site, "2101934", "JL-2026-00123", "2026-01-15T10:00+08:00")[0] == 0
    code, told = bind(site, "31000456", "JD-2026-00077", "2026-09-01T08:00+08:00")
    assert code == 0
    assert "ends at 2026-09-01 08:00:00+08:00" in told
    first, second = site.trust().bindings
    assert (first.serial, first.to_ms) == ("2101934", second.from_ms)
    assert (second.serial, second.to_ms) == ("31000456", None)


def test_a_binding_that_does_not_fit_is_not_written(site: Site) -> None:
    site.run("import", site.file(dcc_xml()))
    assert bind(site, "2101934", "JL-2026-00123", "2026-01-15T10:00+08:00")[0] == 0
    before = site.bindings.read_bytes()
    for serial, certificate, start, told in (
        ("other", "JL-2026-00123", "2026-09-01T08:00+08:00", "is not about other"),
        ("2101934", "unknown", "2026-09-01T08:00+08:00", "no certificate unknown is loaded"),
        ("2101934", "JL-2026-00123", "2026-09-01T08:00", "is no time with its offset"),
        ("2101934", "JL-2026-00123", "2025-09-01T08:00+08:00", "ends before it begins"),
    ):
        code, line = bind(site, serial, certificate, start)
        assert code == 2
        assert told in line
    assert site.run("bind", "ab", "1", "2101934", "JL-2026-00123", "--from", "2026-09-01T08:00+08:00")[0] == 2
    assert site.bindings.read_bytes() == before


def test_a_meter_is_named_by_the_serial_number_of_an_enrolled_one(gateway: Any) -> None:
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    (gateway.folder / "certificates").mkdir()
    (gateway.folder / "bindings.toml").touch()
    gateway.configure(
        uplink='[certificates]\nfolder = "certificates"\n[traceability]\nbindings = ["bindings.toml"]\n'
    )
    given = gateway.folder / "given.xml"
    given.write_bytes(dcc_xml())
    for words in (
        ("import", given),
        ("bind", "SN-1", "1", "2101934", "JL-2026-00123", "--from", "2026-01-15T10:00+08:00"),
    ):
        done = CliRunner().invoke(app, ["certificate", *map(str, words), "--config", str(gateway.config)])
        assert done.exit_code == 0
    (binding,) = load_trust(load_config(gateway.config)).bindings
    assert binding.thumbprint == meter.thumbprint


def test_without_a_folder_or_a_binding_file_the_remedy_is_told(site: Site) -> None:
    given = site.file(dcc_xml())
    text = site.config.read_text()
    site.config.write_text(
        text.replace('folder = "certificates"\n', "").replace('bindings = ["bindings.toml"]\n', "")
    )
    assert 'add folder = "certificates"' in site.run("import", given)[1]
    assert 'add bindings = ["bindings.toml"]' in bind(site, "x", "y", "2026-09-01T08:00+08:00")[1]


def test_a_reference_gas_is_imported_listed_shown_and_ended(site: Site) -> None:
    site.run("import", site.file(GAS, "gas.toml"))
    assert site.kept() == ["GBW-E-2026-0815.toml"]
    code, told = site.run("list")
    assert code == 0
    assert re.search(r"GBW-E-2026-0815 .* D123456 .* co2_fraction .* 2027-03-01", told)
    code, told = site.run("show", "GBW-E-2026-0815", lang="zh")
    assert re.search(r"D123456 .* 12.03 % .* 0.06 % .* nitrogen .* 1000 kPa", told)
    assert "标准气体" in told
    assert site.run("show", "GBW-E-2026-0815", "--plot", site.folder / "x.png")[0] == 2
    code, _ = site.run("revoke", "GBW-E-2026-0815", "--kind", "withdrawn", "--reason", "leak")
    assert code == 0
    (gas,) = site.trust().register
    assert [end.kind.value for end in gas.ends] == ["withdrawn"]


def test_of_several_tables_of_one_quantity_a_person_says_which_is_the_channel_s(site: Site) -> None:
    """As of the three phases of a meter: what the first of them says is not the second's."""
    phases = [
        table(xml_list("100 230", r"\volt"), xml_list(f"{error} {error}", r"\volt", expanded_unc("0.05")))
        for error in ("0.01", "0.02", "0.03")
    ]
    site.run("import", site.file(sign(dcc_xml(data="".join(phases)), site.lab)))
    words = ("bind", METER, "5", "2101934", "JL-2026-00123", "--from", "2026-01-15T10:00+08:00")
    for wrong, told in (((), "3 tables"), (("--table", "4"), "no table 4")):
        code, line = site.run(*words, *wrong)
        assert code == 2
        assert f"has {told} of voltage for 2101934; say which of them is the channel's: table = 1 to 3" in line
    assert site.run(*words, "--table", "2")[0] == 0
    trust = site.trust()
    (binding,) = trust.bindings
    (bound,) = trust.register.bound(binding, BY_NAME["voltage"], None)
    assert isinstance(bound.result, CalibrationResult)
    assert str(bound.result.points[0].error) == "0.02"
    assert trust.register.bound(replace(binding, table=4), BY_NAME["voltage"], None) == []
