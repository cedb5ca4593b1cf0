"""`carbonmeter trace`: the tree, the drawing, and what has to be corrected."""

from xml.etree import ElementTree as ET

import papers
import pytest

from meter_tools.simulated_meter import SimulatedMeter


def certificate(identifier: str, calibrated: str, serial: str, u: float, laboratory: str, *standards) -> str:
    result = papers.calibration("active_energy_import", serial, 1, 700, errors=(0.1, 0.2), u=u)
    return papers.certificate(
        identifier, result, calibrated=calibrated, laboratory=laboratory, standards=standards
    )


@pytest.fixture
def traced(gateway):
    """A meter whose energy channel is calibrated with a standard of the national institute."""
    meter = SimulatedMeter("SN-1")
    certificates = (
        certificate(
            "JL-1", "2026-01-01", "SN-1 power", 0.3, "City Laboratory", ("working standard", "W-7", "W-CERT")
        ),
        certificate("W-CERT", "2025-06-01", "W-7", 0.05, "Provincial <Institute>", ("primary", "P-1", "P-CERT")),
        certificate("P-CERT", "2025-01-01", "P-1", 0.01, "National Institute"),
    )
    institutes = "national_institutes = ['National Institute']\n"
    gateway.rest_on(certificates, [papers.binding(meter, 1, "JL-1")], institutes)
    gateway.enrol(meter)
    gateway.fill(*meter.begin(), meter.readings())
    return gateway


AT = ("--at", "2026-02-01")


def test_the_chain_is_told_link_by_link(traced) -> None:
    said = traced.ask("trace", "SN-1", "1", *AT)
    places = [
        said.index(each) for each in ("SN-1 power", "JL-1", "working standard", "W-CERT", "primary", "P-CERT")
    ]
    assert places == sorted(places)
    assert "Provincial <Institute>" in said
    assert "a national metrology institute" in said
    assert "0.20 of the one below" in said
    assert "Weakest link: primary" in said
    assert "✗" not in said
    chinese = traced.command("--lang", "zh", "trace", "SN-1", "1", *AT, "--config", traced.config).stdout
    assert "国家计量院：溯源链至此" in chinese


def test_the_drawing_is_well_formed_and_says_the_same(traced) -> None:
    path = traced.folder / "chain.svg"
    traced.ask("trace", "SN-1", "1", *AT, "--plot", path)
    texts = [each.text for each in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    for told in ("JL-1, calibrated 2026-01-01", "Provincial <Institute>", "P-CERT, calibrated 2025-01-01"):
        assert told in texts


def test_a_broken_chain_is_told_with_its_weakest_link_and_exit_code_1(traced) -> None:
    (traced.folder / "2.certificate.toml").unlink()
    done = traced.command("trace", "SN-1", "1", *AT, "--config", traced.config)
    assert done.returncode == 1
    assert "its certificate is not held" in done.stdout
    assert "Weakest link: primary" in done.stdout


def test_the_instruments_own_certificate_is_judged_at_that_time(traced) -> None:
    done = traced.command("trace", "SN-1", "1", "--at", "2027-02-01", "--config", traced.config)
    assert done.returncode == 1
    assert "[certificate_expired]" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("SN-1", "2", *AT), "bound to no certificate"),
        (("SN-1", "99", *AT), "no channel 99; it has 1, 2"),
        (("SN-1", "1", "--at", "2025-01-01"), "choose a later --at"),
        (("SN-1", "1", "--at", "yesterday"), "yesterday"),
        (("SN-9", "1"), "SN-9"),
    ],
)
def test_what_has_to_be_corrected_is_one_line(traced, words, told) -> None:
    done = traced.command("trace", *words, "--config", traced.config)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
