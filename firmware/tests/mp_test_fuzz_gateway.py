"""Whatever comes from the gateway's side: nothing gets out of the inbox but a count, and nothing changes unsigned.

The signature check is stubbed, to "forged" or to "genuine", where thousands of inputs need it; that it holds is
tested with the curve itself (mp_test_p256, test_p256_oracle), and with real signatures in mp_test_app_forgeries.
"""

import asyncio
import random

import app_bench
from app_bench import RECEIPTS, STRANGER, AppBench, answer, channel, parameter_set
from corruption import hostile, noise
from driver_examples import EXAMPLES
from fuzzing import run
from meter_bench import MINUTE
from update_bench import SITE, Update, pack, release

from meter_firmware import verification
from meter_firmware.sensors import DRIVERS, driver_class
from meter_protocol import cbor, cose
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import REASONS

app_bench.Board.update_site = SITE

METER_REASONS = (
    "not_for_us",
    "receipt_not_ours",
    "receipt_stale",
    "refusal_not_ours",
    "resend_of_nothing",
    "time_reply_unsolicited",
    "time_reply_without_time",
    "time_reply_implausible",
    "time_reply_late",
    "unknown_key",
    "signature_invalid",
    "algorithm_mismatch",
    "type_not_allowed",
    "parameters_not_newer",
    "update_not_for_us",
    "update_not_newer",
    "update_space",
    "update_unsolicited",
    "update_image",
)
SET_REASONS = (
    "parameters_sample_period",
    "parameters_driver",
    "parameters_address",
    "parameters_no_channel",
    "parameters_indication",
    "parameters_quantity",
    "parameters_scale",
    "parameters_kind",
    "parameters_ratio",
    "parameters_bus",
    "journal_full",
)

OFFERED = Update(1, pack(release(1)))
NEWER = Update(2, pack(release(2)))


class Site:
    """A meter at work: parameters, a set clock, readings to be receipted, an update half way, a challenge sent."""

    def __init__(self):
        verification.verify = VERIFY
        self.bench = bench = AppBench()
        bench.run(3 * MINUTE, self._commission, self._set_clock)
        bench.ask()
        assert bench.say(OFFERED.manifest) == []
        self.updater = bench.app._update.updater
        asyncio.run(self.updater._turn())
        assert self.updater._asked == 0
        # Refused sets and offers are said at a bounded rate: once, here, and not again.
        assert bench.say(parameter_set(9, STRANGER), Update(3, pack(release(3)), STRANGER).manifest) == [
            "unknown_key"
        ]
        body = {f.EPOCH: bench.log.epoch, f.SEQUENCE: 2}
        refusal = {f.DIGEST: b"\x01" * 32, f.REASON: "signature_invalid"}
        self.signed = [
            bench.receipt(3),
            bench.time_reply(),
            answer(t.RESEND_REQUEST, body, RECEIPTS),
            answer(t.REFUSAL, refusal, RECEIPTS),
            NEWER.manifest,
            OFFERED.chunk(0),
            parameter_set(2, channels=[channel(number) for number in range(1, 20)]),
        ]
        self.corpus = self.signed + [
            bench.receipt(2, STRANGER),
            OFFERED.chunk(1),
            bench.journal.read(bench.log.epoch, 0),
            bench.journal.read(bench.log.epoch, 1),
            bench.journal.head[2],
        ]

    def _commission(self):
        assert self.bench.say(parameter_set()) == []

    def _set_clock(self):
        assert self.bench.say(self.bench.time_reply()) == []

    def hand_in(self, payload):
        # Each as if it came alone: what a flood of forgeries costs is another test's.
        self.bench.inbox._whole_again_ms = 0
        self.bench.inbox.receive(payload)

    def state(self):
        """What no stranger may change."""
        updater = self.updater
        offer = updater._offer.raw if updater._offer else None
        update = (offer, updater._asked, updater._staging.received, updater.restart_wanted)
        slots = updater._slots
        return self.bench.state() + update + (len(slots.failed), len(slots.unsaid), slots.floor)

    def payload(self):
        kind = random.randrange(7)
        if kind == 0:
            return self.wild(random.choice(self.signed))
        if kind == 1:
            return self.costly(random.choice(self.signed))
        payload = random.choice(self.corpus)
        if kind == 2:
            payload += random.choice(self.corpus)
        return hostile(payload, self.corpus)

    def costly(self, raw):
        """Made to take a board's stack, heap or time before anybody asks who signed it."""
        sign1 = cose.split(raw)
        payload = cbor.dumps(cbor.loads(sign1.payload))
        filler = random.choice((b"\x81", b"\x80", b"\xa1\x00", b"\x9b\x00\x00\x00\x00\x00\x00\x1f\xff", b"\x40"))
        size = random.choice((9, 100, 1000, 7000))
        place = random.randrange(len(payload))
        filled = payload[:place] + filler * (size // len(filler)) + random.choice((b"", payload[place:]))
        return cose.assemble(sign1.protected, filled[:8000], noise(64))

    def wild(self, raw):
        """Well-formed in every layer, from a key that is trusted, about us: only the fields are wild."""
        sign1 = cose.split(raw)
        fields = cbor.loads(sign1.payload)
        for _ in range(random.randrange(1, 4)):
            key = random.choice(sorted(fields) + [99])
            if random.randrange(4):
                fields[key] = wild_value(0)
            else:
                fields.pop(key, None)
        return cose.assemble(sign1.protected, cbor.dumps(fields), noise(64))


VERIFY = verification.verify


def wild_value(depth):
    kind = random.randrange(7 if depth < 4 else 5)
    if kind == 0:
        return random.choice((0, 1, -1, 23, 24, 2**31, 2**63 - 1, -(2**63), random.getrandbits(30)))
    if kind == 1:
        return noise(random.choice((0, 7, 8, 16, 32, 33, 64)))
    if kind == 2:
        return random.choice(("", "A1", "energy64", "bus0", "x" * 65))
    if kind in (3, 4):
        return random.choice((None, True, False))
    if kind == 5:
        return [wild_value(depth + 1) for _ in range(random.randrange(5))]
    return {random.randrange(-2, 20): wild_value(depth + 1) for _ in range(random.randrange(6))}


def _check_reasons(bench, listed):
    for reason in bench.inbox.refused:
        assert reason in REASONS or reason in listed, reason


PARTS = 3
"""A test may take some minutes, and no longer."""


def _forged(part):
    site = Site()
    bench = site.bench
    verified = [0]
    before = site.state()

    def forged(*arguments):
        verified[0] += 1
        return False

    async def attack():
        payload = site.payload()
        if payload in site.corpus:
            return 0
        site.hand_in(payload)
        return 1

    verification.verify = forged
    try:
        run("gateway, forged", attack, PARTS, "part %d" % part)
    finally:
        verification.verify = VERIFY
    bench.board.real_ms = 0
    assert site.state() == before
    total = bench.inbox.taken + sum(bench.inbox.refused.values())
    assert verified[0] > total // 100, (verified, total)
    _check_reasons(bench, METER_REASONS)
    for reason in ("cose_too_large", "cbor_too_deep", "cbor_too_many_objects", "cbor_truncated", "field_value"):
        assert bench.inbox.refused[reason], reason
    # And what is genuine is taken as before.
    assert bench.say(bench.receipt()) == []
    assert bench.journal.first_unreceipted is None
    assert bench.say(OFFERED.chunk(0)) == []
    assert site.updater._staging.received == len(OFFERED.chunks[0])


def test_no_forged_input_raises_or_changes_anything():
    _forged(1)


def test_nor_does_a_second_part_of_them():
    _forged(2)


def test_nor_does_a_third_part_of_them():
    _forged(3)


def _quick_signer(bench):
    """A signature costs a thousand times more than all else here, and nobody verifies these."""
    bench.app._sealer._signer.sign = lambda digest: digest + digest


def test_what_gateway_and_update_authority_sign_wildly_raises_nothing():
    """Authentic and wild: obeyed or refused with a reason, and the meter goes on, also into its next boot."""
    site = Site()
    bench = site.bench
    _quick_signer(bench)
    verification.verify = lambda *arguments: True
    nonce = bench.clock.pending_nonce

    async def attack():
        raw = random.choice(site.signed[:6])
        site.hand_in(raw if random.randrange(20) == 0 else site.wild(raw))
        await site.updater._turn()
        await bench.app._delivery._send_next()
        site.updater.restart_wanted = False
        bench.board.wire.sent = []
        bench.clock.ask(nonce, bench.board.clock.now)
        return 1

    try:
        run("gateway, authentic", attack)
    finally:
        verification.verify = VERIFY
    assert bench.inbox.taken > 5
    assert len(bench.inbox.refused) > 8, bench.inbox.refused
    _check_reasons(bench, METER_REASONS + SET_REASONS)
    bench.boot()
    assert bench.app._meter.parameters[f.SET_VERSION] == 1


def test_what_an_authority_signs_wildly_is_refused_with_a_reason():
    """Sets that are authentic and wild: each either fits this firmware whole or is refused, and none raises."""
    site = Site()
    bench = site.bench
    _quick_signer(bench)
    meter = bench.app._meter
    in_force = meter.parameters
    template = cose.split(site.signed[6])
    for name in DRIVERS:
        # A driver's file is loaded when it is first used.
        driver_class(name, EXAMPLES[name][0][1])
    taken = [0]
    verification.verify = lambda *arguments: True

    async def attack():
        before = bench.inbox.taken
        site.hand_in(cose.assemble(template.protected, cbor.dumps(_wild_set(template.payload)), bytes(64)))
        if bench.inbox.taken > before:
            taken[0] += 1
            # What was taken can be applied: its drivers and channels are made without a fault.
            meter._use(meter._new_set.fields)
            meter._new_set = None
            meter._set = in_force
        return 1

    try:
        run("parameter sets, authentic", attack)
    finally:
        verification.verify = VERIFY
    assert taken[0]
    assert len(bench.inbox.refused) > 6, bench.inbox.refused
    _check_reasons(bench, METER_REASONS + SET_REASONS)


def _wild_set(payload):
    fields = cbor.loads(payload)
    if random.getrandbits(1):
        name = random.choice(DRIVERS)
        _, options = random.choice(EXAMPLES[name])
        entry = random.choice(fields[f.INSTRUMENTS])
        entry[f.INSTRUMENT_DRIVER] = name
        entry[f.INSTRUMENT_OPTIONS] = options
    for _ in range(random.randrange(4)):
        table = random.choice((fields, random.choice(fields[f.INSTRUMENTS]), random.choice(fields[f.CHANNELS])))
        if isinstance(table, dict) and table:
            table[random.choice(sorted(table))] = wild_value(0)
        for key in (f.INSTRUMENTS, f.CHANNELS):
            if not isinstance(fields[key], list) or not fields[key]:
                return fields
    return fields
