"""Schemes: which findings refuse, and that everything which was not thought of refuses too."""

from pathlib import Path

import pytest

from meter_gateway.config import SCHEMES
from meter_gateway.model import Finding
from meter_gateway.policy import NEVER_WAIVED, Scheme, judge, load_scheme
from meter_gateway.validated_toml import ConfigError

HOUSE = load_scheme(SCHEMES / "house.toml")
DEVELOPMENT = load_scheme(SCHEMES / "development.toml")

FILE = """
name = "mine"
title = "Mine"
title_zh = "我的"
refuse = ["certificate_expired"]
inform = ["key_native"]
"""


def accepts(scheme: Scheme, *codes: str) -> bool:
    findings = tuple(Finding(code) for code in codes)
    verdict = judge(findings, scheme)
    assert verdict.scheme == scheme.name
    assert verdict.findings == findings
    assert (verdict.revision, verdict.cause) == (0, None)
    return verdict.accepted


def scheme_of(folder: Path, text: str) -> Scheme:
    path = folder / "scheme.toml"
    path.write_text(text, encoding="utf-8")
    return load_scheme(path)


def test_a_message_without_findings_is_accepted() -> None:
    assert accepts(HOUSE)


def test_findings_that_only_inform() -> None:
    assert accepts(HOUSE, "key_native", "range_by_mean", "from_class")


def test_one_finding_that_refuses_is_enough() -> None:
    assert not accepts(HOUSE, "key_native", "certificate_expired", "range_by_mean")


def test_a_finding_of_a_channel_refuses_the_message() -> None:
    assert not judge((Finding("outside_calibrated_range", 7),), HOUSE).accepted


def test_a_finding_that_the_scheme_does_not_know_refuses() -> None:
    assert not accepts(HOUSE, "invented_tomorrow")
    assert not accepts(DEVELOPMENT, "key_software", "invented_tomorrow")


def test_a_finding_that_the_scheme_does_not_list_refuses(tmp_path: Path) -> None:
    scheme = scheme_of(tmp_path, FILE)
    assert accepts(scheme, "key_native")
    assert not accepts(scheme, "range_by_mean")


def test_an_empty_scheme_accepts_nothing() -> None:
    empty = Scheme("empty", frozenset(), frozenset())
    assert not accepts(empty)
    assert not accepts(Scheme("waives all", frozenset(), frozenset({"key_native"})), "key_native")


def test_what_house_refuses_and_development_lets_pass() -> None:
    for code in ("key_software", "key_protection_unproven", "certificate_missing"):
        assert not accepts(HOUSE, code)
        assert accepts(DEVELOPMENT, code)
    for code in (*NEVER_WAIVED, "certificate_expired", "outside_calibrated_range", "parameters_unauthorised"):
        assert not accepts(DEVELOPMENT, code)


def test_the_same_findings_give_the_same_verdict_again() -> None:
    findings = (Finding("key_native"),)
    first = HOUSE.judge(findings)
    assert HOUSE.judge(findings) is first
    other = HOUSE.judge(())
    assert HOUSE.judge((Finding("key_native"),)) is first
    assert HOUSE.judge(()) is other


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('["certificate_expired"]', "[]", "refuse: must not be empty, not a list; write for example refuse ="),
        ('refuse = ["certificate_expired"]', "", "refuse: is missing; add refuse ="),
        ("certificate_expired", "certificate_expird", "certificate_expird is not a finding; docs/findings.md"),
        ("key_native", "key_natve", "key_natve is not a finding"),
        ("key_native", "certificate_expired", "certificate_expired is listed twice; leave it"),
        ("key_native", "chain_fork", "chain_fork cannot be waived; move it to refuse"),
        ("key_native", "chain_broken", "chain_broken cannot be waived"),
        ("key_native", "context_mismatch", "context_mismatch cannot be waived"),
        ("inform", "ignore", "ignore: is not a known key; did you mean inform?"),
        (
            "inform",
            "waive",
            "waive: is not a known key; known here: data_validity, inform, name,",
        ),
        ('name = "mine"', "", "name: is missing"),
    ],
)
def test_wrong_schemes(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert old in FILE
    with pytest.raises(ConfigError) as error:
        scheme_of(tmp_path, FILE.replace(old, new, 1))
    assert str(error.value).startswith(f"{tmp_path / 'scheme.toml'}: {told}")
    assert "\n" not in str(error.value)
