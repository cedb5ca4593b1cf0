"""Comparison events (SPEC §8.6): verified, and what they say about an instrument.

The gateway seals them with its verdict key and keeps them as files, one for each run, with the raw data beside
where they do not fit in. A gateway believes those under its own verdict key and under the keys that it is told,
such as the one that it had before.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from meter_gateway.metrology.conformity import Outcome
from meter_gateway.model import Fields
from meter_gateway.traceability.authority import AuthorityKeys, is_signed
from meter_gateway.validated_toml import ConfigError
from meter_protocol import chain, cose, messages
from meter_protocol import comparison as cm
from meter_protocol import comparison_schema as cs
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

SUFFIX = ".comparison"
RAW_SUFFIX = ".comparison-raw"

OUTCOMES = {cm.PASSED: Outcome.PASSED, cm.FAILED: Outcome.FAILED, cm.INCONCLUSIVE: Outcome.INCONCLUSIVE}

_RUNS = (cm.AS_FOUND, cm.AS_LEFT, cm.ROUTINE)


class Repeatability(NamedTuple):
    """Standard deviation of one reading against the reference, in % of the reading, known since `since_ms`."""

    since_ms: int
    run: str
    percent: Decimal
    degrees_of_freedom: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One run or check; `hash` is the event's message hash, `fields` are what it holds."""

    hash: bytes
    fields: Fields

    @property
    def run(self) -> str:
        name: bytes = self.fields[cm.RUN]
        return name.hex()

    @property
    def kind(self) -> int:
        return int(self.fields[cm.KIND])

    @property
    def is_check(self) -> bool:
        """With zero or span gas, and not a comparison with a reference instrument."""
        return self.kind not in _RUNS

    @property
    def end_ms(self) -> int:
        return int(self.fields[cm.END_MS])

    @property
    def outcome(self) -> Outcome:
        return OUTCOMES[self.fields[cm.OUTCOME]]

    @property
    def check_value(self) -> float | None:
        """Mean error of its points in parts of the MPE: what a control chart follows; None if nothing was
        found.
        """
        parts = self.shares
        return sum(parts) / len(parts) if parts else None

    @property
    def shares(self) -> list[float]:
        """The error at each of its points, in parts of the MPE."""
        return [p[cm.POINT_ERROR] / p[cm.POINT_MPE] for p in self.fields[cm.POINTS] if p[cm.POINT_MPE]]

    @property
    def repeatability(self) -> Repeatability | None:
        """Of a run that passed, pooled over its points: s² = Σ ν_i s_i² / Σ ν_i (GUM H.3.6 note, 4.2.4).

        Of one pair, not of their mean: what a later reading has is the scatter of single readings. The reference's
        own is in it.
        """
        if self.is_check or self.outcome is not Outcome.PASSED:
            return None
        known = [p for p in self.fields[cm.POINTS] if p[cm.POINT_DEVIATION] is not None and p[cm.POINT_REFERENCE]]
        nu = sum(p[cm.POINT_COUNT] - 1 for p in known)
        if nu < 1:
            return None
        relative = (Decimal(p[cm.POINT_DEVIATION]) / p[cm.POINT_REFERENCE] for p in known)
        squares = sum((p[cm.POINT_COUNT] - 1) * s**2 for p, s in zip(known, relative, strict=True))
        return Repeatability(self.end_ms, self.run, 100 * (squares / nu).sqrt(), nu)

    def without_proof(self) -> "Comparison":
        """As it counts once what it was held against has turned out to prove nothing."""
        return replace(self, fields={**self.fields, cm.OUTCOME: cm.INCONCLUSIVE, cm.POINTS: []})

    def is_about(self, thumbprint: bytes, channel: int, serial: str) -> bool:
        found = self.fields
        return (found[f.METER], found[cm.CHANNEL], found[cm.SERIAL]) == (thumbprint, channel, serial)


def counterparts(comparisons: Iterable[Comparison]) -> dict[str, Comparison]:
    """By run: of an as-left run what had been found last before it, and of that run the last as-left one.

    They are in the order of their ends, as `load_comparisons` gives them. It is the channel that was adjusted, and
    may be with another instrument: an exchange has both runs, too.
    """
    found: dict[tuple[bytes, int], Comparison] = {}
    related: dict[str, Comparison] = {}
    for each in comparisons:
        place = each.fields[f.METER], each.fields[cm.CHANNEL]
        if each.kind == cm.AS_LEFT and place in found:
            related[each.run], related[found[place].run] = found[place], each
        elif each.kind in (cm.AS_FOUND, cm.ROUTINE):
            found[place] = each
    return related


def open_event(raw: bytes, keys: AuthorityKeys) -> Comparison:
    """The event, if it verifies under one of the keys.

    ProtocolError with a reason of SPEC §11: `signature_invalid` where no key fits.
    """
    if len(raw) > t.max_size(t.COMPARISON):
        raise ProtocolError("cose_too_large")
    parts = cose.split(raw)
    if parts.typ != t.COMPARISON:
        raise ProtocolError("type_not_allowed")
    if not is_signed(parts, keys):
        raise ProtocolError("signature_invalid")
    fields = messages.decode(t.COMPARISON, parts.payload)
    if fields[cm.END_MS] < fields[cm.START_MS]:
        raise ProtocolError("field_value")
    return Comparison(chain.message_hash(parts.protected, parts.payload), fields)


def open_raw(comparison: Comparison, beside: Path) -> Fields:
    """The raw data of a run, from the event or from the file beside it. ConfigError if they are not those it
    names.
    """
    digest = comparison.fields[cm.RAW_DIGEST]
    raw = comparison.fields[cm.RAW]
    path = raw_path(beside, digest)
    if raw is None:
        raw = _bounded(path, cs.MAX_RAW)
    if hashlib.sha256(raw).digest() != digest:
        raise ConfigError(path, "", "is not the raw data that the event names", "restore it from a copy")
    try:
        return cs.decode_raw(raw)
    except ProtocolError as error:
        raise ConfigError(path, "", f"is no raw data ({error.reason})", "restore it from a copy") from None


def raw_path(folder: Path, digest: bytes) -> Path:
    return folder / f"{digest.hex()}{RAW_SUFFIX}"


def load_comparisons(folder: Path, keys: AuthorityKeys) -> list[Comparison]:
    """Every event of the folder in the order of their ends; ConfigError for one that is not to be believed."""
    found: dict[bytes, Comparison] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        comparison = load_comparison(path, keys)
        name = comparison.fields[cm.RUN]
        if name in found:
            raise ConfigError(path, "", f"run {comparison.run} is in two files", "take one out")
        found[name] = comparison
    return in_order(found.values())


def load_comparison(path: Path, keys: AuthorityKeys) -> Comparison:
    try:
        comparison = open_event(_bounded(path, t.MAX_MESSAGE), keys)
    except ProtocolError as error:
        remedy = "add the key that sealed it to comparisons.keys, or restore the file from a copy"
        raise ConfigError(path, "", f"is no comparison of this gateway ({error.reason})", remedy) from None
    open_raw(comparison, path.parent)
    return comparison


def in_order(comparisons: Iterable[Comparison]) -> list[Comparison]:
    return sorted(comparisons, key=lambda each: (each.end_ms, each.fields[cm.RUN]))


def find(comparisons: Sequence[Comparison], name: str) -> list[Comparison]:
    """Those whose run begins so."""
    return [each for each in comparisons if each.run.startswith(name.lower())]


def _bounded(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise ConfigError(path, "", f"cannot be read ({error.strerror})", "restore it from a copy") from None
    if len(content) > most:
        raise ConfigError(path, "", f"larger than {most} bytes", "it is none of this gateway's")
    return content
