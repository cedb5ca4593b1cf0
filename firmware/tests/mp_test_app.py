"""The whole firmware on a board that the test owns: commissioning, refusals and requests, bounds, faults."""

import asyncio
import hashlib

from app_bench import (
    METER,
    RECEIPTS,
    STRANGER,
    AppBench,
    answer,
    commissioned,
    deliver,
    fill,
    flipped,
    parameter_set,
    refused_and_unchanged,
)
from meter_bench import MINUTE, NOON, heap
from update_bench import SITE, Update, pack, release

from meter_firmware import verification
from meter_firmware.refusals import REFUSAL_EVENT_MS
from meter_firmware.watchdog import LATE_LIMIT_MS, STALLED_LIMIT_MS
from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling.journal_error import JournalError

OFFER = Update(1, pack(release(1)))

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
    bench = commissioned()
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
        refused_and_unchanged(bench, raw, "unknown_key")


# Refusals and requests


def test_a_refused_message_is_said_once_and_not_sent_again():
    bench = commissioned()
    place = (bench.log.epoch, 3)
    digest = hashlib.sha256(bench.journal.read(*place)).digest()
    refusal = answer(t.REFUSAL, {f.DIGEST: digest, f.REASON: "signature_invalid"}, RECEIPTS)
    assert bench.say(refusal) == []
    for _ in range(5):
        assert bench.say(refusal) == ["refusal_not_ours"]
    assert len(bench.events(events.MESSAGE_REFUSED)) == 1
    bench.app._delivery.hurry()
    bench.board.wire.sent.clear()
    asyncio.run(deliver(bench))
    sent = []
    for typ in (t.IDENTITY, t.EVENT, t.READINGS):
        sent.extend([fields[f.SEQUENCE] for fields in bench.board.wire.messages(typ)])
    assert 2 in sent and 4 in sent and 3 not in sent


def test_forged_refusals_skip_nothing():
    bench = commissioned()
    digest = hashlib.sha256(bench.journal.read(bench.log.epoch, 3)).digest()
    body = {f.DIGEST: digest, f.REASON: "signature_invalid"}
    refused_and_unchanged(bench, answer(t.REFUSAL, body, STRANGER), "unknown_key")
    refused_and_unchanged(bench, flipped(answer(t.REFUSAL, body, RECEIPTS), -1), "signature_invalid")
    body[f.DIGEST] = b"\x07" * 32
    refused_and_unchanged(bench, answer(t.REFUSAL, body, RECEIPTS), "refusal_not_ours")


def test_resend_requests_that_nobody_made_move_nothing():
    bench = commissioned()
    body = {f.EPOCH: bench.log.epoch, f.SEQUENCE: 1}
    refused_and_unchanged(bench, answer(t.RESEND_REQUEST, body, STRANGER), "unknown_key")
    refused_and_unchanged(bench, flipped(answer(t.RESEND_REQUEST, body, RECEIPTS), -1), "signature_invalid")
    body[f.METER] = STRANGER.thumbprint
    refused_and_unchanged(bench, answer(t.RESEND_REQUEST, body, RECEIPTS), "not_for_us")
    body[f.METER], body[f.SEQUENCE] = METER.thumbprint, bench.log.sequence + 1
    refused_and_unchanged(bench, answer(t.RESEND_REQUEST, body, RECEIPTS), "resend_of_nothing")


def test_a_request_for_what_is_gone_is_answered_once():
    bench = commissioned()
    request = answer(t.RESEND_REQUEST, {f.EPOCH: b"\x99" * 8, f.SEQUENCE: 7}, RECEIPTS)
    for _ in range(20):
        bench.say(request)
    assert len(bench.events(events.RESEND_UNAVAILABLE)) == 1


def test_no_answer_of_a_gateway_fails_while_everything_is_full():
    bench = AppBench(65536)
    bench.run(2 * MINUTE, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()))
    fill(bench)
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
    bench = commissioned()
    refused_and_unchanged(bench, bytes(8193), "cose_too_large")
    refused_and_unchanged(bench, b"\xd2\x84\x40\xa0\x40\x40" * 17, "cose_too_many_messages")
    refused_and_unchanged(bench, b"\xd2\x84\x40\xa0\x40\x40" * 300, "cose_too_many_messages")


def test_one_bad_message_does_not_spoil_its_neighbours():
    bench = commissioned()
    frame = bench.receipt(1) + parameter_set(1) + bench.receipt(2)
    assert bench.say(frame) == ["parameters_not_newer"]
    assert bench.journal.first_unreceipted == (bench.log.epoch, 3)


def test_only_what_a_gateway_may_say_acts():
    bench = commissioned()
    for raw in (bench.journal.head[2], bench.journal.read(bench.log.epoch, 0)):
        refused_and_unchanged(bench, raw, "type_not_allowed")
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
    refused_and_unchanged(bench, request, "type_not_allowed")


def test_a_flood_of_stale_and_foreign_messages_costs_no_signature_and_no_memory():
    bench = commissioned()
    newest = bench.receipt()
    bench.say(newest)
    bench.app._delivery._outstanding = []
    flood = [newest, bench.receipt(2), bench.receipt(3, STRANGER), bench.receipt(3, meter=STRANGER.thumbprint)]
    flood += [bench.time_reply(nonce=b"x" * 16), parameter_set(1), bytes(2000)]
    verify, calls = verification.verify, []
    verification.verify = lambda *arguments: calls.append(1)
    try:
        bench.say(*flood)
        used, kinds = heap(), len(bench.inbox.refused)
        for _ in range(300):
            bench.say(*flood)
        assert heap() - used < 1024
        assert len(bench.inbox.refused) == kinds
    finally:
        verification.verify = verify
    assert calls == []


# Faults that must end the app, and faults that must not


def test_a_failing_flash_ends_the_app_and_a_boot_recovers():
    bench = commissioned().boot()

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
    bench = commissioned().boot()
    bench.board.wire.largest = 512
    readings = len(bench.readings())
    bench.run(bench.board.clock.now + 2 * MINUTE)
    assert len(bench.readings()) > readings


def test_a_receipt_that_overtakes_the_acknowledgement_leaves_nothing_outstanding():
    bench = commissioned()
    bench.app._delivery.hurry()
    wire = bench.board.wire

    async def send(frame):
        # The gateway's receipt comes in before the broker's PUBACK.
        bench.say(bench.receipt())
        await asyncio.sleep_ms(10)
        return True

    wire.send = send
    asyncio.run(deliver(bench))
    assert bench.app._delivery.drained
    assert bench.app._delivery._outstanding == []


# Updates; mp_test_update.py has the rest


def test_a_board_without_updates_takes_no_manifest():
    assert commissioned().say(OFFER.manifest) == ["type_not_allowed"]


def test_an_update_is_asked_for_and_tried_after_the_interval_is_closed():
    bench = AppBench()
    bench.board.update_site = SITE
    bench.boot()
    bench.run(MINUTE, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()))
    bench.boot()
    requests = bench.board.wire.messages

    def hand_out():
        asked = requests(t.IMAGE_REQUEST)[-1]
        assert (asked[f.METER], asked[f.DIGEST]) == (METER.thumbprint, OFFER.digest)
        assert asked[f.TIME_MS] == bench.board.clock.now
        assert bench.say(OFFER.chunk(asked[f.CHUNK_INDEX])) == []

    bench.run(90000, lambda: bench.say(OFFER.manifest), *[hand_out] * len(OFFER.chunks))
    assert bench.app.restart_wanted
    assert [asked[f.CHUNK_INDEX] for asked in requests(t.IMAGE_REQUEST)] == [0, 1]
    assert bench.readings()[-1][f.KIND] != f.KIND_REGULAR


def test_the_image_region_is_in_the_software_id():
    bench = AppBench()
    for region in (b"one", b"two"):
        bench.board.image_region = region
        bench.boot()
    said = [details[events.SOFTWARE_ID] for details in bench.events(events.BOOT)]
    assert len(set(said)) == 3


def test_the_receipt_for_the_boot_event_proves_the_boot():
    bench = AppBench()
    bench.board.update_site = SITE
    bench.run(MINUTE, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()))
    bench.boot()
    epoch, boot = bench.log.boot_place
    assert (epoch, boot) == (bench.log.epoch, bench.log.sequence)
    services = bench.app._make_update_services()
    assert not services.boot_is_receipted()
    assert bench.say(bench.receipt(boot - 1)) == []
    assert not services.boot_is_receipted()
    assert bench.say(bench.receipt(boot)) == []
    assert services.boot_is_receipted()


def test_refused_manifests_are_said_at_a_bounded_rate():
    bench = AppBench()
    bench.board.update_site = SITE
    bench.boot()
    for number in range(20):
        stranger = Update(number + 1, b"x", STRANGER)
        assert bench.say(stranger.manifest) == ["unknown_key"]
    assert len(bench.events(events.UPDATE_REFUSED)) == 1
    bench.board.real_ms += REFUSAL_EVENT_MS
    # What was not said is said when it is offered again, and then no more.
    for _ in range(2):
        bench.say(stranger.manifest)
        bench.board.real_ms += REFUSAL_EVENT_MS
    said = bench.events(events.UPDATE_REFUSED)
    assert len(said) == 2
    assert said[1] == {events.REASON: "unknown_key", events.DIGEST: stranger.manifest_digest}


def test_the_watchdog_is_fed_only_while_samples_are_taken():
    bench = commissioned().boot()
    clock, board = bench.board.clock, bench.board
    fed = []

    def let_a_sample_hang():
        board.energy_bus.answers.clear()
        clock.limit = clock.now + MINUTE

    def much_later():
        clock.now += LATE_LIMIT_MS + MINUTE

    def note():
        fed.append(board.fed)

    bench.run(
        clock.now + 20 * MINUTE,
        lambda: bench.say(bench.time_reply()),
        let_a_sample_hang,
        note,
        much_later,
        note,
        note,
        board.energy_bus.answers.set,
    )
    assert fed[0] > 3, "a sample that takes its time is no fault"
    assert fed[2] == fed[1], "a loop that samples no more is not healthy, however busy it is"
    assert board.fed > fed[2] + 3, "and it was, once it went on"


def test_the_watchdog_is_fed_only_while_what_waits_is_tried_or_the_link_is_down():
    bench = commissioned().boot()
    board = bench.board
    hangs = asyncio.Event()
    fed = []

    async def send(frame):
        await hangs.wait()
        return False

    def much_later():
        board.real_ms += STALLED_LIMIT_MS

    def lose_the_link():
        board.wire.connected = False

    def regain_it_with_nothing_to_send():
        board.wire.connected = True
        assert bench.say(bench.receipt()) == []

    def note():
        fed.append(board.fed)

    board.wire.send = send
    bench.run(
        board.clock.now,
        *(note, note, much_later, note, note),
        *(lose_the_link, note),
        *(regain_it_with_nothing_to_send, much_later, note, note),
        hangs.set,
    )
    assert fed[1] > fed[0], "a message that waits for its turn is no fault"
    assert fed[3] == fed[2], "a link that takes nothing for half an hour is not healthy, though samples go on"
    assert fed[4] > fed[3], "and without a link there is nothing to try"
    assert fed[6] > fed[5], "nor when everything has its receipt"
