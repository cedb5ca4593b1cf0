"""Updates of the real firmware in a process of its own: fetched, interrupted, tried, proven, rolled back, refused.

The golden copy is a copy of this checkout; images are its .mpy files with a change. A process that ends with code
3 is started again, as a board that resets itself starts again.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from meter_site import PROJECT, Key, Site, now_ms, until
from update_image import Edits, Update, edited, pack, release

from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t

pytestmark = pytest.mark.long

RESTART_CODE = 3
ATTEMPTS = 3
NEW: Edits = {"meter_firmware/app.py": ('"sealed %d sent', '"new software sealed %d sent')}
NEWER: Edits = {"meter_firmware/app.py": ('"sealed %d sent', '"newer software sealed %d sent')}


class UpdateSite(Site):
    """A commissioned meter, and a gateway that has an update for it."""

    offered: Update | None = None
    asked: list[int]
    withheld = False

    def offer(self, update: Update) -> None:
        self.asked = []
        self.offered = update
        self.gateway.take_image_request = self.hand_out
        self.gateway.say(update.manifest)

    def hand_out(self, fields: dict[int, Any]) -> None:
        assert self.offered is not None
        index = fields[f.CHUNK_INDEX]
        assert fields[f.DIGEST] == self.offered.digest
        self.asked.append(index)
        if not self.withheld:
            self.say_chunk(index, self.offered.chunks[index])

    def say_chunk(self, index: int, chunk: bytes, key: Key | None = None) -> None:
        assert self.offered is not None
        body = {f.DIGEST: self.offered.digest, f.CHUNK_INDEX: index, f.CHUNK: chunk}
        self.gateway.answer(key or self.gateway.receipts, t.IMAGE_CHUNK, body)

    def update(self, sequence: int, edits: Edits, other: dict[int, Any] | None = None) -> Update:
        return Update(self.gateway.updates, sequence, pack(edited(edits)), other)

    async def watch(self, done: Any, what: str) -> None:
        """Until it is done, with the meter's power on: what restarts itself starts again."""

        def look() -> bool:
            code = self.exit_code()
            assert code in (None, RESTART_CODE), self.console()
            if code == RESTART_CODE:
                self.start()
            return bool(done())

        await until(look, what)

    async def install(self, update: Update) -> None:
        """Over to this software, and its health proven."""
        self.offer(update)
        await self.watch(
            lambda: len(self.details(events.FIRMWARE_UPDATED)) > 0 and self.runs(update), "the update"
        )

    def details(self, code: int) -> list[dict[int, Any]]:
        found = [fields for typ, fields in self.gateway.messages() if typ == t.EVENT]
        return [fields[f.DETAILS] for fields in found if fields[f.EVENT_CODE] == code]

    def running(self) -> bytes:
        software: bytes = self.details(events.BOOT)[-1][events.SOFTWARE_ID]
        return software

    def runs(self, update: Update) -> bool:
        updated = self.details(events.FIRMWARE_UPDATED)
        return self.running() == update.digest and updated[-1][events.SOFTWARE_ID] == update.digest

    def refusals(self) -> list[tuple[str, bytes]]:
        return [(said[events.REASON], said[events.DIGEST]) for said in self.details(events.UPDATE_REFUSED)]

    def boots(self) -> int:
        """How many have come to the label, which is after what they run."""
        return self.console().count("thumbprint")

    async def restart(self) -> None:
        boots = len(self.details(events.BOOT))
        self.kill()
        self.start()
        await self.watch(lambda: len(self.details(events.BOOT)) > boots, "the boot")


FIRMWARE = ("firmware/meter_sampling", "firmware/meter_firmware", "firmware/meter_loader")


def copy_of_this_checkout(copy: Path) -> Path:
    """The golden copy does not change under a running test."""
    for part in ("protocol/meter_protocol", *FIRMWARE, "boards/unix"):
        shutil.copytree(PROJECT / part, copy / part)
    return copy


@pytest_asyncio.fixture
async def site(tmp_path: Path, micropython: Path) -> AsyncIterator[UpdateSite]:
    opened = UpdateSite(tmp_path, micropython)
    opened.checkout = copy_of_this_checkout(tmp_path / "checkout")
    began = now_ms()
    await opened.open(lambda _: 5000 + now_ms() - began)
    await opened.commission(1, 250)
    await until(lambda: len(opened.gateway.chains) == 1 and len(opened.gateway.readings()) >= 2, "readings")
    yield opened
    await opened.close()


async def test_new_software_is_fetched_tried_and_proven(site: UpdateSite) -> None:
    golden = site.running()
    update = site.update(1, NEW)
    await site.install(update)
    # Each chunk was asked for once, in their order.
    assert site.asked == list(range(len(update.chunks)))
    assert site.details(events.FIRMWARE_UPDATED) == [
        {
            events.SOFTWARE_ID: update.digest,
            events.SOFTWARE_BEFORE: golden,
            events.MANIFEST: update.manifest,
        }
    ]
    # The registers, the key, the parameters and the chain go on: `readings` has followed every link.
    readings = len(site.gateway.readings())
    await site.watch(lambda: len(site.gateway.readings()) > readings + 2, "readings")
    assert set(site.gateway.totals()) <= {80 * shown for shown in site.shown}
    # Between two intervals the instrument is read again: the two are equal when one has just come.
    await site.watch(lambda: site.gateway.totals()[-1] == 80 * site.shown[-1], "the total that was shown last")
    summary = await site.stop()
    assert summary.startswith("new software sealed")
    assert site.gateway.forged == site.gateway.foreign == 0


async def test_kill_after_kill_nothing_is_fetched_twice(site: UpdateSite) -> None:
    update = site.update(1, NEW)
    site.withheld = True
    site.offer(update)
    for _ in range(4):
        # A chunk is asked for again only because the one before it went unanswered.
        asked = len(site.asked)
        await site.watch(lambda asked=asked: len(site.asked) > asked, "a request")
        for _ in range(3):
            latest = site.asked[-1]
            site.say_chunk(latest, update.chunks[latest])
            await site.watch(lambda latest=latest: site.asked[-1] == latest + 1, "the next request")
        site.kill()
        site.gateway.hang_up()
        await asyncio.sleep(0.1)
        site.start()
    site.withheld = False
    await site.watch(lambda: site.running() == update.digest, "the new software")
    assert sorted(set(site.asked)) == list(range(len(update.chunks)))
    assert len(site.asked) <= len(update.chunks) + 5
    await site.watch(lambda: len(site.details(events.FIRMWARE_UPDATED)) == 1, "the event")


async def test_it_comes_into_force_whatever_is_killed(site: UpdateSite) -> None:
    """SIGKILL at moments spread over the download, the installation and the trial."""
    update = site.update(1, NEW)
    site.offer(update)
    for wait_s in (0.3, 0.5, 0.7, 0.9, 1.1):
        await asyncio.sleep(wait_s)
        if site.console().count("on trial") == ATTEMPTS:
            # A trial that ends once more is the way back.
            break
        boots = site.boots()
        site.kill()
        site.start()
        await site.watch(lambda boots=boots: site.boots() > boots, "a boot")
    await site.watch(lambda: site.details(events.FIRMWARE_UPDATED) and site.runs(update), "the update")
    assert len(site.details(events.FIRMWARE_UPDATED)) == 1
    await site.restart()
    assert site.running() == update.digest


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param(
            {"board.py": ("import board_base\n", "import board_base\nimport nothing_like_it\n")}, id="import"
        ),
        pytest.param(
            {"meter_firmware/app.py": ("    def _boot(self)", "    raise MemoryError\n\n    def _boot(self)")},
            id="load",
        ),
        pytest.param(
            {
                "meter_firmware/update.py": ("HEALTH_MS = 3600000", "HEALTH_MS = 2000"),
                "meter_firmware/update_services.py": ("return first is None or (", "return False and ("),
            },
            id="never-healthy",
        ),
    ],
)
async def test_broken_software_is_rolled_back(site: UpdateSite, edits: Edits) -> None:
    golden = site.running()
    update = site.update(1, edits)
    site.offer(update)
    await site.watch(lambda: len(site.details(events.UPDATE_ROLLED_BACK)) == 1, "the way back")
    assert site.details(events.UPDATE_ROLLED_BACK) == [
        {events.SOFTWARE_ID: update.digest, events.REASON: "update_health"}
    ]
    assert site.running() == golden
    assert "software a on trial" in site.console()
    # It is not tried again, and the gateway is told so once.
    site.gateway.say(update.manifest)
    site.gateway.say(update.manifest)
    await site.watch(lambda: site.refusals() == [("update_health", update.manifest_digest)], "the refusal")
    readings = len(site.gateway.readings())
    await site.watch(lambda: len(site.gateway.readings()) > readings, "readings")
    assert not site.details(events.FIRMWARE_UPDATED)


async def test_a_slot_with_one_flipped_bit_is_not_run(site: UpdateSite) -> None:
    golden = site.running()
    first, second = site.update(1, NEW), site.update(2, NEWER)
    await site.install(first)
    await site.install(second)
    assert site.details(events.FIRMWARE_UPDATED)[-1][events.SOFTWARE_BEFORE] == first.digest
    for broken, left in ((second, first.digest), (first, golden)):
        site.kill()
        flip(site.folder / "flash.bin", broken)
        site.start()
        await site.watch(lambda left=left: site.running() == left, "what is left")
        await site.watch(
            lambda broken=broken: (
                site.details(events.UPDATE_ROLLED_BACK)[-1:]
                == [{events.SOFTWARE_ID: broken.digest, events.REASON: "update_image"}]
            ),
            "the event",
        )
    # What the flash lost may come again; what is older may not.
    site.gateway.say(first.manifest)
    await site.watch(lambda: site.refusals() == [("update_not_newer", first.manifest_digest)], "the refusal")
    await site.install(second)
    assert site.running() == second.digest


def flip(flash: Path, update: Update) -> None:
    """A bit of the installed firmware, in the middle of a constant that no other software has."""
    content = bytearray(flash.read_bytes())
    text = b"newer software" if b"newer software" in update.image else b"new software"
    places = [found.start() for found in re.finditer(text, content)]
    assert places
    for place in places:
        content[place] ^= 1
    flash.write_bytes(content)


async def test_only_the_authority_and_only_forward(site: UpdateSite) -> None:
    first, second = site.update(5, NEW), site.update(6, NEWER)
    await site.install(second)
    stranger = Update(Key(), 7, first.image)
    site.gateway.say(stranger.manifest)
    await site.watch(lambda: site.refusals() == [("unknown_key", stranger.manifest_digest)], "the refusal")
    for reason, refused in (
        ("update_not_newer", first),
        ("update_not_for_us", site.update(7, NEW, {f.CLASS_IDENTIFIER: bytes(16)})),
        ("update_not_newer", site.update(5, NEW, {f.DOWNGRADE_FROM: 5})),
    ):
        # Refusals become events at a bounded rate, which a boot begins anew.
        await site.restart()
        site.gateway.say(refused.manifest)
        await site.watch(
            lambda reason=reason, refused=refused: site.refusals()[-1] == (reason, refused.manifest_digest),
            "the refusal",
        )
    back = site.update(5, NEW, {f.DOWNGRADE_FROM: 6})
    await site.install(back)
    # An old recording does not bring back what the authority has taken back.
    await site.restart()
    site.gateway.say(second.manifest)
    await site.watch(lambda: site.refusals()[-1] == ("update_not_newer", second.manifest_digest), "the refusal")
    assert site.running() == back.digest


async def test_chunks_that_are_not_the_images_are_dropped(site: UpdateSite) -> None:
    update = site.update(1, NEW)
    site.withheld = True
    site.offer(update)
    await site.watch(lambda: site.asked == [0], "the first request")
    flipped = bytes([update.chunks[0][0] ^ 1]) + update.chunks[0][1:]
    site.say_chunk(0, flipped)
    site.say_chunk(1, update.chunks[1])
    site.say_chunk(0, update.chunks[0], Key())
    await asyncio.sleep(0.5)
    assert site.asked == [0]
    site.withheld = False
    site.say_chunk(0, update.chunks[0])
    await site.watch(
        lambda: len(site.asked) > 1 and site.details(events.FIRMWARE_UPDATED) and site.runs(update), "the update"
    )
    summary = await site.stop()
    assert "update" not in summary  # of a process that has seen none of it


def test_an_image_holds_what_a_checkout_holds() -> None:
    assert {"board.mpy", "clocks.mpy", "meter_firmware/app.mpy", "meter_protocol/cose.mpy"} <= set(release())
    assert len(pack(release())) < 512 << 10
