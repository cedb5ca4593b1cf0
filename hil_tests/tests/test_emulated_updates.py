"""Updates of the shipping image in QEMU: made by the maker's commands, fetched over the line, run where they lie.

What the Robot suites cannot say without knowing the board is here: the partitions of its flash, power cuts inside
of what is written there, and what an update takes of its heap.
"""

import hashlib
import itertools
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hil_tests.keywords.verification import Message, open_message
from hil_tests.platforms import qemu
from hil_tests.tests.test_emulated_stm32 import Site, image
from hil_tests.tests.waiting import wait_until
from meter_gateway import image as images
from meter_protocol import cose, events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.schema import MAX_CHUNK
from meter_tools.boards import emulator
from meter_tools.boards.description import find
from meter_tools.boards.software_id import software_id
from meter_tools.demo.documents import cose_key
from meter_tools.mpycross import compiled

pytestmark = pytest.mark.long

__all__ = ["image"]

CARBONMETER = Path(sys.executable).parent / "carbonmeter"
PATIENCE_S = 300
"""QEMU gives a UART byte after byte, each through its main loop: 200 KB take half a minute on an idle machine."""

OFFER_S = 5

ATTEMPTS = 3
"""Boots of a trial (meter_firmware.slots)."""

MODULES = ("board", "meter_firmware/app", "meter_protocol/cose")
"""Without these an image is none."""

ROMFS = b"\xd2\xcd\x31"
SLOT_BYTES = emulator.SLOTS_BYTES // 2


class Maker:
    """The update authority at its desk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = folder / "updates.pem"
        carbonmeter("authority", "init", self._key, "--for", "updates")
        self.cose_key = cose_key((folder / "updates.pub.pem").read_bytes())

    def build(self) -> bytes:
        """This checkout's software."""
        path = self._folder / "image.bin"
        carbonmeter("update", "build", "--board", qemu.BOARD, "--out", path)
        return path.read_bytes()

    def build_broken(self, code: str) -> bytes:
        """Software of three modules, the smallest that a meter takes; `code` is what its firmware does."""
        source, files = self._folder / "source.py", {}
        for name in MODULES:
            source.write_text(code if name == "meter_firmware/app" else "def board():\n    return None\n")
            files[f"{name}.mpy"] = compiled(source, f"{name}.py")
        # As large as takes the slot a few dozen writes.
        files["meter_firmware/data.bin"] = random.Random(code).randbytes(3 * MAX_CHUNK)
        return images.build(files)

    def sign(self, software: bytes, sequence: int) -> bytes:
        path, manifest = self._folder / "image.bin", self._folder / "update.cose"
        path.write_bytes(software)
        carbonmeter(
            "update", "sign", "--image", path, "--sequence", str(sequence), "--version", "next",
            "--vendor", "carbonmeter.example", "--model", qemu.BOARD, "--key", self._key, "--out", manifest,
        )  # fmt: skip
        return manifest.read_bytes()


def carbonmeter(*arguments: str | Path) -> None:
    subprocess.run([CARBONMETER, *arguments], check=True, capture_output=True)


class UpdateSite(Site):
    """A commissioned meter, and a gateway that has an update for it."""

    def __init__(self, folder: Path, maker: Maker) -> None:
        super().__init__(folder, (maker.cose_key,))
        self._maker = maker
        self._software = b""
        self.asked: list[int] = []
        self.held_back: int | None = None
        """The chunk that does not come."""

        self.gateway.take_alone = self._hand_out

    def parameters(self) -> dict[int, Any]:
        """With few intervals, so that their receipts leave the line to the image."""
        return super().parameters() | {f.INTERVAL_S: 10, f.SAMPLE_PERIOD_MS: 5000}

    def commission(self) -> None:
        self.board.power_on()
        self.boot(1)
        self.provision()
        self.regular_readings()

    def offer(self, software: bytes, sequence: int) -> None:
        """Until the meter asks for it, as the gateway does: a reset of the board loses what is on the line."""
        self._software, manifest = software, self._maker.sign(software, sequence)
        asked = len(self.asked)
        while len(self.asked) == asked:
            self.gateway.send(manifest)
            offered_s = time.monotonic()
            while len(self.asked) == asked and time.monotonic() - offered_s < OFFER_S:
                self.board.check()
                time.sleep(0.02)

    def _hand_out(self, raw: bytes) -> bool:
        if cose.split(raw).typ != t.IMAGE_REQUEST:
            return False
        request = open_message(raw, self.gateway.chain.cose_key).fields
        index = request[f.CHUNK_INDEX]
        self.asked.append(index)
        if index == self.held_back:
            return True
        about = {f.DIGEST: request[f.DIGEST], f.CHUNK_INDEX: index}
        chunk = images.chunks(self._software, MAX_CHUNK)[index]
        sealed = self.gateway.receipt_key.seal(
            t.IMAGE_CHUNK, self.gateway.about_meter() | about | {f.CHUNK: chunk}
        )
        self.gateway.link.send(sealed)
        return True

    def event(self, code: int, number: int = 1) -> dict[int, Any]:
        """Details of the event of that code, counted from 1."""

        def look() -> Message | None:
            found = [m for m in self.gateway.chain.messages if m.typ == t.EVENT and m.fields[f.EVENT_CODE] == code]
            return found[number - 1] if len(found) >= number else None

        what = f"{events.NAMES[code]} after {len(self.asked)} requests"
        details: dict[int, Any] = self.gateway.wait_for(look, PATIENCE_S, what, self.board.check).fields[f.DETAILS]
        return details

    def running(self) -> bytes:
        """The software id of the last boot."""
        boots = [
            m for m in self.gateway.chain.messages if m.typ == t.EVENT and m.fields[f.EVENT_CODE] == events.BOOT
        ]
        software: bytes = boots[-1].fields[f.DETAILS][events.SOFTWARE_ID]
        return software

    def new_boot(self, seen: int) -> None:
        """One after the first `seen` messages."""
        self.message(lambda message: message.sequence >= seen and message.name == "boot", "boot")

    def slot(self, number: int) -> bytes:
        return (self.folder / "slots.bin").read_bytes()[number * SLOT_BYTES :][:SLOT_BYTES]

    def flip(self, place: int) -> None:
        """A bit of that byte of slot A, while the power is off for a moment."""
        self.board.cut_power()
        with (self.folder / "slots.bin").open("r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1]))
        self.board.power_on()


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("maker"))


@pytest.fixture(scope="module")
def software(maker: Maker) -> bytes:
    return maker.build()


@pytest.fixture
def site(tmp_path: Path, image: Path, maker: Maker) -> Iterator[UpdateSite]:
    opened = UpdateSite(tmp_path, maker)
    yield opened
    opened.close()


IMPORT_FAILS = "import nothing_like_it\n"
RUN_FAILS = "def run(board, running):\n    raise MemoryError\n"


@pytest.mark.timeout(3 * PATIENCE_S)
def test_an_update_is_fetched_installed_tried_and_proven_and_runs_where_it_lies(
    site: UpdateSite, software: bytes, maker: Maker, image: Path
) -> None:
    site.commission()
    golden = site.running()
    assert golden == software_id(find("emulated_stm32"), image)
    site.offer(software, 1)
    updated = site.event(events.FIRMWARE_UPDATED)
    assert updated[events.SOFTWARE_ID] == software_id(find("emulated_stm32"), image, software)
    # A request that went unanswered for too long is repeated; none is left out, and none comes out of its turn.
    assert sorted(set(site.asked)) == list(range(len(images.chunks(software, MAX_CHUNK))))
    assert site.asked == sorted(site.asked)
    assert updated[events.SOFTWARE_BEFORE] == golden != site.running() == updated[events.SOFTWARE_ID]
    assert "software a on trial" in site.board.console()
    first = site.slot(0)
    assert first[:3] == ROMFS
    assert set(site.slot(1)) == {0xFF}

    readings = len(site.gateway.chain.messages)
    site.board.cut_power()
    site.board.power_on()
    site.new_boot(readings)
    assert site.running() == updated[events.SOFTWARE_ID]
    site.message_after(readings + 2)

    # The next one goes into the other slot while the first one runs, which takes over again.
    site.offer(maker.build_broken(IMPORT_FAILS), 2)
    assert site.event(events.UPDATE_ROLLED_BACK)[events.REASON] == "update_health"
    assert site.running() == updated[events.SOFTWARE_ID]
    assert site.slot(0) == first
    assert site.slot(1)[:3] == ROMFS

    # One bit of it, and it is not run any more.
    place = first.index(b"sealed %d sent")
    seen = len(site.gateway.chain.messages)
    site.flip(place)
    site.new_boot(seen)
    assert site.running() == golden
    site.gateway.check()


@pytest.mark.parametrize("code", [IMPORT_FAILS, RUN_FAILS], ids=["import", "run"])
@pytest.mark.timeout(2 * PATIENCE_S)
def test_broken_software_is_rolled_back(site: UpdateSite, maker: Maker, code: str) -> None:
    site.commission()
    golden = site.running()
    site.offer(maker.build_broken(code), 1)
    assert site.event(events.UPDATE_ROLLED_BACK)[events.REASON] == "update_health"
    assert site.running() == golden
    assert site.board.console().count("software a on trial") == ATTEMPTS


@pytest.mark.timeout(3 * PATIENCE_S)
def test_power_that_fails_inside_an_installation_leaves_software_that_runs(site: UpdateSite, maker: Maker) -> None:
    """At every boot it is begun anew: the image is verified, the slot is erased, written and read back."""
    moments = random.Random(1025)
    site.commission()
    golden = site.running()
    offered = maker.build_broken(RUN_FAILS)
    chunks = len(images.chunks(offered, MAX_CHUNK))
    site.held_back = chunks - 1
    site.offer(offered, 1)
    wait_until(lambda: len(set(site.asked)) == chunks, "the last request", PATIENCE_S)
    site.held_back, torn = None, set()
    for operation in itertools.count(8, 7):
        site.board.cut_power()
        site.board.power_on(cut_at=(operation, moments.randrange(600)))
        wait_until(lambda: site.board.is_cut or "on trial" in site.board.console(), "power cut", PATIENCE_S)
        if not site.board.is_cut:
            break
        torn.add(hashlib.sha256(site.slot(0)).digest())
        assert site.running() == golden
    assert len(torn) > 3
    # The cut that did not come during the installation would come after it.
    site.board.cut_power()
    site.board.power_on()
    assert site.event(events.UPDATE_ROLLED_BACK)[events.SOFTWARE_ID] != golden
    assert sorted(set(site.asked)) == list(range(chunks))
    assert site.slot(0)[:3] == ROMFS
    site.gateway.check()


def test_whatever_is_in_the_slots_at_power_on_the_golden_copy_runs(site: UpdateSite) -> None:
    content = random.Random(405)
    for slots in (
        content.randbytes(emulator.SLOTS_BYTES),
        ROMFS + b"\xff\xff\xff\x7f" + bytes(emulator.SLOTS_BYTES - 7),
    ):
        (site.folder / "slots.bin").write_bytes(slots)
        seen = len(site.gateway.chain.messages)
        site.board.power_on()
        site.new_boot(seen)
        site.board.cut_power()
