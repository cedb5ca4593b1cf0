"""A zero or span check and its gas's certificate: what is taken from it, and what a bad gas does to readings."""

from pathlib import Path

import pytest
from stack import CO2, PERSON, Stack, as_text, component

from meter_gateway.metrology.conformity import Outcome
from meter_protocol import comparison as cm
from meter_protocol import fields as f
from meter_tools.simulated_meter import INTERVAL_MS

pytestmark = pytest.mark.long


def test_the_certificate_says_the_gas_and_its_uncertainty(stack: Stack) -> None:
    code, told = stack.check("span", "120500", "--certificate", "GAS")
    assert code == 0, told
    (event,) = stack.events()
    (point,) = event.fields[cm.POINTS]
    unit = 10.0 ** event.fields[cm.EXPONENT]
    # 12.03 % and U = 0.06 %, k = 3: u = 200 ppm.
    assert point[cm.POINT_REFERENCE] * unit == 120_300
    assert point[cm.POINT_ERROR] * unit == 200
    assert point[cm.POINT_UNCERTAINTY] * unit == 400
    assert event.fields[cm.REFERENCE][cm.REFERENCE_SERIAL] == "D1"
    assert [each[cm.CERTIFICATE_ID] for each in event.fields[cm.REFERENCE][cm.REFERENCE_CERTIFICATES]] == ["GAS"]
    assert event.outcome is Outcome.PASSED
    agreeing = ("--gas", "120300.0", "--cylinder", "D1", "--certificate", "GAS")
    code, told = stack.check("span", "120801", *agreeing)
    assert (code, "[limit_exceeded]" in told) == (1, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--certificate", "GAS", "--cylinder", "D2"), "certificate GAS is about cylinder D1, not D2; read"),
        (
            ("--certificate", "GAS", "--gas", "120000"),
            "says 120000 [ppm], certificate GAS says 120300 [ppm]; leave",
        ),
        (("--certificate", "OTHER"), "OTHER is about several cylinders; give --cylinder, one of D2, D3"),
        (("--certificate", "AIR"), "AIR does not say the co2_fraction of that cylinder, only o2_fraction; name"),
        ((), "nobody says which cylinder; give --cylinder"),
        (("--certificate", "GAS", "--at", "2099-01-01T00:00Z"), "2099-01-01T00:00Z is still to come"),
        (("--certificate", "PORTABLE"), "nobody says which cylinder; give --cylinder"),
    ],
)
def test_a_gas_that_does_not_fit_is_one_line_and_nothing_is_sealed(
    stack: Stack, words: tuple[str, ...], told: str
) -> None:
    stack.certify_by("AIR", component(quantity="o2_fraction", fraction=20.9))
    config = stack.gateway.config
    config.write_text(config.read_text().replace("'GAS.toml'", "'GAS.toml', 'AIR.toml'"))
    code, said = stack.check("span", "120300", *words)
    assert (code, said.count("\n")) == (2, 1), said
    assert told in said
    assert stack.events() == []


def test_a_cylinder_of_several_is_named(stack: Stack) -> None:
    assert stack.check("span", "121000", "--certificate", "OTHER", "--cylinder", "D3")[0] == 0
    (event,) = stack.events()
    assert event.fields[cm.POINTS][0][cm.POINT_ERROR] == 0


def test_a_reference_gas_is_no_reference_of_a_run(stack: Stack) -> None:
    words = ("compare", "start", "A-1", str(CO2), *PERSON, "--certificate", "GAS")
    done = stack.gateway.command(*words, "--config", stack.gateway.config)
    assert done.returncode == 2
    assert "use it with: carbonmeter compare check" in done.stderr


@pytest.mark.parametrize(
    ("change", "reason", "english", "chinese"),
    [
        ({"due": "2025-12-31"}, "reference_gas_expired", "after its last day", "已过有效期"),
        ({"calibrated": "2099-01-01"}, "certificate_not_yet_valid", "before its certificate's day", "之前使用"),
    ],
)
def test_a_gas_that_is_not_in_force_proves_nothing(
    stack: Stack, change: dict[str, str], reason: str, english: str, chinese: str
) -> None:
    """It is sealed as it was; readings say why until a check with a good gas, and not that the check failed."""
    stack.certify_by("GAS", component(), **change)
    code, told = stack.check("span", "130000", "--certificate", "GAS")
    assert code == 1
    assert "Sealed" in told
    (event,) = stack.events()
    assert (event.outcome, event.fields[cm.REASONS]) == (Outcome.INCONCLUSIVE, [reason, "limit_exceeded"])
    gateway = stack.gateway
    assert f"[{reason}] the gas was used {english}" in gateway.ask("compare", "show", event.run)
    shown = gateway.command("--lang", "zh", "compare", "show", event.run, "--config", gateway.config).stdout
    assert f"[{reason}]" in shown
    assert chinese in shown
    assert "无法判定" in shown
    # What was sealed stands, whatever the certificate says by now.
    stack.certify_by("GAS", component())
    (sequence, *_) = stack.measure_from(event.end_ms + 2 * INTERVAL_MS, 1)
    assert stack.codes()[sequence] >= {reason}
    assert "zero_span_failed" not in stack.codes()[sequence]


def test_a_gas_withdrawn_later_takes_its_check_from_exactly_the_readings_that_rested_on_it(stack: Stack) -> None:
    began_ms = stack.meter.time_ms
    stack.measure_from(began_ms)
    check = ("span", "120300", "--certificate")
    at_ms = began_ms + 10 * INTERVAL_MS
    assert stack.check(*check, "GAS", "--at", as_text(at_ms))[0] == 0
    (event,) = stack.events()
    assert (event.fields[cm.START_MS], event.end_ms) == (at_ms, at_ms)
    assert event.fields[f.TIME_MS] > at_ms, "sealed now"
    rested = stack.measure_from(began_ms + 20 * INTERVAL_MS)
    later = ("OTHER", "--cylinder", "D2", "--at", as_text(began_ms + 30 * INTERVAL_MS))
    assert stack.check(*check, *later)[0] == 0
    stack.measure_from(began_ms + 40 * INTERVAL_MS)
    stack.ask("rejudge")
    before = stack.verdicts()
    assert not any("certificate_withdrawn" in found for found in stack.codes().values())
    stack.ask("certificate", "revoke", "GAS", "--kind", "withdrawn", "--reason", "leak")
    stack.ask("rejudge")
    after = stack.verdicts()
    assert {each for each in after if len(after[each]) > len(before[each])} == rested
    assert {each for each, found in stack.codes().items() if "certificate_withdrawn" in found} == rested
    assert all("certificate GAS changed" in str(after[each][-1][f.VERDICT_CAUSE]) for each in rested)
    # A corrected report in its place is one more way to lose it.
    path: Path = stack.gateway.folder / "GAS.toml"
    path.write_text(path.read_text().partition("[[end]]")[0])
    stack.certify_by("OTHER", component(cylinder="D2"))
    other = stack.gateway.folder / "OTHER.toml"
    other.write_text('replaces = ["GAS"]\n' + other.read_text())
    stack.ask("rejudge")
    assert {each for each, found in stack.codes().items() if "certificate_superseded" in found} == rested
