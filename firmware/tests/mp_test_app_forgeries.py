"""Receipts, times and parameters in the gateway's name: forged, replayed, late, stale, or meant for others."""

import hashlib

from app_bench import (
    AUTHORITY,
    CLOCK,
    METER,
    RECEIPTS,
    STRANGER,
    AppBench,
    answer,
    commissioned,
    fill,
    flipped,
    high_s,
    instrument,
    parameter_set,
    refused_and_unchanged,
)
from meter_bench import MINUTE, NOON

from meter_firmware.refusals import REFUSAL_EVENT_MS
from meter_protocol import cose, events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling.journal_error import JournalError

# Receipts


def test_forged_receipts_free_nothing():
    bench = commissioned()
    good = bench.receipt(3)
    refused_and_unchanged(bench, bench.receipt(3, STRANGER), "unknown_key")
    # A key of another role, an authority's and the meter's own among them.
    for sealer in (CLOCK, AUTHORITY, METER):
        refused_and_unchanged(bench, bench.receipt(3, sealer), "unknown_key")
    refused_and_unchanged(bench, bench.receipt(3, digest=b"\x00" * 32), "receipt_not_ours")
    refused_and_unchanged(bench, bench.receipt(3, epoch=b"\x00" * 8), "receipt_not_ours")
    refused_and_unchanged(bench, bench.receipt(3, meter=STRANGER.thumbprint), "not_for_us")
    refused_and_unchanged(bench, flipped(good, -1), "signature_invalid")
    refused_and_unchanged(bench, high_s(good), "signature_invalid")
    refused_and_unchanged(bench, good[:-64] + bytes(64), "signature_invalid")
    refused_and_unchanged(bench, good[:-1], "cbor_truncated")
    assert bench.say(good) == []


def test_a_receipt_for_more_than_was_sealed_frees_nothing():
    bench = commissioned()
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
    refused_and_unchanged(bench, ahead, "receipt_not_ours")


def test_an_older_and_a_repeated_receipt_do_nothing():
    bench = commissioned()
    older, newer = bench.receipt(2), bench.receipt(4)
    assert bench.say(newer) == []
    bench.app._delivery._outstanding = []
    refused_and_unchanged(bench, newer, "receipt_stale")
    refused_and_unchanged(bench, older, "receipt_stale")


def test_a_receipt_of_the_epoch_before_frees_that_one_only():
    bench = commissioned()
    old = bench.receipt()
    bench.log._memory.remove("epoch")
    bench.boot()
    first = bench.journal.first_unreceipted
    assert first[0] != bench.log.epoch
    assert bench.say(old) == []
    assert bench.journal.first_unreceipted == (bench.log.epoch, 0)
    bench.app._delivery._outstanding = []
    refused_and_unchanged(bench, old, "receipt_stale")


# Time


def test_a_time_reply_sets_the_clock_once():
    bench = AppBench()
    bench.run(MINUTE, lambda: bench.say(parameter_set()))
    bench.ask()
    reply = bench.time_reply()
    assert bench.say(reply) == []
    refused_and_unchanged(bench, reply, "time_reply_unsolicited")


def test_forged_time_replies_set_nothing():
    bench = commissioned()
    refused_and_unchanged(bench, bench.time_reply(nonce=b"x" * 16), "time_reply_unsolicited")
    bench.ask()
    nonce = bench.clock.pending_nonce
    for sealer in (STRANGER, RECEIPTS, AUTHORITY, METER):
        refused_and_unchanged(bench, bench.time_reply(sealer), "unknown_key")
    refused_and_unchanged(bench, bench.time_reply(meter=STRANGER.thumbprint), "not_for_us")
    refused_and_unchanged(bench, bench.time_reply(nonce=b"x" * 16), "time_reply_unsolicited")
    refused_and_unchanged(bench, flipped(bench.time_reply(), -1), "signature_invalid")
    for time_ms in (-(2**63), 0, 2**62):
        refused_and_unchanged(bench, bench.time_reply(time_ms=time_ms), "time_reply_implausible")
    refused_and_unchanged(bench, bench.time_reply(uncertainty_ms=2**62), "time_reply_implausible")
    for status in (f.CLOCK_UNKNOWN, f.CLOCK_RELATIVE):
        reply = bench.time_reply(status=status, uncertainty_ms=None)
        refused_and_unchanged(bench, reply, "time_reply_without_time")
    # None of them spent the challenge.
    assert bench.clock.pending_nonce == nonce
    assert bench.say(bench.time_reply()) == []


def test_a_late_time_reply_sets_nothing_and_is_spent():
    bench = commissioned()
    bench.ask()
    reply = bench.time_reply(time_ms=NOON + 86400000)
    bench.board.clock.now += 10001
    before = bench.clock.time_at(0)
    assert bench.say(reply) == ["time_reply_late"]
    assert bench.say(reply) == ["time_reply_unsolicited"]
    assert bench.clock.time_at(0) == before


def test_an_answer_to_an_older_challenge_is_void():
    bench = commissioned()
    bench.ask()
    old = bench.time_reply()
    bench.ask()
    refused_and_unchanged(bench, old, "time_reply_unsolicited")


def test_the_challenge_is_repeated_until_it_is_answered_and_not_after():
    bench = AppBench()
    bench.run(0, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()), lambda: None)
    assert len(bench.board.wire.messages(t.TIME_REQUEST)) == 1


# Parameters


def test_forged_parameter_sets_change_nothing():
    bench = commissioned()
    good = parameter_set(2)
    for sealer in (STRANGER, RECEIPTS, CLOCK, METER):
        assert bench.say(parameter_set(2, sealer)) == ["unknown_key"]
    assert bench.say(flipped(good, -1)) == ["signature_invalid"]
    assert bench.say(high_s(good)) == ["signature_invalid"]
    assert bench.app._meter.newest_version == 1
    assert bench.say(good) == []
    assert bench.app._meter.newest_version == 2


def test_a_set_for_another_meter_and_the_set_in_force_are_no_event():
    bench = commissioned()
    refused_and_unchanged(bench, parameter_set(2, meter=STRANGER.thumbprint), "not_for_us")
    refused_and_unchanged(bench, parameter_set(1), "parameters_not_newer")
    refused_and_unchanged(bench, parameter_set(0), "parameters_not_newer")


def test_a_set_for_a_bus_that_is_not_there_is_refused():
    bench = commissioned()
    assert bench.say(parameter_set(2, instruments=[instrument(bus="bus9")])) == ["parameters_bus"]
    assert bench.events(events.PARAMETERS_REFUSED)[0][events.REASON] == "parameters_bus"


def test_an_older_set_does_not_take_the_place_of_one_that_waits():
    bench = commissioned()
    assert bench.say(parameter_set(3)) == []
    assert bench.say(parameter_set(2)) == ["parameters_not_newer"]
    assert bench.app._meter.newest_version == 3


def test_a_stored_set_that_the_board_cannot_serve_any_more_does_not_stop_it():
    bench = commissioned()
    bench.board.bus = lambda name: {}[name]
    bench.boot()
    assert bench.app._meter.parameters is None
    assert bench.events(events.PARAMETERS_REFUSED)[0][events.REASON] == "parameters_bus"


def test_a_stored_set_that_is_none_is_taken_from_the_chain():
    bench = commissioned()
    bench.log._memory.write("parameters", b"\xff" * 40)
    bench.boot()
    assert bench.app._meter.parameters[f.SET_VERSION] == 1
    assert bench.say(parameter_set(1)) == ["parameters_not_newer"]


def test_refusals_are_said_at_a_bounded_rate():
    bench = commissioned()
    before = bench.log.sequence
    for version in range(50):
        bench.say(parameter_set(version, STRANGER))
    assert bench.log.sequence == before + 1
    bench.board.real_ms += REFUSAL_EVENT_MS
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
        bench.board.real_ms += REFUSAL_EVENT_MS
        assert bench.say(parameter_set(version, STRANGER)) == ["unknown_key"]
    assert bench.log.sequence == before


def test_a_set_that_cannot_be_applied_for_want_of_room_is_taken_when_it_comes_again():
    bench = AppBench(65536)
    versions = []
    bench.run(MINUTE, lambda: bench.say(parameter_set()))
    bench.board.wire.connected = False
    fill(bench)
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
