"""Updates of the shipping image in QEMU: made by the maker's commands, fetched over the line, run where they lie.

What the Robot suites cannot say without knowing the board is here: the partitions of its flash, power cuts inside
of what is written there, and what an update takes of its heap.
"""

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hil_tests.keywords.verification import Message, open_message
from hil_tests.platforms import qemu
from hil_tests.tests.test_emulated_stm32 import Site, image, wait_until
from meter_gateway import image as images
from meter_protocol import cose, events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.demo.documents import cose_key
from meter_tools.mpycross import PROJECT
from meter_tools.update_build import build_image

__all__ = ["image"]

CARBONMETER = Path(sys.executable).parent / "carbonmeter"
INSTALLATION_S = 300
SLOT_BYTES = qemu.SLOTS_BYTES // 2
HEAP_BUDGET = 64 * 1024


class Maker:
    """The update authority at its desk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = folder / "updates.pem"
        carbonmeter("authority", "init", self._key, "--for", "updates")
        self.cose_key = cose_key((folder / "updates.pub.pem").read_bytes())

    def build(self) -> bytes:
        """This checkout's software, by the command."""
        path = self._folder / "image.bin"
        carbonmeter("update", "build", "--board", qemu.BOARD, "--out", path)
        return path.read_bytes()

    def build_edited(self, name: str, old: str, new: str) -> bytes:
        """The same with a change in one of the firmware's files."""
        copy = self._folder / "checkout"
        for part in ("protocol/meter_protocol", "firmware/meter_firmware", f"boards/{qemu.BOARD}"):
            shutil.copytree(PROJECT / part, copy / part)
        source = copy / "firmware" / "meter_firmware" / name
        assert source.read_text().count(old) == 1
        source.write_text(source.read_text().replace(old, new))
        try:
            return build_image(qemu.BOARD, copy)
        finally:
            shutil.rmtree(copy)

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
        self.gateway.take_alone = self._hand_out

    def commission(self) -> None:
        self.board.power_on()
        self.boot(1)
        self.provision()
        self.regular_readings()

    def offer(self, software: bytes, sequence: int) -> None:
        self._software = software
        self.gateway.send(self._maker.sign(software, sequence))

    def _hand_out(self, raw: bytes) -> bool:
        if cose.split(raw).typ != t.IMAGE_REQUEST:
            return False
        request = open_message(raw, self.gateway.chain.cose_key).fields
        index = request[f.CHUNK_INDEX]
        self.asked.append(index)
        about = {f.DIGEST: request[f.DIGEST], f.CHUNK_INDEX: index}
        chunk = images.chunks(self._software, images.MAX_CHUNK)[index]
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

        try:
            message = self.gateway.wait_for(look, INSTALLATION_S, f"event {code}", self.board.check)
        except AssertionError:
            print(len(self.asked), self.asked[-3:], [m.named for m in self.gateway.chain.messages if m.typ==t.EVENT], self.board.console())
            raise
        details: dict[int, Any] = message.fields[f.DETAILS]
        return details

    def running(self) -> bytes:
        """The software id of the last boot."""
        boots = [
            m for m in self.gateway.chain.messages if m.typ == t.EVENT and m.fields[f.EVENT_CODE] == events.BOOT
        ]
        software: bytes = boots[-1].fields[f.DETAILS][events.SOFTWARE_ID]
        return software

    def new_boot(self) -> None:
        seen = len(self.gateway.chain.messages)
        self.message(lambda message: message.sequence >= seen and "boot" in message.named, "boot")

    def slot(self, number: int) -> bytes:
        return (self.folder / "slots.bin").read_bytes()[number * SLOT_BYTES :][:SLOT_BYTES]


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


def test_an_update_is_fetched_installed_tried_proven_and_runs_where_it_lies(
    site: UpdateSite, software: bytes, maker: Maker
) -> None:
    site.commission()
    golden = site.running()
    site.offer(software, 1)
    updated = site.event(events.FIRMWARE_UPDATED)
    assert site.asked == list(range(len(images.chunks(software, images.MAX_CHUNK))))
    assert updated[events.SOFTWARE_BEFORE] == golden != site.running() == updated[events.SOFTWARE_ID]
    assert "software a on trial" in site.board.console()
    assert site.slot(0)[:3] == b"\xd2\xcd\x31"
    assert set(site.slot(1)) == {0xFF}

    # From power on, and after a reset of the processor alone.
    for _ in range(2):
        site.board.cut_power()
        site.board.power_on()
        site.new_boot()
        assert site.running() == updated[events.SOFTWARE_ID]
    readings = site.regular_readings(at_least=3)
    assert readings.fields[f.READINGS]

    # The second one goes into the other slot while the first one runs.
    first = site.slot(0)
    site.offer(maker.build_edited("app.py", '"sealed %d sent', '"newer software sealed %d sent'), 2)
    assert site.event(events.FIRMWARE_UPDATED, 2)[events.SOFTWARE_BEFORE] == updated[events.SOFTWARE_ID]
    assert site.slot(0) == first
    assert site.slot(1)[:3] == b"\xd2\xcd\x31"
    site.gateway.check()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param("app.py", "    def _boot(self)", "    raise MemoryError\n\n    def _boot(self)", id="load"),
        pytest.param("app.py", "import asyncio\n", "import asyncio\nimport nothing_like_it\n", id="import"),
    ],
)
def test_broken_software_is_rolled_back(site: UpdateSite, maker: Maker, name: str, old: str, new: str) -> None:
    site.commission()
    golden = site.running()
    site.offer(maker.build_edited(name, old, new), 1)
    assert site.event(events.UPDATE_ROLLED_BACK)[events.REASON] == "update_health"
    assert site.running() == golden
    site.board.check()


def test_a_slot_with_one_flipped_bit_is_not_run(site: UpdateSite, software: bytes) -> None:
    site.commission()
    golden = site.running()
    site.offer(software, 1)
    site.event(events.FIRMWARE_UPDATED)
    for place in (1, 3, 5, 1000, len(software) // 2):
        slots = site.folder / "slots.bin"
        whole = slots.read_bytes()
        site.board.cut_power()
        slots.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        site.board.power_on()
        site.new_boot()
        assert site.running() == golden, place
        break


def test_power_that_fails_inside_an_installation_leaves_software_that_runs(
    site: UpdateSite, software: bytes
) -> None:
    """At every boot it is begun anew: the image is verified, the slot is erased, written and read back."""
    moments = random.Random(1025)
    site.commission()
    golden = site.running()
    site.offer(software, 1)
    chunks = len(images.chunks(software, images.MAX_CHUNK))
    wait_until(lambda: len(site.asked) == chunks, "the last request", INSTALLATION_S)
    cuts = 0
    while cuts < 8:
        site.board.cut_power()
        site.board.power_on(cut_at=(moments.randrange(12, 450), moments.randrange(600)))
        wait_until(lambda: site.board.is_cut, "power cut", INSTALLATION_S)
        cuts += 1
        assert site.running() == golden
    site.board.power_on()
    assert site.event(events.FIRMWARE_UPDATED)[events.SOFTWARE_BEFORE] == golden
    assert sorted(set(site.asked)) == list(range(chunks))
    site.gateway.check()
