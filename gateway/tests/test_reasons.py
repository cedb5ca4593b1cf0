"""Every refusal has its words, and the words have no code of their own."""

import re
from pathlib import Path

from meter_gateway.reasons import REASONS
from meter_gateway.traceability.findings import FINDINGS
from meter_protocol.errors import REASONS as PROTOCOL_REASONS

GATEWAY = Path(__file__).parents[1] / "meter_gateway"
SPEC = Path(__file__).parents[2] / "protocol" / "SPEC.md"


def test_each_reason_of_the_protocol_and_of_the_verifier_is_explained() -> None:
    raised = set(PROTOCOL_REASONS)
    for name in ("verify.py", "ingest.py", "signatures.py"):
        source = (GATEWAY / name).read_text()
        raised |= set(re.findall(r'Rejected\("([a-z0-9_]+)"\)', source))
        raised |= set(re.findall(r'return (?:None if .* else )?"(signature_[a-z_]+)"', source))
    assert set(REASONS) == raised


def test_spec_lists_the_same_codes() -> None:
    rows = SPEC.read_text().partition("### 11.1")[2].partition("### 11.3")[0]
    assert set(re.findall(r"^\| ([a-z0-9_]+) \|", rows, re.MULTILINE)) == set(REASONS)


def test_a_refusal_is_no_finding_and_both_languages_say_something() -> None:
    assert not set(REASONS) & set(FINDINGS)
    for meaning in REASONS.values():
        assert meaning.en.endswith(".")
        assert meaning.zh.endswith("。")
