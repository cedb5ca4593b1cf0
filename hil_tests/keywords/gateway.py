"""The gateway of the bench: checks what comes, answers as DESIGN's rules say, and can be told not to.

It knows the public protocol only. Enrolment is taken for granted: the first identity on the line is the meter's,
and a suite holds its thumbprint against the label. Where the chain has a gap it asks for what is missing, as the
real one does: a serial line has no carrier, so the meter does not see that nobody listened for a while.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from hil_tests.keywords.bench_clock import BenchClock
from hil_tests.keywords.link_end import LinkEnd
from hil_tests.keywords.meter_chain import MeterChain
from hil_tests.keywords.signing import SigningKey
from hil_tests.keywords.verification import Message, Refused, open_message
from meter_protocol import cose
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

CLOCK_UNCERTAINTY_MS = 20
RESEND_INTERVAL_MS = 1000
LOOK_S = 0.2

Found = TypeVar("Found")


class Gateway:
    def __init__(self, clock: BenchClock, make_link: Callable[[Callable[[bytes], None]], Any] = LinkEnd) -> None:
        self._clock = clock
        self._now_ms = clock.gateway_ms
        self.authority = SigningKey()
        self.update_authority = SigningKey()
        self.receipt_key = SigningKey()
        self.receipt_key_before = self.receipt_key
        self.clock_key = SigningKey()
        self.chain = MeterChain()
        self.sends_receipts = True
        self.tells_time = True
        self.arrivals: list[Message] = []
        """Every message of the chain in the order in which it was taken, repetitions too."""
        self.resend_requests = 0
        self._asked_for = -1
        self._asked_ms = 0
        self.take_alone: Callable[[bytes], bool] = lambda _: False
        """Takes what is no message of the chain; False if it is not for it either."""
        self.time_replies: list[bytes] = []
        self.time_requests = 0
        self.answered_ms: int | None = None
        """When a time request was answered last, on the world's clock."""

        self.awaits_clock_set = False
        """Whether nothing has come since then that says what the meter made of the answer."""

        self.faults: list[str] = []
        self._changed = threading.Condition()
        self.link = make_link(self._receive)

    # What comes in, in the line's thread

    def _receive(self, payload: bytes) -> None:
        with self._changed:
            try:
                for raw in cose.split_sequence(payload):
                    self._take(raw)
            except (ProtocolError, Refused) as refusal:
                self.faults.append(str(refusal))
            except Exception as error:  # noqa: BLE001 - a thread that dies silently would pass for a silent meter
                self.faults.append(repr(error))
            if self.sends_receipts and self.chain.messages:
                self.link.send(self.receipt())
            self._changed.notify_all()

    def _take(self, raw: bytes) -> None:
        if cose.split(raw).typ == t.TIME_REQUEST:
            self._answer_time(open_message(raw, self.chain.cose_key).fields)
            return
        if self.take_alone(raw):
            return
        message = self.chain.take(raw)
        if message.name == "clock_set":
            self.awaits_clock_set = False
        if message.sequence < len(self.chain.messages):
            self.arrivals.append(message)
        else:
            self._ask_again()

    def _ask_again(self) -> None:
        """For what the chain waits for, unless that was asked a moment ago."""
        head, now = self.chain.messages[-1], self._now_ms()
        if self._asked_for == head.sequence and now - self._asked_ms < RESEND_INTERVAL_MS:
            return
        self._asked_for, self._asked_ms = head.sequence, now
        self.resend_requests += 1
        self.link.send(self.resend_request(head.sequence + 1))

    def _answer_time(self, request: dict[int, Any]) -> None:
        if request[f.METER] != self.chain.thumbprint:
            raise Refused("not_for_us")
        self.time_requests += 1
        if self.tells_time:
            self.time_replies.append(self.time_reply(request[f.NONCE], self._now_ms()))
            self.answered_ms, self.awaits_clock_set = self._clock.now_ms(), True
            self.link.send(self.time_replies[-1])

    # What goes out

    def about_meter(self) -> dict[int, Any]:
        """The header of everything that a gateway or an authority signs."""
        return {
            f.VERSION: f.PROTOCOL_VERSION,
            f.TIME_MS: self._now_ms(),
            f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
            f.CLOCK_UNCERTAINTY_MS: CLOCK_UNCERTAINTY_MS,
            f.METER: self.chain.thumbprint,
        }

    def receipt_fields(self) -> dict[int, Any]:
        """Of the receipt for everything that has come."""
        head = self.chain.messages[-1]
        place = {f.EPOCH: head.fields[f.EPOCH], f.SEQUENCE: head.sequence, f.HASH: head.hash}
        return self.about_meter() | place

    def receipt(self) -> bytes:
        return self.receipt_key.seal(t.RECEIPT, self.receipt_fields())

    def resend_fields(self, sequence: int) -> dict[int, Any]:
        """Of a request for the present epoch, from there on."""
        place = {f.EPOCH: self.chain.messages[-1].fields[f.EPOCH], f.SEQUENCE: sequence}
        return self.about_meter() | place

    def resend_request(self, sequence: int) -> bytes:
        return self.receipt_key.seal(t.RESEND_REQUEST, self.resend_fields(sequence))

    def time_reply(self, nonce: bytes, time_ms: int) -> bytes:
        return self.clock_key.seal(t.TIME_REPLY, self.about_meter() | {f.NONCE: nonce, f.TIME_MS: time_ms})

    # For the test's thread

    def renew_receipt_key(self) -> None:
        self.receipt_key_before, self.receipt_key = self.receipt_key, SigningKey()

    def send(self, raw: bytes) -> None:
        if not self.link.send(raw):
            raise AssertionError("nobody is on the link")

    def wait_for(
        self, look: Callable[[], Found | None], timeout_s: float, what: str, check: Callable[[], None]
    ) -> Found:
        """What `look` finds after some arrival; AssertionError on anything unauthentic, and if `check` objects."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                self.check()
                found = look()
                if found is not None:
                    return found
                check()
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    last = ", ".join(str(message) for message in self.chain.messages[-5:]) or "nothing"
                    raise AssertionError(f"no {what} within {timeout_s:.0f} s; the last that came: {last}")
                self._changed.wait(min(left_s, LOOK_S))

    def check(self) -> None:
        if self.faults:
            raise AssertionError(f"refused what the meter sent: {', '.join(self.faults)}")
