"""Software updates through everything real: broker, gateway, the authority's commands, the firmware itself.

Images come from this checkout by `carbonmeter update build`; the meter's process ends with code 3 where a board
would start itself anew, and is started again, as a board's reset would.
"""

import contextlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meter_tools.demo import documents
from meter_tools.demo.processes import Process, ProcessFailed, all_stopped
from meter_tools.demo.scene import generated_scene
from meter_tools.demo.world import World
from meter_tools.mpycross import PROJECT
from meter_tools.update_build import build_image

pytestmark = pytest.mark.long

RESTART_CODE = 3
PATIENCE_S = 120


class UpdateWorld(World):
    """A commissioned meter that obeys an update authority, whose keys the gateway knows too."""

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.command("authority", "init", self.folder / "updates.pem", "--for", "updates")
        super().prepare()

    def _write_gateway_config(self, software_id: str | None) -> None:
        super()._write_gateway_config(software_id)
        with self.gateway_config.open("a") as file:
            file.write(f'\n[updates]\nauthority_keys = ["{self.folder / "updates.pub.pem"}"]\n')

    def _write_meter_config(self) -> None:
        super()._write_meter_config()
        path = self.folder / "meter.json"
        key = documents.cose_key((self.folder / "updates.pub.pem").read_bytes())
        path.write_text(json.dumps(json.loads(path.read_text()) | {"update_keys": [key.hex()]}))

    def start_meter(self) -> Process:
        """Sick software may end before the label is printed; `until` looks at how."""
        with contextlib.suppress(ProcessFailed):
            super().start_meter()
        return self.meter

    def sign(self, sequence: int) -> None:
        self.command(
            "update", "sign", "--image", self.folder / "image.bin", "--sequence", str(sequence),
            "--version", "next",
            "--vendor", "carbonmeter.example", "--model", "unix", "--key", self.folder / "updates.pem",
            "--out", self.folder / "update.cose",
        )  # fmt: skip

    def offer(self) -> None:
        image, manifest = self.folder / "image.bin", self.folder / "update.cose"
        named = self.thumbprint, "--image", image, "--manifest", manifest
        self.command("update", "offer", *named, "--config", self.gateway_config)

    def status(self) -> str:
        return self.command("update", "status", "--config", self.gateway_config)

    def until(self, done: Callable[[], bool], what: str) -> None:
        """With the meter's power on: what ends to start anew is started."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f"{what}: {self.status()}\n{self.meter.text()}"
            code = self.meter.exit_code()
            if code is not None:
                assert code == RESTART_CODE, self.meter.text()
                self.start_meter()
            time.sleep(0.1)

    def findings(self) -> set[str]:
        shown = self.command("readings", "--format", "json", "--config", self.gateway_config)
        return {code for entry in json.loads(shown) for code in entry["findings"].split()}


@pytest.fixture
def world(tmp_path: Path, micropython: Path) -> Iterator[UpdateWorld]:
    with all_stopped() as started:
        made = UpdateWorld(tmp_path, generated_scene(), started)
        made.prepare()
        made.start_gateway()
        made.start_meter()
        made.commission()
        yield made


def test_an_update_through_the_death_of_meter_and_gateway(world: UpdateWorld) -> None:
    said = world.command("update", "build", "--board", "unix", "--out", world.folder / "image.bin")
    digest = said.strip().rpartition(" ")[2]
    world.sign(1)
    world.offer()
    time.sleep(0.5)
    world.meter.kill()
    world.gateway.kill()
    world.start_gateway()
    world.start_meter()
    world.until(lambda: "State: runs" in world.status(), "the update")
    assert re.search("^software [ab]", world.meter.text(), re.MULTILINE)
    assert digest in world.status()
    with pytest.raises(ProcessFailed, match="runs this software already"):
        world.offer()
    assert not world.findings() & {"chain_broken", "context_mismatch", "sequence_gap"}


def test_sick_software_is_rolled_back_and_not_tried_again(world: UpdateWorld) -> None:
    sick = world.folder / "checkout"
    for part in ("protocol/meter_protocol", "firmware", "boards/unix"):
        shutil.copytree(PROJECT / part, sick / part)
    app = sick / "firmware" / "meter_firmware" / "app.py"
    app.write_text(app.read_text() + '\nraise RuntimeError("sick")\n')
    (world.folder / "image.bin").write_bytes(build_image("unix", sick))
    world.sign(7)
    world.offer()
    world.until(lambda: "rolled back" in world.status(), "the rollback")
    assert "[update_health]" in world.status()
    world.offer()
    world.until(lambda: "refused: [update_health]" in world.status(), "an answer to the same manifest")
