"""The record of one verdict: the Merkle leaf that is signed and uplinked (SPEC §8, `messages.encode_verdict`).

A record is the identity of a message, the moment of its judgement, and an opinion: what a scheme made of the
findings. Opinions are few and messages are many, so the store keeps each opinion once and a record is put
together from its pieces when it is needed; the tests hold `record` against `messages.encode_verdict`.
"""

import cbor2

from meter_gateway.model import Verdict
from meter_protocol import fields as f
from meter_protocol import messages
from meter_protocol.schema import MAX_FINDINGS

_HEAD = bytes((0xAB, f.VERSION, f.PROTOCOL_VERSION, f.EPOCH, 0x48))
"""A map of eleven, its version, and the head of the epoch's eight bytes."""

_SEQUENCE = bytes((f.SEQUENCE,))
_TIME_MS = bytes((f.TIME_MS,))
_METER = bytes((f.METER, 0x58, 0x20))
_HASH = bytes((f.HASH, 0x58, 0x20))
_MARK = b"\xff" * 32


def record(
    thumbprint: bytes, epoch: bytes, sequence: int, message_hash: bytes, judged_ms: int, opinion: bytes
) -> bytes:
    before, after = pieces(thumbprint, epoch, judged_ms)
    return before + cbor2.dumps(sequence) + after + message_hash + opinion


def pieces(thumbprint: bytes, epoch: bytes, judged_ms: int) -> tuple[bytes, bytes]:
    """What stands before the sequence, and between it and the hash: the same for a chain in a group."""
    after = _TIME_MS + cbor2.dumps(judged_ms) + _METER + thumbprint + _HASH
    return _HEAD + epoch + _SEQUENCE, after


def opinion_of(verdict: Verdict) -> bytes:
    """What stands behind the hash, cut from a whole record."""
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
        }
    )
    return whole[whole.index(_MARK) + len(_MARK) :]
