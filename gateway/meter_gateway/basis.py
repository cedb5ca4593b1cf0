"""What verdicts rest on besides their own messages: every certificate, binding, comparison, authority, limit, the
scheme, what came out of balances with other meters, and what signed updates have installed.

Each has a name and the SHA-256 of its content. The store keeps those under which all verdicts were last made, so
that whatever changes them is recognised, in a running gateway or between two runs, and can be named as the cause
of a later revision. What came out of balances is kept as it is, because no file says it to the next start.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import cbor2
from pydantic import BaseModel

from meter_gateway.database import Database
from meter_gateway.policy import Scheme
from meter_gateway.traceability.plant_balance import Violations, read_entry_name
from meter_gateway.traceability.trust import Trust
from meter_protocol.quantities import Quantity
from meter_protocol.schema import MAX_TEXT

Basis = Mapping[str, bytes]
"""SHA-256 of the content, by name; of a balance's day, the numbers of its violated spans in CBOR."""

RULES = 5
"""Counts up where this software finds something else in the same messages than before: 2 states uncertainties, 3
judges the chain of standards and asks whether the gas of a check was good, 4 asks who approved the software, 5
takes the ratio for a mean's resolution, a transformer's age for its drift, what equals a limit as within it, a
certificate's k for its degrees of freedom, and asks what updates have installed in any chain of a meter."""

MAX_CAUSE_BYTES = MAX_TEXT
"""SPEC §8.2: a verdict's cause."""


def basis_of(trust: Trust, scheme: Scheme) -> dict[str, bytes]:
    numbers = trust.thresholds
    entries: dict[str, Any] = {
        "clock limits": (*trust.clocks, trust.clock_trusted, trust.max_jitter_ms),
        "offset from UTC": trust.utc_offset_minutes,
        "parameter authorities": sorted(trust.authorities),
        "update authorities": sorted(trust.update_authorities),
        "rules of judgement": RULES,
        "decision rule": trust.rule,
        "rules of standards": (sorted(trust.hierarchy.rules.institutes), trust.hierarchy.rules.ratio),
        "makers": trust.makers.fingerprints(),
        "scheme": (
            scheme.name,
            sorted(scheme.refuse),
            sorted(scheme.inform),
            numbers.data_validity,
            sorted((each.name, percent) for each, percent in numbers.uncertainty_targets().items()),
        ),
    }
    for software_id, is_approved in trust.software.listed.items():
        entries[f"{'approval' if is_approved else 'refusal'} of software {software_id.hex()[:16]}"] = software_id
    for thumbprint, installed in trust.software.installed.items():
        entries[updates_name(thumbprint)] = sorted(installed)
    for limit in trust.plausible.limits:
        entries[f"limit of channel {limit.channel} of {limit.meter.hex()[:16]}"] = limit
    for balance in trust.plausible.balances:
        entries[f"balance {balance.name} of {balance.meter.hex()[:16]}"] = balance
    for plant_balance in trust.plausible.plant_balances:
        entries[f"plant balance {plant_balance.name}"] = plant_balance
    for certificate in trust.register:
        entries[f"certificate {certificate.identifier}"] = certificate
    for comparison in trust.comparisons:
        entries[f"comparison {comparison.run}"] = comparison.hash
    for plan in trust.plans.plans:
        name = f"checks of channel {plan.channel} of {plan.meter.hex()[:16]}"
        entries[name] = plan.model_dump_json(exclude={"meter"})
    bindings = defaultdict(list)
    for binding in trust.bindings:
        bindings[binding.thumbprint, binding.channel].append(binding)
    for (thumbprint, channel), bound in bindings.items():
        entries[f"binding of channel {channel} of {thumbprint.hex()[:16]}"] = bound
    return _digests(entries) | outcomes_of(trust.violations)


def updates_name(thumbprint: bytes) -> str:
    """The entry about what signed updates have installed in this meter."""
    return f"signed updates of {thumbprint.hex()[:16]}"


def outcomes_of(violations: Violations) -> dict[str, bytes]:
    """The part of a basis that is found in the messages of other meters, and not read from files."""
    return {name: cbor2.dumps(numbers) for name, numbers in violations.entries().items()}


def violations_in(basis: Basis, trust: Trust) -> Violations:
    """What the balances of `trust` had come to when the basis was kept; nothing of what is in doubt since."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for name, content in basis.items():
        day = read_entry_name(name)
        if day is not None and content:
            numbers[day[0]] += cbor2.loads(content)
    return Violations(trust.plausible.plant_balances, numbers, trust.utc_offset_minutes)


def changes(before: Basis, after: Basis) -> list[str]:
    """What is another now, in words and in order."""
    told = []
    for name in differing(before, after):
        if read_entry_name(name) is not None:
            told.append(f"{name} {'violated' if name in after else 'balanced'}")
        elif name not in after:
            told.append(f"{name} removed")
        elif name not in before:
            told.append(f"{name} added")
        else:
            told.append(f"{name} changed")
    return told


def differing(before: Basis, after: Basis) -> list[str]:
    """Names, in order."""
    return [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]


def cause_of(told: list[str]) -> str:
    """The first change and how many more there are, cut to what a verdict can hold."""
    more = f" and {len(told) - 1} more" if len(told) > 1 else ""
    room = MAX_CAUSE_BYTES - len(more)
    return told[0].encode()[:room].decode(errors="ignore") + more


def load(database: Database) -> dict[str, bytes]:
    """Empty if none was kept yet."""
    return dict(database.query("SELECT name, digest FROM basis"))


def keep(database: Database, basis: Basis) -> None:
    with database.transaction() as connection:
        connection.execute("DELETE FROM basis")
        connection.executemany("INSERT INTO basis VALUES (?, ?)", list(basis.items()))


def doubt(database: Database, names: Iterable[str]) -> None:
    """Some verdicts may have been made with another content of these: they differ from any until all is kept."""
    with database.transaction() as connection:
        connection.executemany("INSERT OR REPLACE INTO basis VALUES (?, x'')", [(name,) for name in names])


def _digests(entries: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: hashlib.sha256(json.dumps(_plain(value)).encode()).digest() for name, value in entries.items()}


def _plain(value: Any) -> Any:
    """As JSON has it, the same in every process."""
    if isinstance(value, Quantity):
        return value.name
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal | date):
        return str(value)
    if isinstance(value, BaseModel):
        return [_plain(each) for _, each in value]
    if is_dataclass(value):
        return [_plain(getattr(value, each.name)) for each in fields(value)]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
