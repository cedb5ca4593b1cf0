"""Images on their way into a slot: what is none, what the flash does to it, and what else goes on meanwhile."""

import asyncio
import os

from update_bench import MOUNT, Meter, Update, damage, pack, refusals, release

from meter_firmware.software import GOLDEN

FIRST = Update(5, pack(release(1)))
SECOND = Update(6, pack(release(2)))


def test_an_image_that_is_not_the_manifests_is_refused_for_good():
    image = pack(release(1))
    for offer in (
        Update(1, image, digest=b"d" * 32),
        Update(1, pack(release(1)[::-1])),
        Update(1, pack([("../evil", b"x")] + release(1))),
        Update(1, b"no image"),
    ):
        meter = Meter()
        assert meter.life.refused(offer.manifest) is None
        meter.life.fetch(offer)
        assert not meter.life.updater.restart_wanted
        assert refusals(meter) == ["update_image"]
        assert meter.boot().refused(offer.manifest) == "update_image"
        assert meter.life.running == GOLDEN
        # The next one is not kept from its turn.
        assert meter.life.refused(Update(2, image).manifest) is None


def fill_the_flash(blocks_left):
    """With files of two blocks each, of which so many blocks are given back; what is in the way is not ours."""
    names = []
    try:
        while True:
            names.append(MOUNT + "/full%d" % len(names))
            with open(names[-1], "wb") as file:
                file.write(b"m" * 1024)
    except OSError:
        pass
    for name in names[: blocks_left // 2]:
        os.remove(name)
    return names


def test_what_it_could_go_back_to_is_given_up_only_for_a_good_image():
    meter = Meter().update(FIRST).update(SECOND)
    for offer in (Update(7, pack(release(3)), digest=b"d" * 32), Update(8, pack(release(3)[::-1]))):
        assert meter.life.refused(offer.manifest) is None
        meter.life.fetch(offer)
        assert refusals(meter)[-1] == "update_image"
    damage("board.mpy", "b")
    assert meter.boot().software_id == FIRST.digest


def test_a_flash_without_room_refuses_and_goes_on():
    offer = Update(1, pack(release(1, 1200)))
    reached = set()
    for blocks_left in range(2, 40, 2):
        meter = Meter()
        names = fill_the_flash(blocks_left)
        asked = meter.life.services.asked
        if meter.life.refused(offer.manifest) is None:
            meter.life.turn()
            while asked and meter.life.chunk_refused(offer.chunk(asked[-1][1])) is None:
                asked.pop()
                meter.life.turn()
        if meter.life.updater.restart_wanted:
            reached.add("trial")
            continue
        reached.add("no room for the slot" if meter.life.slots.failed and not asked else "no room for the image")
        meter.life.turn()
        assert refusals(meter) == ["update_space"], blocks_left
        # Nothing of it is left, and the next one has its turn as soon as there is room.
        assert "a" not in os.listdir(MOUNT + "/update")
        assert meter.life.updater._staging.received == 0
        for name in names[10:]:
            os.remove(name)
        meter.boot().refused(SECOND.manifest)
        meter.life.fetch(SECOND)
        assert meter.life.updater.restart_wanted
    assert len(reached) > 2, reached


def breaking(function, error):
    """`function` as it is when the flash, or the memory, fails once."""
    failures = [error]

    def wrapper(*arguments):
        if failures:
            raise failures.pop()
        return function(*arguments)

    return wrapper


def test_a_download_that_cannot_be_read_is_fetched_again():
    meter = Meter()
    life = meter.life
    life.refused(FIRST.manifest)
    life.updater._staging.read = breaking(life.updater._staging.read, OSError(84))
    life.fetch(FIRST)
    assert life.services.asked.pop() == (FIRST.digest, 0)
    life.updater._asked = None
    life.fetch(FIRST)
    assert life.updater.restart_wanted
    assert meter.boot().software_id == FIRST.digest


def test_an_installation_that_fails_is_not_begun_again_at_every_boot():
    for error, reason in (
        (OSError(5), "update_image"),
        (OSError(28), "update_space"),
        (MemoryError(), "update_space"),
    ):
        meter = Meter()
        life = meter.life
        life.refused(FIRST.manifest)
        life.updater._fill = breaking(life.updater._fill, error)
        life.fetch(FIRST)
        assert not life.updater.restart_wanted
        life.turn()
        assert refusals(meter) == [reason]
        assert meter.boot().updater._staging.received == 0
        assert meter.life.refused(FIRST.manifest) == reason
        assert meter.life.refused(SECOND.manifest) is None


def test_a_chunk_that_cannot_be_written_ends_the_download():
    meter = Meter()
    life = meter.life
    life.refused(FIRST.manifest)
    life.turn()
    life.updater._staging.add = breaking(life.updater._staging.add, OSError(5))
    assert life.chunk_refused(FIRST.chunk(0)) == "update_image"
    life.turn()
    assert refusals(meter) == ["update_image"]


def test_an_offer_that_cannot_be_written_is_refused():
    meter = Meter()
    meter.life.updater._staging.begin = breaking(meter.life.updater._staging.begin, OSError(5))
    assert meter.life.refused(FIRST.manifest) == "update_image"
    assert refusals(meter) == ["update_image"]
    assert meter.life.refused(FIRST.manifest) is None


def test_an_image_is_given_up_though_its_remains_cannot_be_removed():
    meter = Meter()
    life = meter.life
    life.refused(FIRST.manifest)
    filling = life.slots.filling

    def fill_and_break(slot, entries, read):
        for step in filling(slot, entries, read):
            yield step
            life.slots.emptying = breaking(life.slots.emptying, OSError(5))
            raise OSError(5)

    life.slots.filling = fill_and_break
    life.fetch(FIRST)
    life.turn()
    assert refusals(meter) == ["update_image"]
    meter.boot()
    assert meter.life.refused(SECOND.manifest) is None
    meter.life.fetch(SECOND)
    assert meter.boot().software_id == SECOND.digest


def test_the_loop_turns_while_an_image_is_installed():
    image = pack(release(1, 2500))
    meter = Meter().update(Update(1, image)).update(Update(2, image))
    offer = Update(3, pack(release(3, 2500)))
    life = meter.life
    life.refused(offer.manifest)
    turns = []

    async def others():
        while True:
            turns.append(1)
            await asyncio.sleep_ms(0)

    async def fetch():
        task = asyncio.create_task(others())
        while not life.updater.restart_wanted:
            for _, index in life.services.asked:
                life.updater.take_chunk(offer.chunk(index))
            life.services.asked.clear()
            del turns[:]
            await life.updater._turn()
        task.cancel()

    asyncio.run(fetch())
    # Each file that is removed; each chunk verified; each 2 KiB copied; each 1 KiB read back, twice.
    assert len(turns) >= 3 + len(offer.chunks) + 3 * 2 + 2 * 3 * 3, len(turns)
