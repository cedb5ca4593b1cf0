"""Whatever comes in: nothing gets out of the inbox but a count, and nothing changes that is not signed.

The signature check is stubbed to "forged" where thousands of inputs need it; that it holds is tested with the
curve itself (mp_test_p256, test_p256_oracle), and with real signatures in mp_test_app.
"""

import random
import time

from app_bench import METER, RECEIPTS, STRANGER, AppBench, answer, channel, parameter_set
from meter_bench import MINUTE, heap

from meter_firmware import verification
from meter_firmware.inbox import FORGERIES_AT_ONCE, FORGERY_PAUSE_MS, MAX_INBOUND, MAX_MESSAGES, Inbox
from meter_firmware.journal import JournalError
from meter_protocol import cbor, cose
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import REASONS, ProtocolError

INPUTS = 24000
HEADS = b"\x00", b"\x17", b"\x18", b"\x1b", b"\x3b", b"\x5f", b"\x7f", b"\x9f", b"\xa0", b"\xf6", b"\xfb", b"\xff"
METER_REASONS = (
    "not_for_us",
    "receipt_not_ours",
    "receipt_stale",
    "refusal_not_ours",
    "resend_of_nothing",
    "time_reply_unsolicited",
    "time_reply_without_time",
    "time_reply_implausible",
    "unknown_key",
    "signature_invalid",
    "algorithm_mismatch",
    "type_not_allowed",
    "parameters_not_newer",
)


def _message(typ=t.RECEIPT):
    return cose.assemble(cose.protected_header(cose.ES256, RECEIPTS.kid, typ), b"\xa0", bytes(64))


def _reasons(inbox, payload):
    inbox.refused = {}
    inbox.receive(payload)
    return inbox.refused


def test_each_message_goes_to_its_own_consumer_verbatim():
    taken = []
    inbox = Inbox({t.RECEIPT: lambda raw: taken.append(("receipt", raw)), t.REFUSAL: taken.append}, lambda: 0)
    inbox.receive(_message() + _message(t.REFUSAL) + _message())
    assert taken == [("receipt", _message()), _message(t.REFUSAL), ("receipt", _message())]
    assert (inbox.taken, inbox.refused) == (3, {})


def test_what_has_no_consumer_is_counted():
    assert _reasons(Inbox({}, lambda: 0), _message(t.READINGS)) == {"type_not_allowed": 1}


def test_a_consumer_that_refuses_costs_only_its_own_message():
    taken = []

    def refuse(raw):
        raise ProtocolError("receipt_stale")

    def full(raw):
        raise JournalError("journal_full")

    inbox = Inbox({t.RECEIPT: refuse, t.REFUSAL: full, t.TIME_REPLY: taken.append}, lambda: 0)
    inbox.receive(_message() + _message(t.TIME_REPLY) + _message(t.REFUSAL) + _message())
    assert taken == [_message(t.TIME_REPLY)]
    assert inbox.refused == {"receipt_stale": 2, "journal_full": 1}


def test_sizes_and_counts_are_bounded_before_anything_is_looked_at():
    calls = []
    inbox = Inbox({t.RECEIPT: calls.append}, lambda: 0)
    assert _reasons(inbox, bytes(MAX_INBOUND + 1)) == {"cose_too_large": 1}
    tiny = b"\xd2\x84\x40\xa0\x40\x40"
    assert _reasons(inbox, tiny * (MAX_MESSAGES + 1)) == {"cose_too_many_messages": 1}
    assert _reasons(inbox, b"") == {}
    assert calls == []


class Line:
    """A consumer whose messages verify or not, and a clock that stands until it is moved."""

    def __init__(self):
        self.now_ms = 5000
        self.genuine = False
        self.checked = 0
        self.inbox = Inbox({t.RECEIPT: self._check}, lambda: self.now_ms)

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


class Fuzz:
    """Real messages of every type, damaged in every way; seeded, so that what fails fails again."""

    def __init__(self, seed):
        random.seed(seed)
        self.bench = AppBench()
        self.bench.run(3 * MINUTE, self._commission, self._set_clock)
        self.bench.ask()
        bench = self.bench
        body = {f.EPOCH: bench.log.epoch, f.SEQUENCE: 2}
        self.corpus = [
            bench.receipt(3),
            bench.time_reply(),
            parameter_set(2, channels=[channel(number) for number in range(1, 20)]),
            answer(t.RESEND_REQUEST, body, RECEIPTS),
            answer(t.REFUSAL, {f.DIGEST: b"\x01" * 32, f.REASON: "signature_invalid"}, RECEIPTS),
            bench.receipt(2, STRANGER),
            bench.journal.read(bench.log.epoch, 0),
            bench.journal.read(bench.log.epoch, 1),
            bench.journal.head[2],
        ]

    def _commission(self):
        assert self.bench.say(parameter_set()) == []

    def _set_clock(self):
        assert self.bench.say(self.bench.time_reply()) == []

    def payload(self):
        kind = random.randrange(10)
        if kind == 0:
            return self._noise(random.randrange(200))
        if kind == 1:
            return self._signed_nonsense()
        payload = random.choice(self.corpus)
        if kind == 2:
            payload += random.choice(self.corpus)
        for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
            payload = self._damaged(payload)
        return payload

    def _noise(self, size):
        return bytes([random.getrandbits(8) for _ in range(size)])

    def _damaged(self, payload):
        place = random.randrange(len(payload) + 1)
        head, tail = payload[:place], payload[place:]
        kind = random.randrange(6)
        if kind == 0:
            return head
        if kind == 1:
            return head + random.choice(HEADS) + tail[1:]
        if kind == 2:
            return head + self._noise(random.randrange(12)) + tail[random.randrange(12) :]
        if kind == 3:
            return head + tail[random.randrange(1, 6) :]
        if kind == 4:
            other = random.choice(self.corpus)
            begin = random.randrange(len(other))
            return head + other[begin : begin + random.randrange(1, 40)] + tail
        return head + bytes([byte ^ 1 << random.randrange(8) for byte in tail[:1]]) + tail[1:]

    def _value(self, depth):
        kind = random.randrange(7 if depth < 4 else 5)
        if kind == 0:
            return random.choice((0, 1, -1, 23, 24, 2**31, 2**63 - 1, -(2**63), random.getrandbits(30)))
        if kind == 1:
            return self._noise(random.choice((0, 7, 8, 16, 32, 33, 64)))
        if kind == 2:
            return random.choice(("", "A1", "energy64", "bus0", "x" * 65))
        if kind in (3, 4):
            return random.choice((None, True, False))
        if kind == 5:
            return [self._value(depth + 1) for _ in range(random.randrange(5))]
        return {random.randrange(-2, 20): self._value(depth + 1) for _ in range(random.randrange(6))}

    def _signed_nonsense(self):
        """Well-formed in every layer, from a key that is trusted, about us: only the fields are wild."""
        sign1 = cose.split(random.choice(self.corpus[:5]))
        fields = cbor.loads(sign1.payload)
        for _ in range(random.randrange(1, 4)):
            key = random.choice(list(fields) + [99])
            if random.randrange(4):
                fields[key] = self._value(0)
            else:
                fields.pop(key, None)
        return cose.assemble(sign1.protected, cbor.dumps(fields), self._noise(64))


def test_no_input_raises_or_changes_anything():
    fuzz = Fuzz(20231115)
    bench = fuzz.bench
    # Refused sets are said at a bounded rate: once, here, and not again.
    bench.say(parameter_set(9, STRANGER))
    verify, verified = verification.verify, [0]

    def forged(*arguments):
        verified[0] += 1
        return False

    before = bench.state()
    used = None
    started = time.ticks_ms()
    verification.verify = forged
    try:
        for number in range(INPUTS):
            payload = fuzz.payload()
            if payload in fuzz.corpus:
                continue
            # Each as if it came alone: what a flood of forgeries costs is another test's.
            bench.inbox._whole_again_ms = 0
            bench.inbox.receive(payload)
            if number == 2000:
                used = heap()
    finally:
        verification.verify = verify
    print("inputs", INPUTS, "ms", time.ticks_diff(time.ticks_ms(), started), "reached the signature", verified[0])
    bench.board.real_ms = 0
    assert bench.state() == before
    assert verified[0] > INPUTS // 50
    assert heap() - used < 4096
    for reason in bench.inbox.refused:
        assert reason in REASONS or reason in METER_REASONS, reason
    # And what is genuine is taken as before.
    assert bench.say(bench.receipt()) == []
    assert bench.journal.first_unreceipted is None


def test_what_an_authority_signs_wildly_is_refused_with_a_reason():
    """Sets that are authentic and wild: each either fits this firmware whole or is refused, and none raises."""
    fuzz = Fuzz(7)
    bench = fuzz.bench
    verify = verification.verify
    verification.verify = lambda *arguments: True
    taken = 0
    try:
        template = cose.split(fuzz.corpus[2])
        for _ in range(1500):
            fields = cbor.loads(template.payload)
            for _ in range(random.randrange(1, 4)):
                table = random.choice(
                    (fields, random.choice(fields[f.INSTRUMENTS]), random.choice(fields[f.CHANNELS]))
                )
                if not isinstance(table, dict) or not table:
                    continue
                table[random.choice(list(table))] = fuzz._value(0)
                if not isinstance(fields[f.INSTRUMENTS], list) or not isinstance(fields[f.CHANNELS], list):
                    break
                if not fields[f.INSTRUMENTS] or not fields[f.CHANNELS]:
                    break
            count = bench.inbox.taken
            bench.inbox.receive(cose.assemble(template.protected, cbor.dumps(fields), bytes(64)))
            if bench.inbox.taken > count:
                taken += 1
                # What was taken can be applied: its drivers and channels are made without a fault.
                bench.app._meter._use(bench.app._meter._new_set.fields)
                bench.app._meter._new_set = None
                bench.app._meter._set = {f.SET_VERSION: 1, f.RECEIPT_KEYS: [], f.CLOCK_KEYS: []}
    finally:
        verification.verify = verify
    assert taken > 10
    assert len(bench.inbox.refused) > 6, bench.inbox.refused
    assert METER.thumbprint
