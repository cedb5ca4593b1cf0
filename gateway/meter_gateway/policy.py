"""What a scheme makes of findings: which of them keep a message from being accepted.

A scheme is data (policies/*.toml): a list of codes that refuse, a list of codes that only inform, and the numbers
that it sets (traceability/thresholds.py).

1. Any finding whose code refuses, refuses the message.
2. A code that the scheme does not list refuses too: a scheme that has not thought of a fact has not accepted it.
3. A scheme that refuses nothing is empty, and an empty scheme accepts nothing.
4. What makes a message no part of its meter's chain can be waived by no scheme.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from meter_gateway.model import Finding, Verdict
from meter_gateway.traceability.findings import FINDINGS
from meter_gateway.traceability.thresholds import Thresholds
from meter_gateway.traceability.typed_values import Text
from meter_gateway.validated_toml import as_tuple, problem, read

NEVER_WAIVED = ("chain_broken", "chain_fork", "context_mismatch")

_MAX_JUDGED = 4096


class Scheme:
    """The codes of one scheme, with the verdicts that it gave: the same findings recur in every message."""

    def __init__(
        self,
        name: str,
        refuse: frozenset[str],
        inform: frozenset[str],
        thresholds: Thresholds | None = None,
        sources: tuple[str, ...] = (),
    ) -> None:
        """`sources` are the documents that the scheme follows, with their clauses."""
        self.name = name
        self.refuse = refuse
        self.inform = inform
        self.thresholds = thresholds or Thresholds()
        self.sources = sources
        self._judged: dict[tuple[Finding, ...], Verdict] = {}
        self._latest: Verdict | None = None

    def judge(self, findings: tuple[Finding, ...]) -> Verdict:
        latest = self._latest
        if latest is not None and latest.findings is findings:
            return latest
        verdict = self._judged.get(findings)
        if verdict is None:
            if len(self._judged) >= _MAX_JUDGED:
                self._judged.clear()
            verdict = self._judged[findings] = Verdict(self.name, self._accepts(findings), findings)
        self._latest = verdict
        return verdict

    def _accepts(self, findings: Sequence[Finding]) -> bool:
        return bool(self.refuse) and all(found.code in self.inform for found in findings)


def judge(findings: tuple[Finding, ...], scheme: Scheme) -> Verdict:
    return scheme.judge(findings)


Codes = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]


class _SchemeFile(Thresholds):
    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(examples=['"house"'])
    title: Annotated[str, Field(min_length=1)] = Field(examples=['"House rules"'])
    title_zh: Annotated[str, Field(min_length=1)] = Field(examples=['"内部规则"'])
    sources: Annotated[tuple[Text, ...], BeforeValidator(as_tuple)] = Field(
        default=(), examples=['["HJ 75-2017, chapter 12"]']
    )
    refuse: Codes = Field(min_length=1, examples=['["chain_broken"]'])
    inform: Codes = Field(default=(), examples=['["clock_informative"]'])

    @model_validator(mode="after")
    def _known_codes(self) -> "_SchemeFile":
        listed = [*self.refuse, *self.inform]
        for code in listed:
            if code not in FINDINGS:
                raise problem(f"{code} is not a finding", "docs/findings.md lists them all")
            if listed.count(code) > 1:
                raise problem(f"{code} is listed twice", "leave it in one list, once")
        for code in NEVER_WAIVED:
            if code in self.inform:
                raise problem(f"{code} cannot be waived", "move it to refuse")
        return self


def load_scheme(path: Path) -> Scheme:
    """The scheme of a file; ConfigError if it is empty, or names a finding that does not exist."""
    content = read(path, _SchemeFile)
    return Scheme(content.name, frozenset(content.refuse), frozenset(content.inform), content, content.sources)
