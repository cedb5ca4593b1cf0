"""Every finding code of the gateway, what it says in English and Chinese, and the rule it comes from.

A code is a fact, never an opinion: whether it keeps a reading from being accepted is for a scheme to say
(policy.py). Codes are stable; a code that is no longer produced stays in the table, findings.toml.
"""

import tomllib
from importlib import resources
from typing import NamedTuple

from meter_gateway.model import Finding


class Meaning(NamedTuple):
    en: str
    zh: str
    clause: str


def _read() -> dict[str, Meaning]:
    text = resources.files("meter_gateway").joinpath("traceability/findings.toml").read_text("utf-8")
    return {code: Meaning(*words) for code, words in tomllib.loads(text).items()}


FINDINGS = _read()

_CACHE: dict[tuple[str, int | None], Finding] = {}


def finding(code: str, channel: int | None = None) -> Finding:
    """One object per code and channel: they recur in every message and are compared and hashed a lot."""
    known = _CACHE.get((code, channel))
    if known is None:
        known = _CACHE[code, channel] = Finding(code, channel)
    return known


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """Each finding once, in an order that does not depend on how it was found."""
    return tuple(sorted(set(findings), key=_order))


def _order(found: Finding) -> tuple[int, str]:
    return (found.channel or 0, found.code)
