"""What the updater takes and refuses, and what it asks for and when."""

from update_bench import IMAGE_BYTES, MOUNT, STRANGER, Meter, Update, damage, pack, refusals, release

from meter_firmware import update
from meter_firmware.software import GOLDEN

FIRST = Update(5, pack(release(1)))
SECOND = Update(6, pack(release(2)))

# Offers


def test_an_offer_is_refused_for_what_is_wrong_with_it_and_said_once():
    meter = Meter()
    image = pack(release(1))
    for reason, offer in (
        ("unknown_key", Update(1, image, STRANGER)),
        ("update_not_for_us", Update(1, image, vendor=b"w" * 16)),
        ("update_not_for_us", Update(1, image, board_class=b"w" * 16)),
        ("update_space", Update(1, bytes(IMAGE_BYTES + 1))),
    ):
        before = len(refusals(meter))
        for _ in range(3):
            assert meter.life.refused(offer.manifest) == reason
        assert refusals(meter)[before:] == [reason]
        meter.life.turn()
        assert meter.life.services.asked == []
    forged = bytearray(FIRST.manifest)
    forged[-1] ^= 1
    assert meter.life.refused(bytes(forged)) == "signature_invalid"
    assert meter.life.refused(Update(1, bytes(IMAGE_BYTES)).manifest) is None


def test_what_no_room_was_for_is_said_when_it_is_refused_again():
    meter = Meter()
    offer = Update(1, pack(release(1)), vendor=b"w" * 16)
    meter.life.services.has_room = False
    meter.life.refused(offer.manifest)
    meter.life.services.has_room = True
    meter.life.refused(offer.manifest)
    assert refusals(meter) == ["update_not_for_us"]


def test_only_forward_unless_the_authority_says_so():
    meter = Meter().update(SECOND)
    image = pack(release(3))
    for sequence, downgrade_from, taken in (
        (6, None, False),
        (5, None, False),
        (5, 5, False),
        (1, 6, True),
        (5, 7, True),
        (7, None, True),
    ):
        reason = meter.life.refused(Update(sequence, image, downgrade_from=downgrade_from).manifest)
        assert reason == (None if taken else "update_not_newer"), sequence
        meter.life.updater._staging.end()
        meter.life.updater._offer = None
    # What runs is offered until the gateway knows that it runs: no event.
    said = len(refusals(meter))
    assert meter.life.refused(SECOND.manifest) == "update_not_newer"
    assert len(refusals(meter)) == said


def test_what_was_taken_back_does_not_come_again():
    meter = Meter().update(SECOND).update(Update(5, pack(release(1)), downgrade_from=6))
    assert meter.life.slots.floor == 6
    assert meter.boot().refused(SECOND.manifest) == "update_not_newer"
    assert meter.life.slots.previous is None
    assert meter.life.refused(Update(7, pack(release(2))).manifest) is None


def test_nothing_between_comes_again_either():
    third = Update(7, pack(release(3)))
    back = Update(5, pack(release(1)), downgrade_from=7)
    meter = Meter().update(FIRST).update(SECOND).update(third).update(back)
    for lost in (None, "a", "b"):
        if lost is not None and meter.life.running == lost:
            damage("board.mpy", lost)
            assert meter.boot().running == GOLDEN
        for offer in (FIRST, SECOND, third):
            assert meter.life.refused(offer.manifest) == "update_not_newer", lost
    # What the authority went back to may be fetched anew, and what is newer than all.
    meter.update(back)
    assert meter.life.refused(third.manifest) == "update_not_newer"
    meter.update(Update(8, pack(release(4))))
    assert meter.life.refused(back.manifest) == "update_not_newer"


def test_a_way_back_is_held_against_the_highest_that_was_ever_proven():
    meter = Meter().update(FIRST).update(SECOND)
    damage("board.mpy", meter.life.running)
    assert meter.boot().software_id == FIRST.digest
    old = Update(4, pack(release(3)), downgrade_from=5)
    assert meter.life.refused(old.manifest) == "update_not_newer"
    assert meter.life.refused(SECOND.manifest) is None


def test_a_newer_offer_takes_the_place_of_one_on_its_way():
    meter = Meter()
    assert meter.life.refused(FIRST.manifest) is None
    meter.life.turn()
    assert meter.life.chunk_refused(FIRST.chunk(0)) is None
    assert meter.life.refused(SECOND.manifest) is None
    assert meter.life.updater._staging.received == 0
    assert meter.life.refused(FIRST.manifest) == "update_not_newer"
    assert meter.life.refused(SECOND.manifest) is None
    meter.life.services.asked.clear()
    meter.life.fetch(SECOND)
    assert meter.boot().software_id == SECOND.digest


def test_nothing_is_taken_while_new_software_is_on_trial():
    meter = Meter()
    meter.install(FIRST)
    assert meter.life.refused(SECOND.manifest) == "update_not_newer"
    assert refusals(meter) == []
    meter.prove()
    assert meter.life.refused(SECOND.manifest) is None


# Chunks


def test_only_the_chunk_that_was_asked_for():
    meter = Meter()
    life = meter.life
    assert life.chunk_refused(FIRST.chunk(0)) == "update_unsolicited"
    life.refused(FIRST.manifest)
    assert life.chunk_refused(FIRST.chunk(0)) == "update_unsolicited"
    life.turn()
    assert life.services.asked == [(FIRST.digest, 0)]
    assert life.chunk_refused(FIRST.chunk(1)) == "update_unsolicited"
    assert life.chunk_refused(FIRST.chunk(0, digest=b"d" * 32)) == "update_unsolicited"
    assert life.chunk_refused(FIRST.chunk(0, meter=b"m" * 32)) == "not_for_us"
    assert life.chunk_refused(FIRST.chunk(0, STRANGER)) == "unknown_key"
    for wrong in (FIRST.chunks[0][:-1], b"\xff" + FIRST.chunks[0][1:], FIRST.chunks[0] + b"x"):
        assert life.chunk_refused(FIRST.chunk(0, chunk=wrong)) == "update_image"
    assert life.updater._staging.received == 0
    assert life.chunk_refused(FIRST.chunk(0)) is None
    assert life.chunk_refused(FIRST.chunk(0)) == "update_unsolicited"
    assert life.updater._staging.received == len(FIRST.chunks[0])


def test_a_request_without_an_answer_is_repeated_at_growing_distances():
    meter = Meter()
    services = meter.life.services
    meter.life.refused(FIRST.manifest)
    times = []
    for services.now_ms in range(0, 1000000, 5000):
        asked = len(services.asked)
        meter.life.turn()
        if len(services.asked) > asked:
            times.append(services.now_ms)
    assert services.asked == [(FIRST.digest, 0)] * len(times)
    gaps = [times[number + 1] - times[number] for number in range(len(times) - 1)]
    assert gaps == [10000, 20000, 40000, 80000, 160000, 300000, 300000]
    # The offer again is a sign of life.
    meter.life.refused(FIRST.manifest)
    services.now_ms = times[-1] + 10000
    meter.life.turn()
    assert len(services.asked) == len(times) + 1


def test_nothing_is_asked_of_a_link_that_is_down():
    meter = Meter()
    meter.life.refused(FIRST.manifest)
    meter.life.services.connected = False
    meter.life.turn()
    assert meter.life.services.asked == []


def test_a_download_goes_on_at_the_next_boot():
    meter = Meter()
    meter.life.refused(FIRST.manifest)
    meter.life.turn()
    meter.life.chunk_refused(FIRST.chunk(0))
    meter.boot().turn()
    assert meter.life.services.asked == [(FIRST.digest, 1)]
    assert meter.life.refused(FIRST.manifest) is None
    meter.life.services.asked.clear()
    meter.life.updater._asked = None
    meter.life.fetch(FIRST)
    assert meter.boot().software_id == FIRST.digest


def test_a_stored_offer_that_rotted_is_dropped():
    meter = Meter()
    meter.life.refused(FIRST.manifest)
    meter.life.updater._staging._memory.write("offered", FIRST.manifest[:-1] + b"x")
    meter.boot().turn()
    assert meter.life.services.asked == []
    assert meter.life.refused(FIRST.manifest) is None


def test_what_the_flash_lost_of_a_download_is_fetched_again_and_not_for_ever():
    meter = Meter()
    life = meter.life
    life.refused(FIRST.manifest)
    for fetches in range(1, update.MAX_FETCHES + 1):
        for index in range(len(FIRST.chunks)):
            life.turn()
            assert life.services.asked.pop() == (FIRST.digest, index)
            life.chunk_refused(FIRST.chunk(index))
        path = MOUNT + "/update/image"
        with open(path, "rb") as file:
            content = file.read()
        with open(path, "wb") as file:
            file.write(b"\x00" + content[1:])
        life.turn()
        assert life.updater._offer is None or fetches < update.MAX_FETCHES
    life.turn()
    assert refusals(meter) == ["update_image"]
