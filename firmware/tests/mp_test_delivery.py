"""Delivery: in order, again when no receipt comes, freed by nothing but a verified receipt."""

import asyncio
import hashlib
import os

from meter_firmware import blockdev
from meter_firmware.chain_log import ChainLog
from meter_firmware.delivery import RETRY_MS, WINDOW_BYTES, Delivery
from meter_firmware.journal import Journal
from meter_firmware.memory import Memory
from meter_firmware.sealing import Sealer
from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import chain, cose, events, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_sampling.clock import MeterClock

METER = Sealer(SoftwareSigner(b"\x11" * 32))
GATEWAY = Sealer(SoftwareSigner(b"\x33" * 32))
STRANGER = Sealer(SoftwareSigner(b"\x44" * 32))
KEYS = [GATEWAY.cose_key]
_counter = [0]


class Wire:
    """The far side of a link that the test owns: it takes frames, or is down."""

    def __init__(self):
        self.connected = True
        self.frames = []
        self.frame_bytes = 4096

    async def send(self, frame):
        if not self.connected:
            return False
        self.frames.append(frame)
        return True

    def sequences(self):
        found = []
        for frame in self.frames:
            for raw in cose.split_sequence(frame):
                sign1 = cose.split(raw)
                found.append(messages.decode(sign1.typ, sign1.payload)[f.SEQUENCE])
        return found


class Bench:
    def __init__(self, readings, capacity=131072, segment=16384):
        _counter[0] += 1
        mount = "/delivery%d" % _counter[0]
        blockdev.mount(blockdev.FileBlockDevice("delivery%d.bin" % _counter[0], 160), mount)
        self.journal = Journal(mount + "/journal", capacity, segment, 4096)
        self.log = ChainLog(self.journal, Memory(mount + "/memory"), METER, MeterClock())
        identity = {
            f.PUBLIC_KEY: METER.cose_key,
            f.SERIAL: "T1",
            f.MAKER: "test",
            f.MODEL: "test",
            f.KEY_PROTECTION: f.KEY_SOFTWARE,
            f.SOFTWARE_ID: b"\x01" * 32,
            f.CERTIFICATE: None,
        }
        self.log.open(identity, os.urandom, 0)
        for number in range(readings):
            body = {f.KIND: 0, f.DURATION_MS: 1000, f.JITTER_MS: 0, f.READINGS: {1: [0, number]}}
            self.log.append(t.READINGS, body, number)
        self.now_ms = 0
        self.wire = Wire()
        self.delivery = Delivery(self.log, self.wire, lambda: self.now_ms)

    async def settle(self):
        task = asyncio.create_task(self.delivery.run())
        await asyncio.sleep_ms(30)
        task.cancel()

    async def until_sent(self, frames):
        for _ in range(6000):
            if len(self.wire.frames) >= frames:
                return
            await asyncio.sleep_ms(10)

    def answer(self, typ, body, sealer=GATEWAY):
        fields = {
            f.VERSION: 1,
            f.TIME_MS: 0,
            f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
            f.CLOCK_UNCERTAINTY_MS: 1,
            f.METER: METER.thumbprint,
        }
        fields.update(body)
        return sealer.seal(typ, fields)[0]

    def receipt(self, sequence, sealer=GATEWAY, digest=None, meter=METER.thumbprint):
        raw = self.journal.read(self.log.epoch, sequence)
        sign1 = cose.split(raw)
        digest = digest or chain.message_hash(sign1.protected, sign1.payload)
        body = {f.EPOCH: self.log.epoch, f.SEQUENCE: sequence, f.HASH: digest, f.METER: meter}
        return self.answer(t.RECEIPT, body, sealer)


def _reason_of(function, *arguments):
    try:
        function(*arguments)
    except ProtocolError as error:
        return error.reason
    return None


async def test_everything_is_sent_once_and_in_order():
    bench = Bench(20)
    await bench.settle()
    assert bench.wire.sequences() == list(range(22))
    assert bench.delivery.resent == 0


async def test_nothing_is_freed_without_a_receipt():
    bench = Bench(3)
    await bench.settle()
    assert bench.journal.first_unreceipted == (bench.log.epoch, 0)


async def test_a_receipt_frees_everything_up_to_its_sequence():
    bench = Bench(3)
    await bench.settle()
    bench.delivery.take_receipt(bench.receipt(2), KEYS)
    assert bench.journal.first_unreceipted == (bench.log.epoch, 3)
    bench.delivery.take_receipt(bench.receipt(4), KEYS)
    assert bench.delivery.drained


async def test_forged_receipts_free_nothing():
    bench = Bench(3)
    await bench.settle()
    take = bench.delivery.take_receipt
    genuine = bench.receipt(2)
    assert _reason_of(take, bench.receipt(2, sealer=STRANGER), KEYS) == "unknown_key"
    assert _reason_of(take, bench.receipt(2, digest=b"\x00" * 32), KEYS) == "receipt_not_ours"
    assert _reason_of(take, bench.receipt(2, meter=STRANGER.thumbprint), KEYS) == "not_for_us"
    flipped = bytearray(genuine)
    flipped[-1] ^= 1
    assert _reason_of(take, bytes(flipped), KEYS) == "signature_invalid"
    assert bench.journal.first_unreceipted == (bench.log.epoch, 0)
    take(genuine, KEYS)
    assert bench.journal.first_unreceipted == (bench.log.epoch, 3)


async def test_a_receipt_repeated_or_older_does_nothing():
    bench = Bench(3)
    await bench.settle()
    older, newer = bench.receipt(1), bench.receipt(3)
    bench.delivery.take_receipt(newer, KEYS)
    assert _reason_of(bench.delivery.take_receipt, newer, KEYS) == "receipt_stale"
    assert _reason_of(bench.delivery.take_receipt, older, KEYS) == "receipt_stale"
    assert bench.journal.first_unreceipted == (bench.log.epoch, 4)


async def test_a_receipt_of_another_type_is_none():
    bench = Bench(1)
    body = {f.EPOCH: bench.log.epoch, f.SEQUENCE: 0}
    wrong = bench.answer(t.RESEND_REQUEST, body)
    assert _reason_of(bench.delivery.take_receipt, wrong, KEYS) == "type_not_allowed"


async def test_without_a_receipt_the_same_bytes_go_again():
    bench = Bench(2)
    await bench.settle()
    first = list(bench.wire.frames)
    bench.now_ms = RETRY_MS
    task = asyncio.create_task(bench.delivery.run())
    await bench.until_sent(2 * len(first))
    task.cancel()
    assert bench.wire.frames == first + first
    assert bench.delivery.resent == 4


async def test_a_link_that_is_down_loses_nothing():
    bench = Bench(2)
    bench.wire.connected = False
    await bench.settle()
    assert bench.wire.frames == []
    bench.wire.connected = True
    await bench.settle()
    assert bench.wire.sequences() == [0, 1, 2, 3]


async def test_a_window_bounds_what_is_sent_for_nothing():
    bench = Bench(150)
    await bench.settle()
    size = sum([len(frame) for frame in bench.wire.frames])
    assert WINDOW_BYTES <= size < WINDOW_BYTES + 4096 + 8192
    sent = bench.wire.sequences()
    bench.delivery.take_receipt(bench.receipt(sent[-1]), KEYS)
    await bench.settle()
    again = bench.wire.sequences()
    assert again == list(range(len(again))) and len(again) > len(sent)


async def test_a_resend_request_serves_freed_messages_again():
    bench = Bench(5)
    await bench.settle()
    bench.delivery.take_receipt(bench.receipt(6), KEYS)
    bench.wire.frames.clear()
    request = bench.answer(t.RESEND_REQUEST, {f.EPOCH: bench.log.epoch, f.SEQUENCE: 3})
    bench.delivery.take_resend_request(request, KEYS, 0)
    await bench.settle()
    assert bench.wire.sequences() == [3, 4, 5, 6]
    # What the restored gateway receipts again moves the window and frees nothing twice.
    bench.delivery.take_receipt(bench.receipt(6), KEYS)
    assert bench.delivery.drained


async def test_a_resend_request_for_what_is_gone_is_answered_in_the_chain():
    bench = Bench(2)
    await bench.settle()
    request = bench.answer(t.RESEND_REQUEST, {f.EPOCH: b"\x99" * 8, f.SEQUENCE: 7})
    bench.delivery.take_resend_request(request, KEYS, 0)
    raw = bench.journal.head[2]
    fields = messages.decode(t.EVENT, cose.split(raw).payload)
    assert fields[f.EVENT_CODE] == events.RESEND_UNAVAILABLE
    assert fields[f.DETAILS][events.FIRST_SEQUENCE] == 7


async def test_a_resend_request_for_the_future_is_refused():
    bench = Bench(1)
    request = bench.answer(t.RESEND_REQUEST, {f.EPOCH: bench.log.epoch, f.SEQUENCE: 99})
    assert _reason_of(bench.delivery.take_resend_request, request, KEYS, 0) == "resend_of_nothing"


async def test_a_refused_message_is_skipped_and_the_chain_says_so():
    bench = Bench(3)
    await bench.settle()
    digest = hashlib.sha256(bench.journal.read(bench.log.epoch, 2)).digest()
    refusal = bench.answer(t.REFUSAL, {f.DIGEST: digest, f.REASON: "signature_invalid"})
    bench.delivery.take_refusal(refusal, KEYS, 0)
    await bench.settle()
    assert bench.wire.sequences()[-3:] == [3, 4, 5]
    details = messages.decode(t.EVENT, cose.split(bench.journal.head[2]).payload)[f.DETAILS]
    assert (details[events.LAST_SEQUENCE], details[events.REASON]) == (2, "signature_invalid")


async def test_a_refusal_of_bytes_we_never_sent_does_nothing():
    bench = Bench(1)
    refusal = bench.answer(t.REFUSAL, {f.DIGEST: b"\x55" * 32, f.REASON: "signature_invalid"})
    assert _reason_of(bench.delivery.take_refusal, refusal, KEYS, 0) == "refusal_not_ours"


async def test_what_was_overwritten_is_attested_from_there_to_the_oldest():
    bench = Bench(20, 16384, 4096)
    for number in range(100):
        bench.journal.free(bench.log.epoch, bench.log.sequence)
        bench.log.append(
            t.READINGS, {f.KIND: 0, f.DURATION_MS: 1000, f.JITTER_MS: 0, f.READINGS: {1: [0, number]}}, number
        )
    oldest = next(bench.journal.records())[1]
    assert oldest > 10
    request = bench.answer(t.RESEND_REQUEST, {f.EPOCH: bench.log.epoch, f.SEQUENCE: 5})
    bench.delivery.take_resend_request(request, KEYS, 0)
    details = messages.decode(t.EVENT, cose.split(bench.journal.head[2]).payload)[f.DETAILS]
    assert (details[events.FIRST_SEQUENCE], details[events.LAST_SEQUENCE]) == (5, oldest - 1)
    await bench.settle()
    assert bench.wire.sequences()[0] == oldest


async def test_a_hole_in_the_journal_is_attested_and_no_more():
    bench = Bench(6)
    read, records = bench.journal.read, bench.journal.records

    def without_the_fourth(start=None):
        for record in records(start):
            if record[1] != 4:
                yield record

    bench.journal.records = without_the_fourth
    bench.journal.read = lambda epoch, sequence: None if sequence == 4 else read(epoch, sequence)
    request = bench.answer(t.RESEND_REQUEST, {f.EPOCH: bench.log.epoch, f.SEQUENCE: 4})
    bench.delivery.take_resend_request(request, KEYS, 0)
    details = messages.decode(t.EVENT, cose.split(bench.journal.head[2]).payload)[f.DETAILS]
    assert (details[events.FIRST_SEQUENCE], details[events.LAST_SEQUENCE]) == (4, 4)


async def test_a_link_that_comes_back_gets_at_once_what_was_on_its_way():
    bench = Bench(3)
    task = asyncio.create_task(bench.delivery.run())
    await asyncio.sleep_ms(30)
    assert bench.wire.sequences() == [0, 1, 2, 3, 4]
    count = len(bench.wire.frames)
    bench.wire.connected = False
    await asyncio.sleep_ms(300)
    bench.wire.connected = True
    await bench.until_sent(2 * count)
    task.cancel()
    assert bench.wire.sequences() == 2 * [0, 1, 2, 3, 4]


async def test_receipts_that_come_during_a_frame_are_not_undone_by_its_end():
    bench = Bench(3)

    async def send(frame):
        bench.delivery.take_receipt(bench.receipt(3), KEYS)
        return True

    bench.wire.send = send
    await bench.settle()
    assert [sequence for _, sequence, _ in bench.delivery._outstanding] == [4]


async def test_with_nothing_to_send_the_journal_is_not_read():
    bench = Bench(3)
    await bench.settle()
    calls = []
    records = bench.journal.records

    def counted(start=None):
        calls.append(start)
        return records(start)

    bench.journal.records = counted
    bench.delivery.notify()
    await bench.settle()
    assert calls == []
