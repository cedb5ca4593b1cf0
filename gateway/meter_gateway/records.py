"""The record of one verdict: the Merkle leaf that is signed and uplinked (SPEC §8, `messages.encode_verdict`).

A record is the identity of a message, the moment of its judgement, an opinion, and the uncertainty of its
readings. An opinion is what a scheme made of the findings, with the budget by which uncertainties were stated.
Opinions are few and messages are many, so the store keeps each opinion once and a record is put together from its
pieces when it is needed; the tests hold `record` against `messages.encode_verdict`.
"""

from functools import lru_cache
from typing import NamedTuple

import cbor2

from meter_gateway.model import NO_UNCERTAINTY, Fields, Finding, Verdict
from meter_protocol import fields as f
from meter_protocol import messages
from meter_protocol.schema import MAX_FINDINGS

_AFTER_KEYS = bytes((f.VERSION, f.PROTOCOL_VERSION, f.EPOCH, 0x48))
"""Behind the map's head: its version, and the head of the epoch's eight bytes."""

_HEAD = b"\xad" + _AFTER_KEYS
_EARLIER_HEAD = b"\xab" + _AFTER_KEYS
"""Of a record from before there was anything behind the cause."""

_SEQUENCE = bytes((f.SEQUENCE,))
_TIME_MS = bytes((f.TIME_MS,))
_METER = bytes((f.METER, 0x58, 0x20))
_HASH = bytes((f.HASH, 0x58, 0x20))
_BUDGET = bytes((f.VERDICT_BUDGET, 0x58, 0x20))
_UNCERTAINTY = bytes((f.VERDICT_UNCERTAINTY,))
_NO_BUDGET = bytes((f.VERDICT_BUDGET, 0xF6)) + _UNCERTAINTY
_MARK = b"\xff" * 32


class Parts(NamedTuple):
    """A record as the store has it; `uncertainty` None in a verdict from before there was any."""

    thumbprint: bytes
    epoch: bytes
    sequence: int
    message_hash: bytes
    judged_ms: int
    opinion: bytes
    uncertainty: bytes | None


def record(parts: Parts) -> bytes:
    before, after = pieces(parts.thumbprint, parts.epoch, parts.judged_ms)
    if parts.uncertainty is None:
        before = _EARLIER_HEAD + before[len(_HEAD) :]
    whole = before + cbor2.dumps(parts.sequence) + after + parts.message_hash + parts.opinion
    return whole + (parts.uncertainty or b"")


def pieces(thumbprint: bytes, epoch: bytes, judged_ms: int) -> tuple[bytes, bytes]:
    """What stands before the sequence, and between it and the hash: the same for a chain in a group."""
    after = _TIME_MS + cbor2.dumps(judged_ms) + _METER + thumbprint + _HASH
    return _HEAD + epoch + _SEQUENCE, after


def opinion_of(verdict: Verdict, budget: bytes | None) -> bytes:
    """What stands between the hash and the uncertainty; `budget` is the budget record's digest."""
    named = _NO_BUDGET if budget is None else _BUDGET + budget + _UNCERTAINTY
    return _judged(verdict) + named


@lru_cache(maxsize=1024)
def _judged(verdict: Verdict) -> bytes:
    """What stands between the hash and the budget, cut from a whole record: the same for many budgets."""
    # The message was judged by all findings; a record holds as many as its schema lets.
    findings = [[found.code, found.channel] for found in verdict.findings[:MAX_FINDINGS]]
    whole = messages.encode_verdict(
        {
            f.VERSION: f.PROTOCOL_VERSION,
            f.EPOCH: bytes(8),
            f.SEQUENCE: 0,
            f.TIME_MS: 0,
            f.METER: bytes(32),
            f.HASH: _MARK,
            f.VERDICT_REVISION: verdict.revision,
            f.VERDICT_SCHEME: verdict.scheme,
            f.VERDICT_ACCEPTANCE: f.ACCEPTED if verdict.accepted else f.NOT_ACCEPTED,
            f.VERDICT_FINDINGS: findings,
            f.VERDICT_CAUSE: verdict.cause,
            f.VERDICT_BUDGET: None,
            f.VERDICT_UNCERTAINTY: [],
        }
    )
    return whole[whole.index(_MARK) + len(_MARK) : -len(_NO_BUDGET + NO_UNCERTAINTY)]


def fields_of(parts: Parts) -> Fields:
    """The record's content, in today's form whenever it was signed."""
    if parts.uncertainty is None:
        parts = parts._replace(opinion=parts.opinion + _NO_BUDGET, uncertainty=NO_UNCERTAINTY)
    return messages.decode_verdict(record(parts))


def opinion_fields(opinion: bytes, uncertainty: bytes | None) -> Fields:
    """What a stored opinion says, of whichever message."""
    return fields_of(Parts(bytes(32), bytes(8), 0, bytes(32), 0, opinion, uncertainty))


def findings_in(fields: Fields) -> tuple[Finding, ...]:
    return tuple(Finding(code, channel) for code, channel in fields[f.VERDICT_FINDINGS])
