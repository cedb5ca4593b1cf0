"""The inbox alone: each message to its own consumer, sizes, counts and forgeries bounded.

What thousands of hostile messages do to a whole meter: mp_test_fuzz_gateway.py.
"""

from app_bench import RECEIPTS

from meter_firmware.inbox import FORGERIES_AT_ONCE, FORGERY_PAUSE_MS, MAX_INBOUND, MAX_MESSAGES, Inbox
from meter_protocol import cose
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_sampling.journal_error import JournalError


def _message(typ=t.RECEIPT):
    return cose.assemble(cose.protected_header(cose.ES256, RECEIPTS.kid, typ), b"\xa0", bytes(64))


def _inbox(consumers, now_ms=lambda: 0, say=lambda line: None):
    return Inbox(consumers, now_ms, say)


def _reasons(inbox, payload):
    inbox.refused = {}
    inbox.receive(payload)
    return inbox.refused


def test_each_message_goes_to_its_own_consumer_verbatim():
    taken = []
    inbox = _inbox({t.RECEIPT: lambda raw: taken.append(("receipt", raw)), t.REFUSAL: taken.append})
    inbox.receive(_message() + _message(t.REFUSAL) + _message())
    assert taken == [("receipt", _message()), _message(t.REFUSAL), ("receipt", _message())]
    assert (inbox.taken, inbox.refused) == (3, {})


def test_what_has_no_consumer_is_counted():
    assert _reasons(_inbox({}), _message(t.READINGS)) == {"type_not_allowed": 1}


def test_a_consumer_that_refuses_costs_only_its_own_message():
    taken = []

    def refuse(raw):
        raise ProtocolError("receipt_stale")

    def full(raw):
        raise JournalError("journal_full")

    said = []
    consumers = {t.RECEIPT: refuse, t.REFUSAL: full, t.TIME_REPLY: taken.append}
    inbox = _inbox(consumers, say=said.append)
    inbox.receive(_message() + _message(t.TIME_REPLY) + _message(t.REFUSAL) + _message())
    assert taken == [_message(t.TIME_REPLY)]
    assert inbox.refused == {"receipt_stale": 2, "journal_full": 1}
    assert said == ["refused: receipt_stale", "refused: journal_full"]


def test_sizes_and_counts_are_bounded_before_anything_is_looked_at():
    calls = []
    inbox = _inbox({t.RECEIPT: calls.append})
    assert _reasons(inbox, bytes(MAX_INBOUND + 1)) == {"cose_too_large": 1}
    tiny = b"\xd2\x84\x40\xa0\x40\x40"
    assert _reasons(inbox, tiny * (MAX_MESSAGES + 1)) == {"cose_too_many_messages": 1}
    assert _reasons(inbox, b"") == {}
    assert calls == []
    assert _reasons(inbox, _message() * MAX_MESSAGES) == {}
    assert len(calls) == MAX_MESSAGES
    assert "cose_too_large" not in _reasons(inbox, bytes(MAX_INBOUND))


class Line:
    """A consumer whose messages verify or not, and a clock that stands until it is moved."""

    def __init__(self):
        self.now_ms = 5000
        self.genuine = False
        self.checked = 0
        self.inbox = _inbox({t.RECEIPT: self._check}, lambda: self.now_ms)

    def _check(self, raw):
        self.checked += 1
        if not self.genuine:
            raise ProtocolError("signature_invalid")


def test_forgeries_are_checked_at_a_bounded_rate():
    line = Line()
    for _ in range(100):
        line.inbox.receive(_message())
    assert line.checked == FORGERIES_AT_ONCE
    assert line.inbox.refused == {"signature_invalid": FORGERIES_AT_ONCE, "forgeries": 100 - FORGERIES_AT_ONCE}
    line.now_ms += 10 * FORGERY_PAUSE_MS
    for _ in range(100):
        line.inbox.receive(_message())
    assert line.checked == FORGERIES_AT_ONCE + 10
    line.now_ms += 86400000
    for _ in range(100):
        line.inbox.receive(_message())
    assert line.checked == 2 * FORGERIES_AT_ONCE + 10


def test_what_is_genuine_is_never_held_up_by_itself():
    line = Line()
    line.genuine = True
    for _ in range(1000):
        line.inbox.receive(_message())
    assert (line.checked, line.inbox.refused) == (1000, {})
