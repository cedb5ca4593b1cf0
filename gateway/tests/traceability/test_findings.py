"""The findings' table against docs/findings.md, the schemes, and the code that produces them."""

import re
from pathlib import Path

import meter_gateway
from meter_gateway.config import SCHEMES
from meter_gateway.policy import load_scheme
from meter_gateway.traceability.findings import FINDINGS, finding, in_order
from meter_protocol.schema import MAX_TEXT

PROJECT = Path(__file__).parents[3]
SOURCES = Path(meter_gateway.__file__).parent


def test_the_page_shows_the_table() -> None:
    page = (PROJECT / "docs" / "findings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert rows == [(code, *FINDINGS[code]) for code in sorted(FINDINGS)]


def test_each_finding_is_produced_somewhere() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SOURCES.rglob("*.py")))
    assert [name for name in FINDINGS if f'"{name}"' not in code] == []


def test_each_finding_says_what_it_is_in_both_languages_and_where_it_comes_from() -> None:
    for name, meaning in FINDINGS.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
        assert len(name) <= MAX_TEXT
        assert meaning.en.endswith(".")
        assert meaning.zh.endswith("。")
        assert re.search("[一-鿿]", meaning.zh)
        assert meaning.clause
        assert "|" not in "".join(meaning)


def test_each_packaged_scheme_lists_each_finding_once() -> None:
    paths = sorted(SCHEMES.glob("*.toml"))
    assert [path.stem for path in paths] == ["development", "eu-mrr", "hj75", "house", "necc"]
    schemes = {path.stem: load_scheme(path) for path in paths}
    assert all(scheme.name == name for name, scheme in schemes.items())
    forgotten = {name: set(FINDINGS) - scheme.refuse - scheme.inform for name, scheme in schemes.items()}
    assert not any(forgotten.values()), f"no scheme accepts what it has not thought of: {forgotten}"
    assert not any(scheme.refuse & scheme.inform for scheme in schemes.values())


def test_findings_are_ordered_by_channel_and_code_and_said_once() -> None:
    found = [finding("b", 2), finding("z"), finding("a", 2), finding("c", 1), finding("a", 2)]
    assert [(each.code, each.channel) for each in in_order(found)] == [("z", None), ("c", 1), ("a", 2), ("b", 2)]
