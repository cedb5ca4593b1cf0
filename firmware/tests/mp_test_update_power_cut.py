"""Power is cut before, inside and after flash operations of updates: one of the two software always runs.

Slots are folders of the file system, and partitions of flash that the processor reads. By default a sample of the
operations is cut; EXHAUSTIVE=1 cuts every one.
"""

import os
import random

from journal_flash import PowerCut, RamFlash, RomPartitions
from update_bench import GOLDEN_ID, ROM_BLOCKS, Life, Update, codes, pack, power_off, release

from meter_firmware.update import HEALTH_MS
from meter_protocol import events
from meter_protocol import fields as f

BLOCKS, BLOCK_SIZE = 160, 512
MODES = ("before", "torn", "after")

FIRST = Update(1, pack(release(1)))
SECOND = Update(2, pack(release(2) + [("x/y.mpy", b"x" * 700)]))
BROKEN = Update(3, pack(release(3)))
SAID = [events.FIRMWARE_UPDATED, events.FIRMWARE_UPDATED, events.UPDATE_ROLLED_BACK]
_chips = []


def blank():
    """The same memory every time."""
    if not _chips:
        _chips.append(RamFlash(BLOCKS, BLOCK_SIZE))
    for block in range(BLOCKS):
        _chips[0].ioctl(6, block)
    return _chips[0]


class Story:
    """Two updates that prove their health, and one that never does; kept where no power cut reaches it."""

    def __init__(self, in_place):
        self.in_place = in_place
        self.chain = []
        self.answered = []

    def is_over(self):
        return codes(self.chain) == SAID

    def boot(self, device):
        partitions = RomPartitions(device, _chips[0], BLOCKS - ROM_BLOCKS) if self.in_place else None
        life = Life(device, self.chain, partitions)
        self.check(life)
        try:
            self.live(life)
        finally:
            life.end()

    def live(self, life):
        if life.on_trial:
            if life.software_id == BROKEN.digest:
                life.services.now_ms = HEALTH_MS
            life.services.receipted = life.software_id != BROKEN.digest
            life.turn()
            life.turn()
            return
        life.turn()
        if self.is_over():
            return
        offer = (FIRST, SECOND, BROKEN)[len(codes(self.chain))]
        if life.refused(offer.manifest) is None:
            self.fetch(life, offer)

    def fetch(self, life, offer):
        """Like a gateway that answers each request, and notes what is durable at the meter."""
        life.turn()
        while life.services.asked:
            digest, index = life.services.asked.pop(0)
            assert digest == offer.fields[f.IMAGE_DIGEST]
            assert (digest, index) not in self.answered, "asked for what was on flash"
            life.updater.take_chunk(offer.chunk(index))
            self.answered.append((digest, index))
            life.turn()

    def check(self, life):
        """What runs is whole, by the loader's word, and never falls behind what has proven its health."""
        proven = codes(self.chain).count(events.FIRMWARE_UPDATED)
        may_run = [[GOLDEN_ID, FIRST.digest], [FIRST.digest, SECOND.digest], [SECOND.digest, BROKEN.digest]][
            proven
        ]
        if life.slots.unsaid:
            # Decided before the cut, and not yet in the chain.
            may_run.append(SECOND.digest if proven else FIRST.digest)
        assert life.software_id in may_run, (proven, life.running)
        for good in (FIRST, SECOND):
            assert life.slots.reason_of_failure(good.manifest_digest) is None


def tell(device, story, lives=20):
    """Boots until the story is over; whether the power failed."""
    for _ in range(lives):
        try:
            story.boot(device)
        except OSError:
            assert device.dead
        if device.dead:
            power_off()
            return True
        if story.is_over():
            return False
    raise AssertionError("the story does not come to its end")


def operations(in_place):
    device = PowerCut(blank())
    story = Story(in_place)
    assert not tell(device, story)
    assert [details.get(events.SOFTWARE_ID) for code, details in story.chain if code != events.BOOT] == [
        FIRST.digest,
        SECOND.digest,
        BROKEN.digest,
    ]
    return device.operations


def sample(count, wanted):
    if os.getenv("EXHAUSTIVE"):
        return range(count)
    random.seed(20261122)
    return sorted(set([random.randrange(count) for _ in range(wanted)] + [0, 1, count - 1]))


def goes_on(flash, story):
    device = PowerCut(flash)
    assert not tell(device, story)
    # The end holds over another boot, and everything was said once.
    story.boot(device)
    assert codes(story.chain) == SAID
    assert story.chain[-1] == (events.BOOT, {events.SOFTWARE_ID: SECOND.digest})


def cut_once(in_place, wanted):
    count = operations(in_place)
    print(count, "operations")
    for cut_at in sample(count, wanted):
        for mode in MODES:
            flash = blank()
            story = Story(in_place)
            assert tell(PowerCut(flash, cut_at, mode, 1), story)
            goes_on(flash, story)


def cut_twice(in_place, wanted):
    random.seed(20261123)
    count = operations(in_place)
    for _ in range(300 if os.getenv("EXHAUSTIVE") else wanted):
        flash = blank()
        story = Story(in_place)
        tell(PowerCut(flash, random.randrange(count), MODES[random.randrange(3)], 1), story)
        tell(PowerCut(flash, random.randrange(60), MODES[random.randrange(3)], 2), story)
        goes_on(flash, story)


def test_single_cuts():
    cut_once(False, 24)


def test_double_cuts():
    cut_twice(False, 25)


def test_single_cuts_of_slots_in_place():
    cut_once(True, 24)


def test_double_cuts_of_slots_in_place():
    cut_twice(True, 25)
