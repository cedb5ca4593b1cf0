"""What a gateway says to the meter, and what others say in its name: forged, replayed, late, stale, too much."""

import asyncio
import hashlib

from app_bench import (
    AUTHORITY,
    CLOCK,
    METER,
    RECEIPTS,
    STRANGER,
    AppBench,
    answer,
    instrument,
    parameter_set,
)
from meter_bench import MINUTE, NOON, heap

from meter_firmware import app as app_module
from meter_firmware import p256
from meter_firmware.journal import JournalError
from meter_protocol import cose, events
from meter_protocol import fields as f
from meter_protocol import types as t


def _commissioned(minutes=3):
    """A meter with parameters, a clock and some readings, all of them still waiting for a receipt."""
    bench = AppBench()
    bench.run(minutes * MINUTE, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()))
    assert bench.app._meter.parameters[f.SET_VERSION] == 1
    assert bench.clock.is_set
    return bench


def _flipped(raw, place):
    changed = bytearray(raw)
    changed[place] ^= 1
    return bytes(changed)


def _high_s(raw):
    """The twin of a signature that ECDSA allows and we do not."""
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    return raw[:-32] + (n - int.from_bytes(raw[-32:], "big")).to_bytes(32, "big")


def _refused_and_unchanged(bench, raw, reason):
    before = bench.state()
    assert bench.say(raw) == [reason]
    assert bench.state() == before, reason


def _fill(bench):
    """No room at all, the reserve included."""
    try:
        while True:
            bench.log.event(events.SELF_TEST_FAILED, {events.REASON: "full"}, 0)
    except JournalError as error:
        assert error.reason == "journal_full"


async def _deliver(bench):
    task = asyncio.create_task(bench.app._delivery.run())
    await asyncio.sleep_ms(50)
    task.cancel()


# From the box to the first receipt


def test_a_new_meter_is_commissioned_measures_and_is_receipted():
    bench = AppBench()
    assert bench.app._meter.parameters is None
    bench.run(3 * MINUTE, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()))
    assert bench.event_names() == ["boot", "parameters_applied", "clock_set"]
    assert [fields[f.TIME_MS] for fields in bench.readings()] == [NOON + m * MINUTE for m in (0, 1, 2, 3)]
    assert [fields[f.READINGS][1][1] for fields in bench.readings()] == [1000, 2000, 3000, 4000]
    assert bench.say(bench.receipt()) == []
    assert bench.app._delivery.drained
    assert bench.board.said[0] == "meter T1 thumbprint " + METER.thumbprint.hex()


def test_a_restart_takes_up_everything():
    bench = _commissioned()
    bench.boot()
    assert bench.app._meter.parameters[f.SET_VERSION] == 1
    assert bench.say(bench.receipt()) == []
    assert bench.app._delivery.drained


def test_before_it_has_parameters_a_meter_believes_no_gateway():
    bench = AppBench()
    bench.ask()
    for raw in (
        bench.receipt(),
        bench.time_reply(),
        answer(t.RESEND_REQUEST, {f.EPOCH: bench.log.epoch, f.SEQUENCE: 0}, RECEIPTS),
    ):
        _refused_and_unchanged(bench, raw, "unknown_key")


# Receipts


def test_forged_receipts_free_nothing():
    bench = _commissioned()
    good = bench.receipt(3)
    _refused_and_unchanged(bench, bench.receipt(3, STRANGER), "unknown_key")
    # A key of another role, an authority's and the meter's own among them.
    for sealer in (CLOCK, AUTHORITY, METER):
        _refused_and_unchanged(bench, bench.receipt(3, sealer), "unknown_key")
    _refused_and_unchanged(bench, bench.receipt(3, digest=b"\x00" * 32), "receipt_not_ours")
    _refused_and_unchanged(bench, bench.receipt(3, epoch=b"\x00" * 8), "receipt_not_ours")
    _refused_and_unchanged(bench, bench.receipt(3, meter=STRANGER.thumbprint), "not_for_us")
    _refused_and_unchanged(bench, _flipped(good, -1), "signature_invalid")
    _refused_and_unchanged(bench, _high_s(good), "signature_invalid")
    _refused_and_unchanged(bench, good[:-64] + bytes(64), "signature_invalid")
    _refused_and_unchanged(bench, good[:-1], "cbor_truncated")
    assert bench.say(good) == []


def test_a_receipt_for_more_than_was_sealed_frees_nothing():
    bench = _commissioned()
    sign1 = cose.split(bench.journal.head[2])
    ahead = answer(
        t.RECEIPT,
        {
            f.EPOCH: bench.log.epoch,
            f.SEQUENCE: bench.log.sequence + 1,
            f.HASH: hashlib.sha256(sign1.payload).digest(),
        },
        RECEIPTS,
    )
    _refused_and_unchanged(bench, ahead, "receipt_not_ours")


def test_an_older_and_a_repeated_receipt_do_nothing():
    bench = _commissioned()
    older, newer = bench.receipt(2), bench.receipt(4)
    assert bench.say(newer) == []
    bench.app._delivery._outstanding = []
    _refused_and_unchanged(bench, newer, "receipt_stale")
    _refused_and_unchanged(bench, older, "receipt_stale")


def test_a_receipt_of_the_epoch_before_frees_that_one_only():
    bench = _commissioned()
    old = bench.receipt()
    bench.log._memory.remove("epoch")
    bench.boot()
    first = bench.journal.first_unreceipted
    assert first[0] != bench.log.epoch
    assert bench.say(old) == []
    assert bench.journal.first_unreceipted == (bench.log.epoch, 0)
    bench.app._delivery._outstanding = []
    _refused_and_unchanged(bench, old, "receipt_stale")


# Time


def test_a_time_reply_sets_the_clock_once():
    bench = AppBench()
    bench.run(MINUTE, lambda: bench.say(parameter_set()))
    bench.ask()
    reply = bench.time_reply()
    assert bench.say(reply) == []
    _refused_and_unchanged(bench, reply, "time_reply_unsolicited")


def test_forged_time_replies_set_nothing():
    bench = _commissioned()
    _refused_and_unchanged(bench, bench.time_reply(nonce=b"x" * 16), "time_reply_unsolicited")
    bench.ask()
    nonce = bench.clock.pending_nonce
    for sealer in (STRANGER, RECEIPTS, AUTHORITY, METER):
        _refused_and_unchanged(bench, bench.time_reply(sealer), "unknown_key")
    _refused_and_unchanged(bench, bench.time_reply(meter=STRANGER.thumbprint), "not_for_us")
    _refused_and_unchanged(bench, bench.time_reply(nonce=b"x" * 16), "time_reply_unsolicited")
    _refused_and_unchanged(bench, _flipped(bench.time_reply(), -1), "signature_invalid")
    for time_ms in (-(2**63), 0, 2**62):
        _refused_and_unchanged(bench, bench.time_reply(time_ms=time_ms), "time_reply_implausible")
    _refused_and_unchanged(bench, bench.time_reply(uncertainty_ms=2**62), "time_reply_implausible")
    for status in (f.CLOCK_UNKNOWN, f.CLOCK_RELATIVE):
        reply = bench.time_reply(status=status, uncertainty_ms=None)
        _refused_and_unchanged(bench, reply, "time_reply_without_time")
    # None of them spent the challenge.
    assert bench.clock.pending_nonce == nonce
    assert bench.say(bench.time_reply()) == []


def test_a_late_time_reply_sets_nothing_and_is_spent():
    bench = _commissioned()
    bench.ask()
    reply = bench.time_reply(time_ms=NOON + 86400000)
    bench.board.clock.now += 10001
    before = bench.clock.time_at(0)
    assert bench.say(reply) == ["time_reply_late"]
    assert bench.say(reply) == ["time_reply_unsolicited"]
    assert bench.clock.time_at(0) == before


def test_an_answer_to_an_older_challenge_is_void():
    bench = _commissioned()
    bench.ask()
    old = bench.time_reply()
    bench.ask()
    _refused_and_unchanged(bench, old, "time_reply_unsolicited")


def test_the_challenge_is_repeated_until_it_is_answered_and_not_after():
    bench = AppBench()
    bench.run(0, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()), lambda: None)
    assert len(bench.board.wire.messages(t.TIME_REQUEST)) == 1


# Parameters


def test_forged_parameter_sets_change_nothing():
    bench = _commissioned()
    good = parameter_set(2)
    for sealer in (STRANGER, RECEIPTS, CLOCK, METER):
        assert bench.say(parameter_set(2, sealer)) == ["unknown_key"]
    assert bench.say(_flipped(good, -1)) == ["signature_invalid"]
    assert bench.say(_high_s(good)) == ["signature_invalid"]
    assert bench.app._meter.newest_version == 1
    assert bench.say(good) == []
    assert bench.app._meter.newest_version == 2


def test_a_set_for_another_meter_and_the_set_in_force_are_no_event():
    bench = _commissioned()
    _refused_and_unchanged(bench, parameter_set(2, meter=STRANGER.thumbprint), "not_for_us")
    _refused_and_unchanged(bench, parameter_set(1), "parameters_not_newer")
    _refused_and_unchanged(bench, parameter_set(0), "parameters_not_newer")


def test_a_set_for_a_bus_that_is_not_there_is_refused():
    bench = _commissioned()
    assert bench.say(parameter_set(2, instruments=[instrument(bus="bus9")])) == ["parameters_bus"]
    assert bench.events(events.PARAMETERS_REFUSED)[0][events.REASON] == "parameters_bus"


def test_an_older_set_does_not_take_the_place_of_one_that_waits():
    bench = _commissioned()
    assert bench.say(parameter_set(3)) == []
    assert bench.say(parameter_set(2)) == ["parameters_not_newer"]
    assert bench.app._meter.newest_version == 3


def test_a_stored_set_that_the_board_cannot_serve_any_more_does_not_stop_it():
    bench = _commissioned()
    bench.board.master = lambda bus: {}[bus]
    bench.boot()
    assert bench.app._meter.parameters is None
    assert bench.events(events.PARAMETERS_REFUSED)[0][events.REASON] == "parameters_bus"


def test_a_stored_set_that_rotted_does_not_stop_it():
    bench = _commissioned()
    bench.log._memory.write("parameters", b"\xff" * 40)
    bench.boot()
    assert bench.app._meter.parameters is None
    assert bench.say(parameter_set(1)) == []


def test_refusals_are_said_at_a_bounded_rate():
    bench = _commissioned()
    before = bench.log.sequence
    for version in range(50):
        bench.say(parameter_set(version, STRANGER))
    assert bench.log.sequence == before + 1
    bench.board.real_ms += app_module.REFUSAL_EVENT_MS
    bench.say(parameter_set(7, STRANGER))
    assert bench.log.sequence == before + 2


def test_refusals_do_not_eat_the_reserve():
    bench = AppBench(65536)
    try:
        while True:
            bench.log.event(events.SELF_TEST_FAILED, {events.REASON: "full"}, 0, False)
    except JournalError:
        before = bench.log.sequence
    for version in range(5):
        bench.board.real_ms += app_module.REFUSAL_EVENT_MS
        assert bench.say(parameter_set(version, STRANGER)) == ["unknown_key"]
    assert bench.log.sequence == before


def test_a_set_that_cannot_be_applied_for_want_of_room_is_taken_when_it_comes_again():
    bench = AppBench(65536)
    versions = []
    bench.run(MINUTE, lambda: bench.say(parameter_set()))
    bench.board.wire.connected = False
    _fill(bench)
    again = parameter_set(2)
    bench.boot().run(
        2 * MINUTE,
        lambda: bench.say(again),
        lambda: bench.say(bench.receipt()),
        lambda: versions.append(bench.app._meter.newest_version),
        lambda: bench.say(again),
    )
    assert versions == [1]
    assert bench.app._meter.parameters[f.SET_VERSION] == 2


# Refusals and requests


def test_a_refused_message_is_said_once_and_not_sent_again():
    bench = _commissioned()
    place = (bench.log.epoch, 3)
    digest = hashlib.sha256(bench.journal.read(*place)).digest()
    refusal = answer(t.REFUSAL, {f.DIGEST: digest, f.REASON: "signature_invalid"}, RECEIPTS)
    assert bench.say(refusal) == []
    for _ in range(5):
        assert bench.say(refusal) == ["refusal_not_ours"]
    assert len(bench.events(events.MESSAGE_REFUSED)) == 1
    bench.app._delivery.hurry()
    bench.board.wire.sent.clear()
    asyncio.run(_deliver(bench))
    sent = []
    for typ in (t.IDENTITY, t.EVENT, t.READINGS):
        sent.extend([fields[f.SEQUENCE] for fields in bench.board.wire.messages(typ)])
    assert 2 in sent and 4 in sent and 3 not in sent


def test_forged_refusals_skip_nothing():
    bench = _commissioned()
    digest = hashlib.sha256(bench.journal.read(bench.log.epoch, 3)).digest()
    body = {f.DIGEST: digest, f.REASON: "signature_invalid"}
    _refused_and_unchanged(bench, answer(t.REFUSAL, body, STRANGER), "unknown_key")
    _refused_and_unchanged(bench, _flipped(answer(t.REFUSAL, body, RECEIPTS), -1), "signature_invalid")
    body[f.DIGEST] = b"\x07" * 32
    _refused_and_unchanged(bench, answer(t.REFUSAL, body, RECEIPTS), "refusal_not_ours")


def test_resend_requests_that_nobody_made_move_nothing():
    bench = _commissioned()
    body = {f.EPOCH: bench.log.epoch, f.SEQUENCE: 1}
    _refused_and_unchanged(bench, answer(t.RESEND_REQUEST, body, STRANGER), "unknown_key")
    _refused_and_unchanged(bench, _flipped(answer(t.RESEND_REQUEST, body, RECEIPTS), -1), "signature_invalid")
    body[f.METER] = STRANGER.thumbprint
    _refused_and_unchanged(bench, answer(t.RESEND_REQUEST, body, RECEIPTS), "not_for_us")
    body[f.METER], body[f.SEQUENCE] = METER.thumbprint, bench.log.sequence + 1
    _refused_and_unchanged(bench, answer(t.RESEND_REQUEST, body, RECEIPTS), "resend_of_nothing")


def test_a_request_for_what_is_gone_is_answered_once():
    bench = _commissioned()
    request = answer(t.RESEND_REQUEST, {f.EPOCH: b"\x99" * 8, f.SEQUENCE: 7}, RECEIPTS)
    for _ in range(20):
        bench.say(request)
    assert len(bench.events(events.RESEND_UNAVAILABLE)) == 1


def test_no_answer_of_a_gateway_fails_while_everything_is_full():
    bench = AppBench(65536)
    bench.run(2 * MINUTE, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()))
    _fill(bench)
    digest = hashlib.sha256(bench.journal.read(bench.log.epoch, 3)).digest()
    refusal = answer(t.REFUSAL, {f.DIGEST: digest, f.REASON: "signature_invalid"}, RECEIPTS)
    gone = answer(t.RESEND_REQUEST, {f.EPOCH: b"\x99" * 8, f.SEQUENCE: 7}, RECEIPTS)
    assert bench.say(refusal, gone) == ["journal_full"]
    assert bench.say(parameter_set(2, STRANGER)) == ["unknown_key"]
    bench.boot()
    assert bench.say(bench.receipt()) == []
    # Now there is room, and what could not be said is said when it is asked again.
    assert bench.say(gone) == []
    assert len(bench.events(events.RESEND_UNAVAILABLE)) == 1


# Bounds


def test_what_is_too_large_or_too_many_is_dropped_whole():
    bench = _commissioned()
    _refused_and_unchanged(bench, bytes(8193), "cose_too_large")
    _refused_and_unchanged(bench, b"\xd2\x84\x40\xa0\x40\x40" * 17, "cose_too_many_messages")
    _refused_and_unchanged(bench, b"\xd2\x84\x40\xa0\x40\x40" * 300, "cose_too_many_messages")


def test_one_bad_message_does_not_spoil_its_neighbours():
    bench = _commissioned()
    frame = bench.receipt(1) + parameter_set(1) + bench.receipt(2)
    assert bench.say(frame) == ["parameters_not_newer"]
    assert bench.journal.first_unreceipted == (bench.log.epoch, 3)


def test_only_what_a_gateway_may_say_acts():
    bench = _commissioned()
    for raw in (bench.journal.head[2], bench.journal.read(bench.log.epoch, 0)):
        _refused_and_unchanged(bench, raw, "type_not_allowed")
    request = METER.seal(
        t.TIME_REQUEST,
        {
            f.VERSION: 1,
            f.TIME_MS: 0,
            f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
            f.CLOCK_UNCERTAINTY_MS: None,
            f.METER: METER.thumbprint,
            f.NONCE: bytes(16),
        },
    )[0]
    _refused_and_unchanged(bench, request, "type_not_allowed")


def test_a_flood_of_stale_and_foreign_messages_costs_no_signature_and_no_memory():
    bench = _commissioned()
    newest = bench.receipt()
    bench.say(newest)
    bench.app._delivery._outstanding = []
    flood = [newest, bench.receipt(2), bench.receipt(3, STRANGER), bench.receipt(3, meter=STRANGER.thumbprint)]
    flood += [bench.time_reply(nonce=b"x" * 16), parameter_set(1), bytes(2000)]
    verify, calls = p256.verify, []
    p256.verify = lambda *arguments: calls.append(1)
    try:
        bench.say(*flood)
        used, kinds = heap(), len(bench.inbox.refused)
        for _ in range(300):
            bench.say(*flood)
        assert heap() - used < 1024
        assert len(bench.inbox.refused) == kinds
    finally:
        p256.verify = verify
    assert calls == []


# Faults that must end the app, and faults that must not


def test_a_failing_flash_ends_the_app_and_a_boot_recovers():
    bench = _commissioned().boot()

    def fail(*arguments):
        raise JournalError("journal_io")

    append = bench.journal.append
    bench.journal.append = fail
    try:
        bench.run(bench.board.clock.now + MINUTE)
        raise AssertionError("it went on without measuring")
    except JournalError as error:
        assert error.reason == "journal_io"
    bench.journal.append = append
    readings = len(bench.readings())
    bench.boot().run(bench.board.clock.now + 2 * MINUTE)
    assert len(bench.readings()) > readings


def test_a_link_that_cannot_take_a_frame_ends_nothing():
    bench = _commissioned().boot()
    bench.board.wire.largest = 512
    readings = len(bench.readings())
    bench.run(bench.board.clock.now + 2 * MINUTE)
    assert len(bench.readings()) > readings


def test_a_receipt_that_overtakes_the_acknowledgement_leaves_nothing_outstanding():
    bench = _commissioned()
    bench.app._delivery.hurry()
    wire = bench.board.wire

    async def send(frame):
        # The gateway's receipt comes in before the broker's PUBACK.
        bench.say(bench.receipt())
        await asyncio.sleep_ms(10)
        return True

    wire.send = send
    asyncio.run(_deliver(bench))
    assert bench.app._delivery.drained
    assert bench.app._delivery._outstanding == []
