"""Schemes: which findings refuse, and that everything which was not thought of refuses too."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meter_gateway.config import SCHEMES
from meter_gateway.model import Finding
from meter_gateway.policy import NEVER_WAIVED, Scheme, judge, load_scheme
from meter_gateway.traceability.thresholds import Thresholds, load_thresholds

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
def test_wrong_schemes(old: str, new: str, told: str, refusal: Any) -> None:
    assert refusal(load_scheme, FILE, old, new).startswith(told)


# The numbers of a scheme

NUMBERS = """
tier = 2
[data_validity]
samples_per_minute = 12
clause = "HJ 212-2017, Annex D"
tag = "S"
[[uncertainty_target]]
quantities = ["volume", "mass"]
tier = 2
percent = 5
clause = "plan"
tag = "M"
[[uncertainty_target]]
quantities = ["volume"]
tier = 1
percent = 7.5
clause = "plan"
tag = "M"
[[uncertainty_target]]
quantities = ["mass", "heat"]
percent = 9
clause = "plan"
tag = "M"
[quality]
timeliness_percent = 90
timely_within_s = 60
clause = "plan"
tag = "M"
"""


def targets(scheme: Scheme) -> dict[str, Decimal]:
    return {quantity.name: percent for quantity, percent in scheme.thresholds.uncertainty_targets().items()}


def test_targets_are_those_of_the_chosen_tier_and_those_without_one(tmp_path: Path) -> None:
    scheme = scheme_of(tmp_path, FILE + NUMBERS)
    assert targets(scheme) == {"volume": 5, "mass": 5, "heat": 9}
    other = scheme_of(tmp_path, FILE + NUMBERS.replace("tier = 2", "tier = 1", 1))
    assert targets(other) == {"volume": Decimal("7.5"), "mass": 9, "heat": 9}
    assert targets(scheme_of(tmp_path, FILE)) == {}


def test_the_numbers_alone_are_those_of_the_whole_file(tmp_path: Path) -> None:
    scheme = scheme_of(tmp_path, FILE + NUMBERS)
    alone = load_thresholds(tmp_path / "scheme.toml")
    assert alone == Thresholds(**{name: getattr(scheme.thresholds, name) for name in Thresholds.model_fields})
    assert alone.data_validity is not None
    assert alone.data_validity.samples_per_minute == 12


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("tier = 2\n[data", "[data", "uncertainty targets name tiers, and no tier is chosen; add tier ="),
        ('["volume"]\ntier = 1', '["volume"]\ntier = 2', "volume has two uncertainty targets; give it one for"),
        (
            '["mass", "heat"]',
            '["mas"]',
            "uncertainty_target[2].quantities[0]: 'mas' is not a quantity; choose one",
        ),
        (
            "timely_within_s = 60\n",
            "",
            "quality: timeliness_percent and timely_within_s belong together; give both",
        ),
        ("percent = 7.5", "percent = 0", "uncertainty_target[1].percent: must be more than 0, not 0; write for"),
        ('clause = "HJ 212-2017, Annex D"\n', "", "data_validity.clause: is missing; add clause ="),
        ('tag = "S"', 'tag = "X"', "data_validity.tag: must be 'S', 'C' or 'M', not"),
        (
            "samples_per_minute",
            "sample_per_minute",
            "data_validity.sample_per_minute: is not a known key; did you",
        ),
    ],
)
def test_wrong_numbers(old: str, new: str, told: str, refusal: Any) -> None:
    assert old not in FILE
    assert refusal(load_scheme, FILE + NUMBERS, old, new).startswith(told)


@pytest.mark.parametrize("name", ["hj75", "eu-mrr", "necc"])
def test_a_scheme_of_somebody_else_says_whose_it_is(name: str) -> None:
    scheme = load_scheme(SCHEMES / f"{name}.toml")
    assert scheme.sources
    assert "certificate_expired" in scheme.refuse
    assert "key_software" in scheme.refuse


def test_what_the_packaged_schemes_ask() -> None:
    hj, mrr, necc, house = (
        load_scheme(SCHEMES / f"{name}.toml").thresholds for name in ("hj75", "eu-mrr", "necc", "house")
    )
    assert hj.data_validity is not None
    assert (hj.data_validity.samples_per_minute, hj.data_validity.minutes_per_hour) == (12, 45)
    assert (hj.data_validity.hours_per_day, hj.data_validity.tag) == (20, "S")
    assert {str(percent) for percent in mrr.uncertainty_targets().values()} == {"2.5", "5", "1.5"}
    assert {target.tier for target in mrr.uncertainty_target} == {1, 2, 3, 4}
    assert necc.quality is not None
    assert necc.quality.completeness_percent == 90
    assert (house.data_validity, house.uncertainty_target, house.quality) == (None, (), None)
