"""The values that cross the gateway, in the order in which a message meets them.

bytes -> Verified (authentic) -> Assessed (facts) -> Verdict (a scheme's opinion of the facts). Nothing here
does anything; the files that do are ingest, verify, traceability, policy and store.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

Fields = dict[int, Any]


class Rejected(Exception):
    """The bytes are not authentic, so nothing inside them is believed. `reason` is a stable code of SPEC §11."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Verified(NamedTuple):
    """An authentic message: `raw` are the bytes that were signed and sent, `hash` names it in its chain."""

    raw: bytes
    typ: str
    thumbprint: bytes
    fields: Fields
    hash: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact about an authentic message that a scheme may hold against it; `channel` None means all of it."""

    code: str
    channel: int | None = None


class BudgetRecord(NamedTuple):
    """By what uncertainties were stated, constant over many messages: `encoded` is SPEC §8.7."""

    digest: bytes
    encoded: bytes


NO_UNCERTAINTY = b"\x80"
"""An empty array: of no reading is the uncertainty known."""


class Assessed(NamedTuple):
    """What was found out about one message. `uncertainty` is key 17 of its verdict, encoded (SPEC §8.2)."""

    findings: tuple[Finding, ...]
    budget: BudgetRecord | None = None
    uncertainty: bytes = NO_UNCERTAINTY


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one scheme makes of one message's findings. Revisions count up; none is ever overwritten."""

    scheme: str
    accepted: bool
    findings: tuple[Finding, ...]
    revision: int = 0
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """One frame or publish as a listener got it: one or several whole messages, not taken apart yet."""

    raw: bytes
    peer: str
    received_ms: int


@dataclass(frozen=True, slots=True)
class GatewayTime:
    """The gateway's own clock at one moment, with the status that its receipts and replies admit (SPEC §4)."""

    time_ms: int
    clock_status: int
    clock_uncertainty_ms: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Signed bytes for one meter; `peer` is where its latest message came from, `kid` names its topic."""

    kid: bytes
    peer: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class TimeRequest:
    """An authentic time request: the service answers it with its clock at the moment of sending."""

    thumbprint: bytes
    kid: bytes
    peer: str
    nonce: bytes
    received_ms: int


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """An authentic request for one chunk of a software image; whether it was offered is not known here."""

    thumbprint: bytes
    kid: bytes
    peer: str
    digest: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """Bytes that were refused, and why."""

    raw: bytes
    peer: str
    received_ms: int
    reason: str


@dataclass(slots=True)
class Outcome:
    """What one commit group leaves to do. Everything in it is already durable."""

    answers: list[Answer] = field(default_factory=list)
    """Receipts, refusals and resend requests, ready to send in this order."""

    time_requests: list[TimeRequest] = field(default_factory=list)
    image_requests: list[ImageRequest] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    stored: int = 0
    judged: int = 0
    accepted: int = 0
    duplicates: int = 0
    """Messages that were stored before, by identity: receipted again, counted, not stored again."""

    has_update: bool = False
    """A meter has said that an update runs."""
